"""What was decided about subscriptions and vetoes: as documents for scripts, as rows for people and pipes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmcatcher.cli.output.screen import Column, Kind, Toned

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vmcatcher.cli.output.screen import Cell, Screen
    from vmcatcher.services.decisions import Decided
    from vmcatcher.services.rules import RuledImage, RuleEffect
    from vmcatcher.services.vetoes import Vetoed


def decided_document(decided: Decided, *, dry_run: bool) -> dict[str, object]:
    """Return what was changed about a subscription, and what its rule selects now."""
    effect = decided.effect
    return {
        "subscription": decided.subscription.identifier,
        "dry_run": dry_run,
        "changes": [{"name": one.name, "old": one.old, "new": one.new} for one in decided.changes],
        "rule": decided.subscription.where,
        "images": None if effect is None else [_image_document(one) for one in effect.images],
        "notes": decided.notes,
    }


def _image_document(one: RuledImage) -> dict[str, object]:
    return {
        "image": one.identifier,
        "title": one.title,
        "size": one.size_bytes,
        "chosen": one.chosen,
        "was_selected": one.was_selected,
        "selected": one.selected,
        "why": one.why,
    }


def show_decided(screen: Screen, decided: Decided, *, dry_run: bool) -> None:
    """Show what was changed, what the rule selects, with `dry_run` image by image, and what should be known."""
    if screen.is_terminal and dry_run:
        screen.line("nothing is changed; this is what would be:")
    rows: list[Sequence[Cell]] = [("set", one.name, one.old, one.new) for one in decided.changes]
    screen.table((Column("", Kind.NAME), Column("what", Kind.NAME), Column("was"), Column("is")), rows)
    if decided.effect is not None:
        _show_effect(screen, decided, decided.effect, dry_run=dry_run)
    for note in decided.notes:
        screen.table((Column("", Kind.NAME), Column("note")), [("note", Toned(note, "warn"))])


def _show_effect(screen: Screen, decided: Decided, effect: RuleEffect, *, dry_run: bool) -> None:
    if dry_run:
        columns = (
            Column("", Kind.NAME),
            Column("image", Kind.NAME),
            Column("then", Kind.NAME),
            Column("size", Kind.SIZE),
            Column("title"),
            Column("why"),
        )
        screen.table(
            columns,
            [("image", one.identifier, _becomes(one), one.size_bytes, one.title, one.why) for one in effect.images],
        )
    if decided.subscription.where is None:
        return
    whole, chosen = len(effect.images), len(effect.chosen)
    if screen.is_terminal:
        screen.line(f"the rule selects {chosen} of {whole} images")
    else:
        screen.table((), [("rule", chosen, whole)])


def _becomes(one: RuledImage) -> Cell:
    if one.selected:
        return Toned("selected" if one.was_selected else "comes", "good")
    return Toned("leaves", "bad") if one.was_selected else Toned("not selected", "dim")


def vetoed_document(one: Vetoed) -> dict[str, object]:
    """Return a veto and the images that it is on."""
    return {
        "sha512": one.veto.sha512,
        "reason": one.veto.reason,
        "vetoed": one.veto.vetoed,
        "by": one.veto.by,
        "images": [{"image": line.image, "list": line.list_id} for line in one.images],
    }


def veto_lines(one: Vetoed, *, dry_run: bool) -> list[str]:
    """Return in words what a veto does."""
    names = ", ".join(line.image for line in one.images)
    found = f"the bytes of {names}" if names else "no image of a current list has these bytes"
    said = "vetoed already" if not one.is_new else "would be vetoed" if dry_run else "vetoed"
    return [f"{said} {one.veto.sha512}: {found}"]


def show_vetoes(screen: Screen, found: Sequence[Vetoed]) -> None:
    """Show vetoes with their reasons and the images that they are on."""
    columns = (
        Column("sha512", Kind.NAME),
        Column("vetoed", Kind.AGE),
        Column("by"),
        Column("images"),
        Column("reason"),
    )
    rows = [
        (
            f"{one.veto.sha512[:16]}…" if screen.is_terminal else one.veto.sha512,
            one.veto.vetoed,
            one.veto.by,
            ",".join(line.image for line in one.images) or None,
            one.veto.reason,
        )
        for one in found
    ]
    screen.table(columns, rows)
