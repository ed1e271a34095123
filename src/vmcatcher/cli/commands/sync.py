"""vmcatcher sync: one run for lists, images and events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from vmcatcher.cli.commands.common import Answer, Run, command, examples

if TYPE_CHECKING:
    from vmcatcher.cli.output.screen import Screen
    from vmcatcher.services.bringing import Brought
    from vmcatcher.services.sync import SyncReport
    from vmcatcher.store.locks import LockName


@command(
    "sync",
    "sync",
    epilog="In a pipe each line begins with list or image. Ends with 0; with 1 when something could not be done, with "
    "75 when all of that may pass, another run is going on, or there is no store.\n\n"
    + examples(
        "vmcatcher sync --quiet                    # from cron",
        "vmcatcher sync --dry-run                  # the same as vmcatcher plan",
        "vmcatcher sync -x /usr/local/bin/tell-the-cloud --wait 600",
        "vmcatcher sync --json | jq -r '.result.images[] | select(.outcome != \"done\") | .image'",
    ),
    takes_locks=True,
)
def sync(
    run: Run,
    *,
    dry_run: Annotated[
        bool, typer.Option("-n", "--dry-run", help="Only show what would be done, as plan does.")
    ] = False,
    handler: Annotated[
        str | None,
        typer.Option(
            "-x", "--execute", metavar="COMMAND", help="Handler of all events (default: the configured ones)."
        ),
    ] = None,
    keep: Annotated[
        bool | None,
        typer.Option(
            "--keep-until-replaced", help="Keep a replaced image until its new bytes could be had.", show_default=False
        ),
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="How many images are downloaded at a time.")
    ] = None,
    limit_rate: Annotated[
        str | None, typer.Option(metavar="BYTES", help="Fetch no more than so many bytes in a second, such as 50M.")
    ] = None,
) -> Answer:
    """Fetch the lists, then make the cache hold what they endorse, and tell the handler what comes and goes.

    It is what vmcatcher_subscribe -U and vmcatcher_cache do, in one run that no other one comes between. One list or
    image that fails stops no other.
    """
    from vmcatcher.cli.commands import plan  # noqa: PLC0415 - `--help` must not pay for it

    given = {"cache_event": handler, "sub_event": handler, "keep_until_replaced": keep}
    run = run.with_flags({**given, "jobs": jobs, "limit_rate": limit_rate})
    if dry_run:
        return plan.planned_answer(run, is_offline=False)
    report = _synchronise(run)
    return Answer(_document(report), lambda screen: _show(screen, report), report.failed, is_report=True, is_told=True)


def _synchronise(run: Run) -> SyncReport:
    from datetime import timedelta  # noqa: PLC0415 - likewise

    from vmcatcher import wiring  # noqa: PLC0415 - likewise
    from vmcatcher.light import replace  # noqa: PLC0415 - likewise
    from vmcatcher.model.recheck import share_in  # noqa: PLC0415 - likewise
    from vmcatcher.services.cache import CacheRequest  # noqa: PLC0415 - likewise
    from vmcatcher.services.sync import Tellers, sync  # noqa: PLC0415 - likewise

    context, settings = run.writing(), run.settings
    views = wiring.shown_views(settings, context.layout)
    request = CacheRequest(
        views=views,
        recheck_after=timedelta(seconds=settings.number("recheck_after")),
        check_share=share_in(settings.optional("check_share"), settings.sources["check_share"]),
        keep_until_replaced=settings.flag("keep_until_replaced"),
        jobs=settings.count("jobs"),
        jobs_per_host=settings.count("jobs_per_host"),
    )
    locks: tuple[LockName, ...] = ("update", "cache")
    tellers = Tellers(
        wiring.teller(settings, context, "sub_event", {}, locks=locks),
        wiring.teller(settings, context, "cache_event", wiring.view_variables(views), locks=locks),
    )
    with wiring.tools(settings, context) as tools, run.showing_progress() as progress:
        return sync(replace(context, progress=progress), tools, tellers, request)


def _document(report: SyncReport) -> dict[str, object]:
    from vmcatcher.cli.output import steps  # noqa: PLC0415 - likewise

    images = [
        {
            **steps.step_document(one.step),
            "outcome": one.outcome.value,
            "fetched": _fetched(one.fetched),
            "errors": [{"id": error.id, "text": str(error)} for error in one.errors],
        }
        for one in report.images
    ]
    return {
        "lists": [steps.list_document(one) for one in report.lists],
        "images": images,
        "events": [{**steps.telling_document(one.telling), "told": one.is_told} for one in report.events],
    }


def _fetched(brought: Brought | None) -> dict[str, object] | None:
    if brought is None:
        return None
    return {
        "bytes": brought.received_bytes,
        "resumed_at": brought.resumed_at,
        "source": brought.source,
        "place": brought.place or None,
    }


def _show(screen: Screen, report: SyncReport) -> None:
    from vmcatcher.cli.output import steps  # noqa: PLC0415 - likewise

    steps.show_lists(screen, report.lists)
    steps.show_steps(screen, [one.step for one in report.images], [one.outcome.value for one in report.images])
    if screen.is_terminal and not report.images:
        screen.line("The images are as they should be." if not report.failed else "No image changed.")
