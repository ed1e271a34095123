"""The signature block: CMS SignedData (RFC 5652) with one signer, read strictly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from cryptography.hazmat import asn1
from cryptography.x509 import ObjectIdentifier

from vmcatcher.errors.trust import BadAsn1, BadStructure, WrongSignerCount
from vmcatcher.trust.ber import SEQUENCE, SET, elements, encoded, to_der
from vmcatcher.trust.names import dotted
from vmcatcher.trust.shield import Undecodable, shielded

DATA: Final = "1.2.840.113549.1.7.1"
_SIGNED_DATA: Final = "1.2.840.113549.1.7.2"
# A real message holds the signer's certificate and a few CAs.
_MOST_CERTIFICATES: Final = 64
# Signed attributes and a signature of the largest key have some 3 KiB.
_LARGEST_SIGNER: Final = 64 * 1024


@asn1.sequence
class _ContentInfo:
    content_type: ObjectIdentifier
    content: Annotated[asn1.TLV, asn1.Explicit(0)]


@asn1.sequence
class _EncapsulatedContent:
    content_type: ObjectIdentifier
    content: Annotated[bytes | None, asn1.Explicit(0)]


@asn1.sequence
class _SignedMessage:
    version: int
    digests: asn1.TLV
    encapsulated: _EncapsulatedContent
    certificates: Annotated[list[asn1.TLV] | None, asn1.Implicit(0)]
    crls: Annotated[list[asn1.TLV] | None, asn1.Implicit(1)]
    signers: asn1.TLV


@asn1.sequence
class _IssuerAndSerial:
    issuer: asn1.TLV
    serial: int


@asn1.sequence
class _SignerInfo:
    version: int
    signer: _IssuerAndSerial | Annotated[bytes, asn1.Implicit(0)]
    digest: list[asn1.TLV]
    signed_attributes: Annotated[list[asn1.TLV] | None, asn1.Implicit(0)]
    algorithm: list[asn1.TLV]
    signature: bytes
    unsigned_attributes: Annotated[list[asn1.TLV] | None, asn1.Implicit(1)]


@dataclass(frozen=True, slots=True)
class SignedAttributes:
    """What is signed in place of the content, and what it says."""

    signed: bytes
    """As the signature covers it: a SET in the order received (RFC 5652, section 5.4)."""
    values: tuple[tuple[str, tuple[bytes, ...]], ...]
    """Per attribute its dotted type and the DER of its values."""


@dataclass(frozen=True, slots=True)
class SignerInfo:
    """One signature and what names its signer: issuer and serial number, or else a key identifier."""

    issuer: bytes | None
    serial: int | None
    key_identifier: bytes | None
    digest: str
    algorithm: str
    parameters: bytes | None
    attributes: SignedAttributes | None
    signature: bytes


@dataclass(frozen=True, slots=True)
class SignatureBlock:
    """A SignedData message. CRLs that it may hold are not even read: whoever signs could bring old ones along."""

    content: bytes | None
    certificates: tuple[bytes, ...]
    signer: SignerInfo


def read_signature_block(message: bytes) -> SignatureBlock:
    """Return the parts of a SignedData message in BER or DER.

    Raises:
        BadAsn1: it breaks the encoding rules, or bytes follow it.
        BadStructure: it is no SignedData over plain data, or holds more than 64 certificates.
        WrongSignerCount: it has not exactly one signer.
    """
    der = to_der(message)
    try:
        with shielded():
            info = asn1.decode_der(_ContentInfo, der)
            content_type = info.content_type.dotted_string
            signed = asn1.decode_der(_SignedMessage, _raw(info.content)) if content_type == _SIGNED_DATA else None
    except Undecodable as exc:
        raise BadAsn1(problem=str(exc)) from exc
    if signed is None:
        raise BadStructure(problem=f"content type {content_type}, expected signedData")
    if signed.encapsulated.content_type.dotted_string != DATA:
        raise BadStructure(
            problem=f"signed content type {signed.encapsulated.content_type.dotted_string}, expected data"
        )
    if _tag(signed.signers) != SET or _tag(signed.digests) != SET:
        raise BadAsn1(problem="a SET was expected")
    certificates = signed.certificates or []
    if len(certificates) > _MOST_CERTIFICATES:
        raise BadStructure(problem=f"{len(certificates)} certificates")
    signers = elements(bytes(signed.signers.data))
    if len(signers) != 1:
        raise WrongSignerCount(found=len(signers))
    return SignatureBlock(
        content=signed.encapsulated.content,
        certificates=tuple(_raw(choice) for choice in certificates if _tag(choice) == SEQUENCE),
        signer=_signer(signers[0].raw),
    )


def _signer(der: bytes) -> SignerInfo:
    if len(der) > _LARGEST_SIGNER:
        raise BadStructure(problem=f"a signature with {len(der)} bytes of attributes")
    try:
        with shielded():
            info = asn1.decode_der(_SignerInfo, der)
    except Undecodable as exc:
        raise BadAsn1(problem=str(exc)) from exc
    digest, _ = _algorithm(info.digest)
    algorithm, parameters = _algorithm(info.algorithm)
    by_issuer = info.signer if isinstance(info.signer, _IssuerAndSerial) else None
    return SignerInfo(
        issuer=None if by_issuer is None else _raw(by_issuer.issuer),
        serial=None if by_issuer is None else by_issuer.serial,
        key_identifier=info.signer if isinstance(info.signer, bytes) else None,
        digest=digest,
        algorithm=algorithm,
        parameters=parameters,
        attributes=None if info.signed_attributes is None else _attributes(info.signed_attributes),
        signature=info.signature,
    )


def _attributes(encoded_attributes: list[asn1.TLV]) -> SignedAttributes:
    values: list[tuple[str, tuple[bytes, ...]]] = []
    for attribute in encoded_attributes:
        parts = elements(bytes(attribute.data))
        if _tag(attribute) != SEQUENCE or [part.tag for part in parts] != [0x06, SET]:
            raise BadAsn1(problem="a signed attribute is no pair of type and values")
        values.append((dotted(parts[0].body), tuple(value.raw for value in elements(parts[1].body))))
    return SignedAttributes(encoded(SET, b"".join(map(_raw, encoded_attributes))), tuple(values))


def _algorithm(parts: list[asn1.TLV]) -> tuple[str, bytes | None]:
    if not parts or len(parts) > 2 or _tag(parts[0]) != 0x06:
        raise BadAsn1(problem="an algorithm is no pair of identifier and parameters")
    return dotted(bytes(parts[0].data)), _raw(parts[1]) if len(parts) == 2 else None


def _tag(tlv: asn1.TLV) -> int:
    return int.from_bytes(tlv.tag_bytes, "big")


def _raw(tlv: asn1.TLV) -> bytes:
    # DER has one way to write a length, and the library insists on it: these are the bytes as they came.
    return encoded(_tag(tlv), bytes(tlv.data)) if len(tlv.tag_bytes) == 1 else tlv.tag_bytes
