"""Mirrors that cannot be used, and images that none of them has."""

from __future__ import annotations

from typing import ClassVar

from vmcatcher.errors.base import NetworkError, OperatorError
from vmcatcher.light import dataclass


@dataclass(eq=False)
class BadMirror(OperatorError):
    """What was named as a mirror is no place that blobs can be fetched from."""

    mirror: str
    why: str
    id: ClassVar[str] = "bad-mirror"
    message: ClassVar[str] = "cannot use the mirror '{mirror}': {why}"
    hint: ClassVar[str] = "name a store's blobs: https://HOST/PATH, http://HOST/PATH, file:///DIR or /DIR"


@dataclass(eq=False)
class MirrorMissing(NetworkError):
    """The directory that should be a mirror is not there: most likely its file system is not mounted."""

    path: str
    id: ClassVar[str] = "mirror-missing"
    message: ClassVar[str] = "there is no directory {path}; a mirror is the blobs directory of a store"
    hint: ClassVar[str] = "is it mounted?"


@dataclass(eq=False)
class NotMirrored(NetworkError):
    """No mirror gave the bytes, and the settings do not allow to ask where the list says."""

    image: str
    sha512: str
    asked: str
    id: ClassVar[str] = "not-mirrored"
    message: ClassVar[str] = "image {image}: no mirror gave SHA-512 {sha512}; asked: {asked}"
    hint: ClassVar[str] = (
        "have a mirror fetch it, or unset mirrors_only to ask where the list says; the next run tries again"
    )
