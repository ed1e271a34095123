"""Points in time as people write them: a date, a time, or how long ago."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from vmcatcher.errors.history import BadMoment
from vmcatcher.model.quantities import seconds_in

# What is added to an instant further on must not leave the calendar.
_FIRST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST: Final = datetime(9000, 1, 1, tzinfo=UTC)


def parse_moment(text: str, now: datetime) -> datetime:
    """Return the aware UTC instant that `text` names.

    `2026-11-01` is the first second of that day; a date or time without a zone is in UTC, as in everything that is
    printed; `7d`, `12h` or `1h30m` is that long before `now`.

    Raises:
        BadMoment: it is none of these, or lies outside the years 1970 to 8999.
    """
    instant = _ago(text, now) if text[-1:] in "smhdw" else _written(text)
    if instant is None or not is_sensible(instant):
        raise BadMoment(given=text)
    return instant


def is_sensible(instant: datetime) -> bool:
    """Tell whether an instant lies in the years 1970 to 8999, so that one can add to it."""
    return _FIRST <= instant < _LAST


def _ago(text: str, now: datetime) -> datetime | None:
    seconds = seconds_in(text)
    try:
        return None if seconds is None else now - timedelta(seconds=seconds)
    except OverflowError:
        return None


def _written(text: str) -> datetime | None:
    # fromisoformat takes any character between date and time, a line break too.
    if not text.isascii() or not text.isprintable() or "-" not in text:
        return None
    try:
        instant = datetime.fromisoformat(text)
        return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
