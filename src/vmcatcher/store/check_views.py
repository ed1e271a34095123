"""Looking at the two views (I3, I4, I5) and their indexes: what follows from the records, and whether it is shown."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from vmcatcher.errors import VmcatcherError
from vmcatcher.model.record import CacheRecord, State
from vmcatcher.store import blobs, reading, view_indexes, views
from vmcatcher.store.findings import Finding, Remedy, damage, mode_of, note

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmcatcher.store.layout import Layout
    from vmcatcher.store.views import Views


def check_views(layout: Layout, shown: Views, records: list[CacheRecord]) -> Iterator[Finding]:
    """Yield where the views do not show what the records say."""
    yield from _endorsed_view(layout, shown, records)
    for record in records:
        if record.state is State.ENDORSED:
            yield from _endorsed_record(layout, shown, record)
        elif record.state is State.EXPIRED:
            yield from _expired_record(layout, shown, record)
    yield from _expired_view(layout, shown, records)
    for directory, entries in zip((shown.cache, shown.expired), view_indexes.index_entries(records), strict=True):
        yield from _index(directory, entries)


def _endorsed_view(layout: Layout, shown: Views, records: list[CacheRecord]) -> Iterator[Finding]:
    allowed: dict[str, CacheRecord] = {
        one.image: one for one in records if one.state in (State.ENDORSED, State.EXPIRING)
    }
    ours = dict(views.own_links(layout, shown.cache))
    for name in reading.names(shown.cache):
        path = os.path.join(shown.cache, name)
        record = allowed.get(name)
        if name in ours and record is None:
            yield note("I3", path, "no record in state endorsed stands behind it: the next run takes it out")
        elif name in ours and record is not None and ours[name] != record.sha512 and not record.set_aside:
            yield note(
                "I3", path, "it leads to other bytes than its record names: the next run links it", Remedy.SHOW, name
            )
        elif name not in ours and shown.links == "symlink" and not _is_own(shown, path):
            yield note("I13", path, "vmcatcher did not put it there")


def _is_own(shown: Views, path: str) -> bool:
    beside = {os.path.realpath(shown.partial), os.path.realpath(shown.expired)}
    return os.path.basename(path) == views.INDEX or os.path.realpath(path) in beside


def _endorsed_record(layout: Layout, shown: Views, record: CacheRecord) -> Iterator[Finding]:
    blob = layout.blob(record.sha512)
    if not blobs.has_blob(layout, record.sha512, record.size_bytes):
        yield note("I4", blob, f"image {record.image} lacks its bytes: they are fetched again")
    elif not views.is_shown(layout, shown, shown.cache, record.image, blob):
        path = os.path.join(shown.cache, record.image)
        yield note("I4", path, "it is not in the endorsed view: the next run links it", Remedy.SHOW, record.image)


def _expired_record(layout: Layout, shown: Views, record: CacheRecord) -> Iterator[Finding]:
    if record.expired_name is None:
        return
    path = os.path.join(shown.expired, record.expired_name)
    is_shown, has_bytes = os.path.lexists(path), os.path.lexists(blobs.bytes_of(layout, record))
    if has_bytes and not is_shown:
        yield note("I5", path, "it is not in the expired view: the next run links it", Remedy.SHOW, record.image)
    elif is_shown and not has_bytes:
        yield note("I5", path, "its bytes are gone")


def _expired_view(layout: Layout, shown: Views, records: list[CacheRecord]) -> Iterator[Finding]:
    known = {record.expired_name: record for record in records if record.state is State.EXPIRED}
    ours = dict(views.own_links(layout, shown.expired))
    for name in reading.names(shown.expired):
        path = os.path.join(shown.expired, name)
        if name in ours and name not in known:
            yield note("I5", path, "no expired record stands behind it")
        elif name in ours and ours[name] != os.path.basename(blobs.bytes_of(layout, known[name])):
            text = "it leads to other bytes than its record names: the next run links it"
            yield note("I5", path, text, Remedy.SHOW, known[name].image)
        elif name not in ours and shown.links == "symlink" and name != views.INDEX:
            yield note("I13", path, "vmcatcher did not put it there")


def _index(directory: str, entries: view_indexes.Entries) -> Iterator[Finding]:
    path = os.path.join(directory, views.INDEX)
    yield from mode_of(path)
    try:
        content = reading.read(path)
    except FileNotFoundError:
        # A view of a store that never saw a cache run has none.
        if entries:
            yield note("I10", path, "it is missing: the next cache run writes it", Remedy.INDEX)
        return
    except VmcatcherError as error:
        yield damage("I10", path, str(error), Remedy.INDEX)
        return
    if view_indexes.is_written(content, entries):
        return
    if _is_object(content):
        yield note("I10", path, "it does not say what the records say: the next cache run writes it", Remedy.INDEX)
    else:
        yield damage("I10", path, "it is no JSON object", Remedy.INDEX)


def _is_object(content: bytes) -> bool:
    try:
        return isinstance(json.loads(content), dict)
    except (ValueError, RecursionError):
        return False
