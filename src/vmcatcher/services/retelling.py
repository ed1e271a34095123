"""Telling an event because the operator asks for it: at once, whatever the wait, also one that was given up."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from vmcatcher.errors import VmcatcherError
from vmcatcher.errors.events import (
    EarlierEventOwed,
    EventInPassage,
    EventNotTaken,
    EventOvertaken,
    ImageNotShown,
    NoSuchEvent,
)
from vmcatcher.errors.requests import NoListYet
from vmcatcher.model.event import PREFIX, EventKind
from vmcatcher.model.record import State
from vmcatcher.services.new_images import image_descriptions, tell_new_images
from vmcatcher.services.passage import Passage
from vmcatcher.store import cache, events, subscriptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from vmcatcher.model.record import CacheRecord
    from vmcatcher.services.context import Context
    from vmcatcher.services.events import Teller
    from vmcatcher.services.owed import Waiting
    from vmcatcher.store.events import FailedEvent
    from vmcatcher.store.locks import LockName
    from vmcatcher.store.views import Views


def lock_of(kind: EventKind) -> LockName:
    """Return the lock under which a run tells events of that kind."""
    return "update" if kind is EventKind.SUBSCRIPTION_IMAGE_NEW else "cache"


def retell(
    context: Context,
    teller: Callable[[LockName], Teller],
    shown: Views,
    wanted: Sequence[Waiting],
    *,
    force: bool = False,
) -> Iterator[tuple[Waiting, VmcatcherError | None]]:
    """Tell events in the order given; yield each as soon as it was told, with why it was not taken, or None.

    `teller` gives who is told the events of an update or of a cache run; what it raises is raised before anything is
    told. With `force` an event is told although its image has moved on.
    """
    listeners = {lock: teller(lock) for lock in dict.fromkeys(lock_of(one.event.kind) for one in wanted)}
    try:
        for one in wanted:
            lock = lock_of(one.event.kind)
            try:
                with context.lock(lock):
                    _tell(context, listeners[lock], shown, one, force=force)
            except VmcatcherError as error:
                yield one, error
            else:
                yield one, None
    finally:
        for listener in listeners.values():
            listener.write_log()


def _tell(context: Context, teller: Teller, shown: Views, one: Waiting, *, force: bool) -> None:
    if one.is_failed:
        _tell_failed(context, teller, shown, one, force=force)
    elif one.record is not None:
        _tell_record(context, teller, shown, one, one.record)
    else:
        _tell_new_image(context, teller, one)


def _not_taken(one: Waiting) -> EventNotTaken:
    return EventNotTaken(event=one.event.id, kind=one.event.kind.value, image=one.image)


def _given_up(context: Context, one: Waiting) -> FailedEvent | None:
    found, _ = events.failed_events(context.layout)
    return next((failed for failed in found if failed.event.id == one.event.id), None)


def _tell_failed(context: Context, teller: Teller, shown: Views, one: Waiting, *, force: bool) -> None:
    failed = _given_up(context, one)
    if failed is None:
        raise NoSuchEvent(event=one.event.id)
    if not force:
        overtaken = _overtaken_by(context, one)
        if overtaken is not None:
            raise EventOvertaken(event=one.event.id, kind=one.event.kind.value, image=one.image, now=overtaken)
        _demand_shown(context, shown, one)
    about = {name: value for name, value in failed.variables.items() if name.startswith(PREFIX)}
    if teller.tell(failed.event, about):
        return
    with context.lock("store"):
        # Unless somebody dropped it meanwhile.
        if _given_up(context, one) is not None:
            tried = failed.event.refused(context.now)
            events.put_failed(context.layout, tried, about, why=failed.why, now=context.now)
    raise _not_taken(one)


def _overtaken_by(context: Context, one: Waiting) -> str | None:
    """Return what contradicts the event by now, in words; a cloud that believed it would drop the wrong image."""
    if one.event.kind is EventKind.SUBSCRIPTION_IMAGE_NEW:
        described = image_descriptions(context, one.list_id)
        return "is no longer in a list that is subscribed to" if one.image not in (described or {}) else None
    records, _ = cache.readable_records(context.layout, one.image) if one.image else ([], [])
    in_view = [record for record in records if record.state in (State.ENDORSED, State.EXPIRING)]
    digest = one.variables.get(PREFIX + "SL_CHECKSUM_SHA512")
    if one.event.kind is EventKind.EXPIRE_POSTFIX and in_view:
        return "is in the endorsed view again"
    if one.event.kind is EventKind.AVAILABLE_POSTFIX and all(record.sha512 != digest for record in in_view):
        return "is no longer in the endorsed view with these bytes"
    return None


def _demand_shown(context: Context, shown: Views, one: Waiting) -> None:
    """Return if the file is where the event says: a run may have died before it was, or may use another directory.

    Raises:
        ImageNotShown: it is not.
    """
    name = one.variables.get(PREFIX + "FILENAME", one.image)
    if one.event.kind is EventKind.AVAILABLE_POSTFIX:
        directory = shown.cache
    else:
        directory = shown.expired
        records, _ = cache.readable_records(context.layout, one.image) if one.image else ([], [])
        if not any(record.expired_name == name and _has_bytes(context, record) for record in records):
            return  # they were pruned; that it left is true all the same
    if not os.path.lexists(os.path.join(directory, name)):
        raise ImageNotShown(event=one.event.id, kind=one.event.kind.value, image=one.image, directory=directory)


def _has_bytes(context: Context, record: CacheRecord) -> bool:
    layout = context.layout
    aside = record.set_aside
    return os.path.lexists(layout.blob(record.sha512) if aside is None else os.path.join(layout.root, aside))


def _tell_record(context: Context, teller: Teller, shown: Views, one: Waiting, record: CacheRecord) -> None:
    if one.event.kind not in (EventKind.AVAILABLE_POSTFIX, EventKind.EXPIRE_POSTFIX):
        raise EventInPassage(event=one.event.id, kind=one.event.kind.value, image=one.image)
    current = _owing(context, one, record)
    _demand_shown(context, shown, one)
    at_once = tuple(replace(own, not_before=None) for own in current.owed)
    told = Passage(context, teller, shown).deliver(replace(current, owed=at_once))
    if any(own.id == one.event.id for own in told.owed) or _given_up(context, one) is not None:
        raise _not_taken(one)


def _owing(context: Context, one: Waiting, record: CacheRecord) -> CacheRecord:
    """Return the record as it is now, if it still owes the event and no earlier event of the image is owed."""
    for other in cache.image_records(context.layout, record.image):
        for owed in other.owed:
            if owed.id == one.event.id:
                if other.state not in (State.ENDORSED, State.EXPIRED):
                    raise EventInPassage(event=owed.id, kind=owed.kind.value, image=one.image)
                return other
            raise EarlierEventOwed(event=one.event.id, earlier=owed.id, image=one.image)
    raise NoSuchEvent(event=one.event.id)


def _tell_new_image(context: Context, teller: Teller, one: Waiting) -> None:
    owed = subscriptions.read_fetch_notes(context.layout, one.list_id).owed
    if all(event.id != one.event.id for _, event in owed):
        raise NoSuchEvent(event=one.event.id)
    described = image_descriptions(context, one.list_id)
    if described is None:
        raise NoListYet(list_id=one.list_id)
    if one.image not in described:
        now = "is no longer in its list"
        raise EventOvertaken(event=one.event.id, kind=one.event.kind.value, image=one.image, now=now)
    if one.event.id not in tell_new_images(context, teller, one.list_id, only=one.event.id):
        raise _not_taken(one)
