"""Subscribing to a list: the first contact with an endorser's work."""

from __future__ import annotations

import logging
import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vmcatcher.errors.admission import EndorserUnknown
from vmcatcher.model import admission
from vmcatcher.model.endorser import Endorser
from vmcatcher.model.identity import Credential, EndorserId
from vmcatcher.model.location import Location
from vmcatcher.model.subscription import AcceptedImage, NewImages, Subscription, TlsTrust
from vmcatcher.services.newest import compare, newest_admitted, put_mark
from vmcatcher.services.rules import images_of_others
from vmcatcher.services.settling import clash, followed_uri
from vmcatcher.services.subscriptions import demand_sendable
from vmcatcher.services.update import prove
from vmcatcher.store import endorsers, files, index, snapshots, subscriptions
from vmcatcher.store.subscriptions import FetchNotes, Secret
from vmcatcher.transport.access import Access
from vmcatcher.transport.results import Fetched

if TYPE_CHECKING:
    from vmcatcher.errors import VmcatcherError
    from vmcatcher.model.imagelist import ImageList, ParsedList
    from vmcatcher.model.location import UserInfo
    from vmcatcher.model.verified import VerifiedList
    from vmcatcher.services.context import Context
    from vmcatcher.services.update import Tools

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SubscribeRequest:
    """What the operator asked for."""

    uri: str
    directory: str
    """Where a relative path starts."""
    auto_endorse: bool = False
    new_images: NewImages = NewImages.REFUSE
    tls: TlsTrust = TlsTrust.UNSET
    insecure: bool = False
    username: str | None = None
    password: str | None = None
    password_over_http: bool = False
    file_images: bool = False
    pin_uri: bool = False

    def __repr__(self) -> str:
        return f"SubscribeRequest(uri={self.uri!r})"


@dataclass(frozen=True, slots=True)
class Subscribed:
    """What became of the request. `problems` are about the list; the subscription is made all the same."""

    subscription: Subscription
    endorser: Endorser
    is_new: bool
    is_endorser_new: bool
    problems: tuple[VmcatcherError, ...]


def subscribe(context: Context, tools: Tools, request: SubscribeRequest) -> Subscribed:
    """Subscribe to the list at a URI: fetch it, verify it, and register its images, none of them selected.

    The list itself is not kept yet: the first update does that. Subscribing again changes nothing.

    Raises:
        NetworkError: the list could not be had (10).
        ListRefused, ContentRefused, …: it is no list to be trusted (1).
        BadLocation, BadPassword: the URI, the user name or the password cannot be used (1).
        EndorserUnknown: nobody here knows the signer, and `auto_endorse` is off (1).
        ListRollback, ListReplayed: a newer list was admitted under this identifier before.
    """
    location, userinfo = Location.parse(request.uri, directory=request.directory)
    username, password = _credentials(request, userinfo)
    access = Access(
        tls="insecure" if request.insecure else "igtf" if request.tls is TlsTrust.IGTF else "system",
        trust_directory=tools.trust_directory,
        username=username,
        password=password,
        origin=location.origin,
        plain_password=request.password_over_http,
    )
    answer = tools.transport.fetch_list(location, access)
    assert isinstance(answer, Fetched), "nothing was asked for that could be unmodified"
    verified, parsed = prove(answer.body, tools, context)
    secret = Secret(password, str(location.origin)) if password else None
    with context.lock("store"):
        endorser, is_new = _endorser(context, verified, auto_endorse=request.auto_endorse)
        return _commit(context, request, location, (verified, parsed), (endorser, is_new), (username, secret))


def _credentials(request: SubscribeRequest, userinfo: UserInfo | None) -> tuple[str | None, str | None]:
    """Return user name and password: what was asked for goes before what stands in the URI."""
    # `http://@host/` and `http://user:@host/` say nothing; an empty option is a slip.
    in_uri = (userinfo.username or None, userinfo.password or None) if userinfo else (None, None)
    username = in_uri[0] if request.username is None else request.username
    password = in_uri[1] if request.password is None else request.password
    for text, what in ((username, "user name"), (password, "password")):
        if text is not None:
            demand_sendable(text, what)
    return username, password


def _endorser(context: Context, verified: VerifiedList, *, auto_endorse: bool) -> tuple[Endorser, bool]:
    try:
        return admission.find_endorser(verified, endorsers.all_endorsers(context.layout)), False
    except EndorserUnknown:
        if not auto_endorse:
            raise
    credential = Credential(str(verified.signer), str(verified.issuer))
    return Endorser(EndorserId(str(uuid.uuid4())), (credential,), context.now), True


def _commit(
    context: Context,
    request: SubscribeRequest,
    location: Location,
    proved: tuple[VerifiedList, ParsedList],
    signed_by: tuple[Endorser, bool],
    credentials: tuple[str | None, Secret | None],
) -> Subscribed:
    verified, parsed = proved
    listed = parsed.imagelist
    endorser, is_endorser_new = signed_by
    taken = compare(verified, listed, newest_admitted(context, listed.identifier))
    admission.demand_valid_now(listed, context.now, context.max_validity_s)
    existing = subscriptions.find_subscription(context.layout, listed.identifier)
    if existing is not None:
        return Subscribed(existing, endorser, is_new=False, is_endorser_new=False, problems=())
    for text in (*verified.warnings, *parsed.warnings, *((taken.warning,) if taken.warning else ())):
        logger.warning("list %s: %s", listed.identifier, text)
    subscription, problems = _new_subscription(context, request, location, listed, endorser)
    username, secret = credentials
    if username is not None:
        subscription = replace(subscription, username=username, username_origin=str(location.origin))
    # What a deleted subscription of the same list left would otherwise become part of this one.
    subscriptions.clear_directory(context.layout, listed.identifier)
    # The password goes before the commit: a subscription without it would be refused by its server.
    files.make_directory(context.layout.subscription_directory(listed.identifier))
    if is_endorser_new:
        endorsers.put_endorser(context.layout, endorser)
    if secret is not None:
        subscriptions.put_secret(context.layout, listed.identifier, secret)
    # The mark goes first, too: a run killed behind the commit must not leave room for an older list.
    if taken.is_news:
        put_mark(context, listed, verified, snapshots.signed_digest(verified.signed))
    subscriptions.put_subscription(context.layout, subscription)
    known = tuple(image.identifier for image in listed.images)
    subscriptions.put_fetch_notes(context.layout, listed.identifier, FetchNotes(told=known))
    index.write_projections(context.layout, subscription)
    about_list = (*parsed.refused, *problems)
    return Subscribed(subscription, endorser, is_new=True, is_endorser_new=is_endorser_new, problems=about_list)


def _new_subscription(
    context: Context, request: SubscribeRequest, location: Location, listed: ImageList, endorser: Endorser
) -> tuple[Subscription, tuple[VmcatcherError, ...]]:
    others = images_of_others(context, listed.identifier)
    own = [image.identifier for image in listed.images if image.identifier not in others]
    clashing = tuple(image.identifier for image in listed.images if image.identifier in others)
    selected = request.new_images is NewImages.SUBSCRIBE
    subscription = Subscription(
        identifier=listed.identifier,
        uri_asked=str(location),
        uri=str(location) if request.pin_uri else followed_uri(listed.identifier, str(location), listed.uri),
        added=context.now,
        description=listed.description,
        endorsers=(endorser.identifier,),
        new_images=request.new_images,
        images=tuple(AcceptedImage(image, selected) for image in own),
        tls=request.tls,
        insecure=request.insecure,
        password_over_http=request.password_over_http,
        file_images=request.file_images,
        pin_uri=request.pin_uri,
    )
    return subscription, (clash(context, listed.identifier, clashing),) if clashing else ()
