"""Checking cached bytes against the digest of their name: one file on each processor, from beginning to end."""

from __future__ import annotations

import contextlib
import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vmcatcher.errors.cache import CorruptBytes
from vmcatcher.model.recheck import oldest_share
from vmcatcher.services.progress import Reading, Silence
from vmcatcher.store import blobs
from vmcatcher.store.hashing import PIECE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future, ThreadPoolExecutor
    from datetime import timedelta

    from vmcatcher.model.identity import ImageId, Sha512
    from vmcatcher.model.record import CacheRecord, Fingerprint
    from vmcatcher.services.context import Context


class Checker:
    """Checks the bytes of one run's images; bytes that several images share are read once."""

    def __init__(
        self, context: Context, *, everything: bool, recheck_after: timedelta, share: float | None = None
    ) -> None:
        self._context = context
        self._everything = everything
        self._recheck_after = recheck_after
        self._share = share
        self._chosen: frozenset[Sha512] = frozenset()
        """What is read because it has its turn, though an earlier check of it holds."""
        self._held: set[tuple[ImageId, int]] = set()
        """Versions of which an earlier check was found to hold; nobody is looked at twice for that."""
        self._intact: dict[Sha512, Fingerprint] = {}
        self._is_over = threading.Event()
        self._threads: ThreadPoolExecutor | None = None
        self._next: Iterator[CacheRecord] = iter(())
        self._begun: set[Sha512] = set()
        """What other threads read or have read."""
        self._reading: dict[Sha512, Future[_Read | None]] = {}

    @contextlib.contextmanager
    def reading_ahead(self, records: Iterable[CacheRecord]) -> Iterator[None]:
        """Have other threads read, in a `with` block, what `check` is going to be asked for in this order.

        There is one for each processor. Bytes are all that they touch: what follows from these, a record or an event,
        stays with whoever calls `check`. At the end of the block, also by Ctrl-C, they stop where they are.
        """
        every = tuple(records)
        if self._share is not None and not self._everything:
            self._chosen = oldest_share(every, self._share)
        self._next = (record for record in every if self._is_due(record))
        self._say_what_is_due(every)
        try:
            for _ in range(_processors()):
                self._read_next()
            yield
        finally:
            self._is_over.set()
            if self._threads is not None:
                self._threads.shutdown(cancel_futures=True)

    def check(self, record: CacheRecord) -> Fingerprint | None:
        """Return what to remember of a check that was made; None where an earlier one still holds, or no bytes are.

        Raises:
            CorruptBytes: they do not match; it says where in the store they are to be put aside.
            StoreInputOutput: they could not be read, which says nothing about them.
        """
        layout, digest = self._context.layout, record.sha512
        begun = self._reading.pop(digest, None)
        if begun is not None:
            self._read_next()
        if not self._is_due(record):
            return None
        if digest in self._intact:
            return self._intact[digest]
        read = self._read(record) if begun is None else begun.result()
        if read is None:
            return None
        if not read.is_intact:
            kept = blobs.place_aside(layout, digest, self._context.now)
            raise CorruptBytes(image=record.image, sha512=digest, kept=kept)
        self._intact[digest] = read.found
        return read.found

    def _read_next(self) -> None:
        for record in self._next:
            if record.sha512 in self._begun:
                continue
            self._begun.add(record.sha512)
            if self._threads is None:
                # Where nothing has to be read the module is not needed, and its import is not free.
                from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - see above

                self._threads = ThreadPoolExecutor(max_workers=_processors(), thread_name_prefix="checker")
            self._reading[record.sha512] = self._threads.submit(self._read, record, self._goes_on)
            return

    def _goes_on(self) -> bool:
        return not self._is_over.is_set()

    def _read(self, record: CacheRecord, *goes_on: Callable[[], bool]) -> _Read | None:
        """Read the bytes of a version; None where they are gone, which is no damage: they are fetched again."""
        layout, digest = self._context.layout, record.sha512
        # Looked at before they are read: what is changed meanwhile must be found to be another file later.
        found = blobs.fingerprint(layout, digest, self._context.now)
        if found is None:
            return None
        progress = self._context.progress or Silence()
        with Reading(progress, record.image, record.size_bytes, PIECE_BYTES) as reading:
            asked = (reading.came, *goes_on)
            try:
                return _Read(
                    found, blobs.is_intact(layout, digest, record.size_bytes, lambda: all(ask() for ask in asked))
                )
            except FileNotFoundError:
                return None

    def _say_what_is_due(self, records: Iterable[CacheRecord]) -> None:
        progress = self._context.progress
        if progress is not None:
            due = {record.sha512: record.size_bytes for record in records if self._is_due(record)}
            progress.expect("check", len(due), sum(due.values()))

    def _is_due(self, record: CacheRecord) -> bool:
        """Tell whether there are bytes of which no earlier check holds, or whose turn it is."""
        version = (record.image, record.number)
        if version in self._held:
            return False
        found = blobs.fingerprint(self._context.layout, record.sha512, self._context.now)
        if found is None:
            return False
        if self._everything or record.checked is None or record.sha512 in self._chosen:
            return True
        is_recent = self._context.now - record.checked.checked < self._recheck_after
        if is_recent and record.checked.is_same_file(found):
            self._held.add(version)
            return False
        return True


@dataclass(frozen=True, slots=True)
class _Read:
    """Bytes that were read: what the file system said of them before, and whether they are what their name says."""

    found: Fingerprint
    is_intact: bool


def _processors() -> int:
    # Those of this process: a container or a service may have been given fewer than there are.
    return len(os.sched_getaffinity(0))
