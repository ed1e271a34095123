"""Events on disk: those that were given up, and what each run told."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from vmcatcher.errors import VmcatcherError
from vmcatcher.errors.document import BadDocument
from vmcatcher.errors.store import DocumentDamaged
from vmcatcher.model import document as doc
from vmcatcher.model.event import EventKind, OwedEvent
from vmcatcher.model.instant import instant_text, stamp_text
from vmcatcher.store import documents, files, reading

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from vmcatcher.store.layout import Layout

_NAME: Final = re.compile(r"[0-9A-Za-z-]+\.json")


@dataclass(frozen=True, slots=True)
class FailedEvent:
    """An event that is not told any more unless the operator asks for it."""

    event: OwedEvent
    why: str
    given_up: datetime
    variables: Mapping[str, str]
    """What is about the image, as handlers get it."""


def put_failed(layout: Layout, owed: OwedEvent, variables: Mapping[str, str], *, why: str, now: datetime) -> None:
    """Keep an event that is not told any more, with everything that is needed to tell it by hand."""
    files.make_directory(layout.failed_events)
    documents.put_document(
        _failed_path(layout, owed.id),
        {
            "format": 1,
            "id": owed.id,
            "kind": owed.kind.value,
            "attempts": owed.attempts,
            "why": why,
            "given_up": instant_text(now),
            "variables": dict(variables),
        },
        mode=files.SECRET_MODE,
    )


def failed_events(layout: Layout) -> tuple[list[FailedEvent], list[VmcatcherError]]:
    """Return the events that were given up, oldest first, and why others cannot be read."""
    found: list[FailedEvent] = []
    errors: list[VmcatcherError] = []
    for name in reading.names(layout.failed_events):
        if not _NAME.fullmatch(name):
            continue
        path = os.path.join(layout.failed_events, name)
        try:
            failed = documents.read_document(path, _parse_failed)
            if failed is not None and path != _failed_path(layout, failed.event.id):
                raise DocumentDamaged(path=path, why=f"it is the event {failed.event.id}")
        except VmcatcherError as error:
            errors.append(error)
        else:
            found.extend([failed] if failed else [])
    return sorted(found, key=lambda one: (one.given_up, one.event.id)), errors


def drop_failed(layout: Layout, event_id: str) -> bool:
    """Forget an event that was given up; return whether it was there."""
    return files.drop(_failed_path(layout, event_id))


def _failed_path(layout: Layout, event_id: str) -> str:
    return os.path.join(layout.failed_events, f"{event_id}.json")


def _parse_failed(document: doc.Document) -> FailedEvent:
    try:
        kind = EventKind(doc.text(document, "kind"))
    except ValueError as exc:
        raise BadDocument(field="kind", expected="a known event") from exc
    event = OwedEvent(kind, doc.text(document, "id"), doc.number(document, "attempts"))
    variables = doc.optional_document(document, "variables") or {}
    about = {name: doc.text(variables, name) for name in variables}
    return FailedEvent(event, doc.text(document, "why"), doc.instant(document, "given_up"), about)


def put_log(layout: Layout, session: str, told: Sequence[Mapping[str, object]], now: datetime) -> None:
    """Keep what one run told, one JSON object per line; a run that told nothing leaves no file."""
    if not told:
        return
    files.make_directory(layout.event_log)
    lines = "".join(json.dumps(one, sort_keys=True, ensure_ascii=False) + "\n" for one in told)
    files.put(os.path.join(layout.event_log, f"{stamp_text(now)}-{session}.jsonl"), lines.encode("utf-8", "replace"))
