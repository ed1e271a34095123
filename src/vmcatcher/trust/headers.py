"""MIME headers, read strictly: what two readers could read in two ways is refused (RFC 5322, RFC 2045)."""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass
from typing import Final

from vmcatcher.errors.trust import BadBase64, BadMimeHeader

_LONGEST: Final = 64 * 1024
_FIELD: Final = re.compile(r"([!-9;-~]+)[ \t]*:(.*)", re.DOTALL)
_MEDIA_TYPE: Final = re.compile(r"[ \t]*([A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+)[ \t]*")
# Possessive, so that a line of quotes and backslashes cannot make the matcher try again from every place.
_PARAMETER: Final = re.compile(
    r';[ \t]*+(?:([A-Za-z0-9!#$%&\'*+.^_`{|}~-]++)[ \t]*+=[ \t]*+(?:"((?:[^"\\]|\\.)*+)"|([^\s";]++))[ \t]*+)?'
)
_SINGLE: Final = frozenset({"content-type", "content-transfer-encoding", "mime-version"})


@dataclass(frozen=True, slots=True)
class Headers:
    """The headers of one MIME entity, as far as they say what it is."""

    fields: dict[str, str]
    """Lower-case names and unfolded values; of a header that came twice, the last."""
    media_type: str
    """Lower case; empty without a Content-Type."""
    parameters: dict[str, str]
    """Of the Content-Type, names in lower case."""

    @property
    def encoding(self) -> str | None:
        """The transfer encoding in lower case; None where no header names one."""
        found = self.fields.get("content-transfer-encoding")
        return None if found is None else found.strip().lower()


def split_headers(entity: bytes, where: str) -> tuple[Headers, bytes]:
    """Return headers and body of a MIME entity; `where` is what an error calls it.

    Raises:
        BadMimeHeader: no blank line within 64 KiB, NUL or non-ASCII bytes, a line that is no header, or a header that
            decides how the rest is read given twice.
    """
    head, body = _divided(entity, where)
    if not head.isascii() or b"\0" in head:
        raise BadMimeHeader(where=where, problem="not plain ASCII")
    lines: list[str] = []
    for line in head.decode("ascii").split("\n"):
        text = line.rstrip("\r")
        if "\r" in text:
            raise BadMimeHeader(where=where, problem="a carriage return inside a line")
        if text[:1] in (" ", "\t") and lines:
            lines[-1] += text
        else:
            lines.append(text)
    return _headers([line for line in lines if line], where), body


def decoded_base64(text: bytes, where: str) -> bytes:
    """Return the bytes that base64 text stands for; nothing but base64, blanks and line breaks may be in it.

    Raises:
        BadBase64: something else is, or there is nothing.
    """
    try:
        found = binascii.a2b_base64(text.translate(None, b" \t\r\n"), strict_mode=True)
    except binascii.Error as exc:
        raise BadBase64(where=where, problem=str(exc)) from exc
    if not found:
        raise BadBase64(where=where, problem="there is none")
    return found


def _divided(entity: bytes, where: str) -> tuple[bytes, bytes]:
    """Split at the first line that is empty or has carriage returns only."""
    start = 0
    while start <= _LONGEST:
        end = entity.find(b"\n", start, _LONGEST)
        if end < 0:
            break
        if not entity[start:end].strip(b"\r"):
            return entity[:start], entity[end + 1 :]
        start = end + 1
    raise BadMimeHeader(where=where, problem=f"no blank line after them in the first {_LONGEST} bytes")


def _headers(lines: list[str], where: str) -> Headers:
    fields: dict[str, str] = {}
    for line in lines:
        match = _FIELD.fullmatch(line)
        if match is None:
            raise BadMimeHeader(where=where, problem=f"'{line[:60]}' is no header")
        name = match[1].lower()
        if name in _SINGLE and name in fields:
            raise BadMimeHeader(where=where, problem=f"{name} is given twice")
        fields[name] = match[2]
    media_type, parameters = _content_type(fields.get("content-type"), where)
    return Headers(fields, media_type, parameters)


def _content_type(value: str | None, where: str) -> tuple[str, dict[str, str]]:
    if value is None:
        return "", {}
    match = _MEDIA_TYPE.match(value)
    if match is None:
        raise BadMimeHeader(where=where, problem=f"content type '{value[:60]}'")
    media_type, at = match[1].lower(), match.end()
    parameters: dict[str, str] = {}
    while at < len(value):
        match = _PARAMETER.match(value, at)
        if match is None:
            raise BadMimeHeader(where=where, problem=f"content type parameter '{value[at : at + 60]}'")
        at = match.end()
        if match[1] is None:
            continue
        name = match[1].lower()
        if name in parameters:
            raise BadMimeHeader(where=where, problem=f"content type parameter {name} is given twice")
        parameters[name] = re.sub(r"\\(.)", r"\1", match[2]) if match[3] is None else match[3]
    return media_type, parameters
