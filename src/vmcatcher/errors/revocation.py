"""Why a signed list was refused for revocation: a certificate was revoked, or nobody can tell whether it was."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Final

from vmcatcher.errors.base import PublisherError
from vmcatcher.errors.certificates import CertificateRefused
from vmcatcher.light import dataclass

_FETCH_CRL: Final = "run fetch-crl or vmcatcher trust fetch-crls, and look at what it says about this CA"


@dataclass(eq=False)
class CertificateRevoked(CertificateRefused):
    """A certificate that its issuer took back."""

    since: datetime
    reason: str


@dataclass(eq=False)
class SignerRevoked(CertificateRevoked):
    """The issuer of the signer's certificate took it back."""

    id: ClassVar[str] = "signer-revoked"
    message: ClassVar[str] = (
        "the signer's certificate {subject} (serial {serial}) was revoked by {issuer} on {since}, reason: {reason}"
    )
    hint: ClassVar[str] = "do not use this list; ask the endorser for one signed with a new certificate"


@dataclass(eq=False)
class CaRevoked(CertificateRevoked):
    """The parent of an intermediate CA took its certificate back."""

    id: ClassVar[str] = "ca-revoked"
    message: ClassVar[str] = (
        "the CA certificate {subject} (serial {serial}) was revoked by {issuer} on {since}, reason: {reason}"
    )
    hint: ClassVar[str] = "nothing that this CA signed can be trusted; update the CA certificates of this machine"


@dataclass(eq=False)
class RevokedBefore(PublisherError):
    """An earlier run found the signer or a CA of its chain revoked, and no revocation list can tell now."""

    reason: str
    id: ClassVar[str] = "revoked-before"
    message: ClassVar[str] = (
        "an earlier run found this list's signer or CA revoked ({reason}), and the revocation list that said so is "
        "missing or no use now"
    )
    hint: ClassVar[str] = "it stays revoked until a current revocation list says otherwise: run fetch-crl"


@dataclass(eq=False)
class CrlRefused(CertificateRefused):
    """Whether the certificate was revoked cannot be told."""


@dataclass(eq=False)
class CrlMissing(CrlRefused):
    """The issuer has no CRL here."""

    directory: str
    id: ClassVar[str] = "crl-missing"
    message: ClassVar[str] = (
        "no CRL of CA {issuer} in {directory}: cannot tell whether {subject} (serial {serial}) was revoked"
    )
    hint: ClassVar[str] = _FETCH_CRL


@dataclass(eq=False)
class CrlUnreadable(CrlRefused):
    """The issuer's CRL file is there, but of no use."""

    file: str
    problem: str
    id: ClassVar[str] = "crl-unreadable"
    message: ClassVar[str] = "the CRL file {file} of CA {issuer} cannot be used: {problem}"
    hint: ClassVar[str] = _FETCH_CRL


@dataclass(eq=False)
class CrlNotSigned(CrlRefused):
    """A CRL in the issuer's name that the issuer's key did not sign, or may not sign."""

    problem: str
    id: ClassVar[str] = "crl-signature"
    message: ClassVar[str] = "the CRL of CA {issuer} cannot be trusted: {problem}"
    hint: ClassVar[str] = "forged, or the CA has a new key: run fetch-crl, update the CA certificates of this machine"


@dataclass(eq=False)
class CrlScope(CrlRefused):
    """A CRL that speaks of some of the CA's certificates only."""

    problem: str
    id: ClassVar[str] = "crl-scope"
    message: ClassVar[str] = "the CRL of CA {issuer} does not speak of {subject} (serial {serial}): {problem}"
    hint: ClassVar[str] = "fetch the CA's full CRL"


@dataclass(eq=False)
class CrlFuture(CrlRefused):
    """A CRL made later than now."""

    made: datetime
    now: datetime
    id: ClassVar[str] = "crl-future"
    message: ClassVar[str] = "the CRL of CA {issuer} was made on {made}, it is now {now}"
    hint: ClassVar[str] = "compare the clock of this machine with the true time"


@dataclass(eq=False)
class CrlExpired(CrlRefused):
    """A CRL whose successor is overdue."""

    ended: datetime
    now: datetime
    id: ClassVar[str] = "crl-expired"
    message: ClassVar[str] = "the CRL of CA {issuer} expired {ended}, it is now {now}"
    hint: ClassVar[str] = _FETCH_CRL


@dataclass(eq=False)
class CrlEndless(CrlRefused):
    """A CRL that does not say when its successor is due."""

    id: ClassVar[str] = "crl-without-end"
    message: ClassVar[str] = "the CRL of CA {issuer} does not say until when it holds (nextUpdate)"
    hint: ClassVar[str] = "ask the CA; a grid CA has to say so"
