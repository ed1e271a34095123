"""One list on its way in: verified, read and admitted in memory, and then kept with everything that follows from it.

Everything before the store lock is proved without it; under the lock the decisions are read again, the pure rules
decide, and the snapshot is put (the commit). What follows from it is done again by the next run if this one is
interrupted.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vmcatcher.errors import printable
from vmcatcher.errors.requests import NoSuchSubscription
from vmcatcher.model import admission
from vmcatcher.model.imagelist import parse_image_list
from vmcatcher.model.validity import limit_of
from vmcatcher.services.asking import is_unmodified_helpful, whole_digest
from vmcatcher.services.newest import compare, is_same_proof, newest_admitted, put_mark, say_newest
from vmcatcher.services.settling import note_success, settle
from vmcatcher.services.unchanged import settled_as
from vmcatcher.store import endorsers, snapshots, subscriptions
from vmcatcher.transport.results import Fetched, Validators

if TYPE_CHECKING:
    from vmcatcher.errors import VmcatcherError
    from vmcatcher.model.identity import ImageId, ListId
    from vmcatcher.model.imagelist import ImageList, ParsedList
    from vmcatcher.model.subscription import Subscription
    from vmcatcher.model.verified import VerifiedList
    from vmcatcher.services.asking import Asking
    from vmcatcher.services.context import Context
    from vmcatcher.services.settling import Owners
    from vmcatcher.services.signers import Signers
    from vmcatcher.services.update import Tools
    from vmcatcher.store.snapshots import Snapshot
    from vmcatcher.transport.results import NotModified

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Offered:
    """What a server has for a subscription, verified and read."""

    verified: VerifiedList
    parsed: ParsedList
    validators: Validators
    current: Snapshot | None
    """The snapshot that is current here, if it is whole."""
    damaged: Snapshot | None
    """The current one where it is not whole."""


@dataclass(frozen=True, slots=True)
class Updated:
    """One subscription that was brought up to date."""

    list_id: ListId
    is_news: bool
    """Whether its list was kept as a new current one; if not, it is what it was."""
    new_images: tuple[str, ...] = ()
    """Identifiers that SubscriptionImageNew is owed for; none where nobody listens."""
    version: str = ""
    version_before: str | None = None
    """That of the newest list admitted before; None where this is the first."""
    appeared: tuple[ImageId, ...] = ()
    """Images that the list names, and did not name at the last update; none at the first one."""


def offered(context: Context, tools: Tools, signers: Signers, asking: Asking, answer: Fetched | NotModified) -> Offered:
    """Return the list that an answer is or speaks of. Nothing is written.

    A server that says "not modified" of a snapshot that meanwhile turned out to be no use is asked once more.

    Raises:
        NetworkError: the list could not be fetched.
        ListRefused, ContentRefused, …: it cannot be trusted or read, or names somebody else as its signer.
        NoSuchSubscription: the subscription was deleted meanwhile.
    """
    heading = asking.heading
    newest = snapshots.current_snapshot(context.layout, heading.identifier)
    whole = whole_digest(newest, heading.identifier) if newest else None
    current, damaged = (newest, None) if whole else (None, newest)
    if not isinstance(answer, Fetched) and (
        newest is None or whole is None or not is_unmodified_helpful(context, heading, newest, whole)
    ):
        answer = tools.transport.fetch_list(asking.location, asking.access)
    if isinstance(answer, Fetched):
        signed = answer.body
    else:
        assert newest is not None, "nothing was asked for that could be unmodified"
        try:
            signed = snapshots.read_signed(newest)
        except FileNotFoundError as exc:
            raise NoSuchSubscription(subscription=heading.identifier) from exc
    verified = signers.verified(signed)
    return Offered(verified, read(verified), answer.validators, current, damaged)


def read(verified: VerifiedList) -> ParsedList:
    """Read a verified list, and demand that it names its signer.

    Raises:
        ContentRefused, NotAnImageList, ListFieldMissing, …: what was signed is no usable list (37, 38).
        SignerNotNamed: the list names somebody else (12).
    """
    parsed = parse_image_list(verified.content)
    admission.demand_named_signer(verified, parsed.imagelist)
    return parsed


def admit(
    context: Context, subscription: Subscription, verified: VerifiedList, listed: ImageList
) -> tuple[admission.Admission, admission.Newest | None]:
    """Return whether a list may be taken for the subscription, and the newest one that was before. Only reads.

    Raises:
        EndorserNotLinked, ListIdentifierChanged, ListRollback, ListReplayed, ListExpired, …: it may not.
    """
    admission.demand_linked(verified, subscription, endorsers.all_endorsers(context.layout))
    admission.demand_identifier(subscription, listed)
    newest = newest_admitted(context, subscription.identifier)
    if newest is not None:
        say_newest(listed.identifier, newest, context.now)
    taken = compare(verified, listed, newest)
    admission.demand_valid_now(listed, context.now, limit_of(subscription.max_validity_s, context.max_validity_s))
    return taken, newest


def take(
    context: Context, signers: Signers, asking: Asking, offer: Offered, owners: Owners, *, is_listening: bool
) -> tuple[Updated, tuple[VmcatcherError, ...]]:
    """Admit and keep a list, with what follows; return what happened and what about it needs the operator.

    Raises:
        NoSuchSubscription: it was deleted meanwhile.
        VmcatcherError: the list was not admitted; nothing has changed.
    """
    verified, parsed, listed = offer.verified, offer.parsed, offer.parsed.imagelist
    with context.lock("store"):
        current = subscriptions.find_subscription(context.layout, asking.list_id)
        if current is None:
            raise NoSuchSubscription(subscription=asking.list_id)
        taken, newest = admit(context, current, verified, listed)
        snapshot, is_kept = _kept(context, current, offer)
        put_mark(context, listed, verified, snapshots.signed_digest(snapshots.read_signed(snapshot)))
        settled, problems = settle(context, current, listed, owners)
        # What one address says about its versions means nothing at another one.
        validators = offer.validators if settled.uri == asking.heading.uri else Validators()
        noted = None if problems else settled_as(context, signers.rules, settled, parsed, verified)
        appeared = _appeared(context, listed)
        owed = note_success(context, current, listed, validators, is_listening=is_listening, settled=noted)
    _report(current.identifier, verified, parsed, taken.warning, is_kept=is_kept)
    before = newest.version if newest else None
    updated = Updated(current.identifier, not is_kept, owed, listed.version, before, appeared)
    return updated, (*parsed.refused, *problems)


def _appeared(context: Context, listed: ImageList) -> tuple[ImageId, ...]:
    notes = subscriptions.read_fetch_notes(context.layout, listed.identifier)
    if notes.told is None:
        return ()
    known = {*notes.told, *(image for image, _ in notes.owed)}
    return tuple(image.identifier for image in listed.images if image.identifier not in known)


def _kept(context: Context, subscription: Subscription, offer: Offered) -> tuple[Snapshot, bool]:
    """Return the snapshot that proves the list, and whether it was there before; call under the store lock."""
    # Looked up again: the subscription may have been deleted and made anew meanwhile.
    there = snapshots.current_snapshot(context.layout, subscription.identifier)
    if offer.current is not None and offer.current == there and is_same_proof(offer.current, offer.verified):
        return offer.current, True
    kept = snapshots.keep(context.layout, subscription.identifier, offer.verified, context.now)
    if offer.damaged is not None:
        snapshots.set_aside(context.layout, offer.damaged)
    return kept, False


def _report(list_id: str, verified: VerifiedList, parsed: ParsedList, warning: str | None, *, is_kept: bool) -> None:
    if is_kept:
        logger.info("unchanged %s", list_id)
    else:
        logger.info("admitted %s version=%s", list_id, printable(parsed.imagelist.version))
    for text in (*verified.warnings, *parsed.warnings, *((warning,) if warning else ())):
        logger.warning("list %s: %s", list_id, text)
