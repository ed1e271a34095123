"""What a run does to each image, list by list, as a value: what `plan` shows and what `sync` reports."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from vmcatcher.model.event import EventKind
    from vmcatcher.model.identity import ListId, Sha512
    from vmcatcher.model.record import Reason


class Action(StrEnum):
    """What is done to one image."""

    EXPIRE = "expire"
    """The version that is there leaves the endorsed view."""
    REPLACE = "replace"
    """Another version comes; then the one that is there leaves."""
    PUBLISH = "publish"
    """A version comes into the endorsed view."""
    RESTORE = "restore"
    """What is missing of a version in use is brought back, without a word to the cloud."""
    FORGET = "forget"
    """A version that never came into the endorsed view is given up."""
    UNLINK = "unlink"
    """A link in a view for which no record stands is taken out."""


class Origin(StrEnum):
    """Where the bytes of an image come from."""

    STORE = "store"
    """They are in the blob store already; nothing is fetched."""
    SERVER = "server"
    """From where the signed list says."""
    MIRROR = "mirror"
    """From a place that the operator named; whether they are right only their digest says."""
    TOGETHER = "together"
    """Another image of the same run has the same bytes; they are fetched once."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where the bytes of one image come from, and how many of them have to."""

    origin: Origin
    uri: str = ""
    """The first place that is asked."""
    others: tuple[str, ...] = ()
    """Where they are asked for next, in order, when the first place does not have them."""
    fetch_bytes: int = 0
    """How many bytes have to come."""
    done_bytes: int = 0
    """How many an interrupted download left, which goes on from there."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to be done to one image, and why."""

    action: Action
    image: str
    list_id: str
    why: str
    """The decision, rule or fact that it follows from, in words."""
    title: str = ""
    version: str = ""
    """The image's own version (`hv:version`) that comes, or is restored; else the one that leaves."""
    sha512: Sha512 | None = None
    """The bytes that come or are restored; else those that leave."""
    size_bytes: int = 0
    reason: Reason | None = None
    """Why what is there leaves, as handlers are told."""
    source: Source | None = None
    """Where bytes come from; None where none have to be there."""


class ListFate(StrEnum):
    """What a run finds about one list."""

    NEW = "new"
    """A list that is not the current one is taken."""
    UNCHANGED = "unchanged"
    REFUSED = "refused"
    """It could not be had, or is not to be trusted; the current one stays."""
    NOT_ASKED = "not-asked"
    """Nobody looked: the plan was made offline."""


@dataclass(frozen=True, slots=True)
class ListStep:
    """What becomes of one list."""

    list_id: ListId
    fate: ListFate
    title: str = ""
    uri: str = ""
    """Where it is fetched from."""
    version: str = ""
    """Version of the list that is there; empty before the first one."""
    offered: str = ""
    """Version of the list that is served, where it is taken."""
    expires: datetime | None = None
    """When the list holds no more that is current after the run."""
    moves_to: str = ""
    """Where the list is fetched from after this run, where that changes."""
    new_images: tuple[str, ...] = ()
    """Images that it names and the one that is there does not."""
    gone_images: tuple[str, ...] = ()
    """Images that it names no more."""
    accepted: tuple[str, ...] = ()
    """Images that policy or rule newly accept."""
    selected: tuple[str, ...] = ()
    """Images that policy or rule newly select for the cache."""
    announced: tuple[str, ...] = ()
    """Images of which the handler is told that they are new."""
    error: str = ""
    """Why it is refused, or what about it needs the operator, in words."""
    error_id: str = ""


@dataclass(frozen=True, slots=True)
class Telling:
    """An event that an earlier run promised and no handler has taken yet."""

    kind: EventKind
    image: str
    list_id: str
    attempts: int
    id: str
    not_before: datetime | None = None
    """When it is told again at the earliest; None where it is told by this run."""


@dataclass(frozen=True, slots=True)
class Room:
    """Whether what a run fetches fits on the disk."""

    needed_bytes: int
    free_bytes: int | None
    """None where nobody can tell."""
    missing: tuple[str, ...] = ()
    """Images for which there is no space."""
