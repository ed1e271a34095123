"""How one image version comes into the endorsed view and how it leaves it, step by step.

Every step is safe to be the last one: a record is put before what it promises is done, and a run that finds a record
half way goes on from there with the same code.
"""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from typing import TYPE_CHECKING

from vmcatcher.errors import VmcatcherError
from vmcatcher.errors.store import NotOurFile
from vmcatcher.model import record as life
from vmcatcher.model.event import EventKind, OwedEvent, about_file
from vmcatcher.model.record import CacheRecord, Reason, State
from vmcatcher.services.decided import is_still_wanted
from vmcatcher.services.events import record_variables
from vmcatcher.store import blobs, cache, views

if TYPE_CHECKING:
    from vmcatcher.model.plan import Wanted
    from vmcatcher.services.context import Context
    from vmcatcher.services.events import Teller
    from vmcatcher.store.views import Views

logger = logging.getLogger(__name__)


class Passage:
    """The way in and out of the views for one run. Call it under the cache lock only."""

    def __init__(self, context: Context, teller: Teller, shown: Views) -> None:
        self._context = context
        self._layout = context.layout
        self._teller = teller
        self._views = shown
        self._behind: dict[str, int] = {}
        """Images of which an event was not taken, with the record that owes it; those of later records wait for it."""

    def _put(self, record: CacheRecord) -> CacheRecord:
        # The store lock for each commit, never around a handler: it may call vmcatcher.
        with self._context.lock("store"):
            cache.put_record(self._layout, record)
        return record

    def stage(self, record: CacheRecord) -> CacheRecord:
        """Record that the bytes are verified and stored."""
        checked = blobs.fingerprint(self._layout, record.sha512, self._context.now)
        ready = replace(record, checked=checked)
        return self._put(life.staged(ready, self._context.now, self._teller.new_id()))

    def publish(self, record: CacheRecord) -> CacheRecord:
        """Bring a staged version into the endorsed view; it stays staged if the operator decided otherwise meanwhile.

        Raises:
            NotOurFile: a file of somebody else has its name there; nothing is told and nothing changes.
        """
        name, blob = record.image, self._layout.blob(record.sha512)
        views.demand_free(self._views.cache, name, blob)
        owed = record.owes(EventKind.AVAILABLE_PREFIX)
        if owed is not None:
            views.show(self._layout, self._views, self._views.partial, name, blob)
            self._teller.tell_record(owed, record, name)
        # The download and the handler took their time: what was decided meanwhile is looked at with the commit.
        with self._context.lock("store"):
            is_wanted = is_still_wanted(self._context, record)
            if is_wanted:
                record = life.endorsed(record, self._context.now, self._teller.new_id())
                cache.put_record(self._layout, record)
        if is_wanted:
            views.show(self._layout, self._views, self._views.cache, name, blob)
        views.hide(self._views, self._views.partial, name, blob)
        if not is_wanted:
            logger.warning("image %s: the decisions about it changed during this run; left to the next one", name)
            return record
        logger.info("endorsed image=%s list=%s bytes=%d", name, record.list_id, record.size_bytes)
        return self.deliver(record)

    def expire(self, record: CacheRecord, reason: Reason) -> CacheRecord:
        """Take a version out of the endorsed view; one that was never shown there is just given up."""
        if record.state in (State.STAGED, State.FAILING):
            views.hide(self._views, self._views.partial, record.image, self._layout.blob(record.sha512))
            return self._put(life.abandoned(record, self._context.now, reason))
        return self.finish_expiring(self._put(life.expiring(record, self._context.now, reason, self._teller.new_id())))

    def hide(self, record: CacheRecord) -> None:
        """Take a version out of the endorsed view although its record cannot be written."""
        views.hide(self._views, self._views.cache, record.image, self.bytes_of(record))

    def condemn(self, record: CacheRecord, place: str) -> CacheRecord:
        """Put a version on its way out because its bytes are corrupt and are about to be put aside at `place`."""
        if record.state is State.EXPIRING:
            return record
        marked = replace(record, set_aside=place)
        return self._put(life.expiring(marked, self._context.now, Reason.CORRUPT, self._teller.new_id()))

    def finish_expiring(self, record: CacheRecord) -> CacheRecord:
        """Take a version that is on its way out the rest of the way; it is never put back."""
        self._settle_debts_of_publishing(record)
        owed = record.owes(EventKind.EXPIRE_PREFIX)
        if owed is not None:
            self._teller.tell_record(owed, record, record.image)
        path = self.bytes_of(record)
        views.hide(self._views, self._views.cache, record.image, path)
        views.hide(self._views, self._views.partial, record.image, path)
        name = views.expired_name(self._views, record.image, self._context.now)
        record = self._put(life.expired(record, self._context.now, name, self._teller.new_id()))
        logger.info("expired image=%s reason=%s", record.image, record.reason)
        return self.finish_expired(record)

    def finish_expired(self, record: CacheRecord) -> CacheRecord:
        """Show a version that left in the expired view, and tell what is owed of it."""
        try:
            record = self._show_expired(record)
        except VmcatcherError:
            if record.owed:
                self._behind.setdefault(record.image, record.number)
            raise
        return self.deliver(record)

    def bytes_of(self, record: CacheRecord) -> str:
        """Return where the bytes of a version are: among the blobs, or where corrupt ones were put aside."""
        if record.set_aside is not None:
            return os.path.join(self._layout.root, record.set_aside)
        return self._layout.blob(record.sha512)

    def _settle_debts_of_publishing(self, record: CacheRecord) -> None:
        """Tell AvailablePostfix one last time: told after the image left it would be a lie."""
        owed = record.owes(EventKind.AVAILABLE_POSTFIX)
        if owed is None or not self._teller.is_listening:
            return
        if not self._teller.tell_record(owed, replace(record, reason=None), record.image):
            tried = owed.refused(self._context.now)
            self._give_up(tried, replace(record, reason=None), "the image left before the handler took it")
        if self._behind.get(record.image) == record.number:
            del self._behind[record.image]

    def deliver(self, record: CacheRecord) -> CacheRecord:
        """Tell the Postfix events that are still owed; strike off each one that the handler took.

        Nothing is told while an earlier event of the image is owed: a cloud that heard of the new version first would
        take it out when it hears at last that the old one left.
        """
        if not self._teller.is_listening:
            return record
        for owed in record.owed:
            if self._behind.get(record.image, record.number) != record.number:
                break
            if not owed.is_due(self._context.now):
                logger.info("image %s: %s waits until %s", record.image, owed.kind.value, owed.not_before)
                self._behind.setdefault(record.image, record.number)
                break
            if self._teller.tell_record(owed, record, filename_of(owed, record)):
                record = self._put(record.struck(owed))
            else:
                record = self._count(record, owed)
        return record

    def _count(self, record: CacheRecord, owed: OwedEvent) -> CacheRecord:
        tried = owed.refused(self._context.now)
        if not self._teller.is_exhausted(tried):
            self._behind.setdefault(record.image, record.number)
            return self._put(record.tried(owed, self._context.now))
        self._give_up(tried, record, "the handler never took it")
        return self._put(record.struck(owed))

    def _give_up(self, owed: OwedEvent, record: CacheRecord, why: str) -> None:
        reason = record.reason.value if record.reason else None
        variables = {**record_variables(record), **about_file(filename_of(owed, record), reason)}
        self._teller.give_up(owed, variables, why)

    def show_endorsed(self, record: CacheRecord) -> None:
        """Make the link of an endorsed version right again, as after a crash, in a copy, or in another view.

        Raises:
            NotOurFile: a file of somebody else has its name by now.
        """
        blob = self._layout.blob(record.sha512)
        views.show(self._layout, self._views, self._views.cache, record.image, blob)
        views.hide(self._views, self._views.partial, record.image, blob)

    def _show_expired(self, record: CacheRecord) -> CacheRecord:
        """Show an expired version, if its bytes are still there; under another name where somebody took its own."""
        path, name = self.bytes_of(record), record.expired_name
        if name is None or not os.path.lexists(path):
            return record
        try:
            views.show(self._layout, self._views, self._views.expired, name, path)
        except NotOurFile:
            free = views.expired_name(self._views, record.image, record.expired or self._context.now)
            record = self._put(replace(record, expired_name=free))
            views.show(self._layout, self._views, self._views.expired, free, path)
        return record


def filename_of(owed: OwedEvent, record: CacheRecord) -> str:
    """Return the name in its view of the file that an event is about."""
    is_gone = owed.kind is EventKind.EXPIRE_POSTFIX
    return (record.expired_name if is_gone else None) or record.image


def new_record(context: Context, wanted: Wanted, number: int) -> CacheRecord:
    """Return the record of a wanted version as it begins: nothing fetched, nothing told."""
    image = wanted.image
    return CacheRecord(
        image=image.identifier,
        number=number,
        list_id=wanted.list_id,
        snapshot=wanted.snapshot,
        list_sha512=wanted.list_sha512,
        sha512=image.sha512,
        size_bytes=image.size_bytes,
        uri=image.uri,
        state=State.FAILING,
        since=context.now,
        vo=wanted.vo,
        valid_until=wanted.valid_until,
        fields=image.fields,
    )


def refreshed(record: CacheRecord, wanted: Wanted) -> CacheRecord:
    """Return the record of a version whose bytes stay, as the newest list describes it; itself where it is so already.

    It changes also where the same list was kept once more under another name, since what is published names its
    snapshot, and where a limit of this site moved its end.
    """
    image = wanted.image
    is_same_list = (record.list_sha512, record.snapshot) == (wanted.list_sha512, wanted.snapshot)
    # The record keeps whole seconds.
    if is_same_list and record.valid_until == wanted.valid_until.replace(microsecond=0):
        return record
    return replace(
        record,
        snapshot=wanted.snapshot,
        list_sha512=wanted.list_sha512,
        uri=image.uri,
        vo=wanted.vo,
        valid_until=wanted.valid_until,
        fields=image.fields,
    )
