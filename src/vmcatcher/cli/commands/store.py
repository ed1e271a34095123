"""vmcatcher store: make a store, and see whether one holds together."""

from __future__ import annotations

import json
import logging
import os
from typing import TYPE_CHECKING, Annotated, Final

import typer

from vmcatcher.cli.commands.common import Run, command, examples, group

if TYPE_CHECKING:
    from vmcatcher.services.stores import Examination
    from vmcatcher.settings import Settings
    from vmcatcher.store.layout import Layout
    from vmcatcher.store.views import Views

store = group("Make a store, and see whether one holds together.")
logger = logging.getLogger("main")

_DAMAGED: Final = 1
_ONLY_NOTES: Final = 4


@command(
    store,
    "init",
    epilog=examples(
        "vmcatcher store init /srv/vmcatcher",
        "vmcatcher store init /srv/vmcatcher --blobs /data/blobs    # image bytes on another file system",
    ),
)
def init(
    run: Run,
    directory: Annotated[
        str | None, typer.Argument(metavar="DIR", help="The store, unless a setting names it.", show_default=False)
    ] = None,
    *,
    blobs: Annotated[
        str | None, typer.Option(metavar="DIR", help="Where the bytes of images lie (default: inside the store).")
    ] = None,
) -> int:
    """Make a store where none is. One that is there stays as it is."""
    from vmcatcher import wiring  # noqa: PLC0415 - `--help` must not pay for it
    from vmcatcher.errors import printable  # noqa: PLC0415 - likewise
    from vmcatcher.services.stores import init_store  # noqa: PLC0415 - likewise

    choice = wiring.choose_store(run.with_flag("store", directory).settings)
    made = init_store(choice.root, blobs=blobs, database=choice.database)
    where = f"{printable(made.root)}, image bytes in {printable(made.blobs)}"
    run.write_line(f"made the store {where}" if made.is_new else f"the store is there already: {where}")
    return 0


@command(
    store,
    "check",
    epilog="Ends with 0 when the store is sound, 4 when there are only notes, 1 when there is damage.\n\n"
    + examples(
        "vmcatcher store check --store /srv/vmcatcher",
        "vmcatcher store check --data --json | jq '.findings[] | select(.damage)'",
    ),
)
def check(
    run: Run,
    *,
    read_bytes: Annotated[bool, typer.Option("--data", help="Read and hash every image, too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Report as one JSON document.")] = False,
) -> int:
    """Look for damage. Every finding is a line: the invariant, damage or note, the path, what is wrong with it."""
    from vmcatcher import wiring  # noqa: PLC0415 - `--help` must not pay for it
    from vmcatcher.errors import printable  # noqa: PLC0415 - likewise
    from vmcatcher.services.stores import examine_store  # noqa: PLC0415 - likewise
    from vmcatcher.store.root import open_store  # noqa: PLC0415 - likewise

    context = wiring.reading(run.settings, run.command)
    # Where none is found, nothing was checked: that must not look like a sound store.
    layout = context.layout if context else open_store(wiring.choose_store(run.settings).root)
    found = examine_store(layout, read_bytes=read_bytes, shown=_views(run.settings, layout))
    if as_json:
        run.write_line(_document(layout, found))
    else:
        for finding in found.findings:
            run.write_line(printable(finding))
    logger.info("%s: %d places damaged, %d notes", layout.root, found.damaged, found.notes)
    return _DAMAGED if found.damaged else _ONLY_NOTES if found.notes else 0


def _views(settings: Settings, layout: Layout) -> Views:
    """Return where the views lie, as the settings say."""
    from vmcatcher.store.views import LinkKind, Views  # noqa: PLC0415 - likewise

    links: LinkKind = settings.text("view_links")  # type: ignore[assignment]  # one of the setting's choices
    cache = settings.optional("cache_directory")
    if cache is None:
        return Views.inside(layout, links)
    partial = settings.optional("partial_directory") or os.path.join(cache, "partial")
    return Views(cache, partial, settings.optional("expired_directory") or os.path.join(cache, "expired"), links)


def _document(layout: Layout, found: Examination) -> str:
    findings = [
        {"invariant": one.invariant, "damage": one.is_damage, "path": one.path, "text": one.text}
        for one in found.findings
    ]
    counts = {"damaged": found.damaged, "notes": found.notes}
    return json.dumps({"format": 1, "store": layout.root, **counts, "findings": findings}, indent=2)
