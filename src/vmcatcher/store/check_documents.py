"""Looking at the documents of the whole store (I1, I12): endorsers, marks, events, locks."""

from __future__ import annotations

import json
import os
import stat
from typing import TYPE_CHECKING

from vmcatcher.errors import VmcatcherError
from vmcatcher.errors.document import BadDocument
from vmcatcher.model.endorser import parse_endorser
from vmcatcher.store import aside, events, reading, root
from vmcatcher.store.findings import Finding, Remedy, anything, damage, mode_of, note, read, status_of
from vmcatcher.store.snapshots import parse_mark

if TYPE_CHECKING:
    from vmcatcher.model.document import Document
    from vmcatcher.store.layout import Layout
    from vmcatcher.store.snapshots import Mark


def check_documents(layout: Layout, found: list[Finding]) -> None:
    """Add what is wrong with the documents that belong to no subscription and no image."""
    found.extend(mode_of(layout.marker))
    _endorsers(layout, found)
    for name in reading.names(layout.marks):
        if name.endswith(".json"):
            _mark(layout, found, name.removesuffix(".json"))
    _events(layout, found)
    for name in reading.names(layout.vetoes):
        path = os.path.join(layout.vetoes, name)
        found.extend(mode_of(path))
        if name.endswith(".json") and not aside.is_regular(path):
            # No remedy: without the name, the bytes that nobody wants would come back.
            found.append(damage("I1", path, "it should be a regular file; its name counts, so put an empty one there"))
    kind = stat.S_IFDIR if root.lock_kind(layout) == "claim" else stat.S_IFREG
    for name in reading.names(layout.locks):
        path = os.path.join(layout.locks, name)
        found.extend(mode_of(path))
        status = status_of(path)
        if name.endswith(".lock") and status is not None and stat.S_IFMT(status.st_mode) != kind:
            # No remedy: whoever repairs needs the lock, and what a lock is must not change under its holder.
            text = "it is no lock of the kind that this store has: move it away while nothing runs"
            found.append(damage("I1", path, text))


def _endorsers(layout: Layout, found: list[Finding]) -> None:
    for name in reading.names(layout.endorsers):
        path = os.path.join(layout.endorsers, name)
        if name.endswith(".json" + aside.LOST):
            lost = aside.loss(path.removesuffix(aside.LOST))
            if lost is not None:
                found.append(damage("I1", lost.path, f"{lost}; until then no cache run changes anything"))
        if not name.endswith(".json"):
            continue
        one = read(found, path, parse_endorser, Remedy.LOSE)
        if one is None or layout.endorser(one.identifier) == path:
            continue
        if os.path.lexists(layout.endorser(one.identifier)):
            found.append(note("I13", path, f"it is a copy of the endorser '{one.identifier}': take it away"))
        else:
            found.append(damage("I1", path, f"it is the endorser '{one.identifier}'", Remedy.LOSE))


def _mark(layout: Layout, found: list[Finding], list_id: str) -> None:
    def parse(document: Document) -> Mark:
        if document.get("identifier", list_id) != list_id:
            raise BadDocument(field="identifier", expected=f"'{list_id}'")
        return parse_mark(document)

    read(found, layout.mark(list_id), parse, Remedy.MARK, list_id)


def _events(layout: Layout, found: list[Finding]) -> None:
    for name in reading.names(layout.failed_events):
        if name.endswith(".json"):
            read(found, os.path.join(layout.failed_events, name), anything, Remedy.ASIDE)
    said = {one.path for one in found}
    for error in events.failed_events(layout)[1]:
        path = getattr(error, "path", layout.failed_events)
        if path not in said:
            found.append(damage("I1", path, str(error), Remedy.ASIDE))
    for name in reading.names(layout.event_log):
        path = os.path.join(layout.event_log, name)
        if name.endswith(".jsonl"):
            found.extend(mode_of(path))
            if not _is_log(path):
                found.append(damage("I1", path, "it is no log of events", Remedy.ASIDE))


def _is_log(path: str) -> bool:
    try:
        lines = reading.read(path).decode().split("\n")
        return lines.pop() == "" and all(isinstance(json.loads(line), dict) for line in lines)
    except FileNotFoundError:
        return True
    except (VmcatcherError, ValueError, RecursionError):
        return False
