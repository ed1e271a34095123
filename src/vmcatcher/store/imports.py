"""Which classic databases a store was filled from: the format marker says it, so that a copy of the store knows."""

from __future__ import annotations

import os

from vmcatcher.errors.document import BadDocument
from vmcatcher.errors.store import DocumentDamaged
from vmcatcher.light import dataclass
from vmcatcher.model import document as doc
from vmcatcher.model.identity import Sha512
from vmcatcher.model.instant import instant_text
from vmcatcher.store import documents

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from typing import Final

    from vmcatcher.store.layout import Layout

# For `root.make_store`: nobody asked for an empty store beside a database, a command just needed some store.
MADE_IN_PASSING: Final[Mapping[str, object]] = {"in_passing": True}


@dataclass(frozen=True, slots=True)
class Import:
    """A classic database that was imported to its end."""

    database: str
    """Absolute path, links resolved."""
    sha512: Sha512
    at: datetime


def begun(database: str) -> Mapping[str, object]:
    """Return what the marker of a store says from the moment when it is made for an import."""
    return {"importing": os.path.realpath(database)}


def imports(layout: Layout) -> tuple[Import, ...]:
    """Return the imports that were carried to their end, in order.

    Raises:
        DocumentDamaged: the marker cannot be read.
    """
    marker = documents.read_json(layout.marker)
    try:
        return tuple(
            Import(doc.text(one, "database"), Sha512(doc.text(one, "sha512")), doc.instant(one, "at"))
            for one in doc.documents(marker, "imported")
        )
    except BadDocument as exc:
        raise DocumentDamaged(path=layout.marker, why=str(exc)) from exc


def begin(layout: Layout, database: str) -> None:
    """Note that an import into an existing store has begun. Call under the store lock."""
    marker = documents.read_json(layout.marker)
    if marker.get("importing") != os.path.realpath(database):
        documents.put_document(layout.marker, {**marker, **begun(database)})


def finish(layout: Layout, done: Import) -> None:
    """Note that an import has come to its end: commands no longer stop for it. Call under the store lock."""
    marker = dict(documents.read_json(layout.marker))
    before = [one for one in imports(layout) if one.database != done.database]
    marker.pop("importing", None)
    marker["imported"] = [
        {"database": one.database, "sha512": one.sha512, "at": instant_text(one.at)} for one in (*before, done)
    ]
    documents.put_document(layout.marker, marker)


def lacking(layout: Layout, database: str | None) -> str | None:
    """Return the classic database whose content the store still lacks, or None; `database` stands for the store.

    That is one whose import was begun and not finished, or `database` itself, if its file is there and was never
    imported. A store that was made by `vmcatcher store init` lacks nothing: somebody wanted to begin anew.

    Raises:
        DocumentDamaged: the marker cannot be read.
    """
    marker = documents.read_json(layout.marker)
    unfinished = marker.get("importing")
    if isinstance(unfinished, str) and os.path.exists(unfinished):
        return unfinished
    if database is None or not os.path.exists(database):
        return None
    path = os.path.realpath(database)
    is_known = any(one.database == path for one in imports(layout))
    made_for_another = "imported" in marker or marker.get("in_passing") is True
    return database if made_for_another and not is_known else None
