"""A grid for one hour: a certificate authority as a site's trust-anchor directory holds it, and one endorser."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, pkcs7
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

_NAMESPACE: Final = "/DC=org/DC=example"
_AUTHORITY: Final = "Demo Grid CA"
_ENDORSER: Final = "Alice"
_DAY: Final = timedelta(days=1)
_LIFE: Final = 30 * _DAY
# DER of the attribute types domainComponent (RFC 4519 section 2.4) and commonName (2.3).
_DC: Final = bytes.fromhex("060a0992268993f22c640119")
_CN: Final = bytes.fromhex("0603550403")


@dataclass(frozen=True, slots=True)
class Endorser:
    """Somebody who signs lists."""

    subject: str
    issuer: str
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def sign(self, content: bytes) -> bytes:
        """Return `content` as an S/MIME message of type multipart/signed (RFC 8551 section 3.5.3)."""
        builder = pkcs7.PKCS7SignatureBuilder().set_data(content)
        builder = builder.add_signer(self.certificate, self.key, hashes.SHA256())
        return builder.sign(Encoding.SMIME, [pkcs7.PKCS7Options.DetachedSignature])


def make_grid(certificates: Path, keys: Path, now: datetime) -> Endorser:
    """Make an authority and return the endorser it certifies.

    `certificates` becomes a trust-anchor directory: certificate, CRL, signing policy and namespaces of the authority.
    `keys` gets the endorser's certificate and key, as PEM, for whoever wants to sign lists by hand.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(_AUTHORITY)
    own = _certificate(name, key, now, _authority_extensions(key)).issuer_name(name).sign(key, hashes.SHA256())
    _write_anchor(certificates, own, key, now)
    endorser_key = ec.generate_private_key(ec.SECP256R1())
    unsigned = _certificate(_name(_ENDORSER), endorser_key, now, _endorser_extensions(key, endorser_key))
    endorser = Endorser(
        f"{_NAMESPACE}/CN={_ENDORSER}",
        f"{_NAMESPACE}/CN={_AUTHORITY}",
        unsigned.issuer_name(name).sign(key, hashes.SHA256()),
        endorser_key,
    )
    _write_endorser(keys, endorser)
    return endorser


def _name(common_name: str) -> x509.Name:
    parts = [
        (NameOID.DOMAIN_COMPONENT, "org"),
        (NameOID.DOMAIN_COMPONENT, "example"),
        (NameOID.COMMON_NAME, common_name),
    ]
    return x509.Name([x509.NameAttribute(kind, value) for kind, value in parts])


def _certificate(
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    now: datetime,
    extensions: list[tuple[x509.ExtensionType, bool]],
) -> x509.CertificateBuilder:
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + _LIFE)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder


def _usage(*purposes: str) -> x509.KeyUsage:
    every = (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
        "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
    )  # fmt: skip
    return x509.KeyUsage(**{name: name in purposes for name in every})


def _authority_extensions(key: ec.EllipticCurvePrivateKey) -> list[tuple[x509.ExtensionType, bool]]:
    return [
        (x509.BasicConstraints(ca=True, path_length=0), True),
        (_usage("key_cert_sign", "crl_sign"), True),
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
    ]


def _endorser_extensions(
    authority: ec.EllipticCurvePrivateKey, key: ec.EllipticCurvePrivateKey
) -> list[tuple[x509.ExtensionType, bool]]:
    return [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        # content_commitment is what RFC 5280 section 4.2.1.3 calls nonRepudiation, too.
        (_usage("digital_signature", "content_commitment"), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False),
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), False),
    ]


def _write_anchor(
    directory: Path, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey, now: datetime
) -> None:
    directory.mkdir()
    issuer = f"{_NAMESPACE}/CN={_AUTHORITY}"
    stem = directory / _file_hash(_AUTHORITY)
    revocations = (
        x509.CertificateRevocationListBuilder(certificate.subject, now - timedelta(hours=1), now + _LIFE)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .add_extension(x509.CRLNumber(1), critical=False)
        .sign(key, hashes.SHA256())
    )
    stem.with_suffix(".0").write_bytes(certificate.public_bytes(Encoding.PEM))
    stem.with_suffix(".r0").write_bytes(revocations.public_bytes(Encoding.PEM))
    stem.with_suffix(".signing_policy").write_text(
        f"access_id_CA   X509    '{issuer}'\n"
        "pos_rights     globus  CA:sign\n"
        f"cond_subjects  globus  '\"{_NAMESPACE}/*\"'\n"
    )
    stem.with_suffix(".namespaces").write_text(
        f'#NAMESPACES-VERSION: 1.0\nTO Issuer "{issuer}" \\\n  PERMIT Subject "{_NAMESPACE}/.*"\n'
    )


def _file_hash(common_name: str) -> str:
    """Return the eight digits by which OpenSSL finds the authority: of the SHA-1 of its name in lower case."""
    parts = ((_DC, "org"), (_DC, "example"), (_CN, common_name.lower()))
    canonical = b"".join(_tlv(0x31, _tlv(0x30, kind + _tlv(0x0C, value.encode()))) for kind, value in parts)
    return hashlib.sha1(canonical, usedforsecurity=False).digest()[:4][::-1].hex()


def _tlv(tag: int, content: bytes) -> bytes:
    """Return DER for a content of fewer than 128 bytes (X.690 section 8.1.3.4)."""
    return bytes((tag, len(content))) + content


def _write_endorser(directory: Path, endorser: Endorser) -> None:
    directory.mkdir(mode=0o700)
    (directory / "cert.pem").write_bytes(endorser.certificate.public_bytes(Encoding.PEM))
    key = directory / "key.pem"
    key.touch(mode=0o600)
    key.write_bytes(endorser.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
