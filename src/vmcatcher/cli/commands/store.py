"""vmcatcher store: make a store, and see whether one holds together."""

from __future__ import annotations

import enum
import logging
from typing import TYPE_CHECKING, Annotated, Final

import typer

from vmcatcher.cli.commands.common import Answer, Run, command, examples

if TYPE_CHECKING:
    from vmcatcher.cli.output.screen import Screen
    from vmcatcher.services.stores import Examination
    from vmcatcher.store.layout import Layout

logger = logging.getLogger("main")

_DAMAGED: Final = 1
_ONLY_NOTES: Final = 4


class _Locks(enum.Enum):
    """The kinds of locks, as typer wants choices."""

    KERNEL: Final = "kernel"
    CLAIM: Final = "claim"


@command(
    "store",
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
) -> Answer:
    """Make a store where none is. One that is there stays as it is."""
    from vmcatcher import wiring  # noqa: PLC0415 - `--help` must not pay for it
    from vmcatcher.errors.rules import OptionsContradict  # noqa: PLC0415 - likewise
    from vmcatcher.services.stores import init_store  # noqa: PLC0415 - likewise

    if directory is not None and run.flags.get("store") is not None:
        raise OptionsContradict(one=f"--store {run.flags['store']}", other=directory)
    choice = wiring.choose_store(run.with_flag("store", directory).settings)
    made = init_store(choice.root, blobs=blobs or None, locks=locks.value if locks else None, database=choice.database)
    where = f"{made.root}, image bytes in {made.blobs}"
    text = f"made the store {where}" if made.is_new else f"the store is there already: {where}"
    result = {"store": made.root, "blobs": made.blobs, "made": made.is_new}
    return Answer(result, lambda screen: screen.line(text), is_report=True)


@command(
    "store",
    "check",
    takes_locks=True,
    epilog="Ends with 0 when the store is sound, 4 when there are only notes, 1 when there is damage; after a repair, "
    "by what is left.\n\n"
    + examples(
        "vmcatcher store check --store /srv/vmcatcher",
        "vmcatcher store check --data --json | jq '.result.findings[] | select(.damage)'",
        "vmcatcher store check --data --repair        # then: vmcatcher sync",
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
) -> Answer:
    """Look for damage. Every finding is a line: the invariant, damage or note, the path, what is wrong with it.

    With --repair, whatever was done is a line before those of what is left. Nothing is deleted.
    """
    from vmcatcher import wiring  # noqa: PLC0415 - `--help` must not pay for it
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
    code = _DAMAGED if found.damaged else _ONLY_NOTES if found.notes else 0
    logger.info("%s: %d places damaged, %d notes", layout.root, found.damaged, found.notes)
    return Answer(_document(layout, found), lambda screen: _show(screen, found), found.failed, code)


def _show(screen: Screen, found: Examination) -> None:
    for line in (*found.repaired, *found.findings):
        screen.line(str(line))


def _document(layout: Layout, found: Examination) -> dict[str, object]:
    findings = [
        {"invariant": one.invariant, "damage": one.is_damage, "path": one.path, "text": one.text}
        for one in found.findings
    ]
    repaired = [
        {"invariant": one.finding.invariant, "path": one.finding.path, "text": one.text} for one in found.repaired
    ]
    return {
        "store": layout.root,
        "damaged": found.damaged,
        "notes": found.notes,
        "repaired": repaired,
        "findings": findings,
    }
