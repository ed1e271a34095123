"""The admitted lists of a subscription as they are kept: what each says, and which of them are damaged or gone."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vmcatcher.errors import BadIdentifier, VmcatcherError
from vmcatcher.errors.history import AdmittedListDamaged
from vmcatcher.errors.requests import NoSuchSubscription
from vmcatcher.model import identity
from vmcatcher.model.imagelist import parse_image_list
from vmcatcher.store import snapshots

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from vmcatcher.model.identity import ListId, OneLineName, Sha512
    from vmcatcher.model.imagelist import ImageList
    from vmcatcher.services.context import Context
    from vmcatcher.store.snapshots import Snapshot


@dataclass(frozen=True, slots=True)
class AdmittedList:
    """One admitted list: what it says, who signed it, when it was admitted here."""

    snapshot: Snapshot
    listed: ImageList
    sha512: Sha512
    """SHA-512 of the signed list as it was received."""
    signer: OneLineName
    issuer: OneLineName
    images: int
    """How many images it names."""

    @property
    def admitted(self) -> datetime:
        """When it was admitted."""
        return self.snapshot.kept

    def without_images(self) -> AdmittedList:
        """Return it without the images themselves: a history of large lists does not fit into memory with them."""
        return replace(self, listed=replace(self.listed, images=()))


@dataclass(frozen=True, slots=True)
class DamagedList:
    """One admitted list that cannot be read any more; when it was admitted is in its name."""

    snapshot: Snapshot
    error: VmcatcherError


def known_list(context: Context, list_id: str) -> ListId:
    """Return `list_id` as the identifier of a list of this store, subscribed to or with kept lists.

    Raises:
        NoSuchSubscription: it is none.
    """
    try:
        known = identity.list_id(list_id)
    except BadIdentifier as exc:
        raise NoSuchSubscription(subscription=list_id) from exc
    # A subscription whose own document was damaged has a history all the same.
    if not os.path.isdir(context.layout.lists(known)) and not os.path.lexists(context.layout.subscription(known)):
        raise NoSuchSubscription(subscription=list_id)
    return known


def read_admitted(snapshot: Snapshot) -> AdmittedList:
    """Return what one kept list says, from its evidence; whether its signature still verifies is not looked at.

    Raises:
        AdmittedListDamaged: its bytes are not the ones that were admitted.
        DocumentDamaged: its evidence is missing or damaged.
        FileNotFoundError: it was pruned meanwhile.
    """
    signed = snapshots.read_signed(snapshot)
    evidence = snapshots.read_evidence(snapshot)
    if snapshots.signed_digest(signed) != evidence.sha512:
        raise AdmittedListDamaged(path=snapshot.path, why="its bytes are not the ones that its evidence names")
    listed = parse_image_list(evidence.content).imagelist
    return AdmittedList(snapshot, listed, evidence.sha512, evidence.signer, evidence.issuer, len(listed.images))


def newest_first(context: Context, list_id: str) -> Iterator[AdmittedList | DamagedList]:
    """Yield every list that is kept, the newest first; one that is damaged hides no other."""
    for snapshot in reversed(snapshots.all_snapshots(context.layout, list_id)):
        with contextlib.suppress(FileNotFoundError):
            yield look(snapshot)


def look(snapshot: Snapshot) -> AdmittedList | DamagedList:
    """Return what a kept list says, or why that cannot be told.

    Raises:
        FileNotFoundError: it was pruned meanwhile.
    """
    try:
        return read_admitted(snapshot)
    except VmcatcherError as error:
        return DamagedList(snapshot, error)
