"""Downloads that earlier runs left: whose they are, who may go on with them, and which of them nobody can use."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from vmcatcher.errors.store import NotOurFile
from vmcatcher.model.identity import Sha512
from vmcatcher.store import files, reading

if TYPE_CHECKING:
    from vmcatcher.store.layout import Layout

NOTES: Final = ".json"
"""What the name of the notes about a download has in addition."""
# `<digest>.<process id>-<random>`; no image identifier is that long, so a link of the view cannot be taken for one.
_NAME: Final = re.compile(r"([0-9a-f]{128})\.[0-9]+-[0-9a-f]{12}")


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


def is_own_name(name: str) -> bool:
    """Tell whether a name in the directory of the downloads is that of a download or of its notes."""
    return _NAME.fullmatch(name.removesuffix(NOTES)) is not None


def lefts(layout: Layout, sha512: Sha512 | None = None) -> list[Left]:
    """Return the partial downloads that earlier runs left, of these bytes or of all."""
    found = []
    for name in reading.names(layout.partial):
        match = _NAME.fullmatch(name)
        if match is not None and sha512 in (None, match[1]):
            left = _left(os.path.join(layout.partial, name), Sha512(match[1]))
            if left is not None:
                found.append(left)
    return found


def _left(path: str, sha512: Sha512) -> Left | None:
    try:
        status = os.lstat(path)
        notes = json.loads(reading.read(path + NOTES))
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


def drop_abandoned(layout: Layout, sha512: Sha512) -> None:
    """Remove the downloads of bytes that are a blob by now, unless somebody may still be writing to them."""
    for left in lefts(layout, sha512):
        if left.is_abandoned:
            files.drop(left.path)
            files.drop(left.path + NOTES)


def sweep(layout: Layout, *, now_s: float) -> None:
    """Remove what crashes left beside the downloads and nobody can use: call it under the cache lock only.

    Those are notes without their download, downloads without notes, both after an hour, and abandoned downloads of
    bytes that are a blob by now. Everything else is somebody's to go on with.
    """
    for name in reading.names(layout.partial):
        path = os.path.join(layout.partial, name)
        match = _NAME.fullmatch(name.removesuffix(NOTES))
        if match is None:
            continue
        twin = path.removesuffix(NOTES) if name.endswith(NOTES) else path + NOTES
        if not os.path.lexists(twin) and _is_old(path, now_s):
            files.drop(path)
        elif os.path.lexists(layout.blob(Sha512(match[1]))):
            drop_abandoned(layout, Sha512(match[1]))


def _is_old(path: str, now_s: float) -> bool:
    with contextlib.suppress(OSError):
        status = os.lstat(path)
        return stat.S_ISREG(status.st_mode) and now_s - status.st_mtime > files.LEFT_OVER_S
    return False
