"""DER put together by hand, for messages and certificates that no honest tool would write."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

SEQUENCE, SET, OCTETS, NULL = 0x30, 0x31, 0x04, 0x05

DATA = "1.2.840.113549.1.7.1"
SIGNED_DATA = "1.2.840.113549.1.7.2"
CONTENT_TYPE = "1.2.840.113549.1.9.3"
MESSAGE_DIGEST = "1.2.840.113549.1.9.4"
DIGESTS = {
    "md5": "1.2.840.113549.2.5",
    "sha1": "1.3.14.3.2.26",
    "sha256": "2.16.840.1.101.3.4.2.1",
    "sha384": "2.16.840.1.101.3.4.2.2",
    "sha512": "2.16.840.1.101.3.4.2.3",
}
ECDSA = {
    "sha1": "1.2.840.10045.4.1",
    "sha256": "1.2.840.10045.4.3.2",
    "sha384": "1.2.840.10045.4.3.3",
    "sha512": "1.2.840.10045.4.3.4",
}
RSA_WITH = {"md5": "1.2.840.113549.1.1.4", "sha1": "1.2.840.113549.1.1.5", "sha256": "1.2.840.113549.1.1.11"}
ED25519 = "1.3.101.112"

type_of_key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
HASHES: dict[str, Callable[[], hashes.HashAlgorithm]] = {
    "md5": hashes.MD5,
    "sha1": hashes.SHA1,
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
}


def tlv(tag: int, *parts: bytes) -> bytes:
    """Return one DER element."""
    body = b"".join(parts)
    if len(body) < 0x80:
        return bytes([tag, len(body)]) + body
    length = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + body


def integer(value: int) -> bytes:
    """Return a DER INTEGER."""
    return tlv(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def oid(dotted: str) -> bytes:
    """Return a DER OBJECT IDENTIFIER."""
    first, second, *rest = (int(arc) for arc in dotted.split("."))
    out = bytearray()
    for arc in (first * 40 + second, *rest):
        chunk = [arc & 0x7F]
        while arc := arc >> 7:
            chunk.append(0x80 | arc & 0x7F)
        out += bytes(reversed(chunk))
    return tlv(0x06, bytes(out))


def algorithm(dotted: str, *parameters: bytes) -> bytes:
    """Return an AlgorithmIdentifier."""
    return tlv(SEQUENCE, oid(dotted), *parameters)


def children(der: bytes) -> list[bytes]:
    """Return the elements inside one DER element, headers included."""
    _, start, end = _extent(der, 0)
    found = []
    while start < end:
        _, _, stop = _extent(der, start)
        found.append(der[start:stop])
        start = stop
    return found


def body(der: bytes) -> bytes:
    """Return what one DER element holds."""
    _, start, end = _extent(der, 0)
    return der[start:end]


def _extent(der: bytes, at: int) -> tuple[int, int, int]:
    length, start = der[at + 1], at + 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(der[at + 2 : start], "big")
    return der[at], start, start + length


def attribute(dotted: str, *values: bytes) -> bytes:
    """Return one CMS attribute."""
    return tlv(SEQUENCE, oid(dotted), tlv(SET, *values))


def raw_signature(key: type_of_key, signed: bytes, digest: str) -> bytes:
    """Sign `signed` the plain way of the key's kind, with digests that library builders refuse too."""
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(signed, padding.PKCS1v15(), HASHES[digest]())
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(signed, ec.ECDSA(HASHES[digest]()))
    return key.sign(signed)


def resigned(
    signed: bytes,
    key: type_of_key,
    digest: str = "sha256",
    edit: Callable[[list[bytes]], list[bytes]] = lambda parts: parts,
) -> bytes:
    """Return a certificate or CRL signed again by `key`, after `edit` changed the elements of its signed part."""
    tbs, old, _ = children(signed)
    rsa_key = isinstance(key, rsa.RSAPrivateKey)
    new = algorithm(RSA_WITH[digest], tlv(NULL)) if rsa_key else algorithm(ECDSA[digest])
    edited = tlv(SEQUENCE, *edit([new if part == old else part for part in children(tbs)]))
    return tlv(SEQUENCE, edited, new, tlv(0x03, b"\0", raw_signature(key, edited, digest)))


@dataclass(frozen=True)
class Cms:
    """A SignedData message, every part of it open to be changed before `der` puts it together."""

    certificate: x509.Certificate
    key: type_of_key
    content: bytes
    digest: str = "sha256"
    encapsulated: bytes | None = None
    content_type: str = DATA
    attributes: tuple[bytes, ...] | None = ()
    """() for contentType and messageDigest as they should be; None for no signed attributes."""
    certificates: tuple[bytes, ...] | None = None
    crls: tuple[bytes, ...] = ()
    sid: bytes | None = None
    signature: bytes | None = None
    signature_algorithm: bytes | None = None
    version: int = 1

    def but(self, **changes: object) -> Cms:
        """Return the message with some parts changed."""
        return replace(self, **changes)  # type: ignore[arg-type]  # the field names are checked when it is called

    def standard_attributes(self) -> tuple[bytes, ...]:
        """Return contentType and messageDigest, sorted as DER wants a SET."""
        value = hashlib.new(self.digest, self.content).digest()
        return tuple(sorted((attribute(CONTENT_TYPE, oid(DATA)), attribute(MESSAGE_DIGEST, tlv(OCTETS, value)))))

    def signer_info(self) -> bytes:
        """Return the SignerInfo."""
        attributes = self.standard_attributes() if self.attributes == () else self.attributes
        covered = self.content if attributes is None else tlv(SET, *attributes)
        signature = self.signature if self.signature is not None else raw_signature(self.key, covered, self.digest)
        return tlv(
            SEQUENCE,
            integer(self.version),
            self.sid or self._issuer_and_serial(),
            algorithm(DIGESTS[self.digest]),
            b"" if attributes is None else tlv(0xA0, *attributes),
            self.signature_algorithm or self._algorithm(),
            tlv(OCTETS, signature),
        )

    def der(self, *, signers: Iterable[bytes] | None = None) -> bytes:
        """Return the ContentInfo."""
        certificates = self.certificates
        if certificates is None:
            certificates = (self.certificate.public_bytes(Encoding.DER),)
        inside = b"" if self.encapsulated is None else tlv(0xA0, tlv(OCTETS, self.encapsulated))
        signed_data = tlv(
            SEQUENCE,
            integer(self.version),
            tlv(SET, algorithm(DIGESTS[self.digest])),
            tlv(SEQUENCE, oid(self.content_type), inside),
            tlv(0xA0, *certificates) if certificates else b"",
            tlv(0xA1, *self.crls) if self.crls else b"",
            tlv(SET, *((self.signer_info(),) if signers is None else signers)),
        )
        return tlv(SEQUENCE, oid(SIGNED_DATA), tlv(0xA0, signed_data))

    def _algorithm(self) -> bytes:
        if isinstance(self.key, rsa.RSAPrivateKey):
            return algorithm("1.2.840.113549.1.1.1", tlv(NULL))
        if isinstance(self.key, ec.EllipticCurvePrivateKey):
            return algorithm(ECDSA[self.digest])
        return algorithm(ED25519)

    def _issuer_and_serial(self) -> bytes:
        return tlv(SEQUENCE, self.certificate.issuer.public_bytes(), integer(self.certificate.serial_number))


def detached(certificate: x509.Certificate, key: type_of_key, part: bytes, **changes: object) -> bytes:
    """Return `part`, whose lines end in LF, as multipart/signed with some things about the signature changed."""
    cms = Cms(certificate, key, part.replace(b"\n", b"\r\n"))
    return multipart(part, cms.but(**changes).der())


def multipart(part: bytes, signature: bytes, *, boundary: str = "=_hand", epilogue: bytes = b"") -> bytes:
    """Wrap a detached signature as multipart/signed, `part` exactly as given."""
    return b"".join(
        (
            b"MIME-Version: 1.0\n",
            b'Content-Type: multipart/signed; protocol="application/pkcs7-signature"; micalg=sha-256;',
            f' boundary="{boundary}"\n\n--{boundary}\n'.encode(),
            part,
            f"\n--{boundary}\n".encode(),
            b"Content-Type: application/pkcs7-signature\nContent-Transfer-Encoding: base64\n\n",
            base64.encodebytes(signature),
            f"\n--{boundary}--\n".encode(),
            epilogue,
        )
    )


def opaque(signature: bytes, kind: str = "signed-data") -> bytes:
    """Wrap a signature that holds its content as application/pkcs7-mime."""
    return b"".join(
        (
            b"MIME-Version: 1.0\n",
            f"Content-Type: application/pkcs7-mime; smime-type={kind}\n".encode(),
            b"Content-Transfer-Encoding: base64\n\n",
            base64.encodebytes(signature),
        )
    )
