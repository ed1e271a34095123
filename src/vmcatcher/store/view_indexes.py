"""The `cache.index` of both views, made from the records."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from vmcatcher.model.record import State
from vmcatcher.store import aside, views

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from vmcatcher.model.record import CacheRecord
    from vmcatcher.store.layout import Layout
    from vmcatcher.store.views import Views

Entries = dict[str, dict[str, object]]


def index_entries(records: Iterable[CacheRecord]) -> tuple[Entries, Entries]:
    """Return what the index of the endorsed and that of the expired view have to say, by file name."""
    endorsed: Entries = {}
    expired: Entries = {}
    for record in records:
        if record.state in (State.ENDORSED, State.EXPIRING):
            endorsed[record.image] = views.index_entry(record, record.image)
        elif record.state is State.EXPIRED and record.expired_name is not None:
            expired[record.expired_name] = views.index_entry(record, record.expired_name)
    return endorsed, expired


def is_written(content: bytes, entries: Mapping[str, object]) -> bool:
    """Tell whether the bytes of an index say just what `entries` do."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return False
    return bool(found == json.loads(json.dumps(entries)))


def write_indexes(layout: Layout, shown: Views, records: Iterable[CacheRecord]) -> list[str]:
    """Write both indexes; return where something that was no file was put aside for that.

    Raises:
        StoreFull, StoreReadOnly, StoreInputOutput: one of them is as it was.
    """
    kept = []
    for directory, entries in zip((shown.cache, shown.expired), index_entries(records), strict=True):
        path = os.path.join(directory, views.INDEX)
        if not aside.is_regular(path):
            kept.append(aside.set_aside(layout, path))
        views.put_index(directory, entries.items())
    return kept
