"""Reading names and bytes on disk: what is there and readable, or the error that says who has to do what.

Nothing here changes the tree; `files` does that. Queries load this half alone.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat

from vmcatcher.errors.store import NotOurFile, StoreFull, StoreInputOutput, StoreReadOnly, StoreUnreadable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

FILE_MODE: Final = 0o644
# A temporary name starts with a dot, which no identifier does, and never ends like a committed file, so no reader
# that looks for `*.json` or an image identifier can take one for the real thing.
TEMPORARY: Final = ".tmp-"
_LONGEST_DOCUMENT: Final = 64 * 2**20
_NO_SPACE: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NOT_ALLOWED: Final = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
# NFS answers ESTALE for a name that was replaced on another host between lookup and open; looking again helps.
_STALE_TRIES: Final = 10


@contextlib.contextmanager
def reported(path: str, *, needed_bytes: int | None = None) -> Iterator[None]:
    """Turn an OSError about `path` into the error that says who has to do what.

    FileNotFoundError and FileExistsError pass unchanged: callers decide what an absent or present name means.
    """
    try:
        yield
    except (FileNotFoundError, FileExistsError):
        raise
    except OSError as exc:
        why = exc.strerror or str(exc)
        if exc.errno in _NO_SPACE:
            free = free_bytes(os.path.dirname(path))
            raise StoreFull(path=path, needed_bytes=needed_bytes, free_bytes=free) from exc
        if exc.errno in _NOT_ALLOWED:
            raise StoreReadOnly(path=path, why=why) from exc
        if exc.errno == errno.EISDIR:
            raise NotOurFile(path=path, found="a directory") from exc
        if exc.errno == errno.ENOTDIR:
            raise NotOurFile(path=path, found="a file where a directory above it should be") from exc
        if exc.errno == errno.EXDEV:
            raise StoreReadOnly(path=path, why=f"{why} (both names have to be on one file system)") from exc
        raise StoreInputOutput(path=path, why=why) from exc


@contextlib.contextmanager
def _read(path: str) -> Iterator[None]:
    """As `reported`, for what is only read: a refusal is about reading."""
    try:
        with reported(path):
            yield
    except StoreReadOnly as exc:
        raise StoreUnreadable(path=path, why=exc.why) from exc.__cause__


def free_bytes(directory: str) -> int | None:
    """Return the bytes that this user may still write below `directory`, or None where that cannot be told."""
    try:
        status = os.statvfs(directory or ".")
    except OSError:
        return None
    return status.f_bavail * status.f_frsize


def open_again(path: str, flags: int, mode: int = FILE_MODE) -> int:
    """Open `path` as `os.open` does, again where NFS says that the name was replaced in between."""
    for _ in range(_STALE_TRIES - 1):
        try:
            return os.open(path, flags, mode)
        except OSError as exc:
            if exc.errno != errno.ESTALE:
                raise
    return os.open(path, flags, mode)


def open_regular(path: str, flags: int = os.O_RDONLY, *, mode: int = FILE_MODE) -> int:
    """Open `path`, which has to be a regular file, and return the descriptor.

    A symbolic link, FIFO, device or directory planted there neither blocks nor leads elsewhere.

    Raises:
        FileNotFoundError: nothing is there.
        NotOurFile: something else than a regular file is.
    """
    flags |= os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = open_again(path, flags, mode)
    except OSError as exc:
        if exc.errno == errno.ELOOP:
            raise NotOurFile(path=path, found="a symbolic link") from exc
        if exc.errno in (errno.EISDIR, errno.ENXIO):
            raise NotOurFile(path=path, found="a directory, FIFO or device") from exc
        with reported(path) if flags & os.O_ACCMODE else _read(path):
            raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotOurFile(path=path, found="a directory, FIFO or device")
    return descriptor


def read(path: str, *, limit_bytes: int = _LONGEST_DOCUMENT) -> bytes:
    """Return the bytes of the regular file `path`, at most `limit_bytes` of them.

    Raises:
        FileNotFoundError: nothing is there.
        NotOurFile: something else than a regular file is, or it is longer than any file of its kind may be.
        StoreInputOutput: the disk could not deliver the bytes.
    """
    descriptor = open_regular(path)
    try:
        with _read(path):
            content = _all_of(descriptor, limit_bytes + 1)
    finally:
        os.close(descriptor)
    if len(content) > limit_bytes:
        raise NotOurFile(path=path, found=f"a file of more than {limit_bytes} bytes")
    return content


def glance(path: str, most_bytes: int = _LONGEST_DOCUMENT) -> bytes:
    """Return up to `most_bytes` from the beginning of the regular file `path`; nothing where something else is there.

    For what can be done without: a listing reads a thousand files, and asks for none of the reasons.

    Raises:
        OSError: nothing is there, or it cannot be had.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor)
        return os.read(descriptor, min(found.st_size, most_bytes)) if stat.S_ISREG(found.st_mode) else b""
    finally:
        os.close(descriptor)


def _all_of(descriptor: int, most_bytes: int) -> bytes:
    # No more room than it takes: a buffer for the longest document would be mapped and unmapped for each small one.
    pieces = []
    left = most_bytes
    while left > 0 and (piece := os.read(descriptor, min(left, os.fstat(descriptor).st_size + 1))):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


def names(directory: str) -> list[str]:
    """Return the committed names in `directory`, sorted; an absent directory has none."""
    with _read(directory):
        try:
            found = os.listdir(directory)
        except FileNotFoundError:
            return []
    return sorted(name for name in found if not name.startswith(TEMPORARY))


def directories(directory: str) -> list[str]:
    """Return the names of the directories in `directory`, sorted; an absent directory has none."""
    with _read(directory):
        try:
            with os.scandir(directory) as entries:
                return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
        except FileNotFoundError:
            return []
