"""A list that is the one of the last update, and of which everything that follows was done then.

It is fetched, verified and compared again at every run. Reading its images, registering them and making what queries
read from them would find what it found before, and is nearly all that an update costs.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from vmcatcher import __version__
from vmcatcher.errors.requests import NoSuchSubscription
from vmcatcher.model import admission
from vmcatcher.model.instant import instant_text
from vmcatcher.services.newest import say_newest
from vmcatcher.store import endorsers, index, reading, snapshots, subscriptions
from vmcatcher.transport.results import Validators

if TYPE_CHECKING:
    from datetime import datetime

    from vmcatcher.model.identity import ListId, Sha512
    from vmcatcher.model.imagelist import ParsedList
    from vmcatcher.model.subscription import Subscription
    from vmcatcher.model.verified import VerifiedList
    from vmcatcher.services.context import Context
    from vmcatcher.store.snapshots import Mark, Snapshot
    from vmcatcher.store.subscriptions import FetchNotes

logger = logging.getLogger(__name__)
NOTE_AGAIN: Final = timedelta(hours=1)


def settled_as(context: Context, subscription: Subscription, parsed: ParsedList, digest: Sha512) -> str | None:
    """Return what to note of a list that was settled, so that the next update knows it; None where it has to look.

    That is where something about the list is said at every run. Call under the store lock, with what is kept now and
    nothing else to say about it than `parsed` does.
    """
    listed = parsed.imagelist
    is_followed = subscription.pin_uri or listed.uri == subscription.uri
    mark = snapshots.read_mark(context.layout, subscription.identifier)
    if parsed.refused or parsed.warnings or not is_followed or mark is None:
        return None
    return _name(context, subscription.identifier, digest, mark)


def _name(context: Context, list_id: ListId, digest: Sha512, mark: Mark) -> str:
    decided = hashlib.sha256(reading.read(context.layout.subscription(list_id))).hexdigest()
    # A later version of the program may find in the same bytes what this one did not.
    parts = (__version__, digest, decided, mark.version, instant_text(mark.created))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def is_unchanged(
    context: Context,
    subscription: Subscription,
    snapshot: Snapshot,
    digest: Sha512,
    verified: VerifiedList,
    validators: Validators,
) -> bool:
    """Tell whether a verified list is the current one and nothing is to be done for it, and note that it was there.

    `validators` are those of the answer, `snapshot` the current one, known to be intact, `digest` that of its bytes.

    Raises:
        NoSuchSubscription: it was deleted meanwhile.
        EndorserNotLinked: the signer's endorser is linked no longer.
    """
    list_id = subscription.identifier
    if digest != snapshots.signed_digest(verified.signed):
        # Also where it is the one of the mark: its snapshot may have been put aside, and an older one is current.
        return False
    with context.lock("store"):
        current = subscriptions.find_subscription(context.layout, list_id)
        if current is None:
            raise NoSuchSubscription(subscription=list_id)
        notes = subscriptions.read_fetch_notes(context.layout, list_id)
        mark = snapshots.read_mark(context.layout, list_id) if notes.settled else None
        if mark is None or current != subscription or not _is_quiet(notes, validators, mark, context.now):
            return False
        if mark.sha512 != digest or notes.settled != _name(context, list_id, digest, mark):
            return False
        if not _is_shown(context, list_id, snapshot):
            return False
        admission.demand_linked(verified, current, endorsers.all_endorsers(context.layout))
        if notes.succeeded is None or context.now - notes.succeeded > NOTE_AGAIN:
            noted = replace(notes, attempted=context.now, succeeded=context.now)
            subscriptions.put_fetch_notes(context.layout, list_id, noted)
    _report(context, list_id, mark, verified)
    return True


def _is_quiet(notes: FetchNotes, validators: Validators, mark: Mark, now: datetime) -> bool:
    """Tell whether the last update succeeded, nobody is owed an event, and no other list may come in place of this."""
    is_told = notes.told is not None and not notes.owed
    is_same_answer = validators == Validators(notes.etag, notes.last_modified)
    is_plain = mark.older_allowed is None and mark.content is not None and mark.created <= now
    return is_told and is_same_answer and is_plain and notes.error_id is None and notes.error is None


def _is_shown(context: Context, list_id: ListId, snapshot: Snapshot) -> bool:
    """Tell whether what queries read is made from this snapshot, and the list is not over."""
    shown = index.fresh_index(context.layout, list_id)
    if shown is None or shown.snapshot != snapshot.name or shown.expires is None or shown.expires <= context.now:
        return False
    return index.is_manifest_sound(context.layout, list_id)


def _report(context: Context, list_id: ListId, mark: Mark, verified: VerifiedList) -> None:
    say_newest(list_id, mark, context.now)
    logger.info("unchanged %s", list_id)
    for text in verified.warnings:
        logger.warning("list %s: %s", list_id, text)
