"""What the wrapper may look like, and which bytes are taken for the content."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as some

from vmcatcher.errors.trust import BadBase64, BadMimeHeader, ListNotSigned
from vmcatcher.trust.headers import decoded_base64, split_headers
from vmcatcher.trust.mime import candidates, inner_content, unwrap

BLOCK = b"\x30\x03abc"
BASE64 = base64.b64encode(BLOCK)


def wrapped(
    part: bytes = b"{}",
    *,
    end: bytes = b"\n",
    header: bytes = b'multipart/signed; protocol="application/pkcs7-signature"; boundary="b"',
    before: bytes = b"",
    after: bytes = b"",
) -> bytes:
    lines = (
        b"Content-Type: " + header,
        b"",
        before + b"--b",
        part,
        b"--b",
        b"Content-Type: application/x-pkcs7-signature",
        b"Content-Transfer-Encoding: base64",
        b"",
        BASE64,
        b"--b--" + after,
    )
    return end.join(lines)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r\r\n"])
@pytest.mark.parametrize("part", [b"{}", b"{}\n", b"", b"\n", b"a\r", b"--bc\n--b x", b" --b"])
def test_part_is_what_stands_between_the_delimiter_lines(part: bytes, end: bytes) -> None:
    found = unwrap(wrapped(part, end=end))
    assert found.block == BLOCK
    assert found.part == part.removesuffix(b"\r")  # a carriage return before the line end is part of the line end


def test_text_before_and_after_is_not_shown() -> None:
    found = unwrap(wrapped(before=b"This is an S/MIME signed message\n\n", after=b"\nevil\n--b\nevil\n--b--\n"))
    assert (found.part, found.block) == (b"{}", BLOCK)


@pytest.mark.parametrize("blanks", [b" ", b"\t ", b"\r"])
def test_blanks_after_a_delimiter_belong_to_it(blanks: bytes) -> None:
    assert unwrap(wrapped().replace(b"--b\n", b"--b" + blanks + b"\n")).part == b"{}"


HEADERS = [
    b"multipart/signed; boundary=b",
    b'MULTIPART/SIGNED; BOUNDARY="b"; micalg=sha-256',
    b'multipart/signed;\n\tprotocol="application/x-pkcs7-signature";\n boundary="b"',
    b'multipart/signed ; boundary = "\\b" ;',
    b'multipart/signed; name="a;b=\\"c"; boundary="b"',
]


@pytest.mark.parametrize("header", HEADERS)
def test_content_type_is_read_however_it_is_spelled(header: bytes) -> None:
    assert unwrap(wrapped(header=header)).part == b"{}"


def test_boundary_with_every_character_that_it_may_have_is_found() -> None:
    boundary = b"=_'()+,-./:? 09AZaz"
    message = wrapped(header=b'multipart/signed; boundary="' + boundary + b'"').replace(b"--b", b"--" + boundary)
    assert unwrap(message).part == b"{}"


@pytest.mark.parametrize("kind", [b"", b"; smime-type=signed-data", b'; smime-type="Signed-Data"; name="smime.p7m"'])
@pytest.mark.parametrize("name", [b"application/pkcs7-mime", b"application/x-pkcs7-mime"])
def test_opaque_message_has_no_part(name: bytes, kind: bytes) -> None:
    found = unwrap(b"Content-Type: " + name + kind + b"\n\n" + BASE64)
    assert (found.block, found.part) == (BLOCK, None)


@pytest.mark.parametrize(
    ("message", "found"),
    [
        (b"", "empty"),
        (b" \r\n", "empty"),
        (b' \n{"hv:imagelist": {}}', "bare JSON"),
        (b"[]", "bare JSON"),
        (b"<!doctype html><HTML>", "text/html"),
        (b"<Error>", "XML"),
        (b"-----BEGIN PKCS7-----", "PEM"),
        (b"404 not found", "no MIME headers"),
        (b"\x1f\x8b\x08", "no MIME headers"),
        (b"Subject: x\n\n", "no Content-Type"),
        (b"Content-Type: text/html\n\n<html>", "text/html"),
    ],
)
def test_what_is_no_signed_message_is_called_by_its_name(message: bytes, found: str) -> None:
    with pytest.raises(ListNotSigned) as caught:
        unwrap(message)
    assert (caught.value.found, caught.value.size_bytes) == (found, len(message))


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (b"a\nb", [b"a\r\nb", b"a\nb"]),
        (b"a\r\nb", [b"a\r\nb", b"a\nb"]),
        (b"a\r\r\nb", [b"a\r\nb", b"a\r\r\nb", b"a\nb"]),
        (b"a\r\nb\nc", [b"a\r\nb\r\nc", b"a\r\nb\nc", b"a\nb\nc"]),
        (b"a\rb", [b"a\rb"]),
        (b"a\r", [b"a\r"]),
        (b"", [b""]),
        (b"\r\n", [b"\r\n", b"\n"]),
    ],
)
def test_candidates_differ_by_line_ends_only(part: bytes, expected: list[bytes]) -> None:
    assert list(candidates(part)) == expected


@given(some.lists(some.sampled_from((b"\r", b"\n", b"x"))).map(b"".join))
def test_candidates_are_few_and_agree_but_for_line_ends(part: bytes) -> None:
    found = list(candidates(part))
    lines = [line.rstrip(b"\r") for line in part.split(b"\n")[:-1]]
    assert found[0] == b"".join(line + b"\r\n" for line in lines) + part.split(b"\n")[-1]
    assert part in found
    assert len(found) == len(set(found)) <= 3


@pytest.mark.parametrize(
    ("signed", "content"),
    [
        (b'{"a:b": 1}', b'{"a:b": 1}'),
        (b"\xef\xbb\xbf {}", b"\xef\xbb\xbf {}"),
        (b"null", b"null"),
        (b"", b""),
        (b"Content-Type: text/plain\r\n\r\n{}", b"{}"),
        (b"content-type: TEXT/PLAIN; charset=utf-8\n\n{}\n", b"{}\n"),
        (b"X-Only: this\n\n{}", b"{}"),
        (b"Content-Transfer-Encoding: Base64\n\ne30=\n", b"{}"),
    ],
)
def test_content_is_freed_of_headers_that_were_signed_with_it(signed: bytes, content: bytes) -> None:
    assert inner_content(signed) == content


def test_headers_end_at_the_first_empty_line() -> None:
    headers, body = split_headers(b"A: 1\r\nB:\t2\r\r\n\r\n\r\nC: 3", "message")
    assert headers.fields == {"a": " 1", "b": "\t2"}
    assert body == b"\r\nC: 3"


def test_header_that_decides_nothing_may_come_twice() -> None:
    headers, _ = split_headers(b"Received: a\nReceived: b\nContent-Type: a/b\n\n", "message")
    assert (headers.fields["received"], headers.media_type) == (" b", "a/b")


def test_headers_of_64_kib_are_the_most() -> None:
    fits = b"A: " + b"x" * (65536 - 5) + b"\n\n"
    assert split_headers(fits, "message")[1] == b""
    with pytest.raises(BadMimeHeader):
        split_headers(b"x" + fits, "message")


def test_folded_line_without_a_first_line_is_no_header() -> None:
    with pytest.raises(BadMimeHeader):
        split_headers(b" folded\n\n", "message")


@pytest.mark.parametrize("text", [b"", b" \r\n", b"QQ", b"QQ=", b"QQ==QQ==", b"Q*==", b"=QQ=", b"QQ===", b"\xff"])
def test_base64_must_be_nothing_else(text: bytes) -> None:
    with pytest.raises(BadBase64):
        decoded_base64(text, "test")
