"""The S/MIME wrapper: which bytes are the signature block, and which could be what it signs. No trust decision here."""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from vmcatcher.errors.trust import (
    BadMimeBoundary,
    BadMimeEncoding,
    BadMimeType,
    ListNotSigned,
    MimeTruncated,
    WrongInnerType,
    WrongMimeParts,
)
from vmcatcher.trust.headers import Headers, decoded_base64, split_headers

_SIGNATURE_TYPES: Final = frozenset({"application/pkcs7-signature", "application/x-pkcs7-signature"})
_OPAQUE_TYPES: Final = frozenset({"application/pkcs7-mime", "application/x-pkcs7-mime"})
_CONTENT_TYPES: Final = frozenset({"text/plain", "application/json", "application/octet-stream"})
# RFC 2046, section 5.1.1.
_BOUNDARY: Final = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
_HEADER_LINE: Final = re.compile(rb"[!-9;-~]{1,76}[ \t]*:")
_JSON: Final = re.compile(rb"(?:\xef\xbb\xbf)?\s*+[{\[]")
# The run of carriage returns is found once, from its beginning; without the look-behind a long run that no line feed
# ends would be tried again from each of its bytes.
_LINE_END: Final = re.compile(rb"(?<!\r)\r*+\n")


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A signature block, and the part that was sent beside it; None where the block holds its content itself."""

    block: bytes
    part: bytes | None


def unwrap(message: bytes) -> Wrapped:
    """Take multipart/signed or application/pkcs7-mime apart. Text before and after the parts is never shown.

    Raises:
        ListNotSigned: it is something else altogether.
        ListUntrusted: a subclass that says what in the wrapper is wrong.
    """
    found = _sniffed(message)
    if found is not None:
        raise ListNotSigned(found=found, size_bytes=len(message))
    headers, body = split_headers(message, "message")
    if headers.media_type in _OPAQUE_TYPES:
        kind = headers.parameters.get("smime-type", "signed-data").lower()
        if kind != "signed-data":
            raise BadMimeType(where="message", found=f"{headers.media_type}; smime-type={kind}")
        return Wrapped(_block(headers, body, "message"), None)
    if headers.media_type != "multipart/signed":
        raise ListNotSigned(found=headers.media_type or "no Content-Type", size_bytes=len(message))
    protocol = headers.parameters.get("protocol", "application/pkcs7-signature").lower()
    if protocol not in _SIGNATURE_TYPES:
        raise BadMimeType(where="message", found=f"multipart/signed; protocol={protocol}")
    boundary = headers.parameters.get("boundary", "")
    if not _BOUNDARY.fullmatch(boundary):
        raise BadMimeBoundary(found=boundary)
    part, signature = _parts(body, boundary.encode("ascii"))
    headers, body = split_headers(signature, "signature part")
    if headers.media_type not in _SIGNATURE_TYPES:
        raise BadMimeType(where="second part", found=headers.media_type or "without a type")
    return Wrapped(_block(headers, body, "signature part"), part)


def candidates(part: bytes) -> Iterator[bytes]:
    """Yield what the signer may have signed, most likely first: a part differs by its line ends only.

    CRLF is what RFC 1847 asks for, with any run of CR before LF as one line end as openssl reads it; then the bytes
    as they are (`openssl -binary`), then LF (signed as LF, sent as CRLF). Whichever matches is what is used.
    """
    if part.count(b"\n") == part.count(b"\r\n") and b"\r\r\n" not in part:
        # As it should be and nearly always is: nothing has to be made of a large list for that.
        yield part
        lines = part.replace(b"\r\n", b"\n")
        if lines != part:
            yield lines
        return
    lines = part.replace(b"\r\n", b"\n")
    if b"\r\n" in lines:
        lines = _LINE_END.sub(b"\n", part)
    canonical = lines.replace(b"\n", b"\r\n")
    yield canonical
    if part != canonical:
        yield part
    if lines not in (canonical, part):
        yield lines


def inner_content(signed: bytes) -> bytes:
    """Return the list inside what was signed: as it is, or without the MIME headers of `openssl -text` and mailers.

    Raises:
        WrongInnerType: the headers say that it is something else than text or JSON.
        BadMimeEncoding: they name a transfer encoding that is not known.
        BadBase64: it is not the base64 text that they promise.
        BadMimeHeader: they cannot be read.
    """
    if _JSON.match(signed) or not _HEADER_LINE.match(signed):
        return signed
    headers, body = split_headers(signed, "signed content")
    # RFC 2045, section 5.2: without a Content-Type it is text/plain.
    if headers.media_type and headers.media_type not in _CONTENT_TYPES:
        raise WrongInnerType(found=headers.media_type)
    encoding = headers.encoding or "7bit"
    if encoding in ("7bit", "8bit", "binary"):
        return body
    if encoding == "base64":
        return decoded_base64(body, "signed content")
    if encoding == "quoted-printable":
        return binascii.a2b_qp(body)
    raise BadMimeEncoding(where="signed content", found=encoding)


def _parts(body: bytes, boundary: bytes) -> tuple[bytes, bytes]:
    """Return what stands between the first and second and between the second and last delimiter line."""
    marks: list[_Mark] = []
    for mark in _delimiters(body, b"--" + boundary):
        marks.append(mark)
        if mark.is_closing or len(marks) > 3:
            break
    if not marks or (not marks[-1].is_closing and len(marks) <= 3):
        raise MimeTruncated(size_bytes=len(body))
    if len(marks) != 3 or not marks[-1].is_closing:
        raise WrongMimeParts(found=len(marks) - 1)
    # The line break before a delimiter belongs to the delimiter (RFC 2046, section 5.1.1).
    part = body[marks[0].end : marks[1].start].removesuffix(b"\n").rstrip(b"\r")
    return part, body[marks[1].end : marks[2].start]


@dataclass(frozen=True, slots=True)
class _Mark:
    """A delimiter line: where it begins, where the next line begins, whether it says that no part follows."""

    start: int
    end: int
    is_closing: bool


def _delimiters(body: bytes, delimiter: bytes) -> Iterator[_Mark]:
    at = 0 if body.startswith(delimiter) else body.find(b"\n" + delimiter) + 1 or -1
    while at >= 0:
        end = body.find(b"\n", at)
        end = len(body) if end < 0 else end
        rest = body[at + len(delimiter) : end].rstrip(b" \t\r")
        if rest in (b"", b"--"):
            yield _Mark(at, min(end + 1, len(body)), rest == b"--")
        at = body.find(b"\n" + delimiter, end) + 1 or -1


def _block(headers: Headers, body: bytes, where: str) -> bytes:
    encoding = headers.encoding or "base64"
    if encoding != "base64":
        raise BadMimeEncoding(where=where, found=encoding)
    return decoded_base64(body, where)


def _sniffed(message: bytes) -> str | None:
    """Name what a message is that has no headers at all; None for what may be MIME."""
    start = message[:1024].lstrip(b"\xef\xbb\xbf \t\r\n\0").lower()
    kinds = (
        (not message.strip(), "empty"),
        (start[:1] in (b"{", b"["), "bare JSON"),
        (start[:1] == b"<" and b"<html" in start, "text/html"),
        (start[:1] == b"<", "XML"),
        (start.startswith(b"-----begin "), "PEM"),
        (_HEADER_LINE.match(message.lstrip(b"\r\n")) is None, "no MIME headers"),
    )
    return next((kind for is_so, kind in kinds if is_so), None)
