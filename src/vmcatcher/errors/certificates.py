"""Why a signed list was refused for its certificates: the signer's, those of the CAs above, the names they may give.

Where signer and CA can be wrong alike there are two classes: one for the endorser to mend, one for CA or operator.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Final

from vmcatcher.errors.trust import ListUntrusted
from vmcatcher.light import dataclass

_OTHER_CERTIFICATE: Final = "the endorser has to sign with a personal or robot certificate made for signing"
_RENEW: Final = "the endorser has to renew the certificate and sign the list anew"
_CLOCK: Final = "compare the clock of this machine with the true time"
_UPDATE_CAS: Final = "update the CA certificates of this machine; if that is no help, ask the CA"
_WHICH: Final = "{subject} (serial {serial}, issued by {issuer})"


@dataclass(eq=False)
class SignerUnreadable(ListUntrusted):
    """A certificate in the message that cannot be decoded."""

    problem: str
    id: ClassVar[str] = "signer-unreadable"
    message: ClassVar[str] = "a certificate in the message cannot be decoded: {problem}"
    hint: ClassVar[str] = "fetch the list again; if it stays so, the endorser has to sign it anew"


@dataclass(eq=False)
class SignerIsCa(ListUntrusted):
    """A CA certificate signed the list itself."""

    subject: str
    id: ClassVar[str] = "signer-is-ca"
    message: ClassVar[str] = "the list was signed with the CA certificate {subject}"
    hint: ClassVar[str] = _OTHER_CERTIFICATE


@dataclass(eq=False)
class SignerKeyUsage(ListUntrusted):
    """The key usage of the certificate leaves out digital signatures."""

    subject: str
    found: str
    id: ClassVar[str] = "signer-key-usage"
    message: ClassVar[str] = "the certificate of {subject} may be used for {found} only, not for digital signatures"
    hint: ClassVar[str] = _OTHER_CERTIFICATE


@dataclass(eq=False)
class SignerExtendedUsage(ListUntrusted):
    """The extended key usage of the certificate leaves out what the site asks for."""

    subject: str
    found: str
    expected: str
    id: ClassVar[str] = "signer-extended-key-usage"
    message: ClassVar[str] = "the certificate of {subject} is made for {found}; expected one of {expected}"
    hint: ClassVar[str] = _OTHER_CERTIFICATE


@dataclass(eq=False)
class CertificateRefused(ListUntrusted):
    """Something is wrong with one certificate of the chain; `serial` is hexadecimal, as openssl prints it."""

    subject: str
    serial: str
    issuer: str


@dataclass(eq=False)
class CertificateExpired(CertificateRefused):
    """A certificate past its end."""

    ended: datetime
    now: datetime


@dataclass(eq=False)
class SignerExpired(CertificateExpired):
    """The signer's certificate is past its end."""

    id: ClassVar[str] = "signer-expired"
    message: ClassVar[str] = f"the signer's certificate {_WHICH} expired {{ended}}, it is now {{now}}"
    hint: ClassVar[str] = _RENEW


@dataclass(eq=False)
class CaExpired(CertificateExpired):
    """A CA certificate is past its end."""

    id: ClassVar[str] = "ca-expired"
    message: ClassVar[str] = f"the CA certificate {_WHICH} expired {{ended}}, it is now {{now}}"
    hint: ClassVar[str] = _UPDATE_CAS


@dataclass(eq=False)
class CertificateNotYetValid(CertificateRefused):
    """A certificate before its beginning."""

    begins: datetime
    now: datetime


@dataclass(eq=False)
class SignerNotYetValid(CertificateNotYetValid):
    """The signer's certificate is not valid yet."""

    id: ClassVar[str] = "signer-not-yet-valid"
    message: ClassVar[str] = f"the signer's certificate {_WHICH} is valid from {{begins}} on, it is now {{now}}"
    hint: ClassVar[str] = _CLOCK


@dataclass(eq=False)
class CaNotYetValid(CertificateNotYetValid):
    """A CA certificate is not valid yet."""

    id: ClassVar[str] = "ca-not-yet-valid"
    message: ClassVar[str] = f"the CA certificate {_WHICH} is valid from {{begins}} on, it is now {{now}}"
    hint: ClassVar[str] = _CLOCK


@dataclass(eq=False)
class CertificateWeakKey(CertificateRefused):
    """A key that can be broken."""

    key: str


@dataclass(eq=False)
class SignerWeakKey(CertificateWeakKey):
    """The signer's key can be broken."""

    id: ClassVar[str] = "signer-weak-key"
    message: ClassVar[str] = f"the signer's certificate {_WHICH} has a weak key: {{key}}"
    hint: ClassVar[str] = "the endorser needs a certificate with an RSA key of at least 2048 bits or EC of at least 256"


@dataclass(eq=False)
class CaWeakKey(CertificateWeakKey):
    """The key of a CA can be broken."""

    id: ClassVar[str] = "ca-weak-key"
    message: ClassVar[str] = f"the CA certificate {_WHICH} has a weak key: {{key}}"
    hint: ClassVar[str] = _UPDATE_CAS


@dataclass(eq=False)
class CertificateWeakDigest(CertificateRefused):
    """A certificate that could be forged, its own signature being over a weak digest."""

    digest: str


@dataclass(eq=False)
class SignerWeakDigest(CertificateWeakDigest):
    """The signer's certificate could be forged."""

    id: ClassVar[str] = "signer-weak-digest"
    message: ClassVar[str] = f"the signer's certificate {_WHICH} was issued with the weak digest {{digest}}"
    hint: ClassVar[str] = _RENEW


@dataclass(eq=False)
class CaWeakDigest(CertificateWeakDigest):
    """The certificate of an intermediate CA could be forged."""

    id: ClassVar[str] = "ca-weak-digest"
    message: ClassVar[str] = f"the CA certificate {_WHICH} was issued with the weak digest {{digest}}"
    hint: ClassVar[str] = _UPDATE_CAS


@dataclass(eq=False)
class UnknownIssuer(CertificateRefused):
    """No CA of that name is trusted here."""

    directory: str
    id: ClassVar[str] = "unknown-issuer"
    message: ClassVar[str] = "no CA certificate of {issuer} in {directory}, which issued {subject} (serial {serial})"
    hint: ClassVar[str] = "if you trust that CA, install its certificate, policy and CRL there"


@dataclass(eq=False)
class NotIssuedByCa(CertificateRefused):
    """A trusted CA has that name, but its key did not sign the certificate."""

    id: ClassVar[str] = "chain-signature"
    message: ClassVar[str] = f"the certificate {_WHICH} was not signed with the key of that CA that is trusted here"
    hint: ClassVar[str] = "forged, or the CA has a new key: update the CA certificates of this machine"


@dataclass(eq=False)
class NotACa(CertificateRefused):
    """The issuer's certificate in the directory is no CA certificate."""

    id: ClassVar[str] = "ca-not-a-ca"
    message: ClassVar[str] = f"the certificate {_WHICH} is used as a CA but is not marked as one (basicConstraints)"
    hint: ClassVar[str] = _UPDATE_CAS


@dataclass(eq=False)
class CaMayNotIssue(CertificateRefused):
    """The key usage of the CA certificate leaves out signing certificates."""

    id: ClassVar[str] = "ca-key-usage"
    message: ClassVar[str] = f"the CA certificate {_WHICH} may not sign certificates (keyUsage)"
    hint: ClassVar[str] = _UPDATE_CAS


@dataclass(eq=False)
class CaExtendedUsage(CertificateRefused):
    """The extended key usage of the CA certificate leaves out what the site asks of signers."""

    found: str
    expected: str
    id: ClassVar[str] = "ca-extended-key-usage"
    message: ClassVar[str] = f"the CA certificate {_WHICH} is made for {{found}}; expected one of {{expected}}"
    hint: ClassVar[str] = _OTHER_CERTIFICATE


@dataclass(eq=False)
class ChainTooLong(CertificateRefused):
    """More CAs above the signer than any grid has."""

    limit: int
    id: ClassVar[str] = "chain-too-long"
    message: ClassVar[str] = "no root within {limit} CAs above the signer; gave up at {subject} (issued by {issuer})"
    hint: ClassVar[str] = _UPDATE_CAS


@dataclass(eq=False)
class PathLengthExceeded(CertificateRefused):
    """A CA has more CAs below it than its certificate permits."""

    permitted: int
    found: int
    id: ClassVar[str] = "ca-path-length"
    message: ClassVar[str] = f"the CA certificate {_WHICH} permits {{permitted}} CAs below it, this chain has {{found}}"
    hint: ClassVar[str] = "a CA issued a CA certificate that it may not issue: do not use this list, tell the CA"


@dataclass(eq=False)
class UnknownCriticalExtension(CertificateRefused):
    """An extension that must be understood, and is not."""

    extension: str
    id: ClassVar[str] = "certificate-critical-extension"
    message: ClassVar[str] = f"the certificate {_WHICH} has the critical extension {{extension}}, unknown here"
    hint: ClassVar[str] = _OTHER_CERTIFICATE


@dataclass(eq=False)
class PolicyMissing(CertificateRefused):
    """Nothing says which names the CA may sign."""

    directory: str
    id: ClassVar[str] = "policy-missing"
    message: ClassVar[str] = "no signing_policy or namespaces file in {directory} says which names {issuer} may sign"
    hint: ClassVar[str] = "install the policy files of that CA; the packages of the CA certificates have them"


@dataclass(eq=False)
class PolicyUnreadable(CertificateRefused):
    """The file that says which names the CA may sign cannot be understood."""

    file: str
    problem: str
    id: ClassVar[str] = "policy-unreadable"
    message: ClassVar[str] = "the policy file {file} of {issuer} cannot be used: {problem}"
    hint: ClassVar[str] = "repair it, or install the CA's package again"


@dataclass(eq=False)
class OutsideNamespace(CertificateRefused):
    """A CA signed a name that it may not sign."""

    policy: str


@dataclass(eq=False)
class SignerOutsideNamespace(OutsideNamespace):
    """The signer's name is not the CA's to give."""

    id: ClassVar[str] = "signer-outside-namespace"
    message: ClassVar[str] = "CA {issuer} may not issue the signer's name {subject} (serial {serial}), says {policy}"
    hint: ClassVar[str] = "update the policy files of that CA; if it stays so, do not use this list and tell the CA"


@dataclass(eq=False)
class CaOutsideNamespace(OutsideNamespace):
    """The name of an intermediate CA is not its parent's to give."""

    id: ClassVar[str] = "ca-outside-namespace"
    message: ClassVar[str] = "CA {issuer} may not issue the CA name {subject} (serial {serial}), says {policy}"
    hint: ClassVar[str] = "update the policy files of that CA; if it stays so, do not use this list and tell the CA"
