"""Which places the bytes of an image may come from, in which order, and which mirrors are of no use in this run."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from vmcatcher.errors import VmcatcherError
from vmcatcher.errors.mirrors import BadMirror
from vmcatcher.model.mirror import Mirror

if TYPE_CHECKING:
    from vmcatcher.model.image import Image
    from vmcatcher.model.subscription import Subscription

logger = logging.getLogger(__name__)

Kind = Literal["mirror", "list"]


@dataclass(frozen=True, slots=True)
class Mirrors:
    """What the settings say about mirrors."""

    asked: tuple[Mirror, ...] = ()
    """Asked for the images of every subscription, after the subscription's own."""
    only: bool = False
    """Never fetch an image from where its list says."""
    tls: Literal["system", "igtf"] = "system"
    """Whose certificates an https mirror may show."""


NO_MIRRORS: Final = Mirrors()


@dataclass(frozen=True, slots=True)
class Place:
    """One place that is going to be asked for the bytes of an image; `url` holds no password."""

    kind: Kind
    url: str


def places(mirrors: Mirrors, subscription: Subscription, image: Image) -> tuple[Place, ...]:
    """Return where a run asks for the bytes of an image, in that order, until it has them."""
    named = mirrors_of(mirrors, subscription)[0]
    found = [Place("mirror", str(mirror.blob(image.sha512))) for mirror in named]
    return tuple(found) if mirrors.only else (*found, Place("list", image.uri))


def mirrors_of(mirrors: Mirrors, subscription: Subscription) -> tuple[tuple[Mirror, ...], tuple[BadMirror, ...]]:
    """Return the mirrors for the images of a subscription, its own first, and what it names that is none."""
    found: dict[str, Mirror] = {}
    bad: list[BadMirror] = []
    for text in subscription.mirrors:
        try:
            own = parse_own_mirror(text)
        except BadMirror as error:
            bad.append(error)
        else:
            found.setdefault(str(own), own)
    # One that the settings name too is asked in its place here, and with the password from there.
    return tuple({**found, **{str(mirror): mirror for mirror in mirrors.asked}}.values()), tuple(bad)


def parse_own_mirror(text: str) -> Mirror:
    """Return a mirror that belongs to one subscription.

    Raises:
        BadMirror: it is none, or holds a password, which the subscription's document must not.
    """
    mirror = Mirror.parse(text)
    if mirror.userinfo is not None:
        raise BadMirror(mirror=str(mirror), why="a user name or password belongs into the settings, not to a list")
    return mirror


class Sources:
    """The mirrors of one run. What one image found out about a mirror holds for all; safe to use from several threads.

    Every mirror that is of no use is named in one warning.
    """

    def __init__(self, mirrors: Mirrors) -> None:
        self.mirrors = mirrors
        self._lock = threading.Lock()
        self._out: set[str] = set()

    def mirrors_for(self, subscription: Subscription) -> Iterator[tuple[Mirror, bool]]:
        """Yield the mirrors in the order in which they are to be asked, and whether each is still of use."""
        named, bad = mirrors_of(self.mirrors, subscription)
        for error in bad:
            self._drop(error.mirror, f"{subscription.identifier}: {error.one_line()}")
        for mirror in named:
            yield mirror, self._out.isdisjoint({str(mirror), _for_list(mirror, subscription)})

    def pass_over(self, mirror: Mirror, error: VmcatcherError) -> None:
        """Ask a mirror no more in this run: it cannot be reached, or does not answer as it should."""
        self._drop(str(mirror), f"mirror {mirror} is not asked again in this run: {error}")

    def drop(self, mirror: Mirror, error: VmcatcherError) -> None:
        """Ask a mirror no more in this run: it has other bytes than their name says."""
        self._drop(str(mirror), f"mirror {mirror} serves wrong bytes and is not asked again in this run: {error}")

    def drop_for_list(self, mirror: Mirror, error: VmcatcherError, subscription: Subscription) -> None:
        """Ask a mirror no more for images of this list: what it has under a digest is not as long as the list says.

        One of the two is wrong. A list that says another length of bytes that are right must not keep the images of
        other lists from their mirror.
        """
        warning = f"mirror {mirror} serves wrong bytes and is not asked again in this run: {error}"
        self._drop(_for_list(mirror, subscription), f"{warning} (for images of {subscription.identifier})")

    def _drop(self, name: str, warning: str) -> None:
        with self._lock:
            is_known = name in self._out
            self._out.add(name)
        if not is_known:
            logger.warning("%s", warning)


def _for_list(mirror: Mirror, subscription: Subscription) -> str:
    return f"{mirror} {subscription.identifier}"
