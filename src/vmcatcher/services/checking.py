"""Checking cached bytes against the digest of their name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmcatcher.errors.cache import CorruptBytes
from vmcatcher.store import blobs

if TYPE_CHECKING:
    from datetime import timedelta

    from vmcatcher.model.identity import Sha512
    from vmcatcher.model.record import CacheRecord, Fingerprint
    from vmcatcher.services.context import Context


class Checker:
    """Checks the bytes of one run's images; bytes that several images share are read once."""

    def __init__(self, context: Context, *, everything: bool, recheck_after: timedelta) -> None:
        self._context = context
        self._everything = everything
        self._recheck_after = recheck_after
        self._intact: set[Sha512] = set()

    def check(self, record: CacheRecord) -> Fingerprint | None:
        """Return what to remember of a check that was made; None where an earlier one still holds, or no bytes are.

        Raises:
            CorruptBytes: they do not match; it says where in the store they are to be put aside.
            StoreInputOutput: they could not be read, which says nothing about them.
        """
        layout, digest = self._context.layout, record.sha512
        found = blobs.fingerprint(layout, digest, self._context.now)
        if found is None or self._is_checked(record, found):
            return None
        if digest not in self._intact and not self._is_intact(record):
            kept = blobs.place_aside(layout, digest, self._context.now)
            raise CorruptBytes(image=record.image, sha512=digest, kept=kept)
        self._intact.add(digest)
        return found

    def _is_intact(self, record: CacheRecord) -> bool:
        try:
            return blobs.is_intact(self._context.layout, record.sha512, record.size_bytes)
        except FileNotFoundError:
            # It went between the look and the opening; what is missing is fetched again, not corrupt.
            return True

    def _is_checked(self, record: CacheRecord, found: Fingerprint) -> bool:
        if self._everything or record.checked is None:
            return False
        is_recent = self._context.now - record.checked.checked < self._recheck_after
        return is_recent and record.checked.is_same_file(found)
