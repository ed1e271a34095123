"""Why a signed list was refused for what it is: its wrapper and its signature; and trust directories that are no use.

What was wrong with certificates, policies and revocation lists is in `certificates`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import ClassVar, Final

from vmcatcher.errors.base import MachineError, OperatorError, PublisherError
from vmcatcher.light import dataclass

_DAMAGED: Final = "fetch it again; if it stays so, the publisher has to sign the list anew"
_RESIGN: Final = "the endorser has to sign the list anew, as `openssl smime -sign -md sha256` does"


@dataclass(eq=False)
class ListUntrusted(PublisherError):
    """A signed list that cannot be trusted, or not any longer; the common base of every such refusal."""

    id: ClassVar[str] = "list-untrusted"
    classic_exit: ClassVar[int] = 11
    message: ClassVar[str] = "the signed list cannot be trusted"

    def facts(self) -> dict[str, object]:
        """Return the fields by name, for JSON reports; instants as text in UTC."""
        return instant_facts(super().facts())


def instant_facts(facts: Mapping[str, object]) -> dict[str, object]:
    """Return facts with instants as text in UTC."""
    return {name: _instant(value) for name, value in facts.items()}


def _instant(value: object) -> object:
    return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if isinstance(value, datetime) else value


@dataclass(eq=False)
class TrustDirectoryMissing(OperatorError):
    """The directory of trust anchors is not there."""

    directory: str
    id: ClassVar[str] = "trust-directory-missing"
    message: ClassVar[str] = "Invalid x509 trust store directory: {directory}."
    hint: ClassVar[str] = "install the CA certificates of your grid there, or name another directory with --cert-dir"


@dataclass(eq=False)
class TrustDirectoryEmpty(MachineError):
    """Nothing can be judged without CA certificates, so nothing may be accepted or expired for want of them."""

    directory: str
    problem: str
    id: ClassVar[str] = "trust-directory-empty"
    exit_code: ClassVar[int] = 75
    classic_exit: ClassVar[int] = 75
    message: ClassVar[str] = "no CA certificate could be read from {directory}: {problem}"
    hint: ClassVar[str] = "nothing was accepted and nothing expired; install or mount the CA certificates and run again"


@dataclass(eq=False)
class TrustDirectoryDamaged(MachineError):
    """A CA that was there is not found now, but some CA file cannot be read: no proof that the CA is gone."""

    directory: str
    issuer: str
    file: str
    problem: str
    id: ClassVar[str] = "trust-directory-damaged"
    exit_code: ClassVar[int] = 75
    classic_exit: ClassVar[int] = 75
    message: ClassVar[str] = (
        "cannot tell whether CA {issuer} was taken out of {directory}: its file {file} cannot be read: {problem}"
    )
    hint: ClassVar[str] = "nothing expired; repair or remove that file and run again"


# --- the S/MIME wrapper ---


@dataclass(eq=False)
class ListTooLarge(ListUntrusted):
    """More bytes than a list may have."""

    size_bytes: int
    limit_bytes: int
    id: ClassVar[str] = "list-too-large"
    message: ClassVar[str] = "the signed list has {size_bytes} bytes, the limit is {limit_bytes}"
    hint: ClassVar[str] = "raise the limit if this list is really meant to be so large"


@dataclass(eq=False)
class ListNotSigned(ListUntrusted):
    """What was fetched is no S/MIME message: a login page, an error page, the bare list."""

    found: str
    size_bytes: int
    id: ClassVar[str] = "list-not-signed"
    message: ClassVar[str] = "not a signed list ({found}, {size_bytes} bytes)"
    hint: ClassVar[str] = "look at what the URI serves: a login or error page, or a list that was never signed"


@dataclass(eq=False)
class BadMimeHeader(ListUntrusted):
    """Headers that cannot be read in one way only."""

    where: str
    problem: str
    id: ClassVar[str] = "list-mime-header"
    message: ClassVar[str] = "the headers of the {where} cannot be read: {problem}"
    hint: ClassVar[str] = _DAMAGED


@dataclass(eq=False)
class BadMimeType(ListUntrusted):
    """A MIME type that does not belong in a signed message."""

    where: str
    found: str
    id: ClassVar[str] = "list-mime-type"
    message: ClassVar[str] = "the {where} is '{found}', no PKCS #7 signature"
    hint: ClassVar[str] = _RESIGN


@dataclass(eq=False)
class BadMimeBoundary(ListUntrusted):
    """No boundary, or one that no mail program would write."""

    found: str
    id: ClassVar[str] = "list-mime-boundary"
    message: ClassVar[str] = "the MIME boundary '{found}' cannot be used"
    hint: ClassVar[str] = _DAMAGED


@dataclass(eq=False)
class WrongMimeParts(ListUntrusted):
    """A multipart/signed message has two parts, the content and its signature."""

    found: int
    id: ClassVar[str] = "list-mime-parts"
    message: ClassVar[str] = "the signed message has {found} parts, expected 2: the list and its signature"
    hint: ClassVar[str] = _DAMAGED


@dataclass(eq=False)
class MimeTruncated(ListUntrusted):
    """The closing boundary never came."""

    size_bytes: int
    id: ClassVar[str] = "list-truncated"
    message: ClassVar[str] = "the signed list ends after {size_bytes} bytes without its closing boundary"
    hint: ClassVar[str] = "it was probably cut short on its way: fetch it again"


@dataclass(eq=False)
class BadMimeEncoding(ListUntrusted):
    """A transfer encoding that is unknown, or not the one a signature has."""

    where: str
    found: str
    id: ClassVar[str] = "list-mime-encoding"
    message: ClassVar[str] = "the {where} has transfer encoding '{found}', which is not expected there"
    hint: ClassVar[str] = _RESIGN


@dataclass(eq=False)
class BadBase64(ListUntrusted):
    """Text that is not base64 from beginning to end."""

    where: str
    problem: str
    id: ClassVar[str] = "list-base64"
    message: ClassVar[str] = "the base64 text of the {where} is damaged: {problem}"
    hint: ClassVar[str] = _DAMAGED


@dataclass(eq=False)
class WrongInnerType(ListUntrusted):
    """The signature is good, but what it covers is no list."""

    found: str
    id: ClassVar[str] = "list-inner-type"
    message: ClassVar[str] = "the signed content is '{found}', expected JSON or text/plain"
    hint: ClassVar[str] = _RESIGN


# --- the signature ---


@dataclass(eq=False)
class BadAsn1(ListUntrusted):
    """The signature block does not follow its own encoding rules."""

    problem: str
    id: ClassVar[str] = "list-asn1"
    message: ClassVar[str] = "the signature block cannot be decoded: {problem}"
    hint: ClassVar[str] = _DAMAGED


@dataclass(eq=False)
class BadStructure(ListUntrusted):
    """The signature block decodes, but is not a plain signed message."""

    problem: str
    id: ClassVar[str] = "list-structure"
    message: ClassVar[str] = "the signature block is not a plain signed message: {problem}"
    hint: ClassVar[str] = _RESIGN


@dataclass(eq=False)
class WrongSignerCount(ListUntrusted):
    """None or several signers: nobody could say who endorsed the list."""

    found: int
    id: ClassVar[str] = "list-signers"
    message: ClassVar[str] = "the list carries {found} signatures, expected exactly one"
    hint: ClassVar[str] = _RESIGN


@dataclass(eq=False)
class WeakDigest(ListUntrusted):
    """Signed over a digest for which other content could be made."""

    digest: str
    id: ClassVar[str] = "list-weak-digest"
    message: ClassVar[str] = "the list is signed over the digest {digest}, expected sha256, sha384 or sha512"
    hint: ClassVar[str] = _RESIGN


@dataclass(eq=False)
class WrongAlgorithm(ListUntrusted):
    """A signature algorithm that is unknown, or does not fit the digest or the key."""

    algorithm: str
    digest: str
    key: str
    id: ClassVar[str] = "list-signature-algorithm"
    message: ClassVar[str] = "the signature algorithm {algorithm} does not go with digest {digest} and a key of {key}"
    hint: ClassVar[str] = _RESIGN


@dataclass(eq=False)
class NoSignerCertificate(ListUntrusted):
    """The signature names a certificate that the message does not hold, or holds in two versions."""

    found: int
    id: ClassVar[str] = "list-no-signer-certificate"
    message: ClassVar[str] = "the message holds {found} certificates that could be the signer's, expected exactly one"
    hint: ClassVar[str] = "the endorser has to sign the list anew, with the certificate included (no -nocerts)"


@dataclass(eq=False)
class BadAttributes(ListUntrusted):
    """Signed attributes that contradict what they should vouch for."""

    problem: str
    id: ClassVar[str] = "list-bad-attributes"
    message: ClassVar[str] = "the signed attributes cannot be used: {problem}"
    hint: ClassVar[str] = _RESIGN


@dataclass(eq=False)
class DigestMismatch(ListUntrusted):
    """The content is not what was signed."""

    digest: str
    id: ClassVar[str] = "list-digest-mismatch"
    message: ClassVar[str] = "the list was changed after it was signed: its {digest} digest is not the signed one"
    hint: ClassVar[str] = "fetch it again; if it stays so, tell the endorser: damaged on the server, or tampered with"


@dataclass(eq=False)
class BadSignature(ListUntrusted):
    """The signature was not made by the key of the certificate that it names."""

    subject: str
    id: ClassVar[str] = "list-bad-signature"
    message: ClassVar[str] = "the signature does not fit the key of {subject}"
    hint: ClassVar[str] = "fetch it again; if it stays so, tell the endorser: damaged on the server, or forged"


@dataclass(eq=False)
class AttributesAsContent(ListUntrusted):
    """Signed attributes of another message offered as content: RFC 5652, section 5.4 lets the two be confused."""

    id: ClassVar[str] = "list-attributes-as-content"
    message: ClassVar[str] = "the content of the list is the attribute block of another signature"
    hint: ClassVar[str] = "do not use this list and tell the endorser: somebody is forging it"
