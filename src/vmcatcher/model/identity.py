"""Who and what things are: identifiers that are safe as file names, digests, credentials, one-line names."""

from __future__ import annotations

import re

from vmcatcher.errors import BadDigest, BadEndorserIdentifier, BadIdentifier
from vmcatcher.light import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, NewType

    ListId = NewType("ListId", str)
    ImageId = NewType("ImageId", str)
    EndorserId = NewType("EndorserId", str)
    Sha512 = NewType("Sha512", str)
else:
    ListId = ImageId = EndorserId = Sha512 = str

# Patterns are compiled where they are used: a query does without some of them.
_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9._:+@=-]{0,127}"
# Names that the views use themselves, and endings of names in the expired view (`<id>.<time>`, `<id>.<time>-1`).
_RESERVED: Final = frozenset({"cache.index", "partial", "expired", "endorsed"})
_STAMPED: Final = r".*\.\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d(-\d+)?"
_HEX: Final = r"[0-9a-f]{128}"
_LONGEST_ENDORSER: Final = 200


def list_id(text: str) -> ListId:
    """Return `text` as a list identifier that is safe as a directory name.

    Raises:
        BadIdentifier: it holds a character, a length or a name that the store or its views could trip over.
    """
    return ListId(_file_name("list", text))


def image_id(text: str) -> ImageId:
    """Return `text` as an image identifier that is safe as a file name in every view.

    Raises:
        BadIdentifier: as for `list_id`.
    """
    return ImageId(_file_name("image", text))


def _file_name(kind: str, text: str) -> str:
    if not re.fullmatch(_NAME, text) or text in _RESERVED or re.fullmatch(_STAMPED, text):
        raise BadIdentifier(kind=kind, value=text)
    return text


def endorser_id(text: str) -> EndorserId:
    """Return `text` as an endorser identifier: any printable text of 1 to 200 characters.

    Raises:
        BadEndorserIdentifier: it is empty, longer, or holds a character that cannot be printed.
    """
    if not text.strip() or len(text) > _LONGEST_ENDORSER or not text.isprintable():
        raise BadEndorserIdentifier(value=text)
    return EndorserId(text)


def sha512(text: str) -> Sha512:
    """Return `text` as a SHA-512 in lower-case hexadecimal.

    Raises:
        BadDigest: it is not 128 hexadecimal digits.
    """
    lower = text.lower() if text.isascii() else text
    if not re.fullmatch(_HEX, lower):
        raise BadDigest(value=text)
    return Sha512(lower)


@dataclass(frozen=True, slots=True, order=True)
class Credential:
    """A certificate subject under one issuer, both in OpenSSL's one-line form as the operator typed them."""

    subject: str
    issuer: str


# Spellings of one attribute that grid software has used over the years; the right-hand one is OpenSSL's.
_ALIASES: Final = (
    ("/Email=", "/emailAddress="),
    ("/E=", "/emailAddress="),
    ("/USERID=", "/UID="),
    ("/S=", "/ST="),
)


def normal_dn(text: str) -> str:
    """Return a one-line name with each attribute spelled as OpenSSL spells it, for comparison only."""
    for alias, name in _ALIASES:
        text = text.replace(alias, name)
    return text


@dataclass(frozen=True, slots=True)
class OneLineName:
    """A certificate's name as one line, in the two styles that lists and operators use.

    `escaped` is OpenSSL 3's: `/` and `+` inside a value carry a backslash, so it can be read in one way only.
    `plain` is OpenSSL 1's without escapes; it is None for a name that the plain style cannot tell from another one
    (a value that holds `/X=`, or several attributes in one RDN).
    """

    escaped: str
    plain: str | None

    def is_named(self, text: str) -> bool:
        """Tell whether `text`, in either style, names this certificate subject and no other."""
        wanted = normal_dn(text)
        if wanted == normal_dn(self.escaped):
            return True
        return self.plain is not None and wanted == normal_dn(self.plain)

    def __str__(self) -> str:
        return self.plain if self.plain is not None else self.escaped
