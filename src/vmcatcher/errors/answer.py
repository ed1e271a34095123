"""Lists and images that a server does not give as it should: statuses, redirects, headers, bodies.

Each error names the URL without user name and password.
"""

from __future__ import annotations

from typing import ClassVar

from vmcatcher.errors.base import NetworkError
from vmcatcher.light import dataclass


@dataclass(eq=False)
class HttpStatus(NetworkError):
    """The server answered with a status that carries no document."""

    url: str
    status: int
    id: ClassVar[str] = "http-status"
    message: ClassVar[str] = "{url}: the server answered with status {status}, expected 200"
    hint: ClassVar[str] = "the next run tries again"


@dataclass(eq=False)
class LoginNeeded(HttpStatus):
    """Status 401: the server wants a user name and password, or others than were sent."""

    sent: bool
    id: ClassVar[str] = "login-needed"
    message: ClassVar[str] = "{url}: the server asks for a user name and password (401; password sent: {sent})"
    hint: ClassVar[str] = "set them with --uri-username-set and --uri-password-set; they are sent to their origin only"


@dataclass(eq=False)
class Forbidden(HttpStatus):
    """Status 403: the server knows the document and does not give it."""

    id: ClassVar[str] = "http-forbidden"
    message: ClassVar[str] = "{url}: the server forbids access ({status})"
    hint: ClassVar[str] = "ask the publisher for access, or check the user name"


@dataclass(eq=False)
class NotFound(HttpStatus):
    """Status 404: no such document."""

    id: ClassVar[str] = "http-not-found"
    message: ClassVar[str] = "{url}: not found ({status})"
    hint: ClassVar[str] = "check the URL; if the list or image has moved, ask the endorser where to"


@dataclass(eq=False)
class Gone(HttpStatus):
    """Status 410: taken away for good."""

    id: ClassVar[str] = "http-gone"
    message: ClassVar[str] = "{url}: the server says that it is gone for good ({status})"
    hint: ClassVar[str] = "ask the endorser where it is now, or delete the subscription"


@dataclass(eq=False)
class ServerBusy(HttpStatus):
    """Status 429 or 5xx, after all repeats: the server cannot answer now."""

    retry_after_s: float | None
    id: ClassVar[str] = "server-busy"
    message: ClassVar[str] = "{url}: the server cannot answer now (status {status}{retry_after_s})"
    hint: ClassVar[str] = "the next run tries again"

    def _shown_fields(self) -> dict[str, str]:
        shown = super()._shown_fields()
        # Most servers do not say when.
        wait = "" if self.retry_after_s is None else f", asks to wait: {shown['retry_after_s']} s"
        return {**shown, "retry_after_s": wait}


@dataclass(eq=False)
class NotModifiedUnasked(NetworkError):
    """Status 304 although nothing was said about a version we have."""

    url: str
    id: ClassVar[str] = "not-modified-unasked"
    message: ClassVar[str] = "{url}: the server answered 'not modified' to a plain request, expected the document"
    hint: ClassVar[str] = "a cache in between is broken; tell the server's administrator"


@dataclass(eq=False)
class TooManyRedirects(NetworkError):
    """One redirect leads to the next."""

    url: str
    limit: int
    id: ClassVar[str] = "too-many-redirects"
    message: ClassVar[str] = "{url}: more than {limit} redirects"
    hint: ClassVar[str] = "ask the publisher for the final URL"


@dataclass(eq=False)
class RedirectRefused(NetworkError):
    """A redirect to where no list or image may send this machine."""

    url: str
    target: str
    why: str
    id: ClassVar[str] = "redirect-refused"
    message: ClassVar[str] = "{url}: redirect to '{target}' not followed, {why}"
    hint: ClassVar[str] = "ask the publisher for the final URL"


@dataclass(eq=False)
class Downgrade(RedirectRefused):
    """A redirect from https to http: what follows could be read and changed on the way."""

    id: ClassVar[str] = "redirect-downgrade"
    message: ClassVar[str] = "{url}: redirect to '{target}' not followed, {why}"


@dataclass(eq=False)
class BadHeader(NetworkError):
    """The answer is no HTTP that can be relied on."""

    url: str
    why: str
    id: ClassVar[str] = "bad-header"
    message: ClassVar[str] = "{url}: bad answer from the server, {why}"
    hint: ClassVar[str] = "check that the URL is that of a web server; else tell its administrator"


@dataclass(eq=False)
class EncodedAnswer(NetworkError):
    """The body is compressed, although nobody asked for that; inflating it could fill the disk."""

    url: str
    encoding: str
    id: ClassVar[str] = "encoded-answer"
    message: ClassVar[str] = "{url}: the body is encoded as '{encoding}', expected the bytes as they are"
    hint: ClassVar[str] = "tell the server's administrator to leave lists and images uncompressed"


@dataclass(eq=False)
class BodyTooLong(NetworkError):
    """More bytes than were promised or are allowed; the rest was not read."""

    url: str
    limit: int
    id: ClassVar[str] = "body-too-long"
    message: ClassVar[str] = "{url}: more than {limit} bytes"
    hint: ClassVar[str] = "the rest was not read; ask the endorser whether the file has changed"


@dataclass(eq=False)
class BodyTooShort(NetworkError):
    """The server announces fewer bytes than the signed list promises: it is another file."""

    url: str
    expected: int
    offered: int
    content_type: str
    id: ClassVar[str] = "body-too-short"
    message: ClassVar[str] = "{url}: the server offers {offered} bytes ({content_type}), expected {expected}"
    hint: ClassVar[str] = "a login page, or a file that has changed; look at the URL with a browser or ask the endorser"


@dataclass(eq=False)
class BodyTruncated(NetworkError):
    """The body ended before all announced bytes were there."""

    url: str
    expected: int | None
    got: int
    id: ClassVar[str] = "body-truncated"
    message: ClassVar[str] = "{url}: the body ended after {got} bytes, expected {expected}"
    hint: ClassVar[str] = "the next run tries again; an image goes on where it stopped"

    def _shown_fields(self) -> dict[str, str]:
        # A body in chunks does not say how long it is.
        return {**super()._shown_fields(), **({"expected": "more"} if self.expected is None else {})}
