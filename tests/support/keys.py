"""Keys of every kind, weak ones too."""

from __future__ import annotations

import functools

from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey


@functools.cache
def _rsa_key(label: str, bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def new_key(kind: str, label: str) -> Key:
    """Return a key: `ec`, `ec224`, `ec384`, `rsa`, `rsa1024`, `rsa3072`, `ed25519` or `ed448`.

    RSA keys are slow to make, so there is one per `label` and size for the whole test session.
    """
    if kind.startswith("rsa"):
        return _rsa_key(label, int(kind[3:] or 2048))
    if kind.startswith("ec"):
        return ec.generate_private_key({"ec": ec.SECP256R1(), "ec224": ec.SECP224R1(), "ec384": ec.SECP384R1()}[kind])
    return ed25519.Ed25519PrivateKey.generate() if kind == "ed25519" else ed448.Ed448PrivateKey.generate()
