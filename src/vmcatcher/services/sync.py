"""One run for everything: lists are brought up to date, then images, and whoever is to be told is told.

Both locks are held from the first list to the last event, so that nothing comes between what is planned and what is
done. A list that cannot be had stops no image of another.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from vmcatcher.errors import VmcatcherError
from vmcatcher.model.steps import Action, ListFate, ListStep, Step, Telling
from vmcatcher.services.cache import run_cache_locked
from vmcatcher.services.context import Failure
from vmcatcher.services.foresight import admitted_list, current_head, stand_now
from vmcatcher.services.list_steps import ListHead, ListState, head_of, list_step
from vmcatcher.services.memory import Memory
from vmcatcher.services.outcome import ImageOutcome
from vmcatcher.services.planning import PlanRequest, owed_now, planned, read_records
from vmcatcher.services.update import UpdateReport, update_locked
from vmcatcher.services.view_places import demand_places
from vmcatcher.store import snapshots, views

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vmcatcher.services.bringing import Brought
    from vmcatcher.services.cache import CacheReport, CacheRequest
    from vmcatcher.services.context import Context
    from vmcatcher.services.events import Teller
    from vmcatcher.services.foresight import Outlook
    from vmcatcher.services.judging import Judgement
    from vmcatcher.services.planning import Plan
    from vmcatcher.services.update import Tools

logger = logging.getLogger(__name__)
_UPDATE: Final = "the update of the lists"


@dataclass(frozen=True, slots=True)
class Tellers:
    """Who tells events: of lists, and of images."""

    lists: Teller
    images: Teller


class Outcome(StrEnum):
    """What became of a step."""

    DONE = "done"
    FAILED = "failed"
    LEFT = "left"
    """Something was decided meanwhile; the next run sees to it."""


@dataclass(frozen=True, slots=True)
class StepDone:
    """One step and what became of it."""

    step: Step
    outcome: Outcome
    errors: tuple[VmcatcherError, ...] = ()
    fetched: Brought | None = None
    """How many bytes came, and from where; None where none had to."""


@dataclass(frozen=True, slots=True)
class EventDone:
    """An event that an earlier run promised."""

    telling: Telling
    is_told: bool
    """Whether it is owed no more: the handler took it, or it was given up."""


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What a run did, list by list and image by image."""

    lists: tuple[ListStep, ...]
    images: tuple[StepDone, ...]
    events: tuple[EventDone, ...]
    plan: Plan
    """What was planned for the images once the lists were up to date."""
    failed: tuple[Failure, ...]


def sync(context: Context, tools: Tools, tellers: Tellers, request: CacheRequest) -> SyncReport:
    """Bring lists and images up to date, tell what is owed, and return what was done and what was not.

    Raises:
        StoreHeld: an update or a cache run is going on; nothing was done.
        ViewDirectoryMissing, ViewsCollide, HardLinksImpossible: the views cannot be made; nothing was done.
    """
    demand_places(context.layout, request.views)
    views.demand_linkable(context.layout, request.views)
    asked = PlanRequest(
        request.views,
        request.keep_until_replaced,
        is_told_of_images=tellers.images.is_listening,
        is_told_of_lists=tellers.lists.is_listening,
        mirrors=tools.mirrors,
    )
    with context.lock("update"), context.lock("cache"):
        memory = Memory(context.layout)
        owed = _owed(context, asked, memory)
        before = _Before(context, memory)
        updated = _updated(context, tools, tellers.lists, memory)
        for failure in updated.failed:
            # Said when it happens, as those of images are.
            text = failure.error.one_line()
            logger.error("%s", text if failure.subject in text else f"{failure.subject}: {text}")
        outlook = stand_now(context, tools.anchors, tools.rules, memory)
        lists = tuple(before.steps(outlook, updated))
        plan = planned(context, asked, outlook, lists, memory)
        # It looks at everything again, and finds out anew what depends on anything that was decided meanwhile.
        done = run_cache_locked(context, tools, tellers.images, request, memory)
        still = {one.id for one in _owed(context, asked, memory)}
    events = tuple(EventDone(one, is_told=one.id not in still) for one in owed)
    failed = _each_once((*updated.failed, *done.failed))
    return SyncReport(lists, tuple(_images(plan, done)), events, plan, failed)


def _owed(context: Context, asked: PlanRequest, memory: Memory) -> tuple[Telling, ...]:
    records = read_records(context, memory)[0] if asked.is_told_of_images else ()
    return owed_now(context, asked, records)


def _updated(context: Context, tools: Tools, teller: Teller, memory: Memory) -> UpdateReport:
    """Bring the lists up to date; what ends that as a whole, as a full disk may, must not keep images in use."""
    try:
        return update_locked(context, tools, teller, memory=memory)
    except VmcatcherError as error:
        return UpdateReport((), (Failure(_UPDATE, error),))


class _Before:
    """The subscriptions as they were when the run began."""

    def __init__(self, context: Context, memory: Memory) -> None:
        self._context = context
        found, _ = memory.subscriptions()
        self._subscribed = {one.identifier: one for one in found}
        self._snapshots = {name: snapshots.current_snapshot(context.layout, name) for name in self._subscribed}

    def steps(self, outlook: Outlook, updated: UpdateReport) -> Iterator[ListStep]:
        """Yield what became of each list in the update."""
        found = {one.list_id: one for one in updated.done}
        why: dict[str, list[VmcatcherError]] = {}
        for failure in updated.failed:
            why.setdefault(failure.subject, []).append(failure.error)
        for list_id, judged in outlook.judged.items():
            one, subscription = found.get(list_id), self._subscribed.get(list_id)
            if subscription is None:
                continue  # it was subscribed to since
            fate = ListFate.REFUSED if one is None else ListFate.NEW if one.is_news else ListFate.UNCHANGED
            old, new = self._heads(judged, fate)
            before, after = ListState(subscription, old), ListState(judged.standing.subscription, new)
            problems = why.get(list_id, why.get(_UPDATE, []) if one is None else [])
            step = list_step(before, after, fate, problems)
            yield replace(step, announced=one.new_images if one is not None else ())

    def _heads(self, judged: Judgement, fate: ListFate) -> tuple[ListHead | None, ListHead | None]:
        if fate is not ListFate.NEW:
            head = current_head(self._context, judged)
            return head, head
        subscription = judged.standing.subscription
        snapshot = self._snapshots[subscription.identifier]
        old = admitted_list(self._context, subscription, snapshot) if snapshot is not None else None
        new = admitted_list(self._context, subscription)
        return head_of(old) if old else None, head_of(new) if new else None


def _images(plan: Plan, done: CacheReport) -> Iterator[StepDone]:
    found = {one.image: one for one in done.images}
    errors: dict[str, list[VmcatcherError]] = {}
    for failure in done.failed:
        errors.setdefault(failure.subject, []).append(failure.error)
    for step in plan.steps:
        own = tuple(errors.get(step.image, ()))
        became = found.get(step.image) or ImageOutcome(step.image, None)
        yield StepDone(step, _outcome(step, became, has_failed=bool(own)), own, became.fetched)
    planned = {step.image for step in plan.steps}
    # What nobody could foresee: bytes that were found corrupt, and fetched again.
    for became in done.images:
        if became.image not in planned and (became.expired or became.is_published or became.fetched):
            own = tuple(errors.get(became.image, ()))
            yield StepDone(_unforeseen(became), Outcome.DONE, own, became.fetched)


def _unforeseen(became: ImageOutcome) -> Step:
    reason = became.expired[0] if became.expired else None
    why = f"found during the run: {reason.value}" if reason else "found during the run"
    if became.expired:
        action = Action.REPLACE if became.is_published else Action.EXPIRE
    else:
        action = Action.PUBLISH if became.is_published else Action.RESTORE
    return Step(action, became.image, became.list_id or "", why, reason=reason)


def _outcome(step: Step, became: ImageOutcome, *, has_failed: bool) -> Outcome:
    if step.action is Action.EXPIRE:
        is_done = bool(became.expired)
    elif step.action in (Action.PUBLISH, Action.REPLACE):
        is_done = became.is_published
    else:
        is_done = not has_failed
    return Outcome.DONE if is_done else Outcome.FAILED if has_failed else Outcome.LEFT


def _each_once(failed: Iterable[Failure]) -> tuple[Failure, ...]:
    """Return the failures without those that update and cache run both met."""
    known = {(failure.subject, failure.error.one_line()): failure for failure in reversed(tuple(failed))}
    return tuple(reversed(known.values()))
