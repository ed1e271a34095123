"""vmcatcher image: which images there are, and which are wanted in the cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from vmcatcher.cli import completion
from vmcatcher.cli.commands.common import Answer, Run, command, examples

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vmcatcher.cli.output.screen import Screen, Tone
    from vmcatcher.services.image_overview import ImageRow

_Image = Annotated[
    str,
    typer.Argument(metavar="IMAGE", help="An image: identifier, how it begins, title, or the beginning of its SHA-512.",
                   autocompletion=completion.images),
]  # fmt: skip
_Images = Annotated[
    list[str],
    typer.Argument(metavar="IMAGE...", help="Images: identifiers, how they begin, titles, beginnings of SHA-512.",
                   autocompletion=completion.images),
]  # fmt: skip
_TONES: Final[Mapping[str, Tone]] = {
    "cached": "good",
    "wanted": "warn",
    "unavailable": "bad",
    "outdated": "warn",
    "awaited": "warn",
    "vetoed": "bad",
    "gone": "dim",
}


@command(
    "image",
    "list",
    epilog="In a pipe a line for each: image, standing, list, version, size in bytes, end, title. The standing is "
    "cached, outdated (an earlier version is), wanted (the next run fetches it), available (not selected), unavailable "
    "(selected, but no list names it now), "
    "gone, vetoed, or awaited (its list was not fetched yet).\n\n"
    "With --at: what was endorsed and what was in the cache then, from the lists and records that are kept. Available "
    "is what was endorsed and not in the cache, outdated what was in the cache and not endorsed. What was selected "
    "then is not known. A TIME is 2026-11-01, 2026-11-01T12:00, or how long ago: 7d, 12h.\n\n"
    + examples(
        "vmcatcher image list",
        "vmcatcher image list --selected --list 11111111-aaaa",
        "vmcatcher image list | awk -F'\\t' '$2 == \"cached\" { print $1 }'",
        "vmcatcher image list --at 2026-11-01",
    ),
)
def list_all(
    run: Run,
    *,
    of_list: Annotated[
        str | None,
        typer.Option("--list", metavar="LIST", help="Images of one subscription.",
                     autocompletion=completion.subscriptions),
    ] = None,
    selected: Annotated[bool, typer.Option("--selected", help="Those that are selected for the cache.")] = False,
    available: Annotated[bool, typer.Option("--available", help="Those that a current, trusted list names.")] = False,
    cached: Annotated[bool, typer.Option("--cached", help="Those that are in the cache.")] = False,
    at: Annotated[str | None, typer.Option("--at", metavar="TIME", help="How it was at that time.")] = None,
) -> Answer:  # fmt: skip
    """List the images of the subscriptions. Several of --selected, --available and --cached must hold together."""
    from vmcatcher.model.moment import parse_moment  # noqa: PLC0415 - `--help` must not pay for it
    from vmcatcher.services.choosing import choose_subscription  # noqa: PLC0415 - likewise
    from vmcatcher.services.image_overview import (  # noqa: PLC0415 - likewise
        ImageOverview,
        image_overview,
        image_overview_at,
    )

    context = run.reading()
    found, then = ImageOverview((), ()), None
    if context is not None:
        list_id = choose_subscription(context, of_list).identifier if of_list else None
        if at is None:
            found = image_overview(context, list_id)
        else:
            then = parse_moment(at, context.now)
            found = image_overview_at(context, then, list_id)
    rows = [
        row
        for row in found.rows
        if (row.selected or not selected) and (row.available or not available) and (row.cached or not cached)
    ]
    result = {"at": then, "images": [_document(row) for row in rows]}
    return Answer(result, lambda screen: _show_rows(screen, rows), found.failed)


def _document(row: ImageRow) -> dict[str, object]:
    return {
        "image": row.image,
        "list": row.list_id,
        "standing": row.standing,
        "selected": row.selected,
        "available": row.available,
        "cached": row.cached,
        "title": row.title,
        "version": row.version,
        "size": row.size_bytes,
        "sha512": row.sha512,
        "valid_until": row.valid_until,
    }


def _show_rows(screen: Screen, rows: Sequence[ImageRow]) -> None:
    from vmcatcher.cli.output.screen import Column, Kind, Toned  # noqa: PLC0415 - likewise

    columns = (
        Column("image", Kind.NAME),
        Column("standing", Kind.NAME),
        Column("list"),
        Column("version"),
        Column("size", Kind.SIZE),
        Column("expires", Kind.AGE),
        Column("title"),
    )
    screen.table(
        columns,
        [
            (
                row.image,
                Toned(row.standing, _TONES.get(row.standing)),
                row.list_id,
                row.version,
                row.size_bytes,
                row.valid_until,
                row.title,
            )
            for row in rows
        ],
    )


@command(
    "image",
    "show",
    epilog=examples("vmcatcher image show c0ffee00", "vmcatcher image show 'Debian 12' --json | jq .result.uri"),
)
def show(run: Run, image: _Image) -> Answer:
    """Show an image: what its list says, what was decided about it, and its versions in the cache."""
    from vmcatcher.cli.output.details import image_document, image_facts  # noqa: PLC0415 - likewise
    from vmcatcher.services.choosing import choose_image  # noqa: PLC0415 - likewise
    from vmcatcher.services.image_overview import image_details  # noqa: PLC0415 - likewise

    context = run.demanding()
    chosen = choose_image(context, image, in_cache=True)
    found = image_details(context, chosen.identifier)
    document = image_document(chosen.identifier, found)
    return Answer(document, lambda screen: screen.facts(image_facts(document, found)), found.failed)


@command(
    "image",
    "subscribe",
    epilog="What is selected by hand stays so, whatever rule the subscription has.\n\n"
    + examples("vmcatcher image subscribe c0ffee00", "vmcatcher sync     # fetches it"),
)
def subscribe(run: Run, images: _Images) -> Answer:
    """Select images for the cache: the next run fetches them."""
    return _select(run, images, selected=True)


@command(
    "image",
    "unsubscribe",
    epilog="What is deselected by hand stays so, whatever rule the subscription has.\n\n"
    + examples("vmcatcher image unsubscribe c0ffee00", "vmcatcher sync     # takes it out"),
)
def unsubscribe(run: Run, images: _Images) -> Answer:
    """Want images in the cache no longer: they leave at the next run."""
    return _select(run, images, selected=False)


def _select(run: Run, images: Sequence[str], *, selected: bool) -> Answer:
    from vmcatcher.errors import VmcatcherError  # noqa: PLC0415 - likewise
    from vmcatcher.services.choosing import choose_image  # noqa: PLC0415 - likewise
    from vmcatcher.services.context import Failure  # noqa: PLC0415 - likewise
    from vmcatcher.services.images import select_images  # noqa: PLC0415 - likewise

    context = run.writing()
    meant: list[str] = []
    failed: list[Failure] = []
    for image in images:
        try:
            meant.append(choose_image(context, image).identifier)
        except VmcatcherError as error:
            failed.append(Failure(image, error))
    meant = list(dict.fromkeys(meant))
    if meant:
        select_images(context, meant, by_digest=False, selected=selected)
    word = "selected" if selected else "deselected"
    return Answer({word: meant}, lambda screen: screen.lines(f"{word} {one}" for one in meant), failed, is_report=True)
