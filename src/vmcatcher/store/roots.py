"""What the store still needs: the bytes that a list, a record, a view or a download names.

Whatever cannot be read might name anything, so an error here means that nothing that depends on it is dropped.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from vmcatcher.errors import VmcatcherError
from vmcatcher.model.imagelist import parse_image_list
from vmcatcher.model.record import State
from vmcatcher.model.retention import is_over
from vmcatcher.store import aside, cache, reading, snapshots, subscriptions, views

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime, timedelta

    from vmcatcher.model.record import CacheRecord
    from vmcatcher.store.layout import Layout
    from vmcatcher.store.views import Views

DIGEST: Final = re.compile(r"[0-9a-f]{128}")
# `<digest>.<process id>-<random>`, as `store.downloads` names what it writes, and `.json` for its notes.
DOWNLOAD: Final = re.compile(r"(?P<download>(?P<sha512>[0-9a-f]{128})\.[0-9]+-[0-9a-f]{12})(\.json)?")


@dataclass(frozen=True, slots=True)
class Listed:
    """The bytes that current lists name and the operator selected."""

    digests: frozenset[str]
    seen: Mapping[str, object]
    """What the decisions and lists looked like before they were read; see `is_current`."""
    errors: tuple[VmcatcherError, ...]


def listed_bytes(layout: Layout) -> Listed:
    """Return the bytes that current lists name and the operator selected, and what could not be read of them."""
    seen = _seen(layout)
    digests: set[str] = set()
    errors: list[VmcatcherError] = [*subscriptions.lost(layout).values()]
    for list_id in seen:
        try:
            digests.update(_selected(layout, list_id))
        except VmcatcherError as error:
            # A subscription that was deleted meanwhile wants nothing.
            if os.path.lexists(layout.subscription(list_id)):
                errors.append(error)
    return Listed(frozenset(digests), seen, tuple(errors))


def is_current(layout: Layout, listed: Listed) -> bool:
    """Tell whether no decision and no list has changed since. Under the store lock, none can until it is let go."""
    return _seen(layout) == listed.seen


def _seen(layout: Layout) -> dict[str, object]:
    found: dict[str, object] = {}
    for list_id in subscriptions.subscribed(layout):
        status = look(layout.subscription(list_id))
        newest = snapshots.current_snapshot(layout, list_id)
        # Decisions are replaced, never written in place: another file is another inode or time.
        found[list_id] = (status and identity(status), newest and newest.name)
    return {**found, **dict.fromkeys(subscriptions.lost(layout))}


def _selected(layout: Layout, list_id: str) -> set[str]:
    subscription = subscriptions.find_subscription(layout, list_id)
    newest = snapshots.current_snapshot(layout, list_id)
    if subscription is None or newest is None or not subscription.selected:
        return set()
    # Asked for once: the selection is made anew whenever it is asked for.
    selected = subscription.selected
    listed = parse_image_list(snapshots.read_evidence(newest).content, only=selected).imagelist
    return {image.sha512 for image in listed.images}


def all_records(layout: Layout) -> tuple[list[CacheRecord], list[VmcatcherError]]:
    """Return every record of the cache that can be read, and why others cannot."""
    records: list[CacheRecord] = []
    errors: list[VmcatcherError] = []
    for image in cache.cached_images(layout):
        readable, damaged = cache.readable_records(layout, image)
        records.extend(readable)
        errors.extend(damaged)
    return records, errors


def is_needed(record: CacheRecord, kept: timedelta | None, now: datetime) -> bool:
    """Tell whether a record and its bytes stay: its version is in use, owes an event, or left only lately."""
    return record.state is not State.EXPIRED or bool(record.owed) or not is_over(left_at(record), kept, now)


def left_at(record: CacheRecord) -> datetime:
    """Return when an expired version left, or was given up."""
    return record.expired or record.since


def shown_bytes(layout: Layout, shown: Views) -> set[str]:
    """Return the digests to which links in the endorsed view lead, and links that a handler is just told of."""
    directories = each_once((shown.cache, layout.endorsed, shown.partial, layout.partial))
    return {target for directory in directories for _, target in views.own_links(layout, directory)}


def blob_files(layout: Layout) -> Iterator[tuple[str, str]]:
    """Yield the digest and the path of everything that is named like a blob and lies where one does."""
    top = os.path.join(layout.blobs, "sha512")
    for prefix in reading.directories(top):
        for name in reading.names(os.path.join(top, prefix)):
            if name[:2] == prefix and DIGEST.fullmatch(name):
                yield name, os.path.join(top, prefix, name)


def with_temporaries(layout: Layout, shown: Views) -> tuple[str, ...]:
    """Return every directory in which a run that was interrupted may have left a temporary name."""
    below = [layout.records(image) for image in cache.cached_images(layout)]
    for list_id in subscriptions.subscribed(layout):
        below += [layout.subscription_directory(list_id), layout.lists(list_id)]
    outside = (layout.blobs, shown.cache, shown.partial, shown.expired)
    # Those of records and lists are one each and no view: where ten thousand of them really are need not be asked.
    return (*each_once((layout.root, *layout.directories, *outside)), *below)


def each_once(directories: Iterable[str]) -> tuple[str, ...]:
    """Return the directories in order, those that are the same under another name only once."""
    return tuple({os.path.realpath(one): one for one in reversed(tuple(directories))}.values())[::-1]


def decisions_aside(layout: Layout) -> frozenset[str] | None:
    """Return where damaged decisions were put that nobody has made again yet; None where that cannot be told.

    What the operator had decided can be read nowhere else.
    """
    below = reading.directories(layout.subscriptions)
    paths = [path for list_id in below for path in (layout.subscription(list_id), layout.secret(list_id))]
    paths += [os.path.join(layout.endorsers, name.removesuffix(aside.LOST)) for name in reading.names(layout.endorsers)]
    losses = [loss for path in paths if (loss := aside.loss(path)) is not None]
    if any(os.path.basename(loss.kept) == "quarantine" for loss in losses):
        return None
    return frozenset(os.path.join(layout.root, loss.kept) for loss in losses)


def look(path: str) -> os.stat_result | None:
    """Return what the file system says of a name, not of what it leads to; None where it is not there."""
    with reading.reported(path):
        try:
            return os.lstat(path)
        except FileNotFoundError:
            return None


def identity(status: os.stat_result) -> tuple[int, int, int, int]:
    """Return what tells a file from every other, and from itself after it was changed or adopted anew."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
