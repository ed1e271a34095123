"""What the noun-verb commands have in common: options, settings, logging, and the border where errors end."""

from __future__ import annotations

import functools
import inspect
import logging
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

import typer

from vmcatcher.cli import logs
from vmcatcher.cli.boundary import bounded, demanding_a_directory, flush, print_bytes
from vmcatcher.cli.commands.call import Answer, Run, worst
from vmcatcher.cli.commands.help import VerbHelp
from vmcatcher.cli.commands.nouns import GROUPS
from vmcatcher.errors import VmcatcherError
from vmcatcher.settings import default_settings, load_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from vmcatcher.services.context import Failure
    from vmcatcher.settings import Settings, Value

__all__ = ["Answer", "Run", "command", "examples", "worst"]

logger = logging.getLogger("main")


def examples(*lines: str) -> str:
    """Return the end of a help text; the mark keeps the lines as they are."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def _option(name: str, annotation: object, default: Value) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


_STORE: Final = _option(
    "store", Annotated[str | None, typer.Option("--store", metavar="DIR", help="Directory of the store.")], None
)
_CONFIG: Final = _option(
    "config", Annotated[str | None, typer.Option("--config", metavar="FILE", help="Settings file to read.")], None
)
_JSON: Final = _option(
    "as_json", Annotated[bool, typer.Option("--json", help="Show as one JSON document.")], default=False
)
_YES: Final = _option("yes", Annotated[bool, typer.Option("-y", "--yes", help="Do not ask.")], default=False)
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


def command(  # noqa: PLR0913 - what a command may have, each by its name
    noun: str,
    verb: str,
    *,
    epilog: str,
    needs_store: bool = True,
    needs_settings: bool = True,
    takes_locks: bool = False,
    has_json: bool = True,
    asks: bool = False,
) -> Callable[[Callable[..., Answer | int]], Callable[..., None]]:
    """Add the function below it to `noun` as the command `verb`.

    The function takes the `Run` first, then its own options as typer reads them, and returns an `Answer`, or an exit
    code where it has shown everything itself. The options of all commands are added here, so that they are the same
    everywhere: `--store` where `needs_store`, `--wait` and `--break-lock` where it `takes_locks`, `--json` where it
    `has_json` (it must return an `Answer` then), `--yes` where it `asks`. Without `needs_settings` it is called with
    every setting at its default, so that it can say itself what is wrong with them.
    """
    added = (
        *((_STORE,) if needs_store else ()),
        *(_LOCKS if takes_locks else ()),
        *((_JSON,) if has_json else ()),
        *((_YES,) if asks else ()),
        _CONFIG,
        *_ALWAYS,
    )

    def add(body: Callable[..., Answer | int]) -> Callable[..., None]:
        written = inspect.signature(body, eval_str=True)
        options = [*list(written.parameters.values())[1:], *added]

        @functools.wraps(body)
        def call(context: typer.Context, **given: object) -> None:
            own = {name: given[name] for name in list(written.parameters)[1:]}
            common = _Common(**{one.name: given[one.name] for one in added}, needs_settings=needs_settings)  # type: ignore[arg-type]  # as typer read them
            raise typer.Exit(_run(body, context.command_path, own, common))

        context = inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
        call.__signature__ = inspect.Signature([context, *options])  # type: ignore[attr-defined]  # inspect looks for it
        call.__annotations__ = {one.name: one.annotation for one in (context, *options)}
        GROUPS[noun].command(verb, cls=VerbHelp, epilog=epilog)(call)
        return call

    return add


@dataclass(frozen=True, slots=True)
class _Common:
    """What the options of all commands were given."""

    verbose: int
    quiet: int
    debug: bool
    config: str | None
    store: str | None = None
    wait: float | None = None
    break_lock: str | None = None
    as_json: bool = False
    yes: bool = False
    needs_settings: bool = True


def _run(body: Callable[..., Answer | int], command_path: str, own: Mapping[str, object], common: _Common) -> int:
    if hasattr(sys.stdout, "reconfigure"):
        # Titles are in any language, also where cron runs us in the C locale.
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")

    def whole() -> int:
        try:
            with demanding_a_directory():
                return _whole(body, command_path, own, common)
        except VmcatcherError as error:
            if common.as_json:
                _print_envelope(command_path, None, [(None, error)], error.exit_code)
            raise

    return bounded(whole, classic=False, debug=common.debug)


def _whole(body: Callable[..., Answer | int], command_path: str, own: Mapping[str, object], common: _Common) -> int:
    verbose, quiet = common.verbose, common.quiet
    logs.set_up(verbose=verbose, quiet=quiet, config=None)
    flags: dict[str, Value] = {"store": common.store, "wait": common.wait}
    settings = load_settings(flags, file=common.config) if common.needs_settings else default_settings()
    logs.set_up(verbose=verbose, quiet=quiet, config=settings.optional("log_config"))
    if common.break_lock is not None:
        _break_lock(settings, command_path, common.break_lock)
    run = Run(command_path, flags, settings, common.config, quiet > 0, common.yes, common.as_json)
    answer = body(run, **own)
    if isinstance(answer, int):
        return answer
    if common.as_json:
        failed = [(failure.subject, failure.error) for failure in answer.failed]
        _print_envelope(command_path, answer.result, failed, answer.exit_code)
    elif not (answer.is_report and run.is_quiet):
        from vmcatcher.cli.output.screen import make_screen  # noqa: PLC0415 - likewise

        answer.show(make_screen(settings.environment, _now()))
    if not answer.is_told:
        _complain(answer.failed)
    return answer.exit_code


def _now() -> datetime:
    from vmcatcher import wiring  # noqa: PLC0415 - likewise

    return wiring.clock()


def _complain(failed: Sequence[Failure]) -> None:
    for failure in failed:
        text = failure.error.one_line()
        logger.error("%s [%s]", text if failure.subject in text else f"{failure.subject}: {text}", failure.error.id)


def _print_envelope(
    command_path: str,
    result: Mapping[str, object] | None,
    errors: Sequence[tuple[str | None, VmcatcherError]],
    code: int,
) -> None:
    from vmcatcher.cli.output.envelope import envelope  # noqa: PLC0415 - likewise

    text = envelope(command_path.removeprefix("vmcatcher "), result, errors, code)
    print_bytes(f"{text}\n".encode("ascii"))
    flush()


def _break_lock(settings: Settings, command_path: str, claim: str) -> None:
    from vmcatcher import wiring  # noqa: PLC0415 - likewise

    context = wiring.reading(settings, command_path)
    if context is not None:
        context.break_claim(claim)
