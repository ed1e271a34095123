"""Does the signature hold, over which of the candidate contents, and by whose certificate?"""

from __future__ import annotations

import functools
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from vmcatcher.errors.certificates import SignerUnreadable
from vmcatcher.errors.trust import (
    AttributesAsContent,
    BadAttributes,
    BadSignature,
    BadStructure,
    DigestMismatch,
    NoSignerCertificate,
)
from vmcatcher.trust.algorithms import digest_name, digest_of, holds, scheme
from vmcatcher.trust.ber import OCTET_STRING, SET, element
from vmcatcher.trust.certificates import Certificate, outline, read_certificate
from vmcatcher.trust.cms import DATA, SignatureBlock, SignedAttributes, SignerInfo
from vmcatcher.trust.mime import candidates
from vmcatcher.trust.names import dotted
from vmcatcher.trust.shield import Undecodable

_CONTENT_TYPE: Final = "1.2.840.113549.1.9.3"
_MESSAGE_DIGEST: Final = "1.2.840.113549.1.9.4"


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature that holds; nothing is said yet about whether its signer is trusted."""

    content: bytes
    """Exactly the bytes that it covers."""
    certificate: Certificate
    digest: str


def hold_signature(block: SignatureBlock, part: bytes | None, *, sha1: bool) -> Signature:
    """Return what the signature in `block` covers: its own content, or `part` with the line ends that were signed.

    Raises:
        BadStructure: there is no content, or two different ones.
        WeakDigest, WrongAlgorithm: not signed with algorithms that can be relied on.
        NoSignerCertificate, SignerUnreadable: it cannot be told who signed.
        BadAttributes: the signed attributes do not vouch for the content.
        DigestMismatch, BadSignature, AttributesAsContent: content or signature were changed.
    """
    signer = block.signer
    offered = _offered(block, part)
    digest = digest_name(signer.digest, sha1=sha1)
    certificate = signer_certificate(block)
    how = scheme(certificate.key, signer.algorithm, signer.parameters, digest)
    if signer.attributes is not None:
        content = _promised(signer.attributes, offered, digest)
        if not holds(certificate.key, signer.signature, signer.attributes.signed, how):
            raise BadSignature(subject=str(certificate.subject))
        return Signature(content, certificate, digest)
    for content in offered:
        if holds(certificate.key, signer.signature, content, how):
            # RFC 5652, section 5.4: a signature over attributes is also one over a content of just those bytes.
            if content[:1] == bytes((SET,)):
                raise AttributesAsContent
            return Signature(content, certificate, digest)
    raise BadSignature(subject=str(certificate.subject))


def _offered(block: SignatureBlock, part: bytes | None) -> Iterable[bytes]:
    if part is None:
        if block.content is None:
            raise BadStructure(problem="it holds no content, and none was sent beside it")
        return (block.content,)
    if block.content is None:
        return candidates(part)
    if block.content not in candidates(part):
        raise BadStructure(problem="it holds other content than what was sent beside it")
    return (block.content,)


def signer_certificate(block: SignatureBlock) -> Certificate:
    """Return the one certificate in the message that the signature names; the same one twice is one.

    Raises:
        NoSignerCertificate, SignerUnreadable: it cannot be told who signed.
    """
    found: set[bytes] = set()
    problem = None
    for der in block.certificates:
        try:
            if _is_named(der, block.signer):
                found.add(der)
        except Undecodable as exc:
            problem = exc
    if not found and problem is not None:
        raise SignerUnreadable(problem=str(problem)) from problem
    if len(found) != 1:
        raise NoSignerCertificate(found=len(found))
    try:
        return _read_once(found.pop())
    except Undecodable as exc:
        raise SignerUnreadable(problem=str(exc)) from exc


@functools.lru_cache(maxsize=64)
def _read_once(der: bytes) -> Certificate:
    # Most lists of a site have the same few signers, and taking a certificate apart costs as much as one signature.
    return read_certificate(der)


def _is_named(der: bytes, signer: SignerInfo) -> bool:
    if signer.key_identifier is not None:
        return read_certificate(der).key_identifier == signer.key_identifier
    names = outline(der)
    return (names.serial, names.issuer) == (signer.serial, signer.issuer)


def _promised(attributes: SignedAttributes, offered: Iterable[bytes], digest: str) -> bytes:
    """Return the content whose digest the signed attributes hold."""
    values = dict(attributes.values)
    if len(values) != len(attributes.values):
        raise BadAttributes(problem="one of them is given twice")
    if len(values.get(_CONTENT_TYPE, ())) != 1 or dotted(element(values[_CONTENT_TYPE][0]).body) != DATA:
        raise BadAttributes(problem="the content type is not data")
    promised = [element(value) for value in values.get(_MESSAGE_DIGEST, ())]
    if len(promised) != 1 or promised[0].tag != OCTET_STRING:
        raise BadAttributes(problem="there is no single message digest")
    for content in offered:
        if hmac.compare_digest(digest_of(digest, content), promised[0].body):
            return content
    raise DigestMismatch(digest=digest)
