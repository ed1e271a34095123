"""vmcatcher trust: the CAs and revocation lists by which signers are judged, and why a list is taken or refused."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Final

import typer

from vmcatcher.cli import completion
from vmcatcher.cli.commands.common import Answer, Run, command, examples

if TYPE_CHECKING:
    from vmcatcher.model.subscription import Subscription
    from vmcatcher.services.context import Context
    from vmcatcher.services.trust_explain import Explanation

_LONGEST_S: Final = 100 * 366 * 86400
"""A century: what is longer overflows somewhere, and is a slip."""
_CertDir = Annotated[
    str | None, typer.Option("-c", "--cert-dir", metavar="DIR", help="Trust-anchor directory to look at.")
]
_EveryCa = Annotated[bool, typer.Option("--every-ca", help="Count every CA, needed by a list of this store or not.")]


@command(
    "trust",
    "check",
    epilog="In a pipe a line for each finding: needed, unneeded or file, refuses or warns, the id, the CA or file, "
    "what it is. Ends with 1 when a list of this store is refused for something that was found, or might be where no "
    "list was admitted yet, else with 0.\n\n"
    + examples(
        "vmcatcher trust check",
        "vmcatcher trust check --every-ca --warn-within 90d",
        "vmcatcher trust check --json | jq -r '.result.authorities[] | select(.needed) | .subject'",
    ),
)
def check(
    run: Run,
    *,
    cert_dir: _CertDir = None,
    warn_within: Annotated[
        str, typer.Option(metavar="TIME", help="Warn of ends that are nearer, such as 30d or 72h.")
    ] = "30d",
    every_ca: _EveryCa = False,
) -> Answer:
    """Look at every file of the trust-anchor directory, and at the revocation lists that were fetched into the store.

    Found are files that cannot be read, CAs that are over or soon will be, revocation lists that are missing, late,
    forged or from the future, weak keys, policies that are missing or of no CA, links by a wrong hash, and copies.
    """
    from vmcatcher import grounds  # noqa: PLC0415 - `--help` must not pay for it
    from vmcatcher.cli.output.trust import check_document, show_check  # noqa: PLC0415 - likewise
    from vmcatcher.services.trust_check import check_trust  # noqa: PLC0415 - likewise

    run = run.with_flags({"trust_directory": cert_dir})
    context = _context(run)
    within = timedelta(seconds=_seconds("--warn-within", warn_within))
    report = check_trust(context, grounds.trust_ground(run.settings, context), within, every_ca=every_ca)
    return Answer(check_document(report), lambda screen: show_check(screen, report), code=1 if report.refuses else 0)


@command(
    "trust",
    "fetch-crls",
    epilog="In a pipe a line for each CA: its name, new, unchanged, kept, failed or skipped, when the list that is "
    "here was made, when the next one is due, where it came from. Ends with 0 when each CA that a list of this store "
    "needs has a revocation list that holds, 75 when only the network failed, else 1.\n\n"
    + examples(
        "vmcatcher trust fetch-crls -q                       # from cron, before the update",
        "vmcatcher trust fetch-crls --jobs 4 --json",
    ),
    takes_locks=True,
)
def fetch_crls(
    run: Run,
    *,
    cert_dir: _CertDir = None,
    jobs: Annotated[int, typer.Option(min=1, max=64, metavar="N", help="How many at once.")] = 8,
    every_ca: _EveryCa = False,
) -> Answer:
    """Fetch the revocation lists of all CAs that say where they are, into the store, where they count beside others.

    Each is verified before it takes the place of the one that is here: signed by that CA, whole, holding now, not
    older. Lists that have not changed are not transferred again. The trust-anchor directory itself is only read.
    """
    from vmcatcher import grounds  # noqa: PLC0415 - likewise
    from vmcatcher.cli.output.trust import crls_document, show_crls  # noqa: PLC0415 - likewise
    from vmcatcher.services.trust_crls import fetch_crls as fetch  # noqa: PLC0415 - likewise

    run = run.with_flags({"trust_directory": cert_dir})
    context = run.writing(create=True)
    ground = grounds.trust_ground(run.settings, context)
    with grounds.crl_network(run.settings) as transport:
        report = fetch(context, ground, transport, jobs=jobs, every_ca=every_ca)
    return Answer(crls_document(report), lambda screen: show_crls(screen, report), report.failed, is_report=True)


@command(
    "trust",
    "explain",
    epilog="In a pipe a line for each step: its name, ok, warning, failed or skipped, what was found; what belongs to "
    "a step follows it with a dot before its kind. Ends with 0 when an update would take the list, else with 1, or "
    "with 75 when it cannot be fetched.\n\n"
    + examples(
        "vmcatcher trust explain site-list                   # the current list, as if it came now",
        "vmcatcher trust explain site-list --fetch           # what its server has",
        "vmcatcher trust explain ./site.image_list",
        "vmcatcher trust explain https://images.example.org/site.image_list --json | jq .result.refusal",
    ),
)
def explain(
    run: Run,
    what: Annotated[
        str,
        typer.Argument(
            metavar="LIST|FILE|URL",
            help="A subscription, a signed list in a file, or where one is served.",
            autocompletion=completion.subscriptions,
        ),
    ],
    *,
    fetch: Annotated[bool, typer.Option("--fetch", help="What the URI of the subscription serves now.")] = False,
    cert_dir: _CertDir = None,
) -> Answer:
    """Show every step of judging a signed list, from its signature to its dates, with its verdict.

    Shown are the certificates, policy lines and revocation lists that were looked at. It goes on where an update would
    stop, so that all that is wrong is seen at once. Nothing is accepted, and nothing is written.
    """
    from vmcatcher.cli.output.trust import explanation_document, show_explanation  # noqa: PLC0415 - likewise
    from vmcatcher.services.context import Failure  # noqa: PLC0415 - likewise

    run = run.with_flags({"trust_directory": cert_dir})
    found = _explained(run, what, fetch=fetch)
    refusal = found.refusal
    failed = () if refusal is None else (Failure(found.source, refusal),)
    document = explanation_document(found)
    return Answer(document, lambda screen: show_explanation(screen, found), failed, is_told=True)


def _explained(run: Run, what: str, *, fetch: bool) -> Explanation:
    from vmcatcher import grounds  # noqa: PLC0415 - likewise
    from vmcatcher.services import trust_explain as explaining  # noqa: PLC0415 - likewise

    context, subscription = _chosen(run, what)
    ground = grounds.trust_ground(run.settings, context)
    if context is None or subscription is None:
        with grounds.list_network(run.settings) as transport:
            return explaining.explain_location(context, ground, transport, what, os.getcwd())
    if not fetch:
        return explaining.explain_current(context, ground, subscription)
    with grounds.list_network(run.settings) as transport:
        return explaining.explain_served(context, ground, transport, subscription)


def _chosen(run: Run, what: str) -> tuple[Context | None, Subscription | None]:
    """Return the subscription that is meant; None for a file or a URL, which a name without a slash is at last."""
    from vmcatcher.errors import VmcatcherError  # noqa: PLC0415 - likewise
    from vmcatcher.services.choosing import choose_subscription  # noqa: PLC0415 - likewise

    is_file = os.path.lexists(what)
    context = _context(run)
    if os.path.sep in what or (context is None and is_file):
        return context, None
    context = context or run.demanding()
    try:
        return context, choose_subscription(context, what)
    except VmcatcherError:
        if is_file:
            return context, None
        raise


def _context(run: Run) -> Context | None:
    """Return the context where there is a store; without one the directory is looked at all the same."""
    from vmcatcher import wiring  # noqa: PLC0415 - likewise

    return wiring.reading(run.settings, run.command)


def _seconds(option: str, text: str) -> float:
    from vmcatcher.errors.settings import BadSetting  # noqa: PLC0415 - likewise
    from vmcatcher.model.quantities import TIMES, seconds_in  # noqa: PLC0415 - likewise

    found = seconds_in(text)
    if found is None or found > _LONGEST_S:
        raise BadSetting(name=option, value=text, expected=TIMES)
    return found
