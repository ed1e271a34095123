"""Reading `index.tsv`: what listing images needs to know of a subscription, without the documents it was made from.

A file is taken when it says that it was made from what is there now; else `index.build_index` makes the answer anew.
"""

from __future__ import annotations

import os
import zlib
from datetime import UTC, datetime

from vmcatcher.errors.base import VmcatcherError
from vmcatcher.light import dataclass
from vmcatcher.model.identity import EndorserId, ListId, OneLineName
from vmcatcher.store import reading, snapshots, subscriptions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

    from vmcatcher.model.identity import ImageId, Sha512
    from vmcatcher.store.layout import Layout

HEAD: Final = "#vmcatcher-index"
_FORMAT: Final = [HEAD.encode(), b"1"]
_HEAD_COLUMNS: Final = 4
_ROWS: Final = [HEAD, "#list", "#snapshot", "#signer", "#issuer", "#endorsers"]
NONE: Final = "-"


@dataclass(frozen=True, slots=True)
class IndexedImage:
    """One accepted image of a subscription, as a line of its index."""

    identifier: ImageId
    selected: bool
    sha512: Sha512 | None
    """Digest in the current list; None where the current list does not name the image."""
    valid_until: datetime | None


@dataclass(frozen=True, slots=True)
class Columns:
    """The accepted images of a subscription, column by column and as the file spells them.

    A hundred thousand images as objects would cost a listing more than everything else that it does.
    """

    identifiers: tuple[ImageId, ...] = ()
    selected: tuple[str, ...] = ()
    """`1` or `0`."""
    sha512: tuple[Sha512, ...] = ()
    """`-` where the current list does not name the image."""
    valid_until: tuple[str, ...] = ()
    """Seconds since 1970; `-` likewise."""


@dataclass(frozen=True, slots=True)
class SubscriptionIndex:
    """What listing, selecting and finding images needs to know of one subscription."""

    identifier: ListId
    added: datetime
    endorsers: tuple[EndorserId, ...]
    snapshot: str | None
    expires: datetime | None
    signer: OneLineName | None
    issuer: OneLineName | None
    columns: Columns

    @property
    def images(self) -> tuple[IndexedImage, ...]:
        """The accepted images, in the order of the subscription."""
        columns = self.columns
        lines = zip(columns.identifiers, columns.selected, columns.sha512, columns.valid_until, strict=True)
        return tuple(
            IndexedImage(identifier, selected == "1", None if digest == NONE else digest, instant(until))
            for identifier, selected, digest, until in lines
        )


def columns_of(images: Iterable[IndexedImage]) -> Columns:
    """Return the images as the columns of a file."""
    lines = [(one.identifier, "01"[one.selected], one.sha512 or NONE, stamp(one.valid_until)) for one in images]
    return Columns(*zip(*lines, strict=True)) if lines else Columns()


def stamp(moment: datetime | None) -> str:
    """Return an instant as a column spells it: whole seconds."""
    return NONE if moment is None else str(int(moment.timestamp()))


def instant(text: str) -> datetime | None:
    """Return what a column says about an instant."""
    return None if text == NONE else datetime.fromtimestamp(int(text), UTC)


def is_whole(content: bytes) -> bool:
    """Tell whether the bytes of an index are those that were written."""
    head, _, rest = content.partition(b"\n")
    columns = head.split(b"\t")
    return len(columns) == _HEAD_COLUMNS and columns[:2] == _FORMAT and columns[3] == checksum(rest)


def checksum(rest: bytes) -> bytes:
    """Return what the first line of an index says about the lines behind it."""
    return b"%08x" % zlib.crc32(rest)


def source_of(layout: Layout, list_id: str) -> str:
    """Return what an index says that it was made from: size and time of the decision.

    A copy that changes times makes indexes stale, not wrong.
    """
    found = os.stat(layout.subscription(list_id), follow_symlinks=False)
    return f"{found.st_mtime_ns}:{found.st_size}"


def fresh_index(layout: Layout, list_id: str) -> SubscriptionIndex | None:
    """Return the index from its file if that is there and was made from what is there now, else None."""
    try:
        content = reading.read(layout.index(list_id))
        if not is_whole(content):
            return None
        parsed = _parse(content.decode())
        if parsed is None:
            return None
        index, source = parsed
        if index.identifier != list_id or source != source_of(layout, list_id):
            return None
        newest = snapshots.current_snapshot(layout, list_id)
        if index.snapshot == (newest.name if newest else None):
            return index
    except (OSError, ValueError, IndexError, VmcatcherError):
        # Missing, torn or foreign: the documents it is made from decide.
        return None
    return None


def _parse(text: str) -> tuple[SubscriptionIndex, str] | None:
    *rows, lines = text.split("\n", len(_ROWS))
    head = [row.split("\t") for row in rows]
    if [row[0] for row in head] != _ROWS or (lines and not lines.endswith("\n")):
        return None
    columns = _columns(lines)
    if columns is None:
        return None
    return SubscriptionIndex(
        ListId(head[1][1]),
        datetime.fromisoformat(head[1][2]),
        tuple(map(EndorserId, head[5][1:])),
        None if head[2][1] == NONE else head[2][1],
        instant(head[2][2]),
        _name(head[3]),
        _name(head[4]),
        columns,
    ), head[0][2]


def _name(row: list[str]) -> OneLineName | None:
    return None if len(row) == 1 else OneLineName(row[1], None if row[2] == NONE else row[2])


def _columns(lines: str) -> Columns | None:
    # One cut through the whole text instead of one for each line: a third of the time.
    words = lines.replace("\n", "\t").split("\t")[:-1]
    if len(words) != lines.count("\n") * 4:
        return None
    return Columns(tuple(words[0::4]), tuple(words[1::4]), tuple(words[2::4]), tuple(words[3::4]))  # type: ignore[arg-type]  # what was written there


def read_index(layout: Layout, list_id: str) -> SubscriptionIndex | None:
    """Return the index of a subscription, from its file where that is fresh, else made anew; None where it is gone."""
    index = fresh_index(layout, list_id)
    if index is not None:
        return index
    from vmcatcher.store.index import build_index  # noqa: PLC0415 - it reads image lists, which most queries do without

    subscription = subscriptions.find_subscription(layout, list_id)
    return build_index(layout, subscription)[0] if subscription else None


def all_indexes(layout: Layout) -> tuple[SubscriptionIndex, ...]:
    """Return the indexes of all subscriptions in the order these were made.

    Raises:
        DocumentDamaged, NotOurFile: the document of one cannot be read; leaving it out would set its images free.
    """
    found, failed = readable_indexes(layout)
    for error in failed.values():
        raise error
    return found


def readable_indexes(layout: Layout) -> tuple[tuple[SubscriptionIndex, ...], dict[str, VmcatcherError]]:
    """Return the indexes that can be had, in the order the subscriptions were made, and why others cannot, by name."""
    found: list[SubscriptionIndex] = []
    failed: dict[str, VmcatcherError] = {}
    for name in subscriptions.subscribed(layout):
        try:
            one = read_index(layout, name)
        except VmcatcherError as error:
            failed[name] = error
        else:
            found.extend([one] if one else [])
    return tuple(sorted(found, key=lambda one: (one.added, one.identifier))), failed
