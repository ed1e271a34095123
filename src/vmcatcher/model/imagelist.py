"""The signed content of an image list as values that the rest of the program can rely on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from vmcatcher.errors import BadIdentifier
from vmcatcher.errors.imagelist import (
    DuplicateImage,
    ImageRefused,
    ListFieldMalformed,
    ListFieldMissing,
    NotAnImageList,
    TooManyImages,
)
from vmcatcher.errors.location import BadListedLocation
from vmcatcher.model.identity import Credential, ListId, image_id, list_id
from vmcatcher.model.image import Image, image_from_json, read_instant
from vmcatcher.model.location import Location
from vmcatcher.model.strictjson import Json, describe, parse, plain_text

if TYPE_CHECKING:
    from collections.abc import Container, Mapping
    from datetime import datetime

_LONGEST_VERSION: Final = 200
_TIME: Final = "a time with a zone such as 2030-01-31T12:00:00Z"
# What ImageList has attributes for; every other field of the list is kept in `fields`.
_MODELLED: Final = frozenset(
    {
        "dc:identifier",
        "hv:version",
        "dc:date:created",
        "dc:date:expires",
        "hv:uri",
        "dc:title",
        "dc:description",
        "dc:source",
        "hv:endorser",
        "ad:vo",
        "hv:images",
    }
)
# By any of these an object without the wrapper is known as the old form rather than as something else.
_OLD_FORM: Final = ("hv:images", "hv:endorser", "hv:version")


@dataclass(frozen=True, slots=True)
class ListLimits:
    """What one list may ask of the machine that reads it."""

    max_images: int = 10_000
    max_depth: int = 64
    max_values: int = 500_000
    """About 50 members for each of 10,000 images; reading that many takes less than 200 MiB."""


@dataclass(frozen=True, slots=True)
class ImageList:
    """A list and those of its images that can be used, in the order of the list."""

    identifier: ListId
    version: str
    created: datetime
    expires: datetime
    """As signed; may lie in the past, and far enough in the future that adding to it overflows."""
    uri: str
    """As the list spells it, known to be a location that a list may name (`Location.from_list`)."""
    title: str
    description: str
    source: str
    endorser: Credential
    """Who the list says signed it (`hv:dn` under `hv:ca`), as written: to be compared with who did."""
    email: str
    creator: str
    vo: str | None
    images: tuple[Image, ...]
    fields: Mapping[str, Json] = field(hash=False, repr=False)
    """The fields of the list that have no attribute here, as received."""


@dataclass(frozen=True, slots=True)
class ParsedList:
    """A list that can be used, what had to be left out of it, and what its endorser should correct."""

    imagelist: ImageList
    refused: tuple[ImageRefused, ...] = ()
    """One refusal for each image left out, in the order of the list."""
    warnings: tuple[str, ...] = ()
    named: int = 0
    """How many images the list names, those left out and passed over included."""


def parse_image_list(
    content: bytes, *, limits: ListLimits | None = None, only: Container[str] | None = None
) -> ParsedList:
    """Return the image list that the signed `content` spells.

    Whether it may be used (who signed it, when, for which subscription) is not looked at here. An image that cannot
    be used is left out and reported; its neighbours stay. A list without title, description or source, or in the old
    form without `hv:imagelist`, is taken with a warning. Null counts as missing, a number as text. Nothing but the
    errors below is raised for any bytes. With `only`, images of other identifiers are passed over: neither returned
    nor reported, but two of one identifier refuse the list whether it is among them or not.

    Raises:
        ContentRefused: not JSON that can be read in exactly one way (classic exit 37).
        NotAnImageList: JSON of something else (37).
        ListFieldMissing, ListFieldMalformed: a field that trust depends on or that every list has (38).
        DuplicateImage: two images have one identifier, also where one of them is refused for another reason (38).
        TooManyImages: more than `limits.max_images` (38).
    Source: HEPiX image list, as endorsers publish it.
    """
    limits = limits or ListLimits()
    document = parse(content, max_depth=limits.max_depth, max_values=limits.max_values)
    warnings: list[str] = []
    read = _Reader(_unwrap(document, warnings), warnings)
    entries = read.needed_list("hv:images")
    if len(entries) > limits.max_images:
        raise TooManyImages(found=len(entries), limit=limits.max_images)
    images, refused = _read_images(entries, only)
    return ParsedList(_read_list(read, images), refused, tuple(warnings), len(entries))


def _unwrap(document: dict[str, Json], warnings: list[str]) -> dict[str, Json]:
    if "hv:imagelist" in document:
        inner = document["hv:imagelist"]
        if not isinstance(inner, dict):
            raise NotAnImageList(found=describe(inner))
        return inner
    if not any(name in document for name in _OLD_FORM):
        raise NotAnImageList(found="missing")
    warnings.append("the list has the old form without 'hv:imagelist'")
    return document


def _read_list(read: _Reader, images: tuple[Image, ...]) -> ImageList:
    endorser = read.inside("hv:endorser").inside("hv:x509")
    return ImageList(
        identifier=read.identifier(),
        version=read.version(),
        created=read.instant("dc:date:created"),
        expires=read.instant("dc:date:expires"),
        uri=read.uri(),
        title=read.wanted_text("dc:title"),
        description=read.wanted_text("dc:description"),
        source=read.wanted_text("dc:source"),
        endorser=Credential(subject=endorser.name("hv:dn"), issuer=endorser.name("hv:ca")),
        email=endorser.needed_text("hv:email"),
        creator=endorser.needed_text("dc:creator"),
        vo=read.optional_text("ad:vo") or None,
        images=images,
        fields={name: value for name, value in read.fields.items() if name not in _MODELLED},
    )


def _read_images(
    entries: list[Json], only: Container[str] | None
) -> tuple[tuple[Image, ...], tuple[ImageRefused, ...]]:
    images: list[Image] = []
    refused: list[ImageRefused] = []
    _demand_unique(entries)
    for position, entry in enumerate(entries, start=1):
        fields = entry.get("hv:image") if isinstance(entry, dict) else None
        if only is not None and not (isinstance(fields, dict) and _identifier_of(fields) in only):
            continue
        if not isinstance(fields, dict):
            refused.append(_no_image(entry, position))
            continue
        try:
            images.append(image_from_json(fields, position=position))
        except ImageRefused as exc:
            refused.append(exc)
    return tuple(images), tuple(refused)


def _identifier_of(fields: dict[str, Json]) -> str:
    identifier = fields.get("dc:identifier")
    return identifier if isinstance(identifier, str) else ""


def _demand_unique(entries: list[Json]) -> None:
    """Refuse the list if two images have one identifier: nobody could tell which of the two was endorsed."""
    each = (entry.get("hv:image") if isinstance(entry, dict) else None for entry in entries)
    names = [_identifier_of(fields) if isinstance(fields, dict) else "" for fields in each]
    if len(set(names)) == len(names):
        return  # which of them are identifiers at all does not matter then
    positions: dict[str, int] = {}
    for position, name in enumerate(names, start=1):
        try:
            first = positions.setdefault(image_id(name), position)
        except BadIdentifier:
            continue  # no identifier to be claimed twice; reading the image says why
        if first != position:
            raise DuplicateImage(identifier=name, first=first, second=position)


def _no_image(entry: Json, position: int) -> ImageRefused:
    found = describe(entry)
    if isinstance(entry, dict):
        found = describe(entry["hv:image"]) if "hv:image" in entry else "nothing"
    return ImageRefused(position=position, identifier="", field="hv:image", expected="an object", found=found)


@dataclass(frozen=True, slots=True)
class _Reader:
    """The fields of the list or of an object inside it; each method reads one or refuses the list."""

    fields: dict[str, Json]
    warnings: list[str]
    path: str = ""

    def inside(self, name: str) -> _Reader:
        value = self._needed(name)
        if not isinstance(value, dict):
            raise self._malformed(name, "an object")
        return _Reader(value, self.warnings, f"{self.path}{name}.")

    def needed_list(self, name: str) -> list[Json]:
        value = self._needed(name)
        if not isinstance(value, list):
            raise self._malformed(name, "a list")
        return value

    def needed_text(self, name: str) -> str:
        self._needed(name)
        return self.optional_text(name)

    def wanted_text(self, name: str) -> str:
        """Read a text that every list should have, though trust does not depend on it."""
        if self.fields.get(name) is None:
            self.warnings.append(f"the list has no '{name}'")
        return self.optional_text(name)

    def optional_text(self, name: str) -> str:
        value = self.fields.get(name)
        text = "" if value is None else plain_text(value)
        if text is None:
            # Of ad:vo too: handlers publish an image to everybody when no VO is set.
            raise self._malformed(name, "a text")
        return text

    def name(self, name: str) -> str:
        text = self._needed(name)
        if not isinstance(text, str) or not text:
            raise self._malformed(name, "a distinguished name on one line such as /DC=org/CN=name")
        return text

    def identifier(self) -> ListId:
        expected = "an identifier that can be a directory name"
        value = self._needed("dc:identifier")
        if not isinstance(value, str):
            raise self._malformed("dc:identifier", expected)
        try:
            return list_id(value)
        except BadIdentifier as exc:
            raise self._malformed("dc:identifier", expected) from exc

    def version(self) -> str:
        value = self._needed("hv:version")
        text = plain_text(value)
        if not text or len(text) > _LONGEST_VERSION:
            raise self._malformed("hv:version", f"a version of 1 to {_LONGEST_VERSION} characters")
        if isinstance(value, float):
            self.warnings.append(f"'hv:version' is the JSON number {text}, which 1.10 and 1.1 both are; quote it")
        return text

    def instant(self, name: str) -> datetime:
        instant = read_instant(self._needed(name))
        if instant is None:
            raise self._malformed(name, _TIME)
        return instant

    def uri(self) -> str:
        uri = self.needed_text("hv:uri")
        try:
            Location.from_list(uri)
        except BadListedLocation as exc:
            # As the exception shows it: without a user name and password that a publisher left in it.
            raise ListFieldMalformed(
                field="hv:uri", expected=f"a URI to fetch from ({exc.why})", found=describe(exc.uri)
            ) from exc
        return uri

    def _needed(self, name: str) -> Json:
        value = self.fields.get(name)
        if value is None:
            raise ListFieldMissing(field=self.path + name)
        return value

    def _malformed(self, name: str, expected: str) -> ListFieldMalformed:
        return ListFieldMalformed(field=self.path + name, expected=expected, found=describe(self.fields[name]))
