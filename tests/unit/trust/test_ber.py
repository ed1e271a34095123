"""DER read element by element, and the streamed BER of signing tools turned into it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from support.handmade import integer, tlv
from vmcatcher.errors.trust import BadAsn1
from vmcatcher.trust.ber import Element, element, elements, encoded, to_der

END = b"\0\0"


@given(some.integers(0, 0xFF).filter(lambda tag: tag & 0x1F != 0x1F), some.binary(max_size=70_000))
def test_element_reads_back(tag: int, body: bytes) -> None:
    assert element(encoded(tag, body)) == Element(tag, body, encoded(tag, body))


@pytest.mark.parametrize("size", [0, 127, 128, 255, 256, 65_535, 65_536])
def test_length_is_written_as_short_as_it_can_be(size: int) -> None:
    assert encoded(4, b"x" * size) == tlv(4, b"x" * size)


@pytest.mark.parametrize(
    "source",
    [
        b"\4",
        b"\4\2x",
        b"\4\x82\0",
        b"\4\x85\0\0\0\0\1x",
        b"\x1f\x81\1\0",
        b"\4\x80",
        b"\x30\x80\0\0",
        integer(1) * 1001,
    ],
)
def test_damaged_elements_are_refused(source: bytes) -> None:
    with pytest.raises(BadAsn1):
        elements(source)


@pytest.mark.parametrize("source", [b"", integer(1) * 2])
def test_one_element_is_exactly_one(source: bytes) -> None:
    with pytest.raises(BadAsn1, match="elements, expected one"):
        element(source)


CHUNKS = b"\x24\x80" + tlv(4, b"ab") + tlv(4, b"") + tlv(4, b"c") + END
STREAMED: dict[str, tuple[bytes, bytes]] = {
    "der": (tlv(0x30, integer(1), tlv(4, b"x")), tlv(0x30, integer(1), tlv(4, b"x"))),
    "indefinite": (b"\x30\x80" + integer(1) + END, tlv(0x30, integer(1))),
    "nested": (b"\x30\x80\xa0\x80" + integer(1) + END + END, tlv(0x30, tlv(0xA0, integer(1)))),
    "chunks": (b"\x30\x80" + CHUNKS + END, tlv(0x30, tlv(4, b"abc"))),
    "chunks-in-definite": (tlv(0x30, tlv(0x24, tlv(4, b"ab"), tlv(4, b"c"))), tlv(0x30, tlv(4, b"abc"))),
    "chunks-of-chunks": (b"\x30\x80\x24\x80" + CHUNKS + tlv(4, b"d") + END + END, tlv(0x30, tlv(4, b"abcd"))),
    "no-chunks": (b"\x30\x80\x24\x80" + END + END, tlv(0x30, tlv(4, b""))),
    "definite-inside-is-left-alone": (
        b"\x30\x80" + b"\x31\x81\x02\x05\x00" + END,
        tlv(0x30, b"\x31\x81\x02\x05\x00"),
    ),
}


@pytest.mark.parametrize(("message", "der"), STREAMED.values(), ids=STREAMED)
def test_streamed_message_becomes_der(message: bytes, der: bytes) -> None:
    assert to_der(message) == der


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (b"", "ends in the middle"),
        (b"\x30\x80", "ends in the middle"),
        (b"\x30\x80" + END + b"x", "bytes follow"),
        (tlv(0x30) + b"x", "bytes follow"),
        (tlv(0x30, b"\4\x7f"), "longer than what holds it"),
        (b"\x30\x03\xa0\x80\5", "ends in the middle"),
        (b"\x30\x80\x24\x80" + integer(1) + END + END, "something else than a chunk"),
        (b"\x30\x80\x24\x80\x30\x80" + END + END + END, "something else than a chunk"),
        (b"\x30\x80" * 25, "nested more than 24 deep"),
        (b"\x30\x80" + b"\5\0" * 100_000, "more than 100000 pieces"),
        (b"\x30\x80\4\x80" + END + END, "primitive element of indefinite length"),
    ],
)
def test_stream_that_breaks_off_or_never_ends_is_refused(message: bytes, words: str) -> None:
    with pytest.raises(BadAsn1, match=words):
        to_der(message)


@given(some.binary(max_size=60))
def test_any_bytes_are_der_or_refused(message: bytes) -> None:
    try:
        der = to_der(message)
    except BadAsn1:
        return
    assert to_der(der) == der
