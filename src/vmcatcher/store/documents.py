"""JSON documents on disk: read and parsed in one step, with the file named when it is damaged."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypeVar

from vmcatcher.errors.document import BadDocument
from vmcatcher.errors.store import DocumentDamaged, UnknownFormat
from vmcatcher.store import files

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmcatcher.model.document import Document

Kind = TypeVar("Kind")


def read_json(path: str) -> Document:
    """Return the JSON object in the file `path`.

    Raises:
        FileNotFoundError: nothing is there.
        DocumentDamaged: it is no JSON object in UTF-8.
        UnknownFormat: a later version of the program wrote it.
    """
    try:
        document = json.loads(files.read(path))
    except (ValueError, RecursionError) as exc:
        raise DocumentDamaged(path=path, why=f"it is no JSON ({exc})") from exc
    if not isinstance(document, dict):
        raise DocumentDamaged(path=path, why="it is no JSON object")
    if document.get("format", 1) != 1:
        raise UnknownFormat(path=path, found=str(document["format"]))
    return document


def read_document(path: str, parse: Callable[[Document], Kind]) -> Kind | None:
    """Return what `parse` makes of the document at `path`, or None where there is no such file.

    Raises:
        DocumentDamaged: the file is no JSON object, or `parse` refuses it.
    """
    try:
        return parse(read_json(path))
    except FileNotFoundError:
        return None
    except BadDocument as exc:
        raise DocumentDamaged(path=path, why=str(exc)) from exc
