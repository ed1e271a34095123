"""vmcatcher store: make a store, and see whether one holds together."""

from __future__ import annotations

import enum
import json
import logging
from typing import TYPE_CHECKING, Annotated, Final

import typer

from vmcatcher.cli.commands.common import Run, command, examples, group

if TYPE_CHECKING:
    from vmcatcher.services.stores import Examination
    from vmcatcher.store.layout import Layout

store = group("Make a store, and see whether one holds together.")
logger = logging.getLogger("main")

_DAMAGED: Final = 1
_ONLY_NOTES: Final = 4


class _Locks(enum.Enum):
    """The kinds of locks, as typer wants choices."""

    KERNEL: Final = "kernel"
    CLAIM: Final = "claim"


@command(
    store,
    "init",
    epilog=examples(
        "vmcatcher store init /srv/vmcatcher",
        "vmcatcher store init /srv/vmcatcher --blobs /data/blobs    # image bytes on another file system",
        "vmcatcher store init /net/vmcatcher --locks claim          # several hosts share it over NFS",
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
    locks: Annotated[
        _Locks | None,
        typer.Option(help="Locks of the store: kernel (the default), or claim for one that several hosts share."),
    ] = None,
) -> int:
    """Make a store where none is. One that is there stays as it is."""
    from vmcatcher import wiring  # noqa: PLC0415 - `--help` must not pay for it
    from vmcatcher.errors import printable  # noqa: PLC0415 - likewise
    from vmcatcher.services.stores import init_store  # noqa: PLC0415 - likewise

    choice = wiring.choose_store(run.with_flag("store", directory).settings)
    made = init_store(choice.root, blobs=blobs or None, locks=locks.value if locks else None, database=choice.database)
    where = f"{printable(made.root)}, image bytes in {printable(made.blobs)}"
    run.write_line(f"made the store {where}" if made.is_new else f"the store is there already: {where}")
    return 0


@command(
    store,
    "check",
    takes_locks=True,
    epilog="Ends with 0 when the store is sound, 4 when there are only notes, 1 when there is damage; after a repair, "
    "by what is left.\n\n"
    + examples(
        "vmcatcher store check --store /srv/vmcatcher",
        "vmcatcher store check --data --json | jq '.findings[] | select(.damage)'",
        "vmcatcher store check --data --repair        # then: vmcatcher_subscribe -U; vmcatcher_cache",
    ),
)
def check(
    run: Run,
    *,
    read_bytes: Annotated[bool, typer.Option("--data", help="Read and hash every image, too.")] = False,
    repair: Annotated[
        bool,
        typer.Option(help="Make again what follows from other files; move what cannot be trusted into quarantine."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Report as one JSON document.")] = False,
) -> int:
    """Look for damage. Every finding is a line: the invariant, damage or note, the path, what is wrong with it.

    With --repair, whatever was done is a line before those of what is left. Nothing is deleted.
    """
    from vmcatcher import wiring  # noqa: PLC0415 - `--help` must not pay for it
    from vmcatcher.errors import printable  # noqa: PLC0415 - likewise
    from vmcatcher.services.stores import examine_store, mend_store  # noqa: PLC0415 - likewise
    from vmcatcher.store.root import open_store  # noqa: PLC0415 - likewise

    context = wiring.reading(run.settings, run.command)
    # Where none is found, nothing was checked: that must not look like a sound store.
    layout = context.layout if context else open_store(wiring.choose_store(run.settings).root)
    shown = wiring.shown_views(run.settings, layout)
    if repair and context is not None:
        found = mend_store(context, read_bytes=read_bytes, shown=shown)
    else:
        found = examine_store(layout, read_bytes=read_bytes, shown=shown)
    for failure in found.failed:
        logger.error("%s: %s", failure.subject, failure.error.one_line())
    if as_json:
        run.write_line(_document(layout, found, is_repair=repair))
    else:
        for line in (*found.repaired, *found.findings):
            run.write_line(printable(line))
    logger.info("%s: %d places damaged, %d notes", layout.root, found.damaged, found.notes)
    return _DAMAGED if found.damaged else _ONLY_NOTES if found.notes else 0


def _document(layout: Layout, found: Examination, *, is_repair: bool) -> str:
    findings = [
        {"invariant": one.invariant, "damage": one.is_damage, "path": one.path, "text": one.text}
        for one in found.findings
    ]
    repaired = [
        {"invariant": one.finding.invariant, "path": one.finding.path, "text": one.text} for one in found.repaired
    ]
    counts: dict[str, object] = {"damaged": found.damaged, "notes": found.notes}
    if is_repair:
        counts["repaired"] = repaired
    return json.dumps({"format": 1, "store": layout.root, **counts, "findings": findings}, indent=2)
