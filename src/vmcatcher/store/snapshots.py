"""Signed lists as they were received, one file per admitted list, and the mark of the newest one ever admitted."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from vmcatcher.errors.store import DocumentDamaged
from vmcatcher.model import document as doc
from vmcatcher.model.identity import OneLineName, Sha512
from vmcatcher.model.instant import instant_text, parse_instant, stamp_text
from vmcatcher.store import documents, files

if TYPE_CHECKING:
    from datetime import datetime

    from vmcatcher.model.verified import VerifiedList
    from vmcatcher.store.layout import Layout

_NAME: Final = re.compile(r"([0-9]{6,18})-([0-9]{8}T[0-9]{6}Z)\.smime")


@dataclass(frozen=True, slots=True, order=True)
class Snapshot:
    """One admitted list on disk; the one with the highest sequence number is current."""

    sequence: int
    kept: datetime
    name: str
    """`<sequence>-<UTC time>`, without the ending."""
    path: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was proved when a list was admitted, so that queries need no cryptography."""

    sha512: Sha512
    content: bytes
    signer: OneLineName
    issuer: OneLineName
    verified: datetime


@dataclass(frozen=True, slots=True)
class Mark:
    """The newest list ever admitted under an identifier; nothing older is taken again."""

    version: str
    created: datetime
    sha512: Sha512


def all_snapshots(layout: Layout, list_id: str) -> tuple[Snapshot, ...]:
    """Return every snapshot of the list, oldest first."""
    directory = layout.lists(list_id)
    found = []
    for name in files.names(directory):
        match = _NAME.fullmatch(name)
        if match is None:
            continue
        try:
            kept = parse_instant(match[2])
        except ValueError:
            continue  # no name that we give: somebody else's file
        found.append(Snapshot(int(match[1]), kept, name.removesuffix(".smime"), os.path.join(directory, name)))
    return tuple(sorted(found))


def current_snapshot(layout: Layout, list_id: str) -> Snapshot | None:
    """Return the snapshot with the highest sequence number, or None before the first update."""
    found = all_snapshots(layout, list_id)
    return found[-1] if found else None


def set_aside(layout: Layout, list_id: str, snapshot: Snapshot) -> None:
    """Move a damaged snapshot and its evidence into quarantine, where nobody reads them. Call under the store lock."""
    files.make_directory(layout.quarantine)
    for ending in (".smime", ".evidence"):
        path = snapshot.path.removesuffix(".smime") + ending
        with contextlib.suppress(FileNotFoundError):
            files.retire(path, os.path.join(layout.quarantine, f"{list_id}.{snapshot.name}{ending}"))


def read_signed(snapshot: Snapshot) -> bytes:
    """Return the signed bytes exactly as they were received."""
    return files.read(snapshot.path)


def signed_digest(signed: bytes) -> Sha512:
    """Return the SHA-512 of a signed list, the classic `msgHash`."""
    return Sha512(hashlib.sha512(signed).hexdigest())


def keep(layout: Layout, list_id: str, verified: VerifiedList, now: datetime) -> Snapshot:
    """Keep an admitted list as the new current one.

    The evidence goes first; the signed list itself is the commit. Call under the store lock.
    """
    directory = layout.lists(list_id)
    files.make_directory(directory)
    last = current_snapshot(layout, list_id)
    sequence = last.sequence + 1 if last else 1
    name = f"{sequence:06d}-{stamp_text(now)}"
    path = os.path.join(directory, name + ".smime")
    files.put_json(os.path.join(directory, name + ".evidence"), _evidence_document(verified))
    files.put(path, verified.signed)
    return Snapshot(sequence, now, name, path)


def _evidence_document(verified: VerifiedList) -> dict[str, object]:
    return {
        "format": 1,
        "sha512": signed_digest(verified.signed),
        "content": verified.content.decode("utf-8"),
        "signer": _name_document(verified.signer),
        "issuer": _name_document(verified.issuer),
        "digest": verified.digest,
        "verified": instant_text(verified.verified_at),
        "chain": [base64.b64encode(der).decode() for der in verified.chain],
        "crls": [base64.b64encode(der).decode() for der in verified.crls],
        "warnings": list(verified.warnings),
    }


def _name_document(name: OneLineName) -> dict[str, object]:
    return {"escaped": name.escaped, "plain": name.plain}


def read_evidence(snapshot: Snapshot) -> Evidence:
    """Return what was proved about a snapshot when it was admitted.

    Raises:
        DocumentDamaged: the evidence is missing or cannot be read; verifying the snapshot again replaces it.
    """
    path = snapshot.path.removesuffix(".smime") + ".evidence"
    evidence = documents.read_document(path, _parse_evidence)
    if evidence is None:
        raise DocumentDamaged(path=path, why="it is missing")
    return evidence


def _parse_evidence(document: doc.Document) -> Evidence:
    return Evidence(
        Sha512(doc.text(document, "sha512")),
        doc.text(document, "content").encode(),
        _parse_name(doc.optional_document(document, "signer") or {}),
        _parse_name(doc.optional_document(document, "issuer") or {}),
        doc.instant(document, "verified"),
    )


def _parse_name(document: doc.Document) -> OneLineName:
    return OneLineName(doc.text(document, "escaped"), doc.optional_text(document, "plain"))


def read_mark(layout: Layout, list_id: str) -> Mark | None:
    """Return the mark of the list, or None when none was ever admitted here."""
    return documents.read_document(
        layout.mark(list_id),
        lambda found: Mark(
            doc.text(found, "version"), doc.instant(found, "created"), Sha512(doc.text(found, "sha512"))
        ),
    )


def put_mark(layout: Layout, list_id: str, mark: Mark) -> None:
    """Remember the newest list ever admitted, unless it is remembered already."""
    if read_mark(layout, list_id) == mark:
        return
    files.put_json(
        layout.mark(list_id),
        {
            "format": 1,
            "identifier": list_id,
            "version": mark.version,
            "created": instant_text(mark.created),
            "sha512": mark.sha512,
        },
    )
