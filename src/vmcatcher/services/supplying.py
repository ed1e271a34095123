"""Where the bytes of each image of a plan come from, and whether they fit on the disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vmcatcher.errors.mirrors import NotMirrored
from vmcatcher.errors.store import StoreFull
from vmcatcher.model.steps import Origin, Room, Source
from vmcatcher.services.sources import places
from vmcatcher.store import blobs, downloads, reading

if TYPE_CHECKING:
    from vmcatcher.model.identity import Sha512
    from vmcatcher.model.image import Image
    from vmcatcher.model.subscription import Subscription
    from vmcatcher.services.sources import Mirrors
    from vmcatcher.store.downloads import Left
    from vmcatcher.store.layout import Layout

# As `store.downloads` leaves free, for the documents of the run.
_RESERVE: Final = 2**20


class Supply:
    """The bytes of one plan, asked for in the order in which they would be fetched; nothing is changed."""

    def __init__(self, layout: Layout, mirrors: Mirrors) -> None:
        self._layout = layout
        self._mirrors = mirrors
        self._lefts: dict[Sha512, Left] = {}
        for left in downloads.lefts(layout):
            known = self._lefts.get(left.sha512)
            if left.size > 0 and (known is None or left.size > known.size):
                self._lefts[left.sha512] = left
        self._free = reading.free_bytes(layout.partial)
        self._left = self._free
        self._needed = 0
        self._coming: set[Sha512] = set()
        self._missing: list[str] = []

    def source(self, image: Image, subscription: Subscription) -> Source:
        """Return where the bytes of an image come from.

        Raises:
            NotMirrored: only mirrors may be asked, and there is none.
            StoreFull: there is no space for them beside those that were asked for before.
        """
        if blobs.has_blob(self._layout, image.sha512, image.size_bytes):
            return Source(Origin.STORE)
        if image.sha512 in self._coming:
            return Source(Origin.TOGETHER)
        asked = places(self._mirrors, subscription, image)
        if not asked:
            raise NotMirrored(image=image.identifier, sha512=image.sha512, asked="none is set")
        left = self._lefts.get(image.sha512)
        done = left.size if left is not None and left.size <= image.size_bytes else 0
        # What another process may still write to is copied, and takes its space twice.
        takes = image.size_bytes - (done if left is not None and left.is_ours_alone else 0)
        self._needed += takes
        if self._left is not None:
            if self._left < takes + _RESERVE:
                self._missing.append(image.identifier)
                raise StoreFull(path=self._layout.partial, needed_bytes=takes, free_bytes=self._left)
            self._left -= takes
        self._coming.add(image.sha512)
        origin = Origin.MIRROR if asked[0].kind == "mirror" else Origin.SERVER
        others = tuple(place.url for place in asked[1:])
        return Source(origin, asked[0].url, others, fetch_bytes=image.size_bytes - done, done_bytes=done)

    def room(self) -> Room:
        """Return what everything that was asked for needs, and what there is."""
        return Room(self._needed, self._free, tuple(self._missing))
