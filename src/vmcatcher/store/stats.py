"""How much of everything is in a store, and how much space it takes. No image is read, nothing is changed."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from vmcatcher.errors.store import StoreInputOutput
from vmcatcher.model.record import State
from vmcatcher.store import blobs, prune, reading, roots, snapshots, subscriptions, views

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from vmcatcher.errors import VmcatcherError
    from vmcatcher.model.identity import Sha512
    from vmcatcher.model.record import CacheRecord
    from vmcatcher.store.layout import Layout
    from vmcatcher.store.views import Views

_STATES: Final = (State.ENDORSED, State.STAGED, State.EXPIRING, State.FAILING, State.EXPIRED)


@dataclass(frozen=True, slots=True)
class Tally:
    """How much of one kind is there."""

    kind: str
    count: int
    size_bytes: int | None = None
    """What the files hold; None for a kind that has no files of its own."""
    allocated_bytes: int | None = None
    """What the disk gave for it: less than the size where files have holes, more for small ones."""
    oldest: datetime | None = None
    newest: datetime | None = None


@dataclass(frozen=True, slots=True)
class FileSystem:
    """The space of a file system on which the store lies."""

    path: str
    total_bytes: int
    free_bytes: int
    """What this user may still write."""


@dataclass(frozen=True, slots=True)
class Stats:
    """What a store holds."""

    tallies: tuple[Tally, ...]
    file_systems: tuple[FileSystem, ...]
    errors: tuple[VmcatcherError, ...]
    """What could not be read and is not counted; the bytes it names may count as unneeded."""


def count_store(layout: Layout, shown: Views) -> Stats:
    """Return what the store holds now, with the views in `shown`.

    Raises:
        StoreReadOnly, StoreInputOutput: a directory cannot be read.
    """
    records, damaged = roots.all_records(layout)
    listed = roots.listed_bytes(layout)
    owed = Tally("events owed", sum(len(one.owed) for one in records) + _owed_by_lists(layout))
    documents, contents, events = _with_files(layout, shown, listed.digests, records)
    tallies = (*documents, *_images(records), *contents, owed, *events)
    return Stats(tallies, file_systems(layout), (*damaged, *listed.errors))


def count_files(
    layout: Layout, shown: Views, listed: frozenset[Sha512], records: Iterable[CacheRecord]
) -> tuple[Tally, ...]:
    """Return what has files of its own in the store, for whoever has read lists and records: no document is read.

    `listed` are the bytes that current lists name and the operator selected.

    Raises:
        StoreReadOnly, StoreInputOutput: a directory cannot be read.
    """
    return tuple(one for some in _with_files(layout, shown, listed, records) for one in some)


def _with_files(
    layout: Layout, shown: Views, listed: frozenset[str], records: Iterable[CacheRecord]
) -> tuple[tuple[Tally, ...], tuple[Tally, ...], tuple[Tally, ...]]:
    needed = listed | {one.sha512 for one in records} | roots.shown_bytes(layout, shown)
    for directory in roots.each_once((shown.expired, layout.expired)):
        needed |= {target for _, target in views.own_links(layout, directory)}
    events = (
        _tally("events failed", _below(layout.failed_events, ".json")),
        _tally("event log", _below(layout.event_log, ".jsonl")),
        _tally("temporary files", prune.temporary_files(layout, shown)),
    )
    return tuple(_documents(layout)), tuple(_bytes(layout, needed)), events


def _documents(layout: Layout) -> Iterator[Tally]:
    subscribed = subscriptions.subscribed(layout)
    kept = [one.path for list_id in subscribed for one in snapshots.all_snapshots(layout, list_id)]
    yield _tally("endorsers", _below(layout.endorsers, ".json"))
    yield _tally("subscriptions", [layout.subscription(list_id) for list_id in subscribed])
    yield _tally("snapshots", kept, beside=[path.removesuffix(".smime") + ".evidence" for path in kept])


def _images(records: Iterable[CacheRecord]) -> Iterator[Tally]:
    known = list(records)
    for state in _STATES:
        found = [one for one in known if one.state is state]
        since = [one.since for one in found]
        yield Tally(
            f"images {state.value}", len(found), oldest=min(since, default=None), newest=max(since, default=None)
        )


def _bytes(layout: Layout, needed: frozenset[str] | set[str]) -> Iterator[Tally]:
    stored = list(roots.blob_files(layout))
    yield _tally("blobs needed", [path for digest, path in stored if digest in needed])
    yield _tally("blobs unneeded", [path for digest, path in stored if digest not in needed])
    partial = [name for name in reading.names(layout.partial) if roots.DOWNLOAD.fullmatch(name)]
    paths = [os.path.join(layout.partial, name) for name in partial]
    notes = [path for path in paths if path.endswith(".json")]
    yield _tally("partial downloads", [path for path in paths if path not in notes], beside=notes)
    aside = roots.each_once((layout.quarantine, blobs.quarantine(layout)))
    yield _tally("quarantine", [path for directory in aside for path in _below(directory, "")])


def _owed_by_lists(layout: Layout) -> int:
    return sum(
        len(subscriptions.read_fetch_notes(layout, list_id).owed) for list_id in subscriptions.subscribed(layout)
    )


def _below(directory: str, ending: str) -> list[str]:
    return [os.path.join(directory, name) for name in reading.names(directory) if name.endswith(ending)]


def _tally(kind: str, paths: Iterable[str], *, beside: Sequence[str] = ()) -> Tally:
    """Count the regular files and links at `paths`; what lies `beside` them adds its bytes alone."""
    counted = _seen(paths)
    both = [*counted, *_seen(beside)]
    # Of a file with several names here the disk gave the bytes once.
    given = {(one.st_dev, one.st_ino): one.st_blocks * 512 for one in both}
    times = [prune.instant_of(one.st_mtime) for one in counted]
    return Tally(
        kind,
        len(counted),
        sum(one.st_size for one in both),
        sum(given.values()),
        min(times, default=None),
        max(times, default=None),
    )


def _seen(paths: Iterable[str]) -> list[os.stat_result]:
    found = [status for path in paths if (status := roots.look(path)) is not None]
    return [one for one in found if stat.S_ISREG(one.st_mode) or stat.S_ISLNK(one.st_mode)]


def file_systems(layout: Layout) -> tuple[FileSystem, ...]:
    """Return the space of each file system on which the store lies.

    Raises:
        StoreInputOutput: that cannot be told.
    """
    found: dict[int, FileSystem] = {}
    for path in (layout.root, layout.blobs):
        try:
            device, space = os.stat(path).st_dev, os.statvfs(path)
        except OSError as exc:
            raise StoreInputOutput(path=path, why=exc.strerror or str(exc)) from exc
        size = space.f_frsize
        found.setdefault(device, FileSystem(path, space.f_blocks * size, space.f_bavail * size))
    return tuple(found.values())
