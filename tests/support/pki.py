"""A throw-away grid: certificate authorities, endorsers, CRLs, and the directory of anchors a site would trust.

    pki = Pki(tmp_path)                         # root CA, its CRL and its policies in tmp_path/certificates
    alice = pki.endorser("Alice Endorser")      # certificate and key as PEM files, and .sign(content)
    late = pki.endorser("Bob", expired)         # every defect is a function of support.defects
    sub = pki.intermediate("Sub CA")            # again a Pki, anchored in the same directory

Everything is valid from a day before `now` (the real clock unless given) to a month after it, CAs for ten years.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs7,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from support import handmade
from support.defects import DAY, Defect, Profile, key_usage
from support.keys import Key, new_key

_ATTRIBUTES = {
    "C": NameOID.COUNTRY_NAME,
    "CN": NameOID.COMMON_NAME,
    "DC": NameOID.DOMAIN_COMPONENT,
    "L": NameOID.LOCALITY_NAME,
    "O": NameOID.ORGANIZATION_NAME,
    "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "ST": NameOID.STATE_OR_PROVINCE_NAME,
    "UID": NameOID.USER_ID,
    "emailAddress": NameOID.EMAIL_ADDRESS,
}


def x509_name(one_line: str) -> x509.Name:
    """Return the name that `/DC=test/CN=x` spells; for names without `/` in a value."""
    pairs = (part.split("=", 1) for part in one_line.lstrip("/").split("/"))
    return x509.Name([x509.NameAttribute(_ATTRIBUTES[kind], value) for kind, value in pairs])


def subject_hash(name: x509.Name) -> str:
    """Return the eight digits by which OpenSSL finds a CA file: SHA-1 over lower-case, single-spaced values."""
    canonical = b""
    for rdn in name.rdns:
        pairs = []
        for attribute in rdn:
            text = re.sub(r"[ \t\n\v\f\r]+", " ", str(attribute.value).strip()).encode()
            value = handmade.tlv(0x0C, bytes(c + 32 if 65 <= c <= 90 else c for c in text))
            pairs.append(handmade.tlv(handmade.SEQUENCE, handmade.oid(attribute.oid.dotted_string), value))
        canonical += handmade.tlv(handmade.SET, *sorted(pairs))
    return hashlib.sha1(canonical).digest()[:4][::-1].hex()


@dataclass(frozen=True)
class Signer:
    """An endorser: a certificate and its key, in files for the openssl command and in memory for speed."""

    certificate: Path
    key: Path
    subject: str
    issuer: str
    parsed: x509.Certificate = field(repr=False)
    private_key: Key = field(repr=False)

    @property
    def der(self) -> bytes:
        """The certificate as DER."""
        return self.parsed.public_bytes(Encoding.DER)

    def sign(self, content: bytes, *, extra: Iterable[x509.Certificate] = ()) -> bytes:
        """Return `content` as multipart/signed with SHA-256, made in this very program: under a millisecond."""
        return sign(content, self, extra=extra)


def sign(content: bytes, signer: Signer, *, extra: Iterable[x509.Certificate] = ()) -> bytes:
    """Return `content` as multipart/signed by an RSA or elliptic-curve signer."""
    key = signer.private_key
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise TypeError("the in-process signer knows RSA and EC; see support.handmade for Ed25519")
    builder = pkcs7.PKCS7SignatureBuilder().set_data(content).add_signer(signer.parsed, key, hashes.SHA256())
    for certificate in extra:
        builder = builder.add_certificate(certificate)
    return builder.sign(Encoding.SMIME, [pkcs7.PKCS7Options.DetachedSignature])


class Pki:
    """One certificate authority, and the directory where it and its relatives are anchored.

    Making one writes `<hash>.0`, `<hash>.r0`, `<hash>.signing_policy` and `<hash>.namespaces`
    (the first free number, when CAs share a name) into `certificates`.
    """

    def __init__(
        self,
        root: Path,
        *defects: Defect,
        name: str = "Test Grid CA",
        key: str = "ec",
        parent: Pki | None = None,
        now: datetime | None = None,
    ) -> None:
        self.root = root
        self.certificates = root / "certificates"
        self.parent = parent
        instant = now or (parent.now if parent else datetime.now(UTC))
        self.now: datetime = instant.replace(microsecond=0)
        self.subject = f"/DC=test/DC=grid/CN={name}"
        self._revoked: list[int] = []
        self._names = itertools.count(1)
        self.certificates.mkdir(parents=True, exist_ok=True)
        stem = self.certificates / subject_hash(x509_name(self.subject))
        number = next(n for n in itertools.count() if not stem.with_suffix(f".{n}").exists())
        self.private_key = new_key(key, f"{self.subject} {number}")
        self.parsed = self._own_certificate(defects)
        self.certificate = stem.with_suffix(f".{number}")
        self.crl = stem.with_suffix(f".r{number}")
        self.signing_policy = stem.with_suffix(".signing_policy")
        self.namespaces = stem.with_suffix(".namespaces")
        self.certificate.write_bytes(self.parsed.public_bytes(Encoding.PEM))
        self.write_policies()
        self.write_crl()

    def endorser(
        self,
        common_name: str = "Alice Endorser",
        *defects: Defect,
        key: str = "ec",
        namespace: str = "/DC=test/DC=grid",
    ) -> Signer:
        """Return a new endorser with a certificate of this CA."""
        subject = f"{namespace}/CN={common_name}"
        private_key = new_key(key, f"endorser {common_name}")
        extensions = (
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (key_usage("digital_signature", "content_commitment"), True),
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.EMAIL_PROTECTION]), False),
        )
        profile = Profile(x509_name(subject), self.now, self.now - DAY, self.now + 30 * DAY, extensions)
        certificate = self.issue(profile, private_key, defects)
        stem = self.root / f"endorser-{self.certificate.name.replace('.', '-')}-{next(self._names)}"
        paths = stem.with_suffix(".pem"), stem.with_suffix(".key")
        paths[0].write_bytes(certificate.public_bytes(Encoding.PEM))
        paths[1].write_bytes(private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return Signer(*paths, subject, self.subject, certificate, private_key)

    def intermediate(self, name: str = "Test Sub CA", *defects: Defect, key: str = "ec") -> Pki:
        """Return a CA below this one, anchored in the same directory."""
        return Pki(self.root, *defects, name=name, key=key, parent=self)

    def rolled_over(self, *defects: Defect) -> Pki:
        """Return a CA of the same name with a new key, anchored beside this one."""
        return Pki(self.root, *defects, name=self.subject.rpartition("=")[2], parent=self.parent, now=self.now)

    def issue(self, profile: Profile, subject_key: Key, defects: Iterable[Defect] = ()) -> x509.Certificate:
        """Return a certificate for `subject_key` with these defects, signed by this CA."""
        return _certificate(profile, subject_key, self.parsed.subject, self.private_key, defects)

    def write_policies(self, *patterns: str, signing_policy: bool = True, namespaces: bool = True) -> None:
        """Let the CA sign the names that `patterns` (ending in `*`) match; those under /DC=test/DC=grid by default."""
        granted = patterns or ("/DC=test/DC=grid/*",)
        self.signing_policy.unlink(missing_ok=True)
        self.namespaces.unlink(missing_ok=True)
        if signing_policy:
            subjects = " ".join(f'"{pattern}"' for pattern in granted)
            self.signing_policy.write_text(
                f"# names that {self.subject} may sign\naccess_id_CA   X509    '{self.subject}'\n"
                f"pos_rights     globus  CA:sign\ncond_subjects  globus  '{subjects}'\n"
            )
        if namespaces:
            lines = (f'TO Issuer "{self.subject}" \\\n  PERMIT Subject "{p.replace("*", ".*")}"\n' for p in granted)
            self.namespaces.write_text("#NAMESPACES-VERSION: 1.0\n" + "".join(lines))

    def revoke(self, *victims: Signer | Pki) -> None:
        """List these certificates in the CA's CRL from now on."""
        self._revoked += [victim.parsed.serial_number for victim in victims]
        self.write_crl()

    def crl_der(
        self,
        *,
        last_update: datetime | None = None,
        next_update: datetime | None = None,
        key: Key | None = None,
        extensions: Iterable[tuple[x509.ExtensionType, bool]] = (),
    ) -> bytes:
        """Return a CRL of this CA as DER: an hour old and good for a month, unless told otherwise."""
        signing_key = key or self.private_key
        last = last_update or self.now - timedelta(hours=1)
        builder = x509.CertificateRevocationListBuilder(self.parsed.subject, last, next_update or self.now + 30 * DAY)
        for serial in self._revoked:
            entry = x509.RevokedCertificateBuilder(serial, min(last, self.now) - DAY).build()
            builder = builder.add_revoked_certificate(entry)
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.private_key.public_key())
        for extension, critical in ((authority, False), *extensions):
            builder = builder.add_extension(extension, critical=critical)
        return builder.sign(signing_key, _digest_for(signing_key)).public_bytes(Encoding.DER)

    def write_crl(self, der: bytes | None = None, *, as_der: bool = False, path: Path | None = None) -> Path:
        """Put a CRL (a good one unless given) where the site looks for it, as PEM unless told otherwise."""
        content = self.crl_der() if der is None else der
        if not as_der:
            content = x509.load_der_x509_crl(content).public_bytes(Encoding.PEM)
        target = path or self.crl
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        return target

    def write_stale_crl(self, *, days: int = 1) -> None:
        """Put a CRL that ended `days` days ago."""
        self.write_crl(self.crl_der(last_update=self.now - (days + 30) * DAY, next_update=self.now - days * DAY))

    def write_future_crl(self) -> None:
        """Put a CRL that is made tomorrow."""
        self.write_crl(self.crl_der(last_update=self.now + DAY))

    def write_forged_crl(self) -> None:
        """Put a CRL in this CA's name that another key signed."""
        self.write_crl(self.crl_der(key=new_key("ec", "forger")))

    def write_partial_crl(self, *, critical: bool = True) -> None:
        """Put a CRL that speaks of CA certificates only."""
        scope = x509.IssuingDistributionPoint(
            full_name=None,
            relative_name=None,
            only_contains_user_certs=False,
            only_contains_ca_certs=True,
            only_some_reasons=None,
            indirect_crl=False,
            only_contains_attribute_certs=False,
        )
        self.write_crl(self.crl_der(extensions=[(scope, critical)]))

    def remove_crl(self) -> None:
        """Leave the CA without a CRL."""
        self.crl.unlink()

    def remove(self) -> None:
        """Take the CA certificate out of the directory, as a site does that stops trusting it."""
        self.certificate.unlink()

    def _own_certificate(self, defects: Iterable[Defect]) -> x509.Certificate:
        extensions = (
            (x509.BasicConstraints(ca=True, path_length=None), True),
            (key_usage("key_cert_sign", "crl_sign"), True),
            (x509.SubjectKeyIdentifier.from_public_key(self.private_key.public_key()), False),
        )
        name = x509_name(self.subject)
        profile = Profile(name, self.now, self.now - DAY, self.now + 3650 * DAY, extensions)
        if self.parent:
            return self.parent.issue(profile, self.private_key, defects)
        return _certificate(profile, self.private_key, name, self.private_key, defects)


def _digest_for(key: Key) -> hashes.SHA256 | None:
    return None if isinstance(key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey) else hashes.SHA256()


def _certificate(
    profile: Profile, subject_key: Key, issuer: x509.Name, key: Key, defects: Iterable[Defect]
) -> x509.Certificate:
    for defect in defects:
        profile = defect(profile)
    builder = (
        x509.CertificateBuilder()
        .subject_name(profile.subject)
        .issuer_name(issuer)
        .public_key(subject_key.public_key())
        .serial_number(x509.random_serial_number() if profile.serial is None else profile.serial)
        .not_valid_before(profile.not_before)
        .not_valid_after(profile.not_after)
    )
    identifier = x509.SubjectKeyIdentifier.from_public_key(subject_key.public_key())
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
    for extension, critical in profile.having(identifier).having(authority).extensions:
        builder = builder.add_extension(extension, critical=critical)
    certificate = builder.sign(key, _digest_for(key))
    if profile.digest == "sha256":
        return certificate
    if isinstance(key, ed448.Ed448PrivateKey):
        raise TypeError("Ed448 has no digest to choose")
    weak = handmade.resigned(certificate.public_bytes(Encoding.DER), key, profile.digest)
    return x509.load_der_x509_certificate(weak)
