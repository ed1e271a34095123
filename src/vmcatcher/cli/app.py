"""vmcatcher: the noun-verb command. This module only puts the nouns together."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from vmcatcher import __version__
from vmcatcher.cli.commands import demo, store_import, store_prune, store_stats
from vmcatcher.cli.commands.common import examples, group
from vmcatcher.cli.commands.event import event
from vmcatcher.cli.commands.store import store
from vmcatcher.cli.commands.subscription import subscription

if TYPE_CHECKING:
    from collections.abc import Sequence

app = group(
    "Subscribe to signed virtual machine image lists, keep verified copies, tell the cloud.\n\n"
    "The daily work is done with vmcatcher_endorser, vmcatcher_subscribe, vmcatcher_image and vmcatcher_cache."
)
app.add_typer(store, name="store")
app.add_typer(event, name="event")
app.add_typer(subscription, name="subscription")
store_import.add_to(store)
store_prune.add_to(store)
store_stats.add_to(store)
demo.add_to(app)


def _show_version(asked: bool) -> None:  # noqa: FBT001 - typer calls it so
    if asked:
        typer.echo(f"vmcatcher {__version__}")
        raise typer.Exit


@app.callback(
    epilog=examples(
        "vmcatcher demo                          # see what it does, on this machine alone",
        "vmcatcher store init /srv/vmcatcher     # make a store",
        "vmcatcher store check                   # see whether it holds together",
    )
)
def options(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Take the options that come before the noun."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and end with its exit code; 2 for a wrong usage."""
    sys.exit(app(args=arguments, prog_name="vmcatcher"))
