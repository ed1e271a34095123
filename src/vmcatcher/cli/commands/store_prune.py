"""vmcatcher store prune: make room."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Annotated, Final

import typer

from vmcatcher.cli.commands.common import Run, command, examples
from vmcatcher.errors import printable
from vmcatcher.errors.store import StoreMissing

if TYPE_CHECKING:
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


def add_to(store: typer.Typer) -> None:
    """Add the command to the noun."""
    command(
        store,
        "prune",
        epilog="A TIME is 90d, 12h, 30m, 2w, 0, or keep, which is for ever.\n\n"
        "Ends with 0 when all of it was dropped, 1 when something could not be, 75 while a cache run is going on.\n\n"
        + examples(
            "vmcatcher store prune --dry-run                        # see what would go",
            "vmcatcher store prune --expired-retention 30d --snapshots 365d",
        ),
        takes_locks=True,
    )(prune)


def _time(text: str) -> object:
    return typer.Option(metavar="TIME", help=text)


_Expired = Annotated[str | None, _time("Keep expired images that long (default: 90d).")]
_Grace = Annotated[str | None, _time("Keep unneeded bytes and left-overs of runs that long (default: 14d).")]
_Snapshots = Annotated[str | None, _time("Keep signed lists that long after newer ones (default: keep).")]
_EventLog = Annotated[str | None, _time("Keep what runs told that long (default: keep).")]
_FailedEvents = Annotated[str | None, _time("Keep events that were given up that long (default: keep).")]
_Quarantine = Annotated[str | None, _time("Keep what is in quarantine that long (default: keep).")]


def prune(  # noqa: PLR0913 - a parameter for each flag: typer reads them from here
    run: Run,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be dropped and change nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Report as one JSON document.")] = False,
    expired_retention: _Expired = None,
    grace: _Grace = None,
    snapshots: _Snapshots = None,
    event_log: _EventLog = None,
    failed_events: _FailedEvents = None,
    quarantine: _Quarantine = None,
) -> int:
    """Drop what has been kept long enough: expired images, then bytes that nothing needs.

    Never dropped: images in use, images that a current list names and you selected, whatever owes an event, the
    current list of a subscription, lists that a kept image came with, and files that vmcatcher did not put there.
    """
    from vmcatcher import wiring  # noqa: PLC0415 - `--help` must not pay for it
    from vmcatcher.services.pruning import plan_pruning, prune_store  # noqa: PLC0415 - likewise

    given = (expired_retention, grace, snapshots, event_log, failed_events, quarantine)
    for kind, value in zip(_OPTIONS, given, strict=True):
        run = run.with_flag(f"retention_{kind}", value)
    settings = run.settings
    retentions = _retentions(settings)
    context = wiring.reading(settings, run.command) if dry_run else wiring.writing(settings, run.command)
    if context is None:
        raise StoreMissing(path=wiring.choose_store(settings).root)
    shown = wiring.shown_views(settings, context.layout)
    if dry_run:
        report = plan_pruning(context, shown, retentions)
        lines = ["nothing is changed; this is what would be dropped:", *map(printable, report.dropped)]
        for line in () if as_json else lines:
            run.write_line(line)
    else:
        told = (lambda _: None) if as_json else (lambda one: run.write_line(printable(one)))
        report = prune_store(context, shown, retentions, told)
    run.write_line(_document(context.layout.root, report, dry_run=dry_run) if as_json else _total(report))
    return 1 if report.failed else 0


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


def _total(report: PruneReport) -> str:
    return f"total: {len(report.dropped)} things, {report.freed_bytes} bytes"


def _document(root: str, report: PruneReport, *, dry_run: bool) -> str:
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
    failed = [{"subject": one.subject, "id": one.error.id, "text": one.error.one_line()} for one in report.failed]
    document = {
        "format": 1,
        "store": root,
        "dry_run": dry_run,
        "freed": report.freed_bytes,
        "dropped": dropped,
        "failed": failed,
    }
    return json.dumps(document, indent=2)
