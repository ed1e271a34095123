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


def tell_new_images(context: Context, teller: Teller, list_id: str) -> None:
    """Tell what is owed for one subscription. What an earlier run with a handler promised waits for one."""
    if not teller.is_listening:
        return
    notes = subscriptions.read_fetch_notes(context.layout, list_id)
    if not notes.owed:
        return
    described = _described(context, list_id)
    if described is None:
        # The list cannot be read just now: what is owed for it is told when it is there again.
        return
    for image, owed in notes.owed:
        variables = described.get(image)
        if variables is None or teller.tell(owed, variables):
            _strike(context, list_id, image)
        else:
            tried = replace(owed, attempts=owed.attempts + 1)
            if teller.is_exhausted(tried):
                teller.give_up(tried, variables, "the handler never took it")
                _strike(context, list_id, image)
            else:
                _count(context, list_id, image, tried)


def _described(context: Context, list_id: str) -> dict[ImageId, dict[str, str]] | None:
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


def _strike(context: Context, list_id: str, image: ImageId) -> None:
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
