"""A list that is the one of the last update, and of which everything that follows was done then.

It is asked for at every run, its bytes are read and compared, and its signer is judged; that its signature holds was
found out when the note was made, and does not depend on time. Reading its images, registering them and making what
queries read from them would find what it found before, and is nearly all that an update costs. See docs/adr/0018.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from vmcatcher import __version__
from vmcatcher.errors.store import DocumentDamaged, NotOurFile
from vmcatcher.light import replace
from vmcatcher.model.validity import end_of, limit_of
from vmcatcher.services.newest import say_newest
from vmcatcher.store import index, prints, snapshots, subscriptions
from vmcatcher.store.settled import Settled
from vmcatcher.transport.results import Fetched, Validators

if TYPE_CHECKING:
    from vmcatcher.model.identity import ListId
    from vmcatcher.model.imagelist import ParsedList
    from vmcatcher.model.subscription import Subscription
    from vmcatcher.model.verified import VerifiedList
    from vmcatcher.services.context import Context
    from vmcatcher.services.signers import Signers
    from vmcatcher.store.snapshots import Snapshot
    from vmcatcher.transport.results import NotModified
    from vmcatcher.trust.rules import TrustRules

logger = logging.getLogger(__name__)
NOTE_AGAIN: Final = timedelta(hours=1)
LOOK_AGAIN: Final = timedelta(days=1)
"""How long the files beside a list are believed by what the file system says of them; then they are read again."""


@dataclass(frozen=True, slots=True)
class Noted:
    """What the last update noted of a list, and what is as it was then."""

    settled: Settled
    snapshot: Snapshot
    validators: Validators
    prints: str
    is_due: bool
    """Whether a success has to be noted again."""
    is_old: bool
    """Whether the files beside the list have to be read again, whatever the file system says of them."""


def settled_as(
    context: Context, rules: TrustRules, subscription: Subscription, parsed: ParsedList, verified: VerifiedList
) -> Settled | None:
    """Return what to note of a list that was settled, so that the next update knows it; None where it has to look.

    That is where something about the list is said at every run, or where another one may come in its place. Call under
    the store lock, with what is kept now and nothing else to say about it than `parsed` does.
    """
    layout, list_id, listed = context.layout, subscription.identifier, parsed.imagelist
    is_followed = subscription.pin_uri or listed.uri == subscription.uri
    mark, snapshot = snapshots.read_mark(layout, list_id), snapshots.current_snapshot(layout, list_id)
    if parsed.refused or parsed.warnings or not is_followed or mark is None or snapshot is None:
        return None
    signed = snapshots.read_signed(snapshot)
    # What is kept may be another message with the same content: the signature that was verified now is not its.
    is_newest = mark.sha512 == snapshots.signed_digest(signed) and signed == verified.signed
    if not is_newest or mark.older_allowed is not None or mark.content is None:
        return None
    return Settled(
        files=_files(context, rules, list_id, snapshot),
        snapshot=snapshot.name,
        signed=hashlib.sha256(signed).hexdigest(),
        signer=hashlib.sha256(verified.chain[0]).hexdigest(),
        version=mark.version,
        created=mark.created,
        expires=listed.expires,
        looked=context.now,
    )


def _files(context: Context, rules: TrustRules, list_id: ListId, snapshot: Snapshot) -> str:
    layout = context.layout
    paths = (
        layout.subscription(list_id),
        layout.mark(list_id),
        layout.index(list_id),
        layout.manifest(list_id),
        layout.verdict(list_id),
        layout.lists(list_id),
        snapshots.evidence_path(snapshot),
        snapshot.path,
    )
    # A later version of the program may find in the same bytes what this one did not, and so may other rules. Only
    # those about a list stand here: what is asked of certificates is asked at every run.
    parts = (__version__, str(rules.sha1), str(rules.max_bytes), *map(prints.print_of, paths))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def is_settled(context: Context, rules: TrustRules, subscription: Subscription, snapshot: Snapshot) -> bool:
    """Tell whether an update did everything that follows from a list, and nobody touched its files since.

    Each of its images is known then, and none is left to be decided about or could not be used.
    """
    settled = subscriptions.read_fetch_notes(context.layout, subscription.identifier).settled
    if settled is None or settled.snapshot != snapshot.name:
        return False
    return settled.files == _files(context, rules, subscription.identifier, snapshot)


def noted_in(context: Context, rules: TrustRules, heading: Subscription) -> Noted | None:
    """Return what was noted of a list, if as far as can be seen without reading it nothing has changed since.

    Nobody is owed an event then, the last update succeeded, the list holds still, and its files are untouched.
    """
    list_id = heading.identifier
    before = prints.print_of(context.layout.fetch(list_id))
    notes = subscriptions.read_fetch_notes(context.layout, list_id)
    settled = notes.settled
    is_quiet = notes.told is not None and not notes.owed and notes.error_id is None and notes.error is None
    if settled is None or not is_quiet or not _holds(context, heading, settled):
        return None
    snapshot = snapshots.named_snapshot(context.layout, list_id, settled.snapshot)
    if snapshot is None or settled.files != _files(context, rules, list_id, snapshot):
        return None
    is_due = notes.succeeded is None or context.now - notes.succeeded > NOTE_AGAIN
    is_old = not timedelta() <= context.now - settled.looked < LOOK_AGAIN
    return Noted(settled, snapshot, Validators(notes.etag, notes.last_modified), before, is_due or is_old, is_old)


def _holds(context: Context, heading: Subscription, settled: Settled) -> bool:
    limit_s = limit_of(heading.max_validity_s, context.max_validity_s)
    ends = end_of(settled.expires, settled.created, limit_s)
    return settled.created <= context.now < ends


def is_unchanged(
    context: Context, signers: Signers, heading: Subscription, noted: Noted, answer: Fetched | NotModified
) -> bool:
    """Tell whether an answer brought the current list and nothing is to be done for it, and note that it was there.

    False where that is not certain: then everything has to be looked at.

    Raises:
        ListUntrusted: its signer is trusted no longer.
    """
    if not holds_still(context, signers, heading, noted, answer):
        return False
    if noted.is_due and not _note(context, heading.identifier, noted):
        return False
    logger.info("unchanged %s", heading.identifier)
    for text in signers.known(noted.settled.signer).warnings:
        logger.warning("list %s: %s", heading.identifier, text)
    return True


def holds_still(
    context: Context, signers: Signers, heading: Subscription, noted: Noted, answer: Fetched | NotModified
) -> bool:
    """Tell whether an answer brought the current list and nothing is to be done for it. Nothing is written.

    False where that is not certain: then everything has to be looked at.

    Raises:
        ListUntrusted: its signer is trusted no longer.
    """
    list_id, settled = heading.identifier, noted.settled
    if answer.validators != noted.validators or not _is_untouched(context, signers.rules, heading, noted):
        return False
    signed = _signed(noted, answer)
    signer = None if signed is None else signers.judged(settled.signer, signed)
    if signed is None or signer is None or not signers.is_linked(signer, heading):
        return False
    if noted.is_old and not _is_sound(context, signers, list_id, noted, signed):
        return False
    say_newest(list_id, settled, context.now)
    return True


def _signed(noted: Noted, answer: Fetched | NotModified) -> bytes | None:
    """Return the signed bytes of the current list if they are those that were noted, and none but they were sent."""
    try:
        signed = snapshots.read_signed(noted.snapshot)
    except FileNotFoundError:
        return None
    is_sent = not isinstance(answer, Fetched) or answer.body == signed
    return signed if is_sent and hashlib.sha256(signed).hexdigest() == noted.settled.signed else None


def _is_untouched(context: Context, rules: TrustRules, heading: Subscription, noted: Noted) -> bool:
    """Tell whether the files are still what they were when the run began: it may have waited for other lists."""
    if prints.print_of(context.layout.fetch(heading.identifier)) != noted.prints:
        return False
    return _files(context, rules, heading.identifier, noted.snapshot) == noted.settled.files


def _is_sound(context: Context, signers: Signers, list_id: ListId, noted: Noted, signed: bytes) -> bool:
    """Tell whether everything beside a list, read from the disk, is what was noted of it, and the signature holds."""
    digest, settled = snapshots.signed_digest(signed), noted.settled
    try:
        mark = snapshots.read_mark(context.layout, list_id)
        is_proved = snapshots.read_evidence(noted.snapshot).sha512 == digest
    except (DocumentDamaged, NotOurFile):
        return False
    if mark is None or (mark.sha512, mark.version, mark.created) != (digest, settled.version, settled.created):
        return False
    shown = index.fresh_index(context.layout, list_id)
    is_shown = shown is not None and shown.snapshot == settled.snapshot and shown.expires == settled.expires
    if not is_proved or not is_shown or not index.is_manifest_sound(context.layout, list_id):
        return False
    return hashlib.sha256(signers.verified(signed).chain[0]).hexdigest() == settled.signer


def _note(context: Context, list_id: ListId, noted: Noted) -> bool:
    """Note the success; return False where meanwhile somebody changed what was noted before."""
    settled = replace(noted.settled, looked=context.now) if noted.is_old else noted.settled
    with context.lock("store"):
        notes = subscriptions.read_fetch_notes(context.layout, list_id)
        if notes.settled != noted.settled or subscriptions.find_heading(context.layout, list_id) is None:
            return False
        said = replace(notes, attempted=context.now, succeeded=context.now, settled=settled)
        subscriptions.put_fetch_notes(context.layout, list_id, said)
    return True
