"""vmcatcher store stats: how much of everything is there."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Annotated

import typer

from vmcatcher.cli.commands.common import Run, command, examples
from vmcatcher.errors import printable
from vmcatcher.errors.store import StoreMissing

if TYPE_CHECKING:
    from datetime import datetime

    from vmcatcher.store.stats import Stats, Tally

logger = logging.getLogger("main")


def add_to(store: typer.Typer) -> None:
    """Add the command to the noun."""
    command(
        store,
        "stats",
        epilog="Ends with 0, or with 1 when something could not be read and is not counted.\n\n"
        + examples(
            "vmcatcher store stats",
            "vmcatcher store stats --json | jq '.kinds[\"blobs unneeded\"].allocated'",
        ),
    )(stats)


def stats(
    run: Run, *, as_json: Annotated[bool, typer.Option("--json", help="Show as one JSON document.")] = False
) -> int:
    """Show how much of everything the store holds, what it takes on disk, and how much space is left."""
    from vmcatcher import wiring  # noqa: PLC0415 - `--help` must not pay for it
    from vmcatcher.services.pruning import count_store  # noqa: PLC0415 - likewise

    context = wiring.reading(run.settings, run.command)
    if context is None:
        raise StoreMissing(path=wiring.choose_store(run.settings).root)
    found = count_store(context, wiring.shown_views(run.settings, context.layout))
    if as_json:
        run.write_line(_document(context.layout.root, found))
    else:
        for tally in found.tallies:
            run.write_line(_line(tally))
        for one in found.file_systems:
            run.write_line(f"space at {printable(one.path)}: {one.free_bytes} bytes free of {one.total_bytes}")
    for error in found.errors:
        logger.error("not counted: %s", error.one_line())
    return 1 if found.errors else 0


def _line(tally: Tally) -> str:
    parts = [str(tally.count)]
    if tally.size_bytes is not None:
        parts.append(f"{tally.size_bytes} bytes ({tally.allocated_bytes} on disk)")
    if tally.oldest is not None:
        parts.append(f"{_text(tally.oldest)} to {_text(tally.newest)}")
    return f"{tally.kind}: {', '.join(parts)}"


def _text(instant: datetime | None) -> str | None:
    from vmcatcher.model.instant import instant_text  # noqa: PLC0415 - likewise

    return None if instant is None else instant_text(instant)


def _document(root: str, found: Stats) -> str:
    kinds = {
        one.kind: {
            "count": one.count,
            "bytes": one.size_bytes,
            "allocated": one.allocated_bytes,
            "oldest": _text(one.oldest),
            "newest": _text(one.newest),
        }
        for one in found.tallies
    }
    spaces = [{"path": one.path, "total": one.total_bytes, "free": one.free_bytes} for one in found.file_systems]
    unread = [{"id": one.id, "text": one.one_line()} for one in found.errors]
    document = {"format": 1, "store": root, "kinds": kinds, "file_systems": spaces, "unread": unread}
    return json.dumps(document, indent=2)
