"""Getting the bytes of images into the blob store: once, verified, and not for ever if they are wrong."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from vmcatcher.errors.cache import CorruptBytes, GivenUp
from vmcatcher.model.record import MOST_TRIES, State
from vmcatcher.services.bringing import Brought, Errand
from vmcatcher.services.passage import new_record
from vmcatcher.services.sources import Sources
from vmcatcher.store import blobs, cache

if TYPE_CHECKING:
    from vmcatcher.model.identity import Sha512
    from vmcatcher.model.image import Image
    from vmcatcher.model.plan import Wanted
    from vmcatcher.model.record import CacheRecord
    from vmcatcher.model.subscription import Subscription
    from vmcatcher.services.bringing import Follower
    from vmcatcher.services.context import Context
    from vmcatcher.services.update import Tools

logger = logging.getLogger(__name__)


class Fetcher:
    """Fetches the images of one run.

    `fetch` may be called from several threads at once for distinct digests, as long as the others are only called in
    the thread that writes the records. A follower is told, in the thread of the transfer, how many bytes of an image
    were taken, or forgotten (below zero); it may wait, and what it raises ends the transfer, to be resumed.
    """

    def __init__(self, context: Context, tools: Tools, follower: Follower | None = None) -> None:
        self._context = context
        self._tools = tools
        self._follower = follower
        self._sources = Sources(tools.mirrors)
        self._proved: set[Sha512] = set()
        """Blobs whose bytes were seen to be right in this run."""

    def begun(self, wanted: Wanted) -> CacheRecord:
        """Return the record of a version that is not there yet: a new one, or the one that failed before."""
        image = wanted.image.identifier
        newest = cache.newest_record(self._context.layout, image)
        if newest is None or newest.state is not State.FAILING:
            return new_record(self._context, wanted, cache.next_number(self._context.layout, image))
        fresh = new_record(self._context, wanted, newest.number)
        if newest.sha512 != wanted.image.sha512:
            return fresh
        return replace(fresh, tries=newest.tries, tries_list=newest.tries_list)

    def fetch(self, record: CacheRecord, wanted: Wanted, subscription: Subscription) -> Brought:
        """Have the bytes of a version in the blob store, and change nothing but that.

        What is there is read before it is published: it may have rotted while no version in use showed it.

        Raises:
            GivenUp: wrong bytes came as often as they may for this list, and no mirror has them.
            StoreFull: there is not enough space for them.
            NotMirrored: no mirror has them, and nobody else may be asked.
            NetworkError: they could not be had; what came is kept for the next try.
            WrongBytes: what came from where the list says is not what it promises, also when it was fetched from the
                beginning: to be counted (`count_wrong`).
        """
        image = wanted.image
        is_there = blobs.has_blob(self._context.layout, image.sha512, image.size_bytes)
        if is_there and (record.state is not State.FAILING or self._is_right(image)):
            return Brought(came=False)
        tries = _tries(record, wanted)
        given_up = GivenUp(image=image.identifier, uri=image.uri, tries=tries) if tries >= MOST_TRIES else None
        if given_up is not None and not any(self._sources.mirrors_for(subscription)):
            raise given_up
        brought = Errand(self._context, self._tools, self._sources, subscription, image, self._follower).run(given_up)
        self._proved.add(image.sha512)
        return brought

    def count_wrong(self, record: CacheRecord, wanted: Wanted) -> CacheRecord:
        """Note in its record that wrong bytes of a version came from where the list says; return the new record."""
        counted = replace(record, tries=_tries(record, wanted) + 1, tries_list=wanted.list_sha512)
        with self._context.lock("store"):
            cache.put_record(self._context.layout, counted)
        return counted

    def _is_right(self, image: Image) -> bool:
        """Tell whether stored bytes may be published; those that may not are put aside."""
        layout, digest = self._context.layout, image.sha512
        try:
            is_right = digest in self._proved or blobs.is_intact(layout, digest, image.size_bytes)
        except FileNotFoundError:
            return False  # gone since it was looked for
        if is_right:
            self._proved.add(digest)
            return True
        place = blobs.place_aside(layout, digest, self._context.now)
        blobs.set_aside(layout, digest, place)
        logger.error("%s", CorruptBytes(image=image.identifier, sha512=digest, kept=place).one_line())
        return False


def _tries(record: CacheRecord, wanted: Wanted) -> int:
    return record.tries if record.tries_list == wanted.list_sha512 else 0
