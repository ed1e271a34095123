"""The records of cached image versions: one directory per image, one file per version, the highest number is newest."""

from __future__ import annotations

import contextlib
import os
import re
from typing import TYPE_CHECKING, Final

from vmcatcher.errors import VmcatcherError
from vmcatcher.errors.store import DocumentDamaged
from vmcatcher.model.record import CacheRecord, parse_record, record_document
from vmcatcher.store import documents, files, reading

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmcatcher.model.identity import ImageId
    from vmcatcher.store.layout import Layout

# As `put_record` spells it, so that no two names stand for one number.
_NUMBER: Final = re.compile(r"[1-9][0-9]*")


def cached_images(layout: Layout) -> list[str]:
    """Return the identifiers of all images that have a record, sorted; files of somebody else are none."""
    return reading.directories(layout.cache)


def record_numbers(layout: Layout, image: str) -> list[int]:
    """Return the numbers of the image's records, oldest first."""
    stems = (name.removesuffix(".json") for name in reading.names(layout.records(image)) if name.endswith(".json"))
    return sorted(int(stem) for stem in stems if _NUMBER.fullmatch(stem))


def read_record(layout: Layout, image: str, number: int) -> CacheRecord | None:
    """Return the record of that number of the image, or None where it is gone.

    Raises:
        DocumentDamaged: it cannot be read, or is another image's; guessing could publish or expire the wrong bytes.
    """
    path = os.path.join(layout.records(image), f"{number}.json")
    record = documents.read_document(path, parse_record)
    # A directory that somebody copied must not be taken for one more image with the same records.
    if record is not None and (record.image, record.number) != (image, number):
        raise DocumentDamaged(path=path, why=f"it is the record {record.number} of image {record.image}")
    return record


def newest_record(layout: Layout, image: str) -> CacheRecord | None:
    """Return the newest record of the image, or None. Raises as `read_record`."""
    numbers = record_numbers(layout, image)
    return read_record(layout, image, numbers[-1]) if numbers else None


def image_records(layout: Layout, image: str) -> Iterator[CacheRecord]:
    """Yield every record of the image, oldest first. Raises as `read_record`."""
    for number in record_numbers(layout, image):
        record = read_record(layout, image, number)
        if record is not None:
            yield record


def readable_records(layout: Layout, image: str) -> tuple[list[CacheRecord], list[VmcatcherError]]:
    """Return the records of the image that can be read, oldest first, and why others cannot."""
    return RecordReader(layout).readable(image)


class RecordReader:
    """Reads records for one run, and each of them only once as long as nobody writes it anew."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._known: dict[str, tuple[tuple[int, ...], CacheRecord]] = {}

    def readable(self, image: str) -> tuple[list[CacheRecord], list[VmcatcherError]]:
        """Return the records of the image that can be read, oldest first, and why others cannot."""
        found: list[CacheRecord] = []
        errors: list[VmcatcherError] = []
        for number in record_numbers(self._layout, image):
            try:
                record = self._read(image, number)
            except VmcatcherError as error:
                errors.append(error)
                continue
            if record is not None:
                found.append(record)
        return found, errors

    def _read(self, image: str, number: int) -> CacheRecord | None:
        path = os.path.join(self._layout.records(image), f"{number}.json")
        with contextlib.suppress(OSError):
            status = os.lstat(path)
            # A record is never written in place: one that was put meanwhile is another file.
            mark = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            known = self._known.get(path)
            if known is not None and known[0] == mark:
                return known[1]
            record = read_record(self._layout, image, number)
            if record is not None:
                self._known[path] = (mark, record)
            return record
        return read_record(self._layout, image, number)


def next_number(layout: Layout, image: ImageId) -> int:
    """Return the number that a new version of the image gets."""
    numbers = record_numbers(layout, image)
    return numbers[-1] + 1 if numbers else 1


def put_record(layout: Layout, record: CacheRecord) -> None:
    """Keep the record with what is owed for it (the commit of every step of an image)."""
    files.make_directory(layout.records(record.image))
    documents.put_document(layout.record(record.image, record.number), record_document(record))
