"""Subscriptions: what is subscribed to, and every decision about it that needs no network."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from vmcatcher.errors import BadIdentifier, VmcatcherError
from vmcatcher.errors.requests import BadPassword, ImageOfAnotherList, NoSuchSubscription
from vmcatcher.errors.store import DocumentDamaged
from vmcatcher.model import identity
from vmcatcher.model.identity import image_id
from vmcatcher.model.location import Location
from vmcatcher.model.matching import follow_rule
from vmcatcher.model.subscription import NewImages, TlsTrust
from vmcatcher.services.images import CurrentList, current_list
from vmcatcher.services.listing import list_subscriptions
from vmcatcher.services.rules import images_of_others, listed_now, with_policies
from vmcatcher.store import index, subscriptions
from vmcatcher.store.subscriptions import Secret

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from vmcatcher.model.imagelist import ImageList
    from vmcatcher.model.subscription import Subscription
    from vmcatcher.services.context import Context

HIDDEN = "***"


@dataclass(frozen=True, slots=True)
class SubscriptionInfo:
    """A subscription with its current list, as the details show it."""

    subscription: Subscription
    description: str
    updated: datetime | None
    """When the current list was admitted; None before the first update."""
    listed: ImageList | None
    is_expired: bool
    password: str | None
    """`***` where there is one, the password itself only where it was asked for."""
    current: CurrentList | None


def find_subscription(context: Context, selector: str, *, by_uri: bool, directory: str = "") -> Subscription:
    """Return the subscription of that identifier, or with `by_uri` of that URI, the one asked for or the current one.

    A relative path is one below `directory`, as when it was subscribed to.

    Raises:
        NoSuchSubscription: there is none.
    """
    if not by_uri:
        found = stored_subscription(context, selector)
    else:
        wanted = _same_spelling(selector, directory)
        listing = list_subscriptions(context)
        found = next((one for one in listing.found if one.answers_to(selector) or one.answers_to(wanted)), None)
        if found is None and listing.failed:
            raise listing.failed[0].error  # it may be the one
    if found is None:
        raise NoSuchSubscription(subscription=selector)
    return found


def stored_subscription(context: Context, list_id: str) -> Subscription | None:
    """Return the subscription of that identifier, or None; what an operator typed may be anything."""
    try:
        known = identity.list_id(list_id)
    except BadIdentifier:
        return None
    found = subscriptions.find_subscription(context.layout, known)
    lost = subscriptions.lost(context.layout).get(known) if found is None else None
    if lost is not None:
        raise lost
    return found


def _same_spelling(uri: str, directory: str) -> str:
    try:
        return str(Location.parse(uri, directory=directory)[0])
    except VmcatcherError:
        return uri


def subscription_info(context: Context, subscription: Subscription, *, show_secrets: bool = False) -> SubscriptionInfo:
    """Return the details of a subscription. Its password is hidden unless it is asked for."""
    try:
        current = current_list(context, subscription)
    except DocumentDamaged:
        current = None
    secret = subscriptions.has_secret(context.layout, subscription.identifier)
    password = HIDDEN if secret else None
    if secret and show_secrets:
        stored = subscriptions.read_secret(context.layout, subscription.identifier)
        password = stored.password if stored else None
    listed = current.listed if current else None
    return SubscriptionInfo(
        subscription,
        listed.description if listed else subscription.description,
        current.snapshot.kept if current else None,
        listed,
        current is not None and current.until <= context.now,
        password,
        current,
    )


def _edit(context: Context, list_id: str, change: Callable[[Subscription], Subscription]) -> Subscription:
    with context.lock("store"):
        current = stored_subscription(context, list_id)
        if current is None:
            raise NoSuchSubscription(subscription=list_id)
        changed = change(current)
        if changed != current:
            subscriptions.put_subscription(context.layout, changed)
            index.write_projections(context.layout, changed)
    return changed


def delete_subscription(context: Context, list_id: str) -> None:
    """Forget a subscription with its snapshots; its images expire at the next cache run, its mark stays.

    Raises:
        NoSuchSubscription: there is none.
    """
    with context.lock("store"):
        if stored_subscription(context, list_id) is None:
            raise NoSuchSubscription(subscription=list_id)
        subscriptions.drop_subscription(context.layout, list_id)


def set_tls_trust(context: Context, list_id: str, trust: TlsTrust) -> None:
    """Choose whose certificates the list's https server may show."""
    _edit(context, list_id, lambda one: replace(one, tls=trust))


def set_username(context: Context, list_id: str, username: str | None) -> None:
    """Set the user name that is sent to the origin the subscription has now, and only there; or forget it.

    Raises:
        BadPassword: HTTP Basic authentication cannot carry it (RFC 7617 section 2).
    """
    if username is None:
        _edit(context, list_id, lambda one: replace(one, username=None, username_origin=None))
        return
    demand_sendable(username, "user name")
    _edit(context, list_id, lambda one: replace(one, username=username, username_origin=_origin(one)))


def _origin(subscription: Subscription) -> str:
    return str(Location.parse(subscription.uri)[0].origin)


def set_password(context: Context, list_id: str, password: str | None) -> None:
    """Set the password that is sent to the origin the subscription has now, and only there; or forget it.

    Raises:
        BadPassword: HTTP Basic authentication cannot carry it.
    """
    if password is not None:
        demand_sendable(password, "password")
    with context.lock("store"):
        subscription = stored_subscription(context, list_id)
        if subscription is None:
            raise NoSuchSubscription(subscription=list_id)
        secret = None if password is None else Secret(password, _origin(subscription))
        subscriptions.put_secret(context.layout, list_id, secret)


def demand_sendable(text: str, what: str) -> None:
    """Return if HTTP Basic authentication can carry a user name or a password.

    Raises:
        BadPassword: it is empty, holds a character that cannot be printed, or a colon where a user name ends.
    """
    if not text or not text.isprintable():
        raise BadPassword(why=f"an empty {what}, or one with control characters, cannot be sent")
    if what == "user name" and ":" in text:
        raise BadPassword(why="a user name with a colon cannot be told from the password")


@dataclass(frozen=True, slots=True)
class Permissions:
    """What a subscription may do that is not safe by default; None leaves it as it is."""

    insecure: bool | None = None
    """Do not verify https servers at all."""
    password_over_http: bool | None = None
    """Send the password over plain http, where anybody on the way can read it."""
    file_images: bool | None = None
    """Let the list name images as files of this machine."""
    pin_uri: bool | None = None
    """Keep the URI although a new list names another one."""


def permit(context: Context, list_id: str, permissions: Permissions) -> None:
    """Change what a subscription may do."""
    wanted = {field.name: getattr(permissions, field.name) for field in fields(permissions)}
    changes = {name: value for name, value in wanted.items() if value is not None}
    _edit(context, list_id, lambda one: replace(one, **changes))


def set_new_images(context: Context, list_id: str, policy: NewImages) -> Subscription:
    """Set what happens to images that the list newly names, and apply it to those that are undecided now."""
    return _edit(context, list_id, lambda one: with_policies(context, replace(one, new_images=policy)))


def accept_image(context: Context, list_id: str, image: str) -> None:
    """Accept an image of the subscription's list by hand.

    Raises:
        NoSuchSubscription: there is none of that identifier.
        ImageOfAnotherList: the current list does not name it, or another subscription has it.
    """
    wanted = image_id(image)

    def change(one: Subscription) -> Subscription:
        if one.find(wanted) is not None:
            return one
        current = listed_now(context, one)
        if current is None or wanted not in {found.identifier for found in current.listed.images}:
            raise ImageOfAnotherList(image=wanted, list_id=list_id, why="its current list does not name it")
        if wanted in images_of_others(context, list_id):
            raise ImageOfAnotherList(image=wanted, list_id=list_id, why="another subscription has it")
        selected = one.new_images is NewImages.SUBSCRIBE and one.where is None
        return follow_rule(one.accepting(wanted, selected=selected), current.listed)

    _edit(context, list_id, change)


def refuse_image(context: Context, list_id: str, image: str) -> None:
    """Refuse an image of the subscription: it expires at the next cache run and no policy takes it again.

    Raises:
        NoSuchSubscription: there is none of that identifier.
        BadIdentifier: no image can have that identifier.
    """
    wanted = image_id(image)
    _edit(context, list_id, lambda one: one.refusing(wanted))
