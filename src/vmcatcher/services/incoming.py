"""What comes during a cache run: bytes are fetched, several at once; what follows from them is done one by one.

Threads of their own have the bytes brought into the blob store, and touch nothing else. Records, views and events are
the caller's, in whose thread each image is published as soon as its bytes are there.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from vmcatcher.errors import VmcatcherError
from vmcatcher.errors.store import WrongBytes
from vmcatcher.model.record import State
from vmcatcher.services.crew import Crew
from vmcatcher.services.fetching import Fetcher
from vmcatcher.services.passage import refreshed
from vmcatcher.services.progress import Silence
from vmcatcher.services.sources import places
from vmcatcher.services.waiting import Job, Waiting
from vmcatcher.store import blobs, cache, downloads, reading

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from vmcatcher.model.identity import ImageId
    from vmcatcher.model.plan import Leaving, Wanted
    from vmcatcher.model.record import CacheRecord
    from vmcatcher.model.subscription import Subscription
    from vmcatcher.services.bringing import Brought
    from vmcatcher.services.context import Context
    from vmcatcher.services.leaving import Departures
    from vmcatcher.services.outcome import Outcome
    from vmcatcher.services.passage import Passage
    from vmcatcher.services.update import Tools

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Order:
    """A version that is wanted, of whichever its bytes may not be there."""

    wanted: Wanted
    subscription: Subscription
    kept: CacheRecord | None = None
    """Its record, where it is in the endorsed view, or on its way there, and stays."""
    replaces: Leaving | None = None
    """What it comes in place of."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How bytes are fetched."""

    jobs: int = 4
    """How many images at a time; 1 does all in the caller's thread, in an order that is always the same."""
    jobs_per_host: int = 2
    keep_until_replaced: bool = False


@dataclass(frozen=True, slots=True)
class _Load:
    """An order with the record that its version is going to have."""

    order: Order
    record: CacheRecord


class Incoming:
    """Has the bytes of versions brought, and brings the versions into the endorsed view."""

    def __init__(
        self,
        context: Context,
        tools: Tools,
        passage: Passage,
        departures: Departures,
        outcome: Outcome,
        manner: Manner,
    ) -> None:
        self._context = context
        self._layout = context.layout
        self._tools = tools
        self._passage = passage
        self._departures = departures
        self._outcome = outcome
        self._manner = manner
        self._progress = context.progress or Silence()
        self._fetcher = Fetcher(context, tools, self._follow)
        self._crew: Crew[_Load, Brought] | None = None

    def see_to(self, order: Order) -> bool:
        """Bring a version that stays up to date if its bytes are there; return whether they are."""
        image = order.wanted.image
        if not blobs.has_blob(self._layout, image.sha512, image.size_bytes):
            return False
        if order.kept is not None:
            self._keep(order.kept, order.wanted, came=False)
        return True

    def bring(self, orders: Iterable[Order]) -> None:
        """Have the bytes of all orders, and do with each what it is for; one that fails never stops the others."""
        jobs = [self._job(load) for order in orders if (load := self._load(order)) is not None]
        if not jobs:
            return
        self._expect(jobs)
        manner = self._manner
        waiting = Waiting(jobs, per_host=manner.jobs_per_host, free=self._free, missing=self._missing)
        self._crew = Crew(waiting, self._fetch, hands=manner.jobs, halt=self._tools.transport.halt)
        with self._crew as crew:
            for arrival in crew:
                if isinstance(arrival.result, VmcatcherError):
                    self._fail(arrival.job.what, arrival.result)
                else:
                    self._take(arrival.job.what, arrival.result)

    def _load(self, order: Order) -> _Load | None:
        if order.kept is not None:
            return _Load(order, order.kept)
        try:
            return _Load(order, self._fetcher.begun(order.wanted))
        except VmcatcherError as error:
            self._give_up(order, error)
            return None

    def _job(self, load: _Load) -> Job[_Load]:
        image = load.order.wanted.image
        asked = places(self._tools.mirrors, load.order.subscription, image)
        host = urlsplit(asked[0].url if asked else image.uri).netloc.rpartition("@")[2].lower()
        return Job(image.identifier, image.sha512, image.size_bytes, host, load)

    # -- in the threads of the crew, or in the caller's where there is no other

    def _fetch(self, job: Job[_Load]) -> Brought:
        load = job.what
        order = load.order
        missing = self._missing(job)
        if not missing:
            return self._fetcher.fetch(load.record, order.wanted, order.subscription)
        self._progress.begin("download", job.name, job.size_bytes, done_bytes=job.size_bytes - missing)
        is_done = False
        try:
            brought = self._fetcher.fetch(load.record, order.wanted, order.subscription)
            is_done = True
        finally:
            self._progress.end(job.name, is_done=is_done)
        return brought

    def _follow(self, image: ImageId, count: int) -> None:
        self._progress.advance(image, count)
        if self._crew is not None:
            self._crew.wrote(image, count)

    def _free(self) -> int | None:
        return reading.free_bytes(self._layout.partial)

    def _missing(self, job: Job[_Load]) -> int:
        """Return how many bytes of an image have still to be written."""
        if blobs.has_blob(self._layout, job.sha512, job.size_bytes):
            return 0
        try:
            found = downloads.lefts(self._layout, job.sha512)
        except VmcatcherError:
            return job.size_bytes  # what is wrong there the download itself will say
        # What another process may still write to is copied, and takes its space twice.
        there = max((left.size for left in found if left.is_ours_alone and left.size <= job.size_bytes), default=0)
        return job.size_bytes - there

    # -- in the caller's thread

    def _expect(self, jobs: Sequence[Job[_Load]]) -> None:
        # What an earlier run left of a download counts, too: it is done when the download begins.
        apart = {job.sha512: job for job in jobs if self._missing(job)}.values()
        self._progress.expect("download", len(apart), sum(job.size_bytes for job in apart))

    def _take(self, load: _Load, brought: Brought) -> None:
        order = load.order
        if brought.came:
            self._outcome.fetched[load.record.image] = brought
        if order.kept is not None:
            self._keep(load.record, order.wanted, came=brought.came)
        elif order.replaces is None or self._departures.leave(order.replaces):
            self._publish(load.record)

    def _fail(self, load: _Load, error: VmcatcherError) -> None:
        if isinstance(error, WrongBytes):
            try:
                self._fetcher.count_wrong(load.record, load.order.wanted)
            except VmcatcherError as uncounted:
                self._outcome.fail(load.record.image, uncounted)
        self._give_up(load.order, error)

    def _give_up(self, order: Order, error: VmcatcherError) -> None:
        self._outcome.fail(order.wanted.image.identifier, error)
        is_kept = self._manner.keep_until_replaced or order.wanted.keeps_old
        if order.replaces is not None and not is_kept:
            self._departures.leave(order.replaces)

    def _keep(self, record: CacheRecord, wanted: Wanted, *, came: bool) -> None:
        """See to a version that stays and has its bytes; that they were fetched again is no word to the cloud."""
        current = refreshed(record, wanted)
        try:
            if came:
                checked = blobs.fingerprint(self._layout, record.sha512, self._context.now)
                current = replace(current, checked=checked, tries=0)
            if current is not record:
                self._put(current)
            if current.state is State.STAGED:
                self._outcome.note(self._passage.publish(current))
            elif came:
                logger.warning("image %s: its bytes were missing and were fetched again", record.image)
                self._passage.show_endorsed(current)
        except VmcatcherError as error:
            self._outcome.fail(record.image, error)

    def _put(self, record: CacheRecord) -> None:
        with self._context.lock("store"):
            cache.put_record(self._layout, record)

    def _publish(self, record: CacheRecord) -> None:
        try:
            self._outcome.note(self._passage.publish(self._passage.stage(record)))
        except VmcatcherError as error:
            self._outcome.fail(record.image, error)
