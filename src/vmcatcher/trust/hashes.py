"""The hashes of names by which OpenSSL finds CA and CRL files: eight digits, in an old and a new kind."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from vmcatcher.trust.ber import SEQUENCE, SET, Element, element, elements, encoded

_UTF8: Final = 0x0C
# What OpenSSL compares without regard to case and spaces (x509_name_canon in crypto/x509/x_name.c).
_TEXTS: Final = {
    _UTF8: "utf-8",
    0x13: "latin-1",  # PrintableString
    0x14: "latin-1",  # T61String
    0x16: "latin-1",  # IA5String
    0x1A: "latin-1",  # VisibleString
    0x1C: "utf-32-be",  # UniversalString
    0x1E: "utf-16-be",  # BMPString
}
_SPACES: Final = re.compile(rb"[ \t\n\v\f\r]+")


def name_hashes(name: bytes) -> tuple[str, str]:
    """Return the new and the old hash of a DER-encoded Name (`openssl x509 -subject_hash`, `-subject_hash_old`).

    Raises:
        BadAsn1: it is no Name.
    """
    canonical = b"".join(_canonical_rdn(rdn) for rdn in elements(element(name).body))
    # SHA-1 and MD5 name files here and prove nothing.
    new = hashlib.sha1(canonical, usedforsecurity=False).digest()
    old = hashlib.md5(name, usedforsecurity=False).digest()
    return _digits(new), _digits(old)


def _digits(digest: bytes) -> str:
    return digest[:4][::-1].hex()


def _canonical_rdn(rdn: Element) -> bytes:
    pairs = []
    for attribute in elements(rdn.body):
        kind, value = elements(attribute.body)[:2]
        pairs.append(encoded(SEQUENCE, kind.raw + _canonical_value(value)))
    return encoded(SET, b"".join(sorted(pairs)))


def _canonical_value(value: Element) -> bytes:
    if value.tag not in _TEXTS:
        return value.raw
    text = value.body.decode(_TEXTS[value.tag], "replace").encode()
    text = _SPACES.sub(b" ", text.strip(b" \t\n\v\f\r"))
    return encoded(_UTF8, bytes(byte + 32 if 0x41 <= byte <= 0x5A else byte for byte in text))
