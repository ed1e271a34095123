"""Bytes that the operator never wants, by digest."""

from __future__ import annotations

from vmcatcher.errors import BadDigest
from vmcatcher.model.identity import Sha512, sha512
from vmcatcher.store import reading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vmcatcher.store.layout import Layout


def vetoed(layout: Layout) -> frozenset[Sha512]:
    """Return the digests with a veto: the names of the files count, whatever is in them."""
    found = set()
    for name in reading.names(layout.vetoes):
        try:
            found.add(sha512(name.removesuffix(".json")))
        except BadDigest:
            continue
    return frozenset(found)
