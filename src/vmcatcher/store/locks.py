"""Who may change what at the same time.

Kernel locks: they are free the moment their holder dies, and a lock file is never removed, because a second process
could then lock another file of the same name. Readers take none. Order: update, cache, store; no handler and no
network read runs while the store lock is held.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from vmcatcher.errors import VmcatcherError
from vmcatcher.errors.store import StoreHeld
from vmcatcher.model.instant import instant_text
from vmcatcher.store import files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from vmcatcher.store.layout import Layout

LockName = Literal["update", "cache", "store"]
STORE_WAIT_S: Final = 30.0
_LONGEST_NOTE: Final = 4096


@dataclass(frozen=True, slots=True)
class Holder:
    """Who takes a lock: written into the lock file for whoever finds it held."""

    command: str
    since: datetime
    inherited: frozenset[str] = frozenset()
    """Locks that a parent process holds while it waits for this one: asking for them would wait for ever."""


def inherited_name(layout: Layout, name: LockName) -> str:
    """Return how a lock that this process holds is named to its children."""
    return f"{os.getpid()}:{name}:{os.path.realpath(layout.root)}"


def _is_inherited(layout: Layout, name: LockName, inherited: frozenset[str]) -> bool:
    wanted = f"{name}:{os.path.realpath(layout.root)}"
    for held in inherited:
        pid, _, rest = held.partition(":")
        # What a handler left running has the variable long after the run that set it ended.
        if rest == wanted and pid.isdecimal() and os.path.exists(f"/proc/{pid}"):
            return True
    return False


@contextlib.contextmanager
def hold(layout: Layout, name: LockName, holder: Holder, *, wait_s: float) -> Iterator[None]:
    """Hold the lock `name` of the store for the length of the block.

    Raises:
        StoreHeld: somebody else has it for longer than `wait_s` seconds, or a parent of this process does.
    """
    from filelock import Timeout, UnixFileLock  # noqa: PLC0415 - queries never lock; in a loop they must not pay for it

    path = os.path.join(layout.locks, name + ".lock")
    if _is_inherited(layout, name, holder.inherited):
        raise StoreHeld(lock=name, holder="the vmcatcher run that called this handler")
    files.make_directory(layout.locks)
    lock = UnixFileLock(
        path,
        timeout=wait_s,
        mode=files.FILE_MODE,
        poll_interval=0.05,
        fallback_to_soft=False,
        thread_local=False,
        on_acquired=lambda descriptor: _note_holder(descriptor, holder),
    )
    with files.reported(path):
        try:
            lock.acquire()
        except Timeout as exc:
            raise StoreHeld(lock=name, holder=describe_holder(path)) from exc
    try:
        yield
    finally:
        lock.release()


def _note_holder(descriptor: int, holder: Holder) -> None:
    note = {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "command": holder.command,
        "since": instant_text(holder.since),
    }
    # In place: the inode carries the lock, so it must not be exchanged. A torn note costs a vague message, no more.
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(note).encode(), 0)


def describe_holder(path: str) -> str:
    """Return who wrote the lock file at `path`, in words."""
    try:
        note = json.loads(files.read(path, limit_bytes=_LONGEST_NOTE))
        return f"{note['command']} (pid {note['pid']} on {note['host']}, since {note['since']})"
    except (VmcatcherError, OSError, ValueError, KeyError, TypeError):
        return "another process"
