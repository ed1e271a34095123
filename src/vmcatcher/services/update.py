"""Bringing subscriptions up to date: fetch, verify, parse, admit, keep, register, tell.

Everything before the store lock is fetched and proved without it; under the lock the decisions are read again, the
pure rules decide, and the snapshot is put (the commit). What follows from it is done again by the next run if this one
is interrupted.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vmcatcher.errors import VmcatcherError, printable
from vmcatcher.errors.requests import NoSuchSubscription
from vmcatcher.errors.store import DocumentDamaged, NotOurFile
from vmcatcher.model import admission
from vmcatcher.model.imagelist import parse_image_list
from vmcatcher.model.location import Location
from vmcatcher.model.subscription import TlsTrust
from vmcatcher.services.clock import clock_trouble
from vmcatcher.services.context import Failure
from vmcatcher.services.new_images import tell_new_images
from vmcatcher.services.newest import compare, is_outrun, is_same_proof, newest_admitted, put_mark, say_newest
from vmcatcher.services.repairing import lost_subscriptions, mend_subscription
from vmcatcher.services.settling import Owners, note_failure, note_success, settle
from vmcatcher.services.unchanged import is_unchanged, settled_as
from vmcatcher.store import endorsers, index, snapshots, subscriptions
from vmcatcher.transport.access import Access
from vmcatcher.transport.results import Fetched, Validators
from vmcatcher.trust.verify import verify

if TYPE_CHECKING:
    from vmcatcher.model.identity import ListId, Sha512
    from vmcatcher.model.imagelist import ImageList, ParsedList
    from vmcatcher.model.subscription import Subscription
    from vmcatcher.model.verified import VerifiedList
    from vmcatcher.services.context import Context
    from vmcatcher.services.events import Teller
    from vmcatcher.store.snapshots import Snapshot
    from vmcatcher.transport.transport import Transport
    from vmcatcher.trust.anchors import TrustAnchors
    from vmcatcher.trust.rules import TrustRules

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Tools:
    """What reaches outside the store: the network and the trust-anchor directory."""

    transport: Transport
    anchors: TrustAnchors
    rules: TrustRules
    trust_directory: str


@dataclass(frozen=True, slots=True)
class Updated:
    """One subscription that was brought up to date."""

    list_id: ListId
    is_news: bool
    new_images: tuple[str, ...]
    """Identifiers that SubscriptionImageNew is owed for."""


@dataclass(frozen=True, slots=True)
class UpdateReport:
    """What an update did. A list can be in both: kept, with something about it that needs the operator."""

    done: tuple[Updated, ...]
    failed: tuple[Failure, ...]


def access_for(context: Context, subscription: Subscription, trust_directory: str) -> Access:
    """Return how the servers of a subscription are spoken to."""
    secret = subscriptions.read_secret(context.layout, subscription.identifier)
    # Never simply the current URI: the list names that, and could have the user name sent anywhere.
    origin = (secret and secret.origin) or subscription.username_origin or subscription.uri_asked
    is_file = Location.parse(subscription.uri)[0].scheme == "file"
    return Access(
        tls="insecure" if subscription.insecure else "igtf" if subscription.tls is TlsTrust.IGTF else "system",
        trust_directory=trust_directory,
        username=subscription.username,
        password=secret.password if secret else None,
        origin=None if origin.startswith("file:") else Location.parse(origin)[0].origin,
        plain_password=subscription.password_over_http,
        # A list that comes from this machine may name files of this machine, as long as it comes from there.
        file_images=subscription.file_images or is_file,
    )


def update_all(context: Context, tools: Tools, teller: Teller) -> UpdateReport:
    """Bring every subscription up to date; one that fails never stops the others.

    Raises:
        StoreHeld: another update is running.
    """
    done: list[Updated] = []
    failed: list[Failure] = []
    owners = Owners()
    with context.lock("update"):
        trouble = clock_trouble(context)
        if trouble is not None:
            logger.warning("%s", trouble)
        failed.extend(lost_subscriptions(context))
        for subscription in _readable(context, failed):
            list_id = subscription.identifier
            failed.extend(_mended(context, list_id))
            logger.info("updating %s", list_id)
            try:
                updated, problems = update_one(context, tools, subscription, owners, is_listening=teller.is_listening)
                done.append(updated)
            except NoSuchSubscription:
                continue
            except VmcatcherError as error:
                problems = (error,)
                note_failure(context, list_id, error)
            failed.extend(Failure(list_id, problem) for problem in problems)
            try:
                tell_new_images(context, teller, list_id)
            except VmcatcherError as error:
                failed.append(Failure(list_id, error))
        teller.write_log()
    return UpdateReport(tuple(done), tuple(failed))


def _mended(context: Context, list_id: str) -> list[Failure]:
    try:
        return [Failure(list_id, said) for said in mend_subscription(context, list_id)]
    except VmcatcherError as error:
        return [Failure(list_id, error)]


def _readable(context: Context, failed: list[Failure]) -> list[Subscription]:
    """Return the subscriptions in the order they were made; notes those whose document is damaged as failed."""
    found: list[Subscription] = []
    for name in subscriptions.subscribed(context.layout):
        try:
            one = subscriptions.find_subscription(context.layout, name)
        except VmcatcherError as error:
            failed.append(Failure(name, error))
        else:
            found.extend([one] if one else [])
    return sorted(found, key=lambda one: (one.added, one.identifier))


def update_one(
    context: Context, tools: Tools, subscription: Subscription, owners: Owners, *, is_listening: bool
) -> tuple[Updated, tuple[VmcatcherError, ...]]:
    """Bring one subscription up to date; return what happened and what about the kept list needs the operator.

    Raises:
        NoSuchSubscription: it was deleted meanwhile.
        VmcatcherError: the list could not be fetched, verified, read or admitted; nothing has changed.
    """
    newest = snapshots.current_snapshot(context.layout, subscription.identifier)
    whole = _whole_digest(newest, subscription.identifier) if newest else None
    snapshot = newest if whole else None
    signed, validators = _fetch(context, tools, subscription, _unmodified(context, subscription, snapshot, whole))
    verified = verify(signed, tools.anchors, context.now, tools.rules)
    if snapshot and whole and is_unchanged(context, subscription, snapshot, whole, verified, validators):
        return Updated(subscription.identifier, is_news=False, new_images=()), ()
    parsed = _read(verified)
    with context.lock("store"):
        current = subscriptions.find_subscription(context.layout, subscription.identifier)
        if current is None:
            raise NoSuchSubscription(subscription=subscription.identifier)
        taken = _admit(context, current, verified, parsed.imagelist)
        warning_once = taken.warning
        # Looked up again: the subscription may have been deleted and made anew meanwhile.
        is_there = snapshot is not None and snapshot == snapshots.current_snapshot(context.layout, current.identifier)
        is_kept = snapshot is not None and is_there and is_same_proof(snapshot, verified)
        if not is_kept:
            snapshot = snapshots.keep(context.layout, current.identifier, verified, context.now)
            if newest is not None and whole is None:
                snapshots.set_aside(context.layout, newest)
        assert snapshot is not None
        digest = snapshots.signed_digest(snapshots.read_signed(snapshot))
        put_mark(context, parsed.imagelist, verified, digest)
        settled, problems = settle(context, current, parsed.imagelist, owners)
        # What one address says about its versions means nothing at another one.
        validators = validators if settled.uri == subscription.uri else Validators()
        noted = None if problems else settled_as(context, settled, parsed, digest)
        new_images = note_success(
            context, current, parsed.imagelist, validators, is_listening=is_listening, settled=noted
        )
    _report(current.identifier, verified, parsed, warning_once, is_kept=is_kept)
    return Updated(current.identifier, not is_kept, new_images), (*parsed.refused, *problems)


def _unmodified(
    context: Context, subscription: Subscription, snapshot: Snapshot | None, digest: Sha512 | None
) -> Snapshot | None:
    """Return the snapshot if "not modified" would be an answer that helps, and is about it."""
    if snapshot is None or is_outrun(context, subscription.identifier, snapshot, digest):
        return None
    known = index.fresh_index(context.layout, subscription.identifier)
    # A list that is over is asked for without conditions: a server may have used its ETag twice, a cache may be stale.
    is_over = known is not None and known.expires is not None and known.expires <= context.now
    return None if is_over else snapshot


def _whole_digest(snapshot: Snapshot, list_id: str) -> Sha512 | None:
    """Return the digest of a snapshot's bytes if they are the ones that were admitted; a damaged one is fetched again.

    Raises:
        StoreInputOutput, StoreUnreadable: it cannot be read now, which says nothing about it.
    """
    try:
        digest = snapshots.signed_digest(snapshots.read_signed(snapshot))
        if snapshots.read_evidence(snapshot).sha512 == digest:
            return digest
    except (DocumentDamaged, NotOurFile, FileNotFoundError):
        pass
    logger.warning("snapshot %s of %s is damaged and is fetched again", snapshot.name, list_id)
    return None


def _fetch(
    context: Context, tools: Tools, subscription: Subscription, snapshot: Snapshot | None
) -> tuple[bytes, Validators]:
    notes = subscriptions.read_fetch_notes(context.layout, subscription.identifier)
    # Only with the snapshot at hand is "not modified" an answer; what it names is verified again all the same.
    known = Validators(notes.etag, notes.last_modified) if snapshot else None
    location = Location.parse(subscription.uri)[0]
    access = access_for(context, subscription, tools.trust_directory)
    answer = tools.transport.fetch_list(location, access, known=known)
    if isinstance(answer, Fetched):
        return answer.body, answer.validators
    assert snapshot is not None, "nothing was asked for that could be unmodified"
    try:
        return snapshots.read_signed(snapshot), Validators(notes.etag, notes.last_modified)
    except FileNotFoundError as exc:
        raise NoSuchSubscription(subscription=subscription.identifier) from exc


def prove(signed: bytes, tools: Tools, context: Context) -> tuple[VerifiedList, ParsedList]:
    """Verify a signed list, read it, and demand that it names its signer.

    Raises:
        ListRefused: signature, certificate, namespace or revocation (11).
        ContentRefused, NotAnImageList, ListFieldMissing, …: what was signed is no usable list (37, 38).
        SignerNotNamed: the list names somebody else (12).
    """
    verified = verify(signed, tools.anchors, context.now, tools.rules)
    return verified, _read(verified)


def _read(verified: VerifiedList) -> ParsedList:
    parsed = parse_image_list(verified.content)
    admission.demand_named_signer(verified, parsed.imagelist)
    return parsed


def _admit(
    context: Context, subscription: Subscription, verified: VerifiedList, listed: ImageList
) -> admission.Admission:
    admission.demand_linked(verified, subscription, endorsers.all_endorsers(context.layout))
    admission.demand_identifier(subscription, listed)
    newest = newest_admitted(context, subscription.identifier)
    if newest is not None:
        say_newest(listed.identifier, newest, context.now)
    taken = compare(verified, listed, newest)
    admission.demand_valid_now(listed, context.now)
    return taken


def _report(list_id: str, verified: VerifiedList, parsed: ParsedList, warning: str | None, *, is_kept: bool) -> None:
    if is_kept:
        logger.info("unchanged %s", list_id)
    else:
        logger.info("admitted %s version=%s", list_id, printable(parsed.imagelist.version))
    for text in (*verified.warnings, *parsed.warnings, *((warning,) if warning else ())):
        logger.warning("list %s: %s", list_id, text)
