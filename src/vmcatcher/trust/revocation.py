"""Was a certificate revoked? The CRLs of its issuer are asked, never one that came with the message."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from vmcatcher.errors.revocation import (
    CaRevoked,
    CrlEndless,
    CrlExpired,
    CrlFuture,
    CrlMissing,
    CrlNotSigned,
    CrlRefused,
    CrlScope,
    CrlUnreadable,
    SignerRevoked,
)
from vmcatcher.trust.anchors import TrustAnchors
from vmcatcher.trust.certificates import Link
from vmcatcher.trust.crl import Crl
from vmcatcher.trust.occasion import Occasion

_SKEW: Final = timedelta(minutes=5)


def check_revocation(link: Link, anchors: TrustAnchors, occasion: Occasion) -> Crl | None:
    """Ask the CRLs in the issuer's name; return the one that answered, None if none could.

    The newest complete list in date decides, unless one that was fetched into the store has rotted there: it may have
    been a newer one. A list that is newer still counts where it revokes, even if it is past its
    end or incomplete: revocation is not undone by a CRL growing old.

    Raises:
        SignerRevoked, CaRevoked: the certificate is listed.
        CrlRefused: a subclass says why nobody can tell, and the rules ask for it.
    """
    newest_first = sorted(anchors.crls_of(link.issuer), key=lambda crl: crl.last_update, reverse=True)
    may_sign = link.issuer.usages is None or "cRLSign" in link.issuer.usages
    refusal: CrlRefused | None = None
    for crl in newest_first:
        if not may_sign or not crl.is_signed_by(link.issuer):
            continue
        entry = crl.entry(link.certificate)
        if entry is not None:
            since, reason = entry
            revoked = SignerRevoked if link.is_signer else CaRevoked
            raise revoked(**link.certificate.which, since=since, reason=reason)
        problem = _unusable(crl, link, occasion.now)
        if problem is None:
            _demand_whole(link, anchors, occasion)
            return crl
        refusal = refusal or problem
    if refusal is None:
        refusal = _no_answer(link, anchors, may_sign=may_sign)
    occasion.complain(refusal, is_grave=occasion.is_first and occasion.rules.crl == "require")
    return None


def _demand_whole(link: Link, anchors: TrustAnchors, occasion: Occasion) -> None:
    spoilt = anchors.spoilt_crl_of(link.issuer)
    if spoilt is not None:
        refusal = CrlUnreadable(**link.certificate.which, file=spoilt.file, problem=spoilt.problem)
        occasion.complain(refusal, is_grave=occasion.is_first and occasion.rules.crl == "require")


def _unusable(crl: Crl, link: Link, now: datetime) -> CrlRefused | None:
    which = link.certificate.which
    gap = crl.gap_for(link.certificate)
    if gap is not None:
        return CrlScope(**which, problem=gap)
    if crl.last_update > now + _SKEW:
        return CrlFuture(**which, made=crl.last_update, now=now)
    if crl.next_update is None:
        return CrlEndless(**which)
    if crl.next_update <= now:
        return CrlExpired(**which, ended=crl.next_update, now=now)
    return None


def _no_answer(link: Link, anchors: TrustAnchors, *, may_sign: bool) -> CrlRefused:
    which = link.certificate.which
    broken = anchors.broken_crl_of(link.issuer)
    if broken is not None:
        return CrlUnreadable(**which, file=broken.file, problem=broken.problem)
    if not anchors.crls_of(link.issuer):
        return CrlMissing(**which, directory=anchors.directory)
    if not may_sign:
        return CrlNotSigned(**which, problem="the CA may not sign CRLs (keyUsage)")
    return CrlNotSigned(**which, problem="it was not signed with the key of that CA that is trusted here")
