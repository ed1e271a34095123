"""The proof of one image: what of a store it takes to check elsewhere that these bytes were endorsed.

One JSON document in ASCII, sorted, with a digest of itself at its end; docs/reference/proof-format.md describes it.
What others have to believe is in the parts that somebody signed. Everything else in it is said for people and for jq,
and follows from those parts: who checks a proof makes it anew from them and compares.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from vmcatcher.errors import VmcatcherError
from vmcatcher.errors.document import BadDocument
from vmcatcher.errors.imagelist import ContentRefused
from vmcatcher.errors.proof import (
    NotAProof,
    ProofAltered,
    ProofFormatUnknown,
    ProofImageNotListed,
    ProofMalformed,
    ProofTooLarge,
)
from vmcatcher.model import document as doc
from vmcatcher.model.identity import image_id
from vmcatcher.model.instant import instant_text
from vmcatcher.model.moment import is_sensible
from vmcatcher.model.strictjson import parse

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from vmcatcher.model.identity import ImageId
    from vmcatcher.model.image import Image
    from vmcatcher.model.imagelist import ImageList

KIND: Final = "vmcatcher-image-proof"
FORMAT: Final = 1
LARGEST_BYTES: Final = 32 * 2**20
"""A list of 10 MiB in base64, and the revocation lists of its CAs, of which the largest known has a few MiB."""
POLICY_KINDS: Final = ("namespaces", "signing_policy")
# Chains have three certificates, each CA one CRL and two policies; more would only cost time.
_MOST: Final = 8
_CERTIFICATE: Final = "CERTIFICATE"
_CRL: Final = "X509 CRL"
_Kind = TypeVar("_Kind")
_SEAL: Final = b' "~sha256": "'


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy file of a CA, as it was when the proof was made."""

    kind: str
    """`namespaces` or `signing_policy`."""
    text: str


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA of the chain: its certificate as DER, its name, and what says which names it may sign."""

    certificate: bytes
    subject: str
    policies: tuple[Policy, ...]

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate, as `openssl x509 -fingerprint -sha256` prints it."""
        return fingerprint(self.certificate)


@dataclass(frozen=True, slots=True)
class Proof:
    """The parts of a proof. Read from a file they are what that file says, no more."""

    image: ImageId
    signed: bytes
    """The signed list exactly as it was received."""
    admitted: datetime
    verified: datetime
    """When signature, chain and revocation were looked at: at admission, or at the import of an older store."""
    signer: bytes
    """The signer's certificate as DER."""
    subject: str
    issuer: str
    authorities: tuple[Authority, ...]
    """The CAs of the chain, the signer's issuer first, the self-signed anchor last."""
    crls: tuple[bytes, ...]

    @property
    def anchor(self) -> Authority:
        """The self-signed CA at the end of the chain."""
        return self.authorities[-1]


def fingerprint(der: bytes) -> str:
    """Return the SHA-256 of a certificate in pairs of hexadecimal digits with colons between."""
    return hashlib.sha256(der).digest().hex(":").upper()


def named_image(proof: Proof, listed: ImageList) -> Image:
    """Return the image of the proof as its list describes it.

    Raises:
        ProofImageNotListed: the list does not name it.
    """
    for image in listed.images:
        if image.identifier == proof.image:
            return image
    raise ProofImageNotListed(image=proof.image, list_id=listed.identifier)


def proof_bytes(proof: Proof, listed: ImageList) -> bytes:
    """Return the file of a proof: the same bytes for the same parts. `listed` is what `proof.signed` says.

    Raises:
        ProofImageNotListed: the list does not name the image.
    """
    text = json.dumps(_document(proof, listed, named_image(proof, listed)), indent=1, sort_keys=True)
    head = text.removesuffix("\n}").encode("ascii") + b",\n"
    return b'%s%s%s"\n}\n' % (head, _SEAL, hashlib.sha256(head).hexdigest().encode())


def _document(proof: Proof, listed: ImageList, image: Image) -> dict[str, object]:
    return {
        "kind": KIND,
        "format": FORMAT,
        "admitted": instant_text(proof.admitted),
        "verified": instant_text(proof.verified),
        "image": {
            "identifier": image.identifier,
            "version": image.version,
            "sha512": image.sha512,
            "size": image.size_bytes,
            "entry": image.to_json(),
        },
        "list": {
            "identifier": listed.identifier,
            "version": listed.version,
            "created": instant_text(listed.created),
            "expires": instant_text(listed.expires),
            "sha512": hashlib.sha512(proof.signed).hexdigest(),
            "signed": base64.b64encode(proof.signed).decode(),
        },
        "signer": {
            "subject": proof.subject,
            "issuer": proof.issuer,
            "fingerprint": fingerprint(proof.signer),
            "certificate": _pem(_CERTIFICATE, proof.signer),
        },
        "authorities": [
            {
                "subject": one.subject,
                "fingerprint": one.fingerprint,
                "certificate": _pem(_CERTIFICATE, one.certificate),
                "policies": [{"kind": policy.kind, "text": policy.text} for policy in one.policies],
            }
            for one in proof.authorities
        ],
        "crls": [_pem(_CRL, der) for der in proof.crls],
    }


def _pem(label: str, der: bytes) -> str:
    text = base64.b64encode(der).decode()
    lines = (text[at : at + 64] for at in range(0, len(text), 64))
    return "\n".join((f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""))


def parse_proof(content: bytes) -> Proof:
    """Return the parts of the proof that a file holds. Nothing in it is proved yet.

    Raises:
        ProofRefused: a subclass that says what is wrong with the file, whatever its bytes are.
    """
    if len(content) > LARGEST_BYTES:
        raise ProofTooLarge(size_bytes=len(content), limit_bytes=LARGEST_BYTES)
    try:
        document = parse(content)
    except ContentRefused as exc:
        raise NotAProof(why=str(exc).replace("the signed content", "its content")) from exc
    if document.get("kind") != KIND:
        raise NotAProof(why=f"its 'kind' is not {KIND}")
    if document.get("format") != FORMAT or isinstance(document["format"], bool):
        raise ProofFormatUnknown(found=json.dumps(document.get("format"))[:40])
    head, _, seal = content.rpartition(_SEAL)
    if seal != hashlib.sha256(head).hexdigest().encode() + b'"\n}\n':
        raise ProofAltered
    try:
        return _parsed(document)
    except BadDocument as exc:
        raise ProofMalformed(part=exc.field, expected=exc.expected) from exc


def _parsed(document: doc.Document) -> Proof:
    signer = _object(document, "signer")
    authorities = tuple(_authority(one) for one in _some(doc.documents(document, "authorities"), "authorities"))
    if not authorities:
        raise ProofMalformed(part="authorities", expected="a list with a CA certificate")
    return Proof(
        image=_image_id(doc.text(_object(document, "image"), "identifier")),
        signed=_decoded("list.signed", doc.text(_object(document, "list"), "signed")),
        admitted=_instant(document, "admitted"),
        verified=_instant(document, "verified"),
        signer=_unwrapped("signer.certificate", _CERTIFICATE, doc.text(signer, "certificate")),
        subject=doc.text(signer, "subject"),
        issuer=doc.text(signer, "issuer"),
        authorities=authorities,
        crls=tuple(_unwrapped("crls", _CRL, pem) for pem in _some(doc.texts(document, "crls"), "crls")),
    )


def _authority(document: doc.Document) -> Authority:
    policies = _some(doc.documents(document, "policies"), "authorities.policies")
    der = _unwrapped("authorities.certificate", _CERTIFICATE, doc.text(document, "certificate"))
    return Authority(der, doc.text(document, "subject"), tuple(_policy(one) for one in policies))


def _policy(document: doc.Document) -> Policy:
    kind = doc.text(document, "kind")
    if kind not in POLICY_KINDS:
        raise ProofMalformed(part="authorities.policies.kind", expected=" or ".join(POLICY_KINDS))
    return Policy(kind, doc.text(document, "text"))


def _object(document: doc.Document, field: str) -> Mapping[str, object]:
    found = doc.optional_document(document, field)
    if found is None:
        raise ProofMalformed(part=field, expected="an object")
    return found


def _some(found: tuple[_Kind, ...], part: str) -> tuple[_Kind, ...]:
    if len(found) > _MOST:
        raise ProofMalformed(part=part, expected=f"a list of at most {_MOST}")
    return found


def _image_id(text: str) -> ImageId:
    try:
        return image_id(text)
    except VmcatcherError as exc:
        raise ProofMalformed(part="image.identifier", expected="an identifier that can be a file name") from exc


def _instant(document: doc.Document, field: str) -> datetime:
    found = doc.instant(document, field)
    if not is_sensible(found):
        raise ProofMalformed(part=field, expected="a time in the years 1970 to 8999")
    return found


def _unwrapped(part: str, label: str, pem: str) -> bytes:
    begin, end = f"-----BEGIN {label}-----\n", f"-----END {label}-----\n"
    if not pem.startswith(begin) or not pem.endswith(end):
        raise ProofMalformed(part=part, expected=f"a {label} in PEM")
    return _decoded(part, pem[len(begin) : -len(end)].replace("\n", ""))


def _decoded(part: str, text: str) -> bytes:
    try:
        return binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
    except ValueError as exc:  # what cannot be encoded, too
        raise ProofMalformed(part=part, expected="base64") from exc


def first_difference(content: bytes, other: bytes) -> str:
    """Return the name of the first member in which two proofs differ, such as `image.sha512`."""
    one, two = parse(content), parse(other)
    for name in sorted({*one, *two}):
        ours, theirs = one.get(name), two.get(name)
        if isinstance(ours, dict) and isinstance(theirs, dict):
            for inner in sorted({*ours, *theirs}):
                if json.dumps(ours.get(inner), sort_keys=True) != json.dumps(theirs.get(inner), sort_keys=True):
                    return f"{name}.{inner}"
        if json.dumps(ours, sort_keys=True) != json.dumps(theirs, sort_keys=True) and name[:1] != "~":
            return name
    return "its spelling"
