"""Plans and reports of runs: lists, images, events and space, as JSON and as rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vmcatcher.cli.output.human import size_text
from vmcatcher.cli.output.screen import Column, Kind, Toned
from vmcatcher.model.steps import Action, ListFate, Origin

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from vmcatcher.cli.output.screen import Cell, Screen, Tone
    from vmcatcher.model.steps import ListStep, Room, Step, Telling

_TONES: Final[Mapping[str, Tone]] = {
    Action.EXPIRE: "warn",
    Action.FORGET: "dim",
    Action.UNLINK: "dim",
    Action.PUBLISH: "good",
    Action.REPLACE: "good",
    Action.RESTORE: "good",
    ListFate.NEW: "good",
    ListFate.REFUSED: "bad",
    ListFate.UNCHANGED: "dim",
    ListFate.NOT_ASKED: "dim",
}


def list_document(one: ListStep) -> dict[str, object]:
    """Return what becomes of a list, for JSON."""
    return {
        "list": one.list_id,
        "fate": one.fate.value,
        "title": one.title or None,
        "uri": one.uri,
        "version": one.version or None,
        "offered": one.offered or None,
        "expires": one.expires,
        "moves_to": one.moves_to or None,
        "new_images": list(one.new_images),
        "gone_images": list(one.gone_images),
        "accepted": list(one.accepted),
        "selected": list(one.selected),
        "announced": list(one.announced),
        "error": one.error or None,
        "error_id": one.error_id or None,
    }


def step_document(one: Step) -> dict[str, object]:
    """Return what is done to an image, for JSON."""
    source = one.source
    return {
        "action": one.action.value,
        "image": one.image,
        "list": one.list_id or None,
        "title": one.title or None,
        "version": one.version or None,
        "sha512": one.sha512,
        "bytes": one.size_bytes,
        "why": one.why,
        "reason": one.reason.value if one.reason else None,
        "source": None
        if source is None
        else {
            "origin": source.origin.value,
            "uri": source.uri or None,
            "others": list(source.others),
            "fetch_bytes": source.fetch_bytes,
            "resumed_bytes": source.done_bytes,
        },
    }


def telling_document(one: Telling) -> dict[str, object]:
    """Return an event that is owed, for JSON."""
    return {
        "id": one.id,
        "kind": one.kind.value,
        "image": one.image,
        "list": one.list_id,
        "attempts": one.attempts,
        "not_before": one.not_before,
    }


def room_document(room: Room) -> dict[str, object]:
    """Return needed and free space, for JSON."""
    return {"needed_bytes": room.needed_bytes, "free_bytes": room.free_bytes, "missing": list(room.missing)}


def show_lists(screen: Screen, lists: Sequence[ListStep]) -> None:
    """Show what becomes of each list."""
    if not lists:
        return
    screen.heading("Lists")
    columns = (
        Column("what"),
        Column("fate"),
        Column("list", Kind.NAME),
        Column("version"),
        Column("expires", Kind.AGE),
        Column("title"),
        Column("why"),
    )
    screen.table(columns[1:] if screen.is_terminal else columns, (_list_row(screen, one) for one in lists))


def _apart(screen: Screen) -> None:
    if screen.is_terminal:
        screen.line("")


def _list_row(screen: Screen, one: ListStep) -> tuple[Cell, ...]:
    version = f"{one.version or 'none'} -> {one.offered}" if one.offered else one.version
    why = one.error or _news(one)
    row: tuple[Cell, ...] = (
        "list", Toned(one.fate.value, _TONES[one.fate]), one.list_id, version, one.expires, one.title, why,
    )  # fmt: skip
    return row[1:] if screen.is_terminal else row


def _news(one: ListStep) -> str:
    counted = (
        (len(one.new_images), "new"),
        (len(one.gone_images), "gone"),
        (len(one.accepted), "accepted"),
        (len(one.selected), "selected"),
    )
    parts = [f"{count} {what}" for count, what in counted if count]
    return ", ".join(parts + ([f"moves to {one.moves_to}"] if one.moves_to else []))


def show_steps(screen: Screen, steps: Sequence[Step], outcomes: Sequence[str] = ()) -> None:
    """Show what is done to each image; `outcomes` say what became of each, where that is known."""
    if not steps:
        return
    _apart(screen)
    screen.heading("Images")
    columns = [
        Column("what"),
        Column("action"),
        Column("outcome"),
        Column("image", Kind.NAME),
        Column("version"),
        Column("size", Kind.SIZE),
        Column("to fetch", Kind.SIZE),
        Column("from"),
        Column("title"),
        Column("why"),
    ]
    rows = [_step_row(screen, one, outcomes[at] if outcomes else None) for at, one in enumerate(steps)]
    if not screen.is_terminal:
        screen.table(columns, rows)
        return
    # On a screen nobody needs an empty column, nor to be told that these are images.
    kept = [at for at in range(1, len(columns)) if outcomes or columns[at].title != "outcome"]
    screen.table([columns[at] for at in kept], ([row[at] for at in kept] for row in rows))


def _step_row(screen: Screen, one: Step, outcome: str | None) -> tuple[Cell, ...]:
    fetch = one.source.fetch_bytes if one.source else None
    return (
        "image",
        Toned(one.action.value, _TONES[one.action]),
        Toned(outcome, "good" if outcome == "done" else "bad"),
        one.image,
        one.version,
        one.size_bytes if one.sha512 else None,
        fetch,
        _place(one, is_short=screen.is_terminal),
        one.title,
        one.why,
    )


def _place(one: Step, *, is_short: bool) -> str | None:
    """Return where bytes come from; on a terminal there is no room for an address beside the reasons."""
    if one.source is None:
        return None
    is_named = not is_short and one.source.origin in (Origin.SERVER, Origin.MIRROR)
    place = f"{one.source.origin.value} {one.source.uri}" if is_named else one.source.origin.value
    return f"{place}, {size_text(one.source.done_bytes)} are there" if one.source.done_bytes else place


def show_tellings(screen: Screen, owed: Iterable[Telling]) -> None:
    """Show the events that are owed."""
    rows: list[tuple[Cell, ...]] = [("event", one.kind.value, one.image, one.attempts, one.not_before) for one in owed]
    if not rows:
        return
    _apart(screen)
    screen.heading("Events that are owed")
    columns = (
        Column("what"),
        Column("kind"),
        Column("image", Kind.NAME),
        Column("attempts", Kind.COUNT),
        Column("not before", Kind.AGE),
    )
    screen.table(columns[1:] if screen.is_terminal else columns, (row[screen.is_terminal :] for row in rows))


def show_room(screen: Screen, room: Room, fetch_bytes: int) -> None:
    """Show what is to be fetched against what is free."""
    if not screen.is_terminal:
        screen.table((), [("space", fetch_bytes, room.needed_bytes, room.free_bytes)])
        return
    _apart(screen)
    free = "nobody knows how much is free" if room.free_bytes is None else f"{size_text(room.free_bytes)} free"
    text = f"{size_text(fetch_bytes)} to fetch, {size_text(room.needed_bytes)} of space needed, {free}"
    screen.line(text, "bad" if room.missing else None)
