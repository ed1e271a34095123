"""Images: which there are, in which state, which are wanted in the cache."""

from __future__ import annotations

import contextlib

from vmcatcher.errors import VmcatcherError
from vmcatcher.errors.requests import NoSuchImage
from vmcatcher.light import dataclass
from vmcatcher.model.imagelist import parse_image_list
from vmcatcher.model.validity import end_of, limit_of
from vmcatcher.services.listing import (
    AVAILABLE,
    SELECTED,
    ImageLine,
    ImageListing,
    is_available,
    list_images,
)
from vmcatcher.store import endorsers, index, snapshots, subscriptions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from vmcatcher.model.endorser import Endorser
    from vmcatcher.model.identity import Credential, ImageId, ListId
    from vmcatcher.model.image import Image
    from vmcatcher.model.imagelist import ImageList
    from vmcatcher.model.subscription import Subscription
    from vmcatcher.services.context import Context
    from vmcatcher.store.snapshots import Evidence, Snapshot

__all__ = [
    "AVAILABLE",
    "SELECTED",
    "CurrentList",
    "ImageInfo",
    "ImageLine",
    "ImageListing",
    "current_list",
    "find_images",
    "is_available",
    "list_images",
    "select_images",
    "signing_endorser",
]


@dataclass(frozen=True, slots=True)
class CurrentList:
    """The current list of a subscription as a query sees it: what was proved when it was admitted."""

    snapshot: Snapshot
    evidence: Evidence
    listed: ImageList
    available: bool
    """Whether its images may be used now: not expired, endorser still linked, signer not found revoked."""
    until: datetime
    """When it ends, by what was signed or by this site's limit."""


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """Everything about one image; `current` and `image` are None where no current list names it."""

    identifier: ImageId
    selected: bool
    subscription: Subscription
    current: CurrentList | None
    image: Image | None
    endorser: Endorser | None
    credential: Credential | None
    """The one of the endorser's credentials that signed the list."""


def select_images(context: Context, selectors: Sequence[str], *, by_digest: bool, selected: bool) -> tuple[str, ...]:
    """Want images in the cache, or no longer; return the selectors that match no image.

    A digest selects every image whose current or earlier cached version has it.
    """
    unknown: list[str] = []
    with context.lock("store"):
        matched: dict[str, set[str]] = {}
        listing = list_images(context)
        earlier = _EarlierDigests(context)
        for selector in selectors:
            found = _matching(listing, selector, earlier if by_digest else None)
            if not found:
                # It may be an image of the one that cannot be read.
                _demand_whole(listing)
                unknown.append(selector)
            for line in found:
                matched.setdefault(line.list_id, set()).add(line.image)
        for list_id, images in matched.items():
            subscription = subscriptions.find_subscription(context.layout, list_id)
            if subscription is None:
                continue
            changed = subscription.with_selection(images, selected=selected)
            if changed != subscription:
                subscriptions.put_subscription(context.layout, changed)
                index.write_projections(context.layout, changed)
    return tuple(unknown)


def _demand_whole(listing: ImageListing) -> None:
    for failure in listing.failed:
        raise failure.error


def _matching(listing: ImageListing, selector: str, earlier: _EarlierDigests | None) -> list[ImageLine]:
    if earlier is None:
        named = (one for one in listing.found if selector in one.columns.identifiers)
        return [line for one in named for line in one.lines if line.image == selector]
    wanted = selector.lower()
    current = (one for one in listing.found if wanted in one.columns.sha512)
    # The classic program found an image by the digest of any version it ever had; here the snapshots know them.
    return [line for one in current for line in one.lines if line.sha512 == wanted] or [
        line for line in listing.lines if (line.image, wanted) in earlier.of_list(line.list_id)
    ]


class _EarlierDigests:
    """Which images had which bytes in earlier lists; the snapshots of a list are read once, if it comes to that."""

    def __init__(self, context: Context) -> None:
        self._layout = context.layout
        self._known: dict[str, frozenset[tuple[str, str]]] = {}

    def of_list(self, list_id: ListId) -> frozenset[tuple[str, str]]:
        """Return every image with every digest that it had before the current list."""
        if list_id not in self._known:
            self._known[list_id] = frozenset(self._read(list_id))
        return self._known[list_id]

    def _read(self, list_id: ListId) -> Iterator[tuple[str, str]]:
        for snapshot in snapshots.all_snapshots(self._layout, list_id)[:-1]:
            # An old snapshot that is damaged is no reason not to find the images of the others.
            with contextlib.suppress(VmcatcherError, FileNotFoundError):
                listed = parse_image_list(snapshots.read_evidence(snapshot).content).imagelist
                yield from ((image.identifier, image.sha512) for image in listed.images)


def find_images(context: Context, selector: str, *, by_digest: bool) -> tuple[ImageInfo, ...]:
    """Return everything about the images that an identifier or a digest selects.

    Raises:
        NoSuchImage: it selects none.
    """
    listing = list_images(context)
    lines = _matching(listing, selector, _EarlierDigests(context) if by_digest else None)
    if not lines:
        _demand_whole(listing)
        raise NoSuchImage(image=selector)
    return tuple(info for line in lines if (info := _info(context, line)) is not None)


def _info(context: Context, line: ImageLine) -> ImageInfo | None:
    subscription = subscriptions.find_subscription(context.layout, line.list_id)
    if subscription is None:
        return None
    current = current_list(context, subscription)
    endorser = signing_endorser(context, subscription, current) if current else None
    image = None
    if current is not None and endorser is not None:
        image = next((one for one in current.listed.images if one.identifier == line.image), None)
    credential = None
    if current is not None and endorser is not None:
        signer, issuer = current.evidence.signer, current.evidence.issuer
        owned = (own for own in endorser.credentials if signer.is_named(own.subject) and issuer.is_named(own.issuer))
        credential = next(owned, None)
    return ImageInfo(line.image, bool(line.state & SELECTED), subscription, current, image, endorser, credential)


def signing_endorser(context: Context, subscription: Subscription, current: CurrentList) -> Endorser | None:
    """Return the linked endorser whose credential signed the current list, or None."""
    linked = (one for one in endorsers.all_endorsers(context.layout) if one.identifier in subscription.endorsers)
    return next((one for one in linked if one.owns(current.evidence.signer, current.evidence.issuer)), None)


def current_list(context: Context, subscription: Subscription) -> CurrentList | None:
    """Return the current list of a subscription, or None before its first update.

    Raises:
        DocumentDamaged: its evidence cannot be read.
    """
    snapshot = snapshots.current_snapshot(context.layout, subscription.identifier)
    if snapshot is None:
        return None
    evidence = snapshots.read_evidence(snapshot)
    listed = parse_image_list(evidence.content).imagelist
    one = index.read_index(context.layout, subscription.identifier)
    usable = one is not None and is_available(context, one, endorsers.all_endorsers(context.layout))
    limit_s = limit_of(subscription.max_validity_s, context.max_validity_s)
    return CurrentList(snapshot, evidence, listed, usable, end_of(listed.expires, listed.created, limit_s))
