"""What a list of subscriptions shows: each with its current list, as far as indexes and bookkeeping tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from vmcatcher.errors import VmcatcherError
from vmcatcher.services.context import Failure
from vmcatcher.services.listing import is_available, list_subscriptions
from vmcatcher.store import endorsers, index, subscriptions

if TYPE_CHECKING:
    from datetime import datetime

    from vmcatcher.model.endorser import Endorser
    from vmcatcher.model.subscription import Subscription
    from vmcatcher.services.context import Context

Standing = Literal["current", "expired", "untrusted", "none yet"]


@dataclass(frozen=True, slots=True)
class SubscriptionLine:
    """One subscription at a glance."""

    subscription: Subscription
    standing: Standing
    """`untrusted`: no linked endorser signed the list, or the last run found that its signer is not trusted now."""
    expires: datetime | None
    updated: datetime | None
    """When the list was last fetched, or found unchanged."""
    error: str | None
    """Why the last try failed; None where it did not."""
    selected: int
    images: int


@dataclass(frozen=True, slots=True)
class Overview:
    """The subscriptions that can be read, and what is wrong with the others."""

    lines: tuple[SubscriptionLine, ...]
    failed: tuple[Failure, ...]


def overview(context: Context) -> Overview:
    """Return every subscription at a glance, in the order they were made; one that is damaged hides no other."""
    listing = list_subscriptions(context)
    known = endorsers.all_endorsers(context.layout)
    lines: list[SubscriptionLine] = []
    failed = list(listing.failed)
    for one in listing.found:
        try:
            lines.append(_line(context, one, known))
        except VmcatcherError as error:
            failed.append(Failure(one.identifier, error))
    return Overview(tuple(lines), tuple(failed))


def _line(context: Context, one: Subscription, known: tuple[Endorser, ...]) -> SubscriptionLine:
    shown = index.read_index(context.layout, one.identifier)
    notes = subscriptions.read_fetch_notes(context.layout, one.identifier)
    expires = shown.end(context.max_validity_s) if shown else None
    standing: Standing = "none yet"
    if shown is not None and shown.snapshot is not None and expires is not None:
        usable = is_available(context, shown, known)
        standing = "current" if usable else "expired" if expires <= context.now else "untrusted"
    return SubscriptionLine(one, standing, expires, notes.succeeded, notes.error, len(one.selected), len(one.images))
