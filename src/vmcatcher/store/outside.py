"""Files outside the store that the operator names: read, or written as a whole."""

from __future__ import annotations

import hashlib
import os
import stat
from typing import TYPE_CHECKING, Final

from vmcatcher.errors import VmcatcherError
from vmcatcher.errors.proof import InputUnreadable
from vmcatcher.errors.requests import OutputUnwritable
from vmcatcher.store import files, hashing

if TYPE_CHECKING:
    from collections.abc import Callable

_DEVICES: Final = ("/dev/", "/proc/")
_MEMORY: Final = "/dev/shm/"  # noqa: S108 - nothing is written there, it is told apart


def read_outside(path: str, *, limit_bytes: int) -> bytes:
    """Return the bytes of a file, at most one more than `limit_bytes`; links are followed.

    Raises:
        InputUnreadable: it is not there, or cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return file.read(limit_bytes + 1)
    except (OSError, ValueError) as exc:  # a NUL in the name is a ValueError
        raise InputUnreadable(path=path, why=_why(exc)) from exc


def digest_outside(path: str, *, most_bytes: int, seen: Callable[[int], None]) -> tuple[int, str]:
    """Return size and SHA-512 of a file, of which no more than about `most_bytes` are read; links are followed.

    `seen` is told how many bytes each piece had.

    Raises:
        InputUnreadable: it is not there, or cannot be read.
    """
    digest, size = hashlib.sha512(), 0
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            for chunk in hashing.chunks(descriptor, most_bytes):
                size += len(chunk)
                digest.update(chunk)
                seen(len(chunk))
                if size > most_bytes:
                    break
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as exc:
        raise InputUnreadable(path=path, why=_why(exc)) from exc
    return size, digest.hexdigest()


def write_outside(path: str, content: bytes) -> None:
    """Make a file hold exactly `content`, in one rename; a pipe or a device is written to.

    A link is replaced, wherever it leads: somebody else may have put it there for root to follow.

    Raises:
        OutputUnwritable: its directory is not there, the disk is full, …; what was at `path` is there still, unless it
            is a pipe or a device.
    """
    try:
        if is_special(path):
            files.pour_out(path, content)
        else:
            files.put(path, content)
    except VmcatcherError as exc:
        why = str(getattr(exc, "why", "") or getattr(exc, "found", exc))
        raise OutputUnwritable(path=path, why=why) from exc
    except (OSError, ValueError) as exc:  # a NUL in the name is a ValueError
        raise OutputUnwritable(path=path, why=_why(exc)) from exc


def is_special(path: str) -> bool:
    """Tell whether a rename would put a file in the place of what is none: a named pipe, /dev/stdout."""
    if os.path.abspath(path).startswith(_DEVICES) and not os.path.abspath(path).startswith(_MEMORY):
        return True  # /dev/stdout may lead to a file, and is no file itself
    try:
        return not stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def _why(exc: OSError | ValueError) -> str:
    return (exc.strerror or str(exc)) if isinstance(exc, OSError) else str(exc)
