"""Reading `index.tsv`: what listing images needs to know of a subscription, without the documents it was made from.

A file is taken when it says that it was made from what is there now; else `index.build_index` makes the answer anew.
"""

from __future__ import annotations

import os

from vmcatcher.errors.base import VmcatcherError
from vmcatcher.store import index_text, reading, snapshots, subscriptions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final, TypeVar

    from vmcatcher.store.index_text import SubscriptionIndex, SubscriptionStates
    from vmcatcher.store.layout import Layout

    Kind = TypeVar("Kind", bound=SubscriptionStates)

# Missing, torn, foreign, or of another version: the documents that it is made from decide.
_UNUSABLE: Final = (OSError, ValueError, OverflowError, VmcatcherError)
# `000001-20260101T000000Z`: as long as the name of a snapshot is until there have been a million.
_NAME_LENGTH: Final = 23
_SIGNED: Final = ".smime"
# The states of two hundred images; where there are more they are read once it is known how many.
_FIRST_BYTES: Final = 8192


def source_of(layout: Layout, list_id: str) -> str:
    """Return what an index says that it was made from: size and time of the decision.

    A copy that changes times makes indexes stale, not wrong.
    """
    found = os.stat(layout.subscription(list_id), follow_symlinks=False)
    return f"{found.st_mtime_ns}:{found.st_size}"


def fresh_index(layout: Layout, list_id: str) -> SubscriptionIndex | None:
    """Return the index from its file if that is there and was made from what is there now, else None."""
    try:
        index, source = index_text.parse_index(reading.glance(layout.index(list_id)))
        return index if _is_fresh(layout, list_id, index, source) else None
    except _UNUSABLE:
        return None


def fresh_states(layout: Layout, list_id: str) -> SubscriptionStates | None:
    """Return what `fresh_index` does but for the digests, which are most of the file: they are not even read."""
    path = layout.index(list_id)
    try:
        content = reading.glance(path, _FIRST_BYTES)
        end = index_text.states_end(content)
        if end > len(content):
            content = reading.glance(path, end)
        states, source = index_text.parse_states(content)
        return states if _is_fresh(layout, list_id, states, source) else None
    except _UNUSABLE:
        return None


def _is_fresh(layout: Layout, list_id: str, found: SubscriptionStates, source: str) -> bool:
    if found.identifier != list_id or source != source_of(layout, list_id):
        return False
    return _is_newest(layout, list_id, found.snapshot)


def _is_newest(layout: Layout, list_id: str, snapshot: str | None) -> bool:
    """Tell whether a snapshot is the current one; with None, whether there is none."""
    try:
        signed = [name for name in os.listdir(layout.lists(list_id)) if name.endswith(_SIGNED)]
    except FileNotFoundError:
        signed = []
    if not signed:
        return snapshot is None
    # What nearly always holds needs no look into the names: of those of one length the last one is the newest.
    own = f"{snapshot}{_SIGNED}"
    is_plain = snapshot is not None and len(snapshot) == _NAME_LENGTH and own in signed
    if is_plain and all((len(name), name) <= (len(own), own) for name in signed):
        return True
    newest = snapshots.current_snapshot(layout, list_id)
    return snapshot == (newest.name if newest else None)


def read_index(layout: Layout, list_id: str) -> SubscriptionIndex | None:
    """Return the index of a subscription, from its file where that is fresh, else made anew; None where it is gone."""
    return fresh_index(layout, list_id) or _made_anew(layout, list_id)


def read_states(layout: Layout, list_id: str) -> SubscriptionStates | None:
    """Return what `read_index` does, without the digests where the file is fresh."""
    return fresh_states(layout, list_id) or _made_anew(layout, list_id)


def _made_anew(layout: Layout, list_id: str) -> SubscriptionIndex | None:
    from vmcatcher.store.index import build_index  # noqa: PLC0415 - it reads image lists, which most queries do without

    subscription = subscriptions.find_subscription(layout, list_id)
    return build_index(layout, subscription)[0] if subscription else None


def all_indexes(layout: Layout) -> tuple[SubscriptionIndex, ...]:
    """Return the indexes of all subscriptions in the order these were made.

    Raises:
        DocumentDamaged, NotOurFile: the document of one cannot be read; leaving it out would set its images free.
    """
    found, failed = readable(layout, read_index)
    for error in failed.values():
        raise error
    return found


def readable(
    layout: Layout, read: Callable[[Layout, str], Kind | None]
) -> tuple[tuple[Kind, ...], dict[str, VmcatcherError]]:
    """Return what `read` makes of each subscription, in the order they were made, and why of others nothing, by name.

    `read` is `read_index` or `read_states`.
    """
    found: list[Kind] = []
    failed: dict[str, VmcatcherError] = {}
    # Also the directories without a subscription in them: that nothing is there is found out soon enough.
    for name in reading.directories(layout.subscriptions):
        try:
            one = read(layout, name)
        except VmcatcherError as error:
            failed[name] = error
        else:
            found.extend([one] if one else [])
    return tuple(sorted(found, key=lambda one: (one.added, one.identifier))), failed
