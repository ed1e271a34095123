"""The network: lists and images over http, https and from files, with every wait and every byte bounded."""

from __future__ import annotations

from vmcatcher.transport.access import Access, Tls
from vmcatcher.transport.limits import RING, Limits
from vmcatcher.transport.results import Fetched, ImageFetched, NotModified, Sink, Validators
from vmcatcher.transport.transport import Transport

__all__ = [
    "RING",
    "Access",
    "Fetched",
    "ImageFetched",
    "Limits",
    "NotModified",
    "Sink",
    "Tls",
    "Transport",
    "Validators",
]
