"""One revocation list, decoded: whose it is, what it speaks of, what it lists."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, TypeVar

from cryptography import x509

from vmcatcher.errors.trust import BadAsn1
from vmcatcher.model.identity import OneLineName
from vmcatcher.trust.ber import element, elements
from vmcatcher.trust.certificates import Certificate
from vmcatcher.trust.names import one_line
from vmcatcher.trust.shield import Undecodable, shielded

# SHA-1 stays: a forger would need the CA to sign a CRL of the forger's making, and some CAs still use it.
_BROKEN_DIGESTS: Final = frozenset({"md2", "md4", "md5"})
_E = TypeVar("_E", bound=x509.ExtensionType)


@dataclass(frozen=True, slots=True)
class Crl:
    """A revocation list, decoded; whether to believe it depends on the CA it is held against."""

    der: bytes
    issuer: OneLineName
    last_update: datetime
    next_update: datetime | None
    gap: str | None
    """Why it does not speak of all certificates of its issuer; None where it does."""
    is_indirect: bool
    distribution_points: frozenset[x509.GeneralName] | None
    """If not None, it speaks only of certificates that name one of these."""
    parsed: x509.CertificateRevocationList
    _verdicts: dict[bytes, bool] = field(default_factory=dict, repr=False, compare=False)
    _entries: dict[int, tuple[datetime, str] | None] = field(default_factory=dict, repr=False, compare=False)

    def is_signed_by(self, ca: Certificate) -> bool:
        """Tell whether the key of `ca` signed it; remembered, since a large one takes milliseconds to digest."""
        if ca.der not in self._verdicts:
            self._verdicts[ca.der] = self._is_signed_by(ca)
        return self._verdicts[ca.der]

    def _is_signed_by(self, ca: Certificate) -> bool:
        try:
            with shielded():
                digest = self.parsed.signature_hash_algorithm
                broken = digest is not None and digest.name in _BROKEN_DIGESTS
                return not broken and self.parsed.is_signature_valid(ca.key)  # type: ignore[arg-type]  # a wrong kind of key raises TypeError
        except Undecodable:
            return False

    def gap_for(self, certificate: Certificate) -> str | None:
        """Return why it does not speak of `certificate`; None where it does."""
        points = self.distribution_points
        # RFC 5280, section 6.3.3 (b)(2)(i): a CA may split its list by distribution point.
        if self.gap is None and points is not None and not points & certificate.distribution_points:
            return "it is for certificates of another distribution point"
        return self.gap

    def entry(self, certificate: Certificate) -> tuple[datetime, str] | None:
        """Return since when and why `certificate` is revoked; None where it is not listed. Remembered likewise."""
        if certificate.serial not in self._entries:
            self._entries[certificate.serial] = self._entry(certificate.serial)
        return self._entries[certificate.serial]

    def _entry(self, serial: int) -> tuple[datetime, str] | None:
        # An indirect list names the issuer entry by entry, so a number alone says nothing.
        if self.is_indirect:
            return None
        try:
            with shielded():
                found = self.parsed.get_revoked_certificate_by_serial_number(serial)
                if found is None:
                    return None
                return found.revocation_date_utc, _reason(found)
        except Undecodable:
            return self.last_update, "unreadable entry"


def read_crl(der: bytes) -> Crl:
    """Return a revocation list, decoded.

    Raises:
        Undecodable: it is none, or damaged.
    """
    try:
        parts = elements(elements(element(der).body)[0].body)
        # version? signature issuer: the version is the only INTEGER.
        issuer = one_line(parts[2 if parts[0].tag == 0x02 else 1].raw)
    except (BadAsn1, IndexError) as exc:
        raise Undecodable("not an X.509 CRL") from exc
    with shielded():
        parsed = x509.load_der_x509_crl(der)
        extensions = parsed.extensions
        point = _extension(extensions, x509.IssuingDistributionPoint)
        return Crl(
            der=der,
            issuer=issuer,
            last_update=parsed.last_update_utc,
            next_update=parsed.next_update_utc,
            gap=_gap(extensions, point),
            is_indirect=point is not None and point.indirect_crl,
            distribution_points=None if point is None or point.full_name is None else frozenset(point.full_name),
            parsed=parsed,
        )


def _extension(extensions: x509.Extensions, kind: type[_E]) -> _E | None:
    try:
        return extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _gap(extensions: x509.Extensions, point: x509.IssuingDistributionPoint | None) -> str | None:
    for extension in extensions:
        if isinstance(extension.value, x509.DeltaCRLIndicator):
            return "it lists changes only (delta CRL)"
        if extension.critical and not isinstance(extension.value, x509.IssuingDistributionPoint):
            return f"critical extension {extension.oid.dotted_string} is unknown"
    if point is None:
        return None
    limits = {
        "CA certificates": point.only_contains_ca_certs,
        "end entity certificates": point.only_contains_user_certs,
        "attribute certificates": point.only_contains_attribute_certs,
        "some reasons": point.only_some_reasons is not None,
        "certificates of other issuers too": point.indirect_crl,
        "a relative distribution point": point.relative_name is not None,
    }
    found = [what for what, is_set in limits.items() if is_set]
    return f"it is for {found[0]}" if found else None


def _reason(entry: x509.RevokedCertificate) -> str:
    try:
        return entry.extensions.get_extension_for_class(x509.CRLReason).value.reason.value
    except x509.ExtensionNotFound:
        return "none given"
