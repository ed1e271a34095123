"""One cache run: what must leave leaves, what is wanted comes, what is there is checked, and the cloud is told."""

from __future__ import annotations

import errno
import logging
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from vmcatcher.errors import VmcatcherError
from vmcatcher.errors.cache import BytesUnreadable, CorruptBytes
from vmcatcher.errors.store import StoreFull, StoreInputOutput
from vmcatcher.model.event import EventKind
from vmcatcher.model.plan import plan_cache
from vmcatcher.model.record import Reason, State
from vmcatcher.services.checking import Checker
from vmcatcher.services.clock import clock_trouble
from vmcatcher.services.fetching import Fetcher
from vmcatcher.services.outcome import Outcome
from vmcatcher.services.passage import Passage, refreshed
from vmcatcher.services.repairing import Mender
from vmcatcher.services.standing import judge_all
from vmcatcher.services.taking_up import drop_strays, put_aside, sweep, take_up
from vmcatcher.store import blobs, cache, view_indexes, views
from vmcatcher.store.vetoes import vetoed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from vmcatcher.model.identity import ImageId, ListId
    from vmcatcher.model.plan import CachePlan, Leaving, Standing, Wanted
    from vmcatcher.model.record import CacheRecord
    from vmcatcher.services.context import Context, Failure
    from vmcatcher.services.events import Teller
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
    keep_until_replaced: bool = False


@dataclass(frozen=True, slots=True)
class CacheReport:
    """What a run did."""

    published: tuple[ImageId, ...]
    expired: tuple[tuple[ImageId, Reason], ...]
    failed: tuple[Failure, ...]


def run_cache(context: Context, tools: Tools, teller: Teller, request: CacheRequest) -> CacheReport:
    """Make the views hold what is wanted now; one image that fails never stops the others.

    Raises:
        StoreHeld: another cache run is going on.
        HardLinksImpossible: the views cannot be made of what the request says; nothing was done.
    """
    views.demand_linkable(context.layout, request.views)
    with context.lock("cache"):
        run = _Run(context, tools, teller, request)
        try:
            teller.tell_run(EventKind.PROCESS_PREFIX)
            run.whole()
        finally:
            # Also after a failure: handlers clean up on it, and scripts read the index.
            run.finish()
        return run.report()


class _Run:
    def __init__(self, context: Context, tools: Tools, teller: Teller, request: CacheRequest) -> None:
        self._context = context
        self._layout = context.layout
        self._tools = tools
        self._request = request
        self._teller = teller
        self._passage = Passage(context, teller, request.views)
        self._fetcher = Fetcher(context, tools)
        self._outcome = Outcome()
        self._corrupt: set[ImageId] = set()
        self._checked: dict[ImageId, CacheRecord] = {}
        self._stuck: set[str] = set()
        """Images for which nothing may come in: a version may be there still, or its leaving was not told."""

    def report(self) -> CacheReport:
        done = self._outcome
        return CacheReport(tuple(done.published), tuple(done.expired), tuple(done.failed))

    def whole(self) -> None:
        request = self._request
        sweep(self._context, request.views)
        mender = Mender(self._context, request.views, self._teller.new_id)
        found = take_up(self._context, self._passage, mender, self._outcome)
        self._stuck |= found.stuck
        judged = judge_all(self._context, self._tools)
        self._outcome.failed.extend(judged.failed)
        records = (*found.active, *found.failing)
        plan = plan_cache(records, judged.standings, self._context.now, vetoed(self._layout), judged.unread)
        trouble = clock_trouble(self._context)
        if trouble is not None:
            logger.warning("%s", trouble)
            plan = replace(plan, leave_first=(), replace=(), give_up=())
        if request.expire:
            drop_strays(self._context, request.views, found, plan.wanted, self._outcome)
            self._leave(plan.leave_first)
            self._leave(plan.give_up)
        if request.check:
            self._check(_checkable(plan, expired=request.expire))
        if request.download:
            self._bring(plan, judged.standings)
        elif request.expire and not request.keep_until_replaced:
            self._leave(leaving for leaving, _ in plan.replace if leaving.record.image not in self._corrupt)
        self._refetch(plan, judged.standings)

    def _leave(self, leaving: Iterable[Leaving]) -> None:
        for one in leaving:
            self._leave_one(one.record, one.reason)

    def _leave_one(self, record: CacheRecord, reason: Reason) -> bool:
        try:
            left = self._passage.expire(record, reason)
        except VmcatcherError as error:
            self._stuck.add(record.image)
            self._outcome.fail(record.image, error)
            if isinstance(error, StoreFull):
                # What is revoked must not stay in use because that cannot be written down; an unlink needs no space.
                self._passage.hide(record)
            return False
        if left.published is not None:
            self._outcome.expired.append((record.image, reason))
        return True

    def _bring(self, plan: CachePlan, standings: Mapping[ListId, Standing]) -> None:
        for record in plan.stay:
            wanted = plan.wanted.get(record.image)
            if wanted is not None and wanted.image.sha512 == record.sha512 and record.image not in self._corrupt:
                self._keep(self._checked.get(record.image, record), wanted, standings)
        for leaving, newer in plan.replace:
            if leaving.record.image not in self._corrupt:
                self._replace(leaving, newer, standings)
        for newer in plan.bring:
            if self._has_left(newer.image.identifier):
                self._fetch_and_publish(newer, standings)

    def _has_left(self, image: ImageId) -> bool:
        """Tell whether no version of the image is in the endorsed view, so that another one may come."""
        records = self._records(image)
        return image not in self._stuck and not any(record.is_active for record in records)

    def _records(self, image: str) -> list[CacheRecord]:
        """Return the versions of an image; one that can be read no longer keeps others out, and is told once."""
        found, errors = cache.readable_records(self._layout, image)
        told = {(failure.subject, str(failure.error)) for failure in self._outcome.failed}
        for error in errors:
            self._stuck.add(image)
            if (image, str(error)) not in told:
                self._outcome.fail(image, error)
        return list(found)

    def _keep(self, record: CacheRecord, wanted: Wanted, standings: Mapping[ListId, Standing]) -> None:
        """See to a version that stays: missing bytes are fetched again, without a word to the cloud."""
        try:
            came = self._fetcher.fetch(record, wanted, standings[wanted.list_id].subscription)
            # Also where the same list was kept once more under another name: what is published names its snapshot.
            is_same = (record.list_sha512, record.snapshot) == (wanted.list_sha512, wanted.snapshot)
            current = record if is_same else refreshed(record, wanted)
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

    def _put(self, record: CacheRecord) -> CacheRecord:
        with self._context.lock("store"):
            cache.put_record(self._layout, record)
        return record

    def _replace(self, leaving: Leaving, wanted: Wanted, standings: Mapping[ListId, Standing]) -> None:
        """New bytes first; then the old version leaves and the new one comes, with as little time between as can be."""
        record = self._fetch(wanted, standings)
        if record is None:
            if not self._request.keep_until_replaced:
                self._leave_one(leaving.record, leaving.reason)
            return
        if self._leave_one(leaving.record, leaving.reason):
            self._publish(record)

    def _fetch_and_publish(self, wanted: Wanted, standings: Mapping[ListId, Standing]) -> None:
        record = self._fetch(wanted, standings)
        if record is not None:
            self._publish(record)

    def _fetch(self, wanted: Wanted, standings: Mapping[ListId, Standing]) -> CacheRecord | None:
        """Have the bytes of a wanted version; return its record, not yet staged, or None where that failed."""
        try:
            record = self._fetcher.begun(wanted)
            self._fetcher.fetch(record, wanted, standings[wanted.list_id].subscription)
        except VmcatcherError as error:
            self._outcome.fail(wanted.image.identifier, error)
            return None
        return record

    def _publish(self, record: CacheRecord) -> None:
        try:
            self._outcome.note(self._passage.publish(self._passage.stage(record)))
        except VmcatcherError as error:
            self._outcome.fail(record.image, error)

    def _refetch(self, plan: CachePlan, standings: Mapping[ListId, Standing]) -> None:
        """Fetch again what was found corrupt, also where nothing else is downloaded."""
        for image in sorted(self._corrupt):
            if image in plan.wanted and self._has_left(image):
                self._fetch_and_publish(plan.wanted[image], standings)

    def _check(self, records: Sequence[CacheRecord]) -> None:
        request = self._request
        checker = Checker(self._context, everything=request.check_everything, recheck_after=request.recheck_after)
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
        for record in condemned:
            try:
                self._passage.finish_expiring(record)
            except VmcatcherError as error:
                self._stuck.add(record.image)
                self._outcome.fail(record.image, error)
                continue
            self._outcome.expired.append((record.image, Reason.CORRUPT))

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

    def _write_indexes(self) -> None:
        records = [record for image in cache.cached_images(self._layout) for record in self._records(image)]
        for kept in view_indexes.write_indexes(self._layout, self._request.views, records):
            logger.error("something that was no file stood in place of a %s; it is kept as %s", views.INDEX, kept)


def _checkable(plan: CachePlan, *, expired: bool) -> list[CacheRecord]:
    """Return the versions that are in the endorsed view once those that had to leave have left, if they did."""
    still = [*plan.stay, *(leaving.record for leaving, _ in plan.replace)]
    if not expired:
        still += [leaving.record for leaving in plan.leave_first]
    return [record for record in still if record.state is State.ENDORSED]
