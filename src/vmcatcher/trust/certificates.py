"""One certificate, decoded once and completely, so that nothing is left to fail in the middle of a judgement."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypedDict, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes as PublicKey

from vmcatcher.errors.trust import BadAsn1
from vmcatcher.model.identity import OneLineName
from vmcatcher.trust.algorithms import Scheme, holds
from vmcatcher.trust.ber import Element, element, elements
from vmcatcher.trust.names import one_line
from vmcatcher.trust.shield import Undecodable, shielded

_USAGES: Final = {
    "digitalSignature": "digital_signature",
    "nonRepudiation": "content_commitment",
    "keyEncipherment": "key_encipherment",
    "dataEncipherment": "data_encipherment",
    "keyAgreement": "key_agreement",
    "keyCertSign": "key_cert_sign",
    "cRLSign": "crl_sign",
}
# Critical extensions that path and leaf checks take into account, or that restrict nothing here.
_UNDERSTOOD: Final = frozenset(
    {
        x509.BasicConstraints.oid,
        x509.KeyUsage.oid,
        x509.ExtendedKeyUsage.oid,
        x509.SubjectAlternativeName.oid,
        x509.CertificatePolicies.oid,
        x509.SubjectKeyIdentifier.oid,
        x509.AuthorityKeyIdentifier.oid,
        x509.CRLDistributionPoints.oid,
    }
)
# Grid certificates have some 2 KiB, those with hundreds of alternative names ten times as much.
_LARGEST: Final = 64 * 1024
_E = TypeVar("_E", bound=x509.ExtensionType)


class Which(TypedDict):
    """How errors name a certificate."""

    subject: str
    serial: str
    issuer: str


@dataclass(frozen=True, slots=True)
class Certificate:
    """The facts of a certificate that trust depends on."""

    der: bytes
    subject: OneLineName
    issuer: OneLineName
    issuer_der: bytes
    serial: int
    not_before: datetime
    not_after: datetime
    key: PublicKey
    signed: bytes
    signature: bytes
    scheme: Scheme
    is_ca: bool
    path_length: int | None
    usages: frozenset[str] | None
    """Names of the key usage bits; None without that extension, which permits every usage."""
    extended_usages: frozenset[str] | None
    """Dotted numbers; None without that extension."""
    key_identifier: bytes | None
    distribution_points: frozenset[x509.GeneralName]
    unknown_critical: tuple[str, ...]

    @property
    def which(self) -> Which:
        """Subject, serial number in hexadecimal and issuer, for errors."""
        return Which(subject=str(self.subject), serial=f"{self.serial:X}", issuer=str(self.issuer))

    @property
    def is_self_issued(self) -> bool:
        """Whether subject and issuer are the same name, as with every root."""
        return self.subject.escaped == self.issuer.escaped

    def is_issued_by(self, ca: Certificate) -> bool:
        """Tell whether the names fit and the signature was made by the key of `ca`."""
        names_fit = self.issuer.escaped == ca.subject.escaped
        return names_fit and holds(ca.key, self.signature, self.signed, self.scheme)


@dataclass(frozen=True, slots=True)
class Link:
    """One step of a chain: a certificate and the CA certificate that it was issued with."""

    certificate: Certificate
    issuer: Certificate
    is_signer: bool


@dataclass(frozen=True, slots=True)
class Outline:
    """What names a certificate, read without decoding the rest."""

    serial: int
    issuer: bytes
    subject: bytes


def outline(der: bytes) -> Outline:
    """Return serial number and names of a certificate.

    Raises:
        Undecodable: it is no certificate.
    """
    if len(der) > _LARGEST:
        raise Undecodable(f"a certificate of {len(der)} bytes")
    try:
        signed, algorithm, _ = elements(element(der).body)
        parts = elements(signed.body)
        has_version = bool(parts) and parts[0].tag == 0xA0
        serial, inner_algorithm, issuer, _, subject = parts[has_version : 5 + has_version]
    except (BadAsn1, ValueError) as exc:
        raise Undecodable("not an X.509 certificate") from exc
    if inner_algorithm.raw != algorithm.raw:
        raise Undecodable("it names two different signature algorithms")
    return Outline(_integer(serial), issuer.raw, subject.raw)


def read_certificate(der: bytes, *, is_anchor: bool = False) -> Certificate:
    """Return a certificate with everything in it decoded.

    `is_anchor` lets serial numbers below one pass, which ten CAs of the IGTF have and nobody else may have.

    Raises:
        Undecodable: any part of it cannot be decoded.
    """
    names = outline(der)
    if names.serial < 1 and not is_anchor:
        raise Undecodable("its serial number is not positive (RFC 5280, section 4.1.2.2)")
    try:
        subject, issuer = one_line(names.subject), one_line(names.issuer)
    except BadAsn1 as exc:
        raise Undecodable(exc.problem) from exc
    with shielded():
        return _decoded(der, names, subject, issuer)


def _decoded(der: bytes, names: Outline, subject: OneLineName, issuer: OneLineName) -> Certificate:
    parsed = x509.load_der_x509_certificate(der)
    extensions = parsed.extensions
    basic = _extension(extensions, x509.BasicConstraints)
    usage = _extension(extensions, x509.KeyUsage)
    extended = _extension(extensions, x509.ExtendedKeyUsage)
    identifier = _extension(extensions, x509.SubjectKeyIdentifier)
    points = _extension(extensions, x509.CRLDistributionPoints)
    return Certificate(
        der=der,
        subject=subject,
        issuer=issuer,
        issuer_der=names.issuer,
        serial=names.serial,
        not_before=parsed.not_valid_before_utc,
        not_after=parsed.not_valid_after_utc,
        key=parsed.public_key(),
        signed=parsed.tbs_certificate_bytes,
        signature=parsed.signature,
        scheme=_scheme(parsed),
        is_ca=basic is not None and basic.ca,
        path_length=None if basic is None else basic.path_length,
        usages=None if usage is None else frozenset(n for n, bit in _USAGES.items() if getattr(usage, bit)),
        extended_usages=None if extended is None else frozenset(oid.dotted_string for oid in extended),
        key_identifier=None if identifier is None else identifier.digest,
        distribution_points=frozenset(name for point in points or () for name in point.full_name or ()),
        unknown_critical=tuple(e.oid.dotted_string for e in extensions if e.critical and e.oid not in _UNDERSTOOD),
    )


def _extension(extensions: x509.Extensions, kind: type[_E]) -> _E | None:
    try:
        return extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _scheme(parsed: x509.Certificate) -> Scheme:
    parameters = parsed.signature_algorithm_parameters
    pad = parameters if isinstance(parameters, padding.PKCS1v15 | padding.PSS) else None
    return Scheme(parsed.signature_hash_algorithm, pad)


def _integer(serial: Element) -> int:
    if serial.tag != 0x02 or not serial.body:
        raise Undecodable("its serial number is no number")
    return int.from_bytes(serial.body, "big", signed=True)
