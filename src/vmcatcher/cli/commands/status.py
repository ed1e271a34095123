"""vmcatcher status: how everything stands, for people and for monitoring."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from vmcatcher.cli.commands.common import Answer, Run, command, examples

if TYPE_CHECKING:
    from datetime import timedelta

    from vmcatcher.model.health import Health
    from vmcatcher.model.troubles import Patience
    from vmcatcher.services.context import Context
    from vmcatcher.services.health import HealthRequest


@command(
    "status",
    "status",
    epilog="Ends with 0 when all is well, with 1 when somebody has to do something now or soon, and with 75 when there "
    "is nothing but what the next run may put right, or no store. In a pipe each line begins with status, trouble, "
    "list, image, certificate, crl, events, amount, space or lock.\n\n"
    + examples(
        "vmcatcher status",
        "vmcatcher status --max-age 6h --warn-within 14d --quiet",
        "vmcatcher status --quiet --prometheus /var/lib/prometheus/node-exporter/vmcatcher.prom",
        "vmcatcher status | awk -F'\\t' '$1 == \"trouble\"'",
        "vmcatcher status --json | jq -r '.result.troubles[] | \"\\(.severity) \\(.id) \\(.subject)\"'",
    ),
)
def status(
    run: Run,
    *,
    max_age: Annotated[
        str,
        typer.Option(
            metavar="TIME", help="How long a list may go without an update, and an image be on its way (at least 2h)."
        ),
    ] = "24h",
    warn_within: Annotated[
        str, typer.Option(metavar="TIME", help="Say so when a list or certificate ends within this time.")
    ] = "30d",
    prometheus: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Also write metrics to FILE, for the textfile collector of node_exporter."),
    ] = None,
) -> Answer:
    """Show on one screen how everything stands: lists, images, events, certificates, space, locks.

    Nothing is changed and no lock is taken: it may run as any user who can read the store, and during a sync. The
    network is not asked.
    """
    from vmcatcher.cli.output.health import health_document, show_health  # noqa: PLC0415 - `--help` must not pay for it

    patience = _patience(max_age, warn_within)
    health = _look(run, patience)
    if prometheus is not None:
        from vmcatcher.services.prometheus import write_metrics  # noqa: PLC0415 - likewise

        write_metrics(prometheus, health)
    code = _code(health)
    return Answer(health_document(health), lambda screen: show_health(screen, health), code=code, is_report=True)


def _look(run: Run, patience: Patience) -> Health:
    from vmcatcher.services.health import look_at_health  # noqa: PLC0415 - likewise

    context = run.demanding()
    return look_at_health(context, _request(run, context, patience))


def _request(run: Run, context: Context, patience: Patience) -> HealthRequest:
    from vmcatcher import wiring  # noqa: PLC0415 - likewise
    from vmcatcher.errors.trust import TrustDirectoryEmpty, TrustDirectoryMissing  # noqa: PLC0415 - likewise
    from vmcatcher.services.health import HealthRequest  # noqa: PLC0415 - likewise

    settings = run.settings
    views = wiring.shown_views(settings, context.layout)
    rules = wiring.trust_rules(settings)
    try:
        anchors = wiring.trust_anchors(settings, context.layout)
    except (TrustDirectoryMissing, TrustDirectoryEmpty) as error:
        return HealthRequest(views, rules, error, patience)
    return HealthRequest(views, rules, anchors, patience)


def _patience(max_age: str, warn_within: str) -> Patience:
    from vmcatcher.model.troubles import Patience  # noqa: PLC0415 - likewise

    return Patience(_span(max_age, "--max-age"), _span(warn_within, "--warn-within"))


def _span(text: str, option: str) -> timedelta:
    from datetime import timedelta  # noqa: PLC0415 - likewise

    from vmcatcher.errors.settings import BadSetting  # noqa: PLC0415 - likewise
    from vmcatcher.model.quantities import TIMES, seconds_in  # noqa: PLC0415 - likewise

    seconds = seconds_in(text)
    if seconds is None or seconds > 10 * 366 * 86400:
        raise BadSetting(name=option, value=text, expected=TIMES)
    return timedelta(seconds=seconds)


def _code(health: Health) -> int:
    from vmcatcher.model.health import Severity  # noqa: PLC0415 - likewise

    return {None: 0, Severity.PASSING: 75}.get(health.worst, 1)
