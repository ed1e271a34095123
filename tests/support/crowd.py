"""Many processes on one store at once, and what can be proved of them afterwards.

    crowd = Crowd(site)
    crowd.prepare(workers=8)
    crowd.run(workers=8, rounds=100, readers=2)
    assert crowd.trouble() == []            # no exit code but 0 and 75, no torn file
    assert crowd.overlaps() == []           # no two runs at once
    assert crowd.lost(crowd.final()) == []  # whatever a command said it did is so in the end

Every worker is a process of its own that runs one command line after the other through the `main` of the commands:
what starts of Python would cost is spent once for each worker. `Crowd.run` runs real commands, each in a process of its
own, beside them. All write down when each command began and ended, by the one clock of the machine.

This module is also the program of a worker: `python -m support.crowd PLAN`.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import io
import json
import logging
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from support.site import Site

LIST_ID = "11111111-aaaa-4aaa-8aaa-000000000001"
_SHARED = (1, 2, 3)
_REAL = 9
_FIRST_OWN = 10
_FIRST_NEW = 100
FORGOTTEN = "forgotten"
_TESTS = str(Path(__file__).parents[1])


def _image(number: int) -> str:
    return f"a0000000-bbbb-4bbb-8bbb-{number:012d}"


@dataclass(frozen=True)
class Plan:
    """What one process of the crowd is to do."""

    name: str
    number: int
    rounds: int
    seed: int
    store: str
    log: str
    handler: str
    is_reader: bool = False
    is_unlocked: bool = False


@dataclass(frozen=True)
class Done:
    """One command that was run, and what it changed if it ended with 0: `what` is then `value`."""

    who: str
    command: str
    what: str
    value: bool
    began: int
    ended: int
    code: int
    errors: str = ""
    output: str = ""


@dataclass
class Crowd:
    """A site with many processes at work."""

    site: Site
    is_unlocked: bool = False
    done: list[Done] = field(default_factory=list)
    reads: Counter[str] = field(default_factory=Counter)
    torn: list[str] = field(default_factory=list)
    endings: list[str] = field(default_factory=list)

    @property
    def marks(self) -> Path:
        """Where the handlers write down that they began and ended."""
        return self.site.root / "marks"

    @property
    def handler(self) -> str:
        """A handler that says which run it belongs to, and who the lock says is running."""
        locks = '"$VMCATCHER_STORE"/locks'
        line = f'"$VMCATCHER_EVENT_TYPE $VMCATCHER_EVENT_UUID_SESSION $PPID $1" >> {self.marks}'
        return (
            f"mark() {{ echo {line}; }}; mark begin; "
            "case $VMCATCHER_EVENT_TYPE in ProcessPrefix) name=cache;; "
            "SubscriptionImageNew) name=update;; *) name=;; esac; "
            f'[ -z "$name" ] || mark $(cat {locks}/$name.lock {locks}/$name.lock/* 2>/dev/null'
            " | grep -o '\"pid\": [0-9]*' | tr -dc 0-9); mark end"
        )

    # -- doing

    def prepare(self, workers: int) -> None:
        """Subscribe to a list with an image for each worker, three for all, one for real commands; cache one image."""
        site = self.site
        own = [_FIRST_OWN + number for number in range(workers)]
        self._images = [site.image(number) for number in (*_SHARED, _REAL, *own)]
        site.join(*self._images)
        site.expect(0, "subscribe", "--imagelist-newimage-accept", "-u", LIST_ID)
        site.select(*_SHARED)
        site.cache()
        site.events.unlink()
        for number in range(workers):
            subject = f"/DC=test/CN=worker {number}"
            site.expect(0, "endorser", "-C", "-e", f"worker-{number}", "--dn", subject, "-I", "/DC=test/CN=CA")

    def run(self, *, workers: int, rounds: int, readers: int = 1, seed: int = 1) -> None:
        """Let the crowd loose, publish new lists and run real commands beside it, and wait until all have ended."""
        with contextlib.ExitStack() as stack:
            busy = [stack.enter_context(self._started("worker", n, rounds, seed)) for n in range(workers)]
            idle = [stack.enter_context(self._started("reader", n, 0, seed)) for n in range(readers)]
            for child in (*busy, *idle):
                assert child.stdout is not None
                assert child.stdout.readline() == "ready\n"
            for child in (*busy, *idle):
                _tell(child)
            version = 1
            while any(child.poll() is None for child in busy):
                version += 1
                self._publish(version)
                self._real(version)
            for child in idle:
                _tell(child)
            for child in (*busy, *idle):
                _, errors = child.communicate(timeout=60)
                if child.returncode != 0:
                    self.endings.append(f"{child.returncode}: {errors}")
        self._collect()

    @contextlib.contextmanager
    def _started(self, role: str, number: int, rounds: int, seed: int) -> Iterator[subprocess.Popen[str]]:
        log = str(self.site.root / f"{role}-{number}.log")
        store, is_reader = str(self.site.store), role == "reader"
        plan = Plan(role, number, rounds, seed, store, log, self.handler, is_reader, self.is_unlocked)
        environment = {**os.environ, **self.site.environment, "PYTHONPATH": _TESTS}
        child = subprocess.Popen(
            [sys.executable, "-m", "support.crowd", json.dumps(asdict(plan))],
            env=environment,
            cwd=self.site.root,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with child:
            try:
                yield child
            finally:
                child.kill()

    def _publish(self, version: int) -> None:
        """A list in which one image has new bytes, and one is new."""
        changed = self.site.image(_SHARED[0], str(version))
        new = self.site.image(_FIRST_NEW + version % 7)
        self.site.publish(str(version), changed, *self._images[1:], new)

    def _real(self, number: int) -> None:
        """Select or deselect an image with the installed command."""
        value = number % 2 == 0
        began = time.monotonic_ns()
        result = self.site.call("vmcatcher_image", "-a" if value else "-r", "-u", _image(_REAL))
        ended = time.monotonic_ns()
        self.done.append(Done("real", "select", _image(_REAL), value, began, ended, result.code, result.err))

    def _collect(self) -> None:
        for path in sorted(self.site.root.glob("worker-*.log")):
            self.done += [Done(**json.loads(line)) for line in path.read_text().splitlines()]
            path.unlink()
        for path in sorted(self.site.root.glob("reader-*.log")):
            found = json.loads(path.read_text())
            self.reads.update(found["reads"])
            self.torn += found["torn"]
            path.unlink()

    # -- proving

    def codes(self) -> dict[str, Counter[int]]:
        """Return how often each command ended with each code."""
        found: dict[str, Counter[int]] = {}
        for one in self.done:
            found.setdefault(one.command, Counter())[one.code] += 1
        return found

    def trouble(self) -> list[str]:
        """Return everything that must not be, however many are at work."""
        may_be_held = {"update", "cache", "sync", "prune"}
        odd = [
            f"{one.who}: {one.command} {one.what} ended with {one.code}: {one.errors or one.output}"
            for one in self.done
            if one.code != 0 and not (one.code == 75 and one.command in may_be_held)
        ]
        named = [
            f"{one.who}: nobody is named: {one.errors}"
            for one in self.done
            if one.code == 75 and not self.is_unlocked and not _names_a_holder(one.errors)
        ]
        return self.endings + odd + named + self.torn

    def overlaps(self) -> list[str]:
        """Return where two runs of a kind were going on at once, and where the note of a holder was false."""
        marks = [line.split() for line in self.marks.read_text().splitlines()] if self.marks.exists() else []
        found = []
        for kind in ("update", "cache"):
            own = [mark for mark in marks if (mark[0] == "SubscriptionImageNew") == (kind == "update")]
            over: set[str] = set()
            for before, mark in zip([None, *own], own, strict=False):
                if before is not None and before[1] != mark[1]:
                    over.add(before[1])
                if mark[1] in over:
                    found.append(f"two runs of {kind} at once: {before}, {mark}")
                if mark[3] not in ("begin", "end", mark[2]):
                    found.append(f"the note of the {kind} lock names {mark[3]} while {mark[2]} has it")
        return found

    def runs(self) -> int:
        """Return how many runs told anything: what the proof of `overlaps` rests on."""
        return len({line.split()[1] for line in self.marks.read_text().splitlines()})

    def lost(self, final: Mapping[str, bool]) -> list[str]:
        """Return what is, in the end, not as some order of all acknowledged changes makes it.

        The last value has to be that of a change after whose end no change to another value began. And what only one
        worker changes has to be, all the time, as that one left it.
        """
        changes: dict[str, list[Done]] = {}
        for one in self.done:
            if one.code == 0 and one.command in {"select", "link", "veto"}:
                changes.setdefault(one.what, []).append(one)
        found = [
            f"{one.who}: {one.what} was {not one.value} meanwhile" for one in self.done if one.command == FORGOTTEN
        ]
        for what, history in changes.items():
            value = final.get(what, False)
            last = max((one.ended for one in history if one.value == value), default=0)
            if not last or any(one.began > last for one in history if one.value != value):
                found.append(f"{what} is {value} after {[(one.who, one.value) for one in history][-5:]}")
        return found

    def final(self) -> dict[str, bool]:
        """Return what is selected, linked and vetoed now, by the names of the changes."""
        links = self.site.expect(0, "endorser", "-K").out
        linked = {row.split("\t")[0].strip("'"): True for row in links.splitlines()}
        vetoed = {path.stem: True for path in (self.site.store / "vetoes").glob("*.json")}
        return {**{image: bool(state & 1) for image, state in self.site.states().items()}, **linked, **vetoed}


def _names_a_holder(errors: str) -> bool:
    return "held by vmcatcher" in errors and "(pid " in errors and " on " in errors and "since " in errors


def _tell(child: subprocess.Popen[str]) -> None:
    assert child.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        child.stdin.write("go\n")
        child.stdin.flush()


# -- the program of a worker and of a reader


def _run(command: str, *arguments: str) -> tuple[int, str, str]:
    """Run a command in this process; return exit code, stdout and stderr."""
    module = importlib.import_module(
        "vmcatcher.cli.app" if command == "vmcatcher" else f"vmcatcher.cli.classic.{command}"
    )
    out, err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True), io.StringIO()
    root = logging.getLogger()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = module.main(list(arguments))
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
        finally:
            for handler in root.handlers[:]:
                root.removeHandler(handler)
    out.flush()
    buffer = out.detach()
    assert isinstance(buffer, io.BytesIO)
    return code, buffer.getvalue().decode(), err.getvalue()


def _chosen(plan: Plan, chance: random.Random) -> tuple[str, str, bool, tuple[str, ...]]:
    """Return what is done next: command, what it changes, to which value, and the command line."""
    value = chance.random() < 0.5
    image = _image(chance.choice((*_SHARED, *(_FIRST_OWN + plan.number,) * 5)))
    name = f"worker-{plan.number}"
    # Bytes that no image has, so that nothing leaves for it: that it stays decided is what is looked at.
    digest = hashlib.sha512(f"{name} {chance.randrange(5)}".encode()).hexdigest()
    acts = (
        ("select", image, value, ("image", "-a" if value else "-r", "-u", image)),
        ("link", name, value, ("endorser", "-k" if value else "-u", "-e", name, "-s", LIST_ID)),
        ("update", "", False, ("subscribe", "-U")),
        ("cache", "", False, ("cache",)),
        ("sync", "", False, ("vmcatcher", "sync", "--quiet")),
        ("prune", "", False, ("vmcatcher", "store", "prune", "--grace", "0", "--expired-retention", "0")),
        ("veto", digest, True, ("vmcatcher", "image", "veto", digest, "--reason", name)),
        ("list", "", False, ("image", "-l")),
        ("info", "", False, ("image", "-i", "-u", _image(1), "-f", "json")),
    )
    return chance.choices(acts, (37, 14, 10, 10, 9, 3, 5, 7, 5))[0]


def _work(plan: Plan, log: IO[str]) -> None:
    chance = random.Random(plan.seed * 1000 + plan.number)
    os.environ["VMCATCHER_CACHE_EVENT"] = os.environ["VMCATCHER_SUB_EVENT"] = plan.handler
    who, own, left = f"{plan.name}-{plan.number}", _image(_FIRST_OWN + plan.number), False
    for _ in range(plan.rounds):
        if f"{own}\t{3 if left else 2}\t" not in _run("image", "-l")[1]:
            log.write(json.dumps(asdict(Done(who, FORGOTTEN, own, left, 0, 0, 0))) + "\n")
        command, what, value, words = _chosen(plan, chance)
        began = time.monotonic_ns()
        code, output, errors = _run(*words)
        left = value if (what, code) == (own, 0) else left
        done = Done(who, command, what, value, began, time.monotonic_ns(), code, errors)
        if command in {"list", "info"} and not _is_whole(command, output):
            done = Done(**{**asdict(done), "code": -1, "output": output})
        log.write(json.dumps(asdict(done)) + "\n")


def _is_whole(kind: str, text: str) -> bool:
    """Tell whether a result, or a file, is all there."""
    match kind:
        case "list":
            listed = [line.split("\t") for line in text.splitlines()]
            return text.endswith("\n") and all(len(row) == 3 and row[2] == LIST_ID for row in listed)
        case "index.tsv":
            from vmcatcher.store import index_text

            return not index_text.is_torn(text.encode())
        case _:
            try:
                return isinstance(json.loads(text), dict | list)
            except ValueError:
                return False


def _read(plan: Plan, log: IO[str]) -> None:
    """Read whatever readers read, over and over, until there is another line on stdin."""
    import select

    subscription = Path(plan.store, "subscriptions", LIST_ID)
    places = [Path(plan.store, "endorsed", "cache.index"), subscription / "manifest.json", subscription / "index.tsv"]
    reads: Counter[str] = Counter()
    torn = []
    while not select.select([sys.stdin], [], [], 0)[0]:
        for path in places:
            text = path.read_text()  # each is exchanged by a rename: there is always one
            reads[path.name] += 1
            if not _is_whole(path.name, text):
                torn.append(f"{path.name}: {text!r}")
        code, output, errors = _run("image", "-l")
        reads["image -l"] += 1
        if code != 0 or not _is_whole("list", output):
            torn.append(f"image -l: {code} {output!r} {errors}")
    json.dump({"reads": reads, "torn": torn}, log)


def main() -> None:
    """Do what the plan in the first argument says, once somebody writes a line to stdin."""
    plan = Plan(**json.loads(sys.argv[1]))
    if plan.is_unlocked:
        # What no operator can do, and what a file system without working locks does.
        from vmcatcher.services import context

        vars(context)["hold"] = lambda *unused, **named: contextlib.nullcontext()
    for command in ("cache", "endorser", "image", "subscribe"):
        importlib.import_module(f"vmcatcher.cli.classic.{command}")
    importlib.import_module("vmcatcher.cli.app")
    print("ready", flush=True)
    sys.stdin.readline()
    with open(plan.log, "w") as log:
        (_read if plan.is_reader else _work)(plan, log)


if __name__ == "__main__":
    main()
