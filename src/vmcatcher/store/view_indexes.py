"""The `cache.index` of both views, made from the records."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from vmcatcher.model.record import State
from vmcatcher.store import aside, view_text, views

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from vmcatcher.model.record import CacheRecord
    from vmcatcher.store.layout import Layout
    from vmcatcher.store.views import Views

Entries = dict[str, dict[str, object]]
_Rows = dict[str, "CacheRecord"]


def index_entries(records: Iterable[CacheRecord]) -> tuple[Entries, Entries]:
    """Return what the index of the endorsed and that of the expired view have to say, by file name."""
    endorsed, expired = _rows(records)
    return (
        {name: view_text.entry_of(record, name) for name, record in endorsed.items()},
        {name: view_text.entry_of(record, name) for name, record in expired.items()},
    )


def _rows(records: Iterable[CacheRecord]) -> tuple[_Rows, _Rows]:
    """Return the records that the two indexes are about, by file name."""
    endorsed: _Rows = {}
    expired: _Rows = {}
    for record in records:
        if record.state in (State.ENDORSED, State.EXPIRING):
            endorsed[record.image] = record
        elif record.state is State.EXPIRED and record.expired_name is not None:
            expired[record.expired_name] = record
    return endorsed, expired


def is_written(content: bytes, entries: Mapping[str, Mapping[str, object]]) -> bool:
    """Tell whether the bytes of an index say just what `entries` do."""
    if content == view_text.spelled(sorted(entries.items())):
        return True
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
    for directory, rows in zip((shown.cache, shown.expired), _rows(records), strict=True):
        path = os.path.join(directory, views.INDEX)
        if not aside.is_regular(path):
            kept.append(aside.set_aside(layout, path))
        # One entry at a time: all of them as objects would take ten times the room of their text.
        entries = ((name, view_text.entry_of(record, name)) for name, record in sorted(rows.items(), key=_name))
        views.put_index_text(directory, view_text.spelled(entries))
    return kept


def _name(row: tuple[str, CacheRecord]) -> str:
    return row[0]
