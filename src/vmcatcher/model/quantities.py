"""Times and sizes as people write them: `30d`, `12h`, `1h30m`, `10M`, `1.5G`."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_NUMBER: Final = r"[0-9]{1,15}(?:\.[0-9]{1,6})?"
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_POWERS: Final = {"K": 1, "M": 2, "G": 3, "T": 4}

TIMES: Final = "a time in seconds, or such as 30s, 15m, 12h, 30d or 1h30m"
"""What `seconds_in` understands, for messages."""
SIZES: Final = "a number of bytes, or such as 64K, 10M or 20G"
"""What `bytes_in` understands, for messages."""


def seconds_in(text: str) -> float | None:
    """Return the seconds that `90`, `2.5`, `30s`, `15m`, `12h`, `30d`, `2w` or `1h30m` stands for; None for others."""
    if re.fullmatch(_NUMBER, text):
        return float(text)
    if not re.fullmatch(rf"(?:{_NUMBER}[smhdw])+", text):
        return None
    return float(sum(float(part[:-1]) * _SECONDS[part[-1]] for part in re.findall(rf"{_NUMBER}[smhdw]", text)))


def bytes_in(text: str) -> int | None:
    """Return the bytes that `1024`, `64K`, `10M`, `1.5G`, `10MiB` or `10MB` stands for; None for others.

    As in GNU coreutils, `M` and `MiB` are 1024 * 1024 bytes and `MB` is a million; a fraction of a byte is dropped.
    """
    match = re.fullmatch(rf"({_NUMBER})([KkMGT])(B|iB)?", text)
    if match is None:
        return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None
    number, unit, decimal = match.groups()
    return int(float(number) * (1000 if decimal == "B" else 1024) ** _POWERS[unit.upper()])
