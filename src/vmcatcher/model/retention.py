"""How long what nobody uses any more is kept: the pure rules of pruning."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from vmcatcher.errors.settings import BadSetting

if TYPE_CHECKING:
    from datetime import datetime

KEEP: Final = "keep"
_DURATION: Final = re.compile(r"(?P<count>[0-9]{1,9})(?P<unit>[smhdw])|0")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
# A century: what is longer is a slip of the keyboard, or means `keep`.
_LONGEST: Final = timedelta(days=36525)


@dataclass(frozen=True, slots=True)
class Retentions:
    """How long each kind of thing is kept after it came to an end; None is for ever."""

    expired: timedelta | None = timedelta(days=90)
    """Entries of the expired view, with their records and their bytes."""
    grace: timedelta | None = timedelta(days=14)
    """Bytes that nothing needs, and what interrupted runs left; long enough for whoever is about to need them."""
    snapshots: timedelta | None = None
    """Signed lists that were replaced by newer ones."""
    event_log: timedelta | None = None
    failed_events: timedelta | None = None
    quarantine: timedelta | None = None


def parse_retention(name: str, text: str) -> timedelta | None:
    """Return the time that `90d`, `12h`, `30m`, `45s`, `2w` or `0` stands for; None for `keep`.

    Raises:
        BadSetting: it is none of these, or longer than a century; `name` says where it was given.
    """
    if text == KEEP:
        return None
    match = _DURATION.fullmatch(text)
    kept = timedelta(seconds=int(match["count"] or 0) * _SECONDS[match["unit"] or "s"]) if match else None
    if kept is None or kept > _LONGEST:
        raise BadSetting(name=name, value=text, expected="a time such as 90d, 12h or 0, or the word keep")
    return kept


def is_over(since: datetime, kept: timedelta | None, now: datetime) -> bool:
    """Tell whether what came to its end at `since` has been kept long enough."""
    return kept is not None and now - since >= kept
