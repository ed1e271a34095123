"""Getting the bytes of one image into the blob store: once, verified, resumable, and not for ever if they are wrong."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from vmcatcher.errors.answer import BodyTooLong
from vmcatcher.errors.cache import CorruptBytes, GivenUp
from vmcatcher.errors.store import WrongBytes
from vmcatcher.model.location import Location
from vmcatcher.model.record import MOST_TRIES, State
from vmcatcher.services.passage import new_record
from vmcatcher.services.update import Tools, access_for
from vmcatcher.store import blobs, cache, downloads
from vmcatcher.transport.limits import RING

if TYPE_CHECKING:
    from vmcatcher.model.identity import Sha512
    from vmcatcher.model.image import Image
    from vmcatcher.model.plan import Wanted
    from vmcatcher.model.record import CacheRecord
    from vmcatcher.model.subscription import Subscription
    from vmcatcher.services.context import Context

logger = logging.getLogger(__name__)


class Fetcher:
    """Fetches the images of one run and counts, in their records, how often wrong bytes came."""

    def __init__(self, context: Context, tools: Tools) -> None:
        self._context = context
        self._tools = tools
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

    def fetch(self, record: CacheRecord, wanted: Wanted, subscription: Subscription) -> bool:
        """Have the bytes of a version in the blob store; return False when they were there already.

        What is there is read before it is published: it may have rotted while no version in use showed it.

        Raises:
            GivenUp: wrong bytes came as often as they may for this list.
            StoreFull: there is not enough space for them.
            NetworkError: they could not be had; what came is kept for the next try.
            WrongBytes: what came is not what the list promises, also when it was fetched from the beginning; counted.
        """
        image = wanted.image
        is_there = blobs.has_blob(self._context.layout, image.sha512, image.size_bytes)
        if is_there and (record.state is not State.FAILING or self._is_right(image)):
            return False
        tries = record.tries if record.tries_list == wanted.list_sha512 else 0
        if tries >= MOST_TRIES:
            raise GivenUp(image=image.identifier, uri=image.uri, tries=tries)
        try:
            self._fetch(subscription, image)
        except WrongBytes:
            with self._context.lock("store"):
                counted = replace(record, tries=tries + 1, tries_list=wanted.list_sha512)
                cache.put_record(self._context.layout, counted)
            raise
        self._proved.add(image.sha512)
        return True

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

    def _fetch(self, subscription: Subscription, image: Image) -> None:
        try:
            is_resumed = self._transfer(subscription, image, afresh=False)
        except _ResumedWrongError:
            # Bytes of two versions may have met in one partial; only a whole one can accuse the publisher.
            logger.warning(
                "image %s: the resumed download does not match; fetching it from the beginning", image.identifier
            )
            is_resumed = self._transfer(subscription, image, afresh=True)
        logger.info("fetched image=%s bytes=%d resumed=%s", image.identifier, image.size_bytes, is_resumed)

    def _transfer(self, subscription: Subscription, image: Image, *, afresh: bool) -> bool:
        access = access_for(self._context, subscription, self._tools.trust_directory)
        location = Location.from_list(image.uri)
        with downloads.Download(
            self._context.layout, image.sha512, image.size_bytes, uri=image.uri, afresh=afresh, ring=RING
        ) as download:
            resumed_at = download.size
            if resumed_at < image.size_bytes:
                logger.info("Downloading '%s'.", image.identifier)
                try:
                    resumed_at = self._tools.transport.fetch_image(
                        location,
                        access,
                        size=image.size_bytes,
                        offset=download.size,
                        validator=download.validator,
                        sink=download,
                    ).resumed_at
                except BodyTooLong as error:
                    # No network trouble: the file there is another one than the list describes.
                    expected, found = str(image.size_bytes), f"more than {image.size_bytes}"
                    raise WrongBytes(uri=image.uri, what="size", expected=expected, found=found) from error
            try:
                download.commit()
            except WrongBytes as error:
                if resumed_at > 0:
                    raise _ResumedWrongError from error
                raise
        return resumed_at > 0


class _ResumedWrongError(Exception):
    """A download that went on from earlier bytes has the wrong digest; its bytes are gone."""
