"""What a disk may hold after the power went: everything that was synced, and any part of what was not.

    disk = Disk(root)                     # as it is, all of it on disk
    for call in recording.calls:
        disk.apply(call)
        for image in disk.images(rng, extra=4):
            image.build(root)             # one of the trees that somebody may find who turns the power on again

The rules are those of POSIX, with what every journalling file system adds, and no more (as ALICE does it, Pillai et
al., OSDI 2014):

* a synced file has its bytes and its mode; without a sync the bytes are the old ones, half of the new ones, zeros of
  the new length, or the new ones, whatever became of its name;
* a synced directory has the names that were made, renamed and removed in it; without a sync any of these changes may
  be there and any other missing, but changes of the same name come in their order;
* a rename is one change, also between directories: on disk when the directory of the new name was synced;
* a name below a directory that is not there is not there either.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import random
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from support.recorder import Call

Form = Literal["old", "half", "zeros", "new"]
_FORMS: Final[tuple[Form, ...]] = ("old", "half", "zeros", "new")
_UMASK: Final = 0o022


@dataclass(slots=True)
class _Node:
    """A file, directory or symbolic link (whose content is where it leads): as it is, and as it is on disk."""

    kind: Literal["file", "directory", "link"]
    content: bytes
    mode: int
    durable: bytes
    durable_mode: int
    time_ns: int = 0

    def form(self, form: Form) -> bytes:
        """Return what the disk may hold of the content."""
        if form == "old":
            return self.durable
        if form == "new":
            return self.content
        kept = self.durable if self.content.startswith(self.durable) else b""
        if form == "zeros":
            return kept + bytes(len(self.content) - len(kept))
        return self.content[: (len(kept) + len(self.content)) // 2]


@dataclass(frozen=True, slots=True)
class _Change:
    """One change of names that is not on disk yet: each name comes to stand for a node, or for nothing."""

    directory: str
    names: tuple[tuple[str, int | None], ...]


@dataclass(frozen=True, slots=True)
class Found:
    """What stands at a path of an image; `number` is the same for names of one file."""

    kind: Literal["file", "directory", "link"]
    content: bytes = field(repr=False)
    mode: int
    number: int
    time_ns: int
    """When it was changed last; 0 where that is not known."""


@dataclass(frozen=True, slots=True)
class Image:
    """One tree that may be found after the power went."""

    found: dict[str, Found]
    kept: str
    """Which of the changes that were not on disk yet got there, for whoever reads the report."""

    @property
    def digest(self) -> bytes:
        """What tells this tree from others; whether two names are one file counts, which one does not."""
        first: dict[int, str] = {}
        digest = hashlib.sha256()
        for path, found in sorted(self.found.items()):
            same = first.setdefault(found.number, path) if found.kind == "file" else ""
            digest.update(repr((path, found.kind, found.content, found.mode, same)).encode())
        return digest.digest()

    def build(self, root: Path) -> None:
        """Make this tree at `root`, in place of whatever is there."""
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir()
        made: dict[int, Path] = {}
        for path, found in sorted(self.found.items()):
            place = root / path
            if found.kind == "directory":
                place.mkdir()
                place.chmod(found.mode)
            elif found.kind == "link":
                os.symlink(found.content, os.fsencode(place))
            elif found.number in made:
                os.link(made[found.number], place)
            else:
                place.write_bytes(found.content)
                place.chmod(found.mode)
                # Indexes say by its time from which file they were made.
                if found.time_ns:
                    os.utime(place, ns=(found.time_ns, found.time_ns))
                made[found.number] = place


class Disk:
    """A tree with what of it is on disk, followed call by call."""

    def __init__(self, root: Path, *, times: Mapping[int, int] | None = None) -> None:
        """Begin with the tree at `root`; `times` are those of `times()` after the same calls on the same tree."""
        self._times = times or {}
        self._numbers = itertools.count()
        self._nodes: dict[int, _Node] = {}
        self._names: dict[str, int] = {}
        self._pending: list[_Change] = []
        self._read(root)
        self._durable = dict(self._names)

    def _read(self, root: Path) -> None:
        known: dict[int, int] = {}
        for path in sorted(root.rglob("*")):
            status = path.lstat()
            number = known.get(status.st_ino)
            if number is None:
                number = known[status.st_ino] = self._new(*_look(path, status))
                self._nodes[number].time_ns = status.st_mtime_ns
            self._names[str(path.relative_to(root))] = number

    def _new(self, kind: Literal["file", "directory", "link"], content: bytes, mode: int) -> int:
        number = next(self._numbers)
        self._nodes[number] = _Node(kind, content, mode, content, mode, self._times.get(number, 0))
        return number

    def times(self, root: Path) -> dict[int, int]:
        """Return the times of the files, as far as they can be seen now that all calls are made."""
        return {number: (root / name).lstat().st_mtime_ns for name, number in self._names.items()}

    def live(self) -> Image:
        """Return the tree as it is while the power is on."""
        return self._image(self._names, lambda _: "new", lambda _: True, "everything")

    def apply(self, call: Call) -> None:  # noqa: C901 - one case for each kind of call
        """Follow one call."""
        if call.error or call.kind == "told":
            return
        directory = os.path.dirname(call.path) or "."
        match call.kind:
            case "create":
                if call.path not in self._names:
                    self._put(call.path, self._new("file", b"", call.number & ~_UMASK))
                elif call.other == "O_TRUNC":
                    self._nodes[self._names[call.path]].content = b""
            case "mkdir":
                self._put(call.path, self._new("directory", b"", call.number & ~_UMASK))
            case "symlink":
                self._put(call.path, self._new("link", os.fsencode(call.other), 0o777))
            case "link":
                self._put(call.other, self._names[call.path])
            case "unlink" | "rmdir":
                del self._names[call.path]
                self._pending.append(_Change(directory, ((call.path, None),)))
            case "rename":
                self._rename(call.path, call.other)
            case "sync":
                self._sync(call.path)
            case _:
                self._touch(call)

    def _put(self, path: str, number: int) -> None:
        self._names[path] = number
        self._pending.append(_Change(os.path.dirname(path) or ".", ((path, number),)))

    def _rename(self, path: str, other: str) -> None:
        number = self._names[path]
        assert self._nodes[number].kind != "directory", "renamed directories are not followed: teach it"
        if self._names.get(other) == number:
            return  # two names of one file: the rename did nothing (POSIX)
        del self._names[path]
        self._names[other] = number
        self._pending.append(_Change(os.path.dirname(other) or ".", ((path, None), (other, number))))

    def _touch(self, call: Call) -> None:
        number = self._names.get(call.path)
        if number is None:
            return  # removed while it was open: nobody will find it
        node = self._nodes[number]
        if call.kind == "mode":
            node.mode = call.number
        elif call.kind == "truncate":
            node.content = node.content[: call.number].ljust(call.number, b"\0")
        else:
            at = len(node.content) if call.number < 0 else call.number
            node.content = node.content[:at].ljust(at, b"\0") + call.content + node.content[at + len(call.content) :]

    def _sync(self, path: str) -> None:
        node = self._nodes.get(self._names.get(path, -1))
        if node is not None and node.kind == "file":
            node.durable, node.durable_mode = node.content, node.mode
        if path != "." and (node is None or node.kind != "directory"):
            return
        kept = self._closed({number for number, change in enumerate(self._pending) if change.directory == path})
        for number in sorted(kept):
            _carry_out(self._pending[number], self._durable)
        self._pending = [change for number, change in enumerate(self._pending) if number not in kept]

    def _closed(self, kept: Iterable[int]) -> frozenset[int]:
        """Return the changes with every earlier one of the same names: those come in their order."""
        closed = set(kept)
        touched: set[str] = set()
        for number in range(len(self._pending) - 1, -1, -1):
            names = {name for name, _ in self._pending[number].names}
            if number in closed or names & touched:
                closed.add(number)
                touched |= names
        return frozenset(closed)

    def images(self, rng: random.Random, *, extra: int) -> Iterator[Image]:
        """Yield trees that may be found if the power goes now: the extreme ones and `extra` random ones."""
        everything = range(len(self._pending))
        for kept, forms in self._extremes(everything):
            yield self._kept(kept, lambda _, form=forms: form, is_new_mode=lambda _, form=forms: form == "new")  # type: ignore[misc]  # the default is bound
        # The mode of a file is lost although all else got there.
        yield self._kept(everything, lambda _: "new", is_new_mode=lambda _: False)
        for _ in range(extra):
            forms_by_node = {number: rng.choice(_FORMS) for number in self._nodes}
            modes = {number: rng.random() < 0.5 for number in self._nodes}
            chosen = [number for number in everything if rng.random() < 0.5]
            yield self._kept(chosen, forms_by_node.__getitem__, is_new_mode=modes.__getitem__)

    def _extremes(self, everything: range) -> Iterator[tuple[Iterable[int], Form]]:
        yield from itertools.product(((), everything), _FORMS)
        for number in everything:
            yield (number,), "old"
            yield [other for other in everything if other != number], "new"

    def _kept(
        self, changes: Iterable[int], form: Callable[[int], Form], *, is_new_mode: Callable[[int], bool]
    ) -> Image:
        kept = self._closed(changes)
        names = dict(self._durable)
        for number in sorted(kept):
            _carry_out(self._pending[number], names)
        said = [str(self._pending[number].names) for number in sorted(kept)]
        dirty = [
            f"{path} {form(number)}"
            for path, number in names.items()
            if self._nodes[number].content != self._nodes[number].durable
        ]
        text = f"of {len(self._pending)} changes {said or 'none'}; unsynced {dirty or 'none'}"
        return self._image(names, form, is_new_mode, text)

    def _image(
        self, names: dict[str, int], form: Callable[[int], Form], is_new_mode: Callable[[int], bool], kept: str
    ) -> Image:
        found: dict[str, Found] = {}
        for path, number in sorted(names.items()):
            parent = os.path.dirname(path)
            if parent and (parent not in found or found[parent].kind != "directory"):
                continue
            node = self._nodes[number]
            mode = node.mode if is_new_mode(number) else node.durable_mode
            found[path] = Found(node.kind, node.form(form(number)), mode, number, node.time_ns)
        return Image(found, kept)


def _carry_out(change: _Change, names: dict[str, int]) -> None:
    for name, number in change.names:
        if number is None:
            names.pop(name, None)
        else:
            names[name] = number


def _look(path: Path, status: os.stat_result) -> tuple[Literal["file", "directory", "link"], bytes, int]:
    mode = stat.S_IMODE(status.st_mode)
    if stat.S_ISLNK(status.st_mode):
        return "link", os.fsencode(os.readlink(path)), mode
    if stat.S_ISDIR(status.st_mode):
        return "directory", b"", mode
    return "file", path.read_bytes(), mode
