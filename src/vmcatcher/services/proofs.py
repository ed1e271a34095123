"""Making the proof of an image: everything that somebody elsewhere needs to check that it was endorsed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vmcatcher.errors import VmcatcherError
from vmcatcher.errors.history import NotEndorsedVersion
from vmcatcher.errors.proof import ProofImpossible, ProofTooLarge
from vmcatcher.errors.requests import NoSuchImage
from vmcatcher.model import identity
from vmcatcher.model.proof import LARGEST_BYTES, Authority, Proof, proof_bytes
from vmcatcher.services.admitted import AdmittedList, DamagedList, newest_first
from vmcatcher.services.context import Failure
from vmcatcher.services.image_history import lists_naming
from vmcatcher.services.proof_check import hold_together
from vmcatcher.store import cache, snapshots
from vmcatcher.store.proof_parts import read_proof_parts
from vmcatcher.trust.held_anchors import policies_of, subject_of

if TYPE_CHECKING:
    from vmcatcher.model.identity import ImageId
    from vmcatcher.model.image import Image
    from vmcatcher.services.context import Context
    from vmcatcher.trust.anchors import TrustAnchors
    from vmcatcher.trust.rules import TrustRules


@dataclass(frozen=True, slots=True)
class ProofRequest:
    """Which image, and which of its versions: the newest that is kept unless one of these says otherwise."""

    image: str
    version: str | None = None
    """`hv:version` of the image."""
    sha512: str | None = None
    """Its digest, or how that begins."""

    def wants(self, image: Image) -> bool:
        """Tell whether an image of a list is the one, in the version that is asked for."""
        is_version = self.version is None or image.version == self.version
        return image.identifier == self.image and is_version and image.sha512.startswith((self.sha512 or "").lower())


@dataclass(frozen=True, slots=True)
class MadeProof:
    """A proof, which list it is made of, and the lists that could not be looked into for a newer one."""

    content: bytes
    """The bytes of the file: the same ones for the same state of the store and the same policies."""
    image: Image
    admitted: AdmittedList
    failed: tuple[Failure, ...]


def make_proof(context: Context, anchors: TrustAnchors, rules: TrustRules, request: ProofRequest) -> MadeProof:
    """Return the proof of an image as the newest kept list endorses it, also where it has expired or left since.

    List, chain and CRLs are those of the admission; the policies of the CAs are those that `anchors` have now. A proof
    that would not hold elsewhere is not made.

    Raises:
        NoSuchImage, NotEndorsedVersion: no list that is kept names the image, or that version of it.
        ProofImpossible: what the list was admitted with does not prove it.
    """
    try:
        wanted = identity.image_id(request.image)
    except VmcatcherError as exc:
        raise NoSuchImage(image=request.image) from exc
    admitted, image, failed = _find(context, wanted, request)
    try:
        proof = _proof(anchors, admitted, wanted)
        content = proof_bytes(proof, admitted.listed)
        if len(content) > LARGEST_BYTES:
            raise ProofTooLarge(size_bytes=len(content), limit_bytes=LARGEST_BYTES)
        hold_together(content, rules)
    except VmcatcherError as exc:
        raise ProofImpossible(image=wanted, why=str(exc)) from exc
    return MadeProof(content, image, admitted, failed)


def _find(context: Context, wanted: ImageId, request: ProofRequest) -> tuple[AdmittedList, Image, tuple[Failure, ...]]:
    found: list[tuple[AdmittedList, Image]] = []
    failed: list[Failure] = []
    records, _ = cache.readable_records(context.layout, wanted)
    for list_id in lists_naming(context, wanted, records):
        for one in newest_first(context, list_id):
            if isinstance(one, DamagedList):
                failed.append(Failure(list_id, one.error))
                continue
            image = next(filter(request.wants, one.listed.images), None)
            if image is not None:
                found.append((one, image))
                break
    if found:
        admitted, image = max(found, key=lambda pair: pair[0].admitted)
        return admitted, image, tuple(failed)
    for failure in failed:
        raise failure.error
    if request.version is None and request.sha512 is None:
        raise NoSuchImage(image=wanted)
    asked = [f"version '{request.version}'"] if request.version is not None else []
    asked += [f"digest {request.sha512}"] if request.sha512 is not None else []
    raise NotEndorsedVersion(image=wanted, wanted=" and ".join(asked))


def _proof(anchors: TrustAnchors, admitted: AdmittedList, image: ImageId) -> Proof:
    parts = read_proof_parts(admitted.snapshot)
    if not parts.chain:
        raise ProofImpossible(image=image, why="no chain of certificates was kept with its list")
    # A CA that signs lists itself, where the rules let it, is its own anchor.
    chain = parts.chain[1:] or parts.chain
    return Proof(
        image=image,
        signed=snapshots.read_signed(admitted.snapshot),
        admitted=admitted.admitted,
        verified=parts.verified,
        signer=parts.chain[0],
        subject=str(admitted.signer),
        issuer=str(admitted.issuer),
        authorities=tuple(
            Authority(der, subject_of(der), policies)
            for der, policies in zip(chain, policies_of(anchors, chain), strict=True)
        ),
        crls=parts.crls,
    )
