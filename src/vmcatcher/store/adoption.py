"""Files older than the store, taken into it as blobs: by a second name where that can be, else by a copy."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import quote

from vmcatcher.errors.importing import FileNotAdopted
from vmcatcher.errors.store import NotOurFile, StoreInputOutput, StoreReadOnly, WrongBytes
from vmcatcher.model.identity import Sha512
from vmcatcher.store import blobs, files, reading, views
from vmcatcher.store.downloads import Download

if TYPE_CHECKING:
    from vmcatcher.store.layout import Layout

Way = Literal["there", "linked", "copied"]
_CHUNK: Final = 2**20


@dataclass(frozen=True, slots=True)
class Found:
    """A regular file with the digest of its bytes, as they were read from it."""

    path: str
    sha512: Sha512
    size_bytes: int
    status: os.stat_result

    def is_same(self, other: os.stat_result) -> bool:
        """Tell whether another look found the same file, untouched since its bytes were read."""
        return _identity(self.status) == _identity(other)


def _identity(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def look_at(path: str) -> Found:
    """Read a file and return what it is.

    Raises:
        FileNotAdopted: it is no regular file, it is gone, or it changed while it was read.
        StoreReadOnly, StoreInputOutput: it cannot be read.
    """
    digest = hashlib.sha512()
    try:
        descriptor = reading.open_regular(path)
    except (FileNotFoundError, NotOurFile) as exc:
        raise FileNotAdopted(path=path, why="it is no regular file, or gone by now") from exc
    with reading.reported(path), os.fdopen(descriptor, "rb", buffering=0) as source:
        status = os.fstat(descriptor)
        buffer = memoryview(bytearray(_CHUNK))
        while count := source.readinto(buffer):
            digest.update(buffer[:count])
        if _identity(status) != _identity(os.fstat(descriptor)):
            raise _changed(path)
    return Found(path, Sha512(digest.hexdigest()), status.st_size, status)


def _changed(path: str) -> FileNotAdopted:
    return FileNotAdopted(path=path, why="it changed while it was read; is the classic vmcatcher still running?")


def may_be_linked(layout: Layout, path: str) -> bool:
    """Tell whether a file lies on the file system of the blobs, also of a store that is yet to be made."""
    place = layout.partial
    while not os.path.lexists(place) and place != os.path.dirname(place):
        place = os.path.dirname(place)
    try:
        return os.stat(place).st_dev == os.lstat(path).st_dev
    except OSError:
        return False


def is_blob(layout: Layout, path: str, sha512: Sha512) -> bool:
    """Tell whether a file is, by a second name, the blob of that digest."""
    try:
        here, there = os.lstat(path), os.lstat(layout.blob(sha512))
    except OSError:
        return False
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)


def adopt(layout: Layout, found: Found, *, may_copy: bool) -> Way | None:
    """Have the bytes of a file as a blob; return how it came to be, None where it would have to be a copy and may not.

    The file keeps its name and its bytes; where the blob is its second name, nobody may write to either any more. The
    blob gets the time of now, however old the file is: until a record names it, its age is all that keeps it from
    being pruned.

    Raises:
        FileNotAdopted: the file changed after it was looked at.
        StoreFull, StoreReadOnly, StoreInputOutput: about the store.
    """
    if blobs.is_renewed(layout, found.sha512, found.size_bytes):
        return "there"
    files.make_directory(layout.partial)
    files.make_directory(os.path.dirname(layout.blob(found.sha512)))
    if _link(layout, found):
        return "linked"
    if not may_copy:
        return None
    _copy(layout, found)
    return "copied"


def _link(layout: Layout, found: Found) -> bool:
    # A temporary name: what a crash leaves of it is swept away by a later cache run.
    temporary = os.path.join(layout.partial, files.temporary_name())
    try:
        files.copy_in(found.path, temporary, hard=True)
    except (StoreReadOnly, StoreInputOutput):
        # Another file system, or a file of another user (protected_hardlinks), or too many names.
        return False
    try:
        if not found.is_same(os.lstat(temporary)):
            raise _changed(found.path)
        files.renew(temporary)
        descriptor = reading.open_regular(temporary)
        try:
            files.finish(descriptor, temporary)
        finally:
            os.close(descriptor)
        files.adopt(temporary, layout.blob(found.sha512))
    except StoreReadOnly:
        # Only its owner may take away the right to write to it.
        return False
    finally:
        files.drop(temporary)
    return True


def _copy(layout: Layout, found: Found) -> None:
    uri = f"file://{quote(os.fsencode(os.path.abspath(found.path)))}"
    with (
        Download(layout, found.sha512, found.size_bytes, uri=uri) as download,
        reading.reported(found.path),
        os.fdopen(reading.open_regular(found.path), "rb", buffering=0) as source,
    ):
        download.remember(None)
        source.seek(download.size)
        buffer = memoryview(bytearray(_CHUNK))
        try:
            while count := source.readinto(buffer):
                download.write(buffer[:count])
            download.commit()
        except WrongBytes as exc:
            download.discard()
            raise _changed(found.path) from exc


def hand_over(layout: Layout, found: Found) -> None:
    """Put a link to the blob in the place of the file that it was made from; the bytes are in the store from now on.

    Raises:
        FileNotAdopted: the file changed after it was looked at, or the blob is not what its name says.
        StoreReadOnly, StoreInputOutput: about the directory; the file is still there.
    """
    try:
        status = os.lstat(found.path)
    except FileNotFoundError as exc:
        raise _changed(found.path) from exc
    if not is_blob(layout, found.path, found.sha512):
        if not found.is_same(status):
            raise _changed(found.path)
        # The last thing that is done to these bytes: be sure that the others are there.
        if not blobs.is_intact(layout, found.sha512, found.size_bytes):
            raise FileNotAdopted(path=found.path, why=f"the blob {found.sha512} does not have these bytes")
    directory = os.path.dirname(os.path.abspath(found.path))
    files.link(views.link_target(layout, directory, layout.blob(found.sha512)), found.path)
