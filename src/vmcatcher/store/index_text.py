"""The text of `index.tsv`: how the images of a subscription are spelled there, and reading it back.

    #vmcatcher-index  2  SOURCE  LENGTH  CHECKSUM      what it was made from; the lines below, but the last one
    #list       ID  TIME  LIMIT                        when the subscription was made; how long its lists may hold
    #snapshot   NAME  UNTIL  CREATED                   the current list
    #signer     ESCAPED  PLAIN                         and #issuer
    #endorsers  ID …
    SELECTED  UNTIL  ID ID …                           images that follow each other and have that in common
    #sha512     CHECKSUM  DIGEST DIGEST …              one for each image

Columns are separated by tabs, words in a column by spaces. A listing takes one line for many images, and never reads
the last one, which is most of the file.
"""

from __future__ import annotations

import zlib
from datetime import UTC, datetime
from functools import lru_cache

from vmcatcher.light import dataclass
from vmcatcher.model.identity import EndorserId, ListId, OneLineName
from vmcatcher.model.instant import precise_text
from vmcatcher.model.validity import end_of, limit_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

    from vmcatcher.model.identity import ImageId, Sha512

_MARK: Final = [b"#vmcatcher-index", b"2"]
_HEAD_COLUMNS: Final = 5
_HEAD_ROWS: Final = 5
_DIGESTS: Final = b"#sha512"
_SELECTED: Final = (b"0", b"1")
_SPACE: Final = ord(" ")
_NONE: Final = "-"
# For who signed what: a thousand lists have a few signers, and each of them is read once.
_PEOPLE: Final = 256


class IndexUnfit(ValueError):
    """The bytes are no index, not whole, or of another version of the program."""


@dataclass(frozen=True, slots=True)
class IndexedImage:
    """One accepted image of a subscription."""

    identifier: ImageId
    selected: bool
    sha512: Sha512 | None
    """Digest in the current list; None where the current list does not name the image."""
    valid_until: datetime | None


@dataclass(frozen=True, slots=True)
class Run:
    """Accepted images that follow each other and have everything in common that their state depends on.

    Their names stay one text: a hundred thousand images as objects, or only as words, would cost a listing more than
    everything else that it does.
    """

    selected: bool
    valid_until: datetime | None
    """None where the current list does not name them."""
    names: bytes
    """Their identifiers, with a space between each two."""

    @property
    def identifiers(self) -> list[ImageId]:
        """The identifiers one by one."""
        return identifiers_of(self.names)


@dataclass(frozen=True, slots=True)
class SubscriptionStates:
    """What listing images needs to know of one subscription."""

    identifier: ListId
    added: datetime
    endorsers: tuple[EndorserId, ...]
    snapshot: str | None
    expires: datetime | None
    """As signed; `end` is what counts."""
    created: datetime | None
    max_validity_s: int | None
    """The subscription's own limit, as its document has it."""
    signer: OneLineName | None
    issuer: OneLineName | None
    runs: tuple[Run, ...]

    def end(self, everywhere_s: int | None) -> datetime | None:
        """Return when the current list ends, with the limit of the settings where the subscription has none."""
        if self.expires is None or self.created is None:
            return None
        return end_of(self.expires, self.created, limit_of(self.max_validity_s, everywhere_s))


_FIELDS: Final = SubscriptionStates.__match_args__


@dataclass(frozen=True, slots=True)
class SubscriptionIndex(SubscriptionStates):
    """What listing, selecting and finding images needs to know of one subscription."""

    digests: bytes
    """The SHA-512 of every image in the order of the runs, a space between each two; `-` where none is known."""

    @property
    def images(self) -> tuple[IndexedImage, ...]:
        """The accepted images, in the order of the subscription."""
        each = ((one, run.selected, run.valid_until) for run in self.runs for one in run.identifiers)
        return tuple(
            IndexedImage(identifier, selected, digest, until)
            for (identifier, selected, until), digest in zip(each, digests_of(self.digests), strict=True)
        )


def identifiers_of(names: bytes) -> list[ImageId]:
    """Return the identifiers of a run one by one."""
    return names.decode().split(" ")  # type: ignore[return-value]  # what was written there


def digests_of(column: bytes) -> list[Sha512 | None]:
    """Return the digests of a column one by one."""
    words = column.decode().split(" ") if column else []
    return [None if word == _NONE else word for word in words]  # type: ignore[misc]  # what was written there


def runs_of(images: Iterable[IndexedImage]) -> tuple[tuple[Run, ...], bytes]:
    """Return the images as runs, and their digests as a column."""
    runs: list[tuple[bool, datetime | None, list[str]]] = []
    digests: list[str] = []
    for one in images:
        if not runs or runs[-1][:2] != (one.selected, one.valid_until):
            runs.append((one.selected, one.valid_until, []))
        runs[-1][2].append(one.identifier)
        digests.append(one.sha512 or _NONE)
    made = (Run(selected, until, " ".join(names).encode()) for selected, until, names in runs)
    return tuple(made), " ".join(digests).encode()


def whole_seconds(moment: datetime | None) -> datetime | None:
    """Return an instant as it is read back."""
    return _instant(_stamp(moment))


def spell_index(index: SubscriptionIndex, source: str) -> bytes:
    """Return the bytes of an index; `source` says what it was made from."""
    # No value can hold a tab or a line break: identifiers are printable, names escape what is not ASCII.
    lines = (
        ("#list", index.identifier, precise_text(index.added), _number(index.max_validity_s)),
        ("#snapshot", index.snapshot or _NONE, _stamp(index.expires), _stamp(index.created)),
        ("#signer", *_name_words(index.signer)),
        ("#issuer", *_name_words(index.issuer)),
        ("#endorsers", *index.endorsers),
        *(("01"[run.selected], _stamp(run.valid_until), run.names.decode()) for run in index.runs),
    )
    rows = "".join("\t".join(words) + "\n" for words in lines).encode()
    head = b"\t".join((*_MARK, source.encode(), str(len(rows)).encode(), _checksum(rows)))
    return b"%b\n%b%b\t%b\t%b\n" % (head, rows, _DIGESTS, _checksum(index.digests), index.digests)


def states_end(beginning: bytes) -> int:
    """Return how many of the bytes of an index the states are in, from some at its beginning.

    Raises:
        IndexUnfit, ValueError: it is no index as this version of the program writes it.
    """
    head, _, _ = beginning.partition(b"\n")
    return len(head) + 1 + int(_head_words(head)[3])


def parse_states(content: bytes) -> tuple[SubscriptionStates, str]:
    """Return what the beginning of an index says, and what it was made from. The digests need not be there.

    Raises:
        IndexUnfit, ValueError, OverflowError: it is none, or not as it was written.
    """
    rows, source = _rows(content)
    own, current, signer, issuer, endorsers, lines = rows.split(b"\n", _HEAD_ROWS)
    _, list_id, added, limit = _words(own, "#list")
    _, snapshot, expires, created = _words(current, "#snapshot")
    return SubscriptionStates(
        ListId(list_id),
        datetime.fromisoformat(added),
        _endorsers(endorsers),
        None if snapshot == _NONE else snapshot,
        _instant(expires),
        _instant(created),
        None if limit == _NONE else int(limit),
        _name(signer, "#signer"),
        _name(issuer, "#issuer"),
        tuple(map(_run, lines.split(b"\n")[:-1])),
    ), source


def parse_index(content: bytes) -> tuple[SubscriptionIndex, str]:
    """Return what a whole index says, and what it was made from. Raises as `parse_states`."""
    states, source = parse_states(content)
    digests = _digest_column(content)
    # Cutting it into words is left to whoever wants to know one; there has to be one for each image.
    if sum(run.names.count(b" ") + 1 for run in states.runs) != (digests.count(b" ") + 1 if digests else 0):
        raise IndexUnfit("digests")
    values = {name: getattr(states, name) for name in _FIELDS}
    return SubscriptionIndex(**values, digests=digests), source


def is_torn(content: bytes) -> bool:
    """Tell whether the bytes of an index are not those that were written.

    One of an earlier version of the program is not: it is made again, as one that is too old.
    """
    words = content.partition(b"\n")[0].split(b"\t")
    if words[:1] == _MARK[:1] and words[1:2] not in ([], _MARK[1:]):
        return False
    try:
        _rows(content)
        _digest_column(content)
    except ValueError:
        return True
    return False


def _head_words(head: bytes) -> list[bytes]:
    words = head.split(b"\t")
    if words[:2] != _MARK or len(words) != _HEAD_COLUMNS:
        raise IndexUnfit("another format")
    return words


def _rows(content: bytes) -> tuple[bytes, str]:
    head = content.partition(b"\n")[0]
    words = _head_words(head)
    rows = content[len(head) + 1 : states_end(content)]
    if words[4] != _checksum(rows) or not rows.endswith(b"\n"):
        raise IndexUnfit("torn")
    return rows, words[2].decode()


def _digest_column(content: bytes) -> bytes:
    name, checksum, column = content[states_end(content) :].split(b"\t")
    is_written = checksum == _checksum(column[:-1]) and column.endswith(b"\n") and column.isascii()
    if name != _DIGESTS or not is_written:
        raise IndexUnfit("torn")
    return column[:-1]


def _checksum(content: bytes) -> bytes:
    return b"%08x" % zlib.crc32(content)


def _words(row: bytes, name: str) -> list[str]:
    words = row.decode().split("\t")
    if words[0] != name:
        raise IndexUnfit(words[0])
    return words


def _run(line: bytes) -> Run:
    selected, until, names = line.split(b"\t")
    if not names or names[0] == _SPACE or names[-1] == _SPACE or b"  " in names or not names.isascii():
        raise IndexUnfit("an identifier is none")
    return Run(_SELECTED.index(selected) == 1, _instant(until.decode()), names)


@lru_cache(maxsize=_PEOPLE)
def _name(row: bytes, name: str) -> OneLineName | None:
    words = _words(row, name)[1:]
    if not words:
        return None
    escaped, plain = words
    return OneLineName(escaped, None if plain == _NONE else plain)


@lru_cache(maxsize=_PEOPLE)
def _endorsers(row: bytes) -> tuple[EndorserId, ...]:
    return tuple(map(EndorserId, _words(row, "#endorsers")[1:]))


def _name_words(name: OneLineName | None) -> tuple[str, ...]:
    return () if name is None else (name.escaped, _NONE if name.plain is None else name.plain)


def _stamp(moment: datetime | None) -> str:
    """Return an instant as seconds since 1970."""
    return _number(None if moment is None else int(moment.timestamp()))


def _number(number: int | None) -> str:
    return _NONE if number is None else str(number)


def _instant(text: str) -> datetime | None:
    return None if text == _NONE else datetime.fromtimestamp(int(text), UTC)
