"""vmcatcher subscription history and diff, vmcatcher image history: what was endorsed when, and what changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from vmcatcher.cli import completion
from vmcatcher.cli.commands.common import Answer, Run, command, examples

if TYPE_CHECKING:
    from vmcatcher.services.context import Context

_List = Annotated[
    str,
    typer.Argument(metavar="LIST", help="A subscription: identifier, how it begins, title or URI.",
                   autocompletion=completion.subscriptions),
]  # fmt: skip
_Image = Annotated[
    str,
    typer.Argument(metavar="IMAGE", help="An image: identifier, how it begins, title, or the beginning of its SHA-512.",
                   autocompletion=completion.images),
]  # fmt: skip


@command(
    "subscription",
    "history",
    epilog="In a pipe each line begins with list (number, version, admitted, created, expires, state, images, added, "
    "withdrawn, replaced, changed, signer, endorser, SHA-512), change (number, what, image, fields, title) or gone "
    "(first and last number of lists that are not kept any more). Ends with 1 where a list is damaged.\n\n"
    + examples(
        "vmcatcher subscription history 11111111-aaaa",
        "vmcatcher subscription history 11111111-aaaa --json | jq '.result.lists[] | {version, admitted}'",
    ),
)
def subscription_history(run: Run, subscription: _List) -> Answer:
    """Show every admitted list of a subscription, newest first: when, which version, who signed, what changed."""
    from vmcatcher.cli.output.history import history_document, show_history  # noqa: PLC0415 - `--help` must not pay
    from vmcatcher.services import history  # noqa: PLC0415 - likewise
    from vmcatcher.services.context import Failure  # noqa: PLC0415 - likewise

    context = run.demanding()
    found = history.subscription_history(context, _list_meant(context, subscription))
    failed = [Failure(found.list_id, one.damage) for one in found.entries if one.damage is not None]
    return Answer(history_document(found), lambda screen: show_history(screen, found), failed)


@command(
    "subscription",
    "diff",
    epilog="A list is named by its version, by its number in the history (3, or #3 where a version is spelled like "
    "that), as current or as previous. In a pipe each line begins with list (field, old, new), image (what, image, "
    "title) or field (image, field, old, new). Ends with 0, also where they differ, unless --exit-code is given.\n\n"
    + examples(
        "vmcatcher subscription diff 11111111-aaaa",
        "vmcatcher subscription diff 11111111-aaaa 1.4 current",
        "vmcatcher subscription diff 11111111-aaaa previous --exit-code",
    ),
)
def subscription_diff(
    run: Run,
    subscription: _List,
    older: Annotated[str, typer.Argument(metavar="OLDER", help="The one to compare from.")] = "previous",
    newer: Annotated[str, typer.Argument(metavar="NEWER", help="The one to compare to.")] = "current",
    *,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="End with 1 where they differ, as git does.")] = False,
) -> Answer:
    """Show what differs between two admitted lists of a subscription, image by image and field by field."""
    from vmcatcher.cli.output.history import difference_document, show_difference  # noqa: PLC0415 - likewise
    from vmcatcher.services.history import list_difference  # noqa: PLC0415 - likewise

    context = run.demanding()
    found = list_difference(context, _list_meant(context, subscription), older, newer)
    code = 1 if exit_code and not found.is_empty else 0
    return Answer(difference_document(found), lambda screen: show_difference(screen, found), code=code)


@command(
    "image",
    "history",
    epilog="In a pipe each line begins with endorsed (version, list, first and last list version that named it, when "
    "these were admitted, until when, what ended or ends that, signer, SHA-512), cached (version, number, published, "
    "left, state, reason, SHA-512), vetoed (version, when, why, SHA-512) or begins (list, since when its lists are "
    "kept). Ends with 1 where something cannot be read.\n\n"
    + examples(
        "vmcatcher image history c0ffee00",
        "vmcatcher image history c0ffee00 | awk -F'\\t' '$1 == \"cached\" { print $4, $5, $7 }'",
    ),
)
def image_history(run: Run, image: _Image) -> Answer:
    """Show every version that an image had: endorsed when and by whom, in the cache when, and why it left."""
    from vmcatcher.cli.output.history import show_versions, versions_document  # noqa: PLC0415 - likewise
    from vmcatcher.services import image_history as past  # noqa: PLC0415 - likewise

    context = run.demanding()
    found = past.image_history(context, past.choose_past_image(context, image))
    return Answer(versions_document(found), lambda screen: show_versions(screen, found), found.failed)


def _list_meant(context: Context, given: str) -> str:
    from vmcatcher.errors.requests import NoSuchSubscription  # noqa: PLC0415 - likewise
    from vmcatcher.services.admitted import known_list  # noqa: PLC0415 - likewise
    from vmcatcher.services.choosing import choose_subscription  # noqa: PLC0415 - likewise

    try:
        return known_list(context, given)  # also where the subscription's own document is damaged
    except NoSuchSubscription:
        return choose_subscription(context, given).identifier
