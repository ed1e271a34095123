"""Who holds a lock: the note that says so, and what can be known of whoever wrote it."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from vmcatcher.errors import VmcatcherError
from vmcatcher.model.instant import instant_text, parse_instant
from vmcatcher.store import reading

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from vmcatcher.store.layout import Layout

LockName = Literal["update", "cache", "store"]
Fate = Literal["running", "gone", "elsewhere", "copied"]
SOMEBODY: Final = "another process"
_LONGEST_NOTE: Final = 4096
# PROC_PID_INIT_INO of linux/proc_ns.h: the numbers of processes as the host itself counts them, in no container.
_OF_THE_HOST: Final = "pid:[4026531836]"
_STATE: Final = 0
_STARTED: Final = 19  # field 22 of /proc/PID/stat, counted from behind the command's name (proc(5))
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


@dataclass(frozen=True, slots=True)
class Holder:
    """Who takes a lock: written down for whoever finds it held."""

    command: str
    since: datetime
    inherited: frozenset[str] = frozenset()
    """Locks that a parent process holds while it waits for this one: asking for them would wait for ever."""


@dataclass(frozen=True, slots=True)
class Note:
    """What a holder wrote down. What it left out, or could not be read, is empty."""

    command: str
    pid: int
    host: str
    since: str
    machine: str = ""
    """The machine's own identifier: hosts of one name are not always one host."""
    boot: str = ""
    space: str = ""
    """The name space in which `pid` and `started` mean something; every container has its own."""
    started: str = ""
    """When that process began, in ticks since the boot: the numbers of processes come again, this does not."""
    store: str = ""
    directory: int = 0
    """Inode of the directory of locks. A copy of the store has another one."""


def note_of(holder: Holder) -> dict[str, object]:
    """Return the note of this process for a lock that is free when its holder is: who, and since when."""
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "command": holder.command,
        "since": instant_text(holder.since),
    }


def full_note_of(holder: Holder, layout: Layout) -> dict[str, object]:
    """Return the note of this process for a claim: it also tells whether the process, and the store, is still there."""
    pid = os.getpid()
    return {
        **note_of(holder),
        "machine": _line("/etc/machine-id"),
        "boot": _boot(),
        "space": _space(),
        "started": _status(pid)[1],
        "store": os.path.realpath(layout.root),
        "directory": os.stat(layout.locks).st_ino,
    }


def read_note(path: str) -> Note | None:
    """Return the note in the file `path`, or None where it is torn or no note.

    Raises:
        FileNotFoundError: nothing is there.
    """
    try:
        found: Mapping[str, object] = json.loads(reading.read(path, limit_bytes=_LONGEST_NOTE))
        pid, directory = found["pid"], found.get("directory", 0)
        if not isinstance(pid, int) or pid <= 0 or not isinstance(directory, int):
            return None
        texts = {name: str(found.get(name, "")) for name in _TEXTS}
        return Note(str(found["command"]), pid, str(found["host"]), str(found["since"]), directory=directory, **texts)
    except (VmcatcherError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


_TEXTS: Final = ("machine", "boot", "space", "started", "store")


def fate(note: Note, layout: Layout) -> Fate:
    """Return what became of whoever wrote `note`, as far as it is certain; age says nothing.

    `running`: the process is there. `gone`: it is not, on this host. `elsewhere`: it is none of this host's, so nobody
    here can tell. `copied`: the note came here with a copy of the store.
    """
    here = os.stat(layout.locks).st_ino
    # Both: a store on NFS has another path on every host, and few file systems number their files anew.
    if note.directory not in (0, here) and note.store != os.path.realpath(layout.root):
        return "copied"
    space = _space()
    if (note.host, note.machine) != (socket.gethostname(), _line("/etc/machine-id")) or note.space != space:
        return "elsewhere"
    boot = _boot()
    if not space or (note.boot and boot and note.boot != boot and not space.startswith(_OF_THE_HOST)):
        # A container of the same name may run on another machine by now, and the former one still, too.
        return "elsewhere"
    if note.boot and boot and note.boot != boot:
        return "gone"
    return "running" if is_running(note.pid, note.started) else "gone"


def is_running(pid: int, started: str = "") -> bool:
    """Tell whether the process `pid` of this host is there, and still the one that began at `started`."""
    state, since = _status(pid)
    if not state:
        try:
            os.kill(pid, 0)
        except (ProcessLookupError, OverflowError):
            return False
        except OSError:
            pass  # somebody else's, hidden from us
        return True
    # What was killed and not yet waited for does nothing any more.
    return state not in {"Z", "X"} and started in {"", since}


def described(note: Note | None, now: datetime) -> str:
    """Return who wrote `note`, in words, and how long ago."""
    if note is None:
        return SOMEBODY
    return f"{note.command} (pid {note.pid} on {note.host}, since {note.since}{_age(note.since, now)})"


def _age(since: str, now: datetime) -> str:
    try:
        seconds = int((now - parse_instant(since)).total_seconds())
    except ValueError:
        return ""
    if seconds < 0:  # the clocks of two hosts
        return ""
    if seconds < _MINUTE:
        return f", {seconds} s ago"
    if seconds < _HOUR:
        return f", {seconds // _MINUTE} min ago"
    if seconds < _DAY:
        return f", {seconds // _HOUR} h {seconds % _HOUR // _MINUTE} min ago"
    return f", {seconds // _DAY} d {seconds % _DAY // _HOUR} h ago"


def _boot() -> str:
    return _line("/proc/sys/kernel/random/boot_id")


def _space() -> str:
    try:
        # The time name space too: it shifts what the kernel says about when a process began (time_namespaces(7)).
        return " ".join(os.readlink(f"/proc/self/ns/{kind}") for kind in ("pid", "time"))
    except OSError:
        return ""


def _status(pid: int) -> tuple[str, str]:
    """Return state and beginning of a process, or two empty texts where nobody says."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as source:
            # The command's name stands in parentheses and may hold some, and blanks.
            words = source.read().rpartition(b")")[2].split()
        return words[_STATE].decode(), words[_STARTED].decode()
    except (OSError, IndexError, UnicodeDecodeError):
        return "", ""


def _line(path: str) -> str:
    try:
        with open(path, encoding="ascii") as source:
            return source.readline().strip()
    except (OSError, UnicodeDecodeError):
        return ""
