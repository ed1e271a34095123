"""One-line names: as openssl prints them, and never two names on one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.name import _ASN1Type as StringType
from cryptography.x509.oid import NameOID, ObjectIdentifier
from hypothesis import given
from hypothesis import strategies as some

from support import openssl
from support.defects import named
from support.handmade import SEQUENCE, SET, integer, oid, tlv
from support.pki import Pki, x509_name
from vmcatcher.errors.trust import BadAsn1
from vmcatcher.trust.names import dotted, one_line

CN, DC, ORG = "2.5.4.3", "0.9.2342.19200300.100.1.25", "2.5.4.10"
UTF8, PRINTABLE, T61, IA5, BMP, UNIVERSAL = 0x0C, 0x13, 0x14, 0x16, 0x1E, 0x1C
Pair = tuple[str, int, bytes]


def encoded(*rdns: list[Pair]) -> bytes:
    """A Name of these parts, each a list of (type, string type, bytes)."""
    parts = (
        tlv(SET, *(tlv(SEQUENCE, oid(kind), tlv(tag, value)) for kind, tag, value in attributes)) for attributes in rdns
    )
    return tlv(SEQUENCE, *parts)


SAME_AS_OPENSSL: dict[str, tuple[bytes, str]] = {
    "plain": (encoded([(DC, IA5, b"test")], [(CN, UTF8, b"Alice Endorser")]), "/DC=test/CN=Alice Endorser"),
    "slash": (encoded([(CN, UTF8, b"host/vm.example.org")]), r"/CN=host\/vm.example.org"),
    "plus": (encoded([(CN, UTF8, b"a+b")]), r"/CN=a\+b"),
    "umlaut": (encoded([(CN, UTF8, "Jörg".encode())]), r"/CN=J\xC3\xB6rg"),
    "latin": (encoded([(CN, T61, b"J\xf6rg")]), r"/CN=J\xF6rg"),
    "two-bytes": (encoded([(CN, BMP, "Jö".encode("utf-16-be"))]), r"/CN=\x00J\x00\xF6"),
    "four-bytes": (encoded([(CN, UNIVERSAL, "Jo".encode("utf-32-be"))]), r"/CN=\x00\x00\x00J\x00\x00\x00o"),
    "four-bytes-wide": (encoded([(CN, UNIVERSAL, "€".encode("utf-32-be"))]), r"/CN=\x00\x00 \xAC"),
    "control": (encoded([(CN, UTF8, b"a\nb\x7f")]), r"/CN=a\x0Ab\x7F"),
    "quotes": (encoded([(CN, UTF8, b"\"a', b=<c>")]), "/CN=\"a', b=<c>"),
    "several-in-one": (encoded([(ORG, UTF8, b"x"), (CN, UTF8, b"y")]), "/O=x+CN=y"),
    "unknown-type": (encoded([("1.2.3.4.99999", UTF8, b"x")]), "/1.2.3.4.99999=x"),
    "mail": (encoded([("1.2.840.113549.1.9.1", IA5, b"a@b")]), "/emailAddress=a@b"),
    "user": (encoded([("0.9.2342.19200300.100.1.1", UTF8, b"alice")]), "/UID=alice"),
    "serial": (encoded([("2.5.4.5", PRINTABLE, b"7")]), "/serialNumber=7"),
    "empty-value": (encoded([(CN, UTF8, b"")], [(ORG, UTF8, b"x")]), "/CN=/O=x"),
}


@pytest.mark.parametrize(("name", "line"), SAME_AS_OPENSSL.values(), ids=SAME_AS_OPENSSL)
def test_name_is_written_as_openssl_does(name: bytes, line: str, tmp_path: Path) -> None:
    assert one_line(name).escaped == line
    assert openssl_line(name, tmp_path) == line


def openssl_line(name: bytes, directory: Path) -> str:
    """What openssl makes of it: in a certificate whose key and signature mean nothing."""
    from support.handmade import algorithm

    key = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004") + b"\1" * 64
    times = tlv(SEQUENCE, tlv(0x17, b"260101000000Z"), tlv(0x17, b"270101000000Z"))
    ecdsa = algorithm("1.2.840.10045.4.3.2")
    tbs = tlv(SEQUENCE, tlv(0xA0, integer(2)), integer(1), ecdsa, name, times, name, key)
    path = directory / "name.pem"
    path.write_bytes(openssl.openssl("x509", "-inform", "DER", stdin=tlv(SEQUENCE, tbs, ecdsa, tlv(3, b"\0\1"))))
    subject, issuer = openssl.names(path)
    assert subject == issuer
    return subject


def test_backslash_is_doubled_since_openssl_writes_two_names_alike(tmp_path: Path) -> None:
    """The one difference from openssl, and why."""
    one = encoded([(CN, UTF8, b"a\\")], [(CN, UTF8, b"b")])
    other = encoded([(CN, UTF8, b"a/CN=b")])
    assert openssl_line(one, tmp_path) == openssl_line(other, tmp_path) == r"/CN=a\/CN=b"
    assert one_line(one).escaped == r"/CN=a\\/CN=b"
    assert one_line(other).escaped == r"/CN=a\/CN=b"
    assert one_line(one).plain is None


UNAMBIGUOUS = {
    "plain": ([(CN, UTF8, b"Alice")], "/CN=Alice"),
    "slash": ([(CN, UTF8, b"host/vm.example.org")], "/CN=host/vm.example.org"),
    "plus": ([(CN, UTF8, b"C++ builder")], "/CN=C++ builder"),
    "like-attribute": ([(CN, UTF8, b"x/CN=y")], None),
    "like-second-attribute": ([(CN, UTF8, b"x+CN=y")], None),
    "like-number": ([(CN, UTF8, b"x/1.2.3=y")], None),
    "two-in-one": ([(CN, UTF8, b"x"), (ORG, UTF8, b"y")], None),
    "like-escape": ([(CN, UTF8, b"J\\xC3\\xB6rg")], None),
}


@pytest.mark.parametrize(("rdn", "plain"), UNAMBIGUOUS.values(), ids=UNAMBIGUOUS)
def test_plain_form_is_given_only_where_it_reads_in_one_way(rdn: list[Pair], plain: str | None) -> None:
    name = one_line(encoded(rdn, [(ORG, UTF8, b"z")]))
    assert name.plain == (None if plain is None else f"{plain}/O=z")


_VALUES = some.text(alphabet="ab/+=\\.CNO1xé\n", max_size=8).map(str.encode)
_PAIRS = some.tuples(some.sampled_from((CN, ORG, DC, "1.2.3")), some.just(UTF8), _VALUES)
_NAMES = some.lists(some.lists(_PAIRS, min_size=1, max_size=2), min_size=1, max_size=3)


@given(_NAMES, _NAMES)
def test_two_names_are_never_written_alike(one: list[list[Pair]], other: list[list[Pair]]) -> None:
    first, second = one_line(encoded(*one)), one_line(encoded(*other))
    if one == other:
        assert first == second
        return
    assert first.escaped != second.escaped
    assert not first.is_named(second.escaped)
    if second.plain is not None:
        assert not first.is_named(second.plain)


BAD: dict[str, bytes] = {
    "empty": tlv(SEQUENCE),
    "no-attribute": tlv(SEQUENCE, tlv(SET)),
    "sequence-for-set": tlv(SEQUENCE, tlv(SEQUENCE, tlv(SEQUENCE, oid(CN), tlv(UTF8, b"x")))),
    "set-for-sequence": tlv(SEQUENCE, tlv(SET, tlv(SET, oid(CN), tlv(UTF8, b"x")))),
    "three-in-pair": tlv(SEQUENCE, tlv(SET, tlv(SEQUENCE, oid(CN), tlv(UTF8, b"x"), tlv(UTF8, b"x")))),
    "no-type": tlv(SEQUENCE, tlv(SET, tlv(SEQUENCE, integer(1), tlv(UTF8, b"x")))),
    "nul": encoded([(CN, UTF8, b"alice\0.evil")]),
    "two-names": encoded([(CN, UTF8, b"x")]) * 2,
}


@pytest.mark.parametrize("name", BAD.values(), ids=BAD)
def test_what_is_no_name_is_refused(name: bytes) -> None:
    with pytest.raises(BadAsn1):
        one_line(name)


def test_bit_string_is_written_without_its_count_of_unused_bits() -> None:
    assert one_line(encoded([("2.5.4.45", 3, b"\0abc")])).escaped == "/x500UniqueIdentifier=abc"


@given(some.lists(some.integers(0, 2**40), min_size=1, max_size=5), some.integers(0, 39), some.integers(0, 2))
def test_object_identifier_reads_back(rest: list[int], second: int, first: int) -> None:
    number = ".".join(map(str, (first, second, *rest)))
    assert dotted(oid(number)[2:]) == number


@pytest.mark.parametrize("body", [b"", b"\x81", b"\x2a\xff", b"\x2a\x80\1", b"\x2a" + b"\x81" * 70 + b"\1"])
def test_damaged_object_identifier_is_refused(body: bytes) -> None:
    with pytest.raises(BadAsn1):
        dotted(body)


def test_large_second_arc_belongs_to_the_joint_root() -> None:
    assert dotted(b"\x88\x37") == ObjectIdentifier("2.999").dotted_string


def test_names_of_string_types_that_the_library_can_write_agree_with_openssl(pki: Pki) -> None:
    attributes = [
        x509.NameAttribute(NameOID.COMMON_NAME, "Jörg / Test", StringType.BMPString),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "x" * 64, StringType.PrintableString),
    ]
    signer = pki.endorser("x", named(x509.Name([*x509_name("/DC=test/DC=grid"), *attributes])))
    assert one_line(signer.parsed.subject.public_bytes()).escaped == openssl.names(signer.certificate)[0]
