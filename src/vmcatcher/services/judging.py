"""How one subscription stands: its current list judged again, offline. Nothing is written, and no lock is taken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from vmcatcher.errors.admission import EndorserNotLinked
from vmcatcher.errors.certificates import CertificateRefused, SignerExtendedUsage, SignerIsCa, SignerKeyUsage
from vmcatcher.errors.revocation import CaRevoked, RevokedBefore, SignerRevoked
from vmcatcher.errors.trust import WeakDigest
from vmcatcher.model import admission
from vmcatcher.model.imagelist import parse_image_list
from vmcatcher.model.plan import Standing
from vmcatcher.model.record import Reason
from vmcatcher.model.validity import held_to_limit, limit_of
from vmcatcher.services.newest import is_outrun
from vmcatcher.store import snapshots, subscriptions
from vmcatcher.trust.verify import judge

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vmcatcher.errors import VmcatcherError
    from vmcatcher.model.endorser import Endorser
    from vmcatcher.model.imagelist import ImageList
    from vmcatcher.model.subscription import Subscription
    from vmcatcher.services.context import Context
    from vmcatcher.store.snapshots import Snapshot
    from vmcatcher.trust.anchors import TrustAnchors
    from vmcatcher.trust.rules import TrustRules

# What says that the signer is trusted no longer. Everything else that verification refuses says that the stored bytes
# are not the ones that were admitted, and bytes that rotted are no reason to expire anything.
_LOST: Final = (CertificateRefused, SignerIsCa, SignerKeyUsage, SignerExtendedUsage, WeakDigest)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What was found about the current list of one subscription."""

    standing: Standing
    snapshot: Snapshot | None = None
    """The current list on disk; None before the first one."""
    chain: tuple[bytes, ...] = ()
    """The certificates by which it is trusted, the signer's first, in DER. The rest of what was verified would take
    megabytes for each list, and all of them are held until the end."""
    warnings: tuple[str, ...] = ()
    """What is not as it should be, and does not take the trust away."""
    refusal: VmcatcherError | None = None
    """Why it is trusted no longer; its images have to leave."""
    past_limit: VmcatcherError | None = None
    """Why it is over here though its endorser lets it hold longer."""
    named: int = 0
    """How many images a trusted list names; it was read for the selected ones alone."""
    is_outrun: bool = False
    """Whether a newer list was admitted that is not here, so that nothing follows from this one."""


def judge_subscription(
    context: Context,
    anchors: TrustAnchors,
    rules: TrustRules,
    subscription: Subscription,
    known: Iterable[Endorser],
) -> Judgement:
    """Return how a subscription stands, by the trust-anchor directory of today and the decisions as they are.

    Raises:
        VmcatcherError: it cannot be told; its images stay as they are.
        FileNotFoundError: it was deleted since it was read.
    """
    snapshot = snapshots.current_snapshot(context.layout, subscription.identifier)
    if snapshot is None:
        return Judgement(Standing(subscription))
    signed = snapshots.read_signed(snapshot)
    digest = snapshots.signed_digest(signed)
    if is_outrun(context, subscription.identifier, snapshot, digest):
        return Judgement(Standing(subscription), snapshot, is_outrun=True)
    try:
        verified = judge(signed, anchors, admitted=snapshot.kept, now=context.now, rules=rules)
        admission.demand_linked(verified, subscription, known)
    except (EndorserNotLinked, *_LOST) as error:
        return Judgement(Standing(subscription, gone=_reason(error)), snapshot, refusal=error)
    before = _revoked_before(context, subscription, snapshot)
    if before is not None and rules.crl != "off" and len(verified.crls) < len(verified.chain) - 1:
        # Losing a revocation list keeps what was admitted; it must not bring back what was taken away for it.
        lost = RevokedBefore(reason=before.value)
        return Judgement(Standing(subscription, gone=before), snapshot, refusal=lost)
    # The other images are not even read: a run asks for none of them. A version of one leaves for not being selected,
    # whatever the list says of it.
    parsed = parse_image_list(verified.content, only=subscription.selected)
    listed = parsed.imagelist
    limit_s = limit_of(subscription.max_validity_s, context.max_validity_s)
    over = admission.past_limit(listed, context.now, limit_s)
    # From here on it ends where this site lets it end.
    standing = Standing(subscription, held_to_limit(listed, limit_s), snapshot.name, digest)
    return Judgement(standing, snapshot, verified.chain, verified.warnings, past_limit=over, named=parsed.named)


def limited(context: Context, subscription: Subscription, listed: ImageList) -> ImageList:
    """Return a list that ends where this site lets it end, if that is earlier than its endorser does."""
    return held_to_limit(listed, limit_of(subscription.max_validity_s, context.max_validity_s))


def _revoked_before(context: Context, subscription: Subscription, snapshot: Snapshot) -> Reason | None:
    """Return the revocation that the last run found for this very list, as far as that is still known."""
    verdict = subscriptions.read_verdict(context.layout, subscription.identifier)
    if verdict is None or verdict.snapshot != snapshot.name:
        return None
    return next((one for one in (Reason.SIGNER_REVOKED, Reason.CA_REVOKED) if one.value == verdict.reason), None)


def _reason(error: VmcatcherError) -> Reason:
    for kind, reason in (
        (EndorserNotLinked, Reason.ENDORSER_UNLINKED),
        (SignerRevoked, Reason.SIGNER_REVOKED),
        (CaRevoked, Reason.CA_REVOKED),
    ):
        if isinstance(error, kind):
            return reason
    return Reason.TRUST_LOST
