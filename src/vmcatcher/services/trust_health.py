"""The certificates and revocation lists on which the current lists depend, and until when they hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vmcatcher.model.health import CertificateHealth, CrlHealth
from vmcatcher.trust.certificates import read_certificate
from vmcatcher.trust.shield import Undecodable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vmcatcher.services.judging import Judgement
    from vmcatcher.trust.anchors import TrustAnchors
    from vmcatcher.trust.certificates import Certificate
    from vmcatcher.trust.crl import Crl


@dataclass(slots=True)
class _Used:
    certificate: Certificate
    role: str
    lists: dict[str, None] = field(default_factory=dict)
    """In the order of the lists, each once."""


def trust_health(
    judged: Iterable[Judgement], anchors: TrustAnchors
) -> tuple[tuple[CertificateHealth, ...], tuple[CrlHealth, ...]]:
    """Return what stands behind the lists that are trusted now: signers, CAs above them, and the CRLs of these.

    A CA has no CRL where none of its own key is in the trust-anchor directory or in the store's overlay.
    """
    used: dict[bytes, _Used] = {}
    for one in judged:
        for at, der in enumerate(one.chain):
            _note(used, der, "signer" if at == 0 else "ca", one.standing.subscription.identifier)
    certificates = tuple(
        CertificateHealth(
            one.role,
            str(one.certificate.subject),
            str(one.certificate.issuer),
            one.certificate.which["serial"],
            one.certificate.not_after,
            tuple(one.lists),
        )
        for one in used.values()
    )
    crls = tuple(_crl(one, anchors) for one in used.values() if one.role == "ca")
    return certificates, crls


def _note(used: dict[bytes, _Used], der: bytes, role: str, list_id: str) -> None:
    if der not in used:
        try:
            used[der] = _Used(read_certificate(der, is_anchor=role == "ca"), role)
        except Undecodable:
            return  # it was decoded a moment ago, when the list was judged
    used[der].lists[list_id] = None


def _crl(used: _Used, anchors: TrustAnchors) -> CrlHealth:
    ca = used.certificate
    newest: Crl | None = max(
        (crl for crl in anchors.crls_of(ca) if crl.is_signed_by(ca)), key=lambda crl: crl.last_update, default=None
    )
    if newest is None:
        return CrlHealth(str(ca.subject), None, None, tuple(used.lists))
    return CrlHealth(str(ca.subject), newest.last_update, newest.next_update, tuple(used.lists))
