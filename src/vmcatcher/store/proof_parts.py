"""What the evidence of an admitted list holds besides what queries read: the chain and the CRLs of then."""

from __future__ import annotations

import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vmcatcher.errors.document import BadDocument
from vmcatcher.errors.store import DocumentDamaged
from vmcatcher.model import document as doc
from vmcatcher.store import documents

if TYPE_CHECKING:
    from datetime import datetime

    from vmcatcher.store.snapshots import Snapshot


@dataclass(frozen=True, slots=True)
class ProofParts:
    """What a list was verified with, all in DER."""

    verified: datetime
    chain: tuple[bytes, ...]
    """The signer's certificate first, the self-signed anchor last."""
    crls: tuple[bytes, ...]


def read_proof_parts(snapshot: Snapshot) -> ProofParts:
    """Return what a list was verified with when it was admitted.

    Raises:
        DocumentDamaged: the evidence is missing or cannot be read.
    """
    path = snapshot.path.removesuffix(".smime") + ".evidence"
    parts = documents.read_document(path, _parse)
    if parts is None:
        raise DocumentDamaged(path=path, why="it is missing")
    return parts


def _parse(document: doc.Document) -> ProofParts:
    return ProofParts(doc.instant(document, "verified"), _decoded(document, "chain"), _decoded(document, "crls"))


def _decoded(document: doc.Document, field: str) -> tuple[bytes, ...]:
    try:
        return tuple(binascii.a2b_base64(text.encode("ascii"), strict_mode=True) for text in doc.texts(document, field))
    except ValueError as exc:
        raise BadDocument(field=field, expected="a list of texts in base64") from exc
