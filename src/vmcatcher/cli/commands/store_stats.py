"""vmcatcher store stats: how much of everything is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmcatcher.cli.commands.common import Answer, Run, command, examples

if TYPE_CHECKING:
    from vmcatcher.cli.output.screen import Screen
    from vmcatcher.store.stats import Stats


@command(
    "store",
    "stats",
    epilog="In a pipe each line begins with kind or space. Ends with 0, or with 1 when something could not be read and "
    "is not counted.\n\n"
    + examples(
        "vmcatcher store stats",
        "vmcatcher store stats --json | jq '.result.kinds[\"blobs unneeded\"].allocated'",
    ),
)
def stats(run: Run) -> Answer:
    """Show how much of everything the store holds, what it takes on disk, and how much space is left."""
    from vmcatcher import wiring  # noqa: PLC0415 - `--help` must not pay for it
    from vmcatcher.services.context import Failure  # noqa: PLC0415 - likewise
    from vmcatcher.services.pruning import count_store  # noqa: PLC0415 - likewise

    context = run.demanding()
    found = count_store(context, wiring.shown_views(run.settings, context.layout))
    failed = tuple(Failure("not counted", error) for error in found.errors)
    return Answer(_document(context.layout.root, found), lambda screen: _show(screen, found), failed)


def _show(screen: Screen, found: Stats) -> None:
    from vmcatcher.cli.output.screen import Column, Kind  # noqa: PLC0415 - likewise

    screen.table(
        (
            Column("what"),
            Column("kind"),
            Column("number", Kind.COUNT),
            Column("size", Kind.SIZE),
            Column("on disk", Kind.SIZE),
            Column("oldest", Kind.AGE),
            Column("newest", Kind.AGE),
        ),
        [
            ("kind", one.kind, one.count, one.size_bytes, one.allocated_bytes, one.oldest, one.newest)
            for one in found.tallies
        ],
    )
    screen.line("") if screen.is_terminal else None
    screen.table(
        (Column("what"), Column("at", Kind.NAME), Column("free", Kind.SIZE), Column("total", Kind.SIZE)),
        [("space", one.path, one.free_bytes, one.total_bytes) for one in found.file_systems],
    )


def _document(root: str, found: Stats) -> dict[str, object]:
    kinds = {
        one.kind: {
            "count": one.count,
            "bytes": one.size_bytes,
            "allocated": one.allocated_bytes,
            "oldest": one.oldest,
            "newest": one.newest,
        }
        for one in found.tallies
    }
    spaces = [{"path": one.path, "total": one.total_bytes, "free": one.free_bytes} for one in found.file_systems]
    return {"store": root, "kinds": kinds, "file_systems": spaces}
