"""Read the blocks of a documentation page and run them as a reader would, in one shell, top to bottom."""

from __future__ import annotations

import contextlib
import itertools
import os
import pty
import re
import shutil
import subprocess
import sys
import tomllib
import tty
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
TUTORIAL = DOCS / "tutorial" / "first-subscription.md"
_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_MARK = "@@ next @@"


@dataclass(frozen=True)
class Step:
    """One command of a page and what the page says it prints; None: the page does not say."""

    command: str
    expected: str | None


def steps(text: str) -> list[Step]:
    """Return the commands of the `sh` and `console` blocks of a page, in order."""
    found: list[Step] = []
    for language, body in _FENCE.findall(text):
        if language == "sh":
            found.append(Step(body, None))
        elif language == "console":
            found += _console(body)
    return found


def _console(body: str) -> list[Step]:
    """Read `$ command` lines, each with the `> ` lines that go on with it, followed by its output."""
    found = []
    for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
        first, *rest = part.splitlines(keepends=True)
        more = list(itertools.takewhile(lambda line: line.startswith("> "), rest))
        command = "".join([first, *(line.removeprefix("> ") for line in more)])
        found.append(Step(command.removesuffix("\n"), "".join(rest[len(more) :])))
    return found


def run(wanted: list[Step], directory: Path, *, on_terminal: bool = False) -> list[tuple[Step, str]]:
    """Run the commands in one shell in `directory`; return each with what it printed, both streams together.

    `on_terminal` has them print as a reader sees it, on a terminal of 120 columns that knows no colours.
    """
    directory.mkdir(parents=True, exist_ok=True)
    # A page may start a server; it must not outlive the page, however the page ends.
    script = "trap 'kill $(jobs -p) 2>/dev/null' EXIT\n" + "".join(
        f"{{ {step.command}\n}} 2>&1\nprintf '%s\\n' '{_MARK}'\n" for step in wanted
    )
    environment = os.environ | {"PATH": f"{_commands(directory)}:{os.environ['PATH']}"}
    if on_terminal:
        environment |= {"TERM": "dumb", "COLUMNS": "120"}
    printed = _printed(["bash", "-c", script], directory, environment, on_terminal=on_terminal).split(f"{_MARK}\n")
    assert len(printed) == len(wanted) + 1, f"the page ended early: {printed[-1]}"
    return list(zip(wanted, printed, strict=False))


def _printed(words: list[str], directory: Path, environment: dict[str, str], *, on_terminal: bool) -> str:
    """Run a command to its end; return what it wrote to a pipe or to a terminal."""
    reading, writing = pty.openpty() if on_terminal else os.pipe()
    if on_terminal:
        tty.setraw(writing)  # lines end with a line feed, as in the page
    running = subprocess.Popen(
        words, cwd=directory, env=environment, stdin=subprocess.DEVNULL, stdout=writing, stderr=writing
    )
    os.close(writing)
    parts = []
    # A terminal whose last writer is gone is an error to Linux, not an end.
    with contextlib.suppress(OSError):
        while part := os.read(reading, 65536):
            parts.append(part)
    os.close(reading)
    running.wait()
    return b"".join(parts).decode()


def _commands(directory: Path) -> Path:
    """Make the program's commands from this checkout, whatever is or is not installed."""
    place = directory.parent / f"{directory.name}-bin"
    place.mkdir(exist_ok=True)
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    for name, target in scripts.items():
        module, _, function = target.partition(":")
        code = f"import sys; sys.argv[0] = '{name}'; from {module} import {function}; sys.exit({function}())"
        command = place / name
        command.write_text(
            f'#!/bin/sh\nPYTHONPATH={ROOT / "src"} exec {sys.executable} -c "{code}" "$@"\n', encoding="utf-8"
        )
        command.chmod(0o755)
    return place


def is_as_told(step: Step, printed: str) -> bool:
    """Tell whether the page tells the truth; `…` in it stands for anything within a line."""
    if step.expected is None:
        return True
    pattern = "[^\n]*".join(re.escape(part) for part in step.expected.split("…"))
    return re.fullmatch(pattern, printed) is not None


def lies(done: list[tuple[Step, str]]) -> list[tuple[str, str]]:
    """Return the commands that printed something else than the page says, with what they printed."""
    return [(step.command, printed) for step, printed in done if not is_as_told(step, printed)]


def publisher(port: int) -> list[Step]:
    """Return the steps of the tutorial that make an authority, an endorser, an image and a list, and serve them."""
    found = steps(TUTORIAL.read_text(encoding="utf-8").replace("8000", str(port)))
    start = next(number for number, step in enumerate(found) if "http.server" in step.command)
    return [*found[: start + 1], wait_for(port)]


def wait_for(port: int) -> Step:
    """Return a step that ends when a server listens."""
    return Step(f"until (: </dev/tcp/127.0.0.1/{port}) 2>/dev/null; do sleep 0.05; done\n", None)


def replaced(text: str, *pairs: tuple[str, str]) -> str:
    """Return the page with its examples replaced by what is there in a test; each one has to be in it."""
    for there, here in pairs:
        assert there in text, there
        text = text.replace(there, here)
    return text


def is_there(command: str) -> bool:
    """Tell whether a program that a page uses is installed."""
    return shutil.which(command) is not None
