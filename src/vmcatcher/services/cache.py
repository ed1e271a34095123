"""One cache run: what must leave leaves, what is wanted comes, what is there is checked, and the cloud is told."""

from __future__ import annotations

import errno
import logging
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from vmcatcher.errors import VmcatcherError
from vmcatcher.errors.cache import BytesUnreadable, CorruptBytes
from vmcatcher.errors.store import StoreInputOutput
from vmcatcher.model.event import EventKind
from vmcatcher.model.plan import plan_cache
from vmcatcher.model.record import Reason, State
from vmcatcher.services.checking import Checker
from vmcatcher.services.clock import clock_trouble
from vmcatcher.services.incoming import Incoming, Manner, Order
from vmcatcher.services.leaving import Departures
from vmcatcher.services.memory import Memory
from vmcatcher.services.outcome import Outcome
from vmcatcher.services.passage import Passage
from vmcatcher.services.repairing import Mender
from vmcatcher.services.standing import judge_all
from vmcatcher.services.taking_up import drop_strays, put_aside, sweep, take_up
from vmcatcher.store import cache, not_done, view_indexes, views
from vmcatcher.store.vetoes import vetoed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from vmcatcher.model.identity import ImageId, ListId
    from vmcatcher.model.plan import CachePlan, Standing, Wanted
    from vmcatcher.model.record import CacheRecord
    from vmcatcher.services.context import Context, Failure
    from vmcatcher.services.events import Teller
    from vmcatcher.services.outcome import ImageOutcome
    from vmcatcher.services.update import Tools
    from vmcatcher.store.views import Views

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CacheRequest:
    """What a run is to do, and where its views lie."""

    views: Views
    download: bool = True
    expire: bool = True
    check: bool = True
    check_everything: bool = False
    """Read every cached byte, also of files that an earlier check proved and nobody touched since."""
    recheck_after: timedelta = timedelta(days=30)
    check_share: float | None = None
    """Read at least that share of the cached bytes in any case, those first whose last check is longest ago."""
    keep_until_replaced: bool = False
    jobs: int = 4
    """How many images are downloaded at a time."""
    jobs_per_host: int = 2
    """How many of them from one host."""


@dataclass(frozen=True, slots=True)
class CacheReport:
    """What a run did."""

    published: tuple[ImageId, ...]
    expired: tuple[tuple[ImageId, Reason], ...]
    failed: tuple[Failure, ...]
    images: tuple[ImageOutcome, ...] = ()
    """The same by image, for every image that is or was cached, or that is wanted; without what failed of the run."""


def run_cache(context: Context, tools: Tools, teller: Teller, request: CacheRequest) -> CacheReport:
    """Make the views hold what is wanted now; one image that fails never stops the others.

    Raises:
        StoreHeld: another cache run is going on.
        HardLinksImpossible: the views cannot be made of what the request says; nothing was done.
    """
    views.demand_linkable(context.layout, request.views)
    with context.lock("cache"):
        return run_cache_locked(context, tools, teller, request)


def run_cache_locked(
    context: Context, tools: Tools, teller: Teller, request: CacheRequest, memory: Memory | None = None
) -> CacheReport:
    """Do what `run_cache` does, for a caller that holds the cache lock; `memory` is what it knows of this run.

    Interrupted, it stops all downloads, keeps what came of them for the next run, and tells that the run is over.

    Raises:
        HardLinksImpossible: as for `run_cache`.
    """
    views.demand_linkable(context.layout, request.views)
    run = _Run(context, tools, teller, request, memory or Memory(context.layout))
    try:
        teller.tell_run(EventKind.PROCESS_PREFIX)
        run.whole()
    finally:
        # Also after a failure: handlers clean up on it, and scripts read the index.
        run.finish()
    return run.report()


class _Run:
    def __init__(self, context: Context, tools: Tools, teller: Teller, request: CacheRequest, memory: Memory) -> None:
        self._context = context
        self._layout = context.layout
        self._tools = tools
        self._request = request
        self._teller = teller
        self._passage = Passage(context, teller, request.views)
        self._memory = memory
        self._reader = memory.records
        self._outcome = Outcome()
        self._departures = Departures(self._passage, self._outcome, self._reader)
        manner = Manner(request.jobs, request.jobs_per_host, request.keep_until_replaced)
        self._incoming = Incoming(context, tools, self._passage, self._departures, self._outcome, manner)
        self._corrupt: set[ImageId] = set()
        self._checked: dict[ImageId, CacheRecord] = {}
        self._lists: dict[ImageId, ListId] = {}
        """The images that the run is about, with the list of each."""

    def report(self) -> CacheReport:
        done = self._outcome
        images = done.images(self._lists)
        return CacheReport(tuple(done.published), tuple(done.expired), tuple(done.failed), images)

    def whole(self) -> None:
        request = self._request
        sweep(self._context, request.views)
        mender = Mender(self._context, request.views, self._teller.new_id)
        found = take_up(self._context, self._passage, mender, self._outcome, self._reader)
        self._departures.stuck |= found.stuck
        judged = judge_all(self._context, self._tools, self._memory)
        self._outcome.failed.extend(judged.failed)
        records = (*found.active, *found.failing)
        plan = plan_cache(records, judged.standings, self._context.now, vetoed(self._layout), judged.unread)
        self._lists = {record.image: record.list_id for record in records}
        self._lists |= {image: wanted.list_id for image, wanted in plan.wanted.items()}
        trouble = clock_trouble(self._context)
        if trouble is not None:
            logger.warning("%s", trouble)
            plan = replace(plan, leave_first=(), replace=(), give_up=())
        if request.expire:
            drop_strays(self._context, request.views, found, plan.wanted, self._outcome)
            self._departures.leave_all(plan.leave_first)
            self._departures.leave_all(plan.give_up)
        if request.check:
            self._check(_checkable(plan, expired=request.expire))
        if request.download:
            orders = [*self._staying(plan, judged.standings), *self._coming(plan, judged.standings)]
        else:
            orders = []
            if request.expire and not request.keep_until_replaced:
                gone = (old for old, newer in plan.replace if not newer.keeps_old)
                self._departures.leave_all(old for old in gone if old.record.image not in self._corrupt)
        self._incoming.bring([*orders, *self._lost(plan, judged.standings)])

    def _staying(self, plan: CachePlan, standings: Mapping[ListId, Standing]) -> Iterator[Order]:
        """Yield what is wanted as it is and lacks its bytes; see to what does not lack them."""
        for record in plan.stay:
            wanted = plan.wanted.get(record.image)
            if wanted is not None and wanted.image.sha512 == record.sha512 and record.image not in self._corrupt:
                current = self._checked.get(record.image, record)
                order = Order(wanted, standings[wanted.list_id].subscription, kept=current)
                if not self._incoming.see_to(order):
                    yield order

    def _coming(self, plan: CachePlan, standings: Mapping[ListId, Standing]) -> Iterator[Order]:
        """Yield the new versions of what is there, then what is not there."""
        for leaving, newer in plan.replace:
            if leaving.record.image not in self._corrupt:
                yield Order(newer, standings[newer.list_id].subscription, replaces=leaving)
        for newer in plan.bring:
            if self._departures.has_left(newer.image.identifier):
                yield Order(newer, standings[newer.list_id].subscription)

    def _lost(self, plan: CachePlan, standings: Mapping[ListId, Standing]) -> Iterator[Order]:
        """Yield what was found corrupt, which is fetched again also where nothing else is downloaded."""
        for image in sorted(self._corrupt):
            newer: Wanted | None = plan.wanted.get(image)
            if newer is not None and self._departures.has_left(image):
                yield Order(newer, standings[newer.list_id].subscription)

    def _put(self, record: CacheRecord) -> CacheRecord:
        with self._context.lock("store"):
            cache.put_record(self._layout, record)
        return record

    def _check(self, records: Sequence[CacheRecord]) -> None:
        request = self._request
        checker = Checker(
            self._context,
            everything=request.check_everything,
            recheck_after=request.recheck_after,
            share=request.check_share,
        )
        with checker.reading_ahead(records):
            for record in (one for one in records if one.image not in self._corrupt):
                try:
                    checked = checker.check(record)
                    if checked is not None:
                        self._checked[record.image] = self._put(replace(record, checked=checked))
                except CorruptBytes as error:
                    self._leave_corrupt([one for one in records if one.sha512 == record.sha512], error)
                except StoreInputOutput as error:
                    self._outcome.fail(record.image, self._lost_on_disk(record, error) or error)
                except VmcatcherError as error:
                    self._outcome.fail(record.image, error)

    def _lost_on_disk(self, record: CacheRecord, error: StoreInputOutput) -> BytesUnreadable | None:
        """Return what to say of bytes that the disk does not deliver, which does not pass as other trouble may."""
        if error.path != self._layout.blob(record.sha512) or getattr(error.__cause__, "errno", 0) != errno.EIO:
            return None
        return BytesUnreadable(image=record.image, path=error.path, why=error.why)

    def _leave_corrupt(self, sharing: list[CacheRecord], found: CorruptBytes) -> None:
        for record in sharing:
            self._corrupt.add(record.image)
            self._outcome.fail(record.image, replace(found, image=record.image))
        try:
            condemned = put_aside(self._context, self._passage, sharing, found.kept)
        except VmcatcherError as error:
            self._outcome.fail(found.image, error)
            return
        self._departures.leave_corrupt(condemned, Reason.CORRUPT)

    def finish(self) -> None:
        """Write the indexes, tell that the run is over, keep what it told; a failure of these hides no other."""
        try:
            self._write_indexes()
        except VmcatcherError as error:
            self._outcome.fail_run(views.INDEX, error)
        self._teller.tell_run(EventKind.PROCESS_POSTFIX)
        try:
            self._teller.write_log()
        except VmcatcherError as error:
            self._outcome.fail_run("the log of what was told", error)
        self._note()

    def _note(self) -> None:
        """Keep what could not be done, for whoever looks at how everything stands."""
        if not self._request.download:
            return  # what an earlier run could not fetch is as it was
        found: dict[str, VmcatcherError] = {}
        for failure in self._outcome.failed:
            found.setdefault(failure.subject, failure.error)
        try:
            not_done.put_not_done(self._layout, found, self._context.now)
        except VmcatcherError as error:
            # Bookkeeping only: what the run did is done, and said.
            logger.warning("what was not done cannot be noted: %s", error)

    def _write_indexes(self) -> None:
        records = [record for image in cache.cached_images(self._layout) for record in self._departures.records(image)]
        for kept in view_indexes.write_indexes(self._layout, self._request.views, records):
            logger.error("something that was no file stood in place of a %s; it is kept as %s", views.INDEX, kept)


def _checkable(plan: CachePlan, *, expired: bool) -> list[CacheRecord]:
    """Return the versions that are in the endorsed view once those that had to leave have left, if they did."""
    still = [*plan.stay, *(leaving.record for leaving, _ in plan.replace)]
    if not expired:
        still += [leaving.record for leaving in plan.leave_first]
    return [record for record in still if record.state is State.ENDORSED]
