"""Whether a verified list is taken: who signed it, which list it is, whether it is newer, whether it holds now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from vmcatcher.errors import printable
from vmcatcher.errors.admission import (
    EndorserNotLinked,
    EndorserUnknown,
    ListExpired,
    ListFromTheFuture,
    ListIdentifierChanged,
    ListPastLimit,
    ListReplayed,
    ListRollback,
    SignerNotNamed,
)
from vmcatcher.model.instant import instant_text
from vmcatcher.model.validity import end_of, limit_text
from vmcatcher.model.version import version_key

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from vmcatcher.model.endorser import Endorser
    from vmcatcher.model.identity import Sha512
    from vmcatcher.model.imagelist import ImageList
    from vmcatcher.model.subscription import Subscription
    from vmcatcher.model.verified import VerifiedList

CLOCK_SKEW: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest list ever admitted under an identifier, as its mark says."""

    version: str
    created: datetime
    sha512: Sha512
    older_allowed: bool = False
    """The operator lets the next other list be older."""
    content: Sha512 | None = None
    """SHA-512 of what was signed, where that is known."""


@dataclass(frozen=True, slots=True)
class Admission:
    """A list that may be kept. `is_news` is false when it says, byte for byte, what the newest one says already."""

    is_news: bool
    warning: str | None = None


def demand_named_signer(verified: VerifiedList, listed: ImageList) -> None:
    """Return if the list names the certificate that signed it as its endorser.

    Raises:
        SignerNotNamed: `hv:dn` is not its subject, or `hv:ca` not its issuer.
    """
    for field, named, actual in (
        ("hv:ca", listed.endorser.issuer, verified.issuer),
        ("hv:dn", listed.endorser.subject, verified.signer),
    ):
        if not actual.is_named(named):
            raise SignerNotNamed(field=field, named=named, signed_by=str(actual))


def find_endorser(verified: VerifiedList, endorsers: Iterable[Endorser]) -> Endorser:
    """Return the endorser of this site whose credential signed the list.

    Raises:
        EndorserUnknown: there is none.
    """
    for endorser in endorsers:
        if endorser.owns(verified.signer, verified.issuer):
            return endorser
    raise EndorserUnknown(subject=str(verified.signer), issuer=str(verified.issuer))


def demand_linked(verified: VerifiedList, subscription: Subscription, endorsers: Iterable[Endorser]) -> Endorser:
    """Return the linked endorser that signed the list.

    Raises:
        EndorserNotLinked: the signer belongs to no endorser that is linked to the subscription.
    """
    linked = (endorser for endorser in endorsers if endorser.identifier in subscription.endorsers)
    try:
        return find_endorser(verified, linked)
    except EndorserUnknown as exc:
        raise EndorserNotLinked(
            list_id=subscription.identifier, subject=str(verified.signer), issuer=str(verified.issuer)
        ) from exc


def demand_identifier(subscription: Subscription, listed: ImageList) -> None:
    """Return if this is the list that was subscribed to.

    Raises:
        ListIdentifierChanged: it is another one.
    """
    if listed.identifier != subscription.identifier:
        raise ListIdentifierChanged(list_id=subscription.identifier, offered=listed.identifier)


def compare_with_newest(
    listed: ImageList, digest: Sha512, newest: Newest | None, *, content: Sha512 | None = None
) -> Admission:
    """Return whether the list is news. `digest` is that of the whole message, `content` that of what was signed.

    The same content in another message is no news: it was signed once more, or somebody on the way added a line behind
    the signature. Taken for another list, the genuine one would be refused after it.

    An equal version with other content is taken, with a warning, when it was created later: publishers do that. Any
    other list is taken, with a warning where it is older, when `newest.older_allowed`.

    Raises:
        ListRollback: its version is lower than the newest one's.
        ListReplayed: the same version with other content, created no later.
    """
    is_same = newest is not None and (digest == newest.sha512 or (content is not None and content == newest.content))
    if newest is None or is_same:
        return Admission(is_news=newest is None)
    offered, have = version_key(listed.version), version_key(newest.version)
    if newest.older_allowed and (offered, listed.created) <= (have, newest.created):
        # Escaped here, since a log may be written by a formatter of the operator's, as it comes.
        versions = printable(f"version {listed.version} is taken in place of version {newest.version}")
        return Admission(is_news=True, warning=f"{versions}, as was allowed")
    if offered < have:
        raise ListRollback(list_id=listed.identifier, offered=listed.version, have=newest.version)
    if offered > have:
        return Admission(is_news=True)
    if listed.created <= newest.created:
        raise ListReplayed(
            list_id=listed.identifier,
            version=listed.version,
            created=instant_text(listed.created),
            have_created=instant_text(newest.created),
        )
    return Admission(
        is_news=True,
        warning=f"version {printable(listed.version)} has other content than the one admitted before",
    )


def is_newer(one: Newest, other: Newest) -> bool:
    """Tell whether one admitted list is newer than another: a higher version, or the same one created later."""
    return (version_key(one.version), one.created) > (version_key(other.version), other.created)


def demand_valid_now(listed: ImageList, now: datetime, limit_s: int | None = None) -> None:
    """Return if the list was created in the past (5 minutes of clock skew allowed) and has not expired.

    `limit_s` is how long after its creation this site lets it hold (`validity.limit_of`).

    Raises:
        ListFromTheFuture, ListExpired: as the names say.
        ListPastLimit: it has not expired, but the limit is over.
    """
    if listed.created > now + CLOCK_SKEW:
        raise ListFromTheFuture(list_id=listed.identifier, created=instant_text(listed.created), now=instant_text(now))
    if listed.expires <= now:
        raise ListExpired(list_id=listed.identifier, expired=instant_text(listed.expires), now=instant_text(now))
    over = past_limit(listed, now, limit_s)
    if over is not None:
        raise over


def past_limit(listed: ImageList, now: datetime, limit_s: int | None) -> ListPastLimit | None:
    """Return what to say about a list that holds no longer because of the site's limit alone; else None."""
    end = end_of(listed.expires, listed.created, limit_s)
    if limit_s is None or end > now or listed.expires <= now:
        return None
    return ListPastLimit(
        list_id=listed.identifier,
        created=instant_text(listed.created),
        limit=limit_text(limit_s),
        ended=instant_text(end),
        now=instant_text(now),
    )
