"""What a cache run has to do: a value computed from records, lists and decisions, carried out by `services.cache`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vmcatcher.model.record import CacheRecord, Reason, State

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Set
    from datetime import datetime

    from vmcatcher.model.identity import ImageId, ListId, Sha512
    from vmcatcher.model.image import Image
    from vmcatcher.model.imagelist import ImageList
    from vmcatcher.model.subscription import Subscription


@dataclass(frozen=True, slots=True)
class Standing:
    """How one subscription stands at the moment of the run.

    `listed` is the current list where its signer is still trusted. Otherwise `gone` says why its images have to
    leave; where neither is set nothing is known (no snapshot yet, trust directory unreadable) and nothing expires.
    """

    subscription: Subscription
    listed: ImageList | None = None
    snapshot: str = ""
    list_sha512: Sha512 | None = None
    gone: Reason | None = None
    accepted: Mapping[ImageId, bool] = field(init=False, repr=False)
    """Whether each accepted image is selected."""
    images: Mapping[ImageId, Image] = field(init=False, repr=False)
    """The images of the list as it is given, which need be no more than the selected ones."""

    def __post_init__(self) -> None:
        # Looked up for every record: a search through the lists themselves would cost their product.
        accepted = {image.identifier: image.selected for image in self.subscription.images}
        object.__setattr__(self, "accepted", accepted)
        images = {image.identifier: image for image in self.listed.images} if self.listed else {}
        object.__setattr__(self, "images", images)


@dataclass(frozen=True, slots=True)
class Wanted:
    """An image that the operator selected and a current, trusted list promises."""

    image: Image
    list_id: ListId
    snapshot: str
    list_sha512: Sha512
    vo: str | None
    valid_until: datetime
    keeps_old: bool = False
    """What it replaces stays until the new bytes are there: its subscription says so."""


@dataclass(frozen=True, slots=True)
class Leaving:
    """A cached version that has to leave the endorsed view, and why."""

    record: CacheRecord
    reason: Reason


@dataclass(frozen=True, slots=True)
class CachePlan:
    """The steps of one run, in the order they are carried out."""

    leave_first: tuple[Leaving, ...]
    """Withdrawn, unsubscribed, expired, no longer trusted, vetoed: out before anything comes in."""
    replace: tuple[tuple[Leaving, Wanted], ...]
    """New bytes first, then the old version leaves and the new one comes."""
    bring: tuple[Wanted, ...]
    """Wanted and not there."""
    stay: tuple[CacheRecord, ...]
    """Endorsed and still promised by the same list with the same bytes, or of a list about which nothing is known."""
    give_up: tuple[Leaving, ...] = ()
    """Never published, because their bytes were wrong, and asked for no longer."""
    wanted: Mapping[ImageId, Wanted] = field(default_factory=dict)
    """Everything that should be in the cache now."""


def wanted_images(
    standings: Iterable[Standing], now: datetime, vetoes: Set[Sha512] = frozenset()
) -> dict[ImageId, Wanted]:
    """Return what should be in the cache now, by image identifier."""
    found: dict[ImageId, Wanted] = {}
    for standing in standings:
        listed, digest = standing.listed, standing.list_sha512
        if listed is None or digest is None:
            continue
        keeps_old = standing.subscription.keep_until_replaced
        for image in listed.images:
            until = min(listed.expires, image.valid_until or listed.expires)
            if not standing.accepted.get(image.identifier) or until <= now or image.sha512 in vetoes:
                continue
            found.setdefault(
                image.identifier,
                Wanted(image, listed.identifier, standing.snapshot, digest, listed.vo, until, keeps_old),
            )
    return found


def plan_cache(
    records: Iterable[CacheRecord],
    standings: Mapping[ListId, Standing],
    now: datetime,
    vetoes: Set[Sha512] = frozenset(),
    unread: Set[ListId] = frozenset(),
) -> CachePlan:
    """Return what to do so that the endorsed view holds what is wanted now, and nothing else.

    `records` are the versions that did not leave yet. Those of a subscription about which nothing is known stay, also
    where its document cannot be read (`unread`).
    """
    wanted = wanted_images(standings.values(), now, vetoes)
    leave: list[Leaving] = []
    replace: list[tuple[Leaving, Wanted]] = []
    stay: list[CacheRecord] = []
    give_up: list[Leaving] = []
    settled: set[ImageId] = set()
    for record in records:
        if record.state not in (State.STAGED, State.ENDORSED, State.FAILING):
            continue
        reason = why_leaving(record, standings.get(record.list_id), now, vetoes, unread)
        if record.state is State.FAILING:
            if reason is not None and record.image not in wanted:
                give_up.append(Leaving(record, reason))
            continue
        if reason is None:
            stay.append(record)
        elif reason is Reason.REPLACED and record.state is State.ENDORSED and record.image in wanted:
            replace.append((Leaving(record, reason), wanted[record.image]))
        else:
            leave.append(Leaving(record, reason))
            continue
        settled.add(record.image)
    bring = tuple(one for image, one in wanted.items() if image not in settled)
    return CachePlan(tuple(leave), tuple(replace), bring, tuple(stay), tuple(give_up), wanted)


def why_leaving(
    record: CacheRecord,
    standing: Standing | None,
    now: datetime,
    vetoes: Set[Sha512] = frozenset(),
    unread: Set[ListId] = frozenset(),
) -> Reason | None:
    """Return why a cached version has to leave, or None when it may stay."""
    if record.sha512 in vetoes:
        return Reason.VETOED
    if standing is None:
        return _why_over(record, now) if record.list_id in unread else Reason.SUBSCRIPTION_DELETED
    selected = standing.accepted.get(record.image)
    if not selected:
        return Reason.REFUSED if selected is None else Reason.UNSUBSCRIBED
    if standing.gone is not None:
        return standing.gone
    if standing.listed is None:
        return _why_over(record, now)
    return _why_not_listed(record, standing.listed, standing.images.get(record.image), now)


def _why_over(record: CacheRecord, now: datetime) -> Reason | None:
    # Nothing is known about the list; what was signed about this version still bounds how long it may stay.
    return Reason.LIST_EXPIRED if record.valid_until is not None and record.valid_until <= now else None


def _why_not_listed(record: CacheRecord, listed: ImageList, image: Image | None, now: datetime) -> Reason | None:
    if listed.expires <= now:
        return Reason.LIST_EXPIRED
    if image is None:
        return Reason.WITHDRAWN
    if image.valid_until is not None and image.valid_until <= now:
        return Reason.IMAGE_EXPIRED
    if image.sha512 == record.sha512:
        return None
    # The list that named these bytes may be over by now; then they leave at once, whatever keeps replaced ones.
    return _why_over(record, now) or Reason.REPLACED
