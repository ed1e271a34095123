"""Measure commands in turn: the contenders of a row, round by round, in an order that alternates."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

Figure = Literal["wall_s", "cpu_s", "peak_mib"]
Words = tuple[str, ...]
_TICK_S = 1e-6
"""The least that anything takes: there is no ratio to nothing."""


class CommandFailed(Exception):
    """A command that was to be measured did not do its work, so there is nothing to measure."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What some work cost: seconds, CPU seconds of all its processes, and the peak memory of the largest."""

    wall_s: float
    cpu_s: float
    peak_mib: float

    def of(self, figure: Figure) -> float:
        """Return one of the three."""
        return {"wall_s": self.wall_s, "cpu_s": self.cpu_s, "peak_mib": self.peak_mib}[figure]


def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to do the work of a row: commands one after the other, whose costs are added up."""

    name: str
    commands: tuple[Words, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    prepare: Callable[[], None] = _nothing
    """Called before each run, not measured: what an earlier run left is taken away."""
    check: Callable[[], None] = _nothing
    """Called after each run, not measured: raises `CommandFailed` where the work was not done."""
    has_own_clock: bool = False
    """Whether its standard output is its cost as JSON, of the part of its work that is meant."""
    lacking: str | None = None
    """Why it cannot be run here."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What the project wants of a row: a figure of `ours`, at most so many times that of `reference`, or so much."""

    figure: Figure
    ours: str
    at_most: float
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """Some work, and who does it."""

    name: str
    title: str
    contenders: tuple[Contender, ...]
    goals: tuple[Goal, ...] = ()
    most_rounds: int | None = None
    """How many rounds are enough where one takes minutes."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A row with what each contender cost in each round, and why others are missing."""

    row: Row
    costs: Mapping[str, tuple[Cost, ...]]
    skipped: Mapping[str, str]

    @property
    def rounds(self) -> int:
        """How often each contender was run."""
        return max((len(found) for found in self.costs.values()), default=0)

    def median(self, name: str, figure: Figure) -> float:
        """Return the median of a figure over all rounds."""
        return statistics.median(cost.of(figure) for cost in self.costs[name])

    def spread(self, name: str, figure: Figure) -> tuple[float, float]:
        """Return the least and the greatest of a figure."""
        found = [cost.of(figure) for cost in self.costs[name]]
        return min(found), max(found)

    def ratio(self, name: str, reference: str, figure: Figure) -> float:
        """Return the median over the rounds of how many times the figure of `reference` that of `name` is."""
        both = zip(self.costs[name], self.costs[reference], strict=True)
        return statistics.median(max(one.of(figure), _TICK_S) / max(other.of(figure), _TICK_S) for one, other in both)

    def found(self, goal: Goal) -> float | None:
        """Return what a goal is compared with, or None where one of its contenders was not run."""
        if goal.ours not in self.costs or (goal.reference is not None and goal.reference not in self.costs):
            return None
        if goal.reference is None:
            return self.median(goal.ours, goal.figure)
        return self.ratio(goal.ours, goal.reference, goal.figure)


class Stopwatch:
    """Runs commands through a small process that waits for them; use it in a `with` block."""

    def __init__(self, work: Path, environment: Mapping[str, str]) -> None:
        self._out, self._err = work / "stdout", work / "stderr"
        self._environment = dict(environment)

    def __enter__(self) -> Self:
        words = [sys.executable, "-I", "-S", str(Path(__file__).with_name("stopwatch.py"))]
        self._child = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._child.communicate()

    def time(self, contender: Contender) -> Cost:
        """Run a contender once.

        Raises:
            CommandFailed: one of its commands ended with another status than 0, or its work was not done.
        """
        contender.prepare()
        costs = [self._run(words, contender) for words in contender.commands]
        contender.check()
        return Cost(
            sum(cost.wall_s for cost in costs), sum(cost.cpu_s for cost in costs), max(cost.peak_mib for cost in costs)
        )

    def _run(self, words: Words, contender: Contender) -> Cost:
        out = str(self._out) if contender.has_own_clock else "/dev/null"
        environment = {**self._environment, **contender.environment}
        request = {"words": words, "environment": environment, "out": out, "err": str(self._err)}
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(json.dumps(request) + "\n")
        self._child.stdin.flush()
        answer = json.loads(self._child.stdout.readline())
        if answer["status"] != 0:
            said = self._err.read_text(errors="replace")[-1000:]
            raise CommandFailed(f"{' '.join(words)} ended with {answer['status']}: {said}")
        if contender.has_own_clock:
            answer |= json.loads(self._out.read_text())
        return Cost(answer["wall_s"], answer["cpu_s"], answer["peak_kib"] / 1024)


def measure(row: Row, stopwatch: Stopwatch, *, rounds: int) -> Measured:
    """Run every contender of a row once to warm up, then up to `rounds` times in turn, every other round backwards.

    Raises:
        CommandFailed: see `Stopwatch.time`.
    """
    present = [one for one in row.contenders if one.lacking is None]
    skipped = {one.name: one.lacking for one in row.contenders if one.lacking is not None}
    costs: dict[str, list[Cost]] = {one.name: [] for one in present}
    for one in present:
        stopwatch.time(one)
    for number in range(min(rounds, row.most_rounds or rounds)):
        for one in present if number % 2 == 0 else reversed(present):
            costs[one.name].append(stopwatch.time(one))
    return Measured(row, {name: tuple(found) for name, found in costs.items()}, skipped)
