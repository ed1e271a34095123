"""The life of one cached version of an image, and the pure steps from one state to the next.

A record is kept in one file, together with the events that are owed for it, so that one rename commits both. The
steps here only compute the next record; `services.cache` puts it on disk between them. The order of the steps and
what each crash in between leaves is written down in docs/explanation/cache-record.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from vmcatcher.errors.document import BadDocument
from vmcatcher.model import document as doc
from vmcatcher.model.event import EventKind, OwedEvent, owed_document, parse_owed
from vmcatcher.model.identity import ImageId, ListId, Sha512
from vmcatcher.model.instant import instant_text

MOST_TRIES: Final = 5


class State(StrEnum):
    """Where a cached version stands."""

    FAILING = "failing"
    """Wanted, but the bytes that came were wrong; nothing is in the views."""
    STAGED = "staged"
    """Verified bytes are in the blob store; not yet in the endorsed view."""
    ENDORSED = "endorsed"
    """In the endorsed view: may be used."""
    EXPIRING = "expiring"
    """On its way out; never put back."""
    EXPIRED = "expired"
    """In the expired view, or given up before it was ever published."""


class Reason(StrEnum):
    """Why an image left the cache; handlers read it as VMCATCHER_EVENT_REASON."""

    WITHDRAWN = "withdrawn"
    REPLACED = "replaced"
    UNSUBSCRIBED = "unsubscribed"
    REFUSED = "refused"
    VETOED = "vetoed"
    SUBSCRIPTION_DELETED = "subscription-deleted"
    ENDORSER_UNLINKED = "endorser-unlinked"
    SIGNER_REVOKED = "signer-revoked"
    CA_REVOKED = "ca-revoked"
    TRUST_LOST = "trust-lost"
    LIST_EXPIRED = "list-expired"
    IMAGE_EXPIRED = "image-expired"
    CORRUPT = "corrupt"


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What the file system says of a blob whose bytes were checked at `checked`; equal means untouched since."""

    checked: datetime
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    def is_same_file(self, other: Fingerprint) -> bool:
        """Tell whether the file is the one that was checked, whenever that was."""
        mine = (self.size, self.mtime_ns, self.ctime_ns, self.inode)
        return mine == (other.size, other.mtime_ns, other.ctime_ns, other.inode)


@dataclass(frozen=True, slots=True)
class CacheRecord:
    """One version of one image in the cache, kept after it expired."""

    image: ImageId
    number: int
    list_id: ListId
    snapshot: str
    """Name of the snapshot that promised these bytes, such as `000003-20261123T042339Z`."""
    list_sha512: Sha512
    """SHA-512 of that signed list: the classic `msgHash`."""
    sha512: Sha512
    size_bytes: int
    uri: str
    state: State
    since: datetime
    vo: str | None = None
    valid_until: datetime | None = None
    fields: Mapping[str, object] = field(default_factory=dict)
    reason: Reason | None = None
    published: datetime | None = None
    expired: datetime | None = None
    expired_name: str | None = None
    set_aside: str | None = None
    """Where in the store corrupt bytes were put; the expired link then leads there."""
    owed: tuple[OwedEvent, ...] = ()
    tries: int = 0
    tries_list: Sha512 | None = None
    """The list for which `tries` were counted; another list starts anew."""
    checked: Fingerprint | None = None

    @property
    def is_active(self) -> bool:
        """Tell whether the version is, or is about to be, in the endorsed view."""
        return self.state in (State.STAGED, State.ENDORSED, State.EXPIRING)

    def owes(self, kind: EventKind) -> OwedEvent | None:
        """Return the owed event of that kind, or None."""
        return next((event for event in self.owed if event.kind is kind), None)

    def struck(self, event: OwedEvent) -> CacheRecord:
        """Return the record with that event no longer owed."""
        return replace(self, owed=tuple(other for other in self.owed if other.id != event.id))

    def tried(self, event: OwedEvent, now: datetime) -> CacheRecord:
        """Return the record with one more refused attempt counted for that event."""
        more = tuple(own.refused(now) if own.id == event.id else own for own in self.owed)
        return replace(self, owed=more)


def staged(record: CacheRecord, now: datetime, event_id: str | None) -> CacheRecord:
    """Return the record once its bytes are verified and stored; AvailablePrefix is owed where there is a handler."""
    return replace(
        record, state=State.STAGED, since=now, reason=None, owed=_owing(EventKind.AVAILABLE_PREFIX, event_id), tries=0
    )


def endorsed(record: CacheRecord, now: datetime, event_id: str | None) -> CacheRecord:
    """Return the record committed to the endorsed view; AvailablePostfix is owed."""
    return replace(
        record,
        state=State.ENDORSED,
        since=now,
        published=now,
        owed=_owing(EventKind.AVAILABLE_POSTFIX, event_id),
    )


def expiring(record: CacheRecord, now: datetime, reason: Reason, event_id: str | None) -> CacheRecord:
    """Return the record on its way out; ExpirePrefix is owed, after what was owed before."""
    return replace(
        record,
        state=State.EXPIRING,
        since=now,
        reason=reason,
        owed=(*record.owed, *_owing(EventKind.EXPIRE_PREFIX, event_id)),
    )


def expired(record: CacheRecord, now: datetime, name: str, event_id: str | None) -> CacheRecord:
    """Return the record committed to the expired view under `name`; ExpirePostfix is owed."""
    return replace(
        record,
        state=State.EXPIRED,
        since=now,
        expired=now,
        expired_name=name,
        owed=_owing(EventKind.EXPIRE_POSTFIX, event_id),
    )


def abandoned(record: CacheRecord, now: datetime, reason: Reason) -> CacheRecord:
    """Return a record that was never published and is no longer wanted: nothing is told, nothing is shown."""
    return replace(record, state=State.EXPIRED, since=now, expired=now, reason=reason, owed=())


def _owing(kind: EventKind, event_id: str | None) -> tuple[OwedEvent, ...]:
    return () if event_id is None else (OwedEvent(kind, event_id),)


def record_document(record: CacheRecord) -> dict[str, object]:
    """Return the JSON document that the store keeps; `parse_record` reads it back unchanged."""
    mark = record.checked
    return {
        "format": 1,
        "image": record.image,
        "number": record.number,
        "list": record.list_id,
        "snapshot": record.snapshot,
        "list_sha512": record.list_sha512,
        "sha512": record.sha512,
        "size": record.size_bytes,
        "uri": record.uri,
        "state": record.state.value,
        "since": instant_text(record.since),
        "vo": record.vo,
        "valid_until": _text(record.valid_until),
        "fields": dict(record.fields),
        "reason": record.reason.value if record.reason else None,
        "published": _text(record.published),
        "expired": _text(record.expired),
        "expired_name": record.expired_name,
        "set_aside": record.set_aside,
        "owed": [{"kind": own.kind.value, **owed_document(own)} for own in record.owed],
        "tries": record.tries,
        "tries_list": record.tries_list,
        "checked": None
        if mark is None
        else {
            "at": instant_text(mark.checked),
            "size": mark.size,
            "mtime_ns": mark.mtime_ns,
            "ctime_ns": mark.ctime_ns,
            "inode": mark.inode,
        },
    }


def _text(instant: datetime | None) -> str | None:
    return None if instant is None else instant_text(instant)


def parse_record(document: doc.Document) -> CacheRecord:
    """Return the record that a stored document describes.

    Raises:
        BadDocument: a field is missing or of the wrong kind.
    """
    reason = doc.optional_text(document, "reason")
    tries_list = doc.optional_text(document, "tries_list")
    try:
        state = State(doc.text(document, "state"))
        known_reason = Reason(reason) if reason else None
    except ValueError as exc:
        raise BadDocument(field="state, reason", expected="known words") from exc
    return CacheRecord(
        image=ImageId(doc.text(document, "image")),
        number=doc.number(document, "number"),
        list_id=ListId(doc.text(document, "list")),
        snapshot=doc.text(document, "snapshot"),
        list_sha512=Sha512(doc.text(document, "list_sha512")),
        sha512=Sha512(doc.text(document, "sha512")),
        size_bytes=doc.number(document, "size"),
        uri=doc.text(document, "uri"),
        state=state,
        since=doc.instant(document, "since"),
        vo=doc.optional_text(document, "vo"),
        valid_until=doc.optional_instant(document, "valid_until"),
        fields=doc.optional_document(document, "fields") or {},
        reason=known_reason,
        published=doc.optional_instant(document, "published"),
        expired=doc.optional_instant(document, "expired"),
        expired_name=doc.optional_text(document, "expired_name"),
        set_aside=doc.optional_text(document, "set_aside"),
        owed=tuple(_parse_owed(own) for own in doc.documents(document, "owed")),
        tries=doc.number(document, "tries"),
        tries_list=None if tries_list is None else Sha512(tries_list),
        checked=_parse_fingerprint(doc.optional_document(document, "checked")),
    )


def _parse_owed(document: doc.Document) -> OwedEvent:
    try:
        kind = EventKind(doc.text(document, "kind"))
    except ValueError as exc:
        raise BadDocument(field="owed.kind", expected="a known event") from exc
    return parse_owed(document, kind)


def _parse_fingerprint(document: doc.Document | None) -> Fingerprint | None:
    if document is None:
        return None
    return Fingerprint(
        doc.instant(document, "at"),
        doc.number(document, "size"),
        doc.number(document, "mtime_ns"),
        doc.number(document, "ctime_ns"),
        doc.number(document, "inode"),
    )
