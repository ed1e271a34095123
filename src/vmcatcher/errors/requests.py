"""Requests that name something that is not there, or that contradict what is."""

from __future__ import annotations

from vmcatcher.errors.base import OperatorError
from vmcatcher.light import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import ClassVar


@dataclass(eq=False)
class NoSuchEndorser(OperatorError):
    """There is no endorser of that identifier."""

    endorser: str
    id: ClassVar[str] = "no-such-endorser"
    message: ClassVar[str] = "endorser '{endorser}' not found"
    hint: ClassVar[str] = "`vmcatcher endorser list` (vmcatcher_endorser -l) lists them"


@dataclass(eq=False)
class NoSuchSubscription(OperatorError):
    """There is no subscription of that identifier or URI."""

    subscription: str
    id: ClassVar[str] = "no-such-subscription"
    message: ClassVar[str] = "'{subscription}' does not match any known subscription"
    hint: ClassVar[str] = "`vmcatcher subscription list` (vmcatcher_subscribe -l) lists them"


@dataclass(eq=False)
class NothingAdmitted(OperatorError):
    """No list of that identifier was ever admitted, so there is none that another one could be older than."""

    list_id: str
    id: ClassVar[str] = "nothing-admitted"
    message: ClassVar[str] = "no list '{list_id}' was ever admitted here"
    hint: ClassVar[str] = "`vmcatcher subscription list` (vmcatcher_subscribe -l) shows the identifiers of the lists"


@dataclass(eq=False)
class NoSuchImage(OperatorError):
    """There is no image of that identifier or SHA-512."""

    image: str
    id: ClassVar[str] = "no-such-image"
    message: ClassVar[str] = "'{image}' does not match any known image"
    hint: ClassVar[str] = "`vmcatcher image list` (vmcatcher_image -l) lists them"


@dataclass(eq=False)
class CredentialTaken(OperatorError):
    """Another endorser has that credential already; whose signature it is would be a guess."""

    subject: str
    issuer: str
    owner: str
    id: ClassVar[str] = "credential-taken"
    classic_exit: ClassVar[int] = 12
    message: ClassVar[str] = "'{subject}' issued by '{issuer}' is a credential of endorser '{owner}' already"
    hint: ClassVar[str] = "use that endorser, or delete it first"


@dataclass(eq=False)
class UnevenCredentials(OperatorError):
    """Subjects and issuers do not pair up."""

    subjects: int
    issuers: int
    id: ClassVar[str] = "uneven-credentials"
    classic_exit: ClassVar[int] = 12
    message: ClassVar[str] = "{subjects} subjects and {issuers} issuers do not pair up"
    hint: ClassVar[str] = "give one issuer for all subjects, or one for each"


@dataclass(eq=False)
class BadCredential(OperatorError):
    """A certificate's name that no certificate has: it is empty, or cannot be printed."""

    kind: str
    value: str
    id: ClassVar[str] = "bad-credential"
    message: ClassVar[str] = "the {kind} '{value}' cannot be a certificate's name"
    hint: ClassVar[str] = "give it in printable characters, such as /DC=org/DC=grid/CN=Somebody"


@dataclass(eq=False)
class AlreadyLinked(OperatorError):
    """The endorser was linked to the subscription before."""

    endorser: str
    subscription: str
    id: ClassVar[str] = "already-linked"
    message: ClassVar[str] = "endorser '{endorser}' and subscription '{subscription}' are linked already"


@dataclass(eq=False)
class NotLinked(OperatorError):
    """The endorser was not linked to the subscription."""

    endorser: str
    subscription: str
    id: ClassVar[str] = "not-linked"
    message: ClassVar[str] = "endorser '{endorser}' and subscription '{subscription}' are not linked"


@dataclass(eq=False)
class ImageOfAnotherList(OperatorError):
    """The image is not one of the subscription's list, or another subscription owns it."""

    image: str
    list_id: str
    why: str
    id: ClassVar[str] = "image-of-another-list"
    message: ClassVar[str] = "image '{image}' cannot be accepted for subscription {list_id}: {why}"


@dataclass(eq=False)
class NoListYet(OperatorError):
    """The subscription has not been updated since it was made."""

    list_id: str
    id: ClassVar[str] = "no-list-yet"
    message: ClassVar[str] = "subscription '{list_id}' has no image list yet"
    hint: ClassVar[str] = "run `vmcatcher sync` (vmcatcher_subscribe -U)"


@dataclass(eq=False)
class DirectoryGone(OperatorError):
    """The working directory was removed, and a path that was given begins there."""

    id: ClassVar[str] = "directory-gone"
    message: ClassVar[str] = "the directory that this command was started in is gone"
    hint: ClassVar[str] = "go to one that is there, or give paths that begin with /"


@dataclass(eq=False)
class BadPassword(OperatorError):
    """A password or user name that cannot be sent."""

    why: str
    id: ClassVar[str] = "bad-password"
    message: ClassVar[str] = "the user name or password cannot be used: {why}"


@dataclass(eq=False)
class OutputUnwritable(OperatorError):
    """A file that results should go to cannot be written."""

    path: str
    why: str
    id: ClassVar[str] = "output-unwritable"
    message: ClassVar[str] = "cannot write output file {path}: {why}"
