"""Who has the locks of a store now, as somebody sees who takes none. Looking disturbs nobody."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from vmcatcher.errors import VmcatcherError
from vmcatcher.model.instant import parse_instant
from vmcatcher.store import reading
from vmcatcher.store.claims import lock_path
from vmcatcher.store.holders import SOMEBODY, described, fate, read_note

if TYPE_CHECKING:
    from datetime import datetime

    from vmcatcher.store.holders import Fate, LockName, Note
    from vmcatcher.store.layout import Layout

_NAMES: Final[tuple[LockName, ...]] = ("update", "cache", "store")
_KERNEL_TABLE: Final = "/proc/locks"


@dataclass(frozen=True, slots=True)
class HeldLock:
    """A lock that somebody has."""

    lock: str
    holder: str
    """In words: command, process, host, since when."""
    since: datetime | None
    command: str = ""
    pid: int = 0
    host: str = ""
    claim: str = ""
    """How an operator names it to break it, where the store has claims."""
    fate: Fate = "running"


def held_locks(layout: Layout, now: datetime) -> tuple[HeldLock, ...]:
    """Return who has which lock of the store at this moment.

    A kernel lock is looked up in the kernel's table of this host: trying to get it would keep others out. Where the
    store has claims, those are returned that are there, with what became of whoever made them.
    """
    found: list[HeldLock] = []
    for name in _NAMES:
        path = lock_path(layout, name)
        try:
            mode = os.lstat(path).st_mode
            if stat.S_ISDIR(mode):
                found.extend(_claims(layout, name, path, now))
            elif stat.S_ISREG(mode):
                found.extend(_kernel(name, path, now))
        except (OSError, VmcatcherError):
            continue  # never taken, or not to be looked at: then nobody can tell
    return tuple(found)


def _claims(layout: Layout, name: str, directory: str, now: datetime) -> list[HeldLock]:
    found = []
    for entry in reading.names(directory):
        try:
            note = read_note(os.path.join(directory, entry))
        except FileNotFoundError:
            continue  # given back since
        became: Fate = "elsewhere" if note is None else fate(note, layout)
        found.append(_held(name, note, now, claim=f"{name}-{entry}", became=became))
    return found


def _kernel(name: str, path: str, now: datetime) -> list[HeldLock]:
    holders = _locked_by(os.stat(path).st_ino)
    note = read_note(path)
    if note is None:
        return [_held(name, None, now)] if holders else []
    # The note of the last holder stays when it is done; another process may have the same inode elsewhere.
    return [_held(name, note, now)] if note.pid in holders else []


def _locked_by(inode: int) -> set[int]:
    """Return the processes of this host that have a lock on a file of that inode; see proc_locks(5)."""
    found = set()
    try:
        with open(_KERNEL_TABLE, encoding="ascii") as table:
            for line in table:
                words = line.split()
                # `1: FLOCK ADVISORY WRITE 4711 fd:00:1234 0 EOF`; one that waits has `->` behind the number.
                if len(words) >= 6 and words[1] == "FLOCK" and words[5].rpartition(":")[2] == str(inode):
                    found.add(int(words[4]))
    except (OSError, ValueError):
        return set()
    return found


def _held(lock: str, note: Note | None, now: datetime, *, claim: str = "", became: Fate = "running") -> HeldLock:
    if note is None:
        return HeldLock(lock, SOMEBODY, None, claim=claim, fate=became)
    return HeldLock(
        lock, described(note, now), _instant(note.since), note.command, note.pid, note.host, claim=claim, fate=became
    )


def _instant(text: str) -> datetime | None:
    try:
        return parse_instant(text)
    except ValueError:
        return None
