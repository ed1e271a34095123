"""What is in the cache, what left it, and what could not be had: the records, as a list shows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vmcatcher.model.record import CacheRecord, State
from vmcatcher.services.context import Failure
from vmcatcher.store import blobs, cache

if TYPE_CHECKING:
    from collections.abc import Collection

    from vmcatcher.services.context import Context


@dataclass(frozen=True, slots=True)
class CachedVersion:
    """One version of an image, and whether its bytes are there."""

    record: CacheRecord
    has_bytes: bool


@dataclass(frozen=True, slots=True)
class CacheContents:
    """The versions of the states that were asked for, and the records that cannot be read."""

    versions: tuple[CachedVersion, ...]
    failed: tuple[Failure, ...]


def cache_contents(context: Context, states: Collection[State]) -> CacheContents:
    """Return the versions in these states, by image, oldest first."""
    found: list[CachedVersion] = []
    failed: list[Failure] = []
    for image in cache.cached_images(context.layout):
        records, errors = cache.readable_records(context.layout, image)
        failed += [Failure(image, error) for error in errors]
        found += [
            CachedVersion(one, blobs.has_blob(context.layout, one.sha512, one.size_bytes))
            for one in records
            if one.state in states
        ]
    return CacheContents(tuple(found), tuple(failed))
