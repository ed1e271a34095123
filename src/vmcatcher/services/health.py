"""How everything stands, on one screen: lists, images, events, trust, space, locks. Nothing is changed, no lock taken.

What of it is not well, and how bad that is, `model.troubles` says.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

from vmcatcher.errors import VmcatcherError, answer, network
from vmcatcher.model.health import (
    Amount,
    EventHealth,
    Health,
    ImageState,
    ListHealth,
    LockHealth,
    Severity,
    SpaceHealth,
    Trouble,
)
from vmcatcher.model.subscription import register_images
from vmcatcher.model.troubles import troubles_of
from vmcatcher.services.clock import clock_trouble
from vmcatcher.services.context import Failure
from vmcatcher.services.foresight import admitted_list, stand_now
from vmcatcher.services.image_health import Shelf, leaving_images
from vmcatcher.services.memory import Memory
from vmcatcher.services.owed import waiting_events
from vmcatcher.services.planning import PlanRequest, planned, read_records
from vmcatcher.services.trust_health import trust_health
from vmcatcher.services.unchanged import is_settled
from vmcatcher.store import subscriptions
from vmcatcher.store.lock_holders import held_locks
from vmcatcher.store.stats import count_files, file_systems

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from vmcatcher.model.health import CertificateHealth, CrlHealth, ImageHealth
    from vmcatcher.model.identity import Sha512
    from vmcatcher.model.imagelist import ImageList
    from vmcatcher.model.troubles import Patience
    from vmcatcher.services.context import Context
    from vmcatcher.services.foresight import Outlook
    from vmcatcher.services.judging import Judgement
    from vmcatcher.store.views import Views
    from vmcatcher.trust.anchors import TrustAnchors
    from vmcatcher.trust.rules import TrustRules


@dataclass(frozen=True, slots=True)
class HealthRequest:
    """What to look at, and from when on to be troubled."""

    views: Views
    rules: TrustRules
    anchors: TrustAnchors | VmcatcherError
    """The trust-anchor directory, or why it cannot be used."""
    patience: Patience


def look_at_health(context: Context, request: HealthRequest) -> Health:
    """Return how everything stands; what cannot be looked at is a trouble, and hides nothing else.

    Raises:
        StoreInputOutput, StoreUnreadable: a directory of the store cannot be read.
    """
    anchors = None if isinstance(request.anchors, VmcatcherError) else request.anchors
    memory = Memory(context.layout)
    outlook = _outlook(context, anchors, request.rules, memory)
    plan = planned(context, PlanRequest(request.views), outlook, memory=memory)
    records, _ = read_records(context, memory)
    shelf = Shelf(context, request.views, plan, records)
    lists: list[ListHealth] = []
    images: list[ImageHealth] = []
    wanted: set[Sha512] = set()
    for judged in outlook.judged.values():
        current = _current(context, request.rules, judged)
        own = list(shelf.selected_images(judged, current.listed))
        images += own
        wanted |= current.wanted(judged)
        lists.append(_list_health(context, judged, current, own))
    leaving = tuple(leaving_images(plan, context.now))
    gone = {one.image for one in leaving}
    events, unread = _events(context, memory)
    counted = count_files(context.layout, request.views, frozenset(wanted), records)
    certificates, crls = _trust(outlook, anchors, request.rules)
    health = Health(
        store=context.layout.root,
        now=context.now,
        lists=tuple(lists),
        images=(*(one for one in images if one.image not in gone or one.state is ImageState.OUTDATED), *leaving),
        events=events,
        certificates=certificates,
        crls=crls,
        locks=_locks(context),
        amounts=tuple(Amount(one.kind, one.count, one.size_bytes) for one in counted if one.size_bytes is not None),
        spaces=tuple(SpaceHealth(one.path, one.total_bytes, one.free_bytes) for one in file_systems(context.layout)),
        fetch_bytes=plan.room.needed_bytes,
        clock=clock_trouble(context) or "",
        unread=tuple(_unread(request, (*outlook.failed, *unread))),
    )
    return replace(health, troubles=troubles_of(health, request.patience))


def _outlook(context: Context, anchors: TrustAnchors | None, rules: TrustRules, memory: Memory) -> Outlook:
    try:
        return stand_now(context, anchors, rules, memory)
    except VmcatcherError as error:
        # An endorser that cannot be read: whom the lists are trusted from nobody can say, but what there is can be.
        blind = stand_now(context, None, rules, memory)
        return replace(blind, failed=(*blind.failed, Failure("endorsers", error)))


@dataclass(frozen=True, slots=True)
class _Current:
    """The current list of a subscription, trusted or not; its selected images at least, where it can be read."""

    listed: ImageList | None
    named: int = 0
    undecided: int = 0

    def wanted(self, judged: Judgement) -> set[Sha512]:
        """Return the bytes that it names and the operator selected."""
        selected = judged.standing.subscription.selected
        return {one.sha512 for one in self.listed.images if one.identifier in selected} if self.listed else set()


def _current(context: Context, rules: TrustRules, judged: Judgement) -> _Current:
    subscription, listed = judged.standing.subscription, judged.standing.listed
    newest = judged.snapshot if listed is not None else None
    if newest is not None and is_settled(context, rules, subscription, newest):
        return _Current(listed, judged.named)  # all are known, and need not be read to be counted
    listed = admitted_list(context, subscription)
    if listed is None:
        return _Current(None)
    registered = register_images(subscription, [one.identifier for one in listed.images], owned_elsewhere=())
    return _Current(listed, len(listed.images), len(registered.undecided))


def _list_health(context: Context, judged: Judgement, current: _Current, images: Sequence[ImageHealth]) -> ListHealth:
    subscription = judged.standing.subscription
    notes = subscriptions.read_fetch_notes(context.layout, subscription.identifier)
    health = ListHealth(
        subscription.identifier,
        subscription.uri,
        subscription.added,
        attempted=notes.attempted,
        succeeded=notes.succeeded,
        error_id=notes.error_id or "",
        error=notes.error or "",
        is_error_temporary=notes.error_id in _temporary(),
        distrust=str(judged.refusal) if judged.refusal else "",
        admitted=judged.snapshot.kept if judged.snapshot else None,
        selected=len(images),
        present=sum(1 for one in images if one.state is ImageState.PRESENT),
    )
    listed = current.listed
    if listed is None:
        return health
    return replace(
        health,
        title=listed.title,
        version=listed.version,
        created=listed.created,
        expires=listed.expires,
        named=current.named,
        undecided=current.undecided,
    )


@cache
def _temporary() -> frozenset[str]:
    """Return the ids of the errors that may pass by themselves; bookkeeping keeps no more than the id."""
    rooms = (network, answer)
    kinds = (kind for room in rooms for kind in vars(room).values() if isinstance(kind, type))
    return frozenset(kind.id for kind in kinds if issubclass(kind, VmcatcherError) and kind.exit_code == 75)


def _events(context: Context, memory: Memory) -> tuple[EventHealth, Sequence[Failure]]:
    found = waiting_events(context, memory.records)
    owed = [one for one in found.events if not one.is_failed]
    given_up = [one.given_up for one in found.events if one.given_up is not None]
    refused = sum(1 for one in owed if one.event.attempts)
    return EventHealth(len(owed), refused, len(given_up), max(given_up, default=None)), found.unread


def _trust(
    outlook: Outlook, anchors: TrustAnchors | None, rules: TrustRules
) -> tuple[tuple[CertificateHealth, ...], tuple[CrlHealth, ...]]:
    if anchors is None:
        return (), ()
    certificates, crls = trust_health(outlook.judged.values(), anchors)
    # What the operator does not ask for is not missed.
    is_asked = {"require": True, "if-present": False, "off": False}[rules.crl]
    return certificates, tuple(one for one in crls if is_asked or (rules.crl != "off" and one.made is not None))


def _locks(context: Context) -> tuple[LockHealth, ...]:
    held = held_locks(context.layout, context.now)
    # A claim of a process that is gone is broken by whoever comes next, and keeps nobody out.
    return tuple(
        LockHealth(one.lock, one.holder, one.since, one.claim) for one in held if one.fate in ("running", "elsewhere")
    )


def _unread(request: HealthRequest, failed: Iterable[Failure]) -> Iterator[Trouble]:
    if isinstance(request.anchors, VmcatcherError):
        error = request.anchors
        yield Trouble(error.id, Severity.WRONG, "trust", error.one_line())
    told: set[tuple[str, str]] = set()
    for failure in failed:
        text = failure.error.one_line()
        if (failure.subject, text) not in told:
            told.add((failure.subject, text))
            yield Trouble(failure.error.id, Severity.WRONG, failure.subject, text)
