"""vmcatcher demo: the whole way of an image, played on this machine."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from vmcatcher.cli.commands.common import Run, command, examples

if TYPE_CHECKING:
    from vmcatcher.settings import Settings


@command(
    "demo",
    "demo",
    epilog=examples(
        "vmcatcher demo",
        "vmcatcher demo --keep /tmp/playground    # go on from there by hand",
    ),
    needs_store=False,
    has_json=False,
)
def demo(
    run: Run,
    *,
    keep: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Leave everything in DIR, which is empty or not there, to play with."),
    ] = None,
) -> int:
    """Show what it does, from signature to event.

    An authority, an endorser, signed lists and a site are made for the occasion in a directory of their own, the lists
    are served on the loopback interface, the real commands are run on them, and everything is removed at the end.
    """
    from vmcatcher.demo.story import play  # noqa: PLC0415 - `--help` must not pay for it
    from vmcatcher.demo.voice import Voice  # noqa: PLC0415 - likewise

    # As with Ctrl-C: nothing is left behind when the terminal is closed.
    signal.signal(signal.SIGHUP, signal.default_int_handler)
    voice = Voice(run.write_line, in_colour=_wants_colour(run.settings))
    play(voice, run.settings.environment, keep=keep)
    return 0


def _wants_colour(settings: Settings) -> bool:
    """Tell whether stdout is a terminal that shows colours, and nobody asked for none (no-color.org)."""
    environment = settings.environment
    return (
        sys.stdout is not None
        and sys.stdout.isatty()
        and not environment.get("NO_COLOR")
        and environment.get("TERM") != "dumb"
    )
