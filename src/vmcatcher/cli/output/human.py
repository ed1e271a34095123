"""Sizes and times as people say them; scripts get bytes and instants instead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime, timedelta

_UNITS: Final = ("KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_SPANS: Final = ((86400 * 365, "y"), (86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def size_text(size_bytes: int) -> str:
    """Return a size with three digits or so: `512 B`, `1.4 GiB`; a unit is 1024 times the one before."""
    if abs(size_bytes) < 1024:
        return f"{size_bytes} B"
    size = float(size_bytes)
    for unit in _UNITS:
        size /= 1024
        # What would be rounded to 1024 is one of the next unit.
        if abs(size) < 1023.5 or unit == _UNITS[-1]:
            break
    return f"{size:.1f} {unit}" if abs(size) < 99.95 else f"{size:.0f} {unit}"


def counted(number: int, noun: str) -> str:
    """Return how many of something there are: `1 image`, `2 images`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def span_text(span: timedelta) -> str:
    """Return how long something takes or took in its largest unit, rounded down: `3 d`, `5 h`, `0 s`."""
    seconds = int(abs(span).total_seconds())
    for length, unit in _SPANS:
        # Two years at least: "1 y" of somebody's 700 days would hide too much.
        if seconds >= (2 * length if unit == "y" else length):
            return f"{seconds // length} {unit}"
    return "0 s"


def age_text(instant: datetime, now: datetime) -> str:
    """Return how far an instant is from now: `3 d ago`, `in 5 h`, `now`."""
    if abs(instant - now).total_seconds() < 1:
        return "now"
    text = span_text(instant - now)
    return f"{text} ago" if instant < now else f"in {text}"
