"""Bytes that the operator never wants, by digest: one document each, which says why."""

from __future__ import annotations

import os

from vmcatcher.errors import BadDigest, VmcatcherError
from vmcatcher.light import dataclass
from vmcatcher.model.identity import Sha512, sha512
from vmcatcher.store import reading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from vmcatcher.model.document import Document
    from vmcatcher.store.layout import Layout


@dataclass(frozen=True, slots=True)
class Veto:
    """A decision that nobody here gets these bytes, whatever list or identifier carries them.

    One that was made by hand, as a file of that name, need not say anything.
    """

    sha512: Sha512
    reason: str | None = None
    vetoed: datetime | None = None
    by: str | None = None
    """Who decided: a user of this machine."""


def vetoed(layout: Layout) -> frozenset[Sha512]:
    """Return the digests with a veto: the names of the files count, whatever is in them."""
    return frozenset(digest for digest, _ in _files(layout))


def _files(layout: Layout) -> Iterator[tuple[Sha512, str]]:
    for name in reading.names(layout.vetoes):
        try:
            yield sha512(name.removesuffix(".json")), os.path.join(layout.vetoes, name)
        except BadDigest:
            continue


def all_vetoes(layout: Layout) -> tuple[tuple[Veto, ...], dict[Sha512, VmcatcherError]]:
    """Return the vetoes, the oldest first, and what is wrong with the document of some; these are among them."""
    found: list[Veto] = []
    failed: dict[Sha512, VmcatcherError] = {}
    for digest in sorted(vetoed(layout)):
        try:
            one = find_veto(layout, digest)
        except VmcatcherError as error:
            failed[digest] = error
            one = Veto(digest)
        found.extend([one] if one else [])
    return tuple(sorted(found, key=lambda one: (one.vetoed is not None and one.vetoed.timestamp(), one.sha512))), failed


def find_veto(layout: Layout, digest: Sha512) -> Veto | None:
    """Return the veto on these bytes, or None.

    Raises:
        DocumentDamaged, NotOurFile: there is one whose document cannot be read. It counts all the same.
    """
    from vmcatcher.store import documents  # noqa: PLC0415 - listing images asks for the names alone

    path = next((path for known, path in _files(layout) if known == digest), None)
    return None if path is None else documents.read_document(path, lambda document: _parse(digest, document))


def _parse(digest: Sha512, document: Document) -> Veto:
    from vmcatcher.model import document as doc  # noqa: PLC0415 - likewise

    return Veto(
        digest,
        doc.optional_text(document, "reason"),
        doc.optional_instant(document, "vetoed"),
        doc.optional_text(document, "by"),
    )


def put_veto(layout: Layout, veto: Veto) -> None:
    """Keep a veto (the commit); one that is there is replaced. Call under the store lock."""
    from vmcatcher.model.instant import instant_text  # noqa: PLC0415 - likewise
    from vmcatcher.store import documents, files  # noqa: PLC0415 - likewise

    files.make_directory(layout.vetoes)
    own = os.path.join(layout.vetoes, f"{veto.sha512}.json")
    document = {
        "format": 1,
        "sha512": veto.sha512,
        "reason": veto.reason,
        "vetoed": veto.vetoed and instant_text(veto.vetoed),
        "by": veto.by,
    }
    documents.put_document(next((path for known, path in _files(layout) if known == veto.sha512), own), document)


def drop_veto(layout: Layout, digest: Sha512) -> bool:
    """Take a veto back, also one that cannot be read; return False where there was none. Call under the store lock."""
    from vmcatcher.store import files  # noqa: PLC0415 - likewise

    own = [path for known, path in _files(layout) if known == digest]
    for path in own:
        files.drop(path)
    return bool(own)
