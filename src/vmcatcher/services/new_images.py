"""SubscriptionImageNew: owed for images that a list newly names, told outside the store lock, until it is taken."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from vmcatcher.errors.store import DocumentDamaged
from vmcatcher.model.event import image_variables
from vmcatcher.services.images import current_list
from vmcatcher.store import subscriptions

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmcatcher.model.event import OwedEvent
    from vmcatcher.model.identity import ImageId
    from vmcatcher.services.context import Context
    from vmcatcher.services.events import Teller
    from vmcatcher.store.subscriptions import FetchNotes


def tell_new_images(context: Context, teller: Teller, list_id: str, *, only: str | None = None) -> frozenset[str]:
    """Tell what is owed for one subscription; return the identifiers of the events that were taken.

    What an earlier run with a handler promised waits for one. `only` is the identifier of the one event to tell, and
    to tell now, however long it should still wait.
    """
    taken: set[str] = set()
    if not teller.is_listening:
        return frozenset()
    notes = subscriptions.read_fetch_notes(context.layout, list_id)
    meant = [
        (image, owed) for image, owed in notes.owed if (owed.is_due(context.now) if only is None else owed.id == only)
    ]
    described = image_descriptions(context, list_id) if meant else None
    if described is None:
        # The list cannot be read just now: what is owed for it is told when it is there again.
        return frozenset()
    for image, owed in meant:
        variables = described.get(image)
        if variables is None or teller.tell(owed, variables):
            strike(context, list_id, image)
            taken |= set() if variables is None else {owed.id}
            continue
        tried = owed.refused(context.now)
        if teller.is_exhausted(tried):
            teller.give_up(tried, variables, "the handler never took it")
            strike(context, list_id, image)
        else:
            _count(context, list_id, image, tried)
    return frozenset(taken)


def image_descriptions(context: Context, list_id: str) -> dict[ImageId, dict[str, str]] | None:
    """Return the variables of every image of the current list; None where that cannot be read."""
    subscription = subscriptions.find_subscription(context.layout, list_id)
    try:
        current = current_list(context, subscription) if subscription else None
    except DocumentDamaged:
        current = None
    if current is None:
        return None
    listed = current.listed
    return {
        image.identifier: image_variables(
            image.fields,
            size_bytes=image.size_bytes,
            sha512=image.sha512,
            list_id=listed.identifier,
            vo=listed.vo,
        )
        for image in listed.images
    }


def strike(context: Context, list_id: str, image: ImageId) -> None:
    """Forget that the event of an image is owed; the image counts as told."""

    def struck(notes: FetchNotes) -> FetchNotes:
        rest = tuple((other, owed) for other, owed in notes.owed if other != image)
        told = notes.told if notes.told is None else (*(one for one in notes.told if one != image), image)
        return replace(notes, owed=rest, told=told)

    _change(context, list_id, struck)


def _count(context: Context, list_id: str, image: ImageId, tried: OwedEvent) -> None:
    def counted(notes: FetchNotes) -> FetchNotes:
        return replace(notes, owed=tuple((other, tried if other == image else event) for other, event in notes.owed))

    _change(context, list_id, counted)


def _change(context: Context, list_id: str, change: Callable[[FetchNotes], FetchNotes]) -> None:
    with context.lock("store"):
        # The handler may have deleted the subscription, and everything that is owed with it.
        if subscriptions.find_subscription(context.layout, list_id) is not None:
            notes = subscriptions.read_fetch_notes(context.layout, list_id)
            subscriptions.put_fetch_notes(context.layout, list_id, change(notes))
