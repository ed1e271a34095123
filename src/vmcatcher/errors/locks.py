"""Locks of a store that several hosts share, and the choice of their kind."""

from __future__ import annotations

from typing import ClassVar

from vmcatcher.errors.base import OperatorError
from vmcatcher.errors.store import StoreHeld
from vmcatcher.light import dataclass


@dataclass(eq=False)
class ClaimHeld(StoreHeld):
    """A process that nobody here can look at has claimed what this one wants to change: one of another host, mostly."""

    claim: str
    id: ClassVar[str] = "claim-held"
    message: ClassVar[str] = "the {lock} lock is claimed by {holder}"
    hint: ClassVar[str] = (
        "try again when it is done, or wait for it with --wait SECONDS; only if that process is certainly gone, "
        "run this once more with --break-lock {claim}"
    )


@dataclass(eq=False)
class ClaimInUse(OperatorError):
    """The claim to be broken belongs to a process of this host that is running."""

    claim: str
    holder: str
    id: ClassVar[str] = "claim-in-use"
    message: ClassVar[str] = "the claim {claim} is not broken: {holder} is running on this host"
    hint: ClassVar[str] = "wait for it, or end it; the claim of a process that is gone breaks by itself"


@dataclass(eq=False)
class LocksDiffer(OperatorError):
    """The store is there already and has locks of another kind than the one asked for."""

    path: str
    found: str
    wanted: str
    id: ClassVar[str] = "locks-differ"
    message: ClassVar[str] = "the store {path} has {found} locks, not {wanted}"
    hint: ClassVar[str] = "leave --locks out; to change the kind, see how-to/share-a-store-over-nfs"
