"""Downloads in flight, and how they become blobs.

A download is counted and hashed while it is written, so that nothing is read twice; only one that goes on where an
earlier run stopped is read once more up to there. It has one writer, ever: what another process may still write to,
or what has a second name (a hard-linked backup), is copied first.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
import socket
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from vmcatcher.errors.store import NotOurFile, StoreFull, StoreInputOutput, WrongBytes
from vmcatcher.model.identity import Sha512
from vmcatcher.store import files

if TYPE_CHECKING:
    from vmcatcher.store.layout import Layout

_CHUNK: Final = 2**20
# How often free space is looked at while a download grows: others write to the same disk.
_SPACE_STEP: Final = 64 * 2**20
_RESERVE: Final = 2**20
_NOTES: Final = ".json"
# `<digest>.<process id>-<random>`; no image identifier is that long, so a link of the view cannot be taken for one.
_NAME: Final = re.compile(r"([0-9a-f]{128})\.[0-9]+-[0-9a-f]{12}")


class Download:
    """A download in flight: a sink for bytes that becomes a blob when they are the promised ones.

    Use it as a context manager; left without `commit`, what came so far stays and the next run goes on from there.
    """

    def __init__(self, layout: Layout, sha512: Sha512, size_bytes: int, *, uri: str, afresh: bool = False) -> None:
        """Describe the download; `afresh` begins with the first byte, whatever earlier runs left."""
        self._layout = layout
        self._sha512 = sha512
        self._expected = size_bytes
        self._uri = uri
        self._is_afresh = afresh
        self._path = os.path.join(layout.partial, f"{sha512}.{os.getpid()}-{secrets.token_hex(6)}")
        self._digest = hashlib.sha512()
        self._descriptor = -1
        self._since_look = 0
        self.size = 0
        self.validator: str | None = None

    def __enter__(self) -> Download:
        files.make_directory(self._layout.partial)
        left = None if self._is_afresh else self._best_left()
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
        try:
            with files.reported(self._path, needed_bytes=self._expected - self.size):
                files.write_all(self._descriptor, chunk)
        except StoreInputOutput:
            self.discard()
            raise
        self._digest.update(chunk)
        self.size += len(chunk)

    def restart(self) -> None:
        """Forget every byte: the server starts again from the first one."""
        files.clear(self._descriptor, self._path)
        self._digest = hashlib.sha512()
        self.size = 0

    def remember(self, validator: str | None) -> None:
        """Note what names the server's version, so that a later run can ask for the rest of just that one."""
        if validator == self.validator and os.path.exists(self._path + _NOTES):
            return
        self.validator = validator
        files.put_json(
            self._path + _NOTES,
            {"uri": self._uri, "validator": validator, "host": socket.gethostname(), "pid": os.getpid()},
        )

    def commit(self) -> None:
        """Make the bytes a blob, if they are the promised ones. The rename is the commit.

        Raises:
            WrongBytes: another size or digest; the partial of another digest is removed.
            StoreInputOutput: the disk did not take them; the partial is removed, because syncing it again would only
                seem to succeed.
        """
        if self.size != self._expected:
            raise self._wrong("size", str(self._expected), str(self.size))
        found = self._digest.hexdigest()
        if found != self._sha512:
            self.discard()
            raise self._wrong("SHA-512", self._sha512, found)
        try:
            files.sync(self._descriptor, self._path)
        except StoreInputOutput:
            self.discard()
            raise
        blob = self._layout.blob(self._sha512)
        files.make_directory(os.path.dirname(blob))
        files.adopt(self._path, blob)
        files.drop(self._path + _NOTES)
        _drop_abandoned(self._layout, self._sha512)

    def discard(self) -> None:
        """Remove the partial: its bytes are of no use to anybody."""
        files.drop(self._path)
        files.drop(self._path + _NOTES)
        self.size = 0

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _wrong(self, what: str, expected: str, found: str) -> WrongBytes:
        return WrongBytes(uri=self._uri, what=what, expected=expected, found=found)

    def _demand_space(self, needed: int) -> None:
        free = files.free_bytes(self._layout.partial)
        if free is not None and free < needed + _RESERVE:
            raise StoreFull(path=self._path, needed_bytes=needed, free_bytes=free)

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
        self.remember(left.validator if left.uri == self._uri else None)
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
            self._digest = hashlib.sha512()
            self.validator = None
            self.discard()
            if not os.path.lexists(left.path):
                files.drop(left.path + _NOTES)
            return False
        if left.is_abandoned:
            files.drop(left.path)
            files.drop(left.path + _NOTES)
        return True

    def _copy_from(self, path: str) -> None:
        with files.reported(path), os.fdopen(files.open_regular(path), "rb", buffering=0) as source:
            buffer = memoryview(bytearray(_CHUNK))
            while (count := source.readinto(buffer)) and self.size + count <= self._expected:
                self.write(buffer[:count])

    def _rehash(self) -> None:
        buffer = memoryview(bytearray(_CHUNK))
        with files.reported(self._path):
            while count := os.readv(self._descriptor, [buffer]):
                self._digest.update(buffer[:count])
                self.size += count


@dataclass(frozen=True, slots=True)
class Left:
    """A partial download that an earlier run left, with what it noted about it."""

    path: str
    sha512: Sha512
    uri: str
    validator: str | None
    size: int
    is_abandoned: bool
    """Whether its writer is provably dead."""
    is_ours_alone: bool
    """Whether it may be written to: it is abandoned and has no second name, such as a hard-linked backup's."""


def lefts(layout: Layout, sha512: Sha512 | None = None) -> list[Left]:
    """Return the partial downloads that earlier runs left, of these bytes or of all."""
    found = []
    for name in files.names(layout.partial):
        match = _NAME.fullmatch(name)
        if match is not None and sha512 in (None, match[1]):
            left = _left(os.path.join(layout.partial, name), Sha512(match[1]))
            if left is not None:
                found.append(left)
    return found


def _left(path: str, sha512: Sha512) -> Left | None:
    try:
        status = os.lstat(path)
        notes = json.loads(files.read(path + _NOTES))
        uri, validator = notes["uri"], notes["validator"]
        is_abandoned = _is_abandoned(notes["host"], notes["pid"])
    except (OSError, NotOurFile, ValueError, KeyError, TypeError):
        return None
    if not stat.S_ISREG(status.st_mode) or not isinstance(uri, str) or not isinstance(validator, str | None):
        return None
    is_ours_alone = is_abandoned and status.st_nlink == 1
    return Left(path, sha512, uri, validator, status.st_size, is_abandoned, is_ours_alone)


def _is_abandoned(host: object, pid: object) -> bool:
    """Tell whether the writer is provably dead: it ran on this host, and no process has its number."""
    if host != socket.gethostname() or not isinstance(pid, int) or pid <= 0:
        return False
    if pid == os.getpid():
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        return False
    return False


def _drop_abandoned(layout: Layout, sha512: Sha512) -> None:
    """Remove the downloads of bytes that are a blob by now, unless somebody may still be writing to them."""
    for left in lefts(layout, sha512):
        if left.is_abandoned:
            files.drop(left.path)
            files.drop(left.path + _NOTES)


def sweep(layout: Layout, *, now_s: float) -> None:
    """Remove what crashes left beside the downloads and nobody can use: call it under the cache lock only.

    Those are notes without their download, downloads without notes, both after an hour, and abandoned downloads of
    bytes that are a blob by now. Everything else is somebody's to go on with.
    """
    for name in files.names(layout.partial):
        path = os.path.join(layout.partial, name)
        match = _NAME.fullmatch(name.removesuffix(_NOTES))
        if match is None:
            continue
        twin = path.removesuffix(_NOTES) if name.endswith(_NOTES) else path + _NOTES
        if not os.path.lexists(twin) and _is_old(path, now_s):
            files.drop(path)
        elif os.path.lexists(layout.blob(Sha512(match[1]))):
            _drop_abandoned(layout, Sha512(match[1]))


def _is_old(path: str, now_s: float) -> bool:
    with contextlib.suppress(OSError):
        status = os.lstat(path)
        return stat.S_ISREG(status.st_mode) and now_s - status.st_mtime > files.LEFT_OVER_S
    return False
