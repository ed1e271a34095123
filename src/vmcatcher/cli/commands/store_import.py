"""vmcatcher store import-db: the way over from the database of the classic program."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from vmcatcher.cli.commands.common import Answer, Run, command, examples

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmcatcher.cli.output.screen import Screen
    from vmcatcher.services.import_db import ImportReport
    from vmcatcher.settings import Settings


@command(
    "store",
    "import-db",
    epilog="Ends with 0 when everything was taken over, 1 when something was left out; what, is said.\n\n"
    + examples(
        "vmcatcher store import-db --dry-run sqlite:////var/lib/vmcatcher/vmcatcher.db",
        "vmcatcher store import-db --cache-dir /var/cache/vmimages/endorsed \\",
        "    --expired-dir /var/cache/vmimages/expired /var/lib/vmcatcher/vmcatcher.db",
    ),
    takes_locks=True,
)
def import_db(  # noqa: PLR0913 - a parameter for each flag: typer reads them from here
    run: Run,
    database: Annotated[str, typer.Argument(metavar="DATABASE", help="The database, by its path or its classic URL.")],
    *,
    cache_dir: Annotated[
        str | None, typer.Option(metavar="DIR", help="Cached images to take over (default: as vmcatcher_cache).")
    ] = None,
    expired_dir: Annotated[
        str | None, typer.Option(metavar="DIR", help="Expired images to take over (default: as vmcatcher_cache).")
    ] = None,
    move: Annotated[
        bool, typer.Option("--move", help="Put links into the store in the place of the files taken over.")
    ] = False,
    cert_dir: Annotated[
        str | None, typer.Option("-c", "--cert-dir", metavar="DIR", help="Trust-anchor directory.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("-n", "--dry-run", help="Say what would be done and change nothing.")
    ] = False,
) -> Answer:
    """Fill the store from the database of a classic vmcatcher (0.2 to 0.6) and from its directories.

    The store is made if it is not there: the one that --store or a setting names, else the directory that the database
    stands for (DIR/NAME for DIR/NAME.db). The database is never written to, and its directories keep every file, unless
    --move says otherwise. Doing it again does what is missing.
    """
    from vmcatcher import wiring  # noqa: PLC0415 - `--help` must not pay for it
    from vmcatcher.services.import_db import ImportRequest, import_database  # noqa: PLC0415 - likewise

    given = {"trust_directory": cert_dir, "cache_directory": cache_dir, "expired_directory": expired_dir}
    settings = run.with_flags(given).settings
    path, context = wiring.importing(settings, run.command, database)
    cache, expired = _directories(settings)
    request = ImportRequest(path, cache, expired, move, dry_run)
    anchors = wiring.trust_anchors(settings, context.layout)
    report = import_database(context, request, anchors, wiring.trust_rules(settings))
    # What is left out is said among the lines of the report, or in the document.
    return Answer(_document(report), lambda screen: _show(screen, report), report.failed, is_told=True)


def _directories(settings: Settings) -> tuple[str | None, str | None]:
    """Return the directories as vmcatcher_cache finds them, but that none is taken for granted."""
    cache = settings.optional("cache_directory")
    expired = settings.optional("expired_directory")
    if expired is None and cache is not None:
        below = os.path.join(cache, "expired")
        expired = below if os.path.isdir(below) else None
    return cache, expired


def _show(screen: Screen, report: ImportReport) -> None:
    for line in _lines(report):
        screen.line(line)


def _lines(report: ImportReport) -> Iterator[str]:
    if report.dry_run:
        yield "nothing is changed; this is what an import would do:"
    yield f"database: {report.database} (version {report.version})"
    yield f"store: {report.store}"
    for what, count in report.counts.items():
        yield f"{what}: {count}"
    for warning in report.warnings:
        yield f"note: {warning}"
    for failure in report.failed:
        yield f"left out: {failure.error.one_line()} [{failure.subject}]"


def _document(report: ImportReport) -> dict[str, object]:
    return {
        "database": report.database,
        "version": report.version,
        "sha512": report.sha512,
        "store": report.store,
        "dry_run": report.dry_run,
        "counts": dict(report.counts),
        "notes": list(report.warnings),
    }
