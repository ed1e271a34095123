"""Why signed content is no image list, or an image of it cannot be used.

Classic exit codes: 37 where the content is no image list at all, 38 where a field of the list is missing or unusable.
"""

from __future__ import annotations

from typing import ClassVar

from vmcatcher.errors.base import PublisherError
from vmcatcher.light import dataclass


@dataclass(eq=False)
class ContentRefused(PublisherError):
    """What was signed is not JSON that can be read in exactly one way."""

    id: ClassVar[str] = "list-content"
    classic_exit: ClassVar[int] = 37
    hint: ClassVar[str] = "ask the endorser to write and sign the list again"


@dataclass(eq=False)
class NotJson(ContentRefused):
    """The bytes are not UTF-8, or the text is not JSON."""

    why: str
    id: ClassVar[str] = "list-not-json"
    message: ClassVar[str] = "the signed content is not JSON: {why}"


@dataclass(eq=False)
class NotAnObject(ContentRefused):
    """The outermost JSON value is something else than an object."""

    found: str
    id: ClassVar[str] = "list-not-object"
    message: ClassVar[str] = "the signed content should be a JSON object, found {found}"


@dataclass(eq=False)
class DuplicateKey(ContentRefused):
    """One object names a key twice, so that two programs may read two different lists."""

    key: str
    id: ClassVar[str] = "list-duplicate-key"
    message: ClassVar[str] = "the signed content names the key '{key}' twice in one object"


@dataclass(eq=False)
class TooDeep(ContentRefused):
    """Arrays and objects are nested further than any list needs."""

    limit: int
    id: ClassVar[str] = "list-too-deep"
    message: ClassVar[str] = "the signed content is nested more than {limit} levels deep"


@dataclass(eq=False)
class TooManyValues(ContentRefused):
    """More values than the largest list needs; reading them would take memory out of proportion."""

    limit: int
    id: ClassVar[str] = "list-too-many-values"
    message: ClassVar[str] = "the signed content holds more than {limit} values"


@dataclass(eq=False)
class BadNumber(ContentRefused):
    """NaN, an infinity, or a number too long or too large to compute with."""

    found: str
    id: ClassVar[str] = "list-bad-number"
    message: ClassVar[str] = "the signed content holds the number {found}"
    hint: ClassVar[str] = "expected finite numbers of at most 1000 digits; ask the endorser"


@dataclass(eq=False)
class BadText(ContentRefused):
    """A text that can neither be printed nor be put into an environment."""

    where: str
    holds: str
    id: ClassVar[str] = "list-bad-text"
    message: ClassVar[str] = "the text at '{where}' holds {holds}"


@dataclass(eq=False)
class NotAnImageList(PublisherError):
    """Good JSON, but neither `hv:imagelist` nor the old form without it."""

    found: str
    id: ClassVar[str] = "not-an-image-list"
    classic_exit: ClassVar[int] = 37
    message: ClassVar[str] = "the signed content is no image list: 'hv:imagelist' is {found}"
    hint: ClassVar[str] = "check the URI; an image list is an object below 'hv:imagelist'"


@dataclass(eq=False)
class ListRefused(PublisherError):
    """An image list that cannot be used as a whole."""

    id: ClassVar[str] = "list-refused"
    classic_exit: ClassVar[int] = 38
    hint: ClassVar[str] = "ask the endorser to correct the list"


@dataclass(eq=False)
class ListFieldMissing(ListRefused):
    """A field that every list must have is missing or null."""

    field: str
    id: ClassVar[str] = "list-field-missing"
    message: ClassVar[str] = "the image list has no '{field}'"


@dataclass(eq=False)
class ListFieldMalformed(ListRefused):
    """A field of the list holds something else than it must."""

    field: str
    expected: str
    found: str
    id: ClassVar[str] = "list-field-malformed"
    message: ClassVar[str] = "field '{field}' of the image list: expected {expected}, found {found}"


@dataclass(eq=False)
class DuplicateImage(ListRefused):
    """Two images of the list claim one identifier; positions count from 1."""

    identifier: str
    first: int
    second: int
    id: ClassVar[str] = "list-duplicate-image"
    message: ClassVar[str] = "images {first} and {second} of the list both have the identifier '{identifier}'"


@dataclass(eq=False)
class TooManyImages(ListRefused):
    """The list names more images than the limit allows."""

    found: int
    limit: int
    id: ClassVar[str] = "list-too-many-images"
    message: ClassVar[str] = "the image list names {found} images, the limit is {limit}"


@dataclass(eq=False)
class ImageRefused(PublisherError):
    """One image cannot be used; its neighbours can. `position` counts from 1, `identifier` is empty if unreadable."""

    position: int
    identifier: str
    field: str
    expected: str
    found: str
    id: ClassVar[str] = "image-refused"
    message: ClassVar[str] = "image {position} ('{identifier}'), field '{field}': expected {expected}, found {found}"
    hint: ClassVar[str] = "this image is left out, the others are not affected; ask the endorser"
