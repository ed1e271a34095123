"""Projections of a subscription: `index.tsv` for listing images in a loop, `manifest.json` for jq.

Both follow from the subscription's document and its current snapshot. The index says what it was made from; a reader
that finds it older makes it again in memory, so an interrupted run or a careless copy costs time, never an answer.
"""

from __future__ import annotations

import json

from vmcatcher.errors import VmcatcherError
from vmcatcher.errors.store import NotOurFile, StoreInputOutput
from vmcatcher.model.imagelist import parse_image_list
from vmcatcher.model.instant import instant_text
from vmcatcher.model.validity import end_of, limit_of
from vmcatcher.store import aside, documents, files, index_text, reading, snapshots
from vmcatcher.store.index_lines import all_indexes, fresh_index, read_index, source_of
from vmcatcher.store.index_text import IndexedImage, SubscriptionIndex, whole_seconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmcatcher.model.imagelist import ImageList
    from vmcatcher.model.subscription import Subscription
    from vmcatcher.store.layout import Layout

__all__ = [
    "IndexedImage",
    "SubscriptionIndex",
    "all_indexes",
    "build_index",
    "fresh_index",
    "is_manifest_sound",
    "is_torn",
    "read_index",
    "refresh_projections",
    "write_projections",
]


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
            until = whole_seconds(min(listed.expires, image.valid_until) if image.valid_until else listed.expires)
        lines.append(IndexedImage(accepted.identifier, accepted.selected, image.sha512 if image else None, until))
    runs, digests = index_text.runs_of(lines)
    index = SubscriptionIndex(
        subscription.identifier,
        subscription.added,
        subscription.endorsers,
        snapshot.name if snapshot else None,
        whole_seconds(listed.expires) if listed else None,
        whole_seconds(listed.created) if listed else None,
        subscription.max_validity_s,
        evidence.signer if evidence else None,
        evidence.issuer if evidence else None,
        runs,
        digests,
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
    files.put(layout.index(list_id), index_text.spell_index(index, source_of(layout, list_id)))


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
        content = reading.read(path)
        # As this program writes them: a sealed text that has both lines need not be read as JSON to be believed.
        said = (("identifier", list_id), ("snapshot", current.name if current else None))
        if all(f'\n "{name}": {json.dumps(value)},\n'.encode() in content for name, value in said):
            return True
        manifest = documents.read_json(path)
    except FileNotFoundError:
        return current is None
    except VmcatcherError:
        return False
    return manifest.get("identifier") == list_id and manifest.get("snapshot") == (current.name if current else None)


def is_torn(layout: Layout, list_id: str) -> bool:
    """Tell whether an index is there whose bytes are not the ones that were written."""
    try:
        content = reading.read(layout.index(list_id))
    except FileNotFoundError:
        return False
    except NotOurFile:
        return True
    return index_text.is_torn(content)


def _manifest(index: SubscriptionIndex, listed: ImageList) -> dict[str, object]:
    accepted = {image.identifier: image for image in index.images}
    # With the subscription's own limit, not with that of the setting, which is this machine's and not the store's.
    end = end_of(listed.expires, listed.created, limit_of(index.max_validity_s, None))
    images = []
    for image in listed.images:
        own = accepted.get(image.identifier)
        images.append(
            {
                "identifier": image.identifier,
                "accepted": own is not None,
                "selected": own is not None and own.selected,
                "valid_until": instant_text(min(end, image.valid_until or end)),
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
        "max_validity_s": index.max_validity_s,
        "signer": str(index.signer),
        "issuer": str(index.issuer),
        "fields": dict(listed.fields),
        "images": images,
    }
