"""One certificate: what is read from it, and that nothing in it can fail later."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding

from support import defects, handmade
from support.handmade import SEQUENCE, children, integer, oid, tlv
from support.pki import Pki
from vmcatcher.errors.certificates import NotACa
from vmcatcher.trust.anchors import TrustAnchors
from vmcatcher.trust.certificates import outline, read_certificate
from vmcatcher.trust.shield import Undecodable
from vmcatcher.trust.verify import verify

Edit = Callable[[list[bytes]], list[bytes]]


def edited(pki: Pki, edit: Edit) -> bytes:
    """An endorser's certificate, its signed part edited and signed again."""
    return handmade.resigned(pki.endorser().der, pki.private_key, edit=edit)  # type: ignore[arg-type]  # EC


def put(at: int, part: bytes) -> Edit:
    return lambda parts: [*parts[:at], part, *parts[at + 1 :]]


def test_facts_of_an_endorser_are_read(pki: Pki, now: datetime) -> None:
    alice = pki.endorser("Alice", defects.numbered(1), key="rsa")
    found = read_certificate(alice.der)
    assert (found.serial, str(found.subject), str(found.issuer)) == (1, alice.subject, alice.issuer)
    assert (found.not_before, found.not_after) == (now - timedelta(days=1), now + timedelta(days=30))
    assert found.usages == {"digitalSignature", "nonRepudiation"}
    assert found.extended_usages == {"1.3.6.1.5.5.7.3.2", "1.3.6.1.5.5.7.3.4"}
    assert not found.is_ca
    assert not found.is_self_issued
    assert found.which == {"subject": alice.subject, "serial": "1", "issuer": alice.issuer}


def test_facts_of_a_ca_are_read(pki: Pki) -> None:
    sub = pki.intermediate("Last CA", defects.no_ca_below)
    found = read_certificate(sub.parsed.public_bytes(handmade.Encoding.DER))
    assert (found.is_ca, found.path_length, found.usages) == (True, 0, {"keyCertSign", "cRLSign"})
    assert found.extended_usages is None


def test_certificate_signed_with_rsa_remembers_its_padding(pki: Pki) -> None:
    found = read_certificate(Pki(pki.root, name="Rsa CA", key="rsa").endorser().der)
    assert isinstance(found.scheme.padding, padding.PKCS1v15)


def test_certificate_without_any_extension_is_read(pki: Pki) -> None:
    """X.509 version 1: no version field, no limits on use."""
    der = edited(pki, lambda parts: parts[1:7])
    found = read_certificate(der)
    assert (found.usages, found.extended_usages, found.is_ca, found.path_length) == (None, None, False, None)
    assert found.key_identifier is None


def test_ca_without_basic_constraints_is_none(pki: Pki, now: datetime) -> None:
    old = pki.intermediate("Old CA", lambda profile: profile.lacking(x509.BasicConstraints.oid))
    with pytest.raises(NotACa):
        verify(old.endorser().sign(b"{}\n"), TrustAnchors.load(str(pki.certificates)), now)


UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.16.840.1.113730.1.1"), bytes.fromhex("03020520"))
RELATIVE = x509.RelativeDistinguishedName([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x")])
POINT = x509.CRLDistributionPoints([x509.DistributionPoint(None, RELATIVE, None, None)])


@pytest.mark.parametrize("extension", [UNKNOWN, POINT], ids=["unknown", "relative-distribution-point"])
def test_extension_that_is_not_critical_does_not_matter(extension: x509.ExtensionType, pki: Pki, now: datetime) -> None:
    alice = pki.endorser("Alice", lambda profile: profile.having(extension))
    assert verify(alice.sign(b"{}\n"), TrustAnchors.load(str(pki.certificates)), now).content == b"{}\r\n"


def test_endorser_without_basic_constraints_may_sign(pki: Pki, now: datetime) -> None:
    alice = pki.endorser("Alice", lambda profile: profile.lacking(x509.BasicConstraints.oid))
    assert verify(alice.sign(b"{}\n"), TrustAnchors.load(str(pki.certificates)), now).content == b"{}\r\n"


NAME = tlv(SEQUENCE, tlv(handmade.SET, tlv(SEQUENCE, oid("2.5.4.3"), tlv(0x0C, b"x"))))
TWICE = tlv(SEQUENCE, oid("2.5.29.15"), tlv(4, bytes.fromhex("03020780")))
BAD: dict[str, tuple[Edit, str]] = {
    "serial-zero": (put(1, integer(0)), "its serial number is not positive"),
    "serial-negative": (put(1, integer(-1)), "its serial number is not positive"),
    "serial-text": (put(1, tlv(0x0C, b"7")), "its serial number is no number"),
    "serial-empty": (put(1, tlv(2)), "its serial number is no number"),
    "empty-subject": (put(5, tlv(SEQUENCE)), "an empty name"),
    "empty-issuer": (put(3, tlv(SEQUENCE)), "an empty name"),
    "nul-in-name": (put(5, NAME.replace(b"\1x", b"\1\0")), "a name with a NUL in it"),
    "no-times": (put(4, tlv(SEQUENCE)), "."),
    "no-key": (put(6, tlv(SEQUENCE)), "."),
    "extension-twice": (put(7, tlv(0xA3, tlv(SEQUENCE, TWICE, TWICE))), "Duplicate 2.5.29.15 extension found"),
    "damaged-extension": (put(7, tlv(0xA3, tlv(SEQUENCE, tlv(SEQUENCE, oid("2.5.29.19"), tlv(4, b"x"))))), "."),
    "too-few-parts": (lambda parts: parts[:4], "not an X.509 certificate"),
    "nothing": (lambda _: [b""], "not an X.509 certificate"),
    "huge": (put(7, tlv(0xA3, b"x" * 65_536)), r"a certificate of \d+ bytes"),
}


@pytest.mark.parametrize(("edit", "words"), BAD.values(), ids=BAD)
def test_damage_anywhere_is_found_when_the_certificate_is_read(edit: Edit, words: str, pki: Pki) -> None:
    with pytest.raises(Undecodable, match=words):
        read_certificate(edited(pki, edit))


def test_anchor_may_have_any_serial_number(pki: Pki) -> None:
    for serial in (0, -1):
        assert read_certificate(edited(pki, put(1, integer(serial))), is_anchor=True).serial == serial


def test_unknown_signature_algorithm_is_found_when_the_certificate_is_read(pki: Pki) -> None:
    tbs, algorithm, signature = children(pki.endorser().der)
    unknown = handmade.algorithm("1.3.6.1.4.1.99999")
    with pytest.raises(Undecodable):
        read_certificate(tlv(SEQUENCE, tbs.replace(algorithm, unknown), unknown, signature))


@pytest.mark.parametrize("der", [b"", b"\x30\0", b"x", integer(1), tlv(SEQUENCE, integer(1), integer(1), integer(1))])
def test_what_is_no_certificate_has_no_outline(der: bytes) -> None:
    with pytest.raises(Undecodable):
        outline(der)
