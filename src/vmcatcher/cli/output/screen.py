"""What commands show: tables for people on a terminal, tab-separated lines in a pipe.

In a pipe every value is exact (bytes, instants in UTC) and every row is one line without a heading, `-` where there is
no value, so that `cut`, `awk` and `while read` can take it. On a terminal the same rows have headings, colours, and
sizes and ages as people say them. Whatever is shown is made printable here: a title may try to be an escape sequence.
"""

from __future__ import annotations

import io
import shutil
import sys
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Final, Literal

from vmcatcher.cli.boundary import flush, print_bytes
from vmcatcher.cli.output.human import age_text, size_text
from vmcatcher.errors import printable
from vmcatcher.model.instant import instant_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rich.text import Text

Tone = Literal["good", "bad", "warn", "dim", "strong"]
Value = str | int | datetime | None
NOTHING: Final = "-"
_NARROWEST: Final = 16
"""What is cut shorter tells nothing any more; below the row there is room for it."""
_STYLES: Final[Mapping[str, str]] = {
    "good": "green", "bad": "bold red", "warn": "yellow", "dim": "dim", "strong": "bold",
}  # fmt: skip


class Kind(Enum):
    """What the values of a column are."""

    TEXT = "text"
    """Words; cut short, or below the row, on a narrow terminal."""
    NAME = "name"
    """An identifier, which somebody will want to copy: never cut."""
    COUNT = "count"
    SIZE = "size"
    """Bytes; `1.4 GiB` on a terminal."""
    TIME = "time"
    """An instant."""
    AGE = "age"
    """An instant; `3 d ago` on a terminal."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table."""

    title: str
    kind: Kind = Kind.TEXT


@dataclass(frozen=True, slots=True)
class Toned:
    """A value with the colour that it has on a terminal."""

    value: Value
    tone: Tone | None


Cell = Value | Toned


class Screen:
    """Where a command shows its result."""

    def __init__(self, *, is_terminal: bool, has_colour: bool, now: datetime) -> None:
        self.is_terminal = is_terminal
        self._has_colour = has_colour
        self._now = now

    def line(self, text: str, tone: Tone | None = None) -> None:
        """Write one line."""
        shown = printable(text)
        if tone is not None and self._has_colour:
            from rich.text import Text  # noqa: PLC0415 - a pipe does without it

            shown = self._rendered(Text(shown, style=_STYLES[tone])).rstrip("\n")
        _write(shown + "\n")

    def lines(self, texts: Iterable[str]) -> None:
        """Write lines."""
        for text in texts:
            self.line(text)

    def heading(self, text: str) -> None:
        """Write what the next table is about; a pipe needs none."""
        if self.is_terminal:
            self.line(text, "strong")

    def table(self, columns: Sequence[Column], rows: Iterable[Sequence[Cell]]) -> None:
        """Write rows; nothing at all where there are none."""
        if not self.is_terminal:
            for row in rows:
                _write("\t".join(map(_exact, row)) + "\n")
            return
        listed = list(rows)
        if listed:
            self._print_table(columns, listed)

    def facts(self, facts: Iterable[tuple[str, Cell, Kind]]) -> None:
        """Write names with their values, one below the other: aligned, or name, tab, value in a pipe."""
        if not self.is_terminal:
            for name, cell, _ in facts:
                _write(f"{printable(name)}\t{_exact(cell)}\n")
            return
        listed = [(printable(name), self._shown(cell, Column(name, kind))) for name, cell, kind in facts]
        width = max((len(name) for name, _ in listed), default=0)
        for name, text in listed:
            _write(f"{name + ':':<{width + 1}} {self._rendered(text, width=100_000)}")

    def _print_table(self, columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> None:
        from rich.table import Table  # noqa: PLC0415 - a pipe does without it

        shown = [[self._shown(cell, column) for cell, column in zip(row, columns, strict=True)] for row in rows]
        widths = _fitting(columns, [max(text.cell_len for text in texts) for texts in zip(*shown, strict=True)])
        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
        for column, width in zip(columns, widths, strict=False):
            justify: Literal["left", "right"] = "right" if column.kind in (Kind.COUNT, Kind.SIZE) else "left"
            table.add_column(column.title.upper(), justify=justify, no_wrap=True, overflow="ellipsis", width=width)
        for texts in shown:
            table.add_row(*texts[: len(widths)])
        # Wide enough for what must not be cut: the terminal folds that.
        head, *lines = self._rendered(table, width=sum(widths) + 2 * len(widths)).splitlines()
        rest = columns[len(widths) :]
        below = [self._below(rest, texts[len(widths) :]) for texts in shown]
        _write(
            "".join(
                f"{line.rstrip()}\n" for pair in ((head,), *zip(lines, below, strict=True)) for line in pair if line
            )
        )

    def _below(self, columns: Sequence[Column], texts: Sequence[Text]) -> str:
        """Return the line below a row, with what the terminal was too narrow for; empty where there is nothing."""
        from rich.text import Text  # noqa: PLC0415 - likewise

        told = [(column.title, text) for column, text in zip(columns, texts, strict=True) if text.plain != NOTHING]
        parts = [Text.assemble((f"{title}: ", "dim"), text) for title, text in told]
        return (
            self._rendered(Text("  ").append_text(Text("  ").join(parts)), width=100_000).rstrip("\n") if parts else ""
        )

    def _shown(self, cell: Cell, column: Column) -> Text:
        from rich.text import Text  # noqa: PLC0415 - likewise

        value, tone = (cell.value, cell.tone) if isinstance(cell, Toned) else (cell, None)
        return Text(self._words(value, column.kind), style=_STYLES[tone] if tone else "")

    def _words(self, value: Value, kind: Kind) -> str:
        if isinstance(value, datetime):
            return age_text(value, self._now) if kind is Kind.AGE else instant_text(value)
        if isinstance(value, int) and kind is Kind.SIZE:
            return size_text(value)
        return _exact(value)

    def _rendered(self, what: object, *, width: int | None = None) -> str:
        from rich.console import Console  # noqa: PLC0415 - likewise

        held = io.StringIO()
        console = Console(
            file=held,
            force_terminal=self._has_colour,
            no_color=not self._has_colour,
            color_system="standard" if self._has_colour else None,
            width=width or shutil.get_terminal_size().columns,
            highlight=False,
            markup=False,
            emoji=False,
        )
        console.print(what)
        return held.getvalue()


def _fitting(columns: Sequence[Column], widths: Sequence[int]) -> list[int]:
    """Return how wide each column is to be, so that all fit next to each other; without those at the end that do not.

    Words are cut for that, but not to nothing.
    """
    room = shutil.get_terminal_size().columns
    fitting = [max(width, len(column.title)) for column, width in zip(columns, widths, strict=True)]
    least = [
        min(width, _NARROWEST) if column.kind is Kind.TEXT else width
        for column, width in zip(columns, fitting, strict=True)
    ]
    while len(least) > 1 and _total(least) > room:
        del least[-1], fitting[-1]
    for _ in range(_total(fitting) - room):
        widest = max(range(len(fitting)), key=lambda at: fitting[at] if fitting[at] > least[at] else 0)
        fitting[widest] = max(fitting[widest] - 1, least[widest])
    return fitting


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + 2 * (len(widths) - 1)


def _exact(cell: Cell) -> str:
    value = cell.value if isinstance(cell, Toned) else cell
    if value is None or value == "":
        return NOTHING
    return instant_text(value) if isinstance(value, datetime) else printable(value)


def _write(text: str) -> None:
    """Write at once: whoever reads a pipe sees it when it is so."""
    print_bytes(text.encode("utf-8", "backslashreplace"))
    flush()


def make_screen(environment: Mapping[str, str], now: datetime) -> Screen:
    """Return the screen that stdout is, with colours unless somebody asked for none (no-color.org)."""
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    has_colour = is_terminal and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"
    return Screen(is_terminal=is_terminal, has_colour=has_colour, now=now)
