"""What was admitted when, and what changed from one admitted list to another."""

from __future__ import annotations

import contextlib
import itertools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from vmcatcher.errors import VmcatcherError
from vmcatcher.errors.history import NoSuchAdmittedList
from vmcatcher.model.changes import image_changes, list_changes
from vmcatcher.services.admitted import AdmittedList, DamagedList, known_list, look, read_admitted
from vmcatcher.store import endorsers, snapshots

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from vmcatcher.model.changes import FieldChange, ImageChange
    from vmcatcher.model.endorser import Endorser
    from vmcatcher.model.identity import EndorserId, ListId
    from vmcatcher.services.context import Context
    from vmcatcher.store.snapshots import Snapshot

CURRENT: Final = "current"
PREVIOUS: Final = "previous"


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One admitted list in the history of its subscription."""

    sequence: int
    admitted: datetime
    found: AdmittedList | None
    """Without its images; None where it is damaged."""
    damage: VmcatcherError | None
    endorser: EndorserId | None
    """Whose credential signed it, as the endorsers are now; None where nobody here has it any more."""
    compared_with: int | None
    """Number of the older list that `changes` are against: the one before it that can be read; None for the first."""
    changes: tuple[ImageChange, ...]


@dataclass(frozen=True, slots=True)
class ListHistory:
    """The admitted lists of a subscription that are kept, newest first, and which ones are not."""

    list_id: ListId
    entries: tuple[HistoryEntry, ...]
    gone: tuple[tuple[int, int], ...]
    """First and last number of each run of lists that are not kept any more (pruned, or put aside as damaged)."""

    @property
    def begins(self) -> datetime | None:
        """Since when the history is known; None where it is known from the first list on, or nothing was admitted."""
        return self.entries[-1].admitted if self.entries and self.entries[-1].sequence > 1 else None


@dataclass(frozen=True, slots=True)
class ListDifference:
    """What differs between two admitted lists of one subscription."""

    older: AdmittedList
    newer: AdmittedList
    fields: tuple[FieldChange, ...]
    images: tuple[ImageChange, ...]

    @property
    def is_empty(self) -> bool:
        """Whether they say the same."""
        return not self.fields and not self.images


def subscription_history(context: Context, list_id: str) -> ListHistory:
    """Return every admitted list of a subscription that is kept, newest first, with what changed in its images.

    Raises:
        NoSuchSubscription: there is no such list here.
    """
    known = known_list(context, list_id)
    signers = _endorsers(context)
    entries: list[HistoryEntry] = []
    older: AdmittedList | None = None
    for snapshot in snapshots.all_snapshots(context.layout, known):
        with contextlib.suppress(FileNotFoundError):  # pruned while we looked
            one = look(snapshot)
            entries.append(_entry(one, older, signers))
            older = one if isinstance(one, AdmittedList) else older
    return ListHistory(known, tuple(entries[::-1]), _gone(sorted({entry.sequence for entry in entries})))


def _endorsers(context: Context) -> tuple[Endorser, ...]:
    try:
        return endorsers.all_endorsers(context.layout)
    except VmcatcherError:
        return ()  # a name for the signer is a convenience: who signed is in the evidence


def _entry(one: AdmittedList | DamagedList, older: AdmittedList | None, signers: Sequence[Endorser]) -> HistoryEntry:
    sequence, admitted = one.snapshot.sequence, one.snapshot.kept
    if isinstance(one, DamagedList):
        return HistoryEntry(sequence, admitted, None, one.error, None, None, ())
    endorser = next((known.identifier for known in signers if known.owns(one.signer, one.issuer)), None)
    # Where the list before is gone, what it said is not known: everything would look as if it had been added.
    is_known = older is not None or sequence == 1
    changes = image_changes(older.listed if older else None, one.listed) if is_known else ()
    found = one.without_images()
    return HistoryEntry(sequence, admitted, found, None, endorser, older.snapshot.sequence if older else None, changes)


def _gone(sequences: Sequence[int]) -> tuple[tuple[int, int], ...]:
    pairs = itertools.pairwise((0, *sequences))
    return tuple((before + 1, number - 1) for before, number in pairs if number > before + 1)


def list_difference(context: Context, list_id: str, older: str = PREVIOUS, newer: str = CURRENT) -> ListDifference:
    """Return what differs between two admitted lists of a subscription.

    Each is named by its version (of several with one version the newest), by its number (`3`, or `#3` where a
    version is spelled like that), as `current` or as `previous`.

    Raises:
        NoSuchSubscription, NoSuchAdmittedList: as the names say.
        AdmittedListDamaged, DocumentDamaged: one of the two cannot be read any more.
    """
    known = known_list(context, list_id)
    kept = snapshots.all_snapshots(context.layout, known)[::-1]
    before, after = (_read(known, kept, wanted) for wanted in (older, newer))
    fields = list_changes(before.listed, after.listed)
    return ListDifference(before, after, fields, image_changes(before.listed, after.listed))


def _read(list_id: ListId, kept: Sequence[Snapshot], wanted: str) -> AdmittedList:
    place = {CURRENT: 0, PREVIOUS: 1}.get(wanted)
    found = _by_version(kept, wanted) if place is None else None
    if found is not None:
        return found
    snapshot = _by_number(kept, wanted.removeprefix("#")) if place is None else next(iter(kept[place:]), None)
    if snapshot is None:
        raise NoSuchAdmittedList(list_id=list_id, wanted=wanted)
    try:
        return read_admitted(snapshot)
    except FileNotFoundError as exc:
        raise NoSuchAdmittedList(list_id=list_id, wanted=wanted) from exc


def _by_version(kept: Iterable[Snapshot], version: str) -> AdmittedList | None:
    for snapshot in kept:
        try:
            found = read_admitted(snapshot)
        except (VmcatcherError, FileNotFoundError):
            continue  # which version it had cannot be told; its number still names it
        if found.listed.version == version:
            return found
    return None


def _by_number(kept: Iterable[Snapshot], number: str) -> Snapshot | None:
    wanted = int(number) if re.fullmatch("[0-9]{1,18}", number) else 0
    return next((one for one in kept if one.sequence == wanted), None)
