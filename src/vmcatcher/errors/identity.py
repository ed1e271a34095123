"""Identifiers, digests and locations that cannot be used."""

from __future__ import annotations

from vmcatcher.errors.base import OperatorError, PublisherError
from vmcatcher.light import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import ClassVar


@dataclass(eq=False)
class BadIdentifier(PublisherError):
    """A list or image identifier that must never become a file name."""

    kind: str
    value: str
    id: ClassVar[str] = "bad-identifier"
    message: ClassVar[str] = "{kind} identifier '{value}' cannot be a file name"
    hint: ClassVar[str] = (
        "expected up to 128 of A-Z a-z 0-9 . _ : + @ = - starting with a letter or digit, and no reserved name; "
        "ask the endorser"
    )


@dataclass(eq=False)
class BadEndorserIdentifier(OperatorError):
    """An endorser identifier that is empty, too long or not printable."""

    value: str
    id: ClassVar[str] = "bad-endorser-identifier"
    message: ClassVar[str] = "endorser identifier '{value}' cannot be used"
    hint: ClassVar[str] = "use 1 to 200 printable characters"


@dataclass(eq=False)
class BadDigest(PublisherError):
    """A SHA-512 that is not 128 hexadecimal digits."""

    value: str
    id: ClassVar[str] = "bad-sha512"
    message: ClassVar[str] = "'{value}' is no SHA-512"
    hint: ClassVar[str] = "expected 128 hexadecimal digits"


@dataclass(eq=False)
class BadLocation(OperatorError):
    """A URI that vmcatcher does not fetch from."""

    uri: str
    why: str
    id: ClassVar[str] = "bad-location"
    message: ClassVar[str] = "cannot use location '{uri}': {why}"
    hint: ClassVar[str] = "use http://, https://, file:// or a path"
