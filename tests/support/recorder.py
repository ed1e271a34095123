"""What a command did to a tree, call by call, as strace saw it.

    recording = record(site, ("vmcatcher_cache",), root=site.store)
    recording.calls      # every call that changed the tree below `root`, in order, and every event that was told
    recording.points     # those of the command itself, as strace can strike them: the name and the number of each

Only what the kernel was asked for counts: a call that failed changed nothing, and a sync that failed promises nothing.
Locks are left out: what they hold is worth nothing after a power cut.
"""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal

import pytest

from support.site import Result, Site

Kind = Literal[
    "create", "write", "truncate", "mode", "rename", "link", "symlink", "unlink", "mkdir", "rmdir", "sync", "told"
]  # fmt: skip
_TRACED: Final = (
    "openat,write,pwrite64,writev,sendfile,copy_file_range,ftruncate,truncate,rename,renameat,renameat2,link,"
    "linkat,symlink,symlinkat,unlink,unlinkat,rmdir,mkdir,mkdirat,fsync,fdatasync,chmod,fchmod,fchmodat"
)
_LINE: Final = re.compile(r"(\d+) +(\w+)\((.*)\) += (-?\d+|\?)(?:<[^>]*>)?(?: (\w+))?.*")
_UNFINISHED: Final = re.compile(r"(\d+) +(.*) <unfinished \.\.\.>")
_RESUMED: Final = re.compile(r"(\d+) +<\.\.\. \w+ resumed>(.*)")
_WORD: Final = re.compile(r'"((?:[^"\\]|\\.)*)"|(?:\d+|AT_FDCWD)<([^>]*)>')
_BYTE: Final = re.compile(rb"\\x([0-9a-f]{2})")
_FILE_MODE: Final = re.compile(r", 0([0-7]+)$")


@dataclass(frozen=True, slots=True)
class Call:
    """One call that changed a tree; paths are relative to its root."""

    kind: Kind
    path: str
    other: str = ""
    """The new name of a rename or link; where a symbolic link leads."""
    content: bytes = field(default=b"", repr=False)
    number: int = 0
    """A mode; the length of a truncated file; where a write begins, or -1 for the end."""
    error: str = ""
    """The name of the errno, of a sync that failed; of other calls only those that succeeded are kept."""
    point: tuple[str, int] = ("", 0)
    """The name of the system call and which one of that name it was, counted from 1; of the command's children none."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A run of a command and what it did."""

    result: Result
    calls: tuple[Call, ...]

    @property
    def points(self) -> tuple[tuple[str, int], ...]:
        """Where strace can strike the command itself."""
        return tuple(call.point for call in self.calls if call.point[0])


def demand_strace() -> None:
    """Skip the test where calls cannot be recorded."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")


def record(site: Site, words: tuple[str, ...], *, root: Path, inject: str = "", **environment: str) -> Recording:
    """Run an installed command; return what it did below `root`, and which events it told to `site.events`.

    `inject` is a fault as strace spells it, `fsync:error=EIO:when=3`.
    """
    demand_strace()
    log = site.root / "calls.strace"
    faults = ("-e", f"inject={inject}") if inject else ()
    prefix = ("strace", "-f", "-y", "-xx", "-s", "100000000", "-e", "signal=none", "-e", f"trace={_TRACED}", *faults)
    result = site.call(*words, prefix=(*prefix, "-o", str(log)), cwd=None, **environment)
    reader = _Reader(root.resolve(), site.events.resolve())
    for line in _whole_lines(log.read_text(encoding="latin-1")):
        reader.read(line)
    log.unlink()
    return Recording(result, tuple(reader.calls))


def _whole_lines(text: str) -> list[str]:
    """Return the lines of a log with the two halves of every interrupted call put together, when it ended."""
    begun: dict[str, str] = {}
    whole = []
    for line in text.splitlines():
        if (match := _UNFINISHED.fullmatch(line)) is not None:
            begun[match[1]] = match[2]
        elif (match := _RESUMED.fullmatch(line)) is not None:
            whole.append(f"{match[1]} {begun.pop(match[1], '')}{match[2]}")
        else:
            whole.append(line)
    return whole


class _Reader:
    def __init__(self, root: Path, events: Path) -> None:
        self.calls: list[Call] = []
        self._root = str(root)
        self._events = str(events)
        self._main = ""
        self._numbers: Counter[str] = Counter()

    def read(self, line: str) -> None:
        match = _LINE.fullmatch(line)
        if match is None:
            return
        process, name, arguments, value, error = match.groups()
        self._main = self._main or process
        if process == self._main:
            self._numbers[name] += 1
        if name in ("write", "writev") and self._is_told(arguments, value):
            return
        call = self._call(name, arguments, int(value) if value != "?" else -1)
        if call is None or call.path.partition("/")[0] == "locks" or "/locks/" in call.path:
            return
        point = (name, self._numbers[name]) if process == self._main else ("", 0)
        if not value.startswith("-") and value != "?":
            self.calls.append(replace(call, point=point))
        elif call.kind == "sync":
            self.calls.append(replace(call, point=point, error=error or "?"))

    def _is_told(self, arguments: str, value: str) -> bool:
        words = _words(arguments)
        if words[0] != self._events.encode():
            return False
        self.calls.append(Call("told", "", content=words[1][: int(value)]))
        return True

    def _call(  # noqa: C901, PLR0911 - one case for each system call
        self, name: str, arguments: str, value: int
    ) -> Call | None:
        match name.removesuffix("at").removesuffix("at2"):
            case "open":
                return self._opened(arguments) if "O_CREAT" in arguments or "O_TRUNC" in arguments else None
            case "write" | "writev" | "pwrite64":
                return self._written(name, arguments, value)
            case "sendfile" | "copy_file_range":
                raise AssertionError(f"{name} is not understood by this recorder: teach it")
            case "truncate" | "ftruncate":
                return self._one("truncate", arguments, number=int(arguments.rpartition(", ")[2]))
            case "fsync" | "fdatasync":
                return self._one("sync", arguments)
            case "chmod" | "fchmod":
                mode = re.findall(r", 0([0-7]+)", arguments)[-1]
                return self._one("mode", arguments, number=int(mode, 8))
            case "rename" | "link":
                return self._two("rename" if "rename" in name else "link", arguments)
            case "symlink":
                target, *place = _words(arguments)
                path = self._inside(place)
                return None if path is None else Call("symlink", path, os.fsdecode(target))
            case "unlink" if "AT_REMOVEDIR" not in arguments:
                return self._one("unlink", arguments)
            case "rmdir" | "unlink":
                return self._one("rmdir", arguments)
            case "mkdir":
                return self._one("mkdir", arguments, number=int(arguments.rpartition(", ")[2], 8))
        raise AssertionError(f"{name} is not understood by this recorder: teach it")

    def _opened(self, arguments: str) -> Call | None:
        mode = _FILE_MODE.search(arguments)
        kind: Kind = "create" if mode is not None else "truncate"
        path = self._inside(_words(arguments))
        if path is None:
            return None
        return Call(kind, path, "O_TRUNC" if "O_TRUNC" in arguments else "", number=int(mode[1], 8) if mode else 0)

    def _written(self, name: str, arguments: str, value: int) -> Call | None:
        words = _words(arguments)
        path = self._inside(words[:1])
        if path is None:
            return None
        at = int(arguments.rpartition(", ")[2]) if name == "pwrite64" else -1
        return Call("write", path, content=b"".join(words[1:])[: max(value, 0)], number=at)

    def _one(self, kind: Kind, arguments: str, *, number: int = 0) -> Call | None:
        path = self._inside(_words(arguments))
        return None if path is None else Call(kind, path, number=number)

    def _two(self, kind: Kind, arguments: str) -> Call | None:
        words = _words(arguments)
        half = len(words) // 2
        path, other = self._inside(words[:half]), self._inside(words[half:])
        assert (path is None) == (other is None), f"{kind} across the border of the tree: {words}"
        return None if path is None or other is None else Call(kind, path, other)

    def _inside(self, words: list[bytes]) -> str | None:
        """Return the path that a directory and a name, or one of them alone, stand for, or None outside the tree."""
        path = os.path.normpath(os.path.join(*(os.fsdecode(word) for word in words)))
        if path != self._root and not path.startswith(self._root + os.sep):
            return None
        return os.path.relpath(path, self._root)


def _words(arguments: str) -> list[bytes]:
    """Return the strings and the paths of descriptors among the arguments of a call, in order."""
    found = []
    for match in _WORD.finditer(arguments):
        text = match[1] if match[1] is not None else match[2]
        found.append(_BYTE.sub(lambda one: bytes([int(one[1], 16)]), text.encode("latin-1")))
    return found
