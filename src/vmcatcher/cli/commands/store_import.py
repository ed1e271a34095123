"""vmcatcher store import-db: the way over from the database of the classic program."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Annotated

import typer

from vmcatcher.cli.commands.common import Run, command, examples

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmcatcher.services.import_db import ImportReport
    from vmcatcher.settings import Settings


def add_to(store: typer.Typer) -> None:
    """Add the command to the noun."""
    command(
        store,
        "import-db",
        epilog="Ends with 0 when everything was taken over, 1 when something was left out; what, is said.\n\n"
        + examples(
            "vmcatcher store import-db --dry-run sqlite:////var/lib/vmcatcher/vmcatcher.db",
            "vmcatcher store import-db --cache-dir /var/cache/vmimages/endorsed \\",
            "    --expired-dir /var/cache/vmimages/expired /var/lib/vmcatcher/vmcatcher.db",
        ),
        takes_locks=True,
    )(import_db)


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
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done and change nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Report as one JSON document.")] = False,
) -> int:
    """Fill the store from the database of a classic vmcatcher (0.2 to 0.6) and from its directories.

    The store is made if it is not there: the one that --store or a setting names, else the directory that the database
    stands for (DIR/NAME for DIR/NAME.db). The database is never written to, and its directories keep every file, unless
    --move says otherwise. Doing it again does what is missing.
    """
    from vmcatcher import wiring  # noqa: PLC0415 - `--help` must not pay for it
    from vmcatcher.services.import_db import ImportRequest, import_database  # noqa: PLC0415 - likewise

    for name, value in (("trust_directory", cert_dir), ("cache_directory", cache_dir)):
        run = run.with_flag(name, value)
    settings = run.with_flag("expired_directory", expired_dir).settings
    path, context = wiring.importing(settings, run.command, database)
    cache, expired = _directories(settings)
    request = ImportRequest(path, cache, expired, move, dry_run)
    anchors = wiring.trust_anchors(settings, context.layout)
    report = import_database(context, request, anchors, wiring.trust_rules(settings))
    for line in (_document(report),) if as_json else _lines(report):
        run.write_line(line)
    return 1 if report.failed else 0


def _directories(settings: Settings) -> tuple[str | None, str | None]:
    """Return the directories as vmcatcher_cache finds them, but that none is taken for granted."""
    cache = settings.optional("cache_directory")
    expired = settings.optional("expired_directory")
    if expired is None and cache is not None:
        below = os.path.join(cache, "expired")
        expired = below if os.path.isdir(below) else None
    return cache, expired


def _lines(report: ImportReport) -> Iterator[str]:
    from vmcatcher.errors import printable  # noqa: PLC0415 - likewise

    if report.dry_run:
        yield "nothing is changed; this is what an import would do:"
    yield printable(f"database: {report.database} (version {report.version})")
    yield printable(f"store: {report.store}")
    for what, count in report.counts.items():
        yield f"{what}: {count}"
    for warning in report.warnings:
        yield printable(f"note: {warning}")
    for failure in report.failed:
        yield printable(f"left out: {failure.error.one_line()} [{failure.subject}]")


def _document(report: ImportReport) -> str:
    problems = [
        {"subject": one.subject, "id": one.error.id, "text": one.error.one_line(), "facts": one.error.facts()}
        for one in report.failed
    ]
    document = {
        "format": 1,
        "database": report.database,
        "version": report.version,
        "sha512": report.sha512,
        "store": report.store,
        "dry_run": report.dry_run,
        "counts": dict(report.counts),
        "notes": list(report.warnings),
        "left_out": problems,
    }
    return json.dumps(document, indent=2, default=str)
