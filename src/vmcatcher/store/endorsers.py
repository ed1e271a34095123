"""The endorser documents."""

from __future__ import annotations

import os

from vmcatcher.model.endorser import Endorser, endorser_document, parse_endorser
from vmcatcher.store import aside, documents, files, reading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmcatcher.errors.store import DocumentLost
    from vmcatcher.store.layout import Layout


def all_endorsers(layout: Layout) -> tuple[Endorser, ...]:
    """Return every endorser in the order they were added.

    Raises:
        DocumentDamaged: one of the documents cannot be read; leaving it out could expire images.
    """
    found = (
        documents.read_document(os.path.join(layout.endorsers, name), parse_endorser)
        for name in reading.names(layout.endorsers)
        if name.endswith(".json")
    )
    return tuple(sorted((one for one in found if one), key=lambda one: (one.added, one.identifier)))


def lost(layout: Layout) -> list[DocumentLost]:
    """Return, for every endorser whose document was damaged and is not there again, what to say about it."""
    names = (name for name in reading.names(layout.endorsers) if name.endswith(".json" + aside.LOST))
    found = (aside.loss(os.path.join(layout.endorsers, name.removesuffix(aside.LOST))) for name in names)
    return [one for one in found if one is not None]


def find_endorser(layout: Layout, identifier: str) -> Endorser | None:
    """Return the endorser of that identifier, or None."""
    return documents.read_document(layout.endorser(identifier), parse_endorser)


def put_endorser(layout: Layout, endorser: Endorser) -> None:
    """Keep the endorser (the commit of creating or changing one)."""
    path = layout.endorser(endorser.identifier)
    documents.put_document(path, endorser_document(endorser))
    aside.forget_loss(path)


def drop_endorser(layout: Layout, identifier: str) -> bool:
    """Forget the endorser; return False when there was none."""
    is_dropped = files.drop(layout.endorser(identifier))
    aside.forget_loss(layout.endorser(identifier))
    return is_dropped
