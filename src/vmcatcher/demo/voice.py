"""How the story is told: acts with a number and a sentence, commands, what they print. Plain text but on a terminal."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Final

from vmcatcher.errors import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_WIDTH: Final = 100
_INDENT: Final = "  "
_BOLD, _CYAN, _DIM, _RED = "1", "36", "2", "31"


class Voice:
    """Says the lines of the story, in colour where that was asked for."""

    def __init__(self, write_line: Callable[[str], None], *, in_colour: bool) -> None:
        self._write_line = write_line
        self._in_colour = in_colour

    def title(self, text: str) -> None:
        """Say the title of an act, or of the whole."""
        self._write_line("")
        self._write_line(self._painted(text, _BOLD))

    def sentence(self, text: str) -> None:
        """Say what happens and why, in lines that fit a terminal."""
        for line in textwrap.wrap(text, _WIDTH, break_long_words=False, break_on_hyphens=False):
            self._write_line(line)

    def command(self, text: str) -> None:
        """Say a command as it is typed."""
        self._write_line(_INDENT + self._painted(f"$ {text}", _CYAN))

    def output(self, lines: Iterable[str]) -> None:
        """Say what a command printed, or what can be seen."""
        for line in lines:
            self._write_line(_INDENT + "\t".join(printable(part) for part in line.split("\t")))

    def complaint(self, lines: Iterable[str]) -> None:
        """Say what a command wrote to its error output."""
        for line in lines:
            self._write_line(_INDENT + self._painted(printable(line), _RED))

    def aside(self, text: str) -> None:
        """Say something that no command printed."""
        self._write_line(_INDENT + self._painted(text, _DIM))

    def _painted(self, text: str, colour: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._in_colour else text
