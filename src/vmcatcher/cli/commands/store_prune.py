"""vmcatcher store prune: make room."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Final

import typer

from vmcatcher.cli.commands.common import Answer, Run, command, examples

if TYPE_CHECKING:
    from vmcatcher.cli.output.screen import Screen
    from vmcatcher.model.retention import Retentions
    from vmcatcher.services.pruning import PruneReport
    from vmcatcher.settings import Settings

_OPTIONS: Final = {
    "expired": "--expired-retention",
    "grace": "--grace",
    "snapshots": "--snapshots",
    "event_log": "--event-log",
    "failed_events": "--failed-events",
    "quarantine": "--quarantine",
}


def _time(text: str) -> object:
    return typer.Option(metavar="TIME", help=text)


_Expired = Annotated[str | None, _time("Keep expired images that long (default: 90d).")]
_Grace = Annotated[str | None, _time("Keep unneeded bytes and left-overs of runs that long (default: 14d).")]
_Snapshots = Annotated[str | None, _time("Keep signed lists that long after newer ones (default: keep).")]
_EventLog = Annotated[str | None, _time("Keep what runs told that long (default: keep).")]
_FailedEvents = Annotated[str | None, _time("Keep events that were given up that long (default: keep).")]
_Quarantine = Annotated[str | None, _time("Keep what is in quarantine that long (default: keep).")]


@command(
    "store",
    "prune",
    epilog="A TIME is 90d, 12h, 30m, 2w, 0, or keep, which is for ever.\n\n"
    "Ends with 0 when all of it was dropped, 1 when something could not be, 75 while a cache run is going on.\n\n"
    + examples(
        "vmcatcher store prune --dry-run                        # see what would go",
        "vmcatcher store prune --expired-retention 30d --snapshots 365d",
    ),
    takes_locks=True,
)
def prune(  # noqa: PLR0913 - a parameter for each flag: typer reads them from here
    run: Run,
    *,
    dry_run: Annotated[
        bool, typer.Option("-n", "--dry-run", help="Say what would be dropped and change nothing.")
    ] = False,
    expired_retention: _Expired = None,
    grace: _Grace = None,
    snapshots: _Snapshots = None,
    event_log: _EventLog = None,
    failed_events: _FailedEvents = None,
    quarantine: _Quarantine = None,
) -> Answer:
    """Drop what has been kept long enough: expired images, then bytes that nothing needs.

    Never dropped: images in use, images that a current list names and you selected, whatever owes an event, the
    current list of a subscription, lists that a kept image came with, and files that vmcatcher did not put there.
    """
    from vmcatcher import wiring  # noqa: PLC0415 - `--help` must not pay for it
    from vmcatcher.services.pruning import plan_pruning, prune_store  # noqa: PLC0415 - likewise

    given = (expired_retention, grace, snapshots, event_log, failed_events, quarantine)
    run = run.with_flags({f"retention_{kind}": value for kind, value in zip(_OPTIONS, given, strict=True)})
    settings = run.settings
    retentions = _retentions(settings)
    context = run.demanding() if dry_run else run.writing()
    shown = wiring.shown_views(settings, context.layout)
    is_told = not (run.is_json or run.is_quiet)
    if dry_run:
        report = plan_pruning(context, shown, retentions)
    else:
        # At once, each: it may take a while, and be interrupted.
        report = prune_store(context, shown, retentions, run.write_printable if is_told else lambda _: None)
    document = _document(context.layout.root, report, dry_run=dry_run)
    return Answer(
        document,
        lambda screen: _show(screen, report, dry_run=dry_run),
        report.failed,
        code=1 if report.failed else 0,
        is_report=not dry_run,
        is_told=True,
    )


def _retentions(settings: Settings) -> Retentions:
    from vmcatcher.model.retention import Retentions, parse_retention  # noqa: PLC0415 - likewise

    return Retentions(
        **{kind: parse_retention(_given_by(settings, kind), settings.text(f"retention_{kind}")) for kind in _OPTIONS}
    )


def _given_by(settings: Settings, kind: str) -> str:
    source = settings.sources[f"retention_{kind}"]
    if source == "option":
        return _OPTIONS[kind]
    return f"retention.{kind} in {source}" if os.path.isabs(source) else source


def _show(screen: Screen, report: PruneReport, *, dry_run: bool) -> None:
    if dry_run:
        screen.line("nothing is changed; this is what would be dropped:")
        for one in report.dropped:
            screen.line(str(one))
    from vmcatcher.cli.output.human import counted  # noqa: PLC0415 - likewise

    screen.line(f"total: {counted(len(report.dropped), 'thing')}, {counted(report.freed_bytes, 'byte')}")


def _document(root: str, report: PruneReport, *, dry_run: bool) -> dict[str, object]:
    dropped = [
        {
            "kind": one.kind,
            "path": one.path,
            "reason": one.reason,
            "size": one.size_bytes,
            "freed": one.freed_bytes,
            "shared": one.is_shared,
        }
        for one in report.dropped
    ]
    return {"store": root, "dry_run": dry_run, "freed": report.freed_bytes, "dropped": dropped}
