"""vmcatcher endorser: whose signatures count, and for which subscriptions."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated, Final

import typer

from vmcatcher.cli import completion
from vmcatcher.cli.commands.common import Answer, Run, command, examples

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vmcatcher.cli.output.screen import Cell, Screen
    from vmcatcher.model.endorser import Endorser
    from vmcatcher.model.subscription import Subscription

logger = logging.getLogger("main")

_Endorser = Annotated[
    str,
    typer.Argument(metavar="ENDORSER", help="An endorser, or how it begins.", autocompletion=completion.endorsers),
]
_List = Annotated[
    str,
    typer.Argument(metavar="LIST", help="A subscription: identifier, how it begins, title or URI.",
                   autocompletion=completion.subscriptions),
]  # fmt: skip
_DNS: Final = '"/DC=org/DC=example/CN=Alice" --issuer "/DC=org/DC=example/CN=Example CA"'


@command(
    "endorser",
    "list",
    epilog="In a pipe a line for each credential: endorser, subject, issuer, number of subscriptions.\n\n"
    + examples("vmcatcher endorser list", "vmcatcher endorser list | cut -f1 | sort -u"),
)
def list_endorsers(run: Run) -> Answer:
    """List the endorsers with their credentials."""
    from vmcatcher.services import listing  # noqa: PLC0415 - `--help` must not pay for it
    from vmcatcher.services.endorsers import list_links  # noqa: PLC0415 - likewise

    context = run.reading()
    found = listing.list_endorsers(context) if context else ()
    links = [link.endorser for link in list_links(context)] if context else []
    documents = [{**_document(one), "subscriptions": links.count(one.identifier)} for one in found]
    rows = [
        (one.identifier, own.subject, own.issuer, links.count(one.identifier))
        for one in found
        for own in one.credentials
    ]
    return Answer({"endorsers": documents}, lambda screen: _show_rows(screen, rows))


def _show_rows(screen: Screen, rows: Sequence[tuple[str, str, str, int]]) -> None:
    from vmcatcher.cli.output.screen import Column, Kind  # noqa: PLC0415 - likewise

    columns = (Column("endorser", Kind.NAME), Column("subject"), Column("issuer"), Column("lists", Kind.COUNT))
    screen.table(columns, rows)


@command("endorser", "show", epilog=examples("vmcatcher endorser show alice"))
def show(run: Run, endorser: _Endorser) -> Answer:
    """Show an endorser: its credentials and what it may sign."""
    from vmcatcher.services.choosing import choose_endorser  # noqa: PLC0415 - likewise
    from vmcatcher.services.endorsers import find_endorser  # noqa: PLC0415 - likewise

    context = run.demanding()
    found, linked = find_endorser(context, choose_endorser(context, endorser).identifier)
    document = {**_document(found), "subscriptions": [one.identifier for one in linked]}
    return Answer(document, lambda screen: _show(screen, found, linked))


def _show(screen: Screen, found: Endorser, linked: Sequence[Subscription]) -> None:
    from vmcatcher.cli.output.screen import Kind  # noqa: PLC0415 - likewise

    facts: list[tuple[str, Cell, Kind]] = [("endorser", found.identifier, Kind.NAME), ("added", found.added, Kind.TIME)]
    for own in found.credentials:
        facts += [("subject", own.subject, Kind.TEXT), ("issuer", own.issuer, Kind.TEXT)]
    screen.facts([*facts, *(("subscription", one.identifier, Kind.NAME) for one in linked)])


def _document(one: Endorser) -> dict[str, object]:
    return {
        "endorser": one.identifier,
        "added": one.added,
        "credentials": [{"subject": own.subject, "issuer": own.issuer} for own in one.credentials],
    }


@command(
    "endorser",
    "add",
    epilog="The two names are those of the certificate, as `openssl x509 -noout -subject -issuer -nameopt compat` "
    "shows them. An endorser who is known already gets one more credential.\n\n"
    + examples(f"vmcatcher endorser add alice --subject {_DNS}"),
)
def add(
    run: Run,
    endorser: Annotated[str, typer.Argument(metavar="ENDORSER", help="An identifier, such as a name.")],
    *,
    subject: Annotated[list[str], typer.Option("--subject", "--dn", metavar="DN", help="Subject (repeatable).")],
    issuer: Annotated[
        list[str], typer.Option("--issuer", metavar="DN", help="Issuer; one for all subjects, or one for each.")
    ],
) -> Answer:
    """Add an endorser, or a credential to one that is there."""
    from vmcatcher.services.endorsers import create_endorser, pair_credentials  # noqa: PLC0415 - likewise

    credentials = pair_credentials(subject, issuer)
    for name in dict.fromkeys((*subject, *issuer)):
        if not name.startswith("/"):
            # As `openssl x509` writes them without -nameopt: it would wait for a signature that never matches.
            logger.warning("'%s' is no name of a certificate as lists have it, such as /DC=org/CN=Alice", name)
    made = create_endorser(run.writing(create=True), endorser, credentials)
    if made.added:
        text = f"{len(made.added)} credential{'s' if len(made.added) > 1 else ''} added to {made.endorser.identifier}"
    else:
        text = f"{made.endorser.identifier} had this credential already"
    result = {**_document(made.endorser), "added_credentials": len(made.added)}
    return Answer(result, lambda screen: screen.line(text), is_report=True)


@command(
    "endorser",
    "remove",
    epilog="Images that only this endorser vouched for leave at the next run.\n\n"
    + examples("vmcatcher endorser remove alice", "vmcatcher endorser remove --yes alice   # in scripts"),
    asks=True,
)
def remove(run: Run, endorser: _Endorser) -> Answer:
    """Forget an endorser, and unlink it from every subscription."""
    from vmcatcher.cli.output.human import counted  # noqa: PLC0415 - likewise
    from vmcatcher.services.choosing import choose_endorser  # noqa: PLC0415 - likewise
    from vmcatcher.services.endorsers import delete_endorser, find_endorser  # noqa: PLC0415 - likewise

    context = run.writing()
    found, linked = find_endorser(context, choose_endorser(context, endorser).identifier)
    subscriptions = counted(len(linked), "subscription")
    run.demand_consent(f"remove the endorser {found.identifier} and unlink it from {subscriptions}")
    delete_endorser(context, found.identifier)
    result = {"endorser": found.identifier, "unlinked": [one.identifier for one in linked]}
    return Answer(result, lambda screen: screen.line(f"removed the endorser {found.identifier}"), is_report=True)


@command("endorser", "link", epilog=examples("vmcatcher endorser link alice 11111111-aaaa"))
def link(run: Run, endorser: _Endorser, subscription: _List) -> Answer:
    """Let an endorser sign the list of a subscription."""
    return _change(run, endorser, subscription, is_link=True)


@command(
    "endorser",
    "unlink",
    epilog="The images of the list leave at the next run, if nobody else who is linked signed it.\n\n"
    + examples("vmcatcher endorser unlink alice 11111111-aaaa"),
)
def unlink(run: Run, endorser: _Endorser, subscription: _List) -> Answer:
    """Let an endorser no longer sign the list of a subscription."""
    return _change(run, endorser, subscription, is_link=False)


def _change(run: Run, endorser: str, subscription: str, *, is_link: bool) -> Answer:
    from vmcatcher.errors.requests import AlreadyLinked, NotLinked  # noqa: PLC0415 - likewise
    from vmcatcher.services.choosing import choose_endorser, choose_subscription  # noqa: PLC0415 - likewise
    from vmcatcher.services.endorsers import link_endorser, unlink_endorser  # noqa: PLC0415 - likewise

    context = run.writing()
    who = choose_endorser(context, endorser).identifier
    what = choose_subscription(context, subscription).identifier
    text = f"{who} {'may' if is_link else 'may no longer'} sign {what}"
    changed = True
    try:
        (link_endorser if is_link else unlink_endorser)(context, who, what)
    except (AlreadyLinked, NotLinked):
        # Asked for again by a script that is run again: it is so.
        changed, text = False, f"{text}: nothing changed"
    result = {"endorser": who, "subscription": what, "linked": is_link, "changed": changed}
    return Answer(result, lambda screen: screen.line(text), is_report=True)
