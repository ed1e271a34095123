"""What was endorsed, and what was in the cache, at some time: from the lists and records that are kept.

Which images were selected is not answered: decisions have no versions. What was endorsed is: named by the list that was
the current one then, which had not expired then, nor had the image. What was cached is: in the endorsed view then.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vmcatcher.errors import VmcatcherError
from vmcatcher.errors.history import HistoryGap
from vmcatcher.model.identity import ListId
from vmcatcher.model.instant import instant_text
from vmcatcher.services.admitted import read_admitted
from vmcatcher.services.context import Failure
from vmcatcher.store import cache, reading, snapshots

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from vmcatcher.model.identity import ImageId
    from vmcatcher.model.image import Image
    from vmcatcher.model.record import CacheRecord
    from vmcatcher.services.admitted import AdmittedList
    from vmcatcher.services.context import Context
    from vmcatcher.store.snapshots import Snapshot


@dataclass(frozen=True, slots=True)
class ImageThen:
    """One image that was endorsed, cached or both at that time."""

    identifier: ImageId
    list_id: ListId
    admitted: AdmittedList | None
    """The list that endorsed it; None where none did, and it was only still in the cache."""
    image: Image | None
    """The image as that list describes it."""
    until: datetime | None
    """Until when that list endorses it, if no newer one comes."""
    cached: CacheRecord | None
    """The version that was in the cache; its bytes may be others than those endorsed then."""


@dataclass(frozen=True, slots=True)
class ImagesThen:
    """The images at that time, in the order of list and image identifiers, and of which lists it is not known."""

    at: datetime
    images: tuple[ImageThen, ...]
    failed: tuple[Failure, ...]


def images_at(context: Context, at: datetime) -> ImagesThen:
    """Return the images that were endorsed or cached at an instant; one list of which it is not known hides no other.

    A later instant than now is answered as if nothing came in between. Subscriptions that were deleted since took
    their lists with them.
    """
    failed: list[Failure] = []
    cached = dict(_cached(context, at, failed))
    found: list[ImageThen] = []
    for name in reading.directories(context.layout.subscriptions):
        list_id = ListId(name)
        try:
            admitted = _current(context, list_id, at)
        except VmcatcherError as error:
            failed.append(Failure(list_id, error))
            continue
        for image, until in _endorsed(admitted, at):
            # Another list may name an image that this one owns; its bytes are in the cache for the owner only.
            record = cached.get(image.identifier)
            own = cached.pop(image.identifier) if record is not None and record.list_id == list_id else None
            found.append(ImageThen(image.identifier, list_id, admitted, image, until, own))
    found += [ImageThen(image, record.list_id, None, None, None, record) for image, record in cached.items()]
    found.sort(key=lambda one: (one.list_id, one.identifier))
    return ImagesThen(at, tuple(found), tuple(failed))


def _current(context: Context, list_id: ListId, at: datetime) -> AdmittedList | None:
    """Return the list that was the current one; None where none was admitted yet.

    Raises:
        HistoryGap: a list that is not kept may have been.
        AdmittedListDamaged, DocumentDamaged: it cannot be read any more.
    """
    snapshot, following = _around(snapshots.all_snapshots(context.layout, list_id), at)
    expected = (snapshot.sequence if snapshot else 0) + 1
    if following is not None and following.sequence != expected:
        raise HistoryGap(list_id=list_id, at=instant_text(at), before=instant_text(following.kept))
    try:
        return read_admitted(snapshot) if snapshot else None
    except FileNotFoundError as exc:  # pruned while we looked
        raise HistoryGap(list_id=list_id, at=instant_text(at), before=instant_text(context.now)) from exc


def _around(kept: tuple[Snapshot, ...], at: datetime) -> tuple[Snapshot | None, Snapshot | None]:
    """Return the last list that was admitted by then, and the first after that."""
    before = [one for one in kept if one.kept <= at]
    return (before[-1] if before else None), next(iter(kept[len(before) :]), None)


def _endorsed(admitted: AdmittedList | None, at: datetime) -> Iterator[tuple[Image, datetime]]:
    if admitted is None:
        return
    for image in admitted.listed.images:
        until = min(admitted.listed.expires, image.valid_until or admitted.listed.expires)
        if until > at:
            yield image, until


def _cached(context: Context, at: datetime, failed: list[Failure]) -> Iterator[tuple[ImageId, CacheRecord]]:
    for name in cache.cached_images(context.layout):
        records, errors = cache.readable_records(context.layout, name)
        failed.extend(Failure(name, error) for error in errors)
        for record in records:
            is_in = record.published is not None and record.published <= at
            if is_in and (record.expired is None or at < record.expired):
                yield record.image, record
