"""What leaves during a cache run, and which images nothing may come in for because something of theirs did not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmcatcher.errors import VmcatcherError
from vmcatcher.errors.store import StoreFull

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vmcatcher.model.identity import ImageId
    from vmcatcher.model.plan import Leaving
    from vmcatcher.model.record import CacheRecord, Reason
    from vmcatcher.services.outcome import Outcome
    from vmcatcher.services.passage import Passage
    from vmcatcher.store.cache import RecordReader


class Departures:
    """Takes versions out of the endorsed view; one that cannot be taken out keeps others of its image from coming."""

    def __init__(self, passage: Passage, outcome: Outcome, reader: RecordReader) -> None:
        self._passage = passage
        self._outcome = outcome
        self._reader = reader
        self.stuck: set[str] = set()
        """Images for which nothing may come in: a version may be there still, or its leaving was not told."""

    def leave_all(self, leaving: Iterable[Leaving]) -> None:
        """Take out each of them; one that cannot be is said, and stops no other."""
        for one in leaving:
            self.leave(one)

    def leave(self, leaving: Leaving) -> bool:
        """Take out a version; return whether it is out, so that another one may come."""
        record, reason = leaving.record, leaving.reason
        try:
            left = self._passage.expire(record, reason)
        except VmcatcherError as error:
            self.stuck.add(record.image)
            self._outcome.fail(record.image, error)
            if isinstance(error, StoreFull):
                # What is revoked must not stay in use because that cannot be written down; an unlink needs no space.
                self._passage.hide(record)
            return False
        if left.published is not None:
            self._outcome.expired.append((record.image, reason))
        return True

    def leave_corrupt(self, condemned: Iterable[CacheRecord], reason: Reason) -> None:
        """Take versions whose bytes were put aside the rest of the way out."""
        for record in condemned:
            try:
                self._passage.finish_expiring(record)
            except VmcatcherError as error:
                self.stuck.add(record.image)
                self._outcome.fail(record.image, error)
                continue
            self._outcome.expired.append((record.image, reason))

    def has_left(self, image: ImageId) -> bool:
        """Tell whether no version of the image is in the endorsed view, so that another one may come."""
        records = self.records(image)
        return image not in self.stuck and not any(record.is_active for record in records)

    def records(self, image: str) -> list[CacheRecord]:
        """Return the versions of an image; one that can be read no longer keeps others out, and is told once."""
        found, errors = self._reader.readable(image)
        told = {(failure.subject, str(failure.error)) for failure in self._outcome.failed}
        for error in errors:
            self.stuck.add(image)
            if (image, str(error)) not in told:
                self._outcome.fail(image, error)
        return list(found)
