"""How a store stands, as JSON, as rows, and on one screen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vmcatcher.cli.output.human import size_text
from vmcatcher.cli.output.screen import Column, Kind, Toned
from vmcatcher.model.health import ImageState, Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from vmcatcher.cli.output.screen import Cell, Screen, Tone
    from vmcatcher.model.health import Health, ListHealth

_TONES: Final[Mapping[str, Tone]] = {
    Severity.WRONG: "bad",
    Severity.SOON: "warn",
    Severity.PASSING: "dim",
    ImageState.PRESENT: "good",
    ImageState.OUTDATED: "warn",
    ImageState.STAGED: "warn",
    ImageState.MISSING: "warn",
    ImageState.FAILING: "bad",
    ImageState.GIVEN_UP: "bad",
    ImageState.LOST: "bad",
    ImageState.LEAVING: "warn",
    ImageState.UNAVAILABLE: "dim",
}


def health_document(health: Health) -> dict[str, object]:
    """Return everything for JSON."""
    return {
        "store": health.store,
        "now": health.now,
        "worst": health.worst.value if health.worst else None,
        "troubles": [
            {"id": one.id, "severity": one.severity.value, "subject": one.subject, "text": one.text}
            for one in health.troubles
        ],
        "lists": [_list(one) for one in health.lists],
        "images": [
            {
                "image": one.image,
                "list": one.list_id or None,
                "state": one.state.value,
                "title": one.title or None,
                "bytes": one.size_bytes,
                "why": one.why or None,
                "reason": one.reason.value if one.reason else None,
            }
            for one in health.images
        ],
        **_rest(health),
    }


def _rest(health: Health) -> dict[str, object]:
    """Return what is not about lists and images."""
    return {
        "events": {
            "owed": health.events.owed,
            "refused": health.events.refused,
            "failed": health.events.failed,
            "last_failed": health.events.last_failed,
        },
        "certificates": [
            {
                "role": one.role,
                "subject": one.subject,
                "issuer": one.issuer,
                "serial": one.serial,
                "ends": one.ends,
                "lists": list(one.lists),
            }
            for one in health.certificates
        ],
        "crls": [
            {"issuer": one.issuer, "made": one.made, "ends": one.ends, "lists": list(one.lists)} for one in health.crls
        ],
        "locks": [
            {"lock": one.lock, "holder": one.holder, "since": one.since, "claim": one.claim or None}
            for one in health.locks
        ],
        "amounts": {one.kind: {"count": one.count, "bytes": one.size_bytes} for one in health.amounts},
        "file_systems": [{"path": one.path, "free": one.free_bytes, "total": one.total_bytes} for one in health.spaces],
        "fetch_bytes": health.fetch_bytes,
    }


def _list(one: ListHealth) -> dict[str, object]:
    return {
        "list": one.list_id,
        "title": one.title or None,
        "uri": one.uri,
        "version": one.version or None,
        "created": one.created,
        "admitted": one.admitted,
        "expires": one.expires,
        "attempted": one.attempted,
        "succeeded": one.succeeded,
        "error_id": one.error_id or None,
        "error": one.error or None,
        "distrust": one.distrust or None,
        "images": {
            "named": one.named,
            "selected": one.selected,
            "present": one.present,
            "undecided": one.undecided,
        },
    }


def show_health(screen: Screen, health: Health) -> None:
    """Show everything: for people on one screen, for pipes line by line, the first column saying what each is about."""
    _show_troubles(screen, health)
    _show_lists(screen, health)
    _show_images(screen, health)
    _show_trust(screen, health)
    _show_rest(screen, health)


def _table(screen: Screen, title: str, columns: Sequence[Column], rows: Iterable[tuple[Cell, ...]]) -> None:
    """Show a table under a heading; in a pipe each row begins with what it is."""
    listed = list(rows)
    if not listed:
        return
    if not screen.is_terminal:
        screen.table((), listed)
        return
    screen.line("")
    screen.heading(title)
    screen.table(columns, [row[1:] for row in listed])


def _show_troubles(screen: Screen, health: Health) -> None:
    if not screen.is_terminal:
        screen.table((), [("status", health.worst.value if health.worst else "well", health.store)])
    elif health.worst is None:
        screen.line(f"All is well in {health.store}", "good")
    else:
        counted = ((sum(one.severity is severity for one in health.troubles), severity) for severity in Severity)
        said = ", ".join(f"{count} {severity.value}" for count, severity in counted if count)
        screen.line(f"Not all is well in {health.store}: {said}", _TONES[health.worst])
    columns = (Column("how bad"), Column("what"), Column("about", Kind.NAME), Column("text"))
    rows = [
        ("trouble", Toned(one.severity.value, _TONES[one.severity]), one.id, one.subject, one.text)
        for one in health.troubles
    ]
    _table(screen, "Troubles", columns, rows)


def _show_lists(screen: Screen, health: Health) -> None:
    columns = (
        Column("list", Kind.NAME),
        Column("version"),
        Column("updated", Kind.AGE),
        Column("expires", Kind.AGE),
        Column("there", Kind.COUNT),
        Column("wanted", Kind.COUNT),
        Column("last error"),
        Column("title"),
    )
    _table(screen, "Lists", columns, (_list_row(health, one) for one in health.lists))


def _list_row(health: Health, one: ListHealth) -> tuple[Cell, ...]:
    is_over = one.expires is not None and one.expires <= health.now
    return (
        "list",
        Toned(one.list_id, "bad" if one.distrust else None),
        one.version,
        one.succeeded,
        Toned(one.expires, "bad" if is_over else None),
        one.present,
        one.selected,
        Toned(one.error_id, "bad" if one.error_id else None),
        one.title,
    )


def _show_images(screen: Screen, health: Health) -> None:
    columns = (
        Column("state"),
        Column("image", Kind.NAME),
        Column("size", Kind.SIZE),
        Column("why"),
        Column("title"),
    )
    # On a screen what is as it should be is only counted.
    shown = [one for one in health.images if not screen.is_terminal or one.state is not ImageState.PRESENT]
    rows = [
        ("image", Toned(one.state.value, _TONES[one.state]), one.image, one.size_bytes, one.why, one.title)
        for one in shown
    ]
    _table(screen, "Images that are not as they should be", columns, rows)


def _show_trust(screen: Screen, health: Health) -> None:
    columns = (Column("what"), Column("ends", Kind.AGE), Column("lists", Kind.COUNT), Column("name", Kind.NAME))
    rows: list[tuple[Cell, ...]] = [("certificate", one.role, one.ends, len(one.lists), one.subject)
                                    for one in health.certificates]  # fmt: skip
    rows += [("crl", "crl", one.ends, len(one.lists), one.issuer) for one in health.crls]
    _table(screen, "Certificates and revocation lists", columns, rows)


def _show_rest(screen: Screen, health: Health) -> None:
    if not screen.is_terminal:
        screen.table((), [("events", health.events.owed, health.events.refused, health.events.failed)])
        screen.table((), [("amount", one.kind, one.count, one.size_bytes) for one in health.amounts])
        screen.table((), [("space", one.path, one.free_bytes, one.total_bytes) for one in health.spaces])
        screen.table((), [("lock", one.lock, one.holder) for one in health.locks])
        return
    screen.line("")
    present, selected = health.count(ImageState.PRESENT), sum(one.selected for one in health.lists)
    events = health.events
    kinds = {one.kind: one for one in health.amounts}
    blobs = sum(one.size_bytes for kind, one in kinds.items() if kind.startswith("blobs"))
    partial = kinds["partial downloads"].size_bytes if "partial downloads" in kinds else 0
    free = ", ".join(f"{size_text(one.free_bytes)} free at {one.path}" for one in health.spaces)
    screen.line(f"Images   {present} of {selected} wanted are there")
    screen.line(f"Events   {events.owed} owed, {events.refused} of them refused before, {events.failed} given up")
    screen.line(f"Space    {size_text(blobs)} of images, {size_text(partial)} of unfinished downloads, {free}")
    for one in health.locks:
        screen.line(f"Lock     {one.lock}: {one.holder}")
