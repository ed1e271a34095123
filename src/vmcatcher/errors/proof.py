"""Why a proof of an image cannot be made, cannot be read, or does not hold."""

from __future__ import annotations

from vmcatcher.errors.base import MachineError, OperatorError, PublisherError
from vmcatcher.light import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import ClassVar


@dataclass(eq=False)
class ProofRefused(PublisherError):
    """A proof that proves nothing: whoever made it, or passed it on, has to act."""

    id: ClassVar[str] = "proof-refused"
    hint: ClassVar[str] = "ask for the proof again; do not use what came with it"


@dataclass(eq=False)
class NotAProof(ProofRefused):
    """The file is something else than a proof."""

    why: str
    id: ClassVar[str] = "proof-none"
    message: ClassVar[str] = "this is no proof of an image: {why}"
    hint: ClassVar[str] = "vmcatcher image proof makes one; see docs/reference/proof-format.md"


@dataclass(eq=False)
class ProofTooLarge(ProofRefused):
    """The file is larger than any proof."""

    size_bytes: int
    limit_bytes: int
    id: ClassVar[str] = "proof-too-large"
    message: ClassVar[str] = "a proof of {size_bytes} bytes or more, the limit is {limit_bytes}"


@dataclass(eq=False)
class ProofFormatUnknown(ProofRefused):
    """A later version of the program made it."""

    found: str
    id: ClassVar[str] = "proof-format"
    message: ClassVar[str] = "a proof of format {found}, this version of vmcatcher reads format 1"
    hint: ClassVar[str] = "use a version of vmcatcher that is as new as the one that made it"


@dataclass(eq=False)
class ProofAltered(ProofRefused):
    """The bytes are not the ones that were written."""

    id: ClassVar[str] = "proof-altered"
    message: ClassVar[str] = "the proof was altered or damaged: the digest in it is not that of its text"


@dataclass(eq=False)
class ProofMalformed(ProofRefused):
    """A part of the proof is missing, or is something else."""

    part: str
    expected: str
    id: ClassVar[str] = "proof-malformed"
    message: ClassVar[str] = "the part '{part}' of the proof should be {expected}"


@dataclass(eq=False)
class ProofContradicts(ProofRefused):
    """What the proof says beside the signed list is not what follows from it."""

    part: str
    id: ClassVar[str] = "proof-contradicts"
    message: ClassVar[str] = "what the proof says as '{part}' is not what its signed list and certificates say"


@dataclass(eq=False)
class ProofImageNotListed(ProofRefused):
    """The signed list does not name the image."""

    image: str
    list_id: str
    id: ClassVar[str] = "proof-image-not-listed"
    message: ClassVar[str] = "the signed list {list_id} in the proof does not name image {image}"


@dataclass(eq=False)
class ImageNotProved(ProofRefused):
    """The bytes of the image file are not the ones that were endorsed."""

    path: str
    expected: str
    found: str
    id: ClassVar[str] = "image-not-proved"
    message: ClassVar[str] = "{path} is not the image of the proof: {found}, endorsed was {expected}"
    hint: ClassVar[str] = "do not use it; it was damaged on the way, or is another version or another image"


@dataclass(eq=False)
class SignerNotExpected(ProofRefused):
    """Somebody else signed than the one who was expected."""

    expected: str
    signer: str
    id: ClassVar[str] = "proof-signer"
    message: ClassVar[str] = "the list was signed by '{signer}', expected was '{expected}'"
    hint: ClassVar[str] = "any holder of a certificate of a trusted CA can sign a list: find out who that is"


@dataclass(eq=False)
class NotAdmittedYet(ProofRefused):
    """Asked for a time at which the list had not been admitted."""

    at: str
    admitted: str
    id: ClassVar[str] = "proof-before-admission"
    message: ClassVar[str] = "at {at} the list had not been admitted, which was {admitted}"
    hint: ClassVar[str] = "the proof says nothing about that time"


@dataclass(eq=False)
class ImageExpired(ProofRefused):
    """The list still holds, but the image in it does not any more."""

    image: str
    expired: str
    at: str
    id: ClassVar[str] = "proof-image-expired"
    message: ClassVar[str] = "image {image} expired {expired}, judged at {at}"
    hint: ClassVar[str] = "it was endorsed until then"


@dataclass(eq=False)
class ProofImpossible(MachineError):
    """A proof that would not hold elsewhere is not made."""

    image: str
    why: str
    id: ClassVar[str] = "proof-impossible"
    message: ClassVar[str] = "no proof of image {image} can be made: {why}"
    hint: ClassVar[str] = "a proof needs what the list was admitted with: its CAs, their policies and revocation lists"


@dataclass(eq=False)
class InputUnreadable(OperatorError):
    """A file that was named on the command line cannot be read."""

    path: str
    why: str
    id: ClassVar[str] = "input-unreadable"
    message: ClassVar[str] = "cannot read {path}: {why}"


@dataclass(eq=False)
class StdoutTaken(OperatorError):
    """A proof and a JSON document cannot both go to stdout."""

    id: ClassVar[str] = "stdout-taken"
    exit_code: ClassVar[int] = 2
    message: ClassVar[str] = "-o - and --json cannot both go to stdout"
    hint: ClassVar[str] = "write the proof to a file"
