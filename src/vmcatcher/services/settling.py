"""What follows from an admitted list: images are registered and chosen, its URI is followed, the success is noted.

Everything here may be done twice: a run that was interrupted after keeping a list leaves it to the next one.
"""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING

from vmcatcher.errors import VmcatcherError
from vmcatcher.errors.admission import ImagesOwnedElsewhere, ImagesUndecided
from vmcatcher.light import replace
from vmcatcher.model.event import EventKind, OwedEvent
from vmcatcher.model.location import Location, move_refusal
from vmcatcher.model.matching import follow_rule
from vmcatcher.model.subscription import NewImages, register_images
from vmcatcher.services.context import new_event_id
from vmcatcher.services.unchanged import NOTE_AGAIN
from vmcatcher.store import index, subscriptions
from vmcatcher.store.subscriptions import FetchNotes

if TYPE_CHECKING:
    from vmcatcher.model.identity import ImageId, ListId
    from vmcatcher.model.imagelist import ImageList
    from vmcatcher.model.subscription import Subscription
    from vmcatcher.services.context import Context
    from vmcatcher.store.settled import Settled
    from vmcatcher.transport.results import Validators

logger = logging.getLogger(__name__)


class Owners:
    """Which subscription accepted an image first, looked up once a run where that is all that is asked.

    A policy that accepts looks again, under the store lock; one that only reports may go by what was so when the run
    began. Without that, a thousand lists with one undecided image each would read a million indexes.
    """

    def __init__(self) -> None:
        self._known: dict[ImageId, ListId] | None = None

    def besides(self, context: Context, subscription: Subscription) -> frozenset[ImageId]:
        """Return the identifiers that other subscriptions accepted. Call under the store lock."""
        accepts = subscription.where is not None or subscription.new_images is not NewImages.REFUSE
        if self._known is None or accepts:
            self._known = {
                image.identifier: one.identifier for one in index.all_indexes(context.layout) for image in one.images
            }
        return frozenset(image for image, owner in self._known.items() if owner != subscription.identifier)


def settle(
    context: Context, subscription: Subscription, listed: ImageList, owners: Owners
) -> tuple[Subscription, tuple[VmcatcherError, ...]]:
    """Register the list's images and follow its URI; return the subscription now and what needs the operator.

    Where there is a rule, it selects among the images that nobody decided about by hand.
    Doing it twice changes nothing.

    Raises:
        BadRule: the subscription's rule cannot be read; nothing was changed.
    """
    named = [image.identifier for image in listed.images]
    known = {image.identifier for image in subscription.images} | set(subscription.refused)
    others = owners.besides(context, subscription) if not known.issuperset(named) else frozenset()
    registered = register_images(subscription, named, owned_elsewhere=others)
    changed = _following(follow_rule(registered.subscription, listed), listed)
    if changed != subscription:
        subscriptions.put_subscription(context.layout, changed)
    index.refresh_projections(context.layout, changed)
    problems: list[VmcatcherError] = []
    if registered.owned_elsewhere:
        problems.append(clash(context, subscription.identifier, registered.owned_elsewhere))
    if registered.undecided:
        images = ", ".join(registered.undecided)
        problems.append(ImagesUndecided(list_id=subscription.identifier, images=images))
    return changed, tuple(problems)


def clash(context: Context, list_id: str, images: tuple[str, ...]) -> ImagesOwnedElsewhere:
    """Return the problem of images that other subscriptions accepted first, with their owners."""
    owners = {
        one.identifier
        for one in index.all_indexes(context.layout)
        if one.identifier != list_id and any(image.identifier in images for image in one.images)
    }
    return ImagesOwnedElsewhere(list_id=list_id, images=", ".join(images), owners=", ".join(sorted(owners)))


def _following(subscription: Subscription, listed: ImageList) -> Subscription:
    if subscription.pin_uri or listed.uri == subscription.uri:
        return subscription
    return replace(subscription, uri=followed_uri(subscription.identifier, subscription.uri, listed.uri))


def followed_uri(list_id: str, current: str, named: str) -> str:
    """Return the URI that a list is fetched from next: the one it names itself, where it may move there."""
    try:
        old, new = Location.parse(current)[0], Location.from_list(named)
    except VmcatcherError as error:
        logger.warning("list %s names a URI that cannot be used: %s", list_id, error)
        return current
    refusal = move_refusal(old, new)
    if refusal is not None:
        logger.warning("list %s names the URI %s, not followed: %s", list_id, new, refusal)
        return current
    if str(new) != current:
        logger.warning("list %s moves from %s to %s", list_id, current, new)
    return str(new)


def note_success(
    context: Context,
    subscription: Subscription,
    listed: ImageList,
    validators: Validators,
    *,
    is_listening: bool,
    settled: Settled | None = None,
) -> tuple[str, ...]:
    """Keep the bookkeeping of a success; return the images that are new since the last one that was told.

    `settled` is what `unchanged.settled_as` returned. Where nobody listens nothing is owed: what is new counts as told.
    """
    notes = subscriptions.read_fetch_notes(context.layout, subscription.identifier)
    named = {image.identifier for image in listed.images}
    told = named if notes.told is None or not is_listening else named & set(notes.told)
    owed = tuple((image, event) for image, event in notes.owed if image in named)
    known = told | {image for image, _ in owed}
    fresh = [image.identifier for image in listed.images if image.identifier not in known]
    changed = FetchNotes(
        etag=validators.etag,
        last_modified=validators.last_modified,
        attempted=context.now,
        succeeded=context.now,
        told=tuple(image.identifier for image in listed.images if image.identifier in told),
        owed=(*owed, *((image, OwedEvent(EventKind.SUBSCRIPTION_IMAGE_NEW, new_event_id())) for image in fresh)),
        settled=settled,
    )
    same = replace(changed, attempted=notes.attempted, succeeded=notes.succeeded) == notes
    # An unchanged list is noted once an hour, not at every run: a thousand of them would be a thousand syncs.
    if not same or notes.succeeded is None or context.now - notes.succeeded > NOTE_AGAIN:
        subscriptions.put_fetch_notes(context.layout, subscription.identifier, changed)
    return tuple(fresh)


def note_failure(context: Context, list_id: str, error: VmcatcherError) -> None:
    """Keep what went wrong with a list, if it can be kept."""
    # Bookkeeping only: a full disk must not end the run for the subscriptions that follow.
    with contextlib.suppress(VmcatcherError), context.lock("store"):
        if subscriptions.find_subscription(context.layout, list_id) is None:
            return
        notes = subscriptions.read_fetch_notes(context.layout, list_id)
        noted = replace(notes, attempted=context.now, error_id=error.id, error=str(error))
        subscriptions.put_fetch_notes(context.layout, list_id, noted)
