"""Tag, length, value: reading DER element by element, and turning the BER that signing tools stream into DER."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from vmcatcher.errors.trust import BadAsn1

OCTET_STRING: Final = 0x04
CHUNKED_OCTET_STRING: Final = 0x24
SEQUENCE: Final = 0x30
SET: Final = 0x31

_DEEPEST: Final = 24
# openssl streams in chunks of 4096 bytes; millions of empty chunks would only cost time.
_MOST_PIECES: Final = 100_000
# A name has some ten parts, a signature some ten attributes.
_MOST_ELEMENTS: Final = 1_000
_END_OF_CONTENTS: Final = b"\0\0"
_CONSTRUCTED: Final = 0x20
_LONG_TAG: Final = 0x1F
_NO_CHUNK: Final = "something else than a chunk in a chunked OCTET STRING"


@dataclass(frozen=True, slots=True)
class Element:
    """One encoded value: its first tag byte, what it holds, and all of it as it was encoded."""

    tag: int
    body: bytes
    raw: bytes


def elements(body: bytes) -> list[Element]:
    """Return the elements that follow each other in `body`.

    Raises:
        BadAsn1: they do not fill it exactly, one has an indefinite length, or there are more than 1,000.
    """
    found: list[Element] = []
    at = 0
    while at < len(body):
        tag, start, length = _header(body, at, len(body))
        if length is None or len(found) == _MOST_ELEMENTS:
            raise BadAsn1(
                problem="indefinite length in DER" if length is None else f"more than {_MOST_ELEMENTS} elements"
            )
        found.append(Element(tag, body[start : start + length], body[at : start + length]))
        at = start + length
    return found


def element(encoded: bytes) -> Element:
    """Return the one element that `encoded` is.

    Raises:
        BadAsn1: there are none or several.
    """
    found = elements(encoded)
    if len(found) != 1:
        raise BadAsn1(problem=f"{len(found)} elements, expected one")
    return found[0]


def encoded(tag: int, body: bytes) -> bytes:
    """Return one DER element."""
    if len(body) < 0x80:
        return bytes((tag, len(body))) + body
    length = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + body


def _header(source: bytes, at: int, end: int) -> tuple[int, int, int | None]:
    """Return tag, where the value begins and how long it is; None for an indefinite length."""
    if at + 2 > end:
        raise BadAsn1(problem="it ends in the middle of an element")
    tag, first = source[at], source[at + 1]
    if tag & _LONG_TAG == _LONG_TAG:
        raise BadAsn1(problem="a tag number above 30")
    if first == 0x80:
        if not tag & _CONSTRUCTED:
            raise BadAsn1(problem="a primitive element of indefinite length")
        return tag, at + 2, None
    start, length = at + 2, first
    if first & 0x80:
        start += first & 0x7F
        # Four bytes of length are 4 GiB; more can only be meant to overflow something.
        if start - at > 6 or start > end:
            raise BadAsn1(problem="a length that cannot be")
        length = int.from_bytes(source[at + 2 : start], "big")
    if start + length > end:
        raise BadAsn1(problem="an element longer than what holds it")
    return tag, start, length


@dataclass(slots=True)
class _Open:
    """An element whose parts are being collected; `end` is None while its length is indefinite."""

    tag: int
    start: int
    end: int | None
    limit: int
    parts: list[bytes]


def to_der(message: bytes) -> bytes:
    """Return `message` with definite lengths and unchunked OCTET STRINGs, as streaming tools do not write it.

    What is definite inside something definite is left alone byte for byte, certificates and signed attributes above
    all: their signatures are over the bytes as they are.

    Raises:
        BadAsn1: it is cut short, nested more than 24 deep, in more than 100,000 pieces, or bytes follow it.
    """
    outer = _opened(message, 0, len(message))
    stack, at = [outer], outer.start
    for _ in range(_MOST_PIECES):
        top = stack[-1]
        if at == top.end or (top.end is None and message.startswith(_END_OF_CONTENTS, at)):
            at += 2 if top.end is None else 0
            stack.pop()
            if not stack:
                return _closed(message, top, at)
            stack[-1].parts.append(_joined(top, stack[-1]))
            continue
        tag, start, length = _header(message, at, top.limit)
        if length is None or tag == CHUNKED_OCTET_STRING:
            if len(stack) == _DEEPEST:
                raise BadAsn1(problem=f"nested more than {_DEEPEST} deep")
            stack.append(_opened(message, at, top.limit))
            at = start
            continue
        begin, at = at, start + length
        if top.tag != CHUNKED_OCTET_STRING:
            top.parts.append(message[begin:at])
        elif tag == OCTET_STRING:
            top.parts.append(message[start:at])
        else:
            raise BadAsn1(problem=_NO_CHUNK)
    raise BadAsn1(problem=f"more than {_MOST_PIECES} pieces")


def _opened(message: bytes, at: int, limit: int) -> _Open:
    tag, start, length = _header(message, at, limit)
    end = None if length is None else start + length
    return _Open(tag, start, end, limit if end is None else end, [])


def _closed(message: bytes, outer: _Open, at: int) -> bytes:
    if at != len(message):
        raise BadAsn1(problem="bytes follow the signature block")
    return encoded(outer.tag, b"".join(outer.parts))


def _joined(inner: _Open, outer: _Open) -> bytes:
    body = b"".join(inner.parts)
    if outer.tag == CHUNKED_OCTET_STRING:
        if inner.tag != CHUNKED_OCTET_STRING:
            raise BadAsn1(problem=_NO_CHUNK)
        return body
    return encoded(OCTET_STRING if inner.tag == CHUNKED_OCTET_STRING else inner.tag, body)
