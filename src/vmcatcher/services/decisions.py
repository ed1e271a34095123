"""Several decisions about one subscription at once: one commit keeps them; a password is kept just before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from vmcatcher.errors import BadLocation
from vmcatcher.errors.requests import NoSuchSubscription
from vmcatcher.light import replace
from vmcatcher.model import admission
from vmcatcher.model.location import Location
from vmcatcher.model.matching import matcher
from vmcatcher.model.subscription import NewImages, Subscription, TlsTrust
from vmcatcher.model.validity import limit_of, limit_text
from vmcatcher.services.rules import RuleEffect, effect_of, listed_now, with_policies
from vmcatcher.services.sources import parse_own_mirror
from vmcatcher.services.subscriptions import HIDDEN, demand_sendable, stored_subscription
from vmcatcher.store import index, subscriptions
from vmcatcher.store.subscriptions import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmcatcher.model.imagelist import ImageList
    from vmcatcher.services.context import Context

OF_THE_SETTING: Final = -1
"""The limit of a subscription that has none of its own."""


@dataclass(frozen=True, slots=True)
class Decisions:
    """What is to be changed about a subscription; None leaves a thing as it is, an empty text takes it away."""

    where: str | None = None
    new_images: NewImages | None = None
    max_validity_s: int | None = None
    """0: no limit, whatever the setting says; `OF_THE_SETTING`: the setting's."""
    keep_until_replaced: bool | None = None
    pin_uri: bool | None = None
    uri: str | None = None
    """Where the list is fetched from; relative paths are not taken."""
    tls: TlsTrust | None = None
    insecure: bool | None = None
    file_images: bool | None = None
    password_over_http: bool | None = None
    username: str | None = None
    password: str | None = None
    mirrors: tuple[str, ...] | None = None

    def __repr__(self) -> str:
        return "Decisions(…)"  # a password may be among them

    @property
    def is_empty(self) -> bool:
        """Whether nothing is to be changed."""
        return self == Decisions()


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is another one now, as people read it. A password is never shown."""

    name: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Decided:
    """What became of the decisions."""

    subscription: Subscription
    changes: tuple[Change, ...]
    """Empty where everything was so already."""
    effect: RuleEffect | None
    """What is selected now, where a rule or a policy was given and the current list is known."""
    notes: tuple[str, ...]
    """What the operator should know about the result."""


def decide(context: Context, list_id: str, decisions: Decisions, *, dry_run: bool = False) -> Decided:
    """Change what is decided about a subscription, and apply rule and policy at once to the list that is there.

    With `dry_run` nothing is changed, and no lock is taken. Images that are deselected leave at the next cache run.

    Raises:
        NoSuchSubscription: there is none of that identifier.
        BadRule: the rule cannot be read, or makes no sense.
        BadPassword, BadLocation, BadMirror: what was given cannot be used.
    """
    _demand_usable(decisions)
    if dry_run:
        return _decided(context, list_id, decisions, keep=False)
    with context.lock("store"):
        return _decided(context, list_id, decisions, keep=True)


def _demand_usable(decisions: Decisions) -> None:
    for text, what in ((decisions.username, "user name"), (decisions.password, "password")):
        if text:
            demand_sendable(text, what)
    for mirror in decisions.mirrors or ():
        parse_own_mirror(mirror)


def _decided(context: Context, list_id: str, decisions: Decisions, *, keep: bool) -> Decided:
    before = stored_subscription(context, list_id)
    if before is None:
        raise NoSuchSubscription(subscription=list_id)
    after = _changed(before, decisions)
    chooses = decisions.where is not None or decisions.new_images is not None
    if chooses:
        after = with_policies(context, after)
    changes = (*_differences(before, after), *_password_change(context, before, decisions))
    if keep:
        _keep(context, before, after, decisions)
    current = listed_now(context, after)
    listed = current.listed if current is not None else None
    effect = effect_of(before, after, listed) if chooses and listed is not None else None
    return Decided(after, changes, effect, tuple(_notes(context, after, decisions, effect, listed)))


def _changed(before: Subscription, decisions: Decisions) -> Subscription:
    plain = {
        name: value
        for name in (
            "new_images", "keep_until_replaced", "pin_uri", "tls", "insecure", "file_images", "password_over_http",
        )
        if (value := getattr(decisions, name)) is not None
    }  # fmt: skip
    after = replace(before, **plain)
    if decisions.mirrors is not None:
        after = replace(after, mirrors=tuple(dict.fromkeys(str(parse_own_mirror(one)) for one in decisions.mirrors)))
    if decisions.uri is not None:
        after = replace(after, uri=_plain_uri(decisions.uri))
    if decisions.max_validity_s is not None:
        given = decisions.max_validity_s
        after = replace(after, max_validity_s=None if given == OF_THE_SETTING else given)
    if decisions.username is not None:
        origin = _origin(after) if decisions.username else None
        after = replace(after, username=decisions.username or None, username_origin=origin)
    if decisions.where is not None:
        rule = decisions.where.strip()
        after = replace(after, where=str(matcher(rule).rule)) if rule else after.without_rule()
    return after


def _plain_uri(uri: str) -> str:
    location, userinfo = Location.parse(uri)
    if userinfo is not None and (userinfo.username or userinfo.password):
        raise BadLocation(uri=str(location), why="user name and password are set by themselves")
    return str(location)


def _origin(subscription: Subscription) -> str:
    return str(Location.parse(subscription.uri)[0].origin)


def _keep(context: Context, before: Subscription, after: Subscription, decisions: Decisions) -> None:
    layout, list_id = context.layout, after.identifier
    if decisions.password is not None:
        # Before the commit: a subscription whose user name is a new one must not be used with the old password.
        secret = Secret(decisions.password, _origin(after)) if decisions.password else None
        subscriptions.put_secret(layout, list_id, secret)
    if after.uri != before.uri:
        # What one address says about its versions means nothing at another one.
        notes = subscriptions.read_fetch_notes(layout, list_id)
        subscriptions.put_fetch_notes(layout, list_id, replace(notes, etag=None, last_modified=None))
    if after != before:
        subscriptions.put_subscription(layout, after)
        index.write_projections(layout, after)


def _differences(before: Subscription, after: Subscription) -> Iterator[Change]:
    for name in _SHOWN:
        old, new = getattr(before, name), getattr(after, name)
        if old != new:
            label = "max_validity" if name == "max_validity_s" else name
            yield Change(label, _words(name, old), _words(name, new))


_SHOWN: Final = (
    "uri", "where", "new_images", "max_validity_s", "keep_until_replaced", "pin_uri", "tls", "insecure", "file_images",
    "password_over_http", "username", "mirrors",
)  # fmt: skip


def _words(name: str, value: object) -> str:
    if name == "max_validity_s":
        return "as the setting says" if value is None else "no limit" if value == 0 else limit_text(int(str(value)))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, TlsTrust):
        return "igtf" if value is TlsTrust.IGTF else "system"
    if isinstance(value, NewImages):
        return value.value
    if isinstance(value, tuple):
        return " ".join(value) or "none"
    return "none" if value is None else str(value)


def _password_change(context: Context, subscription: Subscription, decisions: Decisions) -> Iterator[Change]:
    had = subscriptions.has_secret(context.layout, subscription.identifier)
    if decisions.password or (decisions.password is not None and had):
        yield Change("password", HIDDEN if had else "none", HIDDEN if decisions.password else "none")


def _notes(
    context: Context, after: Subscription, decisions: Decisions, effect: RuleEffect | None, listed: ImageList | None
) -> Iterator[str]:
    if decisions.where and effect is None:
        yield "its list is not here yet: the rule is applied at the next update"
    for key in effect.unknown_keys if effect is not None else ():
        yield f"no image of the current list has '{key}'"
    if listed is None:
        return
    if decisions.uri is not None and not after.pin_uri and listed.uri != after.uri:
        yield f"the list names {listed.uri} itself, and the next update goes there again unless --pin-uri is set"
    over = admission.past_limit(listed, context.now, limit_of(after.max_validity_s, context.max_validity_s))
    if decisions.max_validity_s is not None and over is not None:
        yield f"{over}: its images leave at the next cache run"
