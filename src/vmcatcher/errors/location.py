"""A location that a list names and nobody should follow. Apart from `network`, which a query need not load."""

from __future__ import annotations

from typing import ClassVar

from vmcatcher.errors.base import PublisherError
from vmcatcher.light import dataclass


@dataclass(eq=False)
class BadListedLocation(PublisherError):
    """A URI in a list or a redirect that vmcatcher does not fetch from."""

    uri: str
    why: str
    id: ClassVar[str] = "bad-listed-location"
    message: ClassVar[str] = "cannot use the listed location '{uri}': {why}"
    hint: ClassVar[str] = "ask the endorser for an http:// or https:// location"
