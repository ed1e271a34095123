"""Making room: what has been kept long enough is dropped, and what is there is counted.

The whole of it runs under the cache lock, so no version comes, goes or is adopted meanwhile. Decisions and lists may
change at any time; blobs are therefore dropped under the store lock, a few at a time, and only while everything that
could name them is as it was when it was read.
"""

from __future__ import annotations

import contextlib
import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from vmcatcher.errors import BadIdentifier, VmcatcherError
from vmcatcher.errors.store import StoreFull
from vmcatcher.model.identity import image_id
from vmcatcher.services.context import Failure
from vmcatcher.store import cache, doomed, files, prune, roots, stats, view_indexes, views

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from vmcatcher.model.retention import Retentions
    from vmcatcher.services.context import Context
    from vmcatcher.store.doomed import Doomed
    from vmcatcher.store.roots import Listed
    from vmcatcher.store.stats import Stats
    from vmcatcher.store.view_indexes import Entries
    from vmcatcher.store.views import Views

logger = logging.getLogger(__name__)
# So many at a time under the store lock: everybody else's commits wait that long.
_BATCH: Final = 32


@dataclass(frozen=True, slots=True)
class PruneReport:
    """What was dropped, or in a dry run would be, and what could not be."""

    dropped: tuple[Doomed, ...]
    failed: tuple[Failure, ...]

    @property
    def freed_bytes(self) -> int:
        """What the disk gets back."""
        return sum(one.freed_bytes for one in self.dropped)


def plan_pruning(context: Context, shown: Views, retentions: Retentions) -> PruneReport:
    """Return what `prune_store` would do now, and what it could not. Nothing is changed, and no lock is taken.

    Raises:
        StoreReadOnly, StoreInputOutput: a directory cannot be read.
    """
    plan = prune.plan_prune(context.layout, shown, retentions, context.now)
    return PruneReport(plan.doomed, _unread(plan.errors))


def prune_store(
    context: Context, shown: Views, retentions: Retentions, dropped: Callable[[Doomed], None]
) -> PruneReport:
    """Drop what `retentions` allow, telling `dropped` of each thing; one that cannot be dropped never stops the others.

    A run that is killed leaves a store that holds together; the next one drops the rest.

    Raises:
        StoreHeld: a cache run, or another pruning, is going on; nothing was dropped.
        ForeignOwner: the store belongs to another user.
        StoreReadOnly, StoreInputOutput: a directory cannot be read; nothing was dropped.
    """
    with context.lock("cache"):
        plan = prune.plan_prune(context.layout, shown, retentions, context.now)
        run = _Run(context, dropped)
        run.failed.extend(_unread(plan.errors))
        run.drop(plan.entries)
        run.tidy()
        indexes = roots.each_once((shown.expired, context.layout.expired))
        full = [directory for directory in indexes if not run.rewrite_index(directory, may_be_full=True)]
        run.drop(plan.others)
        run.drop_blobs(plan.blobs, plan.listed)
        # What a full disk did not take before may fit now.
        for directory in full:
            run.rewrite_index(directory, may_be_full=False)
    return PruneReport(tuple(run.dropped), tuple(run.failed))


def count_store(context: Context, shown: Views) -> Stats:
    """Return how much of everything the store holds; no lock is taken, and no image is read.

    Raises:
        StoreReadOnly, StoreInputOutput: a directory cannot be read.
    """
    return stats.count_store(context.layout, shown)


def _unread(errors: Iterable[VmcatcherError]) -> tuple[Failure, ...]:
    failed = tuple(Failure("what it may need is kept", error) for error in errors)
    for one in failed:
        logger.error("%s: %s", one.subject, one.error.one_line())
    return failed


class _Run:
    def __init__(self, context: Context, told: Callable[[Doomed], None]) -> None:
        self._context = context
        self._layout = context.layout
        self._told = told
        self._stuck: set[str] = set()
        """Bytes whose entry could not be dropped: they stay with it."""
        self._entries: Entries | None = None
        self.dropped: list[Doomed] = []
        self.failed: list[Failure] = []

    def drop(self, planned: Sequence[Doomed]) -> None:
        for batch in _batches(planned):
            with self._context.lock("store"):
                for one in batch:
                    self._drop(one)

    def drop_blobs(self, planned: Sequence[Doomed], listed: Listed) -> None:
        """Drop the blobs that no decision and no list came to need since they were planned for."""
        for batch in _batches(planned):
            left: Sequence[Doomed] = batch
            while left:
                with self._context.lock("store"):
                    if roots.is_current(self._layout, listed):
                        for one in left:
                            self._drop(one)
                        break
                # Read without the lock: with a thousand lists it takes a second.
                listed = roots.listed_bytes(self._layout)
                if listed.errors:
                    self.failed.extend(_unread(listed.errors))
                    return
                left = [one for one in left if one.sha512 not in listed.digests]

    def _drop(self, one: Doomed) -> None:
        if one.kind == "blob" and one.sha512 in self._stuck:
            return
        try:
            is_gone = doomed.drop(one)
        except VmcatcherError as error:
            if one.sha512 is not None:
                self._stuck.add(one.sha512)
            logger.error("%s: %s", one.path, error.one_line())
            self.failed.append(Failure(one.path, error))
            return
        if is_gone:
            self.dropped.append(one)
            self._told(one)
        else:
            logger.info("%s is another file by now and stays", one.path)

    def tidy(self) -> None:
        """Remove the directories of images of which no record is left."""
        for image in cache.cached_images(self._layout):
            with contextlib.suppress(BadIdentifier, VmcatcherError):
                files.drop_directory(self._layout.records(image_id(image)))

    def rewrite_index(self, directory: str, *, may_be_full: bool) -> bool:
        """Take what is gone out of the `cache.index` of an expired view; return False where the disk is full."""
        try:
            if self._is_behind(directory):
                views.put_index(directory, self._left().items())
        except StoreFull as error:
            if not may_be_full:
                self._fail_index(directory, error)
            return False
        except VmcatcherError as error:
            self._fail_index(directory, error)
        return True

    def _fail_index(self, directory: str, error: VmcatcherError) -> None:
        path = os.path.join(directory, views.INDEX)
        logger.error("%s: %s", path, error.one_line())
        self.failed.append(Failure(path, error))

    def _is_behind(self, directory: str) -> bool:
        """Tell whether the index names a version of which no record is left."""
        named = prune.indexed_names(directory)
        return bool(named) and not named.issubset(self._left())

    def _left(self) -> Entries:
        """Return what `cache.index` says of the expired versions that are left."""
        if self._entries is None:
            self._entries = view_indexes.index_entries(roots.all_records(self._layout)[0])[1]
        return self._entries


def _batches(planned: Sequence[Doomed]) -> Iterator[Sequence[Doomed]]:
    for start in range(0, len(planned), _BATCH):
        yield planned[start : start + _BATCH]
