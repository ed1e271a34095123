"""From what has to happen to the steps that people read: each with its reason, and where its bytes come from."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from vmcatcher.errors import VmcatcherError, printable
from vmcatcher.errors.cache import GivenUp
from vmcatcher.model.instant import instant_text
from vmcatcher.model.record import MOST_TRIES, Reason, State
from vmcatcher.model.steps import Action, Room, Source, Step
from vmcatcher.model.subscription import Decided
from vmcatcher.services.context import Failure
from vmcatcher.services.sources import mirrors_of
from vmcatcher.services.supplying import Supply
from vmcatcher.store import blobs, views

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vmcatcher.model.plan import CachePlan, Leaving, Wanted
    from vmcatcher.model.record import CacheRecord
    from vmcatcher.model.subscription import Subscription
    from vmcatcher.services.context import Context
    from vmcatcher.services.foresight import Outlook
    from vmcatcher.services.sources import Mirrors
    from vmcatcher.store.views import Views

_WHY: Final = {
    Reason.WITHDRAWN: "its list does not name it any more",
    Reason.REPLACED: "its list names other bytes under this identifier",
    Reason.UNSUBSCRIBED: "it is not selected any more",
    Reason.REFUSED: "it is not accepted any more",
    Reason.VETOED: "its bytes have a veto",
    Reason.SUBSCRIPTION_DELETED: "its subscription was deleted",
    Reason.ENDORSER_UNLINKED: "whoever signed its list is no endorser of the subscription any more",
    Reason.SIGNER_REVOKED: "the certificate that signed its list was revoked",
    Reason.CA_REVOKED: "a CA above the certificate that signed its list was revoked",
    Reason.TRUST_LOST: "the certificate that signed its list is not trusted any more",
    Reason.LIST_EXPIRED: "its list is over",
    Reason.IMAGE_EXPIRED: "it is over",
    Reason.CORRUPT: "its bytes are corrupt",
}


@dataclass(frozen=True, slots=True)
class Ground:
    """What the steps are made from, besides the plan itself."""

    context: Context
    views: Views
    records: Sequence[CacheRecord]
    outlook: Outlook
    unread: frozenset[str]
    """Images of which a record cannot be read: nothing may come in for them."""
    mirrors: Mirrors
    keep_until_replaced: bool = False


@dataclass(frozen=True, slots=True)
class Made:
    """The steps, what they need, and what cannot be done."""

    steps: tuple[Step, ...]
    room: Room
    failed: tuple[Failure, ...]


def steps_of(todo: CachePlan, ground: Ground) -> Made:
    """Return the steps of a run in the order in which they are carried out. Nothing is changed."""
    maker = _Maker(ground)
    steps = tuple(maker.all(todo))
    return Made(steps, maker.supply.room(), tuple(maker.failed))


class _Maker:
    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._layout = ground.context.layout
        self.supply = Supply(self._layout, ground.mirrors)
        self.failed: list[Failure] = []
        newest: dict[str, CacheRecord] = {}
        for record in ground.records:
            newest[record.image] = record
        self._newest = newest

    def all(self, todo: CachePlan) -> Iterator[Step]:
        for record in self._ground.records:
            if record.state is State.EXPIRING:
                yield self._leaving(record, record.reason or Reason.WITHDRAWN, is_begun=True)
        yield from self._strays(todo)
        for leaving in (*todo.leave_first, *todo.give_up):
            yield self._leaving(leaving.record, leaving.reason)
        for record in todo.stay:
            yield from self._staying(record, todo.wanted.get(record.image))
        for leaving, wanted in todo.replace:
            yield from self._replacing(leaving, wanted)
        for wanted in todo.bring:
            if wanted.image.identifier not in self._ground.unread:
                yield from self._coming(wanted, Action.PUBLISH, self._decision(wanted))

    def _leaving(self, record: CacheRecord, reason: Reason, *, is_begun: bool = False) -> Step:
        is_shown = record.state in (State.ENDORSED, State.EXPIRING)
        why = _WHY[reason] + self._detail(record, reason)
        return Step(
            Action.EXPIRE if is_shown else Action.FORGET,
            record.image,
            record.list_id,
            f"an earlier run began with it: {why}" if is_begun else why,
            title=_text(record, "dc:title"),
            version=_text(record, "hv:version"),
            sha512=record.sha512,
            size_bytes=record.size_bytes,
            reason=reason,
        )

    def _detail(self, record: CacheRecord, reason: Reason) -> str:
        judged = self._ground.outlook.judged.get(record.list_id)
        if judged is not None and judged.refusal is not None and judged.standing.gone is reason:
            return f": {judged.refusal}"
        if reason in (Reason.LIST_EXPIRED, Reason.IMAGE_EXPIRED) and record.valid_until is not None:
            return f" since {instant_text(record.valid_until)}"
        return ""

    def _strays(self, todo: CachePlan) -> Iterator[Step]:
        """Yield links that no record stands behind; see `taking_up.drop_strays`."""
        vouched = {(one.image, one.sha512) for one in self._ground.records if one.is_active}
        vouched |= {(image, one.image.sha512) for image, one in todo.wanted.items()}
        cache = self._ground.views.cache
        for name, digest in views.own_links(self._layout, cache):
            known = self._newest.get(name)
            if (name, digest) in vouched or name in self._ground.unread:
                continue
            if known is not None and known.state is State.EXPIRING:
                continue
            path = os.path.join(cache, name)
            yield Step(Action.UNLINK, name, "", f"no record stands behind the link {printable(path)}")

    def _staying(self, record: CacheRecord, wanted: Wanted | None) -> Iterator[Step]:
        if wanted is None or wanted.image.sha512 != record.sha512:
            return
        if record.state is State.STAGED:
            yield from self._coming(wanted, Action.PUBLISH, "an earlier run verified its bytes and did not get further")
        elif not blobs.has_blob(self._layout, record.sha512, record.size_bytes):
            yield from self._coming(wanted, Action.RESTORE, "its bytes are missing from the store")
        elif not self._is_shown(record):
            yield self._step(wanted, Action.RESTORE, "its link in the endorsed view is missing", None)

    def _is_shown(self, record: CacheRecord) -> bool:
        shown, blob = self._ground.views, self._layout.blob(record.sha512)
        return views.is_shown(self._layout, shown, shown.cache, record.image, blob)

    def _replacing(self, leaving: Leaving, wanted: Wanted) -> Iterator[Step]:
        why = _WHY[leaving.reason]
        steps = list(self._coming(wanted, Action.REPLACE, why, leaving.reason))
        is_kept = self._ground.keep_until_replaced or wanted.keeps_old
        if not steps and not is_kept:
            steps = [self._leaving(leaving.record, leaving.reason)]
        yield from steps

    def _coming(self, wanted: Wanted, action: Action, why: str, reason: Reason | None = None) -> Iterator[Step]:
        image = wanted.image
        try:
            self._demand_tries_left(wanted)
            subscription = self._subscription(wanted)
            source = self.supply.source(image, subscription)
        except VmcatcherError as error:
            self.failed.append(Failure(image.identifier, error))
            return
        yield self._step(wanted, action, why, source, reason)

    def _demand_tries_left(self, wanted: Wanted) -> None:
        newest = self._newest.get(wanted.image.identifier)
        if newest is None or newest.sha512 != wanted.image.sha512 or newest.tries_list != wanted.list_sha512:
            return
        subscription = self._subscription(wanted)
        may_be_had = blobs.has_blob(self._layout, wanted.image.sha512, wanted.image.size_bytes) or any(
            mirrors_of(self._ground.mirrors, subscription)[0]
        )
        if newest.tries >= MOST_TRIES and not may_be_had:
            raise GivenUp(image=wanted.image.identifier, uri=wanted.image.uri, tries=newest.tries)

    def _step(
        self, wanted: Wanted, action: Action, why: str, source: Source | None, reason: Reason | None = None
    ) -> Step:
        image = wanted.image
        return Step(
            action,
            image.identifier,
            wanted.list_id,
            why,
            title=image.title,
            version=image.version,
            sha512=image.sha512,
            size_bytes=image.size_bytes,
            reason=reason,
            source=source,
        )

    def _subscription(self, wanted: Wanted) -> Subscription:
        return self._ground.outlook.judged[wanted.list_id].standing.subscription

    def _decision(self, wanted: Wanted) -> str:
        """Return who or what decided that an image is to be in the cache."""
        subscription = self._subscription(wanted)
        accepted = subscription.find(wanted.image.identifier)
        if accepted is not None and accepted.decided is Decided.BY_HAND:
            return "selected by hand"
        if accepted is not None and accepted.decided is Decided.BY_RULE:
            return f"the rule of its subscription chooses it: {subscription.where}"
        return "new images of its subscription are selected"


def _text(record: CacheRecord, name: str) -> str:
    value = record.fields.get(name)
    return str(value) if isinstance(value, str | int | float) else ""
