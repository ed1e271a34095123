"""The documents of one subscription: the decision, the password, the bookkeeping of fetching, the last verdict."""

from __future__ import annotations

import os
import stat

from vmcatcher.errors import VmcatcherError
from vmcatcher.errors.document import BadDocument
from vmcatcher.errors.store import DocumentDamaged, NotOurFile
from vmcatcher.light import dataclass
from vmcatcher.model import document as doc
from vmcatcher.model.identity import ImageId
from vmcatcher.model.instant import instant_text
from vmcatcher.store import aside, documents, files, reading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from typing import TypeVar

    from vmcatcher.errors.store import DocumentLost
    from vmcatcher.model.event import OwedEvent
    from vmcatcher.model.subscription import Subscription
    from vmcatcher.store.layout import Layout
    from vmcatcher.store.settled import Settled

    Kind = TypeVar("Kind")


def subscribed(layout: Layout) -> tuple[str, ...]:
    """Return the identifiers of all subscriptions, in the order of their names."""
    return tuple(name for name in reading.names(layout.subscriptions) if os.path.lexists(layout.subscription(name)))


def all_subscriptions(layout: Layout) -> tuple[Subscription, ...]:
    """Return every subscription in the order they were made.

    Raises:
        DocumentDamaged: one cannot be read; leaving it out could expire its images.
    """
    found, failed = readable_subscriptions(layout)
    for error in failed.values():
        raise error
    return found


def readable_subscriptions(layout: Layout) -> tuple[tuple[Subscription, ...], dict[str, VmcatcherError]]:
    """Return the subscriptions that can be read, in the order they were made, and why others cannot, by name."""
    found: list[Subscription] = []
    failed: dict[str, VmcatcherError] = {}
    for name in subscribed(layout):
        try:
            one = find_subscription(layout, name)
        except VmcatcherError as error:
            failed[name] = error
        else:
            found.extend([one] if one else [])
    return tuple(sorted(found, key=lambda one: (one.added, one.identifier))), failed


def lost(layout: Layout) -> dict[str, DocumentLost]:
    """Return the subscriptions whose document was damaged and is not there again, with what to say about each."""
    found = ((name, aside.loss(layout.subscription(name))) for name in reading.directories(layout.subscriptions))
    return {name: loss for name, loss in found if loss is not None}


def find_subscription(layout: Layout, list_id: str) -> Subscription | None:
    """Return the subscription to that list, or None."""
    from vmcatcher.model.subscription import parse_subscription  # noqa: PLC0415 - listing images goes by indexes

    return _find(layout, list_id, parse_subscription)


def find_heading(layout: Layout, list_id: str) -> Subscription | None:
    """Return the subscription to that list as if it knew no images, or None: for whoever only wants to fetch it.

    It is one for reading: to put it would be to forget them. Raises as `find_subscription`.
    """
    from vmcatcher.model.subscription import parse_subscription  # noqa: PLC0415 - likewise

    return _find(layout, list_id, lambda found: parse_subscription({**found, "images": [], "refused": []}))


def _find(layout: Layout, list_id: str, parse: Callable[[doc.Document], Subscription]) -> Subscription | None:
    if not _is_name(list_id):
        return None
    found = documents.read_document(layout.subscription(list_id), parse)
    if found is not None and found.identifier != list_id:
        # Somebody's copy of a subscription: taken for one, it would fetch and list everything twice.
        raise DocumentDamaged(path=layout.subscription(list_id), why=f"it is the one of {found.identifier}")
    return found


def _is_name(list_id: str) -> bool:
    # What an operator typed may be anything; only a plain name may become part of a path.
    return bool(list_id) and "/" not in list_id and "\0" not in list_id and list_id not in (".", "..")


def put_subscription(layout: Layout, subscription: Subscription) -> None:
    """Keep the decision (the commit of subscribing and of every edit)."""
    from vmcatcher.model.subscription import subscription_document  # noqa: PLC0415 - likewise

    files.make_directory(layout.subscription_directory(subscription.identifier))
    path = layout.subscription(subscription.identifier)
    documents.put_document(path, subscription_document(subscription))
    aside.forget_loss(path)


def drop_subscription(layout: Layout, list_id: str) -> None:
    """Forget the subscription: its document first (the commit), then what lies beside it. The mark stays."""
    files.drop(layout.subscription(list_id))
    clear_directory(layout, list_id)


def clear_directory(layout: Layout, list_id: str) -> None:
    """Remove what a deleted subscription left; files of somebody else and their directory stay."""
    for path in (
        layout.secret(list_id),
        layout.fetch(list_id),
        layout.manifest(list_id),
        layout.index(list_id),
        layout.verdict(list_id),
    ):
        files.drop(path)
    for path in (layout.subscription(list_id), layout.secret(list_id)):
        aside.forget_loss(path)
    lists = layout.lists(list_id)
    for name in reading.names(lists):
        if name.endswith((".smime", ".evidence")):
            files.drop(os.path.join(lists, name))
    files.drop_directory(lists)
    files.drop_directory(layout.subscription_directory(list_id))


@dataclass(frozen=True, slots=True)
class Secret:
    """A password and the one origin (`scheme://host:port`) it may be sent to."""

    password: str
    origin: str

    def __repr__(self) -> str:
        return f"Secret(password=***, origin={self.origin!r})"


def read_secret(layout: Layout, list_id: str) -> Secret | None:
    """Return the password of the subscription, or None.

    Raises:
        DocumentDamaged: the file is readable by others: whoever did that may have read it already.
    """
    path = layout.secret(list_id)
    try:
        mode = stat.S_IMODE(os.stat(path, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return None
    if mode & 0o077:
        raise DocumentDamaged(path=path, why=f"others may read this password (mode {mode:04o}, 0600 expected)")
    return documents.read_document(
        path, _own(list_id, lambda found: Secret(doc.text(found, "password"), doc.text(found, "origin")))
    )


def _own(list_id: str, parse: Callable[[doc.Document], Kind]) -> Callable[[doc.Document], Kind]:
    """Return what parses a document that is kept beside a subscription, unless it says that it belongs to another."""

    def parse_own(document: doc.Document) -> Kind:
        if document.get("list", list_id) != list_id:
            raise BadDocument(field="list", expected=f"'{list_id}'")
        return parse(document)

    return parse_own


def has_secret(layout: Layout, list_id: str) -> bool:
    """Tell whether the subscription has a password, without reading it."""
    return os.path.lexists(layout.secret(list_id))


def put_secret(layout: Layout, list_id: str, secret: Secret | None) -> None:
    """Keep the password, readable by the owner only, or forget it."""
    aside.forget_loss(layout.secret(list_id))
    if secret is None:
        files.drop(layout.secret(list_id))
        return
    document = {"format": 1, "list": list_id, "password": secret.password, "origin": secret.origin}
    documents.put_document(layout.secret(list_id), document, mode=files.SECRET_MODE)


@dataclass(frozen=True, slots=True)
class FetchNotes:
    """Bookkeeping of one list's fetches; losing it costs one unconditional request and nothing else."""

    etag: str | None = None
    last_modified: str | None = None
    attempted: datetime | None = None
    succeeded: datetime | None = None
    error_id: str | None = None
    error: str | None = None
    told: tuple[ImageId, ...] | None = None
    """Images that SubscriptionImageNew is not owed for; None when that is not known (then none is)."""
    owed: tuple[tuple[ImageId, OwedEvent], ...] = ()
    settled: Settled | None = None
    """The list of which everything that follows was done."""


def read_fetch_notes(layout: Layout, list_id: str) -> FetchNotes:
    """Return the bookkeeping of the list; empty where it is missing or damaged, since nothing depends on it."""
    try:
        notes = documents.read_document(layout.fetch(list_id), _own(list_id, _parse_notes))
    except (DocumentDamaged, NotOurFile):
        notes = None
    return notes or FetchNotes()


def _parse_notes(document: doc.Document) -> FetchNotes:
    from vmcatcher.store.settled import parse_settled  # noqa: PLC0415 - likewise

    told = None if document.get("told") is None else tuple(ImageId(one) for one in doc.texts(document, "told"))
    return FetchNotes(
        doc.optional_text(document, "etag"),
        doc.optional_text(document, "last_modified"),
        doc.optional_instant(document, "attempted"),
        doc.optional_instant(document, "succeeded"),
        doc.optional_text(document, "error_id"),
        doc.optional_text(document, "error"),
        told,
        tuple(_parse_owed(one) for one in doc.documents(document, "owed")),
        # A text in its place is of an earlier version: that list is looked at once more.
        None if isinstance(document.get("settled"), str) else parse_settled(doc.optional_document(document, "settled")),
    )


def _parse_owed(document: doc.Document) -> tuple[ImageId, OwedEvent]:
    from vmcatcher.model.event import EventKind, parse_owed  # noqa: PLC0415 - queries read no events

    return ImageId(doc.text(document, "image")), parse_owed(document, EventKind.SUBSCRIPTION_IMAGE_NEW)


def put_fetch_notes(layout: Layout, list_id: str, notes: FetchNotes) -> None:
    """Keep the bookkeeping of the list."""
    from vmcatcher.model.event import owed_document  # noqa: PLC0415 - likewise
    from vmcatcher.store.settled import settled_document  # noqa: PLC0415 - likewise

    documents.put_document(
        layout.fetch(list_id),
        {
            "format": 1,
            "list": list_id,
            "etag": notes.etag,
            "last_modified": notes.last_modified,
            "attempted": notes.attempted and instant_text(notes.attempted),
            "succeeded": notes.succeeded and instant_text(notes.succeeded),
            "error_id": notes.error_id,
            "error": notes.error,
            "told": None if notes.told is None else list(notes.told),
            "owed": [{"image": image, **owed_document(event)} for image, event in notes.owed],
            **({"settled": settled_document(notes.settled)} if notes.settled else {}),
        },
    )


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the last cache run found when it judged a snapshot's trust again, for queries.

    A revocation that it found also holds as long as no revocation list can tell.
    """

    snapshot: str
    reason: str | None


def read_verdict(layout: Layout, list_id: str) -> Verdict | None:
    """Return the last verdict, or None where there is none that can be read."""
    try:
        return documents.read_document(
            layout.verdict(list_id),
            _own(list_id, lambda found: Verdict(doc.text(found, "snapshot"), doc.optional_text(found, "reason"))),
        )
    except (DocumentDamaged, NotOurFile):
        return None


def put_verdict(layout: Layout, list_id: str, verdict: Verdict) -> None:
    """Keep a verdict that differs from the last one."""
    if read_verdict(layout, list_id) != verdict:
        document = {"format": 1, "list": list_id, "snapshot": verdict.snapshot, "reason": verdict.reason}
        documents.put_document(layout.verdict(list_id), document)
