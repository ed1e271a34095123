"""What a fetch returns, what it needs to know about the version we have, and where image bytes go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Validators:
    """How a server names a version of a document, exactly as it sent it (RFC 9110 section 8.8)."""

    etag: str | None = None
    last_modified: str | None = None


@dataclass(frozen=True, slots=True)
class Fetched:
    """A document that was received completely."""

    body: bytes
    validators: Validators
    final_url: str
    """Where it was found after all redirects, without user name and password."""
    content_type: str
    """As the server says, empty for files; for messages only (a login page is `text/html`)."""


@dataclass(frozen=True, slots=True)
class NotModified:
    """The server says that the version named in the request is still current. What it means the caller decides."""

    validators: Validators
    final_url: str


@dataclass(frozen=True, slots=True)
class ImageFetched:
    """All bytes of an image were handed to the sink; whether they are the right ones its digest says."""

    final_url: str
    received_bytes: int
    """What came over the network in this call, bytes given up after a restart included."""
    resumed_at: int
    """Where the sink stood when the last answer began: 0 if nothing of an earlier transfer was used."""


class Sink(Protocol):
    """Where the bytes of one image go: a partial download that counts and hashes what it takes.

    Whatever its methods raise ends the transfer and reaches the caller unchanged.
    """

    def write(self, chunk: memoryview) -> object:
        """Take the next bytes, at most 1 MiB.

        The memory is left alone until three more chunks were handed over (`limits.RING`), so that a sink may hash
        it in another thread without copying; when the transfer has ended it is left alone for good.
        """

    def restart(self) -> object:
        """Forget every byte taken so far; the next chunk is the beginning of the image."""

    def remember(self, validator: str | None) -> object:
        """Take note of what names the version that the next bytes belong to; None if it cannot be resumed later.

        Called before the first byte of each answer. To resume, hand it to `fetch_image` with the number of bytes.
        """
