"""What a run would do now, and why: lists, images, events, bytes. Nothing is written, and no lock is taken.

`services.sync` makes its plan here, too, once its lists are up to date, so that what `plan` shows is what is done.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vmcatcher.model.plan import plan_cache
from vmcatcher.model.record import State
from vmcatcher.model.steps import ListFate, ListStep, Room, Step, Telling
from vmcatcher.services.clock import clock_trouble
from vmcatcher.services.context import Failure
from vmcatcher.services.foreseeing import stand_then
from vmcatcher.services.foresight import current_head, stand_now
from vmcatcher.services.list_steps import ListState, list_step
from vmcatcher.services.sources import NO_MIRRORS
from vmcatcher.services.stepping import Ground, steps_of
from vmcatcher.store import cache, subscriptions
from vmcatcher.store.vetoes import vetoed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vmcatcher.model.record import CacheRecord
    from vmcatcher.services.context import Context
    from vmcatcher.services.foresight import Outlook
    from vmcatcher.services.judging import Judgement
    from vmcatcher.services.memory import Memory
    from vmcatcher.services.sources import Mirrors
    from vmcatcher.services.update import Tools
    from vmcatcher.store.views import Views

logger = logging.getLogger(__name__)
_UNDER_WAY = (State.STAGED, State.ENDORSED, State.FAILING)


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """What the plan is for."""

    views: Views
    keep_until_replaced: bool = False
    is_told_of_images: bool = False
    """Whether a handler is told what comes and goes; without one nothing is told."""
    is_told_of_lists: bool = False
    """Whether one is told which images are new in a list."""
    mirrors: Mirrors = NO_MIRRORS


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would do, in the order in which it would be done."""

    lists: tuple[ListStep, ...]
    steps: tuple[Step, ...]
    owed: tuple[Telling, ...]
    """Events that earlier runs promised, those that have to wait yet included."""
    room: Room
    failed: tuple[Failure, ...]
    """What could not be done."""
    notes: tuple[str, ...] = ()
    """What whoever reads the plan has to know."""

    @property
    def has_changes(self) -> bool:
        """Tell whether the run would change anything but its own bookkeeping."""
        is_news = any(one.fate is ListFate.NEW or one.moves_to or one.accepted or one.selected for one in self.lists)
        return is_news or bool(self.steps) or any(one.not_before is None for one in self.owed)

    @property
    def fetch_bytes(self) -> int:
        """How many bytes would be fetched."""
        return sum(one.source.fetch_bytes for one in self.steps if one.source is not None)


def plan_offline(context: Context, tools: Tools, request: PlanRequest) -> Plan:
    """Return what a run would do with the lists that are there; no list is asked for.

    Raises:
        DocumentDamaged, DocumentLost: an endorser cannot be read, so nobody can tell.
    """
    outlook = stand_now(context, tools.anchors, tools.rules)
    return planned(context, request, outlook, tuple(_not_asked(context, one) for one in outlook.judged.values()))


def plan_online(context: Context, tools: Tools, request: PlanRequest) -> Plan:
    """Return what a run would do now: the lists are fetched and judged as it would, and not kept.

    Raises:
        DocumentDamaged, DocumentLost: an endorser cannot be read, so nobody can tell.
    """
    foreseen = stand_then(context, tools, is_listening=request.is_told_of_lists)
    return planned(context, request, foreseen.outlook, foreseen.lists)


def _not_asked(context: Context, judged: Judgement) -> ListStep:
    state = ListState(judged.standing.subscription, current_head(context, judged))
    return list_step(state, state, ListFate.NOT_ASKED, ())


def planned(
    context: Context,
    request: PlanRequest,
    outlook: Outlook,
    lists: tuple[ListStep, ...] = (),
    memory: Memory | None = None,
) -> Plan:
    """Return what follows for the images, and what is owed, from how the lists stand."""
    records, failed = read_records(context, memory)
    wrong = frozenset(failure.subject for failure in failed)
    under_way = [one for one in records if one.state in _UNDER_WAY]
    todo = plan_cache(under_way, outlook.standings, context.now, vetoed(context.layout), outlook.unread)
    trouble = clock_trouble(context)
    if trouble is not None:
        todo = replace(todo, leave_first=(), replace=(), give_up=())
    ground = Ground(
        context,
        request.views,
        records,
        outlook,
        wrong,
        request.mirrors,
        keep_until_replaced=request.keep_until_replaced,
    )
    made = steps_of(todo, ground)
    return Plan(
        lists,
        made.steps,
        owed_now(context, request, records),
        made.room,
        (*outlook.failed, *failed, *made.failed),
        () if trouble is None else (trouble,),
    )


def read_records(context: Context, memory: Memory | None = None) -> tuple[list[CacheRecord], list[Failure]]:
    """Return the records that can be read, and why others cannot; what `memory` knows of them is not read again."""
    reader = memory.records if memory is not None else cache.RecordReader(context.layout)
    found: list[CacheRecord] = []
    failed: list[Failure] = []
    for image in cache.cached_images(context.layout):
        records, errors = reader.readable(image)
        found.extend(records)
        failed.extend(Failure(image, error) for error in errors)
    return found, failed


def owed_now(
    context: Context, request: PlanRequest, records: Iterable[CacheRecord] | None = None
) -> tuple[Telling, ...]:
    """Return the events that earlier runs promised and a handler is there for; `records` are those of the cache."""
    found: list[Telling] = []
    if request.is_told_of_lists:
        found.extend(_owed_by_lists(context))
    if request.is_told_of_images:
        found.extend(_owed_by_records(context, read_records(context)[0] if records is None else records))
    return tuple(found)


def _owed_by_records(context: Context, records: Iterable[CacheRecord]) -> Iterator[Telling]:
    for record in records:
        # What a version on its way in or out owes is told when it goes on.
        for owed in record.owed if record.state in (State.ENDORSED, State.EXPIRED) else ():
            wait = None if owed.is_due(context.now) else owed.not_before
            yield Telling(owed.kind, record.image, record.list_id, owed.attempts, owed.id, wait)


def _owed_by_lists(context: Context) -> Iterator[Telling]:
    for list_id in subscriptions.subscribed(context.layout):
        for image, owed in subscriptions.read_fetch_notes(context.layout, list_id).owed:
            wait = None if owed.is_due(context.now) else owed.not_before
            yield Telling(owed.kind, image, list_id, owed.attempts, owed.id, wait)
