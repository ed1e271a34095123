"""What the proved lists of the imported subscriptions say of image bytes: the measure for files that are there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vmcatcher.errors import VmcatcherError
from vmcatcher.errors.store import StoreInputOutput
from vmcatcher.model.imagelist import parse_image_list
from vmcatcher.store import snapshots

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vmcatcher.model.identity import ImageId, ListId, Sha512
    from vmcatcher.model.image import Image
    from vmcatcher.model.imagelist import ImageList
    from vmcatcher.services.importing.lists import History
    from vmcatcher.services.importing.work import Work
    from vmcatcher.store.classic_contents import ClassicImage


@dataclass(frozen=True, slots=True)
class Promise:
    """What a proved list says of an image."""

    image: Image
    listed: ImageList
    snapshot: str
    list_sha512: Sha512


@dataclass(slots=True)
class Promises:
    """Everything that proved lists promise, and, for want of better, what the database claims."""

    proved: dict[tuple[ImageId, Sha512], list[Promise]] = field(default_factory=dict)
    images: set[ImageId] = field(default_factory=set)
    """Every image that an imported subscription accepted or a proved list names."""
    claims: dict[ImageId, ClassicImage] = field(default_factory=dict)
    """Images of subscriptions without a current list."""

    def take(self, listed: ImageList, *, snapshot: str, list_sha512: Sha512) -> None:
        """Take what a proved list says; of several lists of a subscription give the oldest first."""
        for image in listed.images:
            promise = Promise(image, listed, snapshot, list_sha512)
            self.proved.setdefault((image.identifier, image.sha512), []).append(promise)
            self.images.add(image.identifier)

    def take_history(self, history: History) -> None:
        """Take what the lists say that would become snapshots."""
        for one in history.snapshots:
            self.take(one.listed, snapshot="", list_sha512=one.sha512)

    def take_snapshots(self, work: Work, list_id: ListId) -> None:
        """Take what the snapshots of a subscription say."""
        for snapshot in snapshots.all_snapshots(work.context.layout, list_id):
            try:
                evidence = snapshots.read_evidence(snapshot)
                listed = parse_image_list(evidence.content).imagelist
            except StoreInputOutput:
                # It may be whole: files would be taken over as if no list had named them, and stay so.
                raise
            except VmcatcherError as error:
                work.tally.fail(f"subscription {list_id}", error)
                continue
            self.take(listed, snapshot=snapshot.name, list_sha512=evidence.sha512)

    def claim(self, images: Iterable[ClassicImage]) -> None:
        """Take what the database claims of images whose list is not proved."""
        for image in images:
            self.claims[image.identifier] = image

    def find(self, image: ImageId, sha512: Sha512, size_bytes: int, owner: ListId | None) -> Promise | None:
        """Return the newest promise of just these bytes, that of the subscription `owner` before others."""
        fitting = [one for one in self.proved.get((image, sha512), ()) if one.image.size_bytes == size_bytes]
        own = [one for one in fitting if one.listed.identifier == owner]
        return (own or fitting)[-1] if fitting else None

    def is_claimed(self, image: ImageId, sha512: Sha512) -> bool:
        """Tell whether the database says of an unproved image that it has these bytes."""
        claim = self.claims.get(image)
        return claim is not None and claim.sha512 == sha512
