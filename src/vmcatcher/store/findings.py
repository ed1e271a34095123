"""What a look at a store finds: where it is not as it should be, and what a repair does about it."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Final, Literal, TypeVar

from vmcatcher.errors import VmcatcherError
from vmcatcher.store import documents, files, reading
from vmcatcher.store.aside import is_untrustworthy

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmcatcher.model.document import Document

Kind = TypeVar("Kind")
Invariant = Literal["I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I9", "I10", "I11", "I12", "I13", "I14"]
_OTHERS_WRITE: Final = 0o022
_OWNER_READS: Final = 0o400


class Remedy(Enum):
    """What a repair does about a finding."""

    NONE = auto()
    """Nothing: the next run, or the operator, has to."""
    ASIDE = auto()
    """Move it into quarantine: nothing depends on it."""
    LOSE = auto()
    """Move a decision into quarantine, and leave a note of the loss."""
    RECORD = auto()
    """Move a cache record into quarantine, and make it again from what is in the views."""
    SNAPSHOT = auto()
    """Move a signed list and its evidence into quarantine."""
    CORRUPT = auto()
    """Move the bytes of an image into quarantine; the versions that show them are on their way out."""
    MODE = auto()
    """Set the mode that it should have."""
    PROJECT = auto()
    """Make index and manifest of a subscription again."""
    MARK = auto()
    """Make the mark of a list again from its newest snapshot."""
    SHOW = auto()
    """Make the link of a cached version again."""
    INDEX = auto()
    """Make the cache.index of a view again."""
    DIRECTORY = auto()
    """Make the directory."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One place where the store is not as it should be."""

    invariant: Invariant
    path: str
    text: str
    is_damage: bool
    remedy: Remedy = Remedy.NONE
    about: str = ""
    """The list or image whose file it is, where the remedy has to know."""
    mode: int = 0
    """The mode that it should have, for `Remedy.MODE`."""

    def __str__(self) -> str:
        return f"{self.invariant} {'damage' if self.is_damage else 'note'}: {self.path}: {self.text}"


def damage(invariant: Invariant, path: str, text: str, remedy: Remedy = Remedy.NONE, about: str = "") -> Finding:
    """Return a finding of what no crash, no copy and no half-finished run can leave."""
    # Errors name their file, as the finding does already.
    text = text.removeprefix(f"{path} is damaged: ")
    return Finding(invariant, path, text, is_damage=True, remedy=remedy, about=about)


def note(invariant: Invariant, path: str, text: str, remedy: Remedy = Remedy.NONE, about: str = "") -> Finding:
    """Return a finding of what the next run does, or of what is none of ours."""
    return Finding(invariant, path, text, is_damage=False, remedy=remedy, about=about)


def status_of(path: str) -> os.stat_result | None:
    """Return what stands at `path` itself, or None where that is gone: a run may be going on."""
    try:
        return os.lstat(path)
    except OSError:
        return None


def read(
    found: list[Finding], path: str, parse: Callable[[Document], Kind], remedy: Remedy, about: str = ""
) -> Kind | None:
    """Return the document at `path`, or None where it is not there or cannot be read, which becomes a finding (I1)."""
    found.extend(mode_of(path))
    try:
        document = documents.read_document(path, parse)
        is_sealed = document is None or documents.is_sealed(path)
    except FileNotFoundError:
        return None
    except VmcatcherError as error:
        found.append(damage("I1", path, str(error), remedy if is_untrustworthy(error) else Remedy.NONE, about))
        return None
    if not is_sealed:
        text = "it has no seal: a person or an earlier version of the program wrote it"
        found.append(note("I1", path, text))
    return document


def anything(document: Document) -> Document:
    """Return the document; for those of which nothing but their form matters here."""
    return document


def mode_of(path: str, *, is_secret: bool = False) -> list[Finding]:
    """Return what is wrong with the mode of a document (I12)."""
    status = status_of(path)
    if status is None or not stat.S_ISREG(status.st_mode):
        return []
    mode = stat.S_IMODE(status.st_mode)
    if is_secret and mode & 0o077:
        text, wanted = f"others may read this password (mode {mode:04o}, 0600 expected)", files.SECRET_MODE
    elif mode & _OTHERS_WRITE:
        text = f"others may change it (mode {mode:04o}, 0644 or less expected)"
        wanted = mode & reading.FILE_MODE | files.SECRET_MODE
    elif not mode & _OWNER_READS:
        text, wanted = f"its owner cannot read it (mode {mode:04o})", mode & reading.FILE_MODE | files.SECRET_MODE
    else:
        return []
    return [Finding("I12", path, text, is_damage=True, remedy=Remedy.MODE, mode=wanted)]
