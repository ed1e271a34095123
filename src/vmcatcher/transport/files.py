"""Read lists and images from files of this machine: regular files only, never through a link at the end of the path."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from vmcatcher.errors.answer import BodyTooLong, BodyTooShort, BodyTruncated
from vmcatcher.errors.network import FileImageRefused, FileMissing, FileUnreadable, NotARegularFile
from vmcatcher.transport.pouring import Funnel
from vmcatcher.transport.results import Fetched, ImageFetched, Validators

if TYPE_CHECKING:
    from vmcatcher.model.location import Location
    from vmcatcher.transport.images import ImageOrder
    from vmcatcher.transport.limits import Clock

# Without O_NONBLOCK the open of a named pipe waits for a writer, for ever.
_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_KINDS: Final = {
    stat.S_IFBLK: "a block device",
    stat.S_IFCHR: "a character device",
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
}


def read_list(location: Location, *, limit: int) -> Fetched:
    """Return the list in a file, at most `limit` bytes. There are no validators: reading it costs less than asking.

    Raises:
        FileMissing, FileUnreadable: there is no such file, or the operating system does not give it.
        NotARegularFile: a symbolic link, directory, device, socket or pipe.
        BodyTooLong: it holds more than `limit` bytes.
    """
    url = str(location)
    with _opened(location) as (descriptor, size):
        if size > limit:
            raise BodyTooLong(url=url, limit=limit)
        body = bytearray()
        # Read to the end whatever fstat said: the file may just be growing.
        while piece := _read(descriptor, limit + 1 - len(body), url):
            body += piece
            if len(body) > limit:
                raise BodyTooLong(url=url, limit=limit)
    return Fetched(bytes(body), Validators(), url, "")


def read_image(order: ImageOrder, clock: Clock, *, offset: int, validator: str | None) -> ImageFetched:
    """Hand the bytes of an image in a file to the sink, from `offset` on if `validator` or the digest vouches for it.

    Raises:
        FileImageRefused: the subscription may not fetch files of this machine.
        FileMissing, FileUnreadable, NotARegularFile: as for `read_list`.
        BodyTooLong, BodyTooShort, BodyTruncated: the file is not as long as the image.
    """
    url = str(order.location)
    if not order.access.file_images:
        raise FileImageRefused(url=url)
    with _opened(order.location) as (descriptor, size):
        if size > order.size:
            raise BodyTooLong(url=url, limit=order.size)
        if size < order.size:
            raise BodyTooShort(url=url, expected=order.size, offered=size, content_type="file")
        current = _validator(descriptor)
        position = offset if (validator == current or order.by_digest) and offset <= size else 0
        if position != offset:
            order.sink.restart()
        order.sink.remember(current)
        os.lseek(descriptor, position, os.SEEK_SET)
        # Only advice: what cannot read ahead further reads as it always does.
        with contextlib.suppress(OSError):
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_SEQUENTIAL)
        funnel = Funnel(order.sink, clock, url=url, size=order.size, position=position)
        funnel.pour(lambda view: _read_into(descriptor, view, url), lambda _: None)
    if funnel.position < order.size:
        raise BodyTruncated(url=url, expected=order.size, got=funnel.position)
    return ImageFetched(url, funnel.position - position, position)


@contextlib.contextmanager
def _opened(location: Location) -> Iterator[tuple[int, int]]:
    """Open a regular file; give its descriptor and its size."""
    url, path = str(location), location.file_path
    try:
        descriptor = os.open(path, _FLAGS)
    except FileNotFoundError as exc:
        raise FileMissing(url=url) from exc
    except OSError as exc:
        if exc.errno == errno.ELOOP:
            raise NotARegularFile(url=url, found="a symbolic link") from exc
        if exc.errno == errno.ENXIO:
            raise NotARegularFile(url=url, found=_KINDS[stat.S_IFSOCK]) from exc
        raise FileUnreadable(url=url, why=exc.strerror or "unknown") from exc
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            kind = _KINDS.get(stat.S_IFMT(status.st_mode), "something else")
            raise NotARegularFile(url=url, found=kind)
        yield descriptor, status.st_size
    finally:
        os.close(descriptor)


def _validator(descriptor: int) -> str:
    status = os.fstat(descriptor)
    return f'"{status.st_dev:x}-{status.st_ino:x}-{status.st_size:x}-{status.st_mtime_ns:x}-{status.st_ctime_ns:x}"'


def _read(descriptor: int, count: int, url: str) -> bytes:
    try:
        return os.read(descriptor, count)
    except OSError as exc:
        raise FileUnreadable(url=url, why=exc.strerror or "unknown") from exc


def _read_into(descriptor: int, view: memoryview, url: str) -> int:
    try:
        return os.readv(descriptor, [view])
    except OSError as exc:
        raise FileUnreadable(url=url, why=exc.strerror or "unknown") from exc
