"""JSON documents on disk: read and parsed in one step, with the file named when it is damaged.

Every document that is put here ends with a seal: a digest of the text before it. Bytes that rot, and a write that
never was one of ours, are found by it even where what is left still parses. A document without a seal is taken, too:
an earlier version of the program or a person wrote it.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Final, TypeVar

from vmcatcher.errors.document import BadDocument
from vmcatcher.errors.store import DocumentDamaged, UnknownFormat
from vmcatcher.store import files

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vmcatcher.model.document import Document

Kind = TypeVar("Kind")

FORMAT: Final = 1
# Sorts behind every other member, so that it is the last line of the text and the digest is of all lines before it.
SEAL: Final = "~sha256"
_SEAL_DIGITS: Final = 32
_SEALED: Final = re.compile(rb',\n "~sha256": "([0-9a-f]{32})"\n\}\n\Z')


def put_document(path: str, document: Mapping[str, object], *, mode: int = files.FILE_MODE) -> None:
    """Put `document` as sorted, indented JSON with its seal. Raises as `files.put`."""
    files.put(path, sealed(document), mode=mode)


def sealed(document: Mapping[str, object]) -> bytes:
    """Return the bytes of a document with its seal."""
    text = files.json_bytes(document)
    head = text.removesuffix(b"\n}\n")
    return head + f',\n "{SEAL}": "{_digest(head)}"\n}}\n'.encode()


def _digest(head: bytes) -> str:
    return hashlib.sha256(head).hexdigest()[:_SEAL_DIGITS]


def is_sealed(path: str) -> bool:
    """Tell whether the document at `path` has a seal that holds. Raises as `files.read`."""
    match = _SEALED.search(files.read(path))
    return match is not None and match[1].decode() == _digest(match.string[: match.start()])


def read_json(path: str) -> Document:
    """Return the JSON object in the file `path`, without its seal.

    Raises:
        FileNotFoundError: nothing is there.
        NotOurFile: something else than a regular file is.
        DocumentDamaged: it is no JSON object in UTF-8, or its seal is not that of its text.
        UnknownFormat: a later version of the program wrote it.
    """
    content = files.read(path)
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as exc:
        raise DocumentDamaged(path=path, why=f"it is no JSON ({exc})") from exc
    if not isinstance(document, dict):
        raise DocumentDamaged(path=path, why="it is no JSON object")
    # The seal first: a format that rotted is damage, not a later version.
    seal = document.pop(SEAL, None)
    if seal is not None:
        match = _SEALED.search(content)
        if match is None or seal != _digest(content[: match.start()]):
            why = f"its text is not the one that was written; if you changed it, take out the line {SEAL}"
            raise DocumentDamaged(path=path, why=why)
    if document.get("format", FORMAT) != FORMAT:
        raise UnknownFormat(path=path, found=str(document["format"]))
    return document


def read_document(path: str, parse: Callable[[Document], Kind]) -> Kind | None:
    """Return what `parse` makes of the document at `path`, or None where there is no such file.

    Raises:
        DocumentDamaged: the file is no JSON object, or `parse` refuses it.
        NotOurFile, UnknownFormat: see `read_json`.
    """
    try:
        return parse(read_json(path))
    except FileNotFoundError:
        return None
    except BadDocument as exc:
        raise DocumentDamaged(path=path, why=str(exc)) from exc
