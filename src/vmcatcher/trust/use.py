"""Which CAs vouch for a signer, also for one that would be refused now."""

from __future__ import annotations

from datetime import datetime

from vmcatcher.errors.trust import ListUntrusted, TrustDirectoryDamaged
from vmcatcher.trust.anchors import TrustAnchors
from vmcatcher.trust.certificates import Certificate, read_certificate
from vmcatcher.trust.occasion import Occasion
from vmcatcher.trust.path import build_path
from vmcatcher.trust.rules import TrustRules
from vmcatcher.trust.shield import Undecodable


def authorities_above(signer: bytes, anchors: TrustAnchors, now: datetime) -> tuple[Certificate, ...]:
    """Return the CAs above the DER certificate of a signer, those that are past their end too.

    Where no chain leads to a root they are the ones that carry the issuer's name, and none where nobody does.
    """
    try:
        certificate = read_certificate(signer)
    except Undecodable:
        return ()
    try:
        return build_path(certificate, anchors, Occasion(now, TrustRules(), admitted=now))[1:]
    except (ListUntrusted, TrustDirectoryDamaged):
        return anchors.issuers_of(certificate)
