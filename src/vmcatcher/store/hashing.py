"""SHA-512 of image bytes: beside whoever writes them, and of files that are there."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

# Small enough to be still in the processor's cache when it is hashed.
PIECE_BYTES: Final = 2**18
"""How much of a file is read at a time."""
# Handing a chunk to another thread takes as long as hashing a few KiB.
_WORTHWHILE_BYTES: Final = 2**16


class Hasher:
    """Hashes chunks in their order, the large ones in a thread of its own, while the caller does something else.

    `ring` says how many buffers the caller fills in turn: a chunk is left alone no longer than until `ring` - 1 more
    were handed over. With 1 it was hashed when `update` returns, and no thread is needed. What goes wrong in the
    thread is raised by a later `update`, at the latest by `hexdigest`.
    """

    def __init__(self, *, ring: int) -> None:
        self._ring = ring
        self._digest = hashlib.sha512()
        self._thread: ThreadPoolExecutor | None = None
        self._waiting: deque[Future[None]] = deque()

    def update(self, chunk: memoryview) -> None:
        """Hash `chunk` after everything that was handed over before."""
        if self._ring == 1 or len(chunk) < _WORTHWHILE_BYTES:
            self.wait()
            self._digest.update(chunk)
            return
        if self._thread is None:
            # Where nothing is downloaded the module is not needed, and its import is not free.
            from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - see above

            self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="hasher")
        self._waiting.append(self._thread.submit(self._digest.update, chunk))
        self.wait(at_most=self._ring - 1)

    def wait(self, *, at_most: int = 0) -> None:
        """Return when no more than `at_most` chunks are still to be hashed."""
        while len(self._waiting) > at_most:
            self._waiting.popleft().result()

    def restart(self) -> None:
        """Forget everything; the next chunk is the first."""
        self.wait()
        self._digest = hashlib.sha512()

    def hexdigest(self) -> str:
        """Return the digest of everything that was handed over."""
        self.wait()
        return self._digest.hexdigest()

    def close(self) -> None:
        """End the thread; of what was handed over, nothing but the chunk that it is at is waited for.

        There is no digest after that, unless everything had been waited for; `restart` begins another one.
        """
        if self._thread is not None:
            self._thread.shutdown(cancel_futures=True)
            self._thread = None
        self._waiting.clear()


def chunks(descriptor: int, size_bytes: int) -> Iterator[memoryview]:
    """Yield the bytes of a file from where it stands to its end, in one buffer: each piece only holds until the next.

    `size_bytes` is what there should be; a smaller file needs a smaller buffer.

    Raises:
        OSError: the disk could not deliver them.
    """
    # Only advice: what cannot read ahead further reads as it always does.
    with contextlib.suppress(OSError):
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_SEQUENTIAL)
    buffer = memoryview(bytearray(max(1, min(PIECE_BYTES, size_bytes))))
    while count := os.readv(descriptor, [buffer]):
        yield buffer[:count]


def digest_of(descriptor: int, size_bytes: int, goes_on: Callable[[], bool]) -> str | None:
    """Return the SHA-512 of an open file; None if `goes_on` said no in the middle. Raises as `chunks`.

    `goes_on` is asked once for each `PIECE_BYTES` that were read.
    """
    digest = hashlib.sha512()
    for chunk in chunks(descriptor, size_bytes):
        if not goes_on():
            return None
        digest.update(chunk)
    return digest.hexdigest()
