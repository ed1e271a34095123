"""Projections of a subscription: `index.tsv` for listing images in a loop, `manifest.json` for jq.

Both follow from the subscription's document and its current snapshot. The index says what it was made from; a reader
that finds it older makes it again in memory, so an interrupted run or a careless copy costs time, never an answer.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from vmcatcher.errors.base import VmcatcherError
from vmcatcher.model.identity import EndorserId, ImageId, ListId, OneLineName, Sha512
from vmcatcher.model.imagelist import parse_image_list
from vmcatcher.model.instant import instant_text, precise_text
from vmcatcher.store import files, snapshots, subscriptions

if TYPE_CHECKING:
    from vmcatcher.model.imagelist import ImageList
    from vmcatcher.model.subscription import Subscription
    from vmcatcher.store.layout import Layout

_HEAD: Final = "#vmcatcher-index"
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
    if listed is not None:
        files.put_json(layout.manifest(subscription.identifier), _manifest(index, listed))
    # The index last: that it is fresh says that both are.
    files.put(layout.index(subscription.identifier), _index_text(index, _source(layout, index)).encode())


def refresh_projections(layout: Layout, subscription: Subscription) -> None:
    """Write the projections of a subscription unless they are fresh. Call under the store lock."""
    if fresh_index(layout, subscription.identifier) is None or not os.path.exists(
        layout.manifest(subscription.identifier)
    ):
        write_projections(layout, subscription)


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
        index, source = _parse_index(files.read(layout.index(list_id)).decode())
        newest = snapshots.current_snapshot(layout, list_id)
        if source == _source(layout, index) and index.snapshot == (newest.name if newest else None):
            return index
    except (OSError, ValueError, IndexError, VmcatcherError):
        # Missing, torn or foreign: the documents it is made from decide.
        return None
    return None


def all_indexes(layout: Layout) -> tuple[SubscriptionIndex, ...]:
    """Return the indexes of all subscriptions in the order these were made."""
    found = (read_index(layout, name) for name in subscriptions.subscribed(layout))
    return tuple(sorted((one for one in found if one), key=lambda one: (one.added, one.identifier)))


def _source(layout: Layout, index: SubscriptionIndex) -> str:
    # Size and time of the decision the index was made from. A copy that changes times makes indexes stale, not wrong.
    found = os.stat(layout.subscription(index.identifier), follow_symlinks=False)
    # The count of lines tells an index that was torn at the end of one.
    return f"{found.st_mtime_ns}:{found.st_size}:{len(index.images)}"


def _index_text(index: SubscriptionIndex, source: str) -> str:
    # No value can hold a tab or a line break: identifiers are printable, names escape what is not ASCII.
    head = (
        (_HEAD, "1", source),
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
    return "".join("\t".join(columns) + "\n" for columns in (*head, *lines))


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
