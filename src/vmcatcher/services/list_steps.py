"""What becomes of each list in a run: two states of a subscription compared, foreseen or over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vmcatcher.model.steps import ListFate, ListStep

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from vmcatcher.errors import VmcatcherError
    from vmcatcher.model.imagelist import ImageList
    from vmcatcher.model.subscription import Subscription


@dataclass(frozen=True, slots=True)
class ListHead:
    """What a report says of a list. A thousand lists with all that they say of their images would not be held."""

    title: str
    version: str
    expires: datetime
    images: tuple[str, ...] = ()
    """The identifiers that it names, where another list is compared with it."""


def head_of(listed: ImageList) -> ListHead:
    """Return what a report says of a list."""
    return ListHead(listed.title, listed.version, listed.expires, tuple(one.identifier for one in listed.images))


@dataclass(frozen=True, slots=True)
class ListState:
    """A subscription and its current list, at one moment."""

    subscription: Subscription
    head: ListHead | None = None


def list_step(before: ListState, after: ListState, fate: ListFate, problems: Sequence[VmcatcherError]) -> ListStep:
    """Return what becomes of a list.

    `problems` are why it is refused, or what about a list that is taken needs the operator.
    """
    old, new = before.head, after.head
    known, named = set(old.images if old else ()), set(new.images if new else ())
    was = {image.identifier: image.selected for image in before.subscription.images}
    is_news = fate is ListFate.NEW
    return ListStep(
        before.subscription.identifier,
        fate,
        title=new.title if new else "",
        uri=before.subscription.uri,
        version=old.version if old else "",
        offered=new.version if new and is_news else "",
        expires=new.expires if new else None,
        moves_to=after.subscription.uri if after.subscription.uri != before.subscription.uri else "",
        new_images=tuple(one for one in new.images if one not in known) if new and is_news else (),
        gone_images=tuple(one for one in old.images if one not in named) if old and is_news else (),
        accepted=tuple(one.identifier for one in after.subscription.images if one.identifier not in was),
        selected=tuple(
            one.identifier for one in after.subscription.images if one.selected and not was.get(one.identifier)
        ),
        error="; ".join(str(one) for one in problems),
        error_id=problems[0].id if problems else "",
    )
