"""Images: which there are, in which state, which are wanted in the cache."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vmcatcher.errors import VmcatcherError
from vmcatcher.errors.requests import NoSuchImage
from vmcatcher.model.imagelist import parse_image_list
from vmcatcher.services.context import Failure
from vmcatcher.store import endorsers, index, snapshots, subscriptions
from vmcatcher.store.vetoes import vetoed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vmcatcher.model.endorser import Endorser
    from vmcatcher.model.identity import Credential, ImageId, ListId, Sha512
    from vmcatcher.model.image import Image
    from vmcatcher.model.imagelist import ImageList
    from vmcatcher.model.subscription import Subscription
    from vmcatcher.services.context import Context
    from vmcatcher.store.index import SubscriptionIndex
    from vmcatcher.store.snapshots import Evidence, Snapshot

SELECTED = 1
AVAILABLE = 2


@dataclass(frozen=True, slots=True)
class ImageLine:
    """One image with its state: 1 selected for the cache, 2 available in a current valid list, 3 both, 0 neither.

    An image whose bytes have a veto is not available: scripts and handlers take 3 for "is, or will be, in the cache".
    """

    image: ImageId
    state: int
    list_id: ListId
    sha512: Sha512 | None


@dataclass(frozen=True, slots=True)
class CurrentList:
    """The current list of a subscription as a query sees it: what was proved when it was admitted."""

    snapshot: Snapshot
    evidence: Evidence
    listed: ImageList
    available: bool
    """Whether its images may be used now: not expired, endorser still linked, signer not found revoked."""


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


@dataclass(frozen=True, slots=True)
class ImageListing:
    """The images of the subscriptions that can be read, and what is wrong with the others."""

    lines: tuple[ImageLine, ...]
    failed: tuple[Failure, ...]


def list_images(context: Context) -> ImageListing:
    """Return every accepted image, in the order of the subscriptions and of their lists.

    One subscription that is damaged hides no image of another.

    Raises:
        DocumentDamaged: an endorser cannot be read, so that nobody can say what is available.
    """
    known = endorsers.all_endorsers(context.layout)
    unwanted = vetoed(context.layout)
    lines: list[ImageLine] = []
    found, unread = index.readable_indexes(context.layout)
    failed = {**unread, **subscriptions.lost(context.layout)}
    for one in found:
        usable = is_available(context, one, known)
        for image in one.images:
            valid = usable and image.valid_until is not None and image.valid_until > context.now
            available = valid and image.sha512 not in unwanted
            state = (SELECTED if image.selected else 0) | (AVAILABLE if available else 0)
            lines.append(ImageLine(image.identifier, state, one.identifier, image.sha512))
    return ImageListing(tuple(lines), tuple(Failure(name, error) for name, error in failed.items()))


def is_available(context: Context, one: SubscriptionIndex, known: Sequence[Endorser]) -> bool:
    """Tell whether the current list of a subscription may be used now.

    It must not have expired, a linked endorser must own the credential that signed it, and the last cache run must
    not have found its signer or a CA of its chain revoked or gone.
    """
    if one.snapshot is None or one.expires is None or one.signer is None or one.issuer is None:
        return False
    signer, issuer = one.signer, one.issuer
    linked = (endorser for endorser in known if endorser.identifier in one.endorsers)
    if one.expires <= context.now or not any(endorser.owns(signer, issuer) for endorser in linked):
        return False
    verdict = subscriptions.read_verdict(context.layout, one.identifier)
    if verdict is None or verdict.snapshot != one.snapshot or verdict.reason is None:
        return True
    from vmcatcher.model.record import Reason  # noqa: PLC0415 - almost no query comes this far

    # Whether the endorser is linked is known here; it may have been linked again since that cache run.
    return verdict.reason == Reason.ENDORSER_UNLINKED.value


def select_images(context: Context, selectors: Sequence[str], *, by_digest: bool, selected: bool) -> tuple[str, ...]:
    """Want images in the cache, or no longer; return the selectors that match no image.

    A digest selects every image whose current or earlier cached version has it.
    """
    unknown: list[str] = []
    with context.lock("store"):
        matched: dict[str, set[str]] = {}
        listing = list_images(context)
        lines = listing.lines
        earlier = _EarlierDigests(context)
        for selector in selectors:
            found = _matching(lines, selector, earlier if by_digest else None)
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


def _matching(lines: Sequence[ImageLine], selector: str, earlier: _EarlierDigests | None) -> list[ImageLine]:
    if earlier is None:
        return [line for line in lines if line.image == selector]
    wanted = selector.lower()
    # The classic program found an image by the digest of any version it ever had; here the snapshots know them.
    return [line for line in lines if line.sha512 == wanted] or [
        line for line in lines if (line.image, wanted) in earlier.of_list(line.list_id)
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
    lines = _matching(listing.lines, selector, _EarlierDigests(context) if by_digest else None)
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
    return CurrentList(snapshot, evidence, listed, usable)
