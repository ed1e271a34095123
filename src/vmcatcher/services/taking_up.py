"""What a cache run does before it plans: it takes every version on from where an earlier run left it.

That is all of recovery: the same steps, begun where the state says.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vmcatcher.errors import VmcatcherError
from vmcatcher.model.record import CacheRecord, Reason, State
from vmcatcher.store import blobs, cache, downloads, files, subscriptions, views

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from vmcatcher.model.identity import ImageId, Sha512
    from vmcatcher.model.plan import Wanted
    from vmcatcher.services.context import Context
    from vmcatcher.services.outcome import Outcome
    from vmcatcher.services.passage import Passage
    from vmcatcher.services.repairing import Mender
    from vmcatcher.store.views import Views

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TakenUp:
    """What is there, after everything that was begun has been finished as far as that was possible."""

    active: tuple[CacheRecord, ...]
    """Versions in the endorsed view, about to be, or on a way out that could not be finished."""
    failing: tuple[CacheRecord, ...]
    expired: Mapping[str, frozenset[str]]
    """By image, the names that its versions have in the expired view."""
    stuck: frozenset[str]
    """Images of which a record cannot be read, or that could not be taken out: nothing may come in for them."""


def sweep(context: Context, shown: Views) -> None:
    """Remove what crashes left under temporary names in the store and the views."""
    layout, now_s = context.layout, context.now.timestamp()
    below = [layout.records(image) for image in cache.cached_images(layout)]
    for list_id in subscriptions.subscribed(layout):
        below += [layout.subscription_directory(list_id), layout.lists(list_id)]
    for directory in (layout.root, *layout.directories, *below, shown.cache, shown.partial, shown.expired):
        files.sweep(directory, now_s=now_s)
    downloads.sweep(layout, now_s=now_s)


def take_up(
    context: Context, passage: Passage, mender: Mender, outcome: Outcome, reader: cache.RecordReader
) -> TakenUp:
    """Carry out what earlier runs left to do, owed events included, and return what is there."""
    records, unreadable = _read(context, mender, outcome, reader)
    rotten = _finish_putting_aside(context, passage, records, outcome)
    done = [record if record.sha512 in rotten else _taken_up(context, passage, record, outcome) for record in records]
    return TakenUp(
        active=tuple(record for record in done if record.is_active),
        failing=tuple(record for record in done if record.state is State.FAILING),
        expired=_expired_names(done),
        stuck=unreadable.union(record.image for record in done if record.state is State.EXPIRING),
    )


def _expired_names(records: Iterable[CacheRecord]) -> dict[str, frozenset[str]]:
    names: dict[str, frozenset[str]] = {}
    for record in records:
        own = {record.expired_name} if record.expired_name is not None else set()
        names[record.image] = names.get(record.image, frozenset()) | own
    return names


def drop_strays(
    context: Context, shown: Views, found: TakenUp, wanted: Mapping[ImageId, Wanted], outcome: Outcome
) -> None:
    """Take links to our blobs out of the views for which no record stands, as a copy has that was taken during a run.

    An image that is wanted comes with a record of its own; until then its link stays, if it leads to the right bytes.
    In the expired view only images are looked at of which something is known.
    """
    layout = context.layout
    vouched = {(record.image, record.sha512) for record in found.active}
    vouched |= {(image, one.image.sha512) for image, one in wanted.items()}
    strays = [
        os.path.join(shown.cache, name)
        for name, digest in views.own_links(layout, shown.cache)
        if (name, digest) not in vouched and name not in found.stuck
    ]
    for name, _ in views.own_links(layout, shown.expired):
        image = views.image_of(name)
        if name not in found.expired.get(image, {name}) and image not in found.stuck:
            strays.append(os.path.join(shown.expired, name))
    for path in strays:
        logger.warning("%s has no record and is taken out of the view", path)
        try:
            files.drop(path)
        except VmcatcherError as error:
            outcome.fail(os.path.basename(path), error)


def _read(
    context: Context, mender: Mender, outcome: Outcome, reader: cache.RecordReader
) -> tuple[list[CacheRecord], frozenset[str]]:
    records: list[CacheRecord] = []
    unreadable: set[str] = set()
    for image in cache.cached_images(context.layout):
        found, errors = reader.readable(image)
        records.extend(found)
        for error in errors:
            record, said = mender.mend_record(image, error)
            outcome.fail(image, said)
            if record is not None:
                records.append(record)
            elif said is error:
                unreadable.add(image)
    return records, frozenset(unreadable)


def put_aside(context: Context, passage: Passage, sharing: list[CacheRecord], place: str) -> list[CacheRecord]:
    """Take corrupt bytes out of the blobs; return the versions that show them, which are on their way out by then.

    The records first: were the bytes gone before these say why, the next run would fetch them again and nobody would
    be told.
    """
    condemned = [passage.condemn(record, place) for record in sharing]
    blobs.set_aside(context.layout, sharing[0].sha512, place)
    return condemned


def _finish_putting_aside(
    context: Context, passage: Passage, records: list[CacheRecord], outcome: Outcome
) -> frozenset[Sha512]:
    """Put aside, in `records` too, what a run found corrupt that ended before it had done so.

    Return the digests of what could not be put aside: their versions stay as they are, or the next one of the image
    would take the bytes for good ones.
    """
    root = context.layout.root
    places = {
        record.sha512: record.set_aside
        for record in records
        if record.state is State.EXPIRING
        and record.set_aside is not None
        and not os.path.lexists(os.path.join(root, record.set_aside))
    }
    shown = (State.ENDORSED, State.EXPIRING)
    failed: set[Sha512] = set()
    for digest, place in places.items():
        sharing = [at for at, one in enumerate(records) if one.sha512 == digest and one.state in shown]
        try:
            condemned = put_aside(context, passage, [records[at] for at in sharing], place)
        except VmcatcherError as error:
            outcome.fail(records[sharing[0]].image, error)
            failed.add(digest)
            continue
        for at, record in zip(sharing, condemned, strict=True):
            records[at] = record
    return frozenset(failed)


def _taken_up(context: Context, passage: Passage, record: CacheRecord, outcome: Outcome) -> CacheRecord:
    try:
        if record.state is State.EXPIRING:
            done = passage.finish_expiring(record)
            outcome.expired.append((record.image, record.reason or Reason.WITHDRAWN))
            return done
        if record.state is State.ENDORSED:
            if blobs.has_blob(context.layout, record.sha512, record.size_bytes):
                passage.show_endorsed(record)
            return passage.deliver(record)
        if record.state is State.EXPIRED:
            return passage.finish_expired(record)
    except VmcatcherError as error:
        # It stays what it was, so that it can still be planned to leave.
        outcome.fail(record.image, error)
    return record
