"""Signed lists as they were received, one file per admitted list, and the mark of the newest one ever admitted."""

from __future__ import annotations

import contextlib
import os
import re

from vmcatcher.errors.store import DocumentDamaged
from vmcatcher.light import dataclass
from vmcatcher.model import document as doc
from vmcatcher.model.identity import OneLineName, Sha512
from vmcatcher.model.instant import instant_text, parse_instant, stamp_text
from vmcatcher.store import aside, documents, files, reading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from typing import Final

    from vmcatcher.model.verified import VerifiedList
    from vmcatcher.store.layout import Layout

_NAME: Final = r"([0-9]{6,18})-([0-9]{8}T[0-9]{6}Z)\.smime"


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
    certificate: bytes = b""
    """The signer's certificate of then, in base64 of its DER."""


@dataclass(frozen=True, slots=True)
class Mark:
    """The newest list ever admitted under an identifier; nothing older is taken again."""

    version: str
    created: datetime
    sha512: Sha512
    older_allowed: datetime | None = None
    """When the operator let the next other list be older than this one; None where nobody did."""
    content: Sha512 | None = None
    """SHA-512 of what was signed, without the signature around it; None in marks of before."""


def all_snapshots(layout: Layout, list_id: str) -> tuple[Snapshot, ...]:
    """Return every snapshot of the list, oldest first."""
    directory = layout.lists(list_id)
    found = []
    for name in reading.names(directory):
        snapshot = _snapshot(directory, name)
        found += [] if snapshot is None else [snapshot]
    return tuple(sorted(found))


def _snapshot(directory: str, name: str) -> Snapshot | None:
    """Return the snapshot that is kept under that name; None where we give no such names."""
    match = re.fullmatch(_NAME, name)
    if match is None:
        return None
    try:
        kept = parse_instant(match[2])
    except ValueError:
        return None
    return Snapshot(int(match[1]), kept, name.removesuffix(".smime"), os.path.join(directory, name))


def named_snapshot(layout: Layout, list_id: str, name: str) -> Snapshot | None:
    """Return the snapshot of that name, whether or not it is there; None where no snapshot is called so."""
    return _snapshot(layout.lists(list_id), f"{name}.smime")


def current_snapshot(layout: Layout, list_id: str) -> Snapshot | None:
    """Return the snapshot with the highest sequence number, or None before the first update."""
    directory = layout.lists(list_id)
    # From the newest on: as a rule the first name is it, and no other has to be taken apart.
    for name in sorted(reading.names(directory), key=_by_number, reverse=True):
        found = _snapshot(directory, name)
        if found is not None:
            return found
    return None


def _by_number(name: str) -> tuple[int, str, str]:
    digits = name.partition("-")[0].lstrip("0")
    return len(digits), digits, name


def set_aside(layout: Layout, snapshot: Snapshot) -> list[str]:
    """Move a damaged snapshot and its evidence into quarantine, where nobody reads them; return where they are.

    Call under the store lock.
    """
    places = []
    # The list last: cut off between the two, what is left is still found and put aside by whoever comes next.
    for ending in (".evidence", ".smime"):
        path = snapshot.path.removesuffix(".smime") + ending
        with contextlib.suppress(FileNotFoundError):
            places.append(aside.set_aside(layout, path))
    return places


def read_signed(snapshot: Snapshot) -> bytes:
    """Return the signed bytes exactly as they were received."""
    return reading.read(snapshot.path)


def signed_digest(signed: bytes) -> Sha512:
    """Return the SHA-512 of a signed list, the classic `msgHash`."""
    import hashlib  # noqa: PLC0415 - see `documents`

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
    for stale in reading.names(directory):
        # A run that was cut off between the two left its evidence; no list of that number was ever kept.
        if stale.endswith(".evidence") and stale.partition("-")[0] == f"{sequence:06d}":
            files.drop(os.path.join(directory, stale))
    documents.put_document(os.path.join(directory, name + ".evidence"), _evidence_document(verified))
    files.put(path, verified.signed)
    return Snapshot(sequence, now, name, path)


def _evidence_document(verified: VerifiedList) -> dict[str, object]:
    import base64  # noqa: PLC0415 - queries keep nothing

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


def evidence_path(snapshot: Snapshot) -> str:
    """Return where the evidence of a snapshot is."""
    return snapshot.path.removesuffix(".smime") + ".evidence"


def read_evidence(snapshot: Snapshot) -> Evidence:
    """Return what was proved about a snapshot when it was admitted.

    Raises:
        DocumentDamaged: the evidence is missing or cannot be read; verifying the snapshot again replaces it.
    """
    path = evidence_path(snapshot)
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
        next(iter(doc.texts(document, "chain")), "").encode() if "chain" in document else b"",
    )


def _parse_name(document: doc.Document) -> OneLineName:
    return OneLineName(doc.text(document, "escaped"), doc.optional_text(document, "plain"))


def read_mark(layout: Layout, list_id: str) -> Mark | None:
    """Return the mark of the list, or None when none was ever admitted here."""
    return documents.read_document(layout.mark(list_id), parse_mark)


def parse_mark(document: doc.Document) -> Mark:
    """Return the mark that a stored document describes."""
    content = doc.optional_text(document, "content")
    return Mark(
        doc.text(document, "version"),
        doc.instant(document, "created"),
        Sha512(doc.text(document, "sha512")),
        doc.optional_instant(document, "older_allowed"),
        None if content is None else Sha512(content),
    )


def put_mark(layout: Layout, list_id: str, mark: Mark) -> None:
    """Remember the newest list ever admitted, unless it is remembered already."""
    if read_mark(layout, list_id) == mark:
        return
    documents.put_document(
        layout.mark(list_id),
        {
            "format": 1,
            "identifier": list_id,
            "version": mark.version,
            "created": instant_text(mark.created),
            "sha512": mark.sha512,
            **({"content": mark.content} if mark.content else {}),
            **({"older_allowed": instant_text(mark.older_allowed)} if mark.older_allowed else {}),
        },
    )
