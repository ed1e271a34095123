"""Claims: locks for a store that several hosts share, where kernel locks may not reach from one host to the other.

A claim is one file in the directory `locks/<lock>.lock`, under a name that is never used twice. The lock is held while
there is one. To take it, a directory with the file in it is prepared under a private name and renamed: a rename onto a
directory fails unless that one is empty (rename(2), RFC 1813 section 3.3.14), so one of two always loses. To give the
lock back, or to break it, that one name is removed. So whoever is late, and whoever breaks a claim twice, finds it
gone, and can never hit the claim of somebody else.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import pwd
import secrets
import socket
import stat
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from vmcatcher.errors import VmcatcherError
from vmcatcher.errors.locks import ClaimHeld, ClaimInUse
from vmcatcher.errors.store import NotOurFile, StoreHeld, StoreInputOutput
from vmcatcher.model.instant import instant_text
from vmcatcher.store import files, reading
from vmcatcher.store.holders import SOMEBODY, described, fate, full_note_of, read_note

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vmcatcher.store.holders import Holder, LockName, Note
    from vmcatcher.store.layout import Layout

logger = logging.getLogger(__name__)
_POLL_S: Final = 0.05
# A claim given back between the failed rename and the look at who has it makes an attempt fail with nobody there. More
# than this in a row is no chance: a client of NFS shows an old directory.
_MOST_LOST: Final = 20
_WHY: Final = {
    "gone": "that process is not running any more",
    "copied": "it came here with a copy of another store",
}


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim that was found on disk."""

    lock: str
    name: str
    path: str
    note: Note | None

    @property
    def identifier(self) -> str:
        """How an operator names it."""
        return f"{self.lock}-{self.name}"


def lock_path(layout: Layout, name: str) -> str:
    """Return the path that stands for a lock: a file for a kernel lock, a directory of claims."""
    return os.path.join(layout.locks, name + ".lock")


@contextlib.contextmanager
def claimed(
    layout: Layout,
    name: LockName,
    holder: Holder,
    *,
    wait_s: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[None]:
    """Have a claim on the lock `name` for the length of the block.

    Raises:
        ClaimHeld: a process of another host has it, or one of which nothing is known.
        StoreHeld: a process of this host has it for longer than `wait_s` seconds.
        NotOurFile: something that is no directory stands in the claim's place.
    """
    if name != "store":
        _sweep(layout, holder)
    token = secrets.token_hex(8)
    path = os.path.join(lock_path(layout, name), token)
    held = False
    try:
        end = clock() + wait_s
        lost = 0
        while not held:
            blocking = _blocking(layout, name)
            held = blocking is None and _attempt(layout, name, token, holder)
            lost = lost + 1 if blocking is None and not held else 0
            if blocking is not None and clock() >= end:
                raise _refusal(layout, blocking, holder)
            if lost > _MOST_LOST and clock() >= end:
                raise StoreHeld(lock=name, holder=SOMEBODY)
            if not held:
                sleep(_POLL_S)
        yield
    finally:
        # Also where a signal came between the rename and the line that notes it.
        _give_back(path, name, expected=held)


def _attempt(layout: Layout, name: str, token: str, holder: Holder) -> bool:
    private = os.path.join(layout.locks, files.temporary_name())
    try:
        files.make_directory(private)
        # On disk before it counts: a claim that a power cut left empty would name nobody, and be broken by nobody.
        files.put_json(os.path.join(private, token), full_note_of(holder, layout))
        files.retire(private, lock_path(layout, name))
    except FileExistsError:
        pass
    except FileNotFoundError:
        pass  # NFS repeats a request whose answer was lost, and then the answer is that there is nothing to rename
    except StoreInputOutput as error:
        if not (isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.ENOTEMPTY):
            raise
    finally:
        _clear(private)
    # Whatever the answer was, this is so.
    return os.path.lexists(os.path.join(lock_path(layout, name), token))


def _give_back(path: str, name: str, *, expected: bool) -> None:
    if not expected and not os.path.lexists(path):
        return
    try:
        removed = files.drop(path)
    except VmcatcherError as error:
        # What was done under the lock is done. The next run of this host finds that the claim's process is gone.
        logger.warning("cannot give the %s lock back: %s", name, error.one_line())
        return
    if expected and not removed:
        logger.warning("the claim on the %s lock was broken while it was held; another run may have had it, too", name)


def _claims(layout: Layout, name: str) -> list[Claim]:
    directory = lock_path(layout, name)
    try:
        mode = os.lstat(directory).st_mode
    except FileNotFoundError:
        return []
    if not stat.S_ISDIR(mode):
        # A FIFO or a link planted there must neither block nor lead elsewhere.
        raise NotOurFile(path=directory, found="something else, where claims need a directory")
    found = []
    for entry in reading.names(directory):
        path = os.path.join(directory, entry)
        with contextlib.suppress(FileNotFoundError):  # given back since
            found.append(Claim(name, entry, path, read_note(path)))
    return found


def _blocking(layout: Layout, name: LockName) -> Claim | None:
    """Return the claim that is in the way, when all those are broken that certainly mean nothing any more."""
    for claim in _claims(layout, name):
        what = "elsewhere" if claim.note is None else fate(claim.note, layout)
        if what not in _WHY:
            return claim
        if files.drop(claim.path):
            text = described_claim(claim)
            logger.warning("broke the claim %s of %s: %s", claim.identifier, text, _WHY[what])
    return None


def described_claim(claim: Claim) -> str:
    """Return who made a claim, without the age."""
    note = claim.note
    return SOMEBODY if note is None else f"{note.command} (pid {note.pid} on {note.host}, since {note.since})"


def _refusal(layout: Layout, claim: Claim, holder: Holder) -> StoreHeld:
    who = described(claim.note, holder.since)
    if claim.note is not None and fate(claim.note, layout) == "running":
        return StoreHeld(lock=claim.lock, holder=who)
    return ClaimHeld(lock=claim.lock, holder=who, claim=claim.identifier)


def break_claim(layout: Layout, identifier: str, holder: Holder) -> bool:
    """Remove the claim that the operator names and say so in the log; return False where there is none of that name.

    Raises:
        ClaimInUse: the process that made it is running on this host.
    """
    lock, _, entry = identifier.partition("-")
    claim = next((one for one in _claims_of(layout, lock) if one.name == entry), None)
    if claim is not None:
        if claim.note is not None and fate(claim.note, layout) == "running":
            raise ClaimInUse(claim=identifier, holder=described(claim.note, holder.since))
        if files.drop(claim.path):
            by = f"{_user()} with {holder.command} (pid {os.getpid()} on {socket.gethostname()})"
            when = instant_text(holder.since)
            logger.warning(
                "broke the claim %s of %s, as asked for by %s at %s", identifier, described_claim(claim), by, when
            )
            return True
    logger.warning("there is no claim %s in %s (any more); nothing was broken", identifier, layout.locks)
    return False


def _claims_of(layout: Layout, lock: str) -> list[Claim]:
    # A kernel lock's file stands in the place of the directory: there are no claims to break, which is said.
    known = lock in {"update", "cache", "store"} and os.path.isdir(lock_path(layout, lock))
    return _claims(layout, lock) if known else []


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"user {os.getuid()}"


def _sweep(layout: Layout, holder: Holder) -> None:
    """Remove the private directories of processes that died before their rename."""
    for name in reading.directories(layout.locks):
        path = os.path.join(layout.locks, name)
        with contextlib.suppress(FileNotFoundError):
            if (
                name.startswith(reading.TEMPORARY)
                and holder.since.timestamp() - os.stat(path).st_mtime > files.LEFT_OVER_S
            ):
                _clear(path)


def _clear(private: str) -> None:
    with contextlib.suppress(VmcatcherError, OSError):
        # All names: a temporary one of a write that did not end, too.
        for entry in os.listdir(private):
            files.drop(os.path.join(private, entry))
        files.drop_directory(private)
