"""The root of the one exception tree and the text that an operator sees.

Every refusal is a small dataclass: its fields are the facts, its class says the stable id, the exit codes,
the sentence and the next step. Text is built here and nowhere else, so a value that came from a list or
a server can never put an escape sequence or a second line on somebody's terminal.
"""

from __future__ import annotations

import unicodedata

from vmcatcher.light import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import ClassVar, Final

_LONGEST_FIELD: Final = 400
# Cc: control characters, Cf: bidi overrides and zero-width marks, Cs: lone surrogates, Co/Cn: no glyph,
# Zl/Zp: line and paragraph separators, which some terminals and log readers take for a new line.
_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def printable(value: object) -> str:
    r"""Return the text of `value` on one line with nothing a terminal would act on.

    Control, bidi, separator and unassigned characters and lone surrogates become `\n`, `\t`, `\xNN` or
    `\uNNNN`. A backslash stays one, since names of certificates have some; doing it twice changes nothing.
    """
    text = str(value)
    if text.isascii() and text.isprintable():
        return text
    return "".join(_shown(char) for char in text)


def _shown(char: str) -> str:
    if unicodedata.category(char) not in _HIDDEN:
        return char
    named = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(char)
    if named is not None:
        return named
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _short(value: object) -> str:
    text = printable(value)
    return text if len(text) <= _LONGEST_FIELD else text[: _LONGEST_FIELD - 1] + "…"


@dataclass(eq=False)
class VmcatcherError(Exception):
    """Something that was asked for could not be done, for a reason the operator can act on."""

    id: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1
    classic_exit: ClassVar[int] = 1
    message: ClassVar[str] = "the request failed"
    hint: ClassVar[str] = ""

    def __str__(self) -> str:
        return self.message.format_map(self._shown_fields())

    def one_line(self) -> str:
        """Return the sentence and the next step, on one line, safe to print."""
        hint = self.hint.format_map(self._shown_fields())
        return f"{self}; {hint}" if hint else str(self)

    def facts(self) -> dict[str, object]:
        """Return the fields by name, for JSON reports."""
        return {name: getattr(self, name) for name in self._names()}

    def _names(self) -> tuple[str, ...]:
        return self.__match_args__

    def _shown_fields(self) -> dict[str, str]:
        return {name: _short(value) for name, value in self.facts().items()}


@dataclass(eq=False)
class PublisherError(VmcatcherError):
    """Whoever publishes the list or the image has to act."""


@dataclass(eq=False)
class NetworkError(VmcatcherError):
    """The network or a server failed; the same request may succeed later."""

    exit_code: ClassVar[int] = 75
    classic_exit: ClassVar[int] = 10


@dataclass(eq=False)
class MachineError(VmcatcherError):
    """This machine (disk, permissions, memory, lock) has to be looked after."""


@dataclass(eq=False)
class OperatorError(VmcatcherError):
    """The request or the configuration has to be changed by whoever asked."""
