"""What the noun-verb commands have in common: options, settings, logging, and the border where errors end."""

from __future__ import annotations

import functools
import inspect
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

import typer

from vmcatcher.cli import logs
from vmcatcher.cli.boundary import bounded, flush, print_bytes
from vmcatcher.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vmcatcher.settings import Settings, Value


@dataclass(frozen=True, slots=True)
class Run:
    """One call of a command: its name, what it was given for settings, and the settings that follow."""

    command: str
    flags: Mapping[str, Value]
    settings: Settings

    def with_flag(self, name: str, value: Value) -> Run:
        """Return the same call as if the option for the setting `name` had been given, unless `value` is None."""
        if value is None:
            return self
        flags = {**self.flags, name: value}
        return Run(self.command, flags, load_settings(flags))

    def write_line(self, text: str = "") -> None:
        """Write one line of the result to stdout, at once: whoever reads a pipe sees it when it is so."""
        print_bytes(f"{text}\n".encode("utf-8", "backslashreplace"))
        flush()


def group(help_text: str) -> typer.Typer:
    """Return a noun to which verbs are added; without a verb it shows its help and ends with 2."""
    return typer.Typer(
        help=help_text,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,  # plain help: the same in a terminal, a pipe and the manual, and quick
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def examples(*lines: str) -> str:
    """Return the end of a help text; the mark keeps the lines as they are."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def _option(name: str, annotation: object, default: Value) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


_STORE: Final = _option(
    "store", Annotated[str | None, typer.Option("--store", metavar="DIR", help="Directory of the store.")], None
)
_ALWAYS: Final = (
    _option(
        "verbose",
        Annotated[int, typer.Option("-v", "--verbose", count=True, show_default=False, help="Say more (repeatable).")],
        0,
    ),
    _option(
        "quiet",
        Annotated[int, typer.Option("-q", "--quiet", count=True, show_default=False, help="Say less (repeatable).")],
        0,
    ),
    _option("debug", Annotated[bool, typer.Option("--debug", help="Show where an error came from.")], default=False),
)


_LOCKS: Final = (
    _option(
        "wait",
        Annotated[
            float | None, typer.Option(metavar="SECONDS", help="How long to wait for another run to end (default: 0).")
        ],
        None,
    ),
    _option(
        "break_lock",
        Annotated[
            str | None,
            typer.Option(metavar="CLAIM", help="Break a claim that a dead host left on a shared store, then go on."),
        ],
        None,
    ),
)


def command(
    noun: typer.Typer, verb: str, *, epilog: str, needs_store: bool = True, takes_locks: bool = False
) -> Callable[[Callable[..., int]], Callable[..., None]]:
    """Add the function below it to `noun` as the command `verb`.

    The function takes the `Run` first, then its own options as typer reads them, and returns the exit code. The
    options of all commands are added here, so that they are the same everywhere; `--store` where `needs_store`,
    `--wait` and `--break-lock` where it `takes_locks`.
    """

    def add(body: Callable[..., int]) -> Callable[..., None]:
        written = inspect.signature(body, eval_str=True)
        own = list(written.parameters.values())[1:]
        options = [*own, *((_STORE,) if needs_store else ()), *(_LOCKS if takes_locks else ()), *_ALWAYS]

        @functools.wraps(body)
        def call(context: typer.Context, **given: object) -> None:
            raise typer.Exit(_run(body, context.command_path, given, takes_locks=takes_locks))

        context = inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
        call.__signature__ = inspect.Signature([context, *options])  # type: ignore[attr-defined]  # inspect looks for it
        call.__annotations__ = {one.name: one.annotation for one in (context, *options)}
        noun.command(verb, epilog=epilog)(call)
        return call

    return add


def _run(body: Callable[..., int], command_path: str, given: dict[str, object], *, takes_locks: bool) -> int:
    verbose, quiet = _count(given.pop("verbose")), _count(given.pop("quiet"))
    debug = given.pop("debug") is True
    store = given.pop("store", None)
    wait, claim = (given.pop("wait"), given.pop("break_lock")) if takes_locks else (None, None)
    if hasattr(sys.stdout, "reconfigure"):
        # Titles are in any language, also where cron runs us in the C locale.
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")

    def whole() -> int:
        logs.set_up(verbose=verbose, quiet=quiet, config=None)
        flags: dict[str, Value] = {"store": store if isinstance(store, str) else None}
        flags["wait"] = wait if isinstance(wait, float) else None
        settings = load_settings(flags)
        logs.set_up(verbose=verbose, quiet=quiet, config=settings.optional("log_config"))
        if isinstance(claim, str):
            _break_lock(settings, command_path, claim)
        return body(Run(command_path, flags, settings), **given)

    return bounded(whole, classic=False, debug=debug)


def _break_lock(settings: Settings, command_path: str, claim: str) -> None:
    from vmcatcher import wiring  # noqa: PLC0415 - `--help` must not pay for it

    context = wiring.reading(settings, command_path)
    if context is not None:
        context.break_claim(claim)


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0
