"""The order of version texts, for telling an older list from a newer one."""

from __future__ import annotations

import re
from typing import Final, TypeAlias

_DELIMITER: Final = re.compile(r"([-,./])")
_DIGITS: Final = re.compile(r"([0-9]+)")

# (1, how many digits, the digits without leading zeros) for a number, (0, 0, the text) for anything else.
_Run: TypeAlias = tuple[int, int, str]
# (1, one number) for a piece of digits only, (0, its runs) for every other piece and for the delimiters.
_Piece: TypeAlias = tuple[int, tuple[_Run, ...]]
VersionKey: TypeAlias = tuple[_Piece, ...]


def version_key(text: str) -> VersionKey:
    """Return what to compare instead of the version `text`: any two keys are ordered, as the classic program did it.

    The text is split at `- , . /`, and the pieces, delimiters included, are compared from the left:

    * digits compare as numbers, so `1.9.0 < 1.10.0 < 2 < 10`; leading zeros do not count, so `1.02` equals `1.2`;
    * a number is greater than a piece that holds anything else, so `1.0-rc1 < 1.0-1`, and `1.0a < 1.0`;
    * other pieces compare as runs of digits and of other characters by the same two rules, so `rc9 < rc10`;
    * of two versions that are equal as far as the shorter goes, the longer is greater, so `1.0 < 1.0.0` and
      `1.0 < 1.0-rc1`.

    Only 0 to 9 are digits. Numbers are compared by length, then digit by digit: no text is long enough to make that
    slow. The classic program ended the comparison at the first numbers that were equal but spelled differently
    (`1.02.1` equalled `1.2.9`), which made no order; here it goes on.
    """
    return tuple(_piece(piece) for piece in _DELIMITER.split(text) if piece)


def _piece(piece: str) -> _Piece:
    runs = tuple(_run(run) for run in _DIGITS.split(piece) if run)
    is_number = len(runs) == 1 and runs[0][0] == 1
    return (int(is_number), runs)


def _run(run: str) -> _Run:
    if not _DIGITS.fullmatch(run):
        return (0, 0, run)
    significant = run.lstrip("0")
    # Not int(): CPython refuses more than 4300 digits, and the publisher chooses how many there are.
    return (1, len(significant), significant)
