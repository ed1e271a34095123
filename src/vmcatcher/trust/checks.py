"""What every certificate of a chain has to satisfy, and what a signer's has to satisfy besides."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from vmcatcher.errors.certificates import (
    CaExpired,
    CaNotYetValid,
    CaWeakDigest,
    CaWeakKey,
    CertificateExpired,
    CertificateNotYetValid,
    SignerExpired,
    SignerExtendedUsage,
    SignerIsCa,
    SignerKeyUsage,
    SignerNotYetValid,
    SignerWeakDigest,
    SignerWeakKey,
    UnknownCriticalExtension,
)
from vmcatcher.trust.algorithms import WEAK_DIGESTS, described, is_strong
from vmcatcher.trust.certificates import Certificate
from vmcatcher.trust.occasion import Occasion
from vmcatcher.trust.rules import ANY_EXTENDED_USAGE, EMAIL_PROTECTION, TrustRules

_USAGES: Final = {
    "1.3.6.1.5.5.7.3.1": "serverAuth",
    "1.3.6.1.5.5.7.3.2": "clientAuth",
    "1.3.6.1.5.5.7.3.3": "codeSigning",
    "1.3.6.1.5.5.7.3.8": "timeStamping",
    EMAIL_PROTECTION: "emailProtection",
    ANY_EXTENDED_USAGE: "anyExtendedKeyUsage",
}


def untimely(
    certificate: Certificate, at: datetime, *, is_signer: bool
) -> CertificateExpired | CertificateNotYetValid | None:
    """Return why a certificate is not valid at an instant; None if it is."""
    if at < certificate.not_before:
        early = SignerNotYetValid if is_signer else CaNotYetValid
        return early(**certificate.which, begins=certificate.not_before, now=at)
    if at > certificate.not_after:
        late = SignerExpired if is_signer else CaExpired
        return late(**certificate.which, ended=certificate.not_after, now=at)
    return None


def check_strength(certificate: Certificate, *, is_signer: bool) -> None:
    """Check key, digest and critical extensions of a certificate.

    Raises:
        SignerWeakKey, CaWeakKey: the key can be broken, or is of an unknown kind.
        SignerWeakDigest, CaWeakDigest: the certificate could be forged. A root's own signature proves nothing, so its
            digest does not matter: a fifth of the IGTF roots are signed over SHA-1.
        UnknownCriticalExtension: it restricts itself in a way that is not understood.
    """
    which = certificate.which
    if not is_strong(certificate.key):
        weak_key = SignerWeakKey if is_signer else CaWeakKey
        raise weak_key(**which, key=described(certificate.key))
    digest = certificate.scheme.digest
    if digest is not None and digest.name in WEAK_DIGESTS and (is_signer or not certificate.is_self_issued):
        weak_digest = SignerWeakDigest if is_signer else CaWeakDigest
        raise weak_digest(**which, digest=digest.name)
    if certificate.unknown_critical:
        raise UnknownCriticalExtension(**which, extension=certificate.unknown_critical[0])


def check_signer(certificate: Certificate, occasion: Occasion) -> None:
    """Check that a certificate may sign lists at all, whoever issued it.

    Raises:
        ListUntrusted: a subclass that says why not. That the certificate got old after the list was admitted is a
            warning.
    """
    rules = occasion.rules
    check_strength(certificate, is_signer=True)
    if certificate.is_ca and not rules.ca_signer:
        raise SignerIsCa(subject=str(certificate.subject))
    if certificate.usages is not None and not certificate.usages & {"digitalSignature", "nonRepudiation"}:
        raise SignerKeyUsage(subject=str(certificate.subject), found=listed(certificate.usages))
    if not has_usage(certificate, rules):
        raise SignerExtendedUsage(
            subject=str(certificate.subject),
            found=listed(certificate.extended_usages or ()),
            expected=listed(rules.ekus),
        )
    then = untimely(certificate, occasion.admitted or occasion.now, is_signer=True)
    if then is not None:
        raise then
    now = untimely(certificate, occasion.now, is_signer=True)
    if now is not None:
        occasion.complain(now)


def has_usage(certificate: Certificate, rules: TrustRules) -> bool:
    """Tell whether the extended key usage has one that the rules ask for; without the extension it has every one."""
    return certificate.extended_usages is None or bool(certificate.extended_usages & rules.ekus)


def listed(numbers: Iterable[str]) -> str:
    """Return usages for people: by name where one is known, sorted."""
    return ", ".join(sorted(_USAGES.get(number, number) for number in numbers)) or "nothing"
