"""Which images of its list a subscription accepts and selects: policy and rule applied to what is there, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vmcatcher.errors.requests import NoSuchImage
from vmcatcher.errors.rules import NoRule
from vmcatcher.errors.store import DocumentDamaged
from vmcatcher.model.matching import follow_rule, matcher
from vmcatcher.model.subscription import Decided, NewImages, register_images
from vmcatcher.services.images import CurrentList, current_list
from vmcatcher.store import index, snapshots, subscriptions

if TYPE_CHECKING:
    from collections.abc import Collection

    from vmcatcher.model.identity import ImageId
    from vmcatcher.model.image import Image
    from vmcatcher.model.imagelist import ImageList
    from vmcatcher.model.subscription import Subscription
    from vmcatcher.services.context import Context


@dataclass(frozen=True, slots=True)
class RuledImage:
    """One image of the current list, and what a rule does to it."""

    identifier: ImageId
    title: str
    size_bytes: int
    chosen: bool
    """Whether the rule chooses it; without a rule, whether it is selected."""
    was_selected: bool
    selected: bool
    """Whether it is selected afterwards: what was decided by hand stays, whatever the rule says."""
    why: str


@dataclass(frozen=True, slots=True)
class RuleEffect:
    """What the rule of a subscription does to the images of its current list."""

    images: tuple[RuledImage, ...]
    unknown_keys: tuple[str, ...]
    """Keys that the rule names and no image of the list has: mostly slips."""

    @property
    def chosen(self) -> tuple[RuledImage, ...]:
        """The images that the rule chooses."""
        return tuple(one for one in self.images if one.chosen)


def listed_now(context: Context, subscription: Subscription) -> CurrentList | None:
    """Return the current list; None before the first update, and where it is damaged: the next one fetches it again."""
    try:
        return current_list(context, subscription)
    except DocumentDamaged:
        return None


def images_of_others(context: Context, list_id: str) -> frozenset[ImageId]:
    """Return the identifiers that other subscriptions accepted. Call under the store lock."""
    return frozenset(
        image.identifier
        for one in index.all_indexes(context.layout)
        if one.identifier != list_id
        for image in one.images
    )


def with_policies(context: Context, subscription: Subscription) -> Subscription:
    """Return the subscription with its policy for new images and its rule applied to what its list names now.

    Before the first update, and where the list cannot be read, the next update does it. Call under the store lock.

    Raises:
        BadRule: the subscription's rule cannot be read.
    """
    current = listed_now(context, subscription)
    if snapshots.current_snapshot(context.layout, subscription.identifier) is None:
        return _with_policy_for_first(subscription)
    if current is None:
        return subscription
    taken = images_of_others(context, subscription.identifier)
    listed = (image.identifier for image in current.listed.images)
    registered = register_images(subscription, listed, owned_elsewhere=taken).subscription
    return follow_rule(registered, current.listed)


def _with_policy_for_first(subscription: Subscription) -> Subscription:
    # Before its first update all images of a subscription are new: `subscribe` wants them all.
    if subscription.new_images is not NewImages.SUBSCRIBE or subscription.where is not None:
        return subscription
    free = [image.identifier for image in subscription.images if image.decided is None]
    return subscription.with_selection(free, selected=True, decided=None)


def effect_of(before: Subscription, after: Subscription, listed: ImageList) -> RuleEffect:
    """Return what the step from one decision to the next does to the images of a list."""
    rule = matcher(after.where) if after.where is not None else None
    images = []
    for image in listed.images:
        was, now = before.find(image.identifier), after.find(image.identifier)
        selected = now is not None and now.selected
        images.append(
            RuledImage(
                image.identifier,
                image.title,
                image.size_bytes,
                selected if rule is None else rule.chooses(image, listed.vo),
                was is not None and was.selected,
                selected,
                why(after, image.identifier, listed),
            )
        )
    keys = {term.key for term in rule.rule.terms} if rule is not None else set()
    known = {key for image in listed.images for key in image.fields} | {"ad:vo"}
    return RuleEffect(tuple(images), tuple(sorted(keys - known)) if listed.images else ())


def why(subscription: Subscription, image: ImageId, listed: ImageList | None) -> str:
    """Return in a few words why an image is selected, or is not; `listed` is the current list where that is known."""
    accepted = subscription.find(image)
    if accepted is None:
        return "refused by hand" if image in subscription.refused else "not accepted: nobody decided about it yet"
    if accepted.decided is Decided.BY_HAND:
        return "selected by hand" if accepted.selected else "not selected, by hand"
    if subscription.where is None:
        return "selected by the policy for new images" if accepted.selected else "nobody selected it"
    found = next((one for one in listed.images if one.identifier == image), None) if listed is not None else None
    if found is None or listed is None:
        return f"{'selected' if accepted.selected else 'not selected'}; the rule decides when its list names it"
    return _why_by_rule(subscription.where, found, listed.vo)


def _why_by_rule(where: str, image: Image, vo: str | None) -> str:
    failing = matcher(where).failing(image, vo)
    return f"selected by rule: {where}" if failing is None else f"not selected by rule: {failing} does not hold"


def choose_by_rule(context: Context, images: Collection[ImageId]) -> tuple[tuple[ImageId, bool], ...]:
    """Leave it to the rule of their subscriptions again whether images are selected; return which now are.

    Raises:
        NoSuchImage: no subscription has accepted one of them; nothing was changed.
        NoRule: the subscription of one has no rule; nothing was changed.
        BadRule: the rule of one cannot be read; nothing was changed.
    """
    with context.lock("store"):
        owned = _owners(context, images)
        changes = [_freed(context, subscription, mine) for subscription, mine in owned]
        for (before, _), after in zip(owned, changes, strict=True):
            if after != before:
                subscriptions.put_subscription(context.layout, after)
                index.write_projections(context.layout, after)
    selected = {image for one in changes for image in one.selected}
    return tuple((image, image in selected) for image in images)


def _owners(context: Context, images: Collection[ImageId]) -> list[tuple[Subscription, list[ImageId]]]:
    found = []
    left = set(images)
    for one in subscriptions.all_subscriptions(context.layout):
        mine = [image.identifier for image in one.images if image.identifier in left]
        left.difference_update(mine)
        if mine and one.where is None:
            raise NoRule(image=mine[0], list_id=one.identifier)
        found += [(one, mine)] if mine else []
    for image in left:
        raise NoSuchImage(image=image)
    return found


def _freed(context: Context, subscription: Subscription, images: Collection[ImageId]) -> Subscription:
    freed = subscription.undecided(images)
    current = listed_now(context, subscription)
    return freed if current is None else follow_rule(freed, current.listed)
