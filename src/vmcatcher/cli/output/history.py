"""History and differences: as documents for scripts, as tables and lines for people."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Final

from vmcatcher.cli.output.screen import Column, Kind, Toned
from vmcatcher.model.changes import ChangeKind
from vmcatcher.model.instant import instant_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from vmcatcher.cli.output.screen import Cell, Screen, Tone
    from vmcatcher.model.changes import FieldChange, ImageChange
    from vmcatcher.model.strictjson import Json
    from vmcatcher.services.admitted import AdmittedList
    from vmcatcher.services.history import HistoryEntry, ListDifference, ListHistory
    from vmcatcher.services.image_history import Endorsement, ImageHistory, ImageVersion

_TONES: Final[Mapping[ChangeKind, Tone]] = {
    ChangeKind.ADDED: "good",
    ChangeKind.WITHDRAWN: "bad",
    ChangeKind.REPLACED: "warn",
    ChangeKind.CHANGED: "dim",
}
_MARKS: Final[Mapping[ChangeKind, str]] = {
    ChangeKind.ADDED: "+",
    ChangeKind.WITHDRAWN: "-",
    ChangeKind.REPLACED: "!",
    ChangeKind.CHANGED: "~",
}
_SHORT: Final = 12


def list_document(one: AdmittedList) -> dict[str, object]:
    """Return an admitted list, without its images."""
    return {
        "number": one.snapshot.sequence,
        "version": one.listed.version,
        "title": one.listed.title,
        "admitted": one.admitted,
        "created": one.listed.created,
        "expires": one.listed.expires,
        "signer": str(one.signer),
        "issuer": str(one.issuer),
        "sha512": one.sha512,
        "images": one.images,
    }


def history_document(found: ListHistory) -> dict[str, object]:
    """Return the history of a subscription."""
    return {
        "subscription": found.list_id,
        "begins": found.begins,
        "gone": [{"first": first, "last": last} for first, last in found.gone],
        "lists": [_entry_document(one) for one in found.entries],
    }


def _entry_document(one: HistoryEntry) -> dict[str, object]:
    if one.found is None:
        damage = {"id": one.damage.id, "text": str(one.damage)} if one.damage else None
        return {"number": one.sequence, "admitted": one.admitted, "damaged": damage}
    return {
        **list_document(one.found),
        "endorser": one.endorser,
        "damaged": None,
        "compared_with": one.compared_with,
        "changes": [_change_document(change) for change in one.changes],
    }


def _change_document(change: ImageChange) -> dict[str, object]:
    return {
        "what": change.kind.value,
        "image": change.identifier,
        "title": change.image.title,
        "version": change.image.version,
        "sha512": change.image.sha512,
        "fields": _fields_document(change.fields),
    }


def _fields_document(fields: Iterable[FieldChange]) -> list[dict[str, object]]:
    return [{"field": one.field, "old": one.old, "new": one.new} for one in fields]


def show_history(screen: Screen, found: ListHistory) -> None:
    """Show the lists, then what changed in each, then what is not kept any more."""
    newest = found.entries[0].sequence if found.entries else 0
    rows = [_entry_row(one, newest) for one in found.entries]
    # Everything of the first list is new: its images are named by --json, and counted here.
    changes = [
        ("change", one.sequence, Toned(change.kind.value, _TONES[change.kind]), change.identifier,
         ", ".join(field.field for field in change.fields), change.image.title)
        for one in found.entries if one.compared_with is not None for change in one.changes
    ]  # fmt: skip
    if not screen.is_terminal:
        screen.table((), [*rows, *changes, *(("gone", first, last) for first, last in found.gone)])
        return
    screen.table(
        (
            Column("number", Kind.COUNT),
            Column("version", Kind.NAME),
            Column("admitted", Kind.TIME),
            Column("expires", Kind.AGE),
            Column("state", Kind.NAME),
            Column("images", Kind.COUNT),
            Column("changes", Kind.NAME),
            Column("signer"),
        ),
        [(*row[1:4], row[5], row[6], row[7], _summary(row[8:12]), row[12]) for row in rows],
    )
    if changes:
        screen.line("")
    columns = (Column("number", Kind.COUNT), Column("change", Kind.NAME), Column("image", Kind.NAME))
    screen.table((*columns, Column("fields"), Column("title")), [row[1:] for row in changes])
    for first, last in found.gone:
        which = f"list {first} is" if first == last else f"lists {first} to {last} are"
        screen.line(f"{which} not kept any more", "warn")


def _entry_row(one: HistoryEntry, newest: int) -> tuple[Cell, ...]:
    if one.found is None:
        damaged = ("list", one.sequence, None, one.admitted, None, None, Toned("damaged", "bad"))
        return (*damaged, *(None,) * 8)
    found, counted = one.found, Counter(change.kind for change in one.changes)
    is_compared = one.compared_with is not None or one.sequence == 1
    counts = [counted[kind] if is_compared else None for kind in ChangeKind]
    state = Toned("current", "good") if one.sequence == newest else Toned("kept", "dim")
    return (
        "list", one.sequence, found.listed.version, found.admitted, found.listed.created, found.listed.expires, state,
        found.images, *counts, str(found.signer), one.endorser, found.sha512,
    )  # fmt: skip


def _summary(counts: Iterable[Cell]) -> str:
    """Return the numbers of changes by their marks, such as `+2 -1`."""
    marked = zip(_MARKS.values(), counts, strict=True)
    return " ".join(f"{mark}{count}" for mark, count in marked if count)


def difference_document(found: ListDifference) -> dict[str, object]:
    """Return what differs between two lists."""
    return {
        "older": list_document(found.older),
        "newer": list_document(found.newer),
        "fields": _fields_document(found.fields),
        "images": [_change_document(change) for change in found.images],
    }


def show_difference(screen: Screen, found: ListDifference) -> None:
    """Show what differs: in a pipe as rows, on a terminal as lines that people know from diff."""
    if not screen.is_terminal:
        screen.table((), _difference_rows(found))
        return
    for mark, one in (("---", found.older), ("+++", found.newer)):
        number, admitted = one.snapshot.sequence, instant_text(one.admitted)
        screen.line(f"{mark} version {one.listed.version} (number {number}, admitted {admitted})", "strong")
    for field in found.fields:
        screen.line(f"  {field.field}: {_shown(field.old)} → {_shown(field.new)}")
    for change in found.images:
        about = f"{change.identifier} {change.image.title}".rstrip()
        screen.line(f"{_MARKS[change.kind]} {change.kind.value} {about}", _TONES[change.kind])
        for field in change.fields:
            screen.line(f"    {field.field}: {_shown(field.old)} → {_shown(field.new)}")
    if found.is_empty:
        screen.line("they say the same")


def _difference_rows(found: ListDifference) -> Iterator[Sequence[Cell]]:
    for field in found.fields:
        yield "list", field.field, _shown(field.old), _shown(field.new)
    for change in found.images:
        yield "image", change.kind.value, change.identifier, change.image.title
        for field in change.fields:
            yield "field", change.identifier, field.field, _shown(field.old), _shown(field.new)


def _shown(value: Json) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def versions_document(found: ImageHistory) -> dict[str, object]:
    """Return the history of an image."""
    return {
        "image": found.identifier,
        "begins": [{"list": list_id, "since": since} for list_id, since in found.begins],
        "versions": [_version_document(one) for one in found.versions],
    }


def _version_document(one: ImageVersion) -> dict[str, object]:
    return {
        "sha512": one.sha512,
        "size": one.size_bytes,
        "version": one.version,
        "title": one.title,
        "endorsed": [_endorsement_document(own) for own in one.endorsed],
        "cached": [
            {
                "number": record.number,
                "list": record.list_id,
                "state": record.state.value,
                "published": record.published,
                "left": record.expired,
                "reason": record.reason.value if record.reason else None,
                "expired_name": record.expired_name,
            }
            for record in one.cached
        ],
        "veto": {"reason": one.veto.reason, "vetoed": one.veto.vetoed, "by": one.veto.by} if one.veto else None,
    }


def _endorsement_document(one: Endorsement) -> dict[str, object]:
    return {
        "list": one.list_id,
        "first": list_document(one.first),
        "last": list_document(one.last),
        "until": one.until,
        "why": one.why.value,
    }


def show_versions(screen: Screen, found: ImageHistory) -> None:
    """Show when each version was endorsed, when it was in the cache, whether it is vetoed."""
    endorsed = [_endorsed_row(version, own) for version in found.versions for own in version.endorsed]
    cached: list[tuple[Cell, ...]] = [
        ("cached", version.version, record.number, record.published, record.expired, record.state.value,
         record.reason.value if record.reason else None, version.sha512)
        for version in found.versions for record in version.cached
    ]  # fmt: skip
    if not screen.is_terminal:
        screen.table((), [*endorsed, *cached, *_remarks(found)])
        return
    names = [Column(title, Kind.NAME) for title in ("endorsed version", "list versions")]
    times = [Column(title, Kind.TIME) for title in ("admitted", "until")]
    screen.table(
        (*names, *times, Column("why", Kind.NAME), Column("sha512", Kind.NAME), Column("signer")),
        [
            (row[1], f"{row[3]} to {row[4]}" if row[3] != row[4] else row[3], row[5], row[7], row[8],
             _short(str(row[10])), row[9])
            for row in endorsed
        ],
    )  # fmt: skip
    if cached:
        screen.line("")
    columns = [Column("cached version", Kind.NAME), Column("number", Kind.COUNT)]
    columns += [Column("published", Kind.TIME), Column("left", Kind.TIME)]
    columns += [Column(title, Kind.NAME) for title in ("state", "reason", "sha512")]
    screen.table(columns, [(*row[1:7], _short(str(row[7]))) for row in cached])
    _show_remarks(screen, found)


def _endorsed_row(version: ImageVersion, own: Endorsement) -> tuple[Cell, ...]:
    first, last = own.first, own.last
    return (
        "endorsed", version.version, own.list_id, first.listed.version, last.listed.version, first.admitted,
        last.admitted, own.until, own.why.value, str(last.signer), version.sha512,
    )  # fmt: skip


def _short(sha512: str) -> str:
    """Return as much of a digest as commands take."""
    return f"{sha512[:_SHORT]}…"


def _remarks(found: ImageHistory) -> Iterator[tuple[Cell, ...]]:
    for one in found.versions:
        if one.veto is not None:
            yield "vetoed", one.version, one.veto.vetoed, one.veto.reason, one.sha512
    for list_id, since in found.begins:
        yield "begins", list_id, since


def _show_remarks(screen: Screen, found: ImageHistory) -> None:
    for one in found.versions:
        if one.veto is not None:
            why = one.veto.reason or "no reason given"
            screen.line(f"vetoed: version {one.version}, {_short(one.sha512)}: {why}", "bad")
    for list_id, since in found.begins:
        screen.line(f"list {list_id}: lists admitted before {instant_text(since)} are not kept any more", "warn")
