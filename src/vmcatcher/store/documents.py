"""JSON documents on disk: read and parsed in one step, with the file named when it is damaged.

Every document that is put here ends with a seal: a digest of the text before it. Bytes that rot, and a write that
never was one of ours, are found by it even where what is left still parses. A document without a seal is taken, too:
an earlier version of the program or a person wrote it.
"""

from __future__ import annotations

import json

from vmcatcher.errors.document import BadDocument
from vmcatcher.errors.store import DocumentDamaged, UnknownFormat
from vmcatcher.store import files, reading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Final, TypeVar

    from vmcatcher.model.document import Document

    Kind = TypeVar("Kind")

FORMAT: Final = 1
# Sorts behind every other member, so that it is the last line of the text and the digest is of all lines before it.
SEAL: Final = "~sha256"
_SEAL_DIGITS: Final = 32
_BEFORE: Final = f',\n "{SEAL}": "'.encode()
_BEHIND: Final = b'"\n}\n'


def put_document(path: str, document: Mapping[str, object], *, mode: int = reading.FILE_MODE) -> None:
    """Put `document` as sorted, indented JSON with its seal. Raises as `files.put`."""
    files.put(path, sealed(document), mode=mode)


def sealed(document: Mapping[str, object]) -> bytes:
    """Return the bytes of a document with its seal."""
    text = files.json_bytes(document)
    head = text.removesuffix(b"\n}\n")
    return _BEFORE.join((head, _digest(head))) + _BEHIND


def _digest(head: bytes) -> bytes:
    import hashlib  # noqa: PLC0415 - it loads the whole of OpenSSL; the marker of a store has no seal

    return hashlib.sha256(head).hexdigest()[:_SEAL_DIGITS].encode()


def _is_whole(content: bytes) -> bool:
    head, _, seal = content.rpartition(_BEFORE)
    return seal.endswith(_BEHIND) and seal.removesuffix(_BEHIND) == _digest(head)


def is_sealed(path: str) -> bool:
    """Tell whether the document at `path` has a seal that holds. Raises as `reading.read`."""
    return _is_whole(reading.read(path))


def read_json(path: str) -> Document:
    """Return the JSON object in the file `path`, without its seal.

    Raises:
        FileNotFoundError: nothing is there.
        NotOurFile: something else than a regular file is.
        DocumentDamaged: it is no JSON object in UTF-8, or its seal is not that of its text.
        UnknownFormat: a later version of the program wrote it.
    """
    content = reading.read(path)
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as exc:
        raise DocumentDamaged(path=path, why=f"it is no JSON ({exc})") from exc
    if not isinstance(document, dict):
        raise DocumentDamaged(path=path, why="it is no JSON object")
    # The seal first: a format that rotted is damage, not a later version.
    if document.pop(SEAL, None) is not None and not _is_whole(content):
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
