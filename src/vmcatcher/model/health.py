"""How a store stands, as values: what `status` shows, and what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from vmcatcher.model.identity import ListId
    from vmcatcher.model.record import Reason


class Severity(StrEnum):
    """How bad it is, for whoever is woken by it."""

    WRONG = "wrong"
    """Somebody has to do something."""
    SOON = "soon"
    """Nothing is wrong yet; something ends soon."""
    PASSING = "passing"
    """The next run may put it right."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that is not well."""

    id: str
    """Stable: monitoring goes by it."""
    severity: Severity
    subject: str
    """What it is about: a list, an image, a certificate, a path."""
    text: str
    """One line: what is so, and since or until when."""


@dataclass(frozen=True, slots=True)
class ListHealth:
    """One subscription and its current list."""

    list_id: ListId
    uri: str
    added: datetime
    """When it was subscribed to."""
    title: str = ""
    version: str = ""
    created: datetime | None = None
    admitted: datetime | None = None
    """When it was taken here."""
    expires: datetime | None = None
    """When it holds no more; None where there is no list."""
    attempted: datetime | None = None
    """When it was last asked for, to within an hour."""
    succeeded: datetime | None = None
    """When that last went well, likewise."""
    error_id: str = ""
    """What went wrong the last time; empty where nothing did."""
    error: str = ""
    is_error_temporary: bool = False
    """Whether that may pass by itself, as a server that is down does."""
    distrust: str = ""
    """Why it is not to be used any more, though it was admitted."""
    named: int = 0
    """How many images it names."""
    selected: int = 0
    """How many of them the operator wants."""
    present: int = 0
    """How many of those are there."""
    undecided: int = 0
    """How many it names that nobody accepted or refused, and no policy decides about."""


class ImageState(StrEnum):
    """Where a selected image stands."""

    PRESENT = "present"
    """In the endorsed view, as its list has it."""
    OUTDATED = "outdated"
    """An earlier version is there; the next run brings the one of the list."""
    STAGED = "staged"
    """Fetched and verified; the next run publishes it."""
    MISSING = "missing"
    """It is to be fetched."""
    FAILING = "failing"
    """It was to be fetched, and could not be."""
    GIVEN_UP = "given-up"
    """Wrong bytes came so often that it is not asked for until its list changes."""
    LOST = "lost"
    """It was there, and its bytes or its link are gone."""
    LEAVING = "leaving"
    """It has to leave, or has begun to, and is there still."""
    UNAVAILABLE = "unavailable"
    """It is selected, and no list that can be used names it."""


@dataclass(frozen=True, slots=True)
class ImageHealth:
    """One image that is selected, or that has to leave."""

    image: str
    list_id: str
    state: ImageState
    title: str = ""
    size_bytes: int = 0
    why: str = ""
    since: datetime | None = None
    """Since when it stands so, or has at least; None where nobody can tell."""
    reason: Reason | None = None
    """Why it has to leave, where it has to."""


@dataclass(frozen=True, slots=True)
class EventHealth:
    """What no handler has taken yet."""

    owed: int = 0
    """Promised; runs tell it."""
    refused: int = 0
    """Of these, how many were told and not taken."""
    failed: int = 0
    """Given up: only an operator can have them told again."""
    last_failed: datetime | None = None


@dataclass(frozen=True, slots=True)
class CertificateHealth:
    """A certificate on which current lists depend."""

    role: str
    """`signer` or `ca`."""
    subject: str
    issuer: str
    serial: str
    """In hexadecimal."""
    ends: datetime
    lists: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CrlHealth:
    """The revocation list of a CA that stands above the signer of a current list."""

    issuer: str
    made: datetime | None
    """None where there is none that can be used."""
    ends: datetime | None
    lists: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LockHealth:
    """A lock that somebody has."""

    lock: str
    holder: str
    since: datetime | None
    claim: str = ""
    """How to name it to break it, where nobody is there any more who could give it back."""


@dataclass(frozen=True, slots=True)
class SpaceHealth:
    """The space of one file system."""

    path: str
    total_bytes: int
    free_bytes: int


@dataclass(frozen=True, slots=True)
class Amount:
    """How many files of one kind there are, and their bytes."""

    kind: str
    count: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Health:
    """Everything that `status` shows."""

    store: str
    now: datetime
    lists: tuple[ListHealth, ...]
    images: tuple[ImageHealth, ...]
    events: EventHealth
    certificates: tuple[CertificateHealth, ...]
    crls: tuple[CrlHealth, ...]
    locks: tuple[LockHealth, ...]
    amounts: tuple[Amount, ...]
    spaces: tuple[SpaceHealth, ...]
    fetch_bytes: int
    """How many bytes the next run has to find space for."""
    clock: str = ""
    """What is wrong with the clock of this machine."""
    unread: tuple[Trouble, ...] = ()
    """What could not be looked at."""
    troubles: tuple[Trouble, ...] = ()
    """Everything that is not well, the worst first; what could not be looked at is among it."""

    def count(self, state: ImageState) -> int:
        """Return how many images are in a state."""
        return sum(1 for one in self.images if one.state is state)

    @property
    def worst(self) -> Severity | None:
        """The worst that was found; None where all is well."""
        found = {one.severity for one in self.troubles}
        return next((severity for severity in Severity if severity in found), None)
