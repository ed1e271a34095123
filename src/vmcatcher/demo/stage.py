"""Where the story is played: the directory, the real commands as processes of their own, and what can be seen after."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from vmcatcher.errors.demands import DemoSurprise

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from vmcatcher.demo.publisher import DemoImage
    from vmcatcher.demo.voice import Voice

EVENTS: Final = "events.jsonl"
_DIGEST: Final = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{116}\b")
_LONGEST_COMMAND_S: Final = 60.0
# What a refused list may change: when it was tried last, who held a lock last, and the log of a run.
_BOOKKEEPING: Final = ("fetch.json", ".lock", ".jsonl")


def installed_program(name: str) -> list[str]:
    """Return how to run a command of this very installation: its script beside Python, else its module."""
    script = Path(sys.executable).parent / name
    if os.access(script, os.X_OK):
        return [str(script)]
    module = "vmcatcher.cli.app" if name == "vmcatcher" else f"vmcatcher.cli.classic.{name.partition('_')[2]}"
    code = f"import sys; sys.argv[0] = {name!r}; from {module} import main; sys.exit(main())"
    return [sys.executable, "-P", "-c", code]


@dataclass(frozen=True, slots=True)
class Told:
    """One event as the handler noted it."""

    kind: str
    image: str
    reason: str

    def __str__(self) -> str:
        return f"{self.kind:<22}{self.image:<9}{self.reason}".rstrip()


class Stage:
    """Runs commands in one directory, says them and what they print, and compares what is with what should be."""

    def __init__(
        self, root: Path, environment: Mapping[str, str], voice: Voice, find_program: Callable[[str], Sequence[str]]
    ) -> None:
        self.root = root
        self.voice = voice
        self.act = ""
        self.commands_run = 0
        self.slowest_s = 0.0
        self._find_program = find_program
        self._seen_events = 0
        self.settings = {"VMCATCHER_STORE": str(root / "store"), "VMCATCHER_DIR_CERT": str(root / "certificates")}
        # No proxy reaches our loopback server, and the settings of this machine are for its real store.
        foreign = ("vmcatcher_", "http_proxy", "https_proxy", "all_proxy")
        kept = {name: value for name, value in environment.items() if not name.lower().startswith(foreign)}
        self._environment = {**kept, **self.settings, "VMCATCHER_CONFIG": os.devnull}

    def begin(self, act: str, sentence: str) -> None:
        """Begin an act: its title, and what it shows."""
        self.act = act
        self.voice.title(act)
        self.voice.sentence(sentence)

    def run(self, *command: str, code: int = 0, shown: int | None = None) -> list[str]:
        """Run a command, say it and what it prints (or the first `shown` lines), and return the lines of its stdout.

        Raises:
            DemoSurprise: it cannot be started, does not end, or ends with another code than `code`.
        """
        self.voice.command(shlex.join(command))
        started = time.monotonic()
        try:
            done = subprocess.run(  # noqa: S603 - our own commands, no shell
                [*self._find_program(command[0]), *command[1:]],
                cwd=self.root,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_LONGEST_COMMAND_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as exc:
            raise DemoSurprise(act=self.act, what=command[0], expected="a command that runs", found=str(exc)) from exc
        self.slowest_s = max(self.slowest_s, time.monotonic() - started)
        self.commands_run += 1
        lines = done.stdout.decode("utf-8", "replace").splitlines()
        self.voice.output(short(line) for line in lines[:shown])
        if shown is not None and len(lines) > shown:
            self.voice.aside(f"(and {len(lines) - shown} lines more)")
        self.voice.complaint(done.stderr.decode("utf-8", "replace").splitlines())
        if done.returncode:
            self.voice.aside(f"(exit code {done.returncode})")
        self.demand(f"exit code of {command[0]}", code, done.returncode)
        return lines

    def demand(self, what: str, expected: object, found: object) -> None:
        """Return if what was found is what the story says.

        Raises:
            DemoSurprise: it is not.
        """
        if found != expected:
            raise DemoSurprise(act=self.act, what=what, expected=str(expected), found=str(found))

    def images(self, **expected: int) -> None:
        """List the images and demand that they are in these states."""
        lines = self.run("vmcatcher_image", "-l")
        states = {cells[0]: int(cells[1]) for cells in (line.split("\t") for line in lines)}
        self.demand("states of the images", expected, states)

    def planned(self, *expected: str) -> None:
        """Show the plan, and demand that it has these steps, each as `ACTION IMAGE`, in any order."""
        rows = [line.split("\t") for line in self.run("vmcatcher", "plan")]
        self.demand(
            "steps of the plan", sorted(expected), sorted(f"{row[1]} {row[3]}" for row in rows if row[0] == "image")
        )

    def events(self, *expected: str) -> None:
        """Say the events since the last look, and demand that they are these, each as `KIND` or `KIND IMAGE`.

        Images are downloaded at the same time and told as they come: only the order of one image's events is certain.
        """
        new = self.all_events()[self._seen_events :]
        self._seen_events += len(new)
        self.voice.aside(f"what the handler was told (new lines of {EVENTS}):")
        self.voice.output(str(one) for one in new)
        self.demand("events", _by_image(expected), _by_image([f"{one.kind} {one.image}".strip() for one in new]))

    def all_events(self) -> list[Told]:
        """Return every event that the handler noted."""
        path = self.root / EVENTS
        lines = path.read_text("utf-8").splitlines() if path.exists() else []
        return [_told(json.loads(line)) for line in lines]

    def view(self, name: str, *expected: DemoImage) -> None:
        """Say what a view shows, and demand that it is these versions of images, whatever time they left at."""
        directory = self.root / "store" / name
        links = [path for path in sorted(directory.iterdir()) if path.is_symlink()]
        self.voice.output(f"store/{name}/{path.name} -> {short(os.readlink(path))}" for path in links)
        if not links:
            self.voice.aside(f"store/{name}/ shows no image")
        shown = [(path.name.partition(".")[0], _digest(path.read_bytes())) for path in links]
        wanted = [(image.name, _digest(image.content)) for image in expected]
        self.demand(f"images in store/{name}", sorted(wanted), sorted(shown))

    def state_of_store(self) -> dict[str, str]:
        """Return the store as path -> what is there, less the bookkeeping of runs."""
        found = {}
        for path in sorted((self.root / "store").rglob("*")):
            if path.is_symlink():
                found[str(path)] = os.readlink(path)
            elif path.is_file() and not path.name.endswith(_BOOKKEEPING):
                found[str(path)] = _digest(path.read_bytes())
        return found


def _by_image(events: Sequence[str]) -> list[str]:
    """Return `KIND IMAGE` sorted by the image, those of one image in their order; those of none come first."""
    return sorted(events, key=lambda one: one.partition(" ")[2])


def _told(variables: dict[str, str]) -> Told:
    name = "VMCATCHER_EVENT_"
    image, reason = variables.get(name + "DC_IDENTIFIER", ""), variables.get(name + "REASON", "")
    return Told(variables[name + "TYPE"], image, reason)


def _digest(content: bytes) -> str:
    return hashlib.sha512(content).hexdigest()[:16]


def short(text: str) -> str:
    """Return a path or a line whose digests are cut to what an eye can hold."""
    return _DIGEST.sub(r"\1…", text)


def tree_lines(directory: Path, indent: str = "") -> list[str]:
    """Return the tree below a directory as `tree` draws it; links with what they lead to."""
    lines = []
    entries = sorted(directory.iterdir())
    for entry in entries:
        corner, below = ("└── ", "    ") if entry == entries[-1] else ("├── ", "│   ")
        if entry.is_symlink():
            lines.append(f"{indent}{corner}{entry.name} -> {short(os.readlink(entry))}")
        elif entry.is_dir():
            lines.append(f"{indent}{corner}{entry.name}/")
            lines += tree_lines(entry, indent + below)
        else:
            lines.append(f"{indent}{corner}{short(entry.name)}")
    return lines
