"""What a long test counted: shown when the tests end, and kept in a table where `--survival-figures FILE` asks for it.

figures = Figures(pytestconfig, record_property)
figures.add("replacing cache run", "SIGKILL", points=135, bad=0, seconds=80.2)
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

_HEAD = "| what | fault | points | bad | seconds | date | commit |\n|---|---|--:|--:|--:|---|---|\n"
_HERE = Path(__file__).parent


class Figures:
    """The figures of one test."""

    def __init__(self, config: pytest.Config, record_property: Callable[[str, object], None]) -> None:
        self._file: str | None = config.getoption("survival_figures")
        self._record = record_property

    def add(self, what: str, fault: str, *, points: int, bad: int, seconds: float) -> None:
        """Keep one row."""
        self._record("figures", f"{what}, {fault}: {points} points, {bad} bad, {seconds:.1f} s")
        if self._file is None:
            return
        file = Path(self._file)
        row = f"| {what} | {fault} | {points} | {bad} | {seconds:.1f} | {datetime.now(UTC):%Y-%m-%d} | {commit()} |\n"
        with file.open("a", encoding="utf-8") as table:
            table.write(row if table.tell() else _HEAD + row)


def commit() -> str:
    """Return the commit that is tested, in short; with a `+` where files differ from it."""
    asked = ["git", "describe", "--always", "--dirty=+", "--exclude=*"]
    try:
        done = subprocess.run(asked, cwd=_HERE, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()


def seed(config: pytest.Config) -> str:
    """Return what today's sample is drawn with: the date, unless `--survival-seed` says otherwise."""
    given: str | None = config.getoption("survival_seed")
    return given or f"{datetime.now(UTC):%Y-%m-%d}"
