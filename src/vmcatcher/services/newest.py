"""What is the newest list ever admitted: its mark, and a snapshot that outran the mark."""

from __future__ import annotations

import base64
import logging
from typing import TYPE_CHECKING

from vmcatcher.errors import VmcatcherError, printable
from vmcatcher.model import admission
from vmcatcher.model.imagelist import parse_image_list
from vmcatcher.model.instant import instant_text
from vmcatcher.store import snapshots

if TYPE_CHECKING:
    from datetime import datetime

    from vmcatcher.model.identity import Sha512
    from vmcatcher.model.imagelist import ImageList
    from vmcatcher.model.verified import VerifiedList
    from vmcatcher.services.context import Context
    from vmcatcher.store.settled import Settled
    from vmcatcher.store.snapshots import Snapshot

logger = logging.getLogger(__name__)


def newest_admitted(context: Context, list_id: str) -> admission.Newest | None:
    """Return the newest list ever admitted under an identifier: its mark, or a snapshot that outran the mark.

    A run that was killed between the two leaves the snapshot newer; an older list must not slip in through that gap.
    """
    mark = snapshots.read_mark(context.layout, list_id)
    newest = _as_newest(mark) if mark else None
    snapshot = snapshots.current_snapshot(context.layout, list_id)
    if snapshot is None:
        return newest
    try:
        evidence = snapshots.read_evidence(snapshot)
        if newest is not None and evidence.sha512 == newest.sha512:
            return newest
        listed = parse_image_list(evidence.content).imagelist
    except VmcatcherError:
        return newest
    content = snapshots.signed_digest(evidence.content)
    kept = admission.Newest(listed.version, listed.created, evidence.sha512, content=content)
    return kept if newest is None or newest.older_allowed or admission.is_newer(kept, newest) else newest


def _as_newest(mark: snapshots.Mark) -> admission.Newest:
    return admission.Newest(mark.version, mark.created, mark.sha512, bool(mark.older_allowed), mark.content)


def say_newest(list_id: str, newest: admission.Newest | snapshots.Mark | Settled, now: datetime) -> None:
    """Say what is known as the newest list: a store that was restored from a backup knows only what was so then."""
    if not logger.isEnabledFor(logging.INFO):
        return
    created, age = instant_text(newest.created), (now - newest.created).days
    known = (list_id, printable(newest.version), created, age)
    logger.info("newest of %s so far: version %s, created %s, %d days ago", *known)


def compare(verified: VerifiedList, listed: ImageList, newest: admission.Newest | None) -> admission.Admission:
    """Return whether a list is news, compared with the newest one ever admitted under its identifier.

    Raises:
        ListRollback, ListReplayed: see `admission.compare_with_newest`.
    """
    digest, content = snapshots.signed_digest(verified.signed), snapshots.signed_digest(verified.content)
    return admission.compare_with_newest(listed, digest, newest, content=content)


def is_same_proof(snapshot: Snapshot, verified: VerifiedList) -> bool:
    """Tell whether a kept list proves what `verified` proves: the same content, signed with the same certificate.

    What differs then is around the signature, where anybody may write, or a second signature of the same key.
    """
    if snapshots.read_signed(snapshot) == verified.signed:
        return True
    evidence = snapshots.read_evidence(snapshot)
    return evidence.content == verified.content and evidence.certificate == base64.b64encode(verified.chain[0])


def put_mark(context: Context, listed: ImageList, verified: VerifiedList, digest: Sha512) -> None:
    """Remember the list as the newest one ever admitted; what was allowed for the next other one stays.

    `digest` is that of the signed message that is kept.
    """
    content = snapshots.signed_digest(verified.content)
    mark = snapshots.read_mark(context.layout, listed.identifier)
    if mark is not None and mark.older_allowed and (mark.sha512 == digest or mark.content == content):
        return
    new = snapshots.Mark(listed.version, listed.created, digest, content=content)
    snapshots.put_mark(context.layout, listed.identifier, new)


def is_outrun(context: Context, list_id: str, snapshot: Snapshot, digest: Sha512 | None = None) -> bool:
    """Tell whether a newer list was admitted than the newest one that is there, as in a copy, or after a repair.

    `digest` is that of the snapshot's bytes, where the caller has read them: mostly the mark's, and no more is read.
    """
    try:
        mark = snapshots.read_mark(context.layout, list_id)
        if mark is not None and mark.sha512 == digest:
            return False
        evidence = snapshots.read_evidence(snapshot)
        if mark is None or evidence.sha512 == mark.sha512:
            return False
        listed = parse_image_list(evidence.content).imagelist
    except (VmcatcherError, FileNotFoundError):
        return False  # it cannot be told: who has to know it says so elsewhere
    kept = admission.Newest(listed.version, listed.created, evidence.sha512)
    return admission.is_newer(_as_newest(mark), kept)
