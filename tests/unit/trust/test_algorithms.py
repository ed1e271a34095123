"""Keys, digests and schemes that go together, and those that do not."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, rsa

from support.handmade import DIGESTS, NULL, SEQUENCE, SET, algorithm, children, integer, tlv
from support.keys import new_key
from vmcatcher.errors.trust import WeakDigest, WrongAlgorithm
from vmcatcher.trust.algorithms import Scheme, described, digest_name, holds, is_strong, scheme

RSA = new_key("rsa", "algorithms").public_key()
EC = new_key("ec", "algorithms").public_key()
ED = ed25519.Ed25519PrivateKey.generate().public_key()
PSS, MGF1 = "1.2.840.113549.1.1.10", "1.2.840.113549.1.1.8"
SHA256 = algorithm(DIGESTS["sha256"], tlv(NULL))


def parameters(
    *, digest: bytes = SHA256, mask: bytes | None = None, salt: int | None = 32, trailer: int | None = None
) -> bytes:
    """RSASSA-PSS-params."""
    mask = algorithm(MGF1, SHA256) if mask is None else mask
    fields = [tlv(0xA0, digest), tlv(0xA1, mask)]
    fields += [] if salt is None else [tlv(0xA2, integer(salt))]
    fields += [] if trailer is None else [tlv(0xA3, integer(trailer))]
    return tlv(SEQUENCE, *fields)


@pytest.mark.parametrize(("salt", "expected"), [(32, 32), (0, 0), (None, 20)])
def test_pss_with_one_digest_throughout_is_taken(salt: int | None, expected: int) -> None:
    how = scheme(RSA, PSS, parameters(salt=salt, trailer=1), "sha256")
    assert isinstance(how.padding, padding.PSS)
    assert how.padding._salt_length == expected
    assert isinstance(how.digest, hashes.SHA256)


BAD_PSS: dict[str, bytes | None] = {
    "nothing": None,
    "empty": tlv(SEQUENCE),
    "null": tlv(NULL),
    "set-for-sequence": tlv(SET, *children(parameters())),
    "rubbish": b"\x30\x05ab",
    "other-digest": parameters(digest=algorithm(DIGESTS["sha512"])),
    "other-mask-digest": parameters(mask=algorithm(MGF1, algorithm(DIGESTS["sha512"]))),
    "sha1": parameters(digest=algorithm(DIGESTS["sha1"]), mask=algorithm(MGF1, algorithm(DIGESTS["sha1"]))),
    "other-mask": parameters(mask=algorithm("1.2.3", SHA256)),
    "mask-without-digest": parameters(mask=algorithm(MGF1)),
    "digest-without-identifier": parameters(digest=tlv(SEQUENCE)),
    "huge-salt": parameters(salt=1 << 40),
    "other-trailer": parameters(trailer=2),
}


@pytest.mark.parametrize("encoded", BAD_PSS.values(), ids=BAD_PSS)
def test_pss_of_mixed_or_damaged_parameters_is_refused(encoded: bytes | None) -> None:
    with pytest.raises(WrongAlgorithm):
        scheme(RSA, PSS, encoded, "sha256")


@pytest.mark.parametrize(
    ("key", "number", "digest"),
    [
        (RSA, "1.2.840.113549.1.1.5", "sha256"),
        (RSA, "1.2.840.10045.4.3.2", "sha256"),
        (EC, "1.2.840.113549.1.1.1", "sha256"),
        (EC, "1.2.840.10045.4.3.4", "sha256"),
        (EC, "1.2.840.10045.2.1", "sha256"),
        (EC, PSS, "sha256"),
        (ED, "1.3.101.112", "sha256"),
        (ED, "1.2.840.10045.4.3.4", "sha512"),
        (ed448.Ed448PrivateKey.generate().public_key(), "1.3.101.113", "sha512"),
    ],
)
def test_algorithm_that_does_not_fit_is_refused(key: rsa.RSAPublicKey, number: str, digest: str) -> None:
    with pytest.raises(WrongAlgorithm):
        scheme(key, number, parameters(), digest)


def test_error_names_algorithm_digest_and_key() -> None:
    with pytest.raises(WrongAlgorithm) as caught:
        scheme(EC, "1.2.3", None, "sha256")
    assert str(caught.value) == "the signature algorithm 1.2.3 does not go with digest sha256 and a key of EC 256 bits"


@pytest.mark.parametrize("name", ["md5", "sha1"])
def test_weak_digest_is_called_by_its_name(name: str) -> None:
    with pytest.raises(WeakDigest) as caught:
        digest_name(DIGESTS[name], sha1=False)
    assert caught.value.digest == name


def test_unknown_digest_is_called_by_its_number() -> None:
    with pytest.raises(WeakDigest, match=r"1\.2\.3"):
        digest_name("1.2.3", sha1=True)


def test_signature_holds_only_under_its_own_scheme() -> None:
    """A good signature whose certificate names another scheme than the key's is not a good one."""
    ec_key, ed_key = ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()
    by_ec, by_ed = ec_key.sign(b"x", ec.ECDSA(hashes.SHA256())), ed_key.sign(b"x")
    assert holds(ec_key.public_key(), by_ec, b"x", Scheme(hashes.SHA256()))
    assert not holds(ec_key.public_key(), by_ec, b"x", Scheme(hashes.SHA256(), padding.PKCS1v15()))
    assert not holds(ec_key.public_key(), by_ec, b"x", Scheme(None))
    assert holds(ed_key.public_key(), by_ed, b"x", Scheme(None))
    assert not holds(ed_key.public_key(), by_ed, b"x", Scheme(hashes.SHA512()))
    assert not holds(ed_key.public_key(), by_ed, b"y", Scheme(None))
    assert not holds(RSA, b"", b"", Scheme(hashes.SHA256()))
    assert not holds(dsa.generate_private_key(2048).public_key(), b"", b"", Scheme(None))


@pytest.mark.parametrize(
    ("key", "words", "strong"),
    [
        (RSA, "RSA 2048 bits", True),
        (new_key("rsa1024", "algorithms").public_key(), "RSA 1024 bits", False),
        (EC, "EC 256 bits", True),
        (ec.generate_private_key(ec.SECP224R1()).public_key(), "EC 224 bits", False),
        (ED, "Ed25519", True),
        (ed448.Ed448PrivateKey.generate().public_key(), "Ed448", True),
        (dsa.generate_private_key(2048).public_key(), "DSA", False),
    ],
)
def test_strength_of_a_key_is_told(key: rsa.RSAPublicKey, words: str, strong: bool) -> None:
    assert (described(key), is_strong(key)) == (words, strong)
