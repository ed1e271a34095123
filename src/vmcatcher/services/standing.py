"""How each subscription stands now: its current list judged again, offline, against the trust directory of today."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from vmcatcher.errors import VmcatcherError
from vmcatcher.errors.admission import EndorserNotLinked
from vmcatcher.errors.certificates import CertificateRefused, SignerExtendedUsage, SignerIsCa, SignerKeyUsage
from vmcatcher.errors.revocation import CaRevoked, SignerRevoked
from vmcatcher.errors.trust import WeakDigest
from vmcatcher.model import admission
from vmcatcher.model.identity import ListId
from vmcatcher.model.imagelist import parse_image_list
from vmcatcher.model.plan import Standing
from vmcatcher.model.record import Reason
from vmcatcher.services.context import Failure
from vmcatcher.services.newest import is_outrun
from vmcatcher.services.repairing import lost_subscriptions
from vmcatcher.store import endorsers, snapshots, subscriptions
from vmcatcher.store.subscriptions import Verdict
from vmcatcher.trust.verify import judge

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vmcatcher.model.endorser import Endorser
    from vmcatcher.model.imagelist import ImageList
    from vmcatcher.model.subscription import Subscription
    from vmcatcher.services.context import Context
    from vmcatcher.services.update import Tools

logger = logging.getLogger(__name__)

# What says that the signer is trusted no longer. Everything else that verification refuses says that the stored bytes
# are not the ones that were admitted, and bytes that rotted are no reason to expire anything.
_LOST: Final = (CertificateRefused, SignerIsCa, SignerKeyUsage, SignerExtendedUsage, WeakDigest)


@dataclass(frozen=True, slots=True)
class Judged:
    """How every subscription stands now."""

    standings: Mapping[ListId, Standing]
    unread: frozenset[ListId]
    """Subscriptions whose document cannot be read: nothing of theirs may expire for that."""
    failed: tuple[Failure, ...]
    """What could not be judged; its images stay as they are."""


def judge_all(context: Context, tools: Tools) -> Judged:
    """Return how every subscription stands; one that cannot be judged says so and never stops the others.

    Raises:
        DocumentDamaged, DocumentLost: an endorser cannot be read; leaving it out could expire images.
    """
    for lost in endorsers.lost(context.layout):
        raise lost
    known = endorsers.all_endorsers(context.layout)
    subscribed, failed = _readable(context)
    failed += lost_subscriptions(context)
    unread = frozenset(ListId(failure.subject) for failure in failed)
    standings: dict[ListId, Standing] = {}
    for subscription in subscribed:
        # Until it is judged, and where it was deleted since it was read, nothing is known.
        standings[subscription.identifier] = Standing(subscription)
        try:
            standings[subscription.identifier] = _judge(context, tools, subscription, known)
        except VmcatcherError as error:
            failed.append(Failure(subscription.identifier, error))
        except FileNotFoundError:
            continue
    for failure in failed:
        logger.error("subscription %s: %s", failure.subject, failure.error.one_line())
    return Judged(standings, unread, tuple(failed))


def _readable(context: Context) -> tuple[list[Subscription], list[Failure]]:
    """Return the subscriptions in the order they were made, and those that cannot be read."""
    found: list[Subscription] = []
    failed: list[Failure] = []
    for name in subscriptions.subscribed(context.layout):
        try:
            subscription = subscriptions.find_subscription(context.layout, name)
        except VmcatcherError as error:
            failed.append(Failure(name, error))
            continue
        if subscription is not None:
            found.append(subscription)
    return sorted(found, key=lambda one: (one.added, one.identifier)), failed


def _judge(context: Context, tools: Tools, subscription: Subscription, known: tuple[Endorser, ...]) -> Standing:
    snapshot = snapshots.current_snapshot(context.layout, subscription.identifier)
    if snapshot is None:
        return Standing(subscription)
    signed = snapshots.read_signed(snapshot)
    digest = snapshots.signed_digest(signed)
    if is_outrun(context, subscription.identifier, snapshot, digest):
        logger.warning(
            "subscription %s: its newest list is not here; the next update fetches it", subscription.identifier
        )
        return Standing(subscription)
    try:
        verified = judge(signed, tools.anchors, admitted=snapshot.kept, now=context.now, rules=tools.rules)
        admission.demand_linked(verified, subscription, known)
    except (EndorserNotLinked, *_LOST) as error:
        logger.warning("subscription %s: %s", subscription.identifier, error.one_line())
        reason = _reason(error)
        _keep_verdict(context, subscription.identifier, Verdict(snapshot.name, reason.value))
        return Standing(subscription, gone=reason)
    _keep_verdict(context, subscription.identifier, Verdict(snapshot.name, None))
    for warning in verified.warnings:
        logger.warning("subscription %s: %s", subscription.identifier, warning)
    listed = _selected(parse_image_list(verified.content).imagelist, subscription)
    return Standing(subscription, listed, snapshot.name, digest)


def _selected(listed: ImageList, subscription: Subscription) -> ImageList:
    """Return the list with the images that are selected: a run asks for no others, and holds all lists until its end.

    A version of any other image leaves for not being selected, whatever the list says of it.
    """
    selected = {image.identifier for image in subscription.images if image.selected}
    return replace(listed, images=tuple(image for image in listed.images if image.identifier in selected))


def _reason(error: VmcatcherError) -> Reason:
    for kind, reason in (
        (EndorserNotLinked, Reason.ENDORSER_UNLINKED),
        (SignerRevoked, Reason.SIGNER_REVOKED),
        (CaRevoked, Reason.CA_REVOKED),
    ):
        if isinstance(error, kind):
            return reason
    return Reason.TRUST_LOST


def _keep_verdict(context: Context, list_id: ListId, verdict: Verdict) -> None:
    known = subscriptions.read_verdict(context.layout, list_id)
    # A list without a verdict counts as trusted, so only a reason, or its end, is worth a file.
    if known == verdict or (known is None and verdict.reason is None):
        return
    try:
        with context.lock("store"):
            if subscriptions.find_subscription(context.layout, list_id) is not None:
                subscriptions.put_verdict(context.layout, list_id, verdict)
    except VmcatcherError as error:
        # Queries go by it, nothing else does: a full disk must not keep a revoked image in use.
        logger.warning("subscription %s: the verdict on its list cannot be kept: %s", list_id, error)
