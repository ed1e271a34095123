"""What is wrong with a certificate: each defect one function from profile to profile.

pki.endorser("Alice", expired)
pki.endorser("Alice", without_key_usage, numbered(7))
pki.intermediate("Sub CA", no_ca_below)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Profile:
    """What a certificate is going to say; a defect is a function from one profile to another."""

    subject: x509.Name
    now: datetime
    not_before: datetime
    not_after: datetime
    extensions: tuple[tuple[x509.ExtensionType, bool], ...]
    digest: str = "sha256"
    """Digest of the certificate's own signature."""
    serial: int | None = None

    def having(self, extension: x509.ExtensionType, *, critical: bool = False) -> Profile:
        """Return the profile with this extension in place of one of the same kind."""
        return replace(
            self.lacking(extension.oid), extensions=(*self.lacking(extension.oid).extensions, (extension, critical))
        )

    def lacking(self, oid: ObjectIdentifier) -> Profile:
        """Return the profile without this extension."""
        return replace(self, extensions=tuple(pair for pair in self.extensions if pair[0].oid != oid))


Defect = Callable[[Profile], Profile]


def key_usage(*names: str) -> x509.KeyUsage:
    """Return a key usage with just these bits."""
    every = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    bits = {name: name in names for name in (*every, "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")}
    return x509.KeyUsage(**bits)


def expired(profile: Profile) -> Profile:
    """Ended yesterday."""
    return replace(profile, not_before=profile.now - 40 * DAY, not_after=profile.now - DAY)


def not_yet_valid(profile: Profile) -> Profile:
    """Begins tomorrow."""
    return replace(profile, not_before=profile.now + DAY)


def for_encryption_only(profile: Profile) -> Profile:
    """Key usage without digitalSignature and nonRepudiation."""
    return profile.having(key_usage("key_encipherment"), critical=True)


def without_key_usage(profile: Profile) -> Profile:
    """No key usage at all, which permits every usage."""
    return profile.lacking(x509.KeyUsage.oid)


def for_servers_only(profile: Profile) -> Profile:
    """Extended key usage serverAuth only."""
    return profile.having(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]))


def for_any_usage(profile: Profile) -> Profile:
    """Extended key usage anyExtendedKeyUsage only."""
    return profile.having(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]))


def without_extended_usage(profile: Profile) -> Profile:
    """No extended key usage, which permits every usage."""
    return profile.lacking(x509.ExtendedKeyUsage.oid)


def a_ca(profile: Profile) -> Profile:
    """Basic constraints CA:TRUE, and every key usage."""
    usage = key_usage("digital_signature", "key_cert_sign", "crl_sign")
    return profile.having(x509.BasicConstraints(ca=True, path_length=None), critical=True).having(usage, critical=True)


def not_a_ca(profile: Profile) -> Profile:
    """Basic constraints CA:FALSE, for a CA that is none."""
    return profile.having(x509.BasicConstraints(ca=False, path_length=None), critical=True)


def may_not_sign_certificates(profile: Profile) -> Profile:
    """Key usage of a CA without keyCertSign."""
    return profile.having(key_usage("digital_signature", "crl_sign"), critical=True)


def may_not_sign_crls(profile: Profile) -> Profile:
    """Key usage of a CA without cRLSign."""
    return profile.having(key_usage("digital_signature", "key_cert_sign"), critical=True)


def no_ca_below(profile: Profile) -> Profile:
    """Path length constraint of zero."""
    return profile.having(x509.BasicConstraints(ca=True, path_length=0), critical=True)


def with_unknown_critical(profile: Profile) -> Profile:
    """A critical extension that nobody knows."""
    return profile.having(x509.UnrecognizedExtension(ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\5\0"), critical=True)


def signed_with_sha1(profile: Profile) -> Profile:
    """The certificate's own signature is over a SHA-1 digest."""
    return replace(profile, digest="sha1")


def signed_with_md5(profile: Profile) -> Profile:
    """The certificate's own signature is over an MD5 digest; only an RSA authority can do that."""
    return replace(profile, digest="md5")


def named(subject: x509.Name) -> Defect:
    """Another subject than the common name says; for names that a one-line text cannot spell."""
    return lambda profile: replace(profile, subject=subject)


def numbered(serial: int) -> Defect:
    """This serial number."""
    return lambda profile: replace(profile, serial=serial)
