"""What a classic database says, as values: endorsers, subscriptions, images, stored lists; and the rows that do not.

Rows are joined by the numbers that point from one to the other. (The classic program joined credentials to endorsers
by row number, so that a signer could be taken for somebody else.)
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, TypeVar

from vmcatcher.errors import BadDigest, BadEndorserIdentifier, BadIdentifier, VmcatcherError
from vmcatcher.errors.importing import BrokenRow, BrokenTable
from vmcatcher.model.identity import (
    Credential,
    EndorserId,
    ImageId,
    ListId,
    Sha512,
    endorser_id,
    image_id,
    list_id,
    sha512,
)
from vmcatcher.model.location import Location, UserInfo
from vmcatcher.model.subscription import NewImages, TlsTrust

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from vmcatcher.store.classic_db import ClassicDatabase, Row

Name = TypeVar("Name", EndorserId, ImageId, ListId)
Meaning = TypeVar("Meaning", TlsTrust, NewImages)

_TRUST: Final = {0: TlsTrust.UNSET, 1: TlsTrust.BROWSER, 2: TlsTrust.IGTF}
_NEW_IMAGES: Final = {0: NewImages.REFUSE, 1: NewImages.ACCEPT, 3: NewImages.SUBSCRIBE}


@dataclass(frozen=True, slots=True)
class ClassicEndorser:
    """An endorser with all its credentials, in the order of their rows."""

    row: int
    identifier: EndorserId
    credentials: tuple[Credential, ...]


@dataclass(frozen=True, slots=True)
class ClassicImage:
    """An image that the site knew under a subscription; size and digest are what the database claims."""

    row: int
    identifier: ImageId
    is_selected: bool
    sha512: Sha512 | None
    size_bytes: int | None


@dataclass(frozen=True, slots=True)
class ClassicList:
    """A stored signed list, without its bytes: `ClassicDatabase.signed_list` has them."""

    row: int
    imported: datetime | None


@dataclass(frozen=True, slots=True)
class ClassicSubscription:
    """A subscription with what belongs to it, each in the order of its rows."""

    row: int
    identifier: ListId
    description: str
    location: Location
    userinfo: UserInfo | None
    """User name and password, whether they had columns of their own or stood in the URI."""
    tls: TlsTrust
    new_images: NewImages
    updated: datetime | None
    endorsers: tuple[EndorserId, ...] = ()
    images: tuple[ClassicImage, ...] = ()
    lists: tuple[ClassicList, ...] = ()


@dataclass(frozen=True, slots=True)
class ClassicContents:
    """Everything that a classic database says, and what in it says nothing."""

    version: str
    endorsers: tuple[ClassicEndorser, ...]
    subscriptions: tuple[ClassicSubscription, ...]
    broken: tuple[BrokenRow | BrokenTable, ...]


def read_contents(database: ClassicDatabase) -> ClassicContents:
    """Return what an open classic database says. Every row is either in it or among the broken ones."""
    reading = _Reading(database)
    endorsers = reading.endorsers()
    subscriptions = reading.subscriptions()
    broken: tuple[BrokenRow | BrokenTable, ...] = (*database.problems, *reading.broken)
    return ClassicContents(database.version, endorsers, subscriptions, broken)


@dataclass(slots=True)
class _Reading:
    """The tables one after the other; what points at a row that was left out is left out, too."""

    database: ClassicDatabase
    broken: list[BrokenRow] = field(default_factory=list)
    names: dict[int, EndorserId] = field(default_factory=dict)
    """Row of an endorser -> its identifier."""
    owners: dict[int, int] = field(default_factory=dict)
    """Row of subscriptionAuth -> row of the subscription."""

    def _taken(self, table: str, columns: Sequence[str], take: Callable[[Row], None]) -> None:
        for row in self.database.rows(table, columns):
            try:
                take(row)
            except BrokenRow as broken:
                self.broken.append(broken)

    def endorsers(self) -> tuple[ClassicEndorser, ...]:
        credentials: dict[int, list[Credential]] = {}

        def endorser(row: Row) -> None:
            identifier = _named(row, "identifier", endorser_id)
            if identifier in self.names.values():
                raise row.broken(f"endorser '{identifier}' has a row before it")
            self.names[row.number] = identifier

        def credential(row: Row) -> None:
            owner = row.reference("endorser")
            if owner not in self.names:
                raise row.broken(f"it belongs to endorser row {owner}, which is missing or left out")
            names = Credential(_dn(row, "hv_dn"), _dn(row, "hv_ca"))
            credentials.setdefault(owner, []).append(names)

        self._taken("endorser", ("identifier",), endorser)
        self._taken("endorserPrincible", ("hv_dn", "hv_ca", "endorser"), credential)
        return tuple(
            ClassicEndorser(number, identifier, tuple(credentials.get(number, ())))
            for number, identifier in self.names.items()
        )

    def subscriptions(self) -> tuple[ClassicSubscription, ...]:
        found: dict[int, ClassicSubscription] = {}

        def subscription(row: Row) -> None:
            one = _subscription(row)
            if any(one.identifier == other.identifier for other in found.values()):
                raise row.broken(f"subscription {one.identifier} has a row before it")
            found[row.number] = one

        self._taken("subscription", _SUBSCRIPTION_COLUMNS, subscription)
        links = self._links(found)
        images = self._images(found)
        lists = self._lists(found)
        return tuple(
            replace(
                one,
                endorsers=tuple(links.get(number, ())),
                images=tuple(images.get(number, ())),
                lists=tuple(lists.get(number, ())),
            )
            for number, one in found.items()
        )

    def _links(self, known: dict[int, ClassicSubscription]) -> dict[int, list[EndorserId]]:
        found: dict[int, list[EndorserId]] = {}

        def link(row: Row) -> None:
            subscription, endorser = row.reference("subscription"), row.reference("endorser")
            if subscription not in known:
                raise row.broken(f"it belongs to subscription row {subscription}, which is missing or left out")
            # Its lists are still those of the subscription, whoever may sign the next one.
            self.owners[row.number] = subscription
            if endorser not in self.names:
                raise row.broken(f"it links endorser row {endorser}, which is missing or left out")
            if not _is_authorised(row):
                raise row.broken(f"endorser '{self.names[endorser]}' is not authorised")
            linked = found.setdefault(subscription, [])
            if self.names[endorser] not in linked:
                linked.append(self.names[endorser])

        self._taken("subscriptionAuth", ("subscription", "endorser", "authorised"), link)
        return found

    def _images(self, known: dict[int, ClassicSubscription]) -> dict[int, list[ClassicImage]]:
        claims = dict(self._claims())
        found: dict[int, list[ClassicImage]] = {}
        seen: dict[ImageId, int] = {}

        def image(row: Row) -> None:
            owner = row.reference("subscription")
            if owner not in known:
                raise row.broken(f"it belongs to subscription row {owner}, which is missing or left out")
            identifier = _named(row, "identifier", image_id)
            if identifier in seen:
                raise row.broken(f"image {identifier} is in row {seen[identifier]} already")
            seen[identifier] = row.number
            digest, size = claims.get(row.reference("latest") or 0, (None, None))
            selected = row.number_or("cache", 0) == 1
            found.setdefault(owner, []).append(ClassicImage(row.number, identifier, selected, digest, size))

        self._taken("ImageDefinition", ("identifier", "latest", "cache", "subscription"), image)
        return found

    def _claims(self) -> Iterator[tuple[int, tuple[Sha512, int]]]:
        """Yield row -> digest and size. Rows that nothing points at are what a deleted subscription left: no matter."""
        for row in self.database.rows("ImageInstance", ("sha512", "size")):
            try:
                yield row.number, (sha512(row.text("sha512")), row.number_or("size", 0))
            except (BrokenRow, BadDigest):
                continue

    def _lists(self, known: dict[int, ClassicSubscription]) -> dict[int, list[ClassicList]]:
        found: dict[int, list[ClassicList]] = {}

        def stored(row: Row) -> None:
            owner = self.owners.get(row.reference("sub_auth") or 0)
            if owner not in known:
                raise row.broken("it belongs to no subscription that is there")
            found.setdefault(owner, []).append(ClassicList(row.number, row.moment("imported")))

        self._taken("imageListInstance", ("sub_auth", "imported"), stored)
        return found


_SUBSCRIPTION_COLUMNS: Final = (
    "identifier",
    "description",
    "uri",
    "authorised",
    "updated",
    "trustAnchor",
    "userName",
    "password",
    "updateMode",
)


def _subscription(row: Row) -> ClassicSubscription:
    if not _is_authorised(row):
        raise row.broken("it is not authorised")
    try:
        location, inside = Location.parse(row.text("uri"))
    except BrokenRow:
        raise
    except VmcatcherError as exc:
        raise row.broken(str(exc)) from exc
    return ClassicSubscription(
        row=row.number,
        identifier=_named(row, "identifier", list_id),
        description=row.readable_text("description"),
        location=location,
        userinfo=_userinfo(row, inside),
        tls=_chosen(row, "trustAnchor", _TRUST),
        new_images=_chosen(row, "updateMode", _NEW_IMAGES),
        updated=row.moment("updated"),
    )


def _userinfo(row: Row, inside: UserInfo | None) -> UserInfo | None:
    username = row.optional_text("userName") or (inside.username if inside else None)
    password = row.optional_text("password") or (inside.password if inside else None)
    return UserInfo(username or "", password) if username or password else None


def _is_authorised(row: Row) -> bool:
    return row.number_or("authorised", 1) != 0


def _named(row: Row, column: str, identify: Callable[[str], Name]) -> Name:
    try:
        return identify(row.text(column))
    except (BadIdentifier, BadEndorserIdentifier) as exc:
        raise row.broken(str(exc)) from exc


def _dn(row: Row, column: str) -> str:
    name = row.text(column)
    if not name.strip() or not name.isprintable():
        raise row.broken(f"its {column} is no certificate's name")
    return name


def _chosen(row: Row, column: str, meanings: Mapping[int, Meaning]) -> Meaning:
    number = row.number_or(column, 0)
    if number not in meanings:
        raise row.broken(f"its {column} is {number}, which means nothing")
    return meanings[number]
