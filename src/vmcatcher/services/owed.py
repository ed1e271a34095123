"""Events that no handler has taken yet: those still owed, which runs tell, and those given up, which an operator can.

Runs tell what is owed by themselves (`services.passage`, `services.new_images`). Here an operator looks at it, has it
told at once, or has it forgotten.
"""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vmcatcher.errors import VmcatcherError
from vmcatcher.errors.events import AmbiguousEvent, NoSuchEvent
from vmcatcher.model.event import PREFIX, about_file
from vmcatcher.services.context import Failure
from vmcatcher.services.events import record_variables
from vmcatcher.services.new_images import image_descriptions, strike
from vmcatcher.services.passage import filename_of
from vmcatcher.store import cache, events, subscriptions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from vmcatcher.model.event import OwedEvent
    from vmcatcher.model.record import CacheRecord
    from vmcatcher.services.context import Context
    from vmcatcher.store.locks import LockName

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Waiting:
    """One event that no handler has taken."""

    event: OwedEvent
    image: str
    list_id: str
    variables: Mapping[str, str]
    """What is about the image, as a handler gets it."""
    record: CacheRecord | None = None
    """The cached version that owes it; None for SubscriptionImageNew and for events given up."""
    given_up: datetime | None = None
    """When it was told for the last time; None while it is owed."""
    why: str = ""
    """Why it was given up."""

    @property
    def is_failed(self) -> bool:
        """Tell whether it was given up: no run tells it any more."""
        return self.given_up is not None


@dataclass(frozen=True, slots=True)
class WaitingEvents:
    """Every event that no handler has taken, and what of the store could not be read."""

    events: tuple[Waiting, ...]
    unread: tuple[Failure, ...]


def waiting_events(context: Context, reader: cache.RecordReader | None = None) -> WaitingEvents:
    """Return the owed events in the order in which they would be told, then those that were given up, oldest first.

    What `reader` has read of the records is not read again.
    """
    unread: list[Failure] = []
    reader = reader or cache.RecordReader(context.layout)
    owed = [*_owed_by_records(context, reader, unread), *_owed_by_lists(context, unread)]
    # A run that died between keeping an event aside and striking it off left it in both places; runs still tell it.
    known = {one.event.id for one in owed}
    given_up = [one for one in _given_up(context, unread) if one.event.id not in known]
    return WaitingEvents((*owed, *given_up), tuple(unread))


def _owed_by_records(context: Context, reader: cache.RecordReader, unread: list[Failure]) -> Iterator[Waiting]:
    for image in cache.cached_images(context.layout):
        records, errors = reader.readable(image)
        unread.extend(Failure(image, error) for error in errors)
        for record in records:
            reason = record.reason.value if record.reason else None
            for owed in record.owed:
                variables = {**record_variables(record), **about_file(filename_of(owed, record), reason)}
                yield Waiting(owed, record.image, record.list_id, variables, record)


def _owed_by_lists(context: Context, unread: list[Failure]) -> Iterator[Waiting]:
    for list_id in subscriptions.subscribed(context.layout):
        notes = subscriptions.read_fetch_notes(context.layout, list_id)
        if not notes.owed:
            continue
        try:
            described = image_descriptions(context, list_id) or {}
        except VmcatcherError as error:
            unread.append(Failure(list_id, error))
            described = {}
        for image, owed in notes.owed:
            plain = {PREFIX + "DC_IDENTIFIER": str(image), PREFIX + "IL_DC_IDENTIFIER": list_id}
            yield Waiting(owed, image, list_id, described.get(image, plain))


def _given_up(context: Context, unread: list[Failure]) -> Iterator[Waiting]:
    failed, errors = events.failed_events(context.layout)
    unread.extend(Failure("events given up", error) for error in errors)
    for one in failed:
        image = one.variables.get(PREFIX + "DC_IDENTIFIER", "")
        list_id = one.variables.get(PREFIX + "IL_DC_IDENTIFIER", "")
        yield Waiting(one.event, image, list_id, one.variables, given_up=one.given_up, why=one.why)


def choose(found: Iterable[Waiting], beginning: str) -> Waiting:
    """Return the event whose identifier begins so; the whole identifier always means that one event.

    Raises:
        NoSuchEvent: none does.
        AmbiguousEvent: several do.
    """
    fitting = [one for one in found if beginning and one.event.id.startswith(beginning)]
    exact = [one for one in fitting if one.event.id == beginning]
    if not fitting:
        raise NoSuchEvent(event=beginning)
    if len(exact or fitting) > 1:
        raise AmbiguousEvent(event=beginning, count=len(fitting))
    return (exact or fitting)[0]


def forget(context: Context, one: Waiting) -> None:
    """Forget an event: it is not told any more. What it says has happened all the same.

    Raises:
        NoSuchEvent: a run told it meanwhile.
        StoreHeld: a run is going on that may be telling it.
    """
    lock: LockName = "cache" if one.record is not None else "update"
    # What was given up is told by nobody but `retelling`, which looks again before it keeps it once more.
    with contextlib.nullcontext() if one.is_failed else context.lock(lock):
        with context.lock("store"):
            is_done = events.drop_failed(context.layout, one.event.id)
        if one.record is not None:
            is_done = _forget_of_record(context, one.record, one.event)
        elif not one.is_failed:
            is_done = _forget_of_list(context, one)
    if not is_done:
        raise NoSuchEvent(event=one.event.id)
    logger.info("forgot %s %s of image %s", one.event.kind.value, one.event.id, one.image)


def _forget_of_record(context: Context, record: CacheRecord, event: OwedEvent) -> bool:
    with context.lock("store"):
        current = cache.read_record(context.layout, record.image, record.number)
        if current is None or all(own.id != event.id for own in current.owed):
            return False
        cache.put_record(context.layout, current.struck(event))
        return True


def _forget_of_list(context: Context, one: Waiting) -> bool:
    for image, owed in subscriptions.read_fetch_notes(context.layout, one.list_id).owed:
        if owed.id == one.event.id:
            strike(context, one.list_id, image)
            return True
    return False
