"""The recorded steps of the classic program, and a site that plays them with our commands."""

from __future__ import annotations

import difflib
import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from classic.noted import HANDLER, Noted, event_differences, read_noted
from support.server import Server
from support.site import LIST_ID, Result, Site, image_id
from vmcatcher import __version__

_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_SERIOUS = frozenset({"WARNING", "ERROR", "CRITICAL"})
_TOKEN = re.compile(r"(?<![\w-])(LIST|URI|SERVER|IMAGE-\d|ALICE|CAROL|GRID-CA|SHA512-\d(-V2|-UPPER)?|CREATED|EXPIRES"
                    r"|CERTIFICATES|HANDLER|NOTING|DATABASE|VERSION)(?![\w-])")  # fmt: skip
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_RANDOM_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


@dataclass
class Step:
    """One command of the recording and what it did."""

    name: str
    before: list[str] = field(default_factory=list)
    command: str = ""
    out: list[str] = field(default_factory=list)
    levels: set[str] = field(default_factory=set)
    usage: list[str] = field(default_factory=list)
    was: list[str] = field(default_factory=list)
    code: int = -1
    said: list[str] = field(default_factory=list)
    events: list[Noted] = field(default_factory=list)

    @property
    def program(self) -> str:
        """The command without `vmcatcher_`, whatever variables are set before it."""
        words = shlex.split(self.command)
        return next(word for word in words if word.startswith("vmcatcher_")).removeprefix("vmcatcher_")


def read_steps(path: Path) -> list[Step]:
    """Return the steps of a recording in order."""
    steps: list[Step] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("=== "):
            steps.append(Step(line.removeprefix("=== ")))
        elif steps and line:
            _add_line(steps[-1], line)
    return steps


def _add_line(step: Step, line: str) -> None:
    kind, _, rest = line.partition(" ")
    if kind == "==":
        step.events.append(Noted(rest))
    elif step.events:
        step.events[-1].add(line)
    elif kind == "was>":
        step.was.append(rest)
    elif kind == "$":
        step.command = rest
    elif not step.command:
        step.before.append(line.removeprefix("# before: "))
    elif kind == "2>":
        _add_said(step, rest)
    elif kind == "rc":
        step.code = int(rest)
    elif line != "-- events":
        step.out.append(line)


def _add_said(step: Step, line: str) -> None:
    level = line.partition(":")[0]
    if level in _LEVELS:
        step.levels.add(level)
        if step.program == "cache" and ":main:" in line:
            step.said.append(line)
    elif line:
        step.usage.append(line)


def sequences(paths: Iterator[Path]) -> dict[str, list[Step]]:
    """Return the recordings by name, each of them played on a fresh site."""
    found: dict[str, list[Step]] = {}
    for path in sorted(paths):
        for step in read_steps(path):
            found.setdefault(step.name.partition(".")[0], []).append(step)
    return found


class Player:
    """A site called as the recorded one was: a database URL names the store, the working directory is its own."""

    def __init__(self, root: Path, server: Server) -> None:
        self.site = site = Site(root, server)
        site.alice = site.pki.endorser("Alice Endorser", namespace="/DC=test/DC=grid/OU=People")
        site.environment = {
            "VMCATCHER_RDBMS": f"sqlite:///{root}/vmcatcher.db",
            "VMCATCHER_DIR_CERT": str(site.pki.certificates),
        }
        for path in ("cache/partial", "cache/expired"):
            (root / path).mkdir(parents=True)
        self._noted = root / "noted"
        (root / "handler.sh").write_text(HANDLER)
        self.published = b""
        self._content = b""
        self._signed: dict[bytes, bytes] = {}
        self._instants: set[str] = set()
        self._fixed = {
            "dc__date__created": _text(site, timedelta(hours=-1)),
            "dc__date__expires": _text(site, timedelta(days=28)),
        }
        self._images = {
            "1": site.image(1, content=b"1" * 300000, path="/images/one-v1.raw"),
            "1-V2": site.image(1, "2", content=b"2" * 310000, path="/images/one-v2.raw"),
            "2": site.image(
                2,
                content=b"3" * 200001,
                path="/images/two.qcow2",
                hv__format="QCOW2",
                ad__mpuri="https://appdb.test/store/vm/image/two:2/",
            ),
            "3": site.image(3, content=b"4" * 250000, path="/images/three.ova"),
            "4": site.image(4, content=b"5" * 1000, path="/images/four.raw"),
        }

    def prepare(self, line: str) -> None:
        """Do what a line before a command says."""
        named = re.search(r'published list "v([^"]+)"', line)
        if named:
            self._publish(*named[1].split("-"))
        if "copy of base" in line:
            self._publish("1")
            for arguments in (("-e", "-s", self.token("URI")), ("-U",)):
                self.tick()
                self.site.expect(0, "subscribe", *arguments)
            if '"v1"' not in line:
                self.site.select(1, 2, 3)
            if '"cached"' in line:
                self.site.expect(0, "cache")
        if line.startswith("directories "):
            for path in line.split()[1:]:
                (self.site.root / path).mkdir(parents=True)

    def _publish(self, version: str, kind: str = "") -> None:
        first = "1" if version == "1" or kind == "new4" else "1-V2"
        numbers = [first, "2", *([] if kind == "removed3" else ["3"]), *(["4"] if kind == "new4" else [])]
        images = [self._images[number] for number in numbers]
        fields = {**self._fixed, "hv__uri": self.token("URI")}
        self._content = self.site.content(version, *images, **fields)
        # Signed once: signing again would make another list of the same version.
        self._signed.setdefault(self._content, self.site.alice.sign(self._content))
        self.published = self._signed[self._content]
        self.site.server.publish("/list.image_list", self.published)

    def tick(self) -> None:
        """Let a second pass, so that the order of things shows."""
        self.site.now += timedelta(seconds=1)
        self._instants.add(_text(self.site, timedelta()))

    def play(self, step: Step) -> list[str]:
        """Run the command of a step and return in what it differs from the recording."""
        for line in step.before:
            self.prepare(line)
        self.tick()
        words = shlex.split(step.command)
        environment = {}
        while not words[0].startswith("vmcatcher_"):
            name, is_set, value = words.pop(0).partition("=")
            if is_set:
                environment[name] = self.told(value)
        arguments = [self.told(word) for word in words[1:]]
        self._noted.unlink(missing_ok=True)
        result = self.site.run(step.program, *arguments, **environment)
        return [f"{step.name}: {what}" for what in self._differences(step, result)]

    def _differences(self, step: Step, result: Result) -> Iterator[str]:
        if result.code != step.code:
            yield f"exit code {result.code}, expected {step.code} ({result.err.strip()})"
        if not self._is_same_output(step, result):
            expected = self.told("\n".join(step.out)).splitlines()
            yield "\n".join(difflib.unified_diff(expected, self._tokens_of(result.out).splitlines(), lineterm="", n=1))
        levels = {word for line in result.err.splitlines() if (word := line.partition(":")[0]) in _LEVELS}
        if not step.levels <= levels or levels & _SERIOUS > step.levels & _SERIOUS:
            yield f"stderr {sorted(levels)}, expected {sorted(step.levels)} ({result.err.strip()})"
        missing = [line for line in step.said if self.told(line) not in result.err.splitlines()]
        if missing:
            yield f"stderr lacks {missing} ({result.err.strip()})"
        if step.events:
            yield from event_differences(step.events, read_noted(self._noted), self.told)
        if step.usage and step.usage != [line for line in result.err.splitlines() if line]:
            yield f"stderr {result.err}, expected {step.usage}"

    def _is_same_output(self, step: Step, result: Result) -> bool:
        if step.out == ["SIGNED LIST"]:
            return result.raw == self.published
        if step.out == ["SIGNED CONTENT"]:
            return result.raw.replace(b"\r\n", b"\n") == self._content
        found = self._tokens_of(result.out)
        expected = "\n".join(step.out)
        if expected[:1] in {"[", "{"}:
            return covers(list(documents(self.told(expected))), list(documents(self._tokens_of(result.out))))
        return found.splitlines() == self.told(expected).splitlines()

    def _tokens_of(self, out: str) -> str:
        known = {LIST_ID, *(image_id(number) for number in range(1, 5))}
        out = _RANDOM_UUID.sub(lambda one: one[0] if one[0] in known else "ENDORSER-UUID", out)
        return _INSTANT.sub(lambda one: "UPDATED" if one[0] in self._instants else one[0], out)

    def told(self, text: str) -> str:
        """Return a recorded text with what its tokens stand for here."""
        return _TOKEN.sub(lambda one: self.token(one[0]), text)

    def token(self, token: str) -> str:
        """Return what a token of the recording stands for on this site."""
        if token.startswith("IMAGE-"):
            return image_id(int(token.removeprefix("IMAGE-")))
        if token.startswith("SHA512-"):
            number = token.removeprefix("SHA512-")
            digest = str(self._images[number.removesuffix("-UPPER")]["sl:checksum:sha512"])
            return digest.upper() if number.endswith("-UPPER") else digest
        return {
            "LIST": LIST_ID,
            "SERVER": self.site.server.url(""),
            "URI": self.site.server.url("/list.image_list"),
            "ALICE": self.site.alice.subject,
            "CAROL": "/DC=test/DC=grid/OU=People/CN=Carol Endorser",
            "GRID-CA": self.site.pki.subject,
            "CERTIFICATES": str(self.site.pki.certificates),
            "CREATED": str(self._fixed["dc__date__created"]),
            "EXPIRES": str(self._fixed["dc__date__expires"]),
            "HANDLER": "true",
            "NOTING": f"sh {self.site.root}/handler.sh >> {self._noted}",
            "DATABASE": self.site.environment["VMCATCHER_RDBMS"],
            "VERSION": __version__,
        }[token]


def _text(site: Site, later: timedelta) -> str:
    return (site.now + later).strftime("%Y-%m-%dT%H:%M:%SZ")


def documents(text: str) -> Iterator[Any]:
    """Yield the JSON documents of a stream, glued together as the classic program did it or on lines of their own."""
    decoder = json.JSONDecoder()
    while text := text.strip():
        document, end = decoder.raw_decode(text)
        yield document
        text = text[end:]


def covers(expected: Any, found: Any) -> bool:
    """Tell whether `found` says all that `expected` says; objects may say more."""
    if isinstance(expected, dict):
        return isinstance(found, dict) and all(key in found and covers(expected[key], found[key]) for key in expected)
    if isinstance(expected, list):
        return (
            isinstance(found, list)
            and len(expected) == len(found)
            and all(covers(one, other) for one, other in zip(expected, found, strict=True))
        )
    return type(expected) is type(found) and bool(expected == found)
