"""Who may change what at the same time.

Kernel locks: they are free the moment their holder dies, and a lock file is never removed, because a second process
could then lock another file of the same name. A store that several hosts share has claims in their place; which of the
two is written in its marker. Readers take none. Order: update, cache, store; no handler and no network read runs while
the store lock is held.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import stat
import time
from typing import TYPE_CHECKING, Final

from vmcatcher.errors.store import NotOurFile, StoreHeld
from vmcatcher.store import files, reading, root
from vmcatcher.store.claims import claimed, lock_path
from vmcatcher.store.holders import SOMEBODY, Holder, LockName, described, note_of, read_note

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from vmcatcher.store.layout import Layout

__all__ = ["STORE_WAIT_S", "Holder", "LockName", "describe_holder", "hold", "inherited_name"]

logger = logging.getLogger(__name__)
STORE_WAIT_S: Final = 30.0
_LOOKS: Final = 10
_NEXT_LOOK_S: Final = 0.01


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
        ClaimHeld: the store has claims, and whoever has this one is none of this host's processes.
        NotOurFile: something else stands where the lock does.
    """
    if _is_inherited(layout, name, holder.inherited):
        raise StoreHeld(lock=name, holder="the vmcatcher run that called this handler")
    files.make_directory(layout.locks)
    # Read each time: no caller can take the wrong kind by mistake.
    kind = claimed if root.lock_kind(layout) == "claim" else _locked
    with kind(layout, name, holder, wait_s=wait_s):
        yield


@contextlib.contextmanager
def _locked(layout: Layout, name: LockName, holder: Holder, *, wait_s: float) -> Iterator[None]:
    from filelock import Timeout, UnixFileLock  # noqa: PLC0415 - queries never lock; in a loop they must not pay for it

    path = lock_path(layout, name)
    _demand_regular(path)
    descriptors: list[int] = []

    def note(descriptor: int) -> None:
        descriptors.append(descriptor)
        _note_holder(descriptor, holder)

    lock = UnixFileLock(
        path,
        timeout=wait_s,
        mode=reading.FILE_MODE,
        poll_interval=0.05,
        fallback_to_soft=False,
        thread_local=False,
        on_acquired=note,
    )
    with reading.reported(path):
        try:
            lock.acquire()
        except Timeout as exc:
            raise StoreHeld(lock=name, holder=describe_holder(path, holder.since)) from exc
    try:
        yield
    finally:
        if descriptors and os.fstat(descriptors[-1]).st_nlink == 0:
            logger.warning("%s was removed while it was held; another run may have had the %s lock, too", path, name)
        lock.release()


def _demand_regular(path: str) -> None:
    # The library takes a FIFO for a lock file, on which no note can be written.
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode):
        raise NotOurFile(path=path, found="something else, where a lock file should be")


def _note_holder(descriptor: int, holder: Holder) -> None:
    # In place: the inode carries the lock, so it must not be exchanged. A torn note costs a vague message, no more.
    with contextlib.suppress(OSError):
        content = json.dumps(note_of(holder)).encode()
        os.pwrite(descriptor, content, 0)
        os.ftruncate(descriptor, len(content))


def describe_holder(path: str, now: datetime) -> str:
    """Return who wrote the lock file at `path`, in words, and how long ago it was at `now`."""
    try:
        for _ in range(_LOOKS):
            note = read_note(path)
            if note is not None:
                return described(note, now)
            # Whoever got the lock this moment is about to write who they are.
            time.sleep(_NEXT_LOOK_S)
    except OSError:
        pass
    return SOMEBODY
