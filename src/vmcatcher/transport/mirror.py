"""Fetch the bytes of a digest from a mirror, over http, https or from a directory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from vmcatcher.errors.answer import Gone, NotFound
from vmcatcher.errors.mirrors import BadMirror, MirrorMissing
from vmcatcher.errors.network import FileMissing
from vmcatcher.transport.access import Access
from vmcatcher.transport.addresses import is_loopback

if TYPE_CHECKING:
    from vmcatcher.model.location import Location
    from vmcatcher.model.mirror import Mirror
    from vmcatcher.transport.access import Tls
    from vmcatcher.transport.results import ImageFetched, Sink
    from vmcatcher.transport.transport import Transport


def mirror_access(mirror: Mirror, tls: Tls, trust_directory: str) -> Access:
    """Return how a mirror is spoken to: with its own user name and password, never with those of a subscription.

    Raises:
        BadMirror: its password would go over the network in the clear.
    """
    base, own = mirror.base, mirror.userinfo
    if own is not None and base.scheme == "http" and not is_loopback(base.host):
        raise BadMirror(mirror=str(mirror), why="its password would go over plain http")
    return Access(
        tls=tls,
        trust_directory=trust_directory,
        username=own.username if own else None,
        password=own.password if own else None,
        origin=base.origin,
        file_images=base.scheme == "file",
    )


def fetch_blob(
    transport: Transport, blob: Location, access: Access, *, size: int, sink: Sink, offset: int
) -> ImageFetched | None:
    """Hand the `size` bytes of a mirror's blob to `sink`, which has the first `offset` of them; None: there is none.

    They go on from `offset` whoever gave the first ones, since a digest has the same bytes everywhere; whether they
    are right only the digest says.

    Raises:
        BodyTooLong, BodyTooShort: what is there has another size, so it is something else.
        MirrorMissing: its directory is not there at all.
        NetworkError and others: as for `Transport.fetch_image`.
    """
    try:
        return transport.fetch_by_digest(blob, access, size=size, sink=sink, offset=offset)
    except (NotFound, Gone):
        return None
    except FileMissing as exc:
        # A mirror that lacks one blob is as good as any; one that is not mounted somebody has to know of.
        root = os.path.dirname(os.path.dirname(blob.file_path))
        if os.path.isdir(root):
            return None
        raise MirrorMissing(path=root) from exc
