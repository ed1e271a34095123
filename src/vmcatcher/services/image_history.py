"""Every version that an image ever had: when it was endorsed and by whom, when it was in the cache, why it left."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from vmcatcher.errors import VmcatcherError
from vmcatcher.errors.choosing import NameAmbiguous, NameMisspelled, NameUnknown
from vmcatcher.errors.requests import NoSuchImage
from vmcatcher.model import identity
from vmcatcher.model.record import Reason
from vmcatcher.services.admitted import AdmittedList, DamagedList, newest_first
from vmcatcher.services.choosing import choose_image
from vmcatcher.services.context import Failure
from vmcatcher.store import cache, reading, subscriptions
from vmcatcher.store.vetoes import all_vetoes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from vmcatcher.model.identity import ImageId, ListId, Sha512
    from vmcatcher.model.image import Image
    from vmcatcher.model.record import CacheRecord
    from vmcatcher.services.context import Context
    from vmcatcher.store.vetoes import Veto

_DIGEST_BEGINNING: Final = 12
_NEVER: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Endorsement:
    """Lists that follow each other and name the image with the same bytes."""

    list_id: ListId
    image: Image
    """The image as the last of these lists describes it."""
    first: AdmittedList
    last: AdmittedList
    until: datetime
    """When it ended or will end: the next list was admitted, or the last one or the image itself expires."""
    why: Reason
    """What ends it: withdrawn, replaced, list-expired or image-expired."""


@dataclass(frozen=True, slots=True)
class ImageVersion:
    """One content that the image had, whenever that was."""

    sha512: Sha512
    size_bytes: int
    version: str
    title: str
    endorsed: tuple[Endorsement, ...]
    """Newest first; empty where the lists that named it are not kept any more."""
    cached: tuple[CacheRecord, ...]
    """Newest first; empty where it was never selected, or its records were pruned."""
    veto: Veto | None
    """The decision that nobody here gets these bytes, if there is one."""

    @property
    def last_seen(self) -> datetime:
        """When something happened to it last."""
        seen = [*(one.last.admitted for one in self.endorsed), *(record.since for record in self.cached)]
        return max(seen, default=_NEVER)


@dataclass(frozen=True, slots=True)
class ImageHistory:
    """The versions of an image, newest first, and what of its history cannot be read."""

    identifier: ImageId
    versions: tuple[ImageVersion, ...]
    begins: tuple[tuple[ListId, datetime], ...]
    """Lists of which older ones are not kept any more, and since when they are."""
    failed: tuple[Failure, ...]


def image_history(context: Context, identifier: str) -> ImageHistory:
    """Return every version of an image over the admitted lists and the records of the cache.

    Raises:
        NoSuchImage: no list that is kept and no record names it.
    """
    try:
        image = identity.image_id(identifier)
    except VmcatcherError as exc:
        raise NoSuchImage(image=identifier) from exc
    records, errors = cache.readable_records(context.layout, image)
    failed = [Failure(image, error) for error in errors]
    endorsed: list[Endorsement] = []
    begins: list[tuple[ListId, datetime]] = []
    for list_id in lists_naming(context, image, records):
        oldest, lists = None, []
        for one in newest_first(context, list_id):
            oldest = one.snapshot
            if isinstance(one, DamagedList):
                failed.append(Failure(list_id, one.error))
            else:
                lists.append((one.without_images(), _named(one, image)))
        found = tuple(_endorsements(list_id, lists[::-1]))
        endorsed += found[::-1]
        if oldest is not None and oldest.sequence > 1 and found:
            begins.append((list_id, oldest.kept))
    if not endorsed and not records and not failed:
        raise NoSuchImage(image=identifier)
    vetoes, unread = all_vetoes(context.layout)
    versions = tuple(_versions(endorsed, records[::-1], {veto.sha512: veto for veto in vetoes}))
    named = {version.sha512 for version in versions}
    failed += [Failure(digest, error) for digest, error in unread.items() if digest in named]
    return ImageHistory(image, versions, tuple(begins), tuple(failed))


def choose_past_image(context: Context, given: str) -> str:
    """Return the image that is meant, as `choose_image`, also one that only a list of the past named.

    Of the past, whole identifiers are found, and bytes by the beginning of their SHA-512.

    Raises:
        NameUnknown, NameMisspelled, NameAmbiguous: as `choose_image`.
    """
    try:
        return choose_image(context, given, in_cache=True).identifier
    except (NameUnknown, NameMisspelled):
        found = sorted(set(_past_images(context, given)))
        if len(found) > 1:
            raise NameAmbiguous(kind="image", given=given, candidates=", ".join(found)) from None
        if not found:
            raise
        return found[0]


def is_digest(given: str) -> bool:
    """Tell whether a text may be the beginning of a SHA-512; what is shorter is taken for an identifier."""
    return len(given) >= _DIGEST_BEGINNING and not set(given.lower()) - set("0123456789abcdef")


def _past_images(context: Context, given: str) -> Iterator[str]:
    digest = given.lower() if is_digest(given) else "no digest"
    for name in reading.directories(context.layout.subscriptions):
        for one in newest_first(context, name):
            for image in one.listed.images if isinstance(one, AdmittedList) else ():
                if image.identifier == given or image.sha512.startswith(digest):
                    yield image.identifier
    for name in cache.cached_images(context.layout):
        if any(one.sha512.startswith(digest) for one in cache.readable_records(context.layout, name)[0]):
            yield name


def lists_naming(context: Context, image: ImageId, records: Iterable[CacheRecord]) -> list[ListId]:
    """Return the lists that may have named an image: its owner's and its records'; all where nobody owns it."""
    layout = context.layout
    names = reading.directories(layout.subscriptions)
    owners = {record.list_id for record in records} & set(names)
    for name in names:
        with contextlib.suppress(VmcatcherError):
            found = subscriptions.find_subscription(layout, name)
            if found is not None and (found.find(image) is not None or image in found.refused):
                owners.add(found.identifier)
    return sorted(owners) if owners else [identity.ListId(name) for name in names]


def _named(admitted: AdmittedList, image: ImageId) -> Image | None:
    return next((one for one in admitted.listed.images if one.identifier == image), None)


def _endorsements(list_id: ListId, lists: Sequence[tuple[AdmittedList, Image | None]]) -> Iterator[Endorsement]:
    """Yield the runs of lists, oldest first, that name the image with the same bytes."""
    first = 0
    for at, (last, found) in enumerate(lists):
        if found is None:
            first = at + 1
            continue
        following, other = lists[at + 1] if at + 1 < len(lists) else (None, None)
        if other is not None and other.sha512 == found.sha512:
            continue
        until, why = _end(found, last, following, other)
        yield Endorsement(list_id, found, lists[first][0], last, until, why)
        first = at + 1


def _end(
    image: Image, last: AdmittedList, following: AdmittedList | None, other: Image | None
) -> tuple[datetime, Reason]:
    ends = [(last.listed.expires, Reason.LIST_EXPIRED)]
    if image.valid_until is not None:
        ends.append((image.valid_until, Reason.IMAGE_EXPIRED))
    if following is not None:
        ends.append((following.admitted, Reason.WITHDRAWN if other is None else Reason.REPLACED))
    return min(ends, key=lambda end: end[0])


def _versions(
    endorsed: Sequence[Endorsement], records: Sequence[CacheRecord], vetoes: Mapping[Sha512, Veto]
) -> list[ImageVersion]:
    digests = dict.fromkeys([*(one.image.sha512 for one in endorsed), *(one.sha512 for one in records)])
    found = [
        _version(
            digest,
            tuple(one for one in endorsed if one.image.sha512 == digest),
            tuple(one for one in records if one.sha512 == digest),
            vetoes.get(digest),
        )
        for digest in digests
    ]
    return sorted(found, key=lambda one: one.last_seen, reverse=True)


def _version(
    digest: Sha512, endorsed: tuple[Endorsement, ...], records: tuple[CacheRecord, ...], veto: Veto | None
) -> ImageVersion:
    if endorsed:
        image = endorsed[0].image
        return ImageVersion(digest, image.size_bytes, image.version, image.title, endorsed, records, veto)
    fields = records[0].fields
    version, title = (str(fields.get(name) or "") for name in ("hv:version", "dc:title"))
    return ImageVersion(digest, records[0].size_bytes, version, title, endorsed, records, veto)
