"""Image bytes by their SHA-512: whether they are there, whether they are still right, and where they go when not."""

from __future__ import annotations

import os
import secrets
import stat
from typing import TYPE_CHECKING

from vmcatcher.errors.store import NotOurFile
from vmcatcher.model.instant import view_stamp
from vmcatcher.model.record import Fingerprint
from vmcatcher.store import files, reading
from vmcatcher.store.hashing import digest_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from vmcatcher.model.identity import Sha512
    from vmcatcher.model.record import CacheRecord
    from vmcatcher.store.layout import Layout


def has_blob(layout: Layout, sha512: Sha512, size_bytes: int) -> bool:
    """Tell whether the bytes are there, by name and size; whether they are still right is what a check tells."""
    try:
        found = os.lstat(layout.blob(sha512))
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_size == size_bytes


def is_renewed(layout: Layout, sha512: Sha512, size_bytes: int) -> bool:
    """Tell whether the bytes are there, by name and size, and have them count as new from now on.

    Whoever adopts them may take a while until a record names them; meanwhile nothing else keeps them from being pruned.

    Raises:
        StoreReadOnly, StoreInputOutput: their time is what it was.
    """
    if not has_blob(layout, sha512, size_bytes):
        return False
    try:
        files.renew(layout.blob(sha512))
    except FileNotFoundError:
        return False
    return True


def bytes_of(layout: Layout, record: CacheRecord) -> str:
    """Return where the bytes of a version are: among the blobs, or where corrupt ones were put aside."""
    if record.set_aside is not None:
        return os.path.join(layout.root, record.set_aside)
    return layout.blob(record.sha512)


def fingerprint(layout: Layout, sha512: Sha512, now: datetime) -> Fingerprint | None:
    """Return what the file system says of a blob now; None where nothing of that name is.

    Something that is no regular file has a fingerprint, too: it is looked at, and found not to be the bytes.
    """
    try:
        found = os.lstat(layout.blob(sha512))
    except OSError:
        return None
    return Fingerprint(now, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)


def _always() -> bool:
    return True


def is_intact(layout: Layout, sha512: Sha512, size_bytes: int, goes_on: Callable[[], bool] = _always) -> bool:
    """Read a blob and tell whether its bytes have the size and the digest of its name; may be called from any thread.

    `goes_on` is asked again and again; where it says no the answer is no, and means nothing.

    Raises:
        FileNotFoundError: it is not there.
        StoreInputOutput: the disk could not deliver the bytes; that says nothing about them.
    """
    path = layout.blob(sha512)
    try:
        descriptor = reading.open_regular(path)
    except NotOurFile:
        return False
    with reading.reported(path):
        try:
            if os.fstat(descriptor).st_size != size_bytes:
                return False
            return digest_of(descriptor, size_bytes, goes_on) == sha512
        finally:
            os.close(descriptor)


def quarantine(layout: Layout) -> str:
    """Return the directory for bytes that are not what their name says, on the file system of the blobs."""
    return layout.quarantine if layout.has_own_blobs else os.path.join(layout.blobs, "quarantine")


def place_aside(layout: Layout, sha512: Sha512, now: datetime) -> str:
    """Return where bytes that are not what their name says are to be put: a free place, relative to the store.

    It is absolute where the blobs lie elsewhere: a file cannot be renamed across file systems.
    """
    place = os.path.join(quarantine(layout), f"{sha512}.{view_stamp(now)}.{secrets.token_hex(4)}")
    return os.path.relpath(place, layout.root) if layout.has_own_blobs else place


def set_aside(layout: Layout, sha512: Sha512, place: str) -> bool:
    """Take bytes that are not what their name says out of the blobs; False when none are there. Doing it again is safe.

    Raises:
        StoreFull, StoreReadOnly, StoreInputOutput: they are where they were.
    """
    destination = os.path.join(layout.root, place)
    if os.path.lexists(destination):
        return False
    files.make_directory(os.path.dirname(destination))
    try:
        files.retire(layout.blob(sha512), destination)
    except FileNotFoundError:
        return False
    return True
