"""One image on its way into the blob store: from which places it may come, and what came so far.

Mirrors are asked first, then the place that the list names. Each goes on with what those before it gave, in one
download that is hashed as it grows; only the digest says whether the bytes are right.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from vmcatcher.errors import NetworkError, OperatorError
from vmcatcher.errors.answer import BodyTooLong, BodyTooShort
from vmcatcher.errors.mirrors import NotMirrored
from vmcatcher.errors.store import WrongBytes
from vmcatcher.model.location import Location
from vmcatcher.services.update import access_for
from vmcatcher.store.downloads import Download
from vmcatcher.transport.limits import RING
from vmcatcher.transport.mirror import fetch_blob, mirror_access

if TYPE_CHECKING:
    from vmcatcher.errors.cache import GivenUp
    from vmcatcher.model.identity import ImageId
    from vmcatcher.model.image import Image
    from vmcatcher.model.mirror import Mirror
    from vmcatcher.model.subscription import Subscription
    from vmcatcher.services.context import Context
    from vmcatcher.services.sources import Sources
    from vmcatcher.services.update import Tools
    from vmcatcher.transport.results import ImageFetched

Follower = Callable[["ImageId", int], None]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Brought:
    """How the bytes of one image came to be in the blob store."""

    came: bool
    """False where they were there already."""
    received_bytes: int = 0
    """What was written in this run, bytes that were no use included."""
    resumed_at: int = 0
    """Where the download stood when the last place was asked: 0 where nothing of an earlier transfer was used."""
    source: Literal["mirror", "list", "partial"] | None = None
    """Who gave the last bytes; `partial`: an earlier run had them all; None where nothing came."""
    place: str = ""
    """The mirror, or the location that the list names; empty for `partial`."""


class Errand:
    """One image that is fetched."""

    def __init__(
        self,
        context: Context,
        tools: Tools,
        sources: Sources,
        subscription: Subscription,
        image: Image,
        follower: Follower | None,
    ) -> None:
        self._context = context
        self._tools = tools
        self._sources = sources
        self._subscription = subscription
        self._image = image
        self._follower = follower
        self._asked: list[str] = []
        """The mirrors that were of no help, and why."""

    def run(self, given_up: GivenUp | None) -> Brought:
        """Fetch the bytes; where `given_up` is not None, from mirrors only."""
        image = self._image
        download = Download(self._context.layout, image.sha512, image.size_bytes, uri=image.uri, ring=RING)
        with download:
            taking = _Taking(download, image.identifier, self._follower)
            brought = self._left(taking) or self._from_mirrors(taking) or self._from_list(taking, given_up)
        logger.info(
            "fetched image=%s bytes=%d source=%s from=%s resumed=%s",
            image.identifier,
            image.size_bytes,
            brought.source,
            brought.place or "-",
            brought.resumed_at > 0,
        )
        return brought

    def _left(self, taking: _Taking) -> Brought | None:
        """Take what an earlier run left if that is all of it."""
        size = self._image.size_bytes
        if taking.download.size < size:
            logger.info("Downloading '%s'.", self._image.identifier)
            return None
        try:
            taking.commit()
        except WrongBytes:
            self._begin_again()
            return None
        return Brought(came=True, resumed_at=size, source="partial")

    def _begin_again(self) -> None:
        # Bytes of two versions may have met in one partial; only a whole one can accuse whoever sent it.
        logger.warning(
            "image %s: the resumed download does not match; fetching it from the beginning", self._image.identifier
        )

    def _from_mirrors(self, taking: _Taking) -> Brought | None:
        for mirror, is_of_use in self._sources.mirrors_for(self._subscription):
            what = "passed over in this run"
            if is_of_use:
                fetched = self._from_mirror(taking, mirror)
                if fetched is not None:
                    return self._brought(taking, fetched, "mirror", str(mirror))
                what = "gave nothing"
            self._asked.append(f"{mirror} ({what})")
        return None

    def _from_mirror(self, taking: _Taking, mirror: Mirror) -> ImageFetched | None:
        """Try one mirror. That it fails says nothing about the image: the next place is asked."""
        image, tools = self._image, self._tools
        blob = mirror.blob(image.sha512)

        def ask() -> ImageFetched | None:
            access = mirror_access(mirror, self._sources.mirrors.tls, tools.trust_directory)
            offset = taking.download.size
            return fetch_blob(tools.transport, blob, access, size=image.size_bytes, sink=taking, offset=offset)

        try:
            fetched = self._complete(taking, str(blob), ask)
        except (WrongBytes, BodyTooShort) as error:
            if isinstance(error, WrongBytes) and error.what != "size":
                self._sources.drop(mirror, error)
            else:
                self._sources.drop_for_list(mirror, error, self._subscription)
        except (NetworkError, OperatorError) as error:
            self._sources.pass_over(mirror, error)
        else:
            if fetched is None:
                logger.debug("mirror %s does not have image %s", mirror, image.identifier)
            return fetched
        return None

    def _from_list(self, taking: _Taking, given_up: GivenUp | None) -> Brought:
        image, mirrors = self._image, self._sources.mirrors
        if given_up is not None:
            raise given_up
        if mirrors.only:
            asked = ", ".join(self._asked) or "none is named"
            raise NotMirrored(image=image.identifier, sha512=image.sha512, asked=asked)
        access = access_for(self._context, self._subscription, self._tools.trust_directory)
        location = Location.from_list(image.uri)

        def ask() -> ImageFetched:
            transport, download, size = self._tools.transport, taking.download, image.size_bytes
            offset, validator = download.size, download.validator
            if download.is_from_elsewhere:
                return transport.fetch_by_digest(location, access, size=size, sink=taking, offset=offset)
            return transport.fetch_image(location, access, size=size, sink=taking, offset=offset, validator=validator)

        fetched = self._complete(taking, image.uri, ask)
        assert fetched is not None, "only a mirror may have nothing to say"
        return self._brought(taking, fetched, "list", image.uri)

    def _brought(
        self, taking: _Taking, fetched: ImageFetched, source: Literal["mirror", "list"], place: str
    ) -> Brought:
        return Brought(
            came=True, received_bytes=taking.taken, resumed_at=fetched.resumed_at, source=source, place=place
        )

    def _complete(self, taking: _Taking, uri: str, ask: Callable[[], ImageFetched | None]) -> ImageFetched | None:
        """Have what is missing from one place and make it a blob; None where the place has nothing.

        A digest that is wrong where earlier bytes were used accuses nobody: the place is asked once more for all.
        """
        is_first = True
        while True:
            taking.download.turn_to(uri)
            fetched = self._ask(taking, uri, ask)
            if fetched is None:
                return None
            try:
                taking.commit()
            except WrongBytes:
                if not is_first or not fetched.resumed_at:
                    raise
            else:
                return fetched
            is_first = False
            self._begin_again()

    def _ask(self, taking: _Taking, uri: str, ask: Callable[[], ImageFetched | None]) -> ImageFetched | None:
        taken, size = taking.taken, self._image.size_bytes
        try:
            return ask()
        except BodyTooLong as error:
            # No network trouble: the file there is another one than the list describes, and what came is part of it.
            if taking.taken != taken:
                taking.restart()
            raise WrongBytes(uri=uri, what="size", expected=str(size), found=f"more than {size}") from error


class _Taking:
    """The sink of a transfer: a download, how many bytes it was given in this run, and who follows it."""

    def __init__(self, download: Download, image: ImageId, follower: Follower | None) -> None:
        self.download = download
        self.taken = 0
        self._image = image
        self._follower = follower

    def write(self, chunk: memoryview) -> None:
        """Take the next bytes."""
        self.download.write(chunk)
        self.taken += len(chunk)
        self._say(len(chunk))

    def restart(self) -> None:
        """Forget every byte."""
        held = self.download.size
        self.download.restart()
        self._say(-held)

    def remember(self, validator: str | None) -> None:
        """Note what names the version that comes."""
        self.download.remember(validator)

    def commit(self) -> None:
        """Make the bytes a blob; wrong ones are forgotten."""
        held = self.download.size
        try:
            self.download.commit()
        except WrongBytes:
            self._say(self.download.size - held)
            raise

    def _say(self, count: int) -> None:
        if self._follower is not None and count:
            self._follower(self._image, count)
