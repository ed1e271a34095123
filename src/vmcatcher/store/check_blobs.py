"""Looking at image bytes: those that are stored (I2) and the downloads that are to become some."""

from __future__ import annotations

import json
import os
import re
import stat
from typing import TYPE_CHECKING, Final

from vmcatcher.errors import VmcatcherError
from vmcatcher.model.identity import Sha512
from vmcatcher.store import blobs, downloads, files, reading
from vmcatcher.store.findings import Finding, Remedy, damage, note, status_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vmcatcher.model.record import CacheRecord
    from vmcatcher.store.layout import Layout

_BLOB: Final = re.compile(r"[0-9a-f]{128}")


def check_blobs(layout: Layout, records: Iterable[CacheRecord], *, read_bytes: bool) -> Iterator[Finding]:
    """Yield what is wrong with the stored images; with `read_bytes` each one is read and hashed."""
    sizes = {record.sha512: record.size_bytes for record in records}
    top = os.path.join(layout.blobs, "sha512")
    for prefix in reading.directories(top):
        for name in reading.names(os.path.join(top, prefix)):
            if name[:2] == prefix and _BLOB.fullmatch(name):
                digest = Sha512(name)
                yield from _blob(layout, digest, sizes.get(digest), read_bytes=read_bytes)


def _blob(layout: Layout, digest: Sha512, size_bytes: int | None, *, read_bytes: bool) -> Iterator[Finding]:
    path = layout.blob(digest)
    status = status_of(path)
    if status is None:
        return
    if not stat.S_ISREG(status.st_mode):
        yield damage("I2", path, "a blob should be a regular file", Remedy.CORRUPT, digest)
        return
    if size_bytes not in (None, status.st_size):
        yield damage("I2", path, f"{size_bytes} bytes expected, {status.st_size} found", Remedy.CORRUPT, digest)
        return
    yield from _mode(path, status)
    if read_bytes:
        try:
            is_intact = blobs.is_intact(layout, digest, status.st_size)
        except FileNotFoundError:
            return
        except VmcatcherError as error:
            yield damage("I2", path, str(error))
            return
        if not is_intact:
            yield damage("I2", path, "its bytes do not have the SHA-512 of its name", Remedy.CORRUPT, digest)


def _mode(path: str, status: os.stat_result) -> Iterator[Finding]:
    mode = stat.S_IMODE(status.st_mode)
    wanted = mode & files.BLOB_MODE if mode & 0o400 else files.BLOB_MODE
    if mode & 0o222:
        text = f"a blob should be read-only, its mode is {mode:04o}"
        yield Finding("I2", path, text, is_damage=True, remedy=Remedy.MODE, mode=wanted)
    elif not mode & 0o400:
        text = f"its owner cannot read it (mode {mode:04o})"
        yield Finding("I2", path, text, is_damage=True, remedy=Remedy.MODE, mode=wanted)
    beside = status_of(os.path.dirname(path))
    if beside is not None and status.st_uid != beside.st_uid:
        # A hard link to a file of somebody else, who can make it writable at any time.
        yield note("I2", path, f"it belongs to user #{status.st_uid}, who may change it")


def check_downloads(layout: Layout) -> Iterator[Finding]:
    """Yield what stands in place of a download or of its notes, and notes that nobody can read."""
    for name in reading.names(layout.partial):
        if not downloads.is_own_name(name):
            continue
        path = os.path.join(layout.partial, name)
        status = status_of(path)
        if status is not None and not stat.S_ISREG(status.st_mode):
            yield damage("I2", path, "a download should be a regular file", Remedy.ASIDE)
        elif name.endswith(".json") and not _has_notes(path):
            # Without notes that can be read nobody goes on with the download, and nobody dares to remove it.
            yield damage("I1", path, "nobody can read what it notes about a download", Remedy.ASIDE)


def _has_notes(path: str) -> bool:
    try:
        notes = json.loads(reading.read(path))
    except FileNotFoundError:
        return True
    except (VmcatcherError, ValueError, RecursionError):
        return False
    return isinstance(notes, dict) and {"uri", "validator", "host", "pid"} <= notes.keys()
