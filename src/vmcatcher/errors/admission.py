"""Why a correctly signed list is not taken all the same; classic exit codes as the update command documents them."""

from __future__ import annotations

from typing import ClassVar

from vmcatcher.errors.base import OperatorError, PublisherError
from vmcatcher.light import dataclass


@dataclass(eq=False)
class SignerNotNamed(PublisherError):
    """The list names somebody else as its endorser than the certificate that signed it."""

    field: str
    named: str
    signed_by: str
    id: ClassVar[str] = "signer-not-named"
    classic_exit: ClassVar[int] = 12
    message: ClassVar[str] = "{field} of the list is '{named}', but it was signed by '{signed_by}'"
    hint: ClassVar[str] = "ask the endorser to sign with the certificate that the list names"


@dataclass(eq=False)
class EndorserUnknown(OperatorError):
    """No endorser of this site has the credential that signed the list."""

    subject: str
    issuer: str
    id: ClassVar[str] = "endorser-unknown"
    message: ClassVar[str] = "no endorser here has the credential '{subject}' issued by '{issuer}'"
    hint: ClassVar[str] = (
        "if you trust that endorser, add it with `vmcatcher endorser add` (vmcatcher_endorser -C), "
        "or subscribe with --auto-endorse"
    )


@dataclass(eq=False)
class EndorserNotLinked(OperatorError):
    """The signer is trusted by its CA, but not by the operator for this subscription."""

    list_id: str
    subject: str
    issuer: str
    id: ClassVar[str] = "endorser-not-linked"
    classic_exit: ClassVar[int] = 13
    message: ClassVar[str] = "'{subject}' issued by '{issuer}' is no endorser of subscription {list_id}"
    hint: ClassVar[str] = (
        "if it should be, link it with `vmcatcher endorser link ENDORSER {list_id}` "
        "(vmcatcher_endorser -k -e ENDORSER -s {list_id})"
    )


@dataclass(eq=False)
class ListIdentifierChanged(PublisherError):
    """Another list is served where the subscribed one was."""

    list_id: str
    offered: str
    id: ClassVar[str] = "list-identifier-changed"
    classic_exit: ClassVar[int] = 31
    message: ClassVar[str] = "subscription {list_id} was offered a list with the identifier {offered}"
    hint: ClassVar[str] = "ask the endorser; a different list needs a subscription of its own"


@dataclass(eq=False)
class ListFromTheFuture(PublisherError):
    """The list says that it was created later than now."""

    list_id: str
    created: str
    now: str
    id: ClassVar[str] = "list-from-the-future"
    classic_exit: ClassVar[int] = 33
    message: ClassVar[str] = "list {list_id} was created {created}, which is after now, {now}"
    hint: ClassVar[str] = "check the clock of this machine, then ask the endorser"


@dataclass(eq=False)
class ListExpired(PublisherError):
    """The list does not hold any more."""

    list_id: str
    expired: str
    now: str
    id: ClassVar[str] = "list-expired"
    classic_exit: ClassVar[int] = 34
    message: ClassVar[str] = "list {list_id} expired {expired}, now is {now}"
    hint: ClassVar[str] = "ask the endorser for a new list; until then its images are not available"


@dataclass(eq=False)
class ListPastLimit(PublisherError):
    """The list is older than this site lets a list become, whatever it says itself."""

    list_id: str
    created: str
    limit: str
    ended: str
    now: str
    id: ClassVar[str] = "list-past-limit"
    classic_exit: ClassVar[int] = 34
    message: ClassVar[str] = "list {list_id} was created {created}, your limit of {limit} ended {ended}, now is {now}"
    hint: ClassVar[str] = (
        "ask the endorser for a new list, or allow more with vmcatcher subscription set {list_id} --max-validity TIME"
    )


@dataclass(eq=False)
class ListRollback(PublisherError):
    """A list older than the newest one ever admitted."""

    list_id: str
    offered: str
    have: str
    id: ClassVar[str] = "list-rollback"
    classic_exit: ClassVar[int] = 17
    message: ClassVar[str] = "list {list_id}: offered version {offered} is lower than version {have}, admitted before"
    hint: ClassVar[str] = "an old list may hide a withdrawal: ask the endorser why it is served"


@dataclass(eq=False)
class ListReplayed(PublisherError):
    """The version that was admitted, with other content that is not newer."""

    list_id: str
    version: str
    created: str
    have_created: str
    id: ClassVar[str] = "list-replayed"
    classic_exit: ClassVar[int] = 16
    message: ClassVar[str] = (
        "list {list_id}: version {version} was offered with other content, created {created}, "
        "not after the admitted one, created {have_created}"
    )
    hint: ClassVar[str] = "ask the endorser for a list with a higher version"


@dataclass(eq=False)
class ImagesUndecided(OperatorError):
    """The list names images that the subscription's policy does not accept by itself."""

    list_id: str
    images: str
    id: ClassVar[str] = "images-undecided"
    classic_exit: ClassVar[int] = 32
    message: ClassVar[str] = "list {list_id} names images that are not accepted: {images}"
    hint: ClassVar[str] = (
        "decide with `vmcatcher subscription accept {list_id} IMAGE` or `refuse`, or for all with "
        "`vmcatcher subscription set {list_id} --new-images accept` "
        "(vmcatcher_subscribe -u {list_id} with --image-accept, --image-refuse or --imagelist-newimage-accept)"
    )


@dataclass(eq=False)
class ImagesOwnedElsewhere(PublisherError):
    """The list names images that another subscription accepted first."""

    list_id: str
    images: str
    owners: str
    id: ClassVar[str] = "images-owned-elsewhere"
    classic_exit: ClassVar[int] = 36
    message: ClassVar[str] = "list {list_id} names images that belong to subscription {owners}: {images}; left out"
    hint: ClassVar[str] = "two lists must not share identifiers: ask the endorsers"
