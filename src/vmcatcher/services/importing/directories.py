"""The cache and the expired directory of the classic program: what is in them becomes blobs and records.

A file is taken for what its digest says, never for its name alone. Nothing is told: the cloud has the images already.
What nothing accounts for is named and left alone.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from vmcatcher.errors import BadIdentifier, VmcatcherError
from vmcatcher.errors.importing import FileNotAdopted
from vmcatcher.errors.store import StoreFull
from vmcatcher.model import record as life
from vmcatcher.model.identity import image_id
from vmcatcher.model.plan import Wanted
from vmcatcher.model.record import CacheRecord, State
from vmcatcher.services.importing.index_entries import described, read_index
from vmcatcher.services.passage import new_record
from vmcatcher.store import adoption, blobs, cache, reading, views
from vmcatcher.store.adoption import Found

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmcatcher.model.identity import ImageId
    from vmcatcher.services.importing.promises import Promise, Promises
    from vmcatcher.services.importing.work import Work

# `<image>.<time>`; the classic program wrote local time.
_EXPIRED: Final = re.compile(r"(?P<image>.+)\.(?P<stamp>\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d)(-\d+)?")
_STAMP: Final = "%Y-%m-%d_%H-%M-%S"


class Adoption:
    """Takes the files of the classic directories into the store."""

    def __init__(self, work: Work, promises: Promises, *, move: bool) -> None:
        """`move` puts a link in the place of every file that was taken, so that the directory becomes a view."""
        self._work = work
        self._layout = work.context.layout
        self._promises = promises
        self._move = move
        self._copied_bytes = 0

    def take_cached(self, directory: str) -> None:
        """Take the images of the cache directory: each one that a proved list promises counts as published.

        Also one that the list has replaced or dropped since: the next cache run lets it leave as it should.
        """
        for name in _names(directory):
            image = _identifier(name)
            path = os.path.join(directory, name)
            if image is None or image not in self._promises.images:
                self._leave(path, "no imported subscription knows an image of that name")
            else:
                self._attempt(path, image, "cached", self._take_one_cached)
        self._warn_of_copies(directory)

    def take_expired(self, directory: str) -> None:
        """Take the files of the expired directory, oldest first: they stay expired."""
        entries = read_index(directory)

        def take(image: ImageId, found: Found) -> None:
            self._take_one_expired(image, found, entries.get(os.path.basename(found.path)))

        for name in _names(directory):
            match = _EXPIRED.fullmatch(name)
            image = _identifier(match["image"]) if match else None
            path = os.path.join(directory, name)
            if image is None or _when(name) is None:
                self._leave(path, "that is no name of an expired image")
            else:
                self._attempt(path, image, "expired", take)
        self._warn_of_copies(directory)

    def _attempt(self, path: str, image: ImageId, kind: str, take: Callable[[ImageId, Found], None]) -> None:
        try:
            if os.path.islink(path):
                if views.leads_into(self._layout, path):
                    self._work.tally.count(f"{kind} files there already")
                else:
                    self._leave(path, "it is a link")
                return
            take(image, self._seen(image, path) or adoption.look_at(path))
        except StoreFull:
            # What follows would not fit either; with more space the import goes on from here.
            raise
        except VmcatcherError as error:
            self._work.tally.fail(path, error)

    def _seen(self, image: ImageId, path: str) -> Found | None:
        """Return what an earlier import found: a second name of a blob need not be read again."""
        for record in cache.image_records(self._layout, image):
            if adoption.is_blob(self._layout, path, record.sha512):
                return Found(path, record.sha512, record.size_bytes, os.lstat(path))
        return None

    def _leave(self, path: str, why: str) -> None:
        self._work.tally.warn(f"{path} is left alone: {why}")

    def _take_one_cached(self, image: ImageId, found: Found) -> None:
        promise = self._promises.find(image, found.sha512, found.size_bytes, self._work.owners.get(image))
        if promise is None:
            raise self._unaccounted(image, found)
        records = list(cache.image_records(self._layout, image))
        same = [one for one in records if one.sha512 == found.sha512]
        active = next((one for one in records if one.is_active), None)
        if active is not None and active not in same:
            raise FileNotAdopted(path=found.path, why="the store has another version of this image in the cache")
        if active is None and any(one.published for one in same):
            self._leave(found.path, "the image has left the cache since it was imported")
            return
        self._take_bytes(found, "cached", is_known=active is not None)
        if active is None:
            self._put(found, lambda: self._endorsed(image, found, promise))
        self._hand_over(found)

    def _unaccounted(self, image: ImageId, found: Found) -> FileNotAdopted:
        if image not in self._promises.claims:
            why = f"no proved list promises its bytes for image {image} (SHA-512 {found.sha512})"
        elif not self._promises.is_claimed(image, found.sha512):
            why = f"its bytes are not those that the database has for image {image}"
        else:
            # The bytes prove themselves, so they need not be fetched; that they are endorsed, a list has to say.
            if not self._work.is_dry:
                adoption.adopt(self._layout, found, may_copy=False)
            why = "its list is not proved; import again after vmcatcher_subscribe -U, before the next cache run or sync"
        return FileNotAdopted(path=found.path, why=why)

    def _take_one_expired(self, image: ImageId, found: Found, entry: object) -> None:
        name = os.path.basename(found.path)
        if any(one.expired_name == name for one in cache.image_records(self._layout, image)):
            self._take_bytes(found, "expired", is_known=True)
            self._hand_over(found)
            return
        record = self._expired(image, found, entry)
        if record is None:
            raise FileNotAdopted(path=found.path, why="neither a proved list nor cache.index says what it was")
        self._take_bytes(found, "expired", is_known=False)
        self._put(found, lambda: record)
        self._hand_over(found)

    def _take_bytes(self, found: Found, kind: str, *, is_known: bool) -> None:
        if not self._work.is_dry:
            is_copy = adoption.adopt(self._layout, found, may_copy=True) == "copied"
        else:
            is_there = blobs.has_blob(self._layout, found.sha512, found.size_bytes)
            is_copy = not is_there and not adoption.may_be_linked(self._layout, found.path)
        self._copied_bytes += found.size_bytes if is_copy else 0
        how = "there already" if is_known else "copied" if is_copy else "taken"
        self._work.tally.count(f"{kind} files {how}")

    def _put(self, found: Found, make: Callable[[], CacheRecord]) -> None:
        if self._work.is_dry:
            return
        with self._work.commit():
            record = replace(make(), checked=blobs.fingerprint(self._layout, found.sha512, self._work.context.now))
            cache.put_record(self._layout, record)

    def _hand_over(self, found: Found) -> None:
        if self._move and not self._work.is_dry:
            adoption.hand_over(self._layout, found)

    def _endorsed(self, image: ImageId, found: Found, promise: Promise) -> CacheRecord:
        arrived = min(datetime.fromtimestamp(found.status.st_mtime, UTC), self._work.context.now)
        return life.endorsed(self._begun(image, promise), arrived, None)

    def _begun(self, image: ImageId, promise: Promise) -> CacheRecord:
        listed = promise.listed
        until = min(listed.expires, promise.image.valid_until or listed.expires)
        wanted = Wanted(promise.image, listed.identifier, promise.snapshot, promise.list_sha512, listed.vo, until)
        return new_record(self._work.context, wanted, cache.next_number(self._layout, image))

    def _expired(self, image: ImageId, found: Found, entry: object) -> CacheRecord | None:
        """Return the record of an expired file. Why it left, the classic program never wrote down."""
        name = os.path.basename(found.path)
        left = _when(name) or self._work.context.now
        promise = self._promises.find(image, found.sha512, found.size_bytes, self._work.owners.get(image))
        if promise is not None:
            return life.expired(self._begun(image, promise), left, name, None)
        known = described(entry, image, found.sha512)
        if known is None:
            return None
        return CacheRecord(
            image=image,
            number=cache.next_number(self._layout, image),
            list_id=known.list_id,
            snapshot="",
            list_sha512=known.list_sha512,
            sha512=found.sha512,
            size_bytes=found.size_bytes,
            uri=known.uri,
            state=State.EXPIRED,
            since=left,
            vo=known.vo,
            fields=known.fields,
            expired=left,
            expired_name=name,
        )

    def _warn_of_copies(self, directory: str) -> None:
        if not self._copied_bytes:
            return
        said = "would be copied" if self._work.is_dry else "were copied"
        keep = (
            "" if self._move else "; the files stay, and the directory can be a view only after an import with --move"
        )
        self._work.tally.warn(
            f"{self._copied_bytes} bytes {said} from {directory}, which is on another file system than the store's "
            f"blobs or belongs to another user{keep}"
        )
        self._copied_bytes = 0


def _names(directory: str) -> list[str]:
    """Return the names of what may be an image file, sorted; of one image's versions the oldest first."""
    names = (name for name in reading.names(directory) if name != views.INDEX)
    return [name for name in names if not os.path.isdir(os.path.join(directory, name))]


def _identifier(name: str) -> ImageId | None:
    try:
        return image_id(name)
    except BadIdentifier:
        return None


def _when(name: str) -> datetime | None:
    match = _EXPIRED.fullmatch(name)
    try:
        local = datetime.strptime(match["stamp"], _STAMP) if match else None  # noqa: DTZ007 - local time is meant
        return local.astimezone(UTC) if local else None
    except (ValueError, OverflowError):
        return None
