"""vmcatcher subscription update: bring lists up to date, and leave the images to the next sync."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from vmcatcher.cli import completion
from vmcatcher.cli.commands.common import Answer, Run, command, examples

if TYPE_CHECKING:
    from vmcatcher.cli.output.screen import Screen
    from vmcatcher.services.update import UpdateReport

_Lists = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="LIST...",
        help="Subscriptions: identifiers, how they begin, titles or URIs (default: all).",
        autocompletion=completion.subscriptions,
    ),
]
_Handler = Annotated[
    str | None, typer.Option("-x", "--execute", metavar="COMMAND", help="Handler to run (default: the configured one).")
]


@command(
    "subscription",
    "update",
    epilog="In a pipe a line for each list that could be had: list, admitted or unchanged, version before, version "
    "now, new images. Images are left as they are; `vmcatcher sync` does both. Ends with 0; with 1 when a list was "
    "refused, with 75 when all of that may pass or another update is going on.\n\n"
    + examples("vmcatcher subscription update", "vmcatcher subscription update 11111111-aaaa"),
    takes_locks=True,
)
def update(run: Run, subscriptions: _Lists = None, *, handler: _Handler = None) -> Answer:
    """Fetch lists, verify them, and keep those that are new."""
    from vmcatcher import wiring  # noqa: PLC0415 - `--help` must not pay for it
    from vmcatcher.services.choosing import choose_subscription  # noqa: PLC0415 - likewise
    from vmcatcher.services.update import update_all  # noqa: PLC0415 - likewise

    run = run.with_flag("sub_event", handler)
    context = run.writing()
    only = [choose_subscription(context, one).identifier for one in subscriptions] if subscriptions else None
    teller = wiring.teller(run.settings, context, "sub_event", {}, locks=("update",))
    with wiring.tools(run.settings, context) as tools:
        report = update_all(context, tools, teller, only=only)
    return Answer(_document(report), lambda screen: _show(screen, report), report.failed, is_report=True)


def _document(report: UpdateReport) -> dict[str, object]:
    return {
        "lists": [
            {
                "list": one.list_id,
                "admitted": one.is_news,
                "version_before": one.version_before,
                "version": one.version,
                "new_images": one.appeared,
            }
            for one in report.done
        ]
    }


def _show(screen: Screen, report: UpdateReport) -> None:
    from vmcatcher.cli.output.screen import Column, Kind, Toned  # noqa: PLC0415 - likewise

    columns = (
        Column("list", Kind.NAME),
        Column("became"),
        Column("before"),
        Column("version"),
        Column("new images", Kind.COUNT),
    )
    screen.table(
        columns,
        [
            (
                one.list_id,
                Toned("admitted", "good") if one.is_news else "unchanged",
                one.version_before,
                one.version,
                len(one.appeared),
            )
            for one in report.done
        ],
    )
