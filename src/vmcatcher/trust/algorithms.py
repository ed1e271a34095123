"""Digests, keys and signature schemes: which are known, which are too weak, whether a signature holds."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes as PublicKey

from vmcatcher.errors.trust import BadAsn1, WeakDigest, WrongAlgorithm
from vmcatcher.trust.ber import SEQUENCE, Element, element, elements
from vmcatcher.trust.names import dotted

DIGESTS: Final = {
    "2.16.840.1.101.3.4.2.1": "sha256",
    "2.16.840.1.101.3.4.2.2": "sha384",
    "2.16.840.1.101.3.4.2.3": "sha512",
}
SHA1: Final = {"1.3.14.3.2.26": "sha1"}
WEAK_DIGESTS: Final = frozenset({"md2", "md4", "md5", "sha1"})

_WEAK_NAMES: Final = {"1.2.840.113549.2.2": "md2", "1.2.840.113549.2.4": "md4", "1.2.840.113549.2.5": "md5", **SHA1}
_HASHES: Final[dict[str, hashes.HashAlgorithm]] = {
    "sha1": hashes.SHA1(),  # noqa: S303 - verified only where the rules let it in
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}
_RSA: Final = "1.2.840.113549.1.1.1"
_RSA_PSS: Final = "1.2.840.113549.1.1.10"
_MGF1: Final = "1.2.840.113549.1.1.8"
_ED25519: Final = "1.3.101.112"
_RSA_WITH: Final = {
    "1.2.840.113549.1.1.5": "sha1",
    "1.2.840.113549.1.1.11": "sha256",
    "1.2.840.113549.1.1.12": "sha384",
    "1.2.840.113549.1.1.13": "sha512",
}
_ECDSA_WITH: Final = {
    "1.2.840.10045.4.1": "sha1",
    "1.2.840.10045.4.3.2": "sha256",
    "1.2.840.10045.4.3.3": "sha384",
    "1.2.840.10045.4.3.4": "sha512",
}
_SMALLEST_RSA: Final = 2048
_LARGEST_RSA: Final = 16384
_SMALLEST_EC: Final = 256


@dataclass(frozen=True, slots=True)
class Scheme:
    """How a key signs: with which digest (None where the algorithm brings its own), and how padded if it is RSA."""

    digest: hashes.HashAlgorithm | None
    padding: padding.PKCS1v15 | padding.PSS | None = None


def digest_name(number: str, *, sha1: bool) -> str:
    """Return the name that hashlib knows a digest by.

    Raises:
        WeakDigest: it is unknown, or weak and not let in by `sha1`.
    """
    known = {**DIGESTS, **SHA1} if sha1 else DIGESTS
    if number not in known:
        raise WeakDigest(digest=_WEAK_NAMES.get(number, number))
    return known[number]


def digest_of(name: str, content: bytes) -> bytes:
    """Return the digest of `content`."""
    return hashlib.new(name, content, usedforsecurity=False).digest()


def scheme(key: PublicKey, algorithm: str, parameters: bytes | None, digest: str) -> Scheme:
    """Return how a CMS signature of this algorithm is verified.

    Raises:
        WrongAlgorithm: algorithm, digest and key do not go together.
    """
    fits = False
    pad: padding.PKCS1v15 | padding.PSS | None = None
    if isinstance(key, rsa.RSAPublicKey):
        fits = algorithm in (_RSA, _RSA_PSS) or _RSA_WITH.get(algorithm) == digest
        pad = _pss(parameters, digest) if algorithm == _RSA_PSS else padding.PKCS1v15()
    elif isinstance(key, ec.EllipticCurvePublicKey):
        fits = _ECDSA_WITH.get(algorithm) == digest
    elif isinstance(key, ed25519.Ed25519PublicKey):
        # RFC 8419, section 3.1: with signed attributes the digest is SHA-512.
        fits = (algorithm, digest) == (_ED25519, "sha512")
    if not fits or (algorithm == _RSA_PSS and pad is None):
        raise WrongAlgorithm(algorithm=algorithm, digest=digest, key=described(key))
    return Scheme(None if algorithm == _ED25519 else _HASHES[digest], pad)


def holds(key: PublicKey, signature: bytes, signed: bytes, how: Scheme) -> bool:
    """Tell whether `signature` over `signed` was made by the owner of `key`; what makes no sense does not hold."""
    try:
        if isinstance(key, rsa.RSAPublicKey) and how.padding is not None and how.digest is not None:
            key.verify(signature, signed, how.padding, how.digest)
        elif isinstance(key, ec.EllipticCurvePublicKey) and how.padding is None and how.digest is not None:
            key.verify(signature, signed, ec.ECDSA(how.digest))
        elif isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey) and how == Scheme(None):
            key.verify(signature, signed)
        else:
            return False
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    return True


def described(key: PublicKey) -> str:
    """Return kind and size of a key, for people."""
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size} bits"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"EC {key.key_size} bits"
    return type(key).__name__.removesuffix("PublicKey").lstrip("_")


def is_strong(key: PublicKey) -> bool:
    """Tell whether a key is of a known kind and large enough, as NIST SP 800-57 asks since 2014."""
    if isinstance(key, rsa.RSAPublicKey):
        return _SMALLEST_RSA <= key.key_size <= _LARGEST_RSA
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key.key_size >= _SMALLEST_EC
    return isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey)


def _pss(parameters: bytes | None, digest: str) -> padding.PSS | None:
    """Read RSASSA-PSS-params (RFC 4055, section 3.1); None unless content and mask have the message's digest."""
    try:
        fields = {field.tag: field.body for field in elements(_sequence(parameters or b"").body)}
        # The defaults of the two digests are SHA-1, which nothing here asks for: they must be given.
        mask = elements(_sequence(fields.get(0xA1, b"")).body)
        same = [_algorithm(fields.get(0xA0, b"")), _algorithm(mask[1].raw)] == [digest, digest]
        salt = int.from_bytes(element(fields[0xA2]).body, "big") if 0xA2 in fields else 20
        trailer = int.from_bytes(element(fields[0xA3]).body, "big") if 0xA3 in fields else 1
        is_mgf1 = dotted(mask[0].body) == _MGF1
    except (BadAsn1, IndexError):
        return None
    if not same or not is_mgf1 or trailer != 1 or salt > 512:
        return None
    return padding.PSS(padding.MGF1(_HASHES[digest]), salt)


def _sequence(source: bytes) -> Element:
    found = element(source)
    if found.tag != SEQUENCE:
        raise BadAsn1(problem="a SEQUENCE was expected")
    return found


def _algorithm(source: bytes) -> str | None:
    """Return the digest that an AlgorithmIdentifier names; None for one that is not known."""
    parts = elements(_sequence(source).body)
    return {**DIGESTS, **SHA1}.get(dotted(parts[0].body)) if parts else None
