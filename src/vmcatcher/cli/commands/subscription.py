"""vmcatcher subscription: the image lists that are subscribed to."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Annotated

import typer

from vmcatcher.cli import completion
from vmcatcher.cli.commands.batch import each
from vmcatcher.cli.commands.common import Answer, Run, command, examples
from vmcatcher.cli.commands.rules import Whose
from vmcatcher.model.subscription import NewImages, Subscription, TlsTrust

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vmcatcher.cli.output.screen import Screen, Tone
    from vmcatcher.services.context import Context
    from vmcatcher.services.overview import SubscriptionLine
    from vmcatcher.services.subscribe import Subscribed, SubscribeRequest

logger = logging.getLogger("main")

_List = Annotated[
    str,
    typer.Argument(metavar="LIST", help="A subscription: identifier, how it begins, title or URI.",
                   autocompletion=completion.subscriptions),
]  # fmt: skip
_AutoEndorse = Annotated[bool, typer.Option("--auto-endorse", help="Trust whoever signed it as an endorser.")]
_NewImages = Annotated[
    NewImages, typer.Option(help="What becomes of the images of this list, and of those that later ones name.")
]
_Tls = Annotated[
    Whose, typer.Option(help="Whose CAs an https server needs: those of the system, or the trust anchors.")
]
_Insecure = Annotated[bool, typer.Option("--insecure", help="Do not verify the https server; the list always is.")]
_Username = Annotated[str | None, typer.Option(metavar="USER", help="User name for the server of the list.")]
_PasswordFile = Annotated[
    str | None, typer.Option(metavar="FILE", help="Password in the first line; - is stdin, on a terminal a prompt.")
]
_CertDir = Annotated[str | None, typer.Option("-c", "--cert-dir", metavar="DIR", help="Trust-anchor directory.")]
_Image = Annotated[
    list[str], typer.Argument(metavar="IMAGE...", help="Identifiers of images.", autocompletion=completion.images)
]


@command(
    "subscription",
    "list",
    epilog="In a pipe a line for each: list, current, expired, untrusted or none yet, selected images, images, end of "
    "the list, last success, URI, last error.\n\n"
    + examples(
        "vmcatcher subscription list",
        "vmcatcher subscription list | awk -F'\\t' '$2 != \"current\" { print $1 }'",
    ),
)
def list_all(run: Run) -> Answer:
    """List the subscriptions and how they stand."""
    from vmcatcher.services.overview import Overview, overview  # noqa: PLC0415 - `--help` must not pay for it

    context = run.reading()
    found = overview(context) if context else Overview((), ())
    documents = [_line_document(one) for one in found.lines]
    return Answer({"subscriptions": documents}, lambda screen: _show_lines(screen, found.lines), found.failed)


def _line_document(one: SubscriptionLine) -> dict[str, object]:
    return {
        "subscription": one.subscription.identifier,
        "description": one.subscription.description,
        "uri": one.subscription.uri,
        "standing": one.standing,
        "expires": one.expires,
        "updated": one.updated,
        "error": one.error,
        "selected": one.selected,
        "images": one.images,
        "endorsers": one.subscription.endorsers,
    }


def _show_lines(screen: Screen, lines: Sequence[SubscriptionLine]) -> None:
    from vmcatcher.cli.output.screen import Column, Kind, Toned  # noqa: PLC0415 - likewise

    tones: dict[str, Tone] = {"current": "good", "none yet": "warn"}
    columns = (
        Column("list", Kind.NAME),
        Column("standing", Kind.NAME),
        Column("selected", Kind.COUNT),
        Column("images", Kind.COUNT),
        Column("expires", Kind.AGE),
        Column("updated", Kind.AGE),
        Column("uri"),
        Column("error"),
    )
    screen.table(
        columns,
        [
            (
                one.subscription.identifier,
                Toned(one.standing, tones.get(one.standing, "bad")),
                one.selected,
                one.images,
                one.expires,
                one.updated,
                one.subscription.uri,
                Toned(one.error, "bad"),
            )
            for one in lines
        ],
    )


@command(
    "subscription",
    "show",
    epilog=examples("vmcatcher subscription show 11111111-aaaa", "vmcatcher subscription show 'My images' --json"),
)
def show(run: Run, subscription: _List) -> Answer:
    """Show a subscription, what was decided about it, and its current list."""
    from vmcatcher.cli.output.details import subscription_details, subscription_facts  # noqa: PLC0415 - likewise
    from vmcatcher.services.choosing import choose_subscription  # noqa: PLC0415 - likewise
    from vmcatcher.services.subscriptions import subscription_info  # noqa: PLC0415 - likewise

    context = run.demanding()
    info = subscription_info(context, choose_subscription(context, subscription))
    return Answer(subscription_details(info), lambda screen: screen.facts(subscription_facts(info)))


@command(
    "subscription",
    "add",
    epilog="The list is fetched and verified, and its images are registered; the next `vmcatcher sync` takes it, and "
    "every one after that keeps it up to date. A user name and password in the URI are taken out of it. Where it is "
    "subscribed to already, nothing is changed: `vmcatcher subscription set` does that.\n\n"
    + examples(
        "vmcatcher subscription add https://example.org/images.list",
        "vmcatcher subscription add --auto-endorse --new-images subscribe https://example.org/images.list",
        "vmcatcher subscription add --username token --password-file - https://example.org/images.list",
    ),
)
def add(  # noqa: PLR0913 - a parameter for each flag: typer reads them from here
    run: Run,
    uri: Annotated[str, typer.Argument(metavar="URI", help="Where the list is: http, https, file, or a path.")],
    *,
    auto_endorse: _AutoEndorse = False,
    new_images: _NewImages = NewImages.REFUSE,
    tls: _Tls = Whose.SYSTEM,
    insecure: _Insecure = False,
    username: _Username = None,
    password_file: _PasswordFile = None,
    cert_dir: _CertDir = None,
) -> Answer:
    """Subscribe to the image list at a URI."""
    from vmcatcher import wiring  # noqa: PLC0415 - likewise
    from vmcatcher.cli.passwords import read_password  # noqa: PLC0415 - likewise
    from vmcatcher.services.context import Failure  # noqa: PLC0415 - likewise
    from vmcatcher.services.subscribe import SubscribeRequest, subscribe  # noqa: PLC0415 - likewise

    run = run.with_flag("trust_directory", cert_dir)
    request = SubscribeRequest(
        uri=uri,
        directory=os.getcwd(),
        auto_endorse=auto_endorse,
        new_images=new_images,
        tls=TlsTrust.IGTF if tls is Whose.IGTF else TlsTrust.UNSET,
        insecure=insecure,
        username=username,
        password=None if password_file is None else read_password(password_file),
    )
    context = run.writing(create=True)
    with wiring.tools(run.settings, context) as tools:
        made = subscribe(context, tools, request)
    if not made.is_new:
        _tell_ignored(made.subscription, request)
    failed = tuple(Failure(made.subscription.identifier, problem) for problem in made.problems)
    return Answer(_added(made), lambda screen: _show_added(screen, made), failed, is_report=True)


def _tell_ignored(one: Subscription, request: SubscribeRequest) -> None:
    asked = {
        "--new-images": request.new_images not in (NewImages.REFUSE, one.new_images),
        "--tls": request.tls not in (TlsTrust.UNSET, one.tls),
        "--insecure": request.insecure and not one.insecure,
        "--username": request.username not in (None, one.username),
        "--password-file": request.password is not None,
    }
    if ignored := " and ".join(option for option, is_other in asked.items() if is_other):
        text = "%s was subscribed to before, and %s changed nothing; use `vmcatcher subscription set %s`"
        logger.warning(text, one.identifier, ignored, one.identifier)


def _added(made: Subscribed) -> dict[str, object]:
    return {
        "subscription": made.subscription.identifier,
        "new": made.is_new,
        "endorser": made.endorser.identifier,
        "endorser_new": made.is_endorser_new,
        "images": len(made.subscription.images),
    }


def _show_added(screen: Screen, made: Subscribed) -> None:
    screen.line(f"{'subscribed' if made.is_new else 'already subscribed'} to {made.subscription.identifier}")
    if made.is_endorser_new:
        screen.line(f"new endorser {made.endorser.identifier}: {made.endorser.credentials[0].subject}")


@command(
    "subscription",
    "remove",
    epilog="Its images leave at the next run. What was the newest list stays known, so that no older one can come back "
    "in its place.\n\n"
    + examples("vmcatcher subscription remove 11111111-aaaa", "vmcatcher subscription remove --yes LIST # in scripts"),
    asks=True,
)
def remove(run: Run, subscription: _List) -> Answer:
    """Forget a subscription with its lists."""
    from vmcatcher.cli.output.human import counted  # noqa: PLC0415 - likewise
    from vmcatcher.services.choosing import choose_subscription  # noqa: PLC0415 - likewise
    from vmcatcher.services.subscriptions import delete_subscription  # noqa: PLC0415 - likewise

    context = run.writing()
    found = choose_subscription(context, subscription)
    about = f"{found.identifier} ({found.uri})"
    run.demand_consent(f"remove the subscription {about} with {counted(len(found.selected), 'selected image')}")
    delete_subscription(context, found.identifier)
    text = f"removed the subscription {about}"
    return Answer({"subscription": found.identifier}, lambda screen: screen.line(text), is_report=True)


@command(
    "subscription",
    "accept",
    epilog=examples("vmcatcher subscription accept 11111111-aaaa c0ffee00-bbbb-4bbb-8bbb-000000000001"),
)
def accept(run: Run, subscription: _List, images: _Image) -> Answer:
    """Accept images that the list newly names, so that they can be selected."""
    from vmcatcher.services.subscriptions import accept_image  # noqa: PLC0415 - likewise

    return _decide(run, subscription, images, ("accepted", accept_image))


@command(
    "subscription",
    "refuse",
    epilog=examples("vmcatcher subscription refuse 11111111-aaaa c0ffee00-bbbb-4bbb-8bbb-000000000001"),
)
def refuse(run: Run, subscription: _List, images: _Image) -> Answer:
    """Refuse images of the list: no policy takes them again, and what is in the cache leaves at the next run."""
    from vmcatcher.services.subscriptions import refuse_image  # noqa: PLC0415 - likewise

    return _decide(run, subscription, images, ("refused", refuse_image))


def _decide(
    run: Run, subscription: str, images: Sequence[str], decision: tuple[str, Callable[[Context, str, str], None]]
) -> Answer:
    from vmcatcher.services.choosing import choose_subscription  # noqa: PLC0415 - likewise

    word, decide = decision
    context = run.writing()
    list_id = choose_subscription(context, subscription).identifier

    def decided(image: str) -> str:
        decide(context, list_id, image)
        return image

    done, failed = each(images, decided)
    result = {"subscription": list_id, word: done}
    return Answer(result, lambda screen: screen.lines(f"{word} {one}" for one in done), failed, is_report=True)


@command(
    "subscription",
    "allow-older",
    epilog="Ends with 1 where no list of that identifier was ever admitted.\n\n"
    + examples(
        "vmcatcher subscription allow-older 11111111-aaaa-4aaa-8aaa-000000000001",
        "vmcatcher sync                          # takes the older list, and says so",
    ),
)
def allow_older(
    run: Run,
    identifier: Annotated[str, typer.Argument(metavar="LIST", help="Identifier of the list, whole.")],
) -> Answer:
    """Let the next list of a subscription be older than the newest one ever admitted.

    For a list whose version ran away, by mistake or by a thief of the key: lists with a sane version are refused as
    older from then on. Ask the endorser first. Everything else is judged as ever, it holds for one list only, and it
    is logged. The list may be one whose subscription was deleted.
    """
    from vmcatcher.services import older_lists  # noqa: PLC0415 - likewise

    older_lists.allow_older(run.writing(), identifier)
    text = f"the next list of {identifier} may be older than the newest one ever admitted"
    return Answer({"subscription": identifier}, lambda screen: screen.line(text), is_report=True)
