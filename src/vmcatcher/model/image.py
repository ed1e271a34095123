"""One image of an image list: strict where bytes are fetched and checked by it, liberal in what people only read."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from vmcatcher.errors import BadDigest, BadIdentifier
from vmcatcher.errors.imagelist import ImageRefused
from vmcatcher.errors.location import BadListedLocation
from vmcatcher.model.identity import ImageId, Sha512, image_id, sha512
from vmcatcher.model.instant import parse_instant
from vmcatcher.model.location import Location
from vmcatcher.model.strictjson import Json, describe, plain_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

_LARGEST_BYTES: Final = 2**50
_DECIMAL: Final = re.compile(r"[0-9]{1,19}")
# datetime.fromisoformat takes any character between date and time, a line break too.
_INSTANT: Final = re.compile(r"[0-9W-]{1,10}T[0-9:.,]+(Z|[+-][0-9:.]+)")


@dataclass(frozen=True, slots=True)
class Image:
    """An image as its list describes it. A text that the list leaves out is empty; `fields` says what was there."""

    identifier: ImageId
    size_bytes: int
    sha512: Sha512
    uri: str
    """As the list spells it, known to be a location that a list may name (`Location.from_list`)."""
    version: str
    title: str
    description: str
    hypervisor: str
    arch: str
    os: str
    os_version: str
    comments: str
    format: str
    mpuri: str
    valid_until: datetime | None
    """When the image itself expires (`dc:date:expires` of the image), besides its list; None if it does not."""
    fields: Mapping[str, Json] = field(hash=False, repr=False)
    """Every member of `hv:image` as received, those unknown here too; everything above follows from it."""

    def to_json(self) -> dict[str, Json]:
        """Return the image as the list spells it, for documents; `image_from_json` turns it back into an equal one."""
        return dict(self.fields)


def image_from_json(fields: Mapping[str, Json], *, position: int = 0) -> Image:
    """Return the image that the members of one `hv:image` describe; `position` in the list is for the refusal.

    Needed are `dc:identifier`, `hv:size`, `sl:checksum:sha512` and `hv:uri`. The size is a number, or a text of
    decimal digits, from 1 to 2**50; `1000.0` counts as 1000, `1000.5` as nothing. Every other text may be missing,
    null or a number, but not a truth value, list or object: a handler could not be told such a title.

    Raises:
        ImageRefused: the first field that cannot be used, what was expected and what was found.
    Source: HEPiX image list, members of hv:image.
    """
    read = _Reader(fields, position)
    return Image(
        identifier=read.identifier(),
        size_bytes=read.size_bytes(),
        sha512=read.sha512(),
        uri=read.uri(),
        version=read.text("hv:version"),
        title=read.text("dc:title"),
        description=read.text("dc:description"),
        hypervisor=read.text("hv:hypervisor"),
        arch=read.text("sl:arch"),
        os=read.text("sl:os"),
        os_version=read.text("sl:osversion"),
        comments=read.text("sl:comments"),
        format=read.text("hv:format"),
        mpuri=read.text("ad:mpuri"),
        valid_until=read.valid_until(),
        fields=dict(fields),
    )


def read_instant(value: Json) -> datetime | None:
    """Return the aware UTC instant that `value` names; None unless it is an ISO 8601 date and time with a zone."""
    if not isinstance(value, str) or not _INSTANT.fullmatch(value):
        return None
    try:
        return parse_instant(value)
    except ValueError:
        return None


def _whole_number(value: Json) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        return int(value) if _DECIMAL.fullmatch(value) else None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    return value if isinstance(value, int) else None


@dataclass(frozen=True, slots=True)
class _Reader:
    """The members of one hv:image; each method reads one or refuses the image."""

    fields: Mapping[str, Json]
    position: int

    def identifier(self) -> ImageId:
        try:
            return image_id(self._needed("dc:identifier", "an identifier"))
        except BadIdentifier as exc:
            raise self._refusal("dc:identifier", "an identifier that can be a file name") from exc

    def size_bytes(self) -> int:
        size = _whole_number(self.fields.get("hv:size"))
        if size is None or not 1 <= size <= _LARGEST_BYTES:
            raise self._refusal("hv:size", "a number of bytes from 1 to 2**50")
        return size

    def sha512(self) -> Sha512:
        expected = "128 hexadecimal digits"
        try:
            return sha512(self._needed("sl:checksum:sha512", expected))
        except BadDigest as exc:
            raise self._refusal("sl:checksum:sha512", expected) from exc

    def uri(self) -> str:
        uri = self._needed("hv:uri", "a URI")
        try:
            Location.from_list(uri)
        except BadListedLocation as exc:
            # As the exception shows it: without a user name and password that a publisher left in it.
            raise self._refusal("hv:uri", f"a URI to fetch from ({exc.why})", found=describe(exc.uri)) from exc
        return uri

    def text(self, name: str) -> str:
        value = self.fields.get(name)
        text = "" if value is None else plain_text(value)
        if text is None:
            raise self._refusal(name, "a text")
        return text

    def valid_until(self) -> datetime | None:
        value = self.fields.get("dc:date:expires")
        instant = read_instant(value)
        # Not "without an end": an image that its endorser wanted to expire would be served for ever.
        if instant is None and value not in (None, ""):
            raise self._refusal("dc:date:expires", "a time with a zone such as 2030-01-31T12:00:00Z")
        return instant

    def _needed(self, name: str, expected: str) -> str:
        value = self.fields.get(name)
        if not isinstance(value, str):
            raise self._refusal(name, expected)
        return value

    def _refusal(self, name: str, expected: str, *, found: str | None = None) -> ImageRefused:
        identifier = self.fields.get("dc:identifier")
        if found is None:
            found = describe(self.fields[name]) if name in self.fields else "nothing"
        return ImageRefused(
            position=self.position,
            identifier=identifier if isinstance(identifier, str) else "",
            field=name,
            expected=expected,
            found=found,
        )
