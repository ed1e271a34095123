"""Whether a store holds together: the invariants of docs/explanation/invariants.md, each by its number.

Damage is what no crash, no copy and no half-finished run can leave. A note is a step that the next run does, or a file
that is none of ours. Nothing is changed here.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Final

from vmcatcher.errors import VmcatcherError
from vmcatcher.model.event import MOST_ATTEMPTS
from vmcatcher.store import cache, views
from vmcatcher.store.aside import is_untrustworthy
from vmcatcher.store.check_blobs import check_blobs, check_downloads
from vmcatcher.store.check_crls import check_crls
from vmcatcher.store.check_documents import check_documents
from vmcatcher.store.check_subscriptions import check_owners, check_subscriptions
from vmcatcher.store.check_views import check_views
from vmcatcher.store.documents import is_sealed
from vmcatcher.store.findings import Finding, Remedy, damage, mode_of, note, status_of
from vmcatcher.store.strangers import strangers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmcatcher.model.record import CacheRecord
    from vmcatcher.store.layout import Layout
    from vmcatcher.store.views import Views

__all__ = ["Finding", "check_store"]

_OWNER_ENTERS: Final = 0o700


def check_store(layout: Layout, *, read_bytes: bool = False, shown: Views | None = None) -> list[Finding]:
    """Return everything that is not as the invariants say, damage first.

    With `read_bytes` every blob is read and hashed; without, name, size and mode are looked at. `shown` are the views
    to look at, those inside the store unless given. Where a directory of the store is something else, nothing below it
    can be looked at, and only that is returned.
    """
    shown = shown or views.Views.inside(layout)
    found = list(_directories(layout))
    if not any(one.remedy is Remedy.ASIDE for one in found):
        check_documents(layout, found)
        check_crls(layout, found)
        subscribed = check_subscriptions(layout, found)
        records = _records(layout, found)
        found.extend(check_blobs(layout, records, read_bytes=read_bytes))
        found.extend(check_downloads(layout))
        found.extend(check_views(layout, shown, records))
        found.extend(check_owners(layout, subscribed))
        found.extend(_owed(layout, records))
        found.extend(note("I13", path, "vmcatcher did not put it there") for path in strangers(layout))
    return sorted(found, key=lambda one: (not one.is_damage, one.path, one.invariant))


def _directories(layout: Layout) -> Iterator[Finding]:
    for path in layout.directories:
        status = status_of(path)
        if status is None:
            yield note("I14", path, "the directory is missing: the next run makes it", Remedy.DIRECTORY)
        elif stat.S_ISLNK(status.st_mode) and os.path.isdir(path):
            yield note("I14", path, f"it is a symbolic link to {os.readlink(path)}; vmcatcher makes none")
        elif not stat.S_ISDIR(status.st_mode):
            yield damage("I14", path, "it should be a directory", Remedy.ASIDE)
        else:
            yield from _directory_mode(path, stat.S_IMODE(status.st_mode))


def _directory_mode(path: str, mode: int) -> Iterator[Finding]:
    if mode & stat.S_IWOTH:
        text = f"everybody may make and remove files in it (mode {mode:04o})"
    elif mode & _OWNER_ENTERS != _OWNER_ENTERS:
        text = f"its owner cannot work in it (mode {mode:04o})"
    else:
        return
    wanted = mode & ~stat.S_IWOTH | _OWNER_ENTERS
    yield Finding("I12", path, text, is_damage=True, remedy=Remedy.MODE, mode=wanted)


def _records(layout: Layout, found: list[Finding]) -> list[CacheRecord]:
    """I1 and I12 for the cache; returns the records that can be read."""
    records: list[CacheRecord] = []
    for image in cache.cached_images(layout):
        for number in cache.record_numbers(layout, image):
            path = os.path.join(layout.records(image), f"{number}.json")
            found.extend(mode_of(path))
            try:
                record = cache.read_record(layout, image, number)
                if record is not None and not is_sealed(path):
                    text = "it has no seal: a person or an earlier version of the program wrote it"
                    found.append(note("I1", path, text))
            except FileNotFoundError:
                continue
            except VmcatcherError as error:
                remedy = Remedy.RECORD if is_untrustworthy(error) else Remedy.NONE
                found.append(damage("I1", path, str(error), remedy, image))
                continue
            records.extend([record] if record else [])
    return records


def _owed(layout: Layout, records: list[CacheRecord]) -> Iterator[Finding]:
    for record in records:
        path = layout.record(record.image, record.number)
        for event in record.owed:
            if not event.id or event.attempts >= MOST_ATTEMPTS:
                yield damage("I11", path, f"the event {event.kind.value} is owed after {event.attempts} attempts")
