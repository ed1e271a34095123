"""The one module that makes, renames, links, unlinks and syncs names on disk.

Four operations change the tree: `put`, `link`, `drop` and `adopt`. Each ends in one rename or unlink, and is on
disk when it returns: the file first, then the directory that names it. A crash inside any of them leaves the old
state plus at most one temporary name, which `sweep` removes later.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import stat

from vmcatcher.errors.store import NoDirectoryThere, NotOurFile, StoreInputOutput
from vmcatcher.store.reading import FILE_MODE, TEMPORARY, open_again, open_regular, reported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Final

SECRET_MODE: Final = 0o600
BLOB_MODE: Final = 0o444
DIRECTORY_MODE: Final = 0o755
_OWN_TEMPORARY: Final = r"\.tmp-[0-9]+-[0-9a-f]{16}"
# What is left of a write this long after is of one that will not go on; also on a host whose processes we cannot see.
LEFT_OVER_S: Final = 3600.0


@contextlib.contextmanager
def _written(path: str, *, needed_bytes: int | None = None) -> Iterator[None]:
    """As `reported`; a name that is missing here is a directory that somebody removed while it was being written to."""
    try:
        with reported(path, needed_bytes=needed_bytes):
            yield
    except FileNotFoundError as exc:
        raise StoreInputOutput(path=path, why="it, or the directory that it belongs in, is gone") from exc


def temporary_name() -> str:
    """Return a fresh name that no other process uses; the process id in it tells whose left-over it is."""
    return f"{TEMPORARY}{os.getpid()}-{os.urandom(8).hex()}"


@contextlib.contextmanager
def _opened_directory(path: str) -> Iterator[int]:
    # One descriptor for the whole operation: what is synced is the directory that was written to, even when
    # somebody renames it meanwhile.
    descriptor = open_again(path or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def write_all(descriptor: int, content: bytes | memoryview) -> None:
    """Write every byte of `content`; a short write goes on where it stopped."""
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def pour_out(path: str, content: bytes) -> None:
    """Write to a pipe or a device that the operator names; OSError where it does not take it."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        write_all(descriptor, content)
    finally:
        os.close(descriptor)


def put(path: str, content: bytes, *, mode: int = FILE_MODE) -> None:
    """Make `path` hold exactly `content`, or leave it as it was.

    The bytes are on disk before the name is, and the name is on disk before this returns.

    Raises:
        NotOurFile: a directory stands at `path`; it is left alone.
        StoreFull, StoreReadOnly, StoreInputOutput: nothing has changed; the temporary file is gone again.
    """
    directory, name = os.path.split(path)
    temporary = temporary_name()
    with _written(path, needed_bytes=len(content)), _opened_directory(directory) as parent:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(temporary, flags, mode, dir_fd=parent)
        try:
            try:
                write_all(descriptor, content)
                # Before the rename: a power cut must never leave the new name with no or half its bytes.
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            os.rename(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)
        except BaseException:
            _forget(temporary, parent)
            raise
        # The name too: without it a power cut can forget a commit that an event has already been told for.
        os.fsync(parent)


def put_json(path: str, document: Mapping[str, object], *, mode: int = FILE_MODE) -> None:
    """Put `document` as sorted, indented JSON that a person can read and `diff`."""
    put(path, json_bytes(document), mode=mode)


def json_bytes(document: object) -> bytes:
    """Return `document` as the store writes JSON: UTF-8, sorted keys, one space of indent, newline at the end."""
    return (json.dumps(document, ensure_ascii=False, sort_keys=True, indent=1) + "\n").encode()


def link(target: str, path: str) -> None:
    """Make `path` a symbolic link to `target`, replacing what link was there, in one rename.

    Raises:
        NotOurFile: a directory stands at `path`; it is left alone.
        StoreFull, StoreReadOnly, StoreInputOutput: nothing has changed.
    """
    directory, name = os.path.split(path)
    temporary = temporary_name()
    with _written(path), _opened_directory(directory) as parent:
        os.symlink(target, temporary, dir_fd=parent)
        _settle(temporary, name, parent)


def copy_in(source: str, path: str, *, hard: bool) -> None:
    """Make `path` a hard link to (`hard`) or a synced copy of the regular file `source`, in one rename.

    For views that are consumed without the blobs beside them. Raises as `link`.
    """
    directory, name = os.path.split(path)
    temporary = temporary_name()
    with _written(path), _opened_directory(directory) as parent:
        if hard:
            os.link(source, temporary, dst_dir_fd=parent)
        else:
            _copy(source, temporary, parent)
        _settle(temporary, name, parent)
        if hard:
            # Where `path` was a hard link to `source` already, the rename did nothing: both are still there (POSIX).
            _forget(temporary, parent)


def _copy(source: str, temporary: str, parent: int) -> None:
    import shutil  # noqa: PLC0415 - it loads every compression there is; few views are copies

    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, BLOB_MODE, dir_fd=parent)
    try:
        with os.fdopen(descriptor, "wb") as sink, os.fdopen(open_regular(source), "rb") as bytes_in:
            shutil.copyfileobj(bytes_in, sink, 2**20)
            sink.flush()
            os.fsync(sink.fileno())
    except BaseException:
        _forget(temporary, parent)
        raise


def _settle(temporary: str, name: str, parent: int) -> None:
    try:
        os.rename(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)
    except BaseException:
        _forget(temporary, parent)
        raise
    os.fsync(parent)


def drop(path: str) -> bool:
    """Remove the name `path`; return False when there was none.

    Raises:
        NotOurFile: a directory stands at `path`; those are never removed.
        StoreReadOnly, StoreInputOutput: the name is still there.
    """
    directory, name = os.path.split(path)
    with reported(path):
        try:
            with _opened_directory(directory) as parent:
                os.unlink(name, dir_fd=parent)
                os.fsync(parent)
        except FileNotFoundError:
            return False
    return True


def adopt(path: str, destination: str) -> None:
    """Turn the finished file `path` into `destination`, in one rename.

    Raises:
        FileNotFoundError: `path` is gone.
        NotOurFile: it is no regular file any more, or `destination` is a directory.
        StoreFull, StoreReadOnly, StoreInputOutput: nothing has changed.
    """
    source_directory, source_name = os.path.split(path)
    directory, name = os.path.split(destination)
    with (
        reported(destination),
        _opened_directory(source_directory) as source_parent,
        _opened_directory(directory) as parent,
    ):
        found = os.stat(source_name, dir_fd=source_parent, follow_symlinks=False)
        if not stat.S_ISREG(found.st_mode):
            raise NotOurFile(path=path, found="something that is no regular file")
        os.rename(source_name, name, src_dir_fd=source_parent, dst_dir_fd=parent)
        os.fsync(parent)
        os.fsync(source_parent)


def renew(path: str) -> None:
    """Give the file `path` the time of now, as if it had just been written: somebody relies on it from here on.

    Raises:
        FileNotFoundError: it is gone.
        StoreReadOnly, StoreInputOutput: its time is what it was.
    """
    with reported(path):
        os.utime(path, follow_symlinks=False)


def make_directory(path: str, *, mode: int = DIRECTORY_MODE) -> bool:
    """Make the directory `path` and those above it that are missing; return False when it was there already."""
    if os.path.isdir(path):
        return False
    parent = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(parent):
        make_directory(parent, mode=mode)
    with _written(path):
        try:
            os.mkdir(path, mode)
        except FileExistsError:
            if not os.path.isdir(path):
                raise NotOurFile(path=path, found="something that is no directory") from None
            return False
        except FileNotFoundError as exc:
            if os.path.isdir(parent):
                raise NoDirectoryThere(path=path, above=parent) from exc
            raise
        with _opened_directory(parent) as descriptor:
            os.fsync(descriptor)
    return True


def drop_directory(path: str) -> bool:
    """Remove the directory `path` if it is there and empty; return False when it stays."""
    with reported(path):
        try:
            os.rmdir(path)
        except FileNotFoundError:
            return False
        except OSError as exc:
            if exc.errno in (errno.ENOTEMPTY, errno.EEXIST):
                return False
            raise
        with _opened_directory(os.path.dirname(path)) as parent:
            os.fsync(parent)
    return True


def retire(path: str, destination: str) -> None:
    """Move a file or directory of ours to another name on the same file system, on disk when this returns."""
    with reported(destination):
        os.rename(path, destination)
        for directory in {os.path.dirname(path), os.path.dirname(destination)}:
            with _opened_directory(directory) as descriptor:
                os.fsync(descriptor)


def set_mode(path: str, mode: int) -> None:
    """Give the file or directory at `path` itself, never what a link leads to, these permissions."""
    with reported(path):
        descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if stat.S_ISLNK(os.fstat(descriptor).st_mode):
                raise NotOurFile(path=path, found="a symbolic link")
            os.chmod(f"/proc/self/fd/{descriptor}", mode)
        finally:
            os.close(descriptor)


def begin(path: str) -> int:
    """Make the new regular file `path`, for a download that grows, and return its descriptor for reading and writing.

    Raises:
        FileExistsError: the name is taken.
        StoreFull, StoreReadOnly, StoreInputOutput: there is no such file.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with _written(path):
        return os.open(path, flags, FILE_MODE)


def go_on(path: str) -> int:
    """Open the regular file `path` that an earlier run began; return its descriptor. Raises as `open_regular`.

    One that was finished, but not adopted before that run was killed, may be written to again.
    """
    descriptor = open_regular(path)
    try:
        mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
        # Only root may open a read-only file for writing: for everybody else that download would never come to its end.
        if not mode & stat.S_IWUSR:
            with reported(path):
                os.chmod(descriptor, mode | stat.S_IWUSR)
    finally:
        os.close(descriptor)
    return open_regular(path, os.O_RDWR)


def clear(descriptor: int, path: str) -> None:
    """Forget every byte of the open file `path` and stand at its beginning."""
    with reported(path):
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)


def finish(descriptor: int, path: str) -> None:
    """Have the bytes of the open file `path` on disk, and nobody write to it any more, as `adopt` wants it.

    Raises:
        StoreReadOnly: it belongs to somebody else.
        StoreFull, StoreInputOutput: they are not, and never will be: the kernel forgets what it could not write, so
            that trying again would succeed without them. The file has to be made anew.
    """
    with reported(path):
        # Take the write bits away and add none: the umask of whoever began the download still holds. Before the sync,
        # which takes the mode along: else a power cut could leave a blob that may be written to.
        os.chmod(descriptor, os.fstat(descriptor).st_mode & BLOB_MODE)
        os.fsync(descriptor)


def sweep(directory: str, *, now_s: float, older_s: float = LEFT_OVER_S) -> int:
    """Remove temporary names that a crash left in `directory`; return how many.

    Only names older than `older_s` seconds go, so that a writer of another host is never disturbed, and only names
    that `temporary_name` could have made: the directory may be the operator's, with files of others in it.
    """
    removed = 0
    with contextlib.suppress(FileNotFoundError), reported(directory), os.scandir(directory) as entries:
        for entry in entries:
            if not re.fullmatch(_OWN_TEMPORARY, entry.name) or entry.is_dir(follow_symlinks=False):
                continue
            with contextlib.suppress(FileNotFoundError):
                if now_s - entry.stat(follow_symlinks=False).st_mtime > older_s:
                    os.unlink(entry.path)
                    removed += 1
    return removed


def _forget(temporary: str, parent: int) -> None:
    with contextlib.suppress(OSError):
        os.unlink(temporary, dir_fd=parent)
