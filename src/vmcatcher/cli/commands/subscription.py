"""vmcatcher subscription: what the classic commands have no word for."""

from __future__ import annotations

from typing import Annotated

import typer

from vmcatcher.cli.commands.common import Run, command, examples, group

subscription = group("Decide about subscriptions.")


@command(
    subscription,
    "allow-older",
    epilog="Ends with 1 where no list of that identifier was ever admitted.\n\n"
    + examples(
        "vmcatcher subscription allow-older 11111111-aaaa-4aaa-8aaa-000000000001",
        "vmcatcher_subscribe -U                  # takes the older list, and says so",
    ),
)
def allow_older(
    run: Run,
    identifier: Annotated[str, typer.Argument(metavar="LIST", help="Identifier of the list.")],
) -> int:
    """Let the next list of a subscription be older than the newest one ever admitted.

    For a list whose version ran away, by mistake or by a thief of the key: lists with a sane version are refused as
    older from then on. Ask the endorser first. Everything else is judged as ever, it holds for one list only, and it
    is logged. The list may be one whose subscription was deleted.
    """
    from vmcatcher import wiring  # noqa: PLC0415 - `--help` must not pay for it
    from vmcatcher.services import older_lists  # noqa: PLC0415 - likewise

    older_lists.allow_older(wiring.writing(run.settings, run.command), identifier)
    return 0
