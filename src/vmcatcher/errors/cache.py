"""Images that could not be brought into the cache."""

from __future__ import annotations

from typing import ClassVar

from vmcatcher.errors.base import MachineError, OperatorError, PublisherError
from vmcatcher.light import dataclass


@dataclass(eq=False)
class GivenUp(PublisherError):
    """Wrong bytes came as often as they may; asking again would not help."""

    image: str
    uri: str
    tries: int
    id: ClassVar[str] = "image-given-up"
    message: ClassVar[str] = "image {image}: {uri} delivered wrong bytes {tries} times; given up until the list changes"
    hint: ClassVar[str] = "ask the endorser"


@dataclass(eq=False)
class CorruptBytes(MachineError):
    """The bytes of a cached image are not the ones that were verified; they were taken out and kept aside."""

    image: str
    sha512: str
    kept: str
    id: ClassVar[str] = "corrupt-bytes"
    message: ClassVar[str] = "image {image}: the stored bytes do not match SHA-512 {sha512}; kept aside as {kept}"
    hint: ClassVar[str] = "check the disk; the image is fetched again"


@dataclass(eq=False)
class ViewDirectoryMissing(MachineError):
    """A view directory that was named does not exist; nothing is created in a place that may be an unmounted disk."""

    kind: str
    path: str
    id: ClassVar[str] = "view-directory-missing"
    message: ClassVar[str] = "{kind} directory '{path}' does not exist."


@dataclass(eq=False)
class ViewsCollide(OperatorError):
    """Two views, or a view and the store's own documents, are in one directory."""

    kind: str
    path: str
    other: str
    id: ClassVar[str] = "views-collide"
    message: ClassVar[str] = "the {kind} directory '{path}' is in use already: for {other}"
    hint: ClassVar[str] = "give each view a directory of its own, outside the store or nowhere"


@dataclass(eq=False)
class HardLinksImpossible(OperatorError):
    """Views of hard links were asked for, and a view lies on another file system than the blobs."""

    path: str
    blobs: str
    id: ClassVar[str] = "hard-links-impossible"
    message: ClassVar[str] = "'{path}' cannot hold hard links to {blobs}, which is on another file system"
    hint: ClassVar[str] = "use --view-links copy or symlink, or keep the blobs there (vmcatcher store init --blobs)"


@dataclass(eq=False)
class BytesUnreadable(MachineError):
    """The disk does not deliver the bytes of a cached image; whether they are right is not known."""

    image: str
    path: str
    why: str
    id: ClassVar[str] = "bytes-unreadable"
    message: ClassVar[str] = "image {image}: {path} cannot be read: {why}"
    hint: ClassVar[str] = "check the disk (dmesg); where the file is lost, remove it, and it is fetched again"
