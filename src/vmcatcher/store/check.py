"""Whether a store holds together: the invariants of docs/explanation/invariants.md, each by its number.

Damage is what no crash, no copy and no half-finished run can leave. A note is a step that the next run does, or a file
that is none of ours. Nothing is changed here.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeVar

from vmcatcher.errors import VmcatcherError
from vmcatcher.model.endorser import parse_endorser
from vmcatcher.model.event import MOST_ATTEMPTS
from vmcatcher.model.identity import Sha512
from vmcatcher.model.imagelist import parse_image_list
from vmcatcher.model.record import CacheRecord, State
from vmcatcher.model.subscription import parse_subscription
from vmcatcher.model.version import version_key
from vmcatcher.store import blobs, cache, documents, files, index, snapshots, subscriptions, views
from vmcatcher.store.strangers import strangers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vmcatcher.model.document import Document
    from vmcatcher.model.subscription import Subscription
    from vmcatcher.store.layout import Layout
    from vmcatcher.store.views import Views

Kind = TypeVar("Kind")
_BLOB: Final = re.compile(r"[0-9a-f]{128}")
Invariant = Literal["I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I9", "I10", "I11", "I12", "I13"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One place where the store is not as it should be."""

    invariant: Invariant
    path: str
    text: str
    is_damage: bool

    def __str__(self) -> str:
        return f"{self.invariant} {'damage' if self.is_damage else 'note'}: {self.path}: {self.text}"


def check_store(layout: Layout, *, read_bytes: bool = False, shown: Views | None = None) -> list[Finding]:
    """Return everything that is not as the invariants say, damage first.

    With `read_bytes` every blob is read and hashed; without, name, size and mode are looked at. `shown` are the views
    to look at, those inside the store unless given.
    """
    shown = shown or views.Views.inside(layout)
    found: list[Finding] = []
    subscribed = _documents(layout, found)
    records = _records(layout, found)
    found.extend(_blobs(layout, records, read_bytes=read_bytes))
    found.extend(_endorsed_view(layout, shown, records))
    found.extend(_endorsed_records(layout, shown, records))
    found.extend(_expired(layout, shown, records))
    for one in subscribed:
        found.extend(_snapshots(layout, one))
        found.extend(_subscription(layout, one))
    found.extend(_owners(layout, subscribed))
    found.extend(_owed(layout, records))
    found.extend(_note("I13", path, "vmcatcher did not put it there") for path in strangers(layout))
    return sorted(found, key=lambda one: (not one.is_damage, one.path, one.invariant))


def _damage(invariant: Invariant, path: str, text: str) -> Finding:
    return Finding(invariant, path, text, is_damage=True)


def _note(invariant: Invariant, path: str, text: str) -> Finding:
    return Finding(invariant, path, text, is_damage=False)


def _documents(layout: Layout, found: list[Finding]) -> list[Subscription]:
    """I1 for decisions, marks and bookkeeping; returns the subscriptions that can be read."""
    for directory, parse in ((layout.endorsers, parse_endorser), (layout.marks, _anything)):
        for name in files.names(directory):
            if name.endswith(".json"):
                _read(found, os.path.join(directory, name), parse)
    subscribed = []
    for name in subscriptions.subscribed(layout):
        for path in (layout.manifest(name), layout.fetch(name), layout.verdict(name)):
            _read(found, path, _anything)
        one = _read(found, layout.subscription(name), parse_subscription)
        if one is not None:
            subscribed.append(one)
    return subscribed


def _anything(document: Document) -> Document:
    return document


def _read(found: list[Finding], path: str, parse: Callable[[Document], Kind]) -> Kind | None:
    try:
        return documents.read_document(path, parse)
    except (VmcatcherError, OSError) as error:
        found.append(_damage("I1", path, str(error)))
        return None


def _records(layout: Layout, found: list[Finding]) -> list[CacheRecord]:
    """I1 for the cache; returns the records that can be read."""
    records: list[CacheRecord] = []
    for image in cache.cached_images(layout):
        readable, errors = cache.readable_records(layout, image)
        records.extend(readable)
        found.extend(_damage("I1", layout.records(image), str(error)) for error in errors)
    return records


def _blobs(layout: Layout, records: list[CacheRecord], *, read_bytes: bool) -> Iterator[Finding]:
    sizes = {record.sha512: record.size_bytes for record in records}
    top = os.path.join(layout.blobs, "sha512")
    for prefix in files.directories(top):
        for name in files.names(os.path.join(top, prefix)):
            path = os.path.join(top, prefix, name)
            if name[:2] != prefix or not _BLOB.fullmatch(name):
                continue
            status = os.lstat(path)
            if not stat.S_ISREG(status.st_mode):
                yield _damage("I2", path, "a blob should be a regular file")
            elif status.st_mode & 0o222:
                yield _damage("I2", path, f"a blob should be read-only, its mode is {stat.S_IMODE(status.st_mode):04o}")
            elif sizes.get(Sha512(name), status.st_size) != status.st_size:
                yield _damage("I2", path, f"{sizes[Sha512(name)]} bytes expected, {status.st_size} found")
            elif read_bytes:
                yield from _bytes(layout, Sha512(name), path, status.st_size)


def _bytes(layout: Layout, digest: Sha512, path: str, size_bytes: int) -> Iterator[Finding]:
    try:
        if not blobs.is_intact(layout, digest, size_bytes):
            yield _damage("I2", path, "its bytes do not have the SHA-512 of its name")
    except VmcatcherError as error:
        yield _damage("I2", path, str(error))


def _endorsed_view(layout: Layout, shown: Views, records: list[CacheRecord]) -> Iterator[Finding]:
    allowed: dict[str, CacheRecord] = {
        one.image: one for one in records if one.state in (State.ENDORSED, State.EXPIRING)
    }
    ours = dict(views.own_links(layout, shown.cache))
    for name in files.names(shown.cache):
        path = os.path.join(shown.cache, name)
        record = allowed.get(name)
        if name in ours and record is None:
            yield _note("I3", path, "no record in state endorsed stands behind it: the next run takes it out")
        elif name in ours and record is not None and ours[name] != record.sha512:
            yield _note("I3", path, "it leads to other bytes than its record names: the next run links it")
        elif name not in ours and shown.links == "symlink" and not _is_own(shown, path):
            yield _note("I13", path, "vmcatcher did not put it there")


def _is_own(shown: Views, path: str) -> bool:
    beside = {os.path.realpath(shown.partial), os.path.realpath(shown.expired)}
    return os.path.basename(path) == views.INDEX or os.path.realpath(path) in beside


def _endorsed_records(layout: Layout, shown: Views, records: list[CacheRecord]) -> Iterator[Finding]:
    for record in records:
        if record.state is not State.ENDORSED:
            continue
        blob = layout.blob(record.sha512)
        if not blobs.has_blob(layout, record.sha512, record.size_bytes):
            yield _note("I4", blob, f"image {record.image} lacks its bytes: they are fetched again")
        elif not views.is_shown(layout, shown, shown.cache, record.image, blob):
            path = os.path.join(shown.cache, record.image)
            yield _note("I4", path, "it is not in the endorsed view: the next run links it")


def _expired(layout: Layout, shown: Views, records: list[CacheRecord]) -> Iterator[Finding]:
    known = {record.expired_name for record in records if record.state is State.EXPIRED}
    ours = dict(views.own_links(layout, shown.expired))
    for name in files.names(shown.expired):
        path = os.path.join(shown.expired, name)
        if name in ours and name not in known:
            yield _note("I5", path, "no expired record stands behind it")
        elif name not in ours and shown.links == "symlink" and name != views.INDEX:
            yield _note("I13", path, "vmcatcher did not put it there")
    for record in records:
        if record.state is State.EXPIRED and record.expired_name is not None:
            path = os.path.join(shown.expired, record.expired_name)
            if not os.path.lexists(path):
                yield _note("I5", path, "it is not in the expired view: the next run links it")


def _snapshots(layout: Layout, one: Subscription) -> Iterator[Finding]:
    seen: set[int] = set()
    for snapshot in snapshots.all_snapshots(layout, one.identifier):
        if snapshot.sequence in seen:
            yield _damage("I6", snapshot.path, "its sequence number is there twice")
        seen.add(snapshot.sequence)
        try:
            digest = snapshots.signed_digest(snapshots.read_signed(snapshot))
            if snapshots.read_evidence(snapshot).sha512 != digest:
                yield _damage("I6", snapshot.path, "its bytes are not the ones that its evidence names")
        except (VmcatcherError, OSError) as error:
            yield _damage("I6", snapshot.path, str(error))
    yield from _mark(layout, one)


def _mark(layout: Layout, one: Subscription) -> Iterator[Finding]:
    current = snapshots.current_snapshot(layout, one.identifier)
    if current is None:
        return
    path = layout.mark(one.identifier)
    try:
        mark = snapshots.read_mark(layout, one.identifier)
        listed = parse_image_list(snapshots.read_evidence(current).content).imagelist
    except VmcatcherError:
        return  # said by I1 or I6 already
    if mark is None:
        yield _note("I7", path, "it is missing: the next update makes it")
    elif version_key(mark.version) < version_key(listed.version):
        text = f"it says {mark.version}, the current list is {listed.version}: the next update raises it"
        yield _note("I7", path, text)


def _subscription(layout: Layout, one: Subscription) -> Iterator[Finding]:
    """I8, I10 and I12: what a subscription refers to, what is made from it, and who may read its password."""
    for endorser in one.endorsers:
        if not os.path.lexists(layout.endorser(endorser)):
            text = f"it is linked to the endorser '{endorser}', who is not there"
            yield _note("I8", layout.subscription(one.identifier), text)
    path = layout.index(one.identifier)
    if index.fresh_index(layout, one.identifier) is None:
        yield _note("I10", path, "it is older than what it is made from: readers make it anew")
    elif index.read_index(layout, one.identifier) != index.build_index(layout, one)[0]:
        yield _damage("I10", path, "it differs from what it is made from")
    secret = layout.secret(one.identifier)
    if os.path.lexists(secret) and stat.S_IMODE(os.lstat(secret).st_mode) & 0o077:
        mode = stat.S_IMODE(os.lstat(secret).st_mode)
        yield _damage("I12", secret, f"others may read this password (mode {mode:04o}, 0600 expected)")


def _owners(layout: Layout, subscribed: list[Subscription]) -> Iterator[Finding]:
    owner: dict[str, str] = {}
    for one in subscribed:
        for image in one.images:
            first = owner.setdefault(image.identifier, one.identifier)
            if first != one.identifier:
                text = f"image {image.identifier} is accepted here and by subscription {first}"
                yield _damage("I9", layout.subscription(one.identifier), text)


def _owed(layout: Layout, records: list[CacheRecord]) -> Iterator[Finding]:
    for record in records:
        path = layout.record(record.image, record.number)
        for event in record.owed:
            if not event.id or event.attempts >= MOST_ATTEMPTS:
                yield _damage("I11", path, f"the event {event.kind.value} is owed after {event.attempts} attempts")
