"""Whether the clock of this machine can be believed: a run that lived in the past would judge everything wrongly."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from vmcatcher.model.admission import CLOCK_SKEW
from vmcatcher.model.instant import instant_text
from vmcatcher.store import snapshots, subscriptions

if TYPE_CHECKING:
    from vmcatcher.services.context import Context

# A machine without a battery begins in 1970 or when its firmware was made; this program is younger.
_LONG_AGO: Final = datetime(2024, 1, 1, tzinfo=UTC)


def clock_trouble(context: Context) -> str | None:
    """Return what is wrong with the time of the run, in one line, or None.

    It cannot be earlier than the moment when a list was admitted here, the skew of clocks aside. That it is too late
    cannot be told.
    """
    current = (snapshots.current_snapshot(context.layout, name) for name in subscriptions.subscribed(context.layout))
    known = max((_LONG_AGO, *(snapshot.kept for snapshot in current if snapshot is not None)))
    if context.now + CLOCK_SKEW >= known:
        return None
    said = f"the clock of this machine says {instant_text(context.now)}, but {instant_text(known)} is over already"
    return f"{said}; until it is set, no image expires"
