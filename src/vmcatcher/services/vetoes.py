"""Vetoes: bytes that nobody here gets, by their digest, whatever list or image identifier carries them."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from vmcatcher.errors import BadDigest, VmcatcherError
from vmcatcher.errors.choosing import NameAmbiguous
from vmcatcher.errors.rules import BadReason, NoDigest, NoSuchVeto
from vmcatcher.model.identity import Sha512, sha512
from vmcatcher.services.choosing import choose_image
from vmcatcher.services.context import Failure
from vmcatcher.services.listing import list_images
from vmcatcher.store import vetoes
from vmcatcher.store.vetoes import Veto

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vmcatcher.services.context import Context
    from vmcatcher.services.listing import ImageLine

_LONGEST_REASON: Final = 500
_SHORTEST_BEGINNING: Final = 12


@dataclass(frozen=True, slots=True)
class Vetoed:
    """A veto as it stands now."""

    veto: Veto
    is_new: bool
    """Whether anything was changed: a veto for the same reason was there already otherwise."""
    images: tuple[ImageLine, ...]
    """The images whose bytes these are in current lists; selected ones leave at the next cache run."""


@dataclass(frozen=True, slots=True)
class VetoListing:
    """Every veto, the oldest first, with the images it is on, and what is wrong with the documents of some."""

    found: tuple[Vetoed, ...]
    failed: tuple[Failure, ...]


def digest_of(context: Context, given: str) -> Sha512:
    """Return the digest that is meant: a SHA-512, or the current one of the image of an identifier or its beginning.

    Raises:
        NameUnknown, NameMisspelled, NameAmbiguous: no image fits, or several do.
        NoDigest: no current list names the image, so which bytes are meant cannot be told.
    """
    try:
        return sha512(given)
    except BadDigest:
        pass
    image = choose_image(context, given).identifier
    digests = {line.sha512 for line in list_images(context).lines if line.image == image}
    found = next((digest for digest in digests if digest is not None), None)
    if found is None:
        raise NoDigest(image=image)
    return found


def veto(context: Context, digest: Sha512, *, reason: str, by: str, dry_run: bool = False) -> Vetoed:
    """Never cache these bytes again; versions that have them leave at the next cache run with the reason `vetoed`.

    Doing it twice changes nothing; another reason takes the place of the first one. With `dry_run` nothing is changed
    and no lock is taken.

    Raises:
        BadReason: the reason is empty, too long, or not on one line.
        StoreHeld: another process has the store for longer than it should.
    """
    reason = _readable(reason)
    wanted = Veto(digest, reason, context.now, by)
    with contextlib.nullcontext() if dry_run else context.lock("store"):
        known = _known(context, digest)
        is_new = known is None or known.reason != reason
        if is_new and not dry_run:
            vetoes.put_veto(context.layout, wanted)
    kept = wanted if is_new or known is None else known
    return Vetoed(kept, is_new, _images_of(list_images(context).lines, digest))


def _known(context: Context, digest: Sha512) -> Veto | None:
    try:
        return vetoes.find_veto(context.layout, digest)
    except VmcatcherError:
        return None  # it counts, and is written anew: a document that cannot be read has no reason to keep


def _readable(reason: str) -> str:
    reason = reason.strip()
    if not reason or not reason.isprintable():
        raise BadReason(why="it is empty" if not reason else "it holds a character that cannot be printed")
    if len(reason) > _LONGEST_REASON:
        raise BadReason(why=f"it has {len(reason)} characters, at most {_LONGEST_REASON} are kept")
    return reason


def unveto(context: Context, given: str) -> Veto:
    """Take a veto back; return what it was. Selected images of those bytes come back at the next cache run.

    `given` is a SHA-512, the beginning of one that has a veto, or an image of the current lists.

    Raises:
        NoSuchVeto: these bytes have none.
        NameUnknown, NameMisspelled, NameAmbiguous, NoDigest: it cannot be told which bytes are meant.
    """
    with context.lock("store"):
        digest = _vetoed_beginning(context, given) or digest_of(context, given)
        known = _known(context, digest) or Veto(digest)
        if not vetoes.drop_veto(context.layout, digest):
            raise NoSuchVeto(selector=given)
    return known


def _vetoed_beginning(context: Context, given: str) -> Sha512 | None:
    if len(given) < _SHORTEST_BEGINNING:
        return None
    found = sorted(one for one in vetoes.vetoed(context.layout) if one.startswith(given.lower()))
    if len(found) > 1:
        raise NameAmbiguous(kind="veto", given=given, candidates=", ".join(found))
    return found[0] if found else None


def list_vetoes(context: Context) -> VetoListing:
    """Return every veto with the images it is on now. Takes no lock."""
    found, failed = vetoes.all_vetoes(context.layout)
    digests = {one.sha512 for one in found}
    lines = [line for line in list_images(context).lines if line.sha512 in digests] if found else []
    return VetoListing(
        tuple(Vetoed(one, is_new=False, images=_images_of(lines, one.sha512)) for one in found),
        tuple(Failure(digest, error) for digest, error in failed.items()),
    )


def _images_of(lines: Iterable[ImageLine], digest: Sha512) -> tuple[ImageLine, ...]:
    return tuple(line for line in lines if line.sha512 == digest)
