"""Projections of a subscription: `index.tsv` for listing images in a loop, `manifest.json` for jq.

Both follow from the subscription's document and its current snapshot. The index says what it was made from; a reader
that finds it older makes it again in memory, so an interrupted run or a careless copy costs time, never an answer.
"""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from vmcatcher.errors import VmcatcherError
from vmcatcher.errors.store import NotOurFile, StoreInputOutput
from vmcatcher.model.identity import EndorserId, ImageId, ListId, OneLineName, Sha512
from vmcatcher.model.imagelist import parse_image_list
from vmcatcher.model.instant import instant_text, precise_text
from vmcatcher.store import aside, documents, files, snapshots, subscriptions

if TYPE_CHECKING:
    from vmcatcher.model.imagelist import ImageList
    from vmcatcher.model.subscription import Subscription
    from vmcatcher.store.layout import Layout

_HEAD: Final = "#vmcatcher-index"
_FORMAT: Final = [b"#vmcatcher-index", b"1"]
_HEAD_COLUMNS: Final = 4
_NONE: Final = "-"


@dataclass(frozen=True, slots=True)
class IndexedImage:
    """One accepted image of a subscription, as a line of its index."""

    identifier: ImageId
    selected: bool
    sha512: Sha512 | None
    """Digest in the current list; None where the current list does not name the image."""
    valid_until: datetime | None


@dataclass(frozen=True, slots=True)
class SubscriptionIndex:
    """What listing, selecting and finding images needs to know of one subscription."""

    identifier: ListId
    added: datetime
    endorsers: tuple[EndorserId, ...]
    snapshot: str | None
    expires: datetime | None
    signer: OneLineName | None
    issuer: OneLineName | None
    images: tuple[IndexedImage, ...]


def build_index(layout: Layout, subscription: Subscription) -> tuple[SubscriptionIndex, ImageList | None]:
    """Return the index of a subscription and its current list, made from the documents themselves.

    A snapshot whose evidence is damaged counts as none: its images are not available until the next update.
    """
    snapshot = snapshots.current_snapshot(layout, subscription.identifier)
    evidence, listed = None, None
    if snapshot is not None:
        try:
            evidence = snapshots.read_evidence(snapshot)
            listed = parse_image_list(evidence.content).imagelist
        except StoreInputOutput:
            # It may be whole: an index without its images would be taken for fresh.
            raise
        except VmcatcherError:
            snapshot = None
    named = {image.identifier: image for image in listed.images} if listed else {}
    lines = []
    for accepted in subscription.images:
        image = named.get(accepted.identifier)
        until = None
        if image is not None and listed is not None:
            until = min(listed.expires, image.valid_until) if image.valid_until else listed.expires
        lines.append(IndexedImage(accepted.identifier, accepted.selected, image.sha512 if image else None, until))
    index = SubscriptionIndex(
        subscription.identifier,
        subscription.added,
        subscription.endorsers,
        snapshot.name if snapshot else None,
        listed.expires if listed else None,
        evidence.signer if evidence else None,
        evidence.issuer if evidence else None,
        tuple(lines),
    )
    return index, listed


def write_projections(layout: Layout, subscription: Subscription) -> None:
    """Write `index.tsv` and `manifest.json` of a subscription. Call under the store lock, after each change."""
    index, listed = build_index(layout, subscription)
    list_id = subscription.identifier
    for path in (layout.manifest(list_id), layout.index(list_id)):
        if not aside.is_regular(path):
            aside.set_aside(layout, path)
    if listed is not None:
        documents.put_document(layout.manifest(list_id), _manifest(index, listed))
    # The index last: that it is fresh says that both are.
    files.put(layout.index(list_id), _index_text(index, _source(layout, index)))


def refresh_projections(layout: Layout, subscription: Subscription) -> None:
    """Write the projections of a subscription unless they are fresh. Call under the store lock."""
    list_id = subscription.identifier
    if fresh_index(layout, list_id) is None or not is_manifest_sound(layout, list_id):
        write_projections(layout, subscription)


def is_manifest_sound(layout: Layout, list_id: str) -> bool:
    """Tell whether the manifest is there, whole, and made from the current list."""
    path, current = layout.manifest(list_id), snapshots.current_snapshot(layout, list_id)
    try:
        if not documents.is_sealed(path):
            return False
        manifest = documents.read_json(path)
    except FileNotFoundError:
        return current is None
    except VmcatcherError:
        return False
    return manifest.get("identifier") == list_id and manifest.get("snapshot") == (current.name if current else None)


def is_torn(layout: Layout, list_id: str) -> bool:
    """Tell whether an index is there whose bytes are not the ones that were written."""
    try:
        content = files.read(layout.index(list_id))
    except FileNotFoundError:
        return False
    except NotOurFile:
        return True
    return not _is_whole(content)


def _is_whole(content: bytes) -> bool:
    head, _, rest = content.partition(b"\n")
    columns = head.split(b"\t")
    return len(columns) == _HEAD_COLUMNS and columns[:2] == _FORMAT and columns[3] == _checksum(rest)


def _checksum(rest: bytes) -> bytes:
    return b"%08x" % zlib.crc32(rest)


def read_index(layout: Layout, list_id: str) -> SubscriptionIndex | None:
    """Return the index of a subscription, from its file where that is fresh, else made anew; None where it is gone."""
    index = fresh_index(layout, list_id)
    if index is not None:
        return index
    subscription = subscriptions.find_subscription(layout, list_id)
    return build_index(layout, subscription)[0] if subscription else None


def fresh_index(layout: Layout, list_id: str) -> SubscriptionIndex | None:
    """Return the index from its file if that is there and was made from what is there now, else None."""
    try:
        content = files.read(layout.index(list_id))
        if not _is_whole(content):
            return None
        index, source = _parse_index(content.decode())
        newest = snapshots.current_snapshot(layout, list_id)
        if index.identifier != list_id or source != _source(layout, index):
            return None
        if index.snapshot == (newest.name if newest else None):
            return index
    except (OSError, ValueError, IndexError, VmcatcherError):
        # Missing, torn or foreign: the documents it is made from decide.
        return None
    return None


def all_indexes(layout: Layout) -> tuple[SubscriptionIndex, ...]:
    """Return the indexes of all subscriptions in the order these were made.

    Raises:
        DocumentDamaged, NotOurFile: the document of one cannot be read; leaving it out would set its images free.
    """
    found, failed = readable_indexes(layout)
    for error in failed.values():
        raise error
    return found


def readable_indexes(layout: Layout) -> tuple[tuple[SubscriptionIndex, ...], dict[str, VmcatcherError]]:
    """Return the indexes that can be had, in the order the subscriptions were made, and why others cannot, by name."""
    found: list[SubscriptionIndex] = []
    failed: dict[str, VmcatcherError] = {}
    for name in subscriptions.subscribed(layout):
        try:
            one = read_index(layout, name)
        except VmcatcherError as error:
            failed[name] = error
        else:
            found.extend([one] if one else [])
    return tuple(sorted(found, key=lambda one: (one.added, one.identifier))), failed


def _source(layout: Layout, index: SubscriptionIndex) -> str:
    # Size and time of the decision the index was made from. A copy that changes times makes indexes stale, not wrong.
    found = os.stat(layout.subscription(index.identifier), follow_symlinks=False)
    return f"{found.st_mtime_ns}:{found.st_size}"


def _index_text(index: SubscriptionIndex, source: str) -> bytes:
    # No value can hold a tab or a line break: identifiers are printable, names escape what is not ASCII.
    head = (
        ("#list", index.identifier, precise_text(index.added)),
        ("#snapshot", index.snapshot or _NONE, _stamp(index.expires)),
        ("#signer", *_name_columns(index.signer)),
        ("#issuer", *_name_columns(index.issuer)),
        ("#endorsers", *index.endorsers),
    )
    lines = (
        (image.identifier, "1" if image.selected else "0", image.sha512 or _NONE, _stamp(image.valid_until))
        for image in index.images
    )
    rest = "".join("\t".join(columns) + "\n" for columns in (*head, *lines)).encode()
    return b"\t".join((*_FORMAT, source.encode(), _checksum(rest))) + b"\n" + rest


def _stamp(instant: datetime | None) -> str:
    return _NONE if instant is None else str(int(instant.timestamp()))


def _name_columns(name: OneLineName | None) -> tuple[str, ...]:
    return () if name is None else (name.escaped, _NONE if name.plain is None else name.plain)


def _parse_index(text: str) -> tuple[SubscriptionIndex, str]:
    lines = text.split("\n")
    head = [line.split("\t") for line in lines[:6]]
    if [row[0] for row in head] != [_HEAD, "#list", "#snapshot", "#signer", "#issuer", "#endorsers"] or lines[-1]:
        raise ValueError("no index of format 1")
    return SubscriptionIndex(
        ListId(head[1][1]),
        datetime.fromisoformat(head[1][2]),
        tuple(EndorserId(one) for one in head[5][1:]),
        None if head[2][1] == _NONE else head[2][1],
        _instant(head[2][2]),
        _parse_name(head[3]),
        _parse_name(head[4]),
        tuple(_parse_line(line) for line in lines[6:-1]),
    ), head[0][2]


def _parse_name(row: list[str]) -> OneLineName | None:
    return None if len(row) == 1 else OneLineName(row[1], None if row[2] == _NONE else row[2])


def _parse_line(line: str) -> IndexedImage:
    identifier, selected, digest, until = line.split("\t")
    return IndexedImage(
        ImageId(identifier), selected == "1", None if digest == _NONE else Sha512(digest), _instant(until)
    )


def _instant(text: str) -> datetime | None:
    return None if text == _NONE else datetime.fromtimestamp(int(text), UTC)


def _manifest(index: SubscriptionIndex, listed: ImageList) -> dict[str, object]:
    accepted = {image.identifier: image for image in index.images}
    images = []
    for image in listed.images:
        own = accepted.get(image.identifier)
        images.append(
            {
                "identifier": image.identifier,
                "accepted": own is not None,
                "selected": own is not None and own.selected,
                "valid_until": instant_text(min(listed.expires, image.valid_until or listed.expires)),
                "sha512": image.sha512,
                "size": image.size_bytes,
                "uri": image.uri,
                "fields": dict(image.fields),
            }
        )
    return {
        "format": 1,
        "identifier": listed.identifier,
        "snapshot": index.snapshot,
        "version": listed.version,
        "created": instant_text(listed.created),
        "expires": instant_text(listed.expires),
        "signer": str(index.signer),
        "issuer": str(index.issuer),
        "fields": dict(listed.fields),
        "images": images,
    }
