"""Progress on a terminal: a bar for each download or check, with its rate and the time that is left, and a total."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Final

from vmcatcher.cli.output.human import size_text
from vmcatcher.errors import printable
from vmcatcher.services.progress import Silence

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rich.progress import Progress as Bars
    from rich.progress import ProgressColumn, Task, TaskID
    from rich.text import Text

    from vmcatcher.services.progress import Doing, Progress

_TITLES: Final = {"download": "Downloads", "check": "Checks"}
_WIDEST_NAME: Final = 40


@contextlib.contextmanager
def showing(environment: Mapping[str, str], *, is_quiet: bool) -> Iterator[Progress]:
    """Show progress on stderr while the block runs, if that is a terminal and nobody wants it quiet.

    Lines that are logged meanwhile appear above the bars; at the end these are gone.
    """
    is_shown = sys.stderr is not None and sys.stderr.isatty() and environment.get("TERM") != "dumb" and not is_quiet
    if not is_shown:
        yield Silence()
        return
    from rich.console import Console  # noqa: PLC0415 - cron and pipes do without it
    from rich.progress import (  # noqa: PLC0415 - likewise
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    bars = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        DownloadColumn(binary_units=True),
        _rate_column(),
        TimeRemainingColumn(),
        console=Console(
            stderr=True, no_color=bool(environment.get("NO_COLOR")), highlight=False, markup=False, soft_wrap=True
        ),
        transient=True,
    )
    with bars:
        yield _OnTerminal(bars)


def _rate_column() -> ProgressColumn:
    """Return what shows the rate, in the units of the sizes beside it; those of rich are of 1000."""
    from rich.progress import ProgressColumn  # noqa: PLC0415 - likewise
    from rich.text import Text  # noqa: PLC0415 - likewise

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text(f"{size_text(int(speed))}/s" if speed else "", style="progress.data.speed")

    return Rate()


class _OnTerminal:
    """Turns what runs tell into bars; rich keeps its own lock, so that several threads may tell."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._total: TaskID | None = None
        self._tasks: dict[str, tuple[TaskID, int]] = {}
        """By name: the bar, and how many of its bytes were counted in the total."""

    def expect(self, doing: Doing, number: int, size_bytes: int) -> None:
        if self._total is not None:
            self._bars.remove_task(self._total)
            self._total = None
        # One bar says what two would.
        if number > 1:
            self._total = self._bars.add_task(f"{_TITLES[doing]} ({number})", total=size_bytes)

    def begin(self, doing: Doing, name: str, size_bytes: int, *, done_bytes: int = 0) -> None:  # noqa: ARG002 - bars look alike
        if name in self._tasks:
            task, counted = self._tasks[name]
            self._bars.reset(task, total=size_bytes, completed=done_bytes)
        else:
            shown = printable(name)
            short = shown if len(shown) <= _WIDEST_NAME else shown[: _WIDEST_NAME - 1] + "…"
            task, counted = self._bars.add_task(short, total=size_bytes, completed=done_bytes), 0
        self._tasks[name] = (task, done_bytes)
        self._add(done_bytes - counted)

    def advance(self, name: str, count: int) -> None:
        if name not in self._tasks:
            return
        task, counted = self._tasks[name]
        self._tasks[name] = (task, counted + count)
        self._bars.advance(task, count)
        self._add(count)

    def end(self, name: str, *, is_done: bool) -> None:
        if name not in self._tasks:
            return
        task, counted = self._tasks.pop(name)
        self._bars.remove_task(task)
        if not is_done:
            self._add(-counted)

    def _add(self, count: int) -> None:
        if self._total is not None and count:
            self._bars.advance(self._total, count)
