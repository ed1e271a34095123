"""Bringing subscriptions up to date: fetch, verify, parse, admit, keep, register, tell.

The servers are asked ahead, a few at a time. Everything else happens list by list, in the order in which the
subscriptions were made, so that what is written, told and said does not depend on who answered first.
"""

from __future__ import annotations

import itertools
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vmcatcher.errors import VmcatcherError
from vmcatcher.errors.requests import NoSuchSubscription
from vmcatcher.services.admitting import Updated, admit, offered, read, take
from vmcatcher.services.ahead import Ahead, Errand
from vmcatcher.services.asking import Asking, access_for, asking, headings
from vmcatcher.services.clock import clock_trouble
from vmcatcher.services.context import Failure
from vmcatcher.services.new_images import tell_new_images
from vmcatcher.services.repairing import lost_subscriptions, mend_subscription
from vmcatcher.services.settling import Owners, note_failure
from vmcatcher.services.signers import Signers
from vmcatcher.services.sources import NO_MIRRORS, Mirrors
from vmcatcher.services.unchanged import holds_still, is_unchanged, noted_in
from vmcatcher.store import prints
from vmcatcher.trust.verify import verify

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from vmcatcher.model.identity import ListId
    from vmcatcher.model.imagelist import ParsedList
    from vmcatcher.model.subscription import Subscription
    from vmcatcher.model.verified import VerifiedList
    from vmcatcher.services.admitting import Offered
    from vmcatcher.services.context import Context
    from vmcatcher.services.events import Teller
    from vmcatcher.services.memory import Memory
    from vmcatcher.transport.results import Fetched, NotModified
    from vmcatcher.transport.transport import Transport
    from vmcatcher.trust.anchors import TrustAnchors
    from vmcatcher.trust.rules import TrustRules

__all__ = [
    "LookedAhead",
    "Tools",
    "UpdateReport",
    "Updated",
    "access_for",
    "look_ahead",
    "look_ahead_all",
    "prove",
    "update_all",
    "update_locked",
]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Tools:
    """What reaches outside the store: the network and the trust-anchor directory."""

    transport: Transport
    anchors: TrustAnchors
    rules: TrustRules
    trust_directory: str
    mirrors: Mirrors = NO_MIRRORS
    """Where else than at the listed locations images may be."""
    list_jobs: int = 1
    """How many lists are fetched at a time."""


@dataclass(frozen=True, slots=True)
class UpdateReport:
    """What an update did. A list can be in both: kept, with something about it that needs the operator."""

    done: tuple[Updated, ...]
    """In the order in which the subscriptions were made."""
    failed: tuple[Failure, ...]

    @property
    def admitted(self) -> tuple[Updated, ...]:
        """The lists that were kept as new current ones."""
        return tuple(one for one in self.done if one.is_news)

    @property
    def unchanged(self) -> tuple[Updated, ...]:
        """The lists that are what they were."""
        return tuple(one for one in self.done if not one.is_news)


@dataclass(frozen=True, slots=True)
class LookedAhead:
    """A list as an update would admit it now."""

    verified: VerifiedList
    parsed: ParsedList
    is_news: bool
    version_before: str | None
    """That of the newest list admitted here; None where there is none."""
    warning: str | None
    """What the update would warn of."""


def update_all(context: Context, tools: Tools, teller: Teller, *, only: Collection[str] | None = None) -> UpdateReport:
    """Bring every subscription up to date, or `only` these; one that fails never stops the others.

    Raises:
        StoreHeld: another update is running.
    """
    with context.lock("update"):
        return update_locked(context, tools, teller, only=only)


def update_locked(
    context: Context, tools: Tools, teller: Teller, *, only: Collection[str] | None = None, memory: Memory | None = None
) -> UpdateReport:
    """Do what `update_all` does, for a caller that holds the lock `update`; `memory` is what it knows of this run."""
    trouble = clock_trouble(context)
    if trouble is not None:
        logger.warning("%s", trouble)
    return _Update(context, tools, teller).run(only, memory)


class _Update:
    """One run over all subscriptions."""

    def __init__(self, context: Context, tools: Tools, teller: Teller) -> None:
        self._context = context
        self._tools = tools
        self._teller = teller
        self._owners = Owners()
        self._signers = Signers(context, tools)
        self._done: list[Updated] = []
        self._failed: list[Failure] = []

    def run(self, only: Collection[str] | None, memory: Memory | None) -> UpdateReport:
        """Bring everything up to date, or only what is named."""
        found, unreadable = headings(self._context, memory)
        lost = (*lost_subscriptions(self._context), *(Failure(name, error) for name, error in unreadable.items()))
        self._failed.extend(one for one in lost if only is None or one.subject in only)
        found = [heading for heading in found if only is None or heading.identifier in only]
        # Before the first request: what is asked for must not depend on how far the others have come.
        all_asked = [self._asking(heading) for heading in found]
        with _ahead(self._tools, [one for one in all_asked if isinstance(one, Asking)]) as answers:
            turn = 0
            for heading, one in zip(found, all_asked, strict=True):
                logger.info("updating %s", heading.identifier)
                if isinstance(one, Asking):
                    self._update(one, answers, turn)
                    turn += 1
                else:
                    self._fail(heading.identifier, one)
                    self._tell(heading.identifier)
        self._teller.write_log()
        return UpdateReport(tuple(self._done), tuple(self._failed))

    def _asking(self, heading: Subscription) -> Asking | VmcatcherError:
        noted = noted_in(self._context, self._tools.rules, heading)
        if noted is None or noted.is_old:
            # Somebody wrote to what lies beside it, or it was not looked at for long.
            self._mend(heading.identifier)
        try:
            return asking(self._context, self._tools, heading, noted)
        except VmcatcherError as error:
            return error

    def _mend(self, list_id: str) -> None:
        try:
            said = mend_subscription(self._context, list_id)
        except VmcatcherError as error:
            said = [error]
        self._failed.extend(Failure(list_id, one) for one in said)

    def _update(self, asked: Asking, answers: Ahead, turn: int) -> None:
        list_id, noted = asked.list_id, asked.noted
        try:
            answer = answers.answer(turn)
            if noted is not None and is_unchanged(self._context, self._signers, asked.heading, noted, answer):
                version = noted.settled.version
                # Nobody is owed an event either: that was noted, too.
                self._done.append(Updated(list_id, is_news=False, version=version, version_before=version))
                return
            updated, problems = self._take(asked, answer)
            self._done.append(updated)
            self._failed.extend(Failure(list_id, problem) for problem in problems)
        except NoSuchSubscription:
            return
        except VmcatcherError as error:
            if prints.print_of(self._context.layout.subscription(list_id)) == prints.NOTHING:
                return  # it was deleted while its server was asked: nobody wants to hear of it
            self._fail(list_id, error)
        self._tell(list_id)

    def _take(self, asked: Asking, answer: Fetched | NotModified) -> tuple[Updated, tuple[VmcatcherError, ...]]:
        offer = offered(self._context, self._tools, self._signers, asked, answer)
        is_listening = self._teller.is_listening
        return take(self._context, self._signers, asked, offer, self._owners, is_listening=is_listening)

    def _fail(self, list_id: str, error: VmcatcherError) -> None:
        note_failure(self._context, list_id, error)
        self._failed.append(Failure(list_id, error))

    def _tell(self, list_id: str) -> None:
        try:
            tell_new_images(self._context, self._teller, list_id)
        except VmcatcherError as error:
            self._failed.append(Failure(list_id, error))


def _ahead(tools: Tools, asked: Sequence[Asking]) -> Ahead:
    return Ahead([_errand(tools, one) for one in asked], jobs=tools.list_jobs, halt=tools.transport.halt)


def _errand(tools: Tools, asked: Asking) -> Errand:
    host = None if asked.location.scheme == "file" else asked.location.host
    return Errand(host, lambda: tools.transport.fetch_list(asked.location, asked.access, known=asked.known))


def look_ahead(context: Context, tools: Tools, subscription: Subscription) -> LookedAhead:
    """Return the list that an update would admit now for a subscription. Nothing is written, and no lock is taken.

    Raises:
        VmcatcherError: it would admit none, for that reason.
    """
    ((_, found),) = look_ahead_all(context, tools, (subscription,))
    if isinstance(found, VmcatcherError):
        raise found
    assert found is not None, "it was wanted whole"
    return found


def look_ahead_all(
    context: Context, tools: Tools, wanted: Iterable[Subscription], *, whole: bool = True
) -> Iterator[tuple[ListId, LookedAhead | VmcatcherError | None]]:
    """Yield, for one subscription after the other, what `look_ahead` returns or raises.

    Unless each list is wanted `whole`, None stands for one that is the current one, and of which the update would look
    at no more than that. The servers are asked ahead, as an update asks them. One by one, because a thousand lists may
    take much memory.
    """
    signers = Signers(context, tools)
    all_asked: list[Asking | tuple[ListId, VmcatcherError]] = []
    for subscription in wanted:
        try:
            noted = noted_in(context, tools.rules, subscription)
            all_asked.append(asking(context, tools, subscription, noted))
        except VmcatcherError as error:
            all_asked.append((subscription.identifier, error))
    with _ahead(tools, [one for one in all_asked if isinstance(one, Asking)]) as answers:
        turns = itertools.count()
        for one in all_asked:
            if not isinstance(one, Asking):
                yield one
                continue
            try:
                answer = answers.answer(next(turns))
                if not whole and one.noted and holds_still(context, signers, one.heading, one.noted, answer):
                    yield one.list_id, None
                    continue
                offer = offered(context, tools, signers, one, answer)
                yield one.list_id, _looked_ahead(context, one.heading, offer)
            except VmcatcherError as error:
                yield one.list_id, error


def _looked_ahead(context: Context, subscription: Subscription, offer: Offered) -> LookedAhead:
    taken, newest = admit(context, subscription, offer.verified, offer.parsed.imagelist)
    return LookedAhead(offer.verified, offer.parsed, taken.is_news, newest.version if newest else None, taken.warning)


def prove(signed: bytes, tools: Tools, context: Context) -> tuple[VerifiedList, ParsedList]:
    """Verify a signed list, read it, and demand that it names its signer.

    Raises:
        ListRefused: signature, certificate, namespace or revocation (11).
        ContentRefused, NotAnImageList, ListFieldMissing, …: what was signed is no usable list (37, 38).
        SignerNotNamed: the list names somebody else (12).
    """
    verified = verify(signed, tools.anchors, context.now, tools.rules)
    return verified, read(verified)
