"""Listings in a loop: `-l` of the classic commands with next to nothing around it.

Pipelines call `vmcatcher_image -l` again and again. The parser of the command line and the library that writes logs
would take longer than the answer, so a plain listing does without them. Every other command line goes to `common`.
"""

from __future__ import annotations

from vmcatcher import wiring
from vmcatcher.cli import speech
from vmcatcher.cli.boundary import print_bytes
from vmcatcher.light import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Final

    from vmcatcher.services.context import Context, Failure
    from vmcatcher.settings import Settings

FORMATS: Final = ("SMIME", "message", "lines", "json")
# Words that all three commands know, and the settings that they give.
_LIST: Final = ("-l", "--list")
_GIVES: Final = {
    "-f": "output_format",
    "--format": "output_format",
    "-d": "database",
    "--database": "database",
    "--store": "store",
}


def plain_listing(words: Sequence[str]) -> dict[str, str] | None:
    """Return the settings that the words of a plain listing give; None where the whole parser has to read them.

    That is where anything else is there than `-l`, a format and a store, each spelled out, or where `-l` is not.
    """
    given: dict[str, str] = {}
    is_listing = False
    rest = iter(words)
    for word in rest:
        if word in _LIST:
            is_listing = True
            continue
        value = next(rest, "-")
        # What begins with a dash may be the next option, or a negative number: the parser knows.
        if word not in _GIVES or value.startswith("-"):
            return None
        given[_GIVES[word]] = value
    return given if is_listing else None


@dataclass(frozen=True, slots=True)
class Query:
    """One call of a classic command that only reads."""

    command: str
    settings: Settings

    def reading(self) -> Context | None:
        """Return the context of a query; warns where there is no store."""
        context = wiring.reading(self.settings, self.command)
        if context is None:
            speech.logger("main").warning("there is no store at %s", wiring.choose_store(self.settings).root)
        return context

    @property
    def format(self) -> str:
        """The output format that was asked for; `is_format_known` has looked at it."""
        return self.settings.text("output_format")

    def is_format_known(self) -> bool:
        """Tell whether the output format is one of the four; says so where it is not."""
        if self.format in FORMATS:
            return True
        text = "Invalid format '%s' allowed formats are '%s'"
        speech.logger("main").error(text, self.format, ", ".join(FORMATS))
        return False


def say_unread(failed: Iterable[Failure]) -> int:
    """Say what of a listing could not be read; return the exit code, 1 where something is lacking."""
    code = 0
    for failure in failed:
        speech.logger("main").error("subscription %s: %s", failure.subject, failure.error.one_line())
        code = 1
    return code


def print_text(text: str) -> None:
    """Write a result to stdout; for errors see `print_bytes`."""
    print_bytes(text.encode("utf-8", "backslashreplace"))


def as_lines(lines: Iterable[str]) -> bytes:
    """Return a result of several lines as bytes, whatever characters are in it."""
    return "".join(line + "\n" for line in lines).encode("utf-8", "backslashreplace")


def print_lines(lines: Iterable[str]) -> None:
    """Write a result of several lines to stdout; for errors see `print_bytes`."""
    print_bytes(as_lines(lines))
