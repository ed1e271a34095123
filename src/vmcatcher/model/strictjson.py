"""Signed bytes as JSON values that can be read in exactly one way, at a cost that the bytes cannot choose."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Final, NoReturn, TypeAlias

from vmcatcher.errors.imagelist import (
    BadNumber,
    BadText,
    DuplicateKey,
    NotAnObject,
    NotJson,
    TooDeep,
    TooManyValues,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"

_LONGEST_NUMBER: Final = 1000
_LONGEST_SHOWN: Final = 200
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
# Possessive, and the closing quote optional: a string without end is one match, not a new attempt at each `\"` in it.
_STRING: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
# Cutting at quotes makes an entry for each of them: beyond so many the memory would be the bytes' to choose.
_MANY_QUOTES: Final = 200_000
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def parse(content: bytes, *, max_depth: int = 64, max_values: int = 500_000) -> dict[str, Json]:
    """Return the JSON object that `content` spells, read as strictly as RFC 8259 and RFC 7493 (I-JSON) allow.

    That there are not too many values is known before anything is built, and nesting that no stack holds is refused
    while it is read, so `[[[[…` costs neither stack nor memory. Whole numbers keep all their digits; fractions become
    floats. Nothing but the errors below is raised for any bytes.

    Raises:
        NotJson: not UTF-8, a byte order mark, or no JSON text.
        NotAnObject: JSON, but no object.
        DuplicateKey: one object names a key twice (RFC 7493 section 2.3).
        TooDeep, TooManyValues: more than `max_depth` levels or about `max_values` values.
        BadNumber: NaN, an infinity, more than 1000 digits.
        BadText: a lone surrogate (RFC 7493 section 2.1) or a NUL in a text or key.
    """
    text = _decode(content)
    # Each value takes a character at least: nearly every list is too short to hold too many of them.
    if len(text) >= max_values:
        _count(text, max_depth=max_depth, max_values=max_values)
    try:
        value: Json = json.loads(
            text,
            object_pairs_hook=_object,
            parse_int=_whole,
            parse_float=_fraction,
            parse_constant=_no_number,
        )
    except json.JSONDecodeError as exc:
        # Nesting as deep as that rarely closes again: that says more than where the text breaks off.
        _count(text, max_depth=max_depth, max_values=max_values)
        raise NotJson(why=f"{exc.msg}: line {exc.lineno}, column {exc.colno}") from exc
    except RecursionError as exc:
        raise TooDeep(limit=max_depth) from exc
    _demand_shallow(value, max_depth)
    if not isinstance(value, dict):
        raise NotAnObject(found=describe(value))
    if "\\" in text and "\\u" in text:  # the only way in for what _decode keeps out
        _check_texts(value)
    return value


def describe(value: Json) -> str:
    """Return what a value is, in words short enough for a message."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case dict():
            return "an object"
        case list():
            return "a list"
        case str():
            return f"'{value[:_LONGEST_SHOWN]}'"
        case _:
            return f"the number {str(value)[:_LONGEST_SHOWN]}"


def plain_text(value: Json) -> str | None:
    """Return a text as it is and a number as its digits; None for every other value.

    A fraction has lost its spelling by now: `1.10` is the number 1.1 in JSON.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return None


def _decode(content: bytes) -> str:
    if content.startswith(_BYTE_ORDER_MARK):
        raise NotJson(why="it begins with a byte order mark")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise NotJson(why=f"byte {exc.start} is not UTF-8") from exc


def _count(text: str, *, max_depth: int, max_values: int) -> None:
    """Refuse by brackets and commas alone; up to the first mistake in the text json.loads sees the same ones."""
    bare = _outside_strings(text)
    values = 1 + bare.count(",") + bare.count("[") + bare.count("{")
    depth = 0
    for mark in bare.encode().translate(None, _NO_BRACKETS):
        depth += 1 if mark in b"[{" else -1
        if depth > max_depth:
            break
    if depth > max_depth or values > max_values:
        raise _first_excess(bare, max_depth=max_depth, max_values=max_values)


def _demand_shallow(value: Json, max_depth: int) -> None:
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(max_depth):
        if not level:
            return
        insides = (one.values() if isinstance(one, dict) else one for one in level)
        # By type, which is twice as fast as isinstance: json makes nothing else.
        level = [one for inside in insides for one in inside if type(one) is dict or type(one) is list]
    if level:
        raise TooDeep(limit=max_depth)


def _outside_strings(text: str) -> str:
    """Return what stands between the strings of a text; one without its closing quote reaches to the end."""
    if text.count('"') <= _MANY_QUOTES:
        plain = text.replace("\\\\", "\\/").replace('\\"', "\\/") if "\\" in text else text
        bare = "".join(plain.split('"')[::2])
        # A backslash that is in no string escapes nothing, so what was just taken for an escaped quote begins one.
        if "\\" not in bare:
            return bare
    return _STRING.sub("", text)


def _first_excess(bare: str, *, max_depth: int, max_values: int) -> TooDeep | TooManyValues:
    depth = 0
    values = 1
    for mark in bare:
        depth += (mark in "[{") - (mark in "]}")
        values += mark in ",[{"
        if depth > max_depth:
            return TooDeep(limit=max_depth)
        if values > max_values:
            break
    return TooManyValues(limit=max_values)


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise DuplicateKey(key=key)
            seen.add(key)
    return members


def _whole(digits: str) -> int:
    if len(digits) > _LONGEST_NUMBER:
        raise BadNumber(found=f"{digits[:20]}… of {len(digits)} digits")
    return int(digits)


def _fraction(digits: str) -> float:
    number = float(digits) if len(digits) <= _LONGEST_NUMBER else math.inf
    if math.isinf(number):
        raise BadNumber(found=digits[:_LONGEST_SHOWN])
    return number


def _no_number(name: str) -> NoReturn:
    raise BadNumber(found=name)


def _check_texts(value: Json) -> None:
    for where, text in _texts(value):
        # Neither can be encoded for a terminal, a file name or an environment: one such title would stop a whole run.
        if _SURROGATE.search(text):
            raise BadText(where=where, holds="half of a surrogate pair")
        if "\0" in text:
            raise BadText(where=where, holds="a NUL character")


def _texts(value: Json) -> Iterator[tuple[str, str]]:
    """Yield every text and every key with the key it stands under."""
    waiting: list[tuple[str, Json]] = [("", value)]
    while waiting:
        where, item = waiting.pop()
        if isinstance(item, str):
            yield where, item
        elif isinstance(item, list):
            waiting.extend((where, member) for member in item)
        elif isinstance(item, dict):
            for key, member in item.items():
                yield key, key
                waiting.append((key, member))
