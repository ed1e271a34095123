"""Typed reading of stored JSON documents: each getter returns the kind it names or refuses the document."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from vmcatcher.errors.document import BadDocument
from vmcatcher.model.instant import parse_instant

Document = Mapping[str, object]


def text(document: Document, field: str) -> str:
    """Return the text in `field`."""
    value = document.get(field)
    if not isinstance(value, str):
        raise BadDocument(field=field, expected="text")
    return value


def optional_text(document: Document, field: str) -> str | None:
    """Return the text in `field`, or None where it is null or missing."""
    return None if document.get(field) is None else text(document, field)


def number(document: Document, field: str) -> int:
    """Return the whole, non-negative number in `field`."""
    value = document.get(field)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise BadDocument(field=field, expected="a whole number")
    return value


def flag(document: Document, field: str) -> bool:
    """Return the true or false in `field`; missing is false, so that documents may gain flags."""
    value = document.get(field, False)
    if not isinstance(value, bool):
        raise BadDocument(field=field, expected="true or false")
    return value


def texts(document: Document, field: str) -> tuple[str, ...]:
    """Return the list of texts in `field`; missing is empty."""
    value = document.get(field, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise BadDocument(field=field, expected="a list of texts")
    return tuple(value)


def documents(document: Document, field: str) -> tuple[Document, ...]:
    """Return the list of objects in `field`; missing is empty."""
    value = document.get(field, [])
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise BadDocument(field=field, expected="a list of objects")
    return tuple(value)


def optional_document(document: Document, field: str) -> Document | None:
    """Return the object in `field`, or None where it is null or missing."""
    value = document.get(field)
    if value is None:
        return None
    if not isinstance(value, dict):
        raise BadDocument(field=field, expected="an object")
    return value


def instant(document: Document, field: str) -> datetime:
    """Return the instant in `field`."""
    value = text(document, field)
    try:
        return parse_instant(value)
    except ValueError as exc:
        raise BadDocument(field=field, expected="a time such as 2026-11-23T04:23:39Z") from exc


def optional_instant(document: Document, field: str) -> datetime | None:
    """Return the instant in `field`, or None where it is null or missing."""
    return None if document.get(field) is None else instant(document, field)
