"""Revocation lists that this store fetched, in `trust/`: a file per CA, and a note of which version it is."""

from __future__ import annotations

import binascii
import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vmcatcher.model import document as doc
from vmcatcher.store import documents, files, reading

if TYPE_CHECKING:
    from vmcatcher.store.layout import Layout

# As the trust room reads it: `<name>.r<number>`.
_ENDING = ".r0"
_NOTE = ".fetch.json"
_FIRST, _LAST = b"-----BEGIN X509 CRL-----", b"-----END X509 CRL-----"


@dataclass(frozen=True, slots=True)
class CrlNote:
    """Where a CRL was fetched from, and how the server names the version; losing it costs one more fetch."""

    url: str
    etag: str | None
    last_modified: str | None
    sha256: str
    """Of the CRL's DER, so that a note never speaks of another one than is there."""


def read_fetched(layout: Layout, alias: str) -> bytes | None:
    """Return the file with the CRL that was fetched for a CA; None where there is none.

    Raises:
        NotOurFile, StoreInputOutput: it cannot be read.
    """
    try:
        return reading.read(crl_path(layout, alias))
    except FileNotFoundError:
        return None


def put_fetched(layout: Layout, alias: str, content: bytes, note: CrlNote) -> None:
    """Put a CRL in the place of the one that is there. Call under the store lock.

    The CRL goes first, since it is what counts; a note that does not fit it is of no use, and does no harm.
    """
    files.make_directory(layout.trust)
    files.put(crl_path(layout, alias), content)
    put_note(layout, alias, note)


def read_note(layout: Layout, alias: str) -> CrlNote | None:
    """Return what was noted at the last fetch; None where that is nothing, or cannot be read.

    Raises:
        NotOurFile, DocumentDamaged: it cannot be read; without it the CRL is fetched anew.
    """
    return documents.read_document(note_path(layout, alias), parse_note)


def put_note(layout: Layout, alias: str, note: CrlNote) -> None:
    """Note a fetch. Call under the store lock."""
    documents.put_document(
        note_path(layout, alias),
        {
            "format": 1,
            "url": note.url,
            "etag": note.etag,
            "last_modified": note.last_modified,
            "sha256": note.sha256,
        },
    )


def parse_note(document: doc.Document) -> CrlNote:
    """Return what a stored note says."""
    return CrlNote(
        doc.text(document, "url"),
        doc.optional_text(document, "etag"),
        doc.optional_text(document, "last_modified"),
        doc.text(document, "sha256"),
    )


def noted(layout: Layout) -> list[str]:
    """Return the CAs of which a list was fetched, by the names of their files."""
    return sorted(name.removesuffix(_NOTE) for name in reading.names(layout.trust) if name.endswith(_NOTE))


def digest_of(content: bytes) -> str | None:
    """Return the SHA-256 of the DER in a file that was written here; None where it holds none."""
    lines = content.splitlines()
    if lines[:1] != [_FIRST] or lines[-1:] != [_LAST]:
        return None
    try:
        return hashlib.sha256(binascii.a2b_base64(b"".join(lines[1:-1]), strict_mode=True)).hexdigest()
    except binascii.Error:
        return None


def crl_path(layout: Layout, alias: str) -> str:
    """Return where the list of a CA lies."""
    return os.path.join(layout.trust, alias + _ENDING)


def note_path(layout: Layout, alias: str) -> str:
    """Return where it says where that came from."""
    return os.path.join(layout.trust, alias + _NOTE)
