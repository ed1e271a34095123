"""The store itself: making one, and examining one."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vmcatcher.errors.demands import BlobsElsewhere
from vmcatcher.errors.locks import LocksDiffer
from vmcatcher.errors.store import BadStoreLocation, DatabaseNotImported
from vmcatcher.services.repairing import repair_store
from vmcatcher.store import root as stores
from vmcatcher.store.check import check_store

if TYPE_CHECKING:
    from vmcatcher.services.context import Context, Failure
    from vmcatcher.store.check import Finding
    from vmcatcher.store.layout import Layout
    from vmcatcher.store.repair import Repaired
    from vmcatcher.store.root import LockKind
    from vmcatcher.store.views import Views

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class InitialStore:
    """A store that is there now."""

    root: str
    blobs: str
    """Where the bytes of its images lie."""
    is_new: bool


def init_store(
    root: str, *, blobs: str | None = None, locks: LockKind | None = None, database: str | None = None
) -> InitialStore:
    """Make a store in the directory `root`, its image bytes in `blobs` where given; one that is there stays as it is.

    `locks` is the kind of its locks, kernel locks unless given. `database` is the classic database that stands for the
    store, if one was named.

    Raises:
        DatabaseNotImported: that database is there: an empty store in its place would hide what it holds.
        BlobsElsewhere: the store is there and keeps its image bytes in another directory than `blobs`.
        LocksDiffer: the store is there and has locks of another kind than `locks`.
        ForeignOwner: the store, or the directory it is to be made in, belongs to another user.
        StrangersThere: the directory holds files of somebody else.
        BadStoreLocation: a file stands where the directory, or one above it, should be.
        UnknownFormat, StoreReadOnly, StoreFull: see their hints.
    """
    _demand_directory(root)
    found = stores.find_store(root)
    if found is None and database is not None and os.path.exists(database):
        raise DatabaseNotImported(database=database, store=root)
    if found is not None and blobs is not None and os.path.realpath(blobs) != os.path.realpath(found.blobs):
        raise BlobsElsewhere(path=root, found=found.blobs, wanted=os.path.abspath(blobs))
    if found is not None and locks not in (None, stores.lock_kind(found)):
        raise LocksDiffer(path=root, found=stores.lock_kind(found), wanted=str(locks))
    layout = stores.make_store(root, blobs=blobs, locks=locks or "kernel")
    if found is None:
        logger.info("made the store %s", layout.root)
    return InitialStore(layout.root, layout.blobs, found is None)


def _demand_directory(root: str) -> None:
    place = os.path.abspath(root)
    while not os.path.lexists(place):
        place = os.path.dirname(place)
    if not os.path.isdir(place):
        raise BadStoreLocation(given=root, why=f"{place} is no directory")


@dataclass(frozen=True, slots=True)
class Examination:
    """What was found in a store, damage first."""

    findings: tuple[Finding, ...]
    repaired: tuple[Repaired, ...] = ()
    """What was done about damage, where that was asked for; `findings` is then what is left."""
    failed: tuple[Failure, ...] = ()
    """What should have been done about it and could not be."""

    @property
    def damaged(self) -> int:
        """How many findings are damage: what no crash, copy or half-finished run leaves."""
        return sum(1 for one in self.findings if one.is_damage)

    @property
    def notes(self) -> int:
        """How many findings are steps that the next run does, or files of somebody else."""
        return len(self.findings) - self.damaged


def examine_store(layout: Layout, *, read_bytes: bool, shown: Views) -> Examination:
    """Look for damage in a store; nothing is changed, and no lock is taken.

    With `read_bytes` every image is read and hashed. `shown` are the views to look at.
    """
    return Examination(tuple(check_store(layout, read_bytes=read_bytes, shown=shown)))


def mend_store(context: Context, *, read_bytes: bool, shown: Views) -> Examination:
    """Look for damage in a store, and do about it what can be done; see `repair_store`.

    Raises:
        StoreHeld: an update or a cache run is going on.
        ForeignOwner: the store belongs to another user.
    """
    done = repair_store(context, read_bytes=read_bytes, shown=shown)
    return Examination(done.left, done.done, done.failed)
