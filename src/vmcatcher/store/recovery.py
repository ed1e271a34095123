"""Making again what a damaged document said, from what follows from it and from what it was made of.

A cache record is made again from the view that shows its version, and from the list or the index that describes it.
What was owed is owed once more: told twice is told, not told is lost. A mark follows from the list's newest snapshot.
"""

from __future__ import annotations

import json
import os
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from vmcatcher.errors import VmcatcherError
from vmcatcher.model.event import EventKind, OwedEvent
from vmcatcher.model.identity import ImageId, ListId, Sha512
from vmcatcher.model.imagelist import parse_image_list
from vmcatcher.model.instant import parse_instant
from vmcatcher.model.record import CacheRecord, Reason, State
from vmcatcher.store import aside, cache, files, reading, snapshots, views

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vmcatcher.store.layout import Layout
    from vmcatcher.store.views import Views

_DIGEST: Final = re.compile(r"[0-9a-f]{128}")
_STAMP: Final = re.compile(r"\.(\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d)(-\d+)?\Z")
_OF_IMAGE: Final = "hv:image."


class Recovery:
    """Makes records again; `new_id` gives the identifier of an event, or None where nobody listens."""

    def __init__(self, layout: Layout, shown: Views, now: datetime, new_id: Callable[[], str | None]) -> None:
        self._layout = layout
        self._shown = shown
        self._now = now
        self._new_id = new_id

    def replace_record(self, image: str, number: int) -> tuple[str, CacheRecord | None]:
        """Put a damaged record aside; return where it is, and the one that stands in its place, if one can be made.

        Call under the store lock. Wherever it is broken off, doing it again leads to the same end.
        """
        path = os.path.join(self._layout.records(image), f"{number}.json")
        record = self._recovered(image, number)
        if record is None:
            return aside.set_aside(self._layout, path), None
        try:
            # A copy, so that at no moment there is neither the damaged record nor the one that follows it.
            place = aside.place_for(self._layout, path)
            files.make_directory(os.path.dirname(place))
            files.put(place, reading.read(path))
        except VmcatcherError:
            place = aside.set_aside(self._layout, path)
        cache.put_record(self._layout, record)
        return place, record

    def _recovered(self, image: str, number: int) -> CacheRecord | None:
        readable, _ = cache.readable_records(self._layout, image)
        is_newest = number >= max(cache.record_numbers(self._layout, image), default=number)
        if is_newest and not any(one.is_active for one in readable):
            found = self._endorsed(image, number)
            if found is not None:
                return found
        return self._expired(image, number, {one.expired_name for one in readable}, is_newest=is_newest)

    def _endorsed(self, image: str, number: int) -> CacheRecord | None:
        entry = self._entry(self._shown.cache, image)
        target = dict(views.own_links(self._layout, self._shown.cache)).get(image, entry.get("sha512"))
        if not isinstance(target, str) or not _DIGEST.match(target):
            return None
        digest = Sha512(target[:128])
        if target == digest and os.path.lexists(os.path.join(self._shown.cache, image)):
            owed = self._owing(EventKind.AVAILABLE_POSTFIX)
            return self._described(image, number, digest, entry, State.ENDORSED, published=self._now, owed=owed)
        # It was shown when the index was written, and is not any more, or its bytes were put aside: it was leaving.
        kept = None if target == digest else os.path.join("quarantine", target)
        owed = self._owing(EventKind.EXPIRE_PREFIX)
        reason = Reason.CORRUPT
        return self._described(image, number, digest, entry, State.EXPIRING, reason=reason, owed=owed, set_aside=kept)

    def _expired(self, image: str, number: int, claimed: set[str | None], *, is_newest: bool) -> CacheRecord | None:
        links = dict(views.own_links(self._layout, self._shown.expired))
        for name in sorted(links):
            stamp = _STAMP.search(name)
            if name in claimed or views.image_of(name) != image or stamp is None or not _DIGEST.match(links[name]):
                continue
            target, entry = links[name], self._entry(self._shown.expired, name)
            digest = Sha512(target[:128])
            when = datetime.strptime(stamp[1], "%Y-%m-%d_%H-%M-%S").replace(tzinfo=UTC)
            known = {one.value: one for one in Reason}
            return self._described(
                image, number, digest, entry, State.EXPIRED,
                reason=known.get(str(entry.get("reason")), Reason.WITHDRAWN),
                published=when, expired=when, expired_name=name,
                set_aside=None if target == digest else os.path.join("quarantine", target),
                # Once a newer version came, this would be heard as the end of that one.
                owed=self._owing(EventKind.EXPIRE_POSTFIX) if is_newest else (),
            )  # fmt: skip
        return None

    def _owing(self, kind: EventKind) -> tuple[OwedEvent, ...]:
        event_id = self._new_id()
        return () if event_id is None else (OwedEvent(kind, event_id),)

    def _entry(self, directory: str, name: str) -> Mapping[str, object]:
        try:
            entry = json.loads(reading.read(os.path.join(directory, views.INDEX))).get(name)
        except (VmcatcherError, OSError, ValueError, RecursionError, AttributeError):
            return {}
        return entry if isinstance(entry, dict) else {}

    def _described(
        self, image: str, number: int, digest: Sha512, entry: Mapping[str, object], state: State, **more: object
    ) -> CacheRecord | None:
        known = self._from_lists(image, digest) or _from_entry(entry, digest)
        if known is None:
            return None
        values: dict[str, object] = {"sha512": digest, "state": state, "since": self._now, **known, **more}
        return CacheRecord(image=ImageId(image), number=number, **values)  # type: ignore[arg-type]  # as the fields say

    def _from_lists(self, image: str, digest: Sha512) -> dict[str, object] | None:
        """Return what the newest list says that promised these bytes for the image."""
        for list_id in reading.directories(self._layout.subscriptions):
            for snapshot in reversed(snapshots.all_snapshots(self._layout, list_id)):
                try:
                    evidence = snapshots.read_evidence(snapshot)
                    listed = parse_image_list(evidence.content).imagelist
                except (VmcatcherError, FileNotFoundError):
                    continue
                for one in listed.images:
                    if one.identifier == image and one.sha512 == digest:
                        return {
                            "list_id": listed.identifier,
                            "snapshot": snapshot.name,
                            "list_sha512": evidence.sha512,
                            "size_bytes": one.size_bytes,
                            "uri": one.uri,
                            "vo": listed.vo,
                            "valid_until": min(listed.expires, one.valid_until or listed.expires),
                            "fields": one.fields,
                        }
        return None


def _from_entry(entry: Mapping[str, object], digest: Sha512) -> dict[str, object] | None:
    """Return what the index of a view says of a version; the list that it is from may be gone."""
    list_id, size, uri, vo = (
        entry.get(name) for name in ("hv:imagelist.dc:identifier", "hv:size", "hv:uri", "hv:imagelist.ad:vo")
    )
    if entry.get("sha512") != digest or not isinstance(list_id, str) or not isinstance(size, int):
        return None
    try:
        until = parse_instant(str(entry["valid_until"])) if "valid_until" in entry else None
    except ValueError:
        until = None
    return {
        "list_id": ListId(list_id),
        "snapshot": "",
        "list_sha512": Sha512(str(entry.get("msgHash"))),
        "size_bytes": size,
        "uri": str(uri),
        "vo": vo if isinstance(vo, str) else None,
        "valid_until": until,
        "fields": {name.removeprefix(_OF_IMAGE): value for name, value in entry.items() if name.startswith(_OF_IMAGE)},
    }


def mark_from_snapshots(layout: Layout, list_id: str) -> snapshots.Mark | None:
    """Return the mark that the newest whole snapshot of a list makes, or None where there is no such snapshot."""
    for snapshot in reversed(snapshots.all_snapshots(layout, list_id)):
        try:
            evidence = snapshots.read_evidence(snapshot)
            if snapshots.signed_digest(snapshots.read_signed(snapshot)) != evidence.sha512:
                continue
            listed = parse_image_list(evidence.content).imagelist
        except (VmcatcherError, FileNotFoundError):
            continue
        content = snapshots.signed_digest(evidence.content)
        return snapshots.Mark(listed.version, listed.created, evidence.sha512, content=content)
    return None
