"""Damage: what a repair does about all of it, and what a run does about as much as it needs.

A run puts a damaged document aside when what it said can be made again, and goes on. A decision of the operator it
leaves where it is: nothing may expire because that cannot be read.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from vmcatcher.errors import VmcatcherError
from vmcatcher.errors.store import DocumentSetAside
from vmcatcher.services.context import Failure, new_event_id
from vmcatcher.store import aside, documents, snapshots, subscriptions
from vmcatcher.store.check import check_store
from vmcatcher.store.findings import Remedy, anything
from vmcatcher.store.recovery import Recovery, mark_from_snapshots
from vmcatcher.store.repair import Repairer

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmcatcher.model.record import CacheRecord
    from vmcatcher.services.context import Context
    from vmcatcher.store.findings import Finding
    from vmcatcher.store.repair import Repaired
    from vmcatcher.store.views import Views

logger = logging.getLogger(__name__)
# A remedy can bring another finding to light: a link, once there is a record again. More than this is going in circles.
_ROUNDS: Final = 5


@dataclass(frozen=True, slots=True)
class Repair:
    """What was done, and what is left, damage first."""

    done: tuple[Repaired, ...]
    left: tuple[Finding, ...]
    failed: tuple[Failure, ...]
    """What should have been done and could not be."""


def repair_store(context: Context, *, read_bytes: bool, shown: Views) -> Repair:
    """Make again what can be made again, and put into quarantine what cannot be trusted.

    Nothing is deleted and no file of somebody else is touched. With `read_bytes` every image is read and hashed.

    Raises:
        StoreHeld: an update or a cache run is going on.
        ForeignOwner: the store belongs to another user.
    """
    done: list[Repaired] = []
    failed: dict[str, tuple[Finding, Failure]] = {}
    with context.lock("update"), context.lock("cache"):
        repairer = Repairer(context.layout, shown, context.now, new_event_id)
        found = check_store(context.layout, read_bytes=read_bytes, shown=shown)
        for _ in range(_ROUNDS):
            todo = _due([one for one in found if one.path not in failed])
            if not todo:
                break
            for finding in todo:
                _apply(context, repairer, finding, done, failed)
            found = check_store(context.layout, shown=shown)
    # What was found by reading the bytes is not looked for again.
    found += [finding for finding, _ in failed.values() if finding not in found]
    return Repair(tuple(done), tuple(found), tuple(failure for _, failure in failed.values()))


def _due(found: list[Finding]) -> list[Finding]:
    """Return the findings to see to in this round, each thing to be done once."""
    due = {
        (one.remedy, one.about or one.path if one.remedy is Remedy.PROJECT else one.path): one
        for one in reversed(found)
        if one.remedy is not Remedy.NONE
    }
    if any(one.remedy is Remedy.RECORD for one in due.values()):
        # The indexes of the views follow from the records: they are looked at once these are there again.
        return [one for one in reversed(due.values()) if one.remedy is not Remedy.INDEX]
    return list(reversed(due.values()))


def _apply(
    context: Context,
    repairer: Repairer,
    finding: Finding,
    done: list[Repaired],
    failed: dict[str, tuple[Finding, Failure]],
) -> None:
    try:
        with context.lock("store"):
            repaired = repairer.apply(finding)
    except VmcatcherError as error:
        failed[finding.path] = finding, Failure(finding.path, error)
        return
    if repaired is None:
        # Nothing could be done, and it would be found again.
        return
    logger.info("repaired %s", finding.path)
    done.append(repaired)


class Mender:
    """Puts aside what a run finds damaged and can make again."""

    def __init__(self, context: Context, shown: Views, new_id: Callable[[], str | None]) -> None:
        self._context = context
        self._recovery = Recovery(context.layout, shown, context.now, new_id)

    def mend_record(self, image: str, error: VmcatcherError) -> tuple[CacheRecord | None, VmcatcherError]:
        """Return the record that stands in place of a damaged one, if there is one, and what to say about it.

        Where it cannot be put aside, or nobody may (a later version of the program wrote it), that is said, and
        it stays where it is: the error is then the one that was given.
        """
        path = getattr(error, "path", "")
        if not aside.is_untrustworthy(error) or not path.endswith(".json"):
            return None, error
        try:
            with self._context.lock("store"):
                number = int(os.path.basename(path).removesuffix(".json"))
                place, record = self._recovery.replace_record(image, number)
        except (VmcatcherError, FileNotFoundError) as trouble:
            logger.warning("%s cannot be put aside: %s", path, trouble)
            return None, error
        return record, _said(self._context, path, error, place)


def mend_subscription(context: Context, list_id: str) -> list[VmcatcherError]:
    """Put aside what is damaged beside a subscription and can be made again or done without; return what to say.

    Those are the bookkeeping, the verdict, the manifest, and the mark where a whole snapshot is there to make it from.
    """
    layout = context.layout
    said: list[VmcatcherError] = []
    for path in (layout.fetch(list_id), layout.verdict(list_id), layout.manifest(list_id), layout.index(list_id)):
        error = _why(path, is_document=path.endswith(".json"))
        if error is not None:
            said += _put_aside(context, path, error)
    error = _why(layout.mark(list_id), is_document=True)
    mark = mark_from_snapshots(layout, list_id) if error is not None else None
    if error is not None and mark is not None:
        said += _put_aside(context, layout.mark(list_id), error)
        with context.lock("store"):
            snapshots.put_mark(layout, list_id, mark)
    return said


def _why(path: str, *, is_document: bool) -> VmcatcherError | None:
    """Return why the file at `path` cannot be trusted; None where it can be, or where that cannot be told."""
    try:
        if is_document:
            # What has its seal is what was written, and need not be taken apart for that.
            if not documents.is_sealed(path):
                documents.read_document(path, anything)
        elif not aside.is_regular(path):
            return DocumentSetAside(path=path, why="it is no regular file", kept="")
    except FileNotFoundError:
        return None
    except VmcatcherError as error:
        return error if aside.is_untrustworthy(error) else None
    return None


def _put_aside(context: Context, path: str, error: VmcatcherError) -> list[VmcatcherError]:
    try:
        with context.lock("store"):
            place = aside.set_aside(context.layout, path)
    except FileNotFoundError:
        return []
    return [_said(context, path, error, place)]


def _said(context: Context, path: str, error: VmcatcherError, place: str) -> DocumentSetAside:
    why = str(getattr(error, "why", "") or getattr(error, "found", error))
    return DocumentSetAside(path=path, why=why, kept=os.path.relpath(place, context.layout.root))


def lost_subscriptions(context: Context) -> list[Failure]:
    """Return the subscriptions whose document was damaged and is not there again, as failures of a run."""
    return [Failure(name, error) for name, error in sorted(subscriptions.lost(context.layout).items())]
