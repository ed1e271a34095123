"""What a list of images shows, and what is known about one: selected, available, in the cache, and what they are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from vmcatcher.errors import VmcatcherError
from vmcatcher.model.record import CacheRecord, State
from vmcatcher.services.context import Failure
from vmcatcher.services.images import current_list, find_images
from vmcatcher.services.images_then import ImageThen, images_at
from vmcatcher.services.listing import AVAILABLE, SELECTED, list_images
from vmcatcher.store import cache, subscriptions
from vmcatcher.store.vetoes import vetoed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from vmcatcher.model.identity import ImageId, ListId, Sha512
    from vmcatcher.model.image import Image
    from vmcatcher.services.context import Context
    from vmcatcher.services.images import ImageInfo
    from vmcatcher.services.listing import ListedImages

Standing = Literal["cached", "outdated", "wanted", "available", "unavailable", "gone", "vetoed", "awaited"]


@dataclass(frozen=True, slots=True)
class ImageRow:
    """One accepted image at a glance."""

    image: ImageId
    list_id: ListId
    standing: Standing
    """`cached`: selected, available, in the endorsed view. `outdated`: so is an earlier version, and the next run
    replaces it; of an earlier time: in the cache, and not endorsed. `wanted`: selected and available, to be fetched by
    the next run. `available`: not selected. `unavailable`: selected, but no current trusted list names it. `gone`:
    neither. `vetoed`: its bytes have a veto. `awaited`: its subscription has no list yet; the next run fetches it."""
    selected: bool | None
    """None of an earlier time: decisions have no versions."""
    available: bool
    cached: bool
    """In the endorsed view now, in whatever version."""
    sha512: Sha512 | None
    """None where the current list does not name it, as all of what follows."""
    size_bytes: int | None
    version: str | None
    title: str | None
    valid_until: datetime | None


@dataclass(frozen=True, slots=True)
class ImageOverview:
    """The images of the subscriptions that can be read, and what is wrong with the others."""

    rows: tuple[ImageRow, ...]
    failed: tuple[Failure, ...]


def image_overview(context: Context, list_id: ListId | None = None) -> ImageOverview:
    """Return every accepted image, of one list or of all, in the order of the subscriptions and of their lists."""
    listing = list_images(context)
    unwanted = vetoed(context.layout)
    in_cache = _endorsed(context)
    rows: list[ImageRow] = []
    failed = [one for one in listing.failed if list_id in (None, one.subject)]
    for one in listing.found:
        if list_id not in (None, one.list_id):
            continue
        try:
            named = _named(context, one)
        except VmcatcherError as error:
            failed.append(Failure(one.list_id, error))
            continue
        found = [_row(line.image, line.state, one.list_id, named or {}, in_cache, unwanted) for line in one.lines]
        # Before its first list nothing is known of an image but its name; that is no reason to call it gone.
        rows += found if named is not None else [replace(row, standing="awaited") for row in found]
    return ImageOverview(tuple(rows), tuple(failed))


def image_overview_at(context: Context, at: datetime, list_id: ListId | None = None) -> ImageOverview:
    """Return the images that were endorsed or in the cache at an earlier time, as far as that is known."""
    then = images_at(context, at)
    failed = tuple(one for one in then.failed if list_id in (None, one.subject))
    return ImageOverview(tuple(_row_then(one) for one in then.images if list_id in (None, one.list_id)), failed)


def _row_then(one: ImageThen) -> ImageRow:
    image, record = one.image, one.cached
    is_right = image is not None and record is not None and image.sha512 == record.sha512
    standing: Standing = "cached" if is_right else "outdated" if record is not None else "available"
    digest, size = (image.sha512, image.size_bytes) if image else (None, None)
    fields = image.fields if image else record.fields if record else {}
    return ImageRow(
        image=one.identifier,
        list_id=one.list_id,
        standing=standing,
        selected=None,
        available=image is not None,
        cached=record is not None,
        sha512=digest or (record.sha512 if record else None),
        size_bytes=size or (record.size_bytes if record else None),
        version=str(fields.get("hv:version", "")),
        title=str(fields.get("dc:title", "")),
        valid_until=one.until,
    )


def _endorsed(context: Context) -> dict[str, frozenset[Sha512]]:
    """Return the digests of what is in the endorsed view, by image."""
    found: dict[str, frozenset[Sha512]] = {}
    for image in cache.cached_images(context.layout):
        records, _ = cache.readable_records(context.layout, image)
        shown = frozenset(record.sha512 for record in records if record.state is State.ENDORSED)
        if shown:
            found[image] = shown
    return found


def _named(context: Context, one: ListedImages) -> dict[str, tuple[Image, datetime]] | None:
    """Return the images of the current list with the end of each; None before the first list."""
    subscription = subscriptions.find_subscription(context.layout, one.list_id)
    current = current_list(context, subscription) if subscription else None
    if current is None:
        return None
    expires = current.until
    return {
        image.identifier: (image, min(expires, image.valid_until) if image.valid_until else expires)
        for image in current.listed.images
    }


def _row(
    image: ImageId,
    state: int,
    list_id: ListId,
    named: Mapping[str, tuple[Image, datetime]],
    in_cache: Mapping[str, frozenset[Sha512]],
    unwanted: frozenset[Sha512],
) -> ImageRow:
    found, until = named.get(image, (None, None))
    selected, available, cached = bool(state & SELECTED), bool(state & AVAILABLE), image in in_cache
    digest = found.sha512 if found else None
    standing = _standing(selected=selected, available=available, cached=cached)
    if standing == "cached" and digest not in in_cache[image]:
        standing = "outdated"
    return ImageRow(
        image=image,
        list_id=list_id,
        standing="vetoed" if digest in unwanted else standing,
        selected=selected,
        available=available,
        cached=cached,
        sha512=digest,
        size_bytes=found.size_bytes if found else None,
        version=found.version if found else None,
        title=found.title if found else None,
        valid_until=until,
    )


def _standing(*, selected: bool, available: bool, cached: bool) -> Standing:
    if selected and available:
        return "cached" if cached else "wanted"
    if available:
        return "available"
    return "unavailable" if selected else "gone"


@dataclass(frozen=True, slots=True)
class ImageDetails:
    """Everything about one image: what its list says, what was decided, and its versions in the cache, newest first."""

    info: ImageInfo | None
    """None where only the cache remembers it."""
    records: tuple[CacheRecord, ...]
    failed: tuple[Failure, ...]


def image_details(context: Context, image: str) -> ImageDetails:
    """Return what is known about the image of that identifier; see `choosing.choose_image` for what people type."""
    lines = [line for line in list_images(context).lines if line.image == image]
    infos = find_images(context, image, by_digest=False) if lines else ()
    records, errors = cache.readable_records(context.layout, image)
    failed = tuple(Failure(image, error) for error in errors)
    return ImageDetails(infos[0] if infos else None, tuple(reversed(records)), failed)
