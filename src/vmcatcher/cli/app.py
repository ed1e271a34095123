"""vmcatcher: the noun-verb command. This module only says what stands before the noun."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from typer.completion import completion_init  # type: ignore[attr-defined]  # typer calls it so itself

from vmcatcher import __version__
from vmcatcher.cli import logs
from vmcatcher.cli.boundary import bounded
from vmcatcher.cli.commands.common import examples
from vmcatcher.cli.commands.nouns import Program
from vmcatcher.errors.requests import OutputUnwritable

if TYPE_CHECKING:
    from collections.abc import Sequence

app = typer.Typer(
    cls=Program,
    help="Subscribe to signed virtual machine image lists, keep verified copies, tell the cloud.\n\n"
    "The classic commands vmcatcher_endorser, vmcatcher_subscribe, vmcatcher_image and vmcatcher_cache work on the "
    "same store.",
    no_args_is_help=True,
    add_completion=False,  # `vmcatcher completion` writes what it would install
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

# The shell asks through a variable that typer looks at by itself, once it knows the shells.
completion_init()


def _show_version(asked: bool) -> None:  # noqa: FBT001 - typer calls it so
    if asked:
        typer.echo(f"vmcatcher {__version__}")
        raise typer.Exit


@app.callback(
    epilog=examples(
        "vmcatcher demo                          # see what it does, on this machine alone",
        "vmcatcher subscription add --auto-endorse https://example.org/list",
        "vmcatcher sync                          # from cron, or a systemd timer",
        "vmcatcher status",
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
    sys.exit(bounded(lambda: _called(arguments), classic=False))


def _called(arguments: Sequence[str] | None) -> int:
    try:
        return int(app(args=arguments, prog_name="vmcatcher") or 0)
    except BrokenPipeError:
        raise
    except OSError as exc:
        # Commands have a border of their own: it was the help, the version or the usage that could not be written.
        logs.set_up(verbose=0, quiet=0, config=None)
        raise OutputUnwritable(path="stdout", why=exc.strerror or str(exc)) from exc
