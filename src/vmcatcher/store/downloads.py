"""Downloads in flight, and how they become blobs.

A download is counted and hashed while it is written, so that nothing is read twice; only one that goes on where an
earlier run stopped is read once more up to there. Hashing has a thread of its own; whatever changes the tree happens
in the thread of the caller. A download has one writer, ever: what another process may still write to,
or what has a second name (a hard-linked backup), is copied first.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
from typing import TYPE_CHECKING, Final

from vmcatcher.errors.store import NotOurFile, StoreFull, StoreInputOutput, WrongBytes
from vmcatcher.store import files, reading
from vmcatcher.store.hashing import Hasher, chunks
from vmcatcher.store.lefts import NOTES, Left, drop_abandoned, is_own_name, lefts, sweep

if TYPE_CHECKING:
    from vmcatcher.model.identity import Sha512
    from vmcatcher.store.layout import Layout

__all__ = ["Download", "Left", "is_own_name", "lefts", "sweep"]

# How often free space is looked at while a download grows: others write to the same disk.
_SPACE_STEP: Final = 64 * 2**20
_RESERVE: Final = 2**20
# How much may wait in memory before the disk is asked to begin with it. Else it begins when the last byte is here, and
# the sync at the end waits for all of them.
_DISK_STEP: Final = 16 * 2**20


class Download:
    """A download in flight: a sink for bytes that becomes a blob when they are the promised ones.

    Use it as a context manager; left without `commit`, what came so far stays and the next run goes on from there.
    """

    def __init__(self, layout: Layout, sha512: Sha512, size_bytes: int, *, uri: str, ring: int = 1) -> None:
        """Describe the download; `uri` is where the first bytes are going to come from.

        `ring` is how many buffers the caller fills in turn, so that chunks can be hashed while the next ones arrive;
        see `Hasher`.
        """
        self._layout = layout
        self._sha512 = sha512
        self._expected = size_bytes
        self._uri = uri
        self._path = os.path.join(layout.partial, f"{sha512}.{os.getpid()}-{secrets.token_hex(6)}")
        self._digest = Hasher(ring=ring)
        self._descriptor = -1
        self._since_look = 0
        self._at_disk = 0
        self._noted: tuple[str, str | None] | None = None
        """Where the last bytes came from, and what named their version there."""
        self.size = 0

    def __enter__(self) -> Download:
        files.make_directory(self._layout.partial)
        left = self._best_left()
        try:
            if left is None or not self._take_over(left):
                self._demand_space(self._expected)
                self._descriptor = files.begin(self._path)
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._close()
        if self.size == 0:
            self.discard()

    @property
    def validator(self) -> str | None:
        """What names the version at the place that is asked now, if the last bytes came from there."""
        return self._noted[1] if self._noted is not None and self._noted[0] == self._uri else None

    @property
    def is_from_elsewhere(self) -> bool:
        """Tell whether the last bytes came from another place than the one that is asked now."""
        return self.size > 0 and self._noted is not None and self._noted[0] != self._uri

    def turn_to(self, uri: str) -> None:
        """Take note that the next bytes come from there."""
        self._uri = uri

    def write(self, chunk: memoryview) -> None:
        """Take the next bytes.

        Raises:
            StoreFull: no space is left; what came before is kept.
            StoreInputOutput: the disk did not take them; the download is gone, for nobody knows what is on it.
            WrongBytes: more bytes than the list promises.
        """
        if self.size + len(chunk) > self._expected:
            raise self._wrong("size", str(self._expected), f"more than {self.size + len(chunk) - 1}")
        self._since_look += len(chunk)
        if self._since_look >= _SPACE_STEP:
            self._since_look = 0
            self._demand_space(self._expected - self.size)
        self._demand_own_file()
        try:
            with reading.reported(self._path, needed_bytes=self._expected - self.size):
                files.write_all(self._descriptor, chunk)
        except StoreInputOutput:
            self.discard()
            raise
        self._digest.update(chunk)
        self.size += len(chunk)
        self._begin_to_store()

    def restart(self) -> None:
        """Forget every byte: the server starts again from the first one."""
        self._demand_own_file()
        files.clear(self._descriptor, self._path)
        self._digest.restart()
        self.size = self._at_disk = 0

    def remember(self, validator: str | None) -> None:
        """Note what names the server's version, so that a later run can ask for the rest of just that one."""
        if self._noted != (self._uri, validator) or not os.path.exists(self._path + NOTES):
            self._note(self._uri, validator)

    def _note(self, uri: str, validator: str | None) -> None:
        self._noted = (uri, validator)
        files.put_json(
            self._path + NOTES,
            {"uri": uri, "validator": validator, "host": socket.gethostname(), "pid": os.getpid()},
        )

    def commit(self) -> None:
        """Make the bytes a blob, if they are the promised ones. The rename is the commit.

        Raises:
            WrongBytes: another size or digest; bytes of another digest are forgotten, for a new beginning.
            StoreInputOutput: the disk did not take them; the partial is removed, because syncing it again would only
                seem to succeed.
        """
        if self.size != self._expected:
            raise self._wrong("size", str(self._expected), str(self.size))
        found = self._digest.hexdigest()
        if found != self._sha512:
            self.restart()
            raise self._wrong("SHA-512", self._sha512, found)
        try:
            files.finish(self._descriptor, self._path)
        except StoreInputOutput:
            self.discard()
            raise
        blob = self._layout.blob(self._sha512)
        files.make_directory(os.path.dirname(blob))
        files.adopt(self._path, blob)
        files.drop(self._path + NOTES)
        drop_abandoned(self._layout, self._sha512)

    def discard(self) -> None:
        """Remove the partial: its bytes are of no use to anybody."""
        files.drop(self._path)
        files.drop(self._path + NOTES)
        self.size = 0

    def _close(self) -> None:
        self._digest.close()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _wrong(self, what: str, expected: str, found: str) -> WrongBytes:
        return WrongBytes(uri=self._uri, what=what, expected=expected, found=found)

    def _demand_space(self, needed: int) -> None:
        free = reading.free_bytes(self._layout.partial)
        if free is not None and free < needed + _RESERVE:
            raise StoreFull(path=self._path, needed_bytes=needed, free_bytes=free)

    def _begin_to_store(self) -> None:
        """Have the disk begin with what came since the last time, without waiting for it.

        Nothing can be lost by it: what fails in the background is what the sync at the end reports.
        """
        if self.size - self._at_disk < _DISK_STEP:
            return
        # Linux begins to write what it is told that nobody needs, and keeps it in memory until it is on disk.
        with contextlib.suppress(OSError):
            os.posix_fadvise(self._descriptor, self._at_disk, self.size - self._at_disk, os.POSIX_FADV_DONTNEED)
        self._at_disk = self.size

    def _demand_own_file(self) -> None:
        """Go on in a copy where the file has got a second name meanwhile, as a hard-linked backup gives it one."""
        if os.fstat(self._descriptor).st_nlink <= 1:
            return
        shared, path = self._descriptor, self._path
        self._path = os.path.join(self._layout.partial, f"{self._sha512}.{os.getpid()}-{secrets.token_hex(6)}")
        self._note(*(self._noted or (self._uri, None)))
        self._descriptor = files.begin(self._path)
        try:
            with reading.reported(self._path, needed_bytes=self._expected):
                os.lseek(shared, 0, os.SEEK_SET)
                for chunk in chunks(shared, self._expected):
                    files.write_all(self._descriptor, chunk)
        finally:
            os.close(shared)
        files.drop(path)
        files.drop(path + NOTES)

    def _best_left(self) -> Left | None:
        found = [left for left in lefts(self._layout, self._sha512) if 0 < left.size <= self._expected]
        return max(found, key=lambda left: left.size, default=None)

    def _take_over(self, left: Left) -> bool:
        """Go on with what an earlier run left; False where that cannot be done.

        Raises:
            StoreFull: there is no space for what is missing; what is left stays as it is.
        """
        self._demand_space(self._expected - (left.size if left.is_ours_alone else 0))
        # The notes first: without them nobody would know, after a crash, what the renamed partial is a part of.
        self._note(left.uri, left.validator)
        try:
            if left.is_ours_alone:
                files.retire(left.path, self._path)
                self._descriptor = files.go_on(self._path)
                self._rehash()
            else:
                self._descriptor = files.begin(self._path)
                self._copy_from(left.path)
        except (FileNotFoundError, NotOurFile, StoreInputOutput):
            self._close()
            self._digest.restart()
            self._noted = None
            self.discard()
            if not os.path.lexists(left.path):
                files.drop(left.path + NOTES)
            return False
        if left.is_abandoned:
            files.drop(left.path)
            files.drop(left.path + NOTES)
        return True

    def _copy_from(self, path: str) -> None:
        with reading.reported(path), os.fdopen(reading.open_regular(path), "rb", buffering=0) as source:
            for chunk in chunks(source.fileno(), self._expected):
                if self.size + len(chunk) > self._expected:
                    return
                self.write(chunk)
                self._digest.wait()

    def _rehash(self) -> None:
        with reading.reported(self._path):
            for chunk in chunks(self._descriptor, self._expected):
                self._digest.update(chunk)
                self._digest.wait()
                self.size += len(chunk)
