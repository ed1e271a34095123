"""Checking the proof of an image, without a store: what holds of it, by whose authority, and when."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Final, Literal

from vmcatcher.errors import VmcatcherError
from vmcatcher.errors.proof import (
    ImageExpired,
    ImageNotProved,
    NotAdmittedYet,
    ProofContradicts,
    SignerNotExpected,
)
from vmcatcher.model import admission
from vmcatcher.model.imagelist import parse_image_list
from vmcatcher.model.instant import instant_text
from vmcatcher.model.proof import LARGEST_BYTES, Authority, first_difference, named_image, parse_proof, proof_bytes
from vmcatcher.services.progress import Progress, Silence
from vmcatcher.store.outside import digest_outside, read_outside
from vmcatcher.trust.held_anchors import held_anchors, subject_of, with_crls
from vmcatcher.trust.verify import judge, verify

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmcatcher.model.image import Image
    from vmcatcher.model.imagelist import ImageList
    from vmcatcher.model.proof import Proof
    from vmcatcher.model.verified import VerifiedList
    from vmcatcher.trust.anchors import TrustAnchors
    from vmcatcher.trust.rules import TrustRules

Question = Literal["trusted-then", "endorsed", "signer", "image"]
_SHORT: Final = 16


@dataclass(frozen=True, slots=True)
class Held:
    """A proof that is consistent in itself: its parts fit together, and what it says is what its list says."""

    proof: Proof
    verified: VerifiedList
    listed: ImageList
    image: Image


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer to one question about a proof."""

    question: Question
    refusal: VmcatcherError | None
    """Why not; None where it holds."""
    notes: tuple[str, ...] = ()
    """What to know although it holds."""


@dataclass(frozen=True, slots=True)
class ProofQuestions:
    """What is asked of a proof besides being consistent."""

    at: datetime | None
    """Whether the image is endorsed at this instant; None asks about the admission alone."""
    own: TrustAnchors | None = None
    """The CAs that the one who asks trusts; without them the proof's own are taken, which proves nothing by itself."""
    signer: str | None = None
    """The one-line name of who has to have signed."""
    image_file: str | None = None
    """A file that has to be the image."""
    progress: Progress = field(default_factory=Silence)


@dataclass(frozen=True, slots=True)
class ProofReport:
    """What was found about a consistent proof."""

    held: Held
    is_own_anchor: bool
    """Whether it was judged by the CAs of the one who asks, and not by its own."""
    at: datetime
    findings: tuple[Finding, ...]

    @property
    def refusals(self) -> tuple[VmcatcherError, ...]:
        """What does not hold; empty where all that was asked does."""
        return tuple(one.refusal for one in self.findings if one.refusal is not None)


def read_proof(path: str) -> bytes:
    """Return the bytes of a proof file, of which no more than the largest that there may be are read.

    Raises:
        InputUnreadable: it is not there, or cannot be read.
    """
    return read_outside(path, limit_bytes=LARGEST_BYTES)


def hold_together(content: bytes, rules: TrustRules) -> Held:
    """Return a proof whose parts fit together: it was whole at admission, by its own CAs, policies and CRLs.

    The whole file is made again from the signed list and the certificates that its signature really leads to, so
    nothing is in it that does not follow from them, but the two instants and the text of the policies.

    Raises:
        ProofRefused: it is no proof, was altered, or contradicts itself.
        ListUntrusted: its signature, chain, policies or CRLs do not hold at the time of its admission.
        ListRefused and others: its signed list is none, or did not hold at that time.
    """
    proof = parse_proof(content)
    if proof.verified < proof.admitted - admission.CLOCK_SKEW:
        raise ProofContradicts(part="verified")
    verified = verify(proof.signed, held_anchors(proof.authorities, proof.crls), proof.verified, rules)
    listed = parse_image_list(verified.content).imagelist
    admission.demand_named_signer(verified, listed)
    image = named_image(proof, listed)
    rebuilt = proof_bytes(_from_signed(proof, verified), listed)
    if rebuilt != content:
        raise ProofContradicts(part=first_difference(content, rebuilt))
    _demand_endorsed(listed, image, proof.admitted)
    return Held(proof, verified, listed, image)


def _from_signed(proof: Proof, verified: VerifiedList) -> Proof:
    """Return the proof with everything that follows from its signatures in place of what it says."""
    policies = {one.certificate: one.policies for one in proof.authorities}
    chain = verified.chain[1:] or verified.chain
    return replace(
        proof,
        signer=verified.chain[0],
        subject=str(verified.signer),
        issuer=str(verified.issuer),
        authorities=tuple(Authority(der, subject_of(der), policies[der]) for der in chain),
        crls=verified.crls,
    )


def _demand_endorsed(listed: ImageList, image: Image, at: datetime) -> None:
    admission.demand_valid_now(listed, at)
    if image.valid_until is not None and image.valid_until <= at:
        raise ImageExpired(image=image.identifier, expired=instant_text(image.valid_until), at=instant_text(at))


def check_proof(content: bytes, rules: TrustRules, questions: ProofQuestions) -> ProofReport:
    """Return what holds of a proof. Each question has its own answer; one that is no does not keep others from it.

    Raises:
        VmcatcherError: as `hold_together`: then nothing in it means anything.
    """
    held = hold_together(content, rules)
    proof, own = held.proof, questions.own
    at = proof.admitted if questions.at is None else questions.at
    findings: list[Finding] = []
    if own is not None:
        # Those CRLs answered for that time; whether one of today revokes the signer is the next question.
        then = with_crls(own, proof.crls)
        findings.append(_asked("trusted-then", lambda: verify(proof.signed, then, proof.verified, rules).warnings))
    anchors = own or held_anchors(proof.authorities, proof.crls)
    findings.append(_asked("endorsed", lambda: _endorsed(held, anchors, rules, at)))
    signer, image_file = questions.signer, questions.image_file
    if signer is not None:
        findings.append(_asked("signer", lambda: _demand_signer(held, signer)))
    if image_file is not None:
        findings.append(_asked("image", lambda: _demand_bytes(held.image, image_file, questions.progress)))
    return ProofReport(held, own is not None, at, tuple(findings))


def _asked(question: Question, ask: Callable[[], tuple[str, ...]]) -> Finding:
    try:
        return Finding(question, None, ask())
    except VmcatcherError as refusal:
        return Finding(question, refusal)


def _endorsed(held: Held, anchors: TrustAnchors, rules: TrustRules, at: datetime) -> tuple[str, ...]:
    """Return what to know although the image is endorsed: as a site that admitted the list then would judge it."""
    admitted = held.proof.admitted
    if at < admitted:
        raise NotAdmittedYet(at=instant_text(at), admitted=instant_text(admitted))
    _demand_endorsed(held.listed, held.image, at)
    return judge(held.proof.signed, anchors, admitted=admitted, now=at, rules=rules).warnings


def _demand_signer(held: Held, expected: str) -> tuple[str, ...]:
    if not held.verified.signer.is_named(expected):
        raise SignerNotExpected(expected=expected, signer=str(held.verified.signer))
    return ()


def _demand_bytes(image: Image, path: str, progress: Progress) -> tuple[str, ...]:
    progress.begin("check", path, image.size_bytes)
    size, digest = digest_outside(path, most_bytes=image.size_bytes, seen=lambda count: progress.advance(path, count))
    progress.end(path, is_done=digest == image.sha512)
    if size != image.size_bytes:
        found = f"{size} bytes" if size < image.size_bytes else f"more than {image.size_bytes} bytes"
        raise ImageNotProved(path=path, expected=f"{image.size_bytes} bytes", found=found)
    if digest != image.sha512:
        raise ImageNotProved(path=path, expected=f"SHA-512 {image.sha512}", found=f"SHA-512 {digest}")
    return ()
