"""Sweeps over the system calls of installed commands: strace kills the process, or fails the call, at every point.

    points = faults_of(stage.calls())
    verdicts = [strike(stage, fault) for fault in points]
    verdicts = sweep("replacing cache run", points_part, workers=2, place=tmp_path)

After each point the store must be sound, the next plain run must make the undisturbed store of it, every owed event
must be told, nothing that was verified may be fetched twice, and no traceback may be seen.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from support.acts import stream
from support.installed_acts import FAST_STRACE, INSTALLED, STRACE, Call, InstalledStage
from support.server import Server
from support.site import Result, Site
from vmcatcher.store import root
from vmcatcher.store.check import check_store

# Each error with the exit codes that say so. `again`: the same command may succeed later; else somebody has to look.
CODES = {
    "ENOSPC": {75},
    "EIO": {75},
    "EDQUOT": {75},
    "EROFS": {1},
    "EMFILE": {75},
    "EINTR": {75},
    "ESTALE": {75},
}
# What only reads fails with these.
_OF_READING = frozenset({"EIO", "EMFILE", "EINTR", "ESTALE"})
# A full disk fails all of these from then on. Not `openat` and not `write`: strace cannot tell a new file from one that
# is read, nor a file from a pipe, and on a full disk both of the others work.
_TAKE_SPACE = ("mkdir", "symlinkat", "linkat", "renameat", "rename")
_MEMORY = Path("/dev/shm")


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong at one system call."""

    call: Call
    error: str | None = None
    """The error of the call; without one the process is killed just before it."""
    ever_after: tuple[tuple[str, int], ...] = ()
    """System calls that fail from that number on, where the trouble stays."""

    @property
    def kind(self) -> str:
        """What goes wrong, in a word."""
        return "SIGKILL" if self.error is None else f"{self.error}{' from then on' if self.ever_after else ''}"

    @property
    def words(self) -> tuple[str, ...]:
        """The options of strace."""
        if self.error is None:
            return _inject(self.call.name, "signal=KILL", str(self.call.number))
        if not self.ever_after:
            return _inject(self.call.name, f"error={self.error}", str(self.call.number))
        return tuple(
            word for name, number in self.ever_after for word in _inject(name, f"error={self.error}", f"{number}+")
        )

    def __str__(self) -> str:
        return f"{self.kind} at {self.call.name} {self.call.number}, {self.call.text[:120]}"


@dataclass(frozen=True)
class Verdict:
    """What came of one fault; `problems` is empty where all is as it has to be."""

    fault: Fault
    code: int
    seconds: float
    problems: tuple[str, ...]


def _inject(name: str, what: str, when: str) -> tuple[str, str]:
    return ("-e", f"inject={name}:{what}:when={when}")


def kills_of(calls: Sequence[Call]) -> list[Fault]:
    """Return a kill before every call that changes the store."""
    return [Fault(call) for call in calls if call.changes]


def errors_of(calls: Sequence[Call]) -> list[Fault]:
    """Return every error at every call that it fits, and the full disk from every call on that takes space."""
    found = [
        Fault(call, error)
        for error in CODES
        for call in calls
        if call.changes or call.name != "openat" or error in _OF_READING
    ]
    for index, call in enumerate(calls):
        if call.changes and call.name in _TAKE_SPACE:
            later: dict[str, int] = {}
            for other in calls[index:]:
                if other.name in _TAKE_SPACE:
                    later.setdefault(other.name, other.number)
            found.append(Fault(call, "ENOSPC", tuple(later.items())))
    return found


def strike(stage: InstalledStage, fault: Fault) -> Verdict:
    """Play the act from its beginning with that fault, and judge what came of it."""
    began = time.monotonic()
    stage.reset()
    log = stage.site.root / "strike.strace"
    names = {fault.call.name, *(name for name, _ in fault.ever_after)}
    strace = STRACE if fault.error is None else FAST_STRACE
    result = stage.play((*strace, "-o", str(log), "-e", f"trace={','.join(sorted(names))}", *fault.words))
    if fault.error is None:
        problems = [] if result.code == -9 else [f"not killed: {result}"]
    else:
        struck = "(INJECTED)" in log.read_text(errors="replace")
        problems = _judge_ending(stage, fault, result) if struck else ["the call was not made"]
    problems += _judge_store(stage, is_killed=fault.error is None)
    problems += _judge_healing(stage)
    return Verdict(fault, result.code, time.monotonic() - began, tuple(problems))


def _judge_ending(stage: InstalledStage, fault: Fault, result: Result) -> list[str]:
    problems = []
    lines = result.err.splitlines()
    if any("Traceback" in line or "internal error" in line for line in lines) or result.code == 70:
        problems.append(f"our bug: {result.err[-300:]}")
    if result.code == stage.code and not stage.act.is_rotten:
        # As if nothing had been: then nothing may be lacking either.
        lacking = stage.lacks()
        if lacking:
            problems.append(f"ended with {result.code}, yet lacks {str(lacking)[:300]}")
        return problems
    # A run that complains anyway, and an import, which names what it left out, may end with 1.
    # So does one that cannot read the bytes of an image: that does not pass as other trouble may.
    # SQLite does not say why it cannot open a database.
    is_lost = (fault.error == "EIO" and "STORE/blobs/" in fault.call.text) or "unable to open database" in result.err
    complains = {1} if stage.act.is_rotten or "left out:" in result.out or is_lost else set()
    if result.code not in CODES[fault.error or ""] | complains:
        problems.append(f"ended with {result.code}: {result.err[-300:]}")
    said = any(line.startswith(("ERROR:", "CRITICAL:")) for line in lines) or "left out:" in result.out
    if not said:
        problems.append(f"ended with {result.code} without a word")
    return problems


def _judge_store(stage: InstalledStage, *, is_killed: bool) -> list[str]:
    layout = root.find_store(str(stage.site.store))
    if layout is None:
        return []  # not made to its end: no store yet
    found = check_store(layout, read_bytes=not stage.act.is_rotten)
    # I3 and I13 are notes for the sake of copies; a run that is killed leaves neither.
    return [f"right after: {one}" for one in found if one.is_damage or (is_killed and one.invariant in ("I3", "I13"))]


def _judge_healing(stage: InstalledStage) -> list[str]:
    site = stage.site
    stored = {path.name for path in (site.store / "blobs" / "sha512").glob("*/*")}
    asked = {path: site.server.gets(path) for path in images(site)}
    last = stage.heal()
    problems = [] if last.code in {0, stage.code} else [f"next run ended with {last.code}: {last.err[-300:]}"]
    differences = stage.differences()
    if differences:
        problems.append(f"next run left it different: {str(differences)[:600]}")
    problems += [f"after the next run: {one}" for one in stage.findings() if one not in stage.whole_findings]
    if stage.story() != stage.whole_story:
        problems.append(f"told {stage.story()}, not {stage.whole_story}")
    if not in_order(site):
        problems.append("an event was repeated after the next one of its image")
    for path, (digest, _) in images(site).items():
        if digest in stored and not stage.act.is_rotten and site.server.gets(path) != asked[path]:
            problems.append(f"{path} was fetched again")
        if site.server.gets(path) > 2:
            problems.append(f"{path} was fetched {site.server.gets(path)} times")
    return problems


def images(site: Site) -> dict[str, tuple[str, int]]:
    """Return what the publisher serves as images: path -> digest and size."""
    return {
        path: (hashlib.sha512(document.content).hexdigest(), len(document.content))
        for path, document in site.server._plan.documents.items()
        if path.startswith("/images/")
    }


def in_order(site: Site) -> bool:
    """Tell whether every repetition of an event came before the next event of its image was told."""
    newest: dict[str, str] = {}
    over: set[str] = set()
    for event in site.noted():
        if "DC_IDENTIFIER" not in event:
            continue
        image, identifier = stream(event), event["ID"]
        if newest.get(image) == identifier:
            continue
        if identifier in over:
            return False
        if image in newest:
            over.add(newest[image])
        newest[image] = identifier
    return True


Choice = Callable[[Sequence[Call]], list[Fault]]


def everything(calls: Sequence[Call]) -> list[Fault]:
    """Choose every point."""
    return kills_of(calls) + errors_of(calls)


def sweep(act: str, choice: Choice, *, workers: int) -> list[Verdict]:
    """Return what came of the chosen faults of an act, struck in so many processes at a time."""
    if workers == 1:
        return _part(act, choice, 0, 1)
    # `spawn`: the test's own server runs in threads, which a fork would copy in whatever state they are.
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        parts = [pool.submit(_part, act, choice, number, workers) for number in range(workers)]
        return [verdict for part in parts for verdict in part.result()]


def _part(act: str, choice: Choice, number: int, workers: int) -> list[Verdict]:
    place = _MEMORY if _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=place) as directory, Server() as server:
        stage = InstalledStage(Site(Path(directory), server), INSTALLED[act])
        return [strike(stage, fault) for fault in choice(stage.calls())[number::workers]]
