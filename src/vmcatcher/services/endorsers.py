"""Endorsers: who may sign, and for which subscriptions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vmcatcher.errors import BadEndorserIdentifier
from vmcatcher.errors.requests import (
    AlreadyLinked,
    BadCredential,
    CredentialTaken,
    NoSuchEndorser,
    NoSuchSubscription,
    NotLinked,
    UnevenCredentials,
)
from vmcatcher.model.endorser import Endorser
from vmcatcher.model.identity import Credential, EndorserId, ListId, endorser_id, normal_dn
from vmcatcher.services.subscriptions import stored_subscription
from vmcatcher.store import endorsers as documents
from vmcatcher.store import index, subscriptions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vmcatcher.model.subscription import Subscription
    from vmcatcher.services.context import Context

    LinkChange = Callable[[Context, str, str], None]


@dataclass(frozen=True, slots=True)
class Link:
    """An endorser that may sign the list of a subscription."""

    endorser: EndorserId
    subscription: ListId


@dataclass(frozen=True, slots=True)
class Created:
    """What creating an endorser did."""

    endorser: Endorser
    added: tuple[Credential, ...]
    known: tuple[Credential, ...]
    """Credentials that the endorser had before; giving them again changes nothing."""


def pair_credentials(subjects: Sequence[str], issuers: Sequence[str]) -> tuple[Credential, ...]:
    """Return the credentials that subjects and issuers given in order make: one issuer for all, or one for each.

    Raises:
        UnevenCredentials: neither is the case.
        BadCredential: one of them is empty or cannot be printed, so no certificate has that name.
    """
    for kind, names in (("subject", subjects), ("issuer", issuers)):
        for name in names:
            if not name.strip() or not name.isprintable():
                raise BadCredential(kind=kind, value=name)
    if not subjects or len(issuers) not in (1, len(subjects)):
        raise UnevenCredentials(subjects=len(subjects), issuers=len(issuers))
    if len(issuers) == 1:
        issuers = [issuers[0]] * len(subjects)
    return tuple(Credential(subject, issuer) for subject, issuer in zip(subjects, issuers, strict=True))


def create_endorser(context: Context, identifier: str, credentials: Sequence[Credential]) -> Created:
    """Make an endorser with these credentials, or add them to the one that is there.

    Raises:
        BadEndorserIdentifier: the identifier cannot be used.
        CredentialTaken: one of the credentials is another endorser's; nothing is changed.
    """
    wanted = endorser_id(identifier)
    with context.lock("store"):
        everybody = documents.all_endorsers(context.layout)
        for credential in credentials:
            for other in everybody:
                if other.identifier != wanted and any(_is_same(credential, own) for own in other.credentials):
                    raise CredentialTaken(subject=credential.subject, issuer=credential.issuer, owner=other.identifier)
        current = documents.find_endorser(context.layout, wanted)
        if current is None:
            # Links that an interrupted deletion left must not make the new one trusted for anything.
            _unlink_everywhere(context, wanted)
            current = Endorser(wanted, (), context.now)
        added: list[Credential] = []
        known: list[Credential] = []
        for credential in credentials:
            before = (*current.credentials, *added)
            (known if any(_is_same(credential, own) for own in before) else added).append(credential)
        if added:
            current = replace(current, credentials=(*current.credentials, *added))
            documents.put_endorser(context.layout, current)
    return Created(current, tuple(added), tuple(known))


def _is_same(one: Credential, other: Credential) -> bool:
    return normal_dn(one.subject) == normal_dn(other.subject) and normal_dn(one.issuer) == normal_dn(other.issuer)


def delete_endorser(context: Context, identifier: str) -> None:
    """Forget an endorser and unlink it everywhere; its images expire at the next cache run.

    Raises:
        NoSuchEndorser: there is none of that identifier.
    """
    with context.lock("store"):
        endorser = _demand_endorser(context, identifier)
        # The document first: from here on nobody is trusted for it, whatever becomes of the links.
        documents.drop_endorser(context.layout, endorser.identifier)
        _unlink_everywhere(context, endorser.identifier)


def _unlink_everywhere(context: Context, identifier: EndorserId) -> None:
    for subscription in subscriptions.all_subscriptions(context.layout):
        if identifier in subscription.endorsers:
            _keep(context, subscription.unlinked(identifier))


def _demand_endorser(context: Context, identifier: str) -> Endorser:
    try:
        endorser = documents.find_endorser(context.layout, endorser_id(identifier))
    except BadEndorserIdentifier:
        endorser = None
    if endorser is None:
        raise NoSuchEndorser(endorser=identifier)
    return endorser


def link_endorser(context: Context, identifier: str, list_id: str) -> None:
    """Let an endorser sign the list of a subscription.

    Raises:
        NoSuchEndorser, NoSuchSubscription: one of the two is not there.
        AlreadyLinked: nothing had to be done.
    """
    with context.lock("store"):
        endorser = _demand_endorser(context, identifier)
        subscription = _demand_subscription(context, list_id)
        if identifier in subscription.endorsers:
            raise AlreadyLinked(endorser=identifier, subscription=list_id)
        _keep(context, subscription.linked(endorser.identifier))


def unlink_endorser(context: Context, identifier: str, list_id: str) -> None:
    """Let an endorser no longer sign the list of a subscription; its images expire at the next cache run.

    Raises:
        NoSuchSubscription: there is none.
        NotLinked: nothing had to be done.
    """
    with context.lock("store"):
        subscription = _demand_subscription(context, list_id)
        if identifier not in subscription.endorsers:
            raise NotLinked(endorser=identifier, subscription=list_id)
        _keep(context, subscription.unlinked(EndorserId(identifier)))


def _demand_subscription(context: Context, list_id: str) -> Subscription:
    subscription = stored_subscription(context, list_id)
    if subscription is None:
        raise NoSuchSubscription(subscription=list_id)
    return subscription


def _keep(context: Context, subscription: Subscription) -> None:
    subscriptions.put_subscription(context.layout, subscription)
    index.write_projections(context.layout, subscription)


def list_links(context: Context) -> tuple[Link, ...]:
    """Return every link, in the order of the subscriptions, then of linking."""
    return tuple(
        Link(endorser, subscription.identifier)
        for subscription in subscriptions.all_subscriptions(context.layout)
        for endorser in subscription.endorsers
    )


def find_endorser(context: Context, identifier: str) -> tuple[Endorser, tuple[Subscription, ...]]:
    """Return an endorser and the subscriptions it is linked to.

    Raises:
        NoSuchEndorser: there is none of that identifier.
    """
    endorser = _demand_endorser(context, identifier)
    linked = (one for one in subscriptions.all_subscriptions(context.layout) if identifier in one.endorsers)
    return endorser, tuple(linked)
