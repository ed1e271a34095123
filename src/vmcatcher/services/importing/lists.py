"""The stored lists of one subscription: proved anew with the trust of today, or kept aside.

Nothing is believed because it was in a database. A list that is proved becomes a snapshot; one that is not is kept in
quarantine, with the reason. If that is the newest one, none of its elders may pass for the current list in its place:
the subscription then has none until the next update, and nothing expires meanwhile.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from vmcatcher.errors import VmcatcherError
from vmcatcher.errors.admission import ListExpired, ListReplayed, ListRollback
from vmcatcher.errors.importing import BrokenRow, ListCut, ListNotProved
from vmcatcher.model import admission
from vmcatcher.model.imagelist import parse_image_list
from vmcatcher.model.instant import instant_text
from vmcatcher.store import files, snapshots
from vmcatcher.trust.verify import judge

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from vmcatcher.model.identity import ListId, Sha512
    from vmcatcher.model.imagelist import ImageList, ParsedList
    from vmcatcher.model.subscription import Subscription
    from vmcatcher.model.verified import VerifiedList
    from vmcatcher.services.importing.work import Work
    from vmcatcher.store.classic_contents import ClassicList
    from vmcatcher.store.classic_db import ClassicDatabase

# The width of the column that held the list before 0.6.
_CUT_AT: Final = 1000


@dataclass(frozen=True, slots=True)
class Proved:
    """A stored list that is as good as one that was fetched today."""

    row: int
    taken: datetime
    """When the classic program took it."""
    verified: VerifiedList
    parsed: ParsedList

    @property
    def listed(self) -> ImageList:
        """What it says."""
        return self.parsed.imagelist

    @property
    def sha512(self) -> Sha512:
        """Digest of the signed list."""
        return snapshots.signed_digest(self.verified.signed)


@dataclass(frozen=True, slots=True)
class Aside:
    """A stored list that is kept and not used."""

    row: int
    signed: bytes
    why: VmcatcherError | None
    """None for one that holds, and is an elder of one that does not."""


@dataclass(slots=True)
class History:
    """The stored lists of a subscription, oldest first."""

    proved: list[Proved] = field(default_factory=list)
    aside: list[Aside] = field(default_factory=list)
    newest_lost: int = 0
    """Row of the newest list that was taken in its time and cannot be used today; 0 where there is none."""

    @property
    def newest(self) -> Proved | None:
        """The newest list that holds; nothing older is to be admitted again."""
        return self.proved[-1] if self.proved else None

    @property
    def snapshots(self) -> tuple[Proved, ...]:
        """The lists that become snapshots; the last one is then the current list."""
        newest = self.newest
        return tuple(self.proved) if newest is not None and newest.row > self.newest_lost else ()


def prove_history(
    work: Work, database: ClassicDatabase, subscription: Subscription, rows: Iterable[ClassicList]
) -> History:
    """Return which of the stored lists of a subscription hold today. Nothing is changed."""
    history = History()
    newest = _newest_here(work, subscription)
    for row in rows:
        try:
            signed = database.signed_list(row.row)
        except BrokenRow as broken:
            work.tally.fail(_subject(subscription), broken)
            history.newest_lost = row.row
            continue
        try:
            history.proved.append(_prove(work, subscription, row, signed))
        except VmcatcherError as error:
            history.aside.append(Aside(row.row, signed, error))
            history.newest_lost = row.row
    _demand_order(history, newest)
    return history


def _subject(subscription: Subscription) -> str:
    return f"subscription {subscription.identifier}"


def _prove(work: Work, subscription: Subscription, row: ClassicList, signed: bytes) -> Proved:
    now = work.context.now
    taken = min(row.imported or now, now)
    verified = judge(signed, work.anchors, admitted=taken, now=now, rules=work.rules)
    parsed = parse_image_list(verified.content)
    admission.demand_named_signer(verified, parsed.imagelist)
    admission.demand_linked(verified, subscription, work.endorsers.values())
    admission.demand_identifier(subscription, parsed.imagelist)
    # It was taken in its time. That it is over by now is for the next cache run to say, and to act on.
    with contextlib.suppress(ListExpired):
        admission.demand_valid_now(parsed.imagelist, now)
    return Proved(row.row, taken, verified, parsed)


def _newest_here(work: Work, subscription: Subscription) -> admission.Newest | None:
    mark = snapshots.read_mark(work.context.layout, subscription.identifier)
    return admission.Newest(mark.version, mark.created, mark.sha512) if mark else None


def _demand_order(history: History, newest_here: admission.Newest | None) -> None:
    """Put those lists aside that would undo a newer one: one of this history, or one that the store has seen since."""
    found, history.proved = history.proved, []
    refusal = _refusal(found[-1], newest_here) if found else None
    newest: admission.Newest | None = None
    for one in found:
        # The classic program took an equal version whenever it was created: what it had last is what counts.
        error = refusal or _refusal(one, newest)
        if refusal is None and (error is None or isinstance(error, ListReplayed)):
            if history.proved and history.proved[-1].sha512 == one.sha512:
                # The classic program stored a list again after a change of the new-image policy.
                history.proved.pop()
            history.proved.append(one)
            newest = admission.Newest(one.listed.version, one.listed.created, one.sha512)
        else:
            history.aside.append(Aside(one.row, one.verified.signed, error))


def _refusal(one: Proved, newest: admission.Newest | None) -> ListRollback | ListReplayed | None:
    try:
        admission.compare_with_newest(one.listed, one.sha512, newest)
    except (ListRollback, ListReplayed) as error:
        return error
    return None


def report_history(work: Work, subscription: Subscription, history: History) -> None:
    """Say what was found about the stored lists of a subscription."""
    tally, subject = work.tally, _subject(subscription)
    for one in history.aside:
        length = len(one.signed.decode("utf-8", "replace"))
        if length == _CUT_AT:
            tally.fail(subject, ListCut(list_id=subscription.identifier, row=one.row, length=length))
        elif one.why is not None:
            why = one.why.one_line()
            tally.fail(subject, ListNotProved(list_id=subscription.identifier, row=one.row, why=why))
    kept = history.snapshots
    tally.count("lists kept as snapshots", len(kept))
    tally.count("lists kept aside", len(history.aside) + len(history.proved) - len(kept))
    if not kept:
        if history.aside or history.newest_lost:
            tally.warn(
                f"{subject} has no current list until `vmcatcher sync` (vmcatcher_subscribe -U); "
                "nothing expires meanwhile"
            )
        return
    for text in (*kept[-1].verified.warnings, *kept[-1].parsed.warnings):
        tally.warn(f"{subject}: {text}")
    if kept[-1].listed.expires <= work.context.now:
        expired = instant_text(kept[-1].listed.expires)
        tally.warn(f"{subject}: its current list expired on {expired}; the next cache run expires its images")
    for refused in kept[-1].parsed.refused:
        tally.fail(subject, refused)


def keep_history(work: Work, list_id: ListId, history: History) -> None:
    """Keep the stored lists: what holds as snapshots, the rest in quarantine. Doing it again adds what is missing."""
    layout = work.context.layout
    elders = () if history.snapshots else history.proved
    for aside in (*history.aside, *(Aside(one.row, one.verified.signed, None) for one in elders)):
        _put_aside(work, list_id, aside)
    there = {snapshots.signed_digest(snapshots.read_signed(one)) for one in snapshots.all_snapshots(layout, list_id)}
    kept: datetime | None = None
    for proved in history.snapshots:
        # A clock that was set back must not make a later snapshot look like the earlier one.
        kept = max(kept, proved.taken) if kept else proved.taken
        if proved.sha512 not in there:
            with work.commit():
                snapshots.keep(layout, list_id, proved.verified, kept)
    if history.newest is not None:
        one = history.newest
        with work.commit():
            snapshots.put_mark(layout, list_id, snapshots.Mark(one.listed.version, one.listed.created, one.sha512))


def is_begun(work: Work, list_id: ListId, history: History) -> bool:
    """Tell whether the snapshots that are there are the first ones of this history, as an interrupted import left."""
    there = [
        snapshots.signed_digest(snapshots.read_signed(one))
        for one in snapshots.all_snapshots(work.context.layout, list_id)
    ]
    return bool(there) and there == [one.sha512 for one in history.snapshots[: len(there)]]


def _put_aside(work: Work, list_id: ListId, aside: Aside) -> None:
    digest = snapshots.signed_digest(aside.signed)
    stem = os.path.join(work.context.layout.quarantine, f"{list_id}.{aside.row:06d}.{digest[:16]}")
    if os.path.exists(stem + ".json"):
        return
    why = aside.why
    document = {
        "format": 1,
        "list": list_id,
        "row": aside.row,
        "sha512": digest,
        "reason": why.id if why else "newer-list-not-proved",
        "why": str(why) if why else "it holds, but a newer list of the subscription does not",
        "judged": instant_text(work.context.now),
    }
    with work.commit():
        files.put(stem + ".smime", aside.signed)
        files.put_json(stem + ".json", document)
