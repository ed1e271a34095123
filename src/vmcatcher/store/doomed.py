"""Things that are to be dropped: what they are, what the disk gets back, and dropping them.

Whatever is dropped is what was looked at when that was planned: a name that stands for another file by then stays.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from vmcatcher.store import files, roots

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

Kind = Literal["expired", "partial", "temporary", "event-log", "failed-event", "snapshot", "quarantine", "blob"]
# Where a symbolic link of ours may stand. One in the place of any other file was planted there.
_MAY_BE_LINKS: Final = frozenset({"expired", "temporary", "quarantine"})


@dataclass(frozen=True, slots=True)
class Name:
    """A name as it was when it was looked at."""

    path: str
    identity: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Doomed:
    """One thing that is to be dropped, and why."""

    kind: Kind
    path: str
    reason: str
    names: tuple[Name, ...]
    """In the order in which they are dropped: what others see of it first."""
    size_bytes: int
    freed_bytes: int
    """What the disk gets back: nothing while the bytes have another name, such as one in a hard-linked backup."""
    is_shared: bool
    """Whether the bytes have another name."""
    sha512: str | None = None

    def __str__(self) -> str:
        kept = " (the bytes have another name and stay)" if self.is_shared else ""
        return f"{self.kind} {self.path}: {self.reason}; {self.freed_bytes} bytes{kept}"


def drop(doomed: Doomed) -> bool:
    """Drop every name of it; return False where one stands for something else by now, which stays.

    Doing it again does what is missing.

    Raises:
        StoreReadOnly, StoreInputOutput: not all of its names are gone.
    """
    for name in doomed.names:
        status = roots.look(name.path)
        if status is None:
            continue
        if roots.identity(status) != name.identity:
            return False
        files.drop(name.path)
    return True


class Ledger:
    """Plans what is dropped, and keeps the books of names: bytes are free when the last of theirs is gone."""

    def __init__(self) -> None:
        self._dropped: dict[tuple[int, int], int] = {}

    def doom(self, kind: Kind, paths: Sequence[str], reason: str, sha512: str | None = None) -> Iterator[Doomed]:
        """Yield the thing that has these names; none where none is there, or somebody put something else there."""
        found = [(path, status) for path in paths if (status := roots.look(path)) is not None]
        if not found or not all(_may_be_ours(kind, status) for _, status in found):
            return
        freed = sum(self._freed(status) for _, status in found)
        yield Doomed(
            kind,
            found[0][0],
            reason,
            tuple(Name(path, roots.identity(status)) for path, status in found),
            sum(status.st_size for _, status in found),
            freed,
            any(self._dropped[_inode(status)] < status.st_nlink for _, status in found),
            sha512,
        )

    def _freed(self, status: os.stat_result) -> int:
        key = _inode(status)
        self._dropped[key] = self._dropped.get(key, 0) + 1
        return status.st_blocks * 512 if self._dropped[key] == status.st_nlink else 0


def _inode(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _may_be_ours(kind: Kind, status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode) or (stat.S_ISLNK(status.st_mode) and kind in _MAY_BE_LINKS)
