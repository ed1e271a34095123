"""Until when a list holds: what its endorser signed, or this site's own limit, whichever ends first.

Endorsers have signed lists until 2499. The limit counts from the list's creation, so that one that is no longer made
anew ends within a time that the site chose. It is applied wherever expiry is judged and never stored as a date of its
own: see docs/adr/0004 and the one about limits.
"""

from __future__ import annotations

from datetime import timedelta

from vmcatcher.light import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from typing import Final

    from vmcatcher.model.imagelist import ImageList

LONGEST_S: Final = 10 * 366 * 86400
"""Ten years: who means more wants no limit."""
_UNITS: Final = ((86400, "day"), (3600, "hour"), (60, "minute"))


def limit_of(own_s: int | None, everywhere_s: int | None) -> int | None:
    """Return the limit in seconds that counts for a list: its subscription's own, else that of the setting.

    Where either is 0, there is none; None says that nothing was set.
    """
    return (everywhere_s if own_s is None else own_s) or None


def end_of(expires: datetime, created: datetime, limit_s: int | None) -> datetime:
    """Return when a list ends that was signed until `expires`."""
    if limit_s is None:
        return expires
    try:
        return min(expires, created + timedelta(seconds=limit_s))
    except OverflowError:
        return expires  # created at the end of the calendar: the limit lies behind it


def held_to_limit(listed: ImageList, limit_s: int | None) -> ImageList:
    """Return the list as this site takes it: with the earlier end, where the limit ends before what was signed."""
    end = end_of(listed.expires, listed.created, limit_s)
    return listed if end == listed.expires else replace(listed, expires=end)


def limit_text(limit_s: int) -> str:
    """Return a limit as a sentence has it: `90 days`."""
    size, unit = next(((size, unit) for size, unit in _UNITS if limit_s % size == 0), (1, "second"))
    count = limit_s // size
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"
