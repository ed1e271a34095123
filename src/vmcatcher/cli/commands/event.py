"""vmcatcher event: what no handler has taken yet, and what to do about it."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Annotated

import typer

from vmcatcher.cli.commands.common import Run, command, examples, group

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vmcatcher.errors import VmcatcherError
    from vmcatcher.services.context import Context, Failure
    from vmcatcher.services.events import Teller
    from vmcatcher.services.owed import Waiting, WaitingEvents
    from vmcatcher.store.locks import LockName

event = group("See the events that no handler has taken yet, have them told again, or forget them.")
logger = logging.getLogger("main")

_Ids = Annotated[
    list[str] | None, typer.Argument(metavar="ID...", help="Events, by the beginning of their identifiers.")
]
_Failed = Annotated[bool, typer.Option("--failed", help="Those that were given up.")]
_Owed = Annotated[bool, typer.Option("--owed", help="Those that runs still tell.")]
_AsJson = Annotated[bool, typer.Option("--json", help="Show as one JSON document.")]


@command(
    event,
    "list",
    epilog="A line for each: identifier, owed or failed, kind, image, attempts, when it is told next or why not.\n\n"
    + examples("vmcatcher event list", "vmcatcher event list --failed --json | jq -r '.events[].id'"),
)
def list_events(run: Run, *, failed: _Failed = False, owed: _Owed = False, as_json: _AsJson = False) -> int:
    """List the events that no handler has taken. Without --failed or --owed: both."""
    from vmcatcher import wiring  # noqa: PLC0415 - `--help` must not pay for it
    from vmcatcher.errors import printable  # noqa: PLC0415 - likewise

    context = wiring.reading(run.settings, run.command)
    waiting = _waiting(context)
    is_both = failed == owed
    wanted = [one for one in waiting.events if is_both or one.is_failed == failed]
    if as_json:
        run.write_line(json.dumps({"format": 1, "events": [_document(one) for one in wanted]}, indent=2))
    else:
        for one in wanted:
            columns = (one.event.id, _state(one), one.event.kind.value, one.image, one.event.attempts, _next(one))
            run.write_line("\t".join(printable(column) for column in columns))
    return _reported(waiting.unread)


@command(event, "show", epilog=examples("vmcatcher event show 4f1c", "vmcatcher event show 4f1c --json"))
def show(run: Run, beginning: Annotated[str, typer.Argument(metavar="ID")], *, as_json: _AsJson = False) -> int:
    """Show one event with everything that a handler is told about its image."""
    from vmcatcher import wiring  # noqa: PLC0415 - likewise
    from vmcatcher.errors import printable  # noqa: PLC0415 - likewise
    from vmcatcher.services.owed import choose  # noqa: PLC0415 - likewise

    waiting = _waiting(wiring.reading(run.settings, run.command))
    _report(waiting.unread)  # it may be the one
    document = _document(choose(waiting.events, beginning))
    if as_json:
        run.write_line(json.dumps(document, indent=2))
        return 0
    variables = document.pop("variables")
    assert isinstance(variables, dict)
    for name, value in (*document.items(), *sorted(variables.items())):
        if value is not None:
            run.write_line(f"{name}={printable(value)}")
    return 0


@command(
    event,
    "retry",
    epilog="Ends with 0 when the handler took all of them, 1 when it did not, 75 while a run is going on.\n\n"
    + examples(
        "vmcatcher event retry --failed                       # the handler works again",
        "vmcatcher event retry 4f1c -x /usr/local/bin/handler",
    ),
    takes_locks=True,
)
def retry(
    run: Run,
    ids: _Ids = None,
    *,
    failed: _Failed = False,
    owed: _Owed = False,
    handler: Annotated[
        str | None,
        typer.Option("-x", "--execute", metavar="COMMAND", help="Handler to run (default: the configured one)."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Also what is no longer true of the image.")] = False,
) -> int:
    """Tell events now, whatever they should still wait for; those that the handler takes are off the list."""
    from vmcatcher import wiring  # noqa: PLC0415 - likewise
    from vmcatcher.services.context import Failure  # noqa: PLC0415 - likewise
    from vmcatcher.services.retelling import retell  # noqa: PLC0415 - likewise

    for name in ("cache_event", "sub_event"):
        run = run.with_flag(name, handler)
    context = wiring.writing(run.settings, run.command)
    wanted, unread = _chosen(context, ids, failed=failed, owed=owed)
    shown = wiring.shown_views(run.settings, context.layout)
    refused: list[Failure] = []
    for one, error in retell(context, _tellers(run, context), shown, wanted, force=force):
        if error is not None:
            refused.append(Failure(one.event.id, error))
        else:
            run.write_line(f"told {one.event.kind.value} {one.event.id} of image {one.image}")
    return _reported((*unread, *refused))


@command(
    event,
    "drop",
    epilog=examples("vmcatcher event drop 4f1c", "vmcatcher event drop --failed"),
    takes_locks=True,
)
def drop(run: Run, ids: _Ids = None, *, failed: _Failed = False, owed: _Owed = False) -> int:
    """Forget events: nobody is told. What they say has happened all the same."""
    from vmcatcher import wiring  # noqa: PLC0415 - likewise
    from vmcatcher.errors import VmcatcherError  # noqa: PLC0415 - likewise
    from vmcatcher.services.context import Failure  # noqa: PLC0415 - likewise
    from vmcatcher.services.owed import forget  # noqa: PLC0415 - likewise

    context = wiring.writing(run.settings, run.command)
    wanted, unread = _chosen(context, ids, failed=failed, owed=owed)
    refused: list[Failure] = []
    for one in wanted:
        try:
            forget(context, one)
        except VmcatcherError as error:
            refused.append(Failure(one.event.id, error))
        else:
            run.write_line(f"forgot {one.event.kind.value} {one.event.id} of image {one.image}")
    return _reported((*unread, *refused))


def _waiting(context: Context | None) -> WaitingEvents:
    from vmcatcher.services.owed import WaitingEvents, waiting_events  # noqa: PLC0415 - likewise

    return WaitingEvents((), ()) if context is None else waiting_events(context)


def _chosen(
    context: Context, ids: Sequence[str] | None, *, failed: bool, owed: bool
) -> tuple[list[Waiting], tuple[Failure, ...]]:
    """Return the events meant, in the order in which they are told; each once."""
    from vmcatcher.errors.events import EventsNotNamed  # noqa: PLC0415 - likewise
    from vmcatcher.services.owed import choose  # noqa: PLC0415 - likewise

    if bool(ids) == (failed or owed):
        raise EventsNotNamed
    waiting = _waiting(context)
    if ids:
        _report(waiting.unread)  # one of them may be meant
        meant = {choose(waiting.events, beginning).event.id for beginning in ids}
        return [one for one in waiting.events if one.event.id in meant], ()
    wanted = [one for one in waiting.events if (failed and one.is_failed) or (owed and not one.is_failed)]
    return wanted, waiting.unread


def _tellers(run: Run, context: Context) -> Callable[[LockName], Teller]:
    from vmcatcher import wiring  # noqa: PLC0415 - likewise
    from vmcatcher.errors.events import NoHandler  # noqa: PLC0415 - likewise

    def teller(lock: LockName) -> Teller:
        setting = "sub_event" if lock == "update" else "cache_event"
        about = wiring.view_variables(wiring.shown_views(run.settings, context.layout)) if lock == "cache" else {}
        found = wiring.teller(run.settings, context, setting, about, locks=(lock,))
        if not found.is_listening:
            raise NoHandler(variable=f"VMCATCHER_{setting.upper()}")
        return found

    return teller


def _reported(failures: Sequence[Failure]) -> int:
    _report(failures)
    return _worst([failure.error for failure in failures])


def _report(failures: Sequence[Failure]) -> None:
    for failure in failures:
        text = failure.error.one_line()
        logger.error("%s", text if failure.subject in text else f"{failure.subject}: {text}")


def _worst(errors: Sequence[VmcatcherError]) -> int:
    """Return 0, or 75 where nothing but time is needed, else 1."""
    if not errors:
        return 0
    return 75 if all(error.exit_code == 75 for error in errors) else 1


def _state(one: Waiting) -> str:
    return "failed" if one.is_failed else "owed"


def _next(one: Waiting) -> str:
    from vmcatcher.model.instant import instant_text  # noqa: PLC0415 - likewise

    if one.given_up is not None:
        return f"given up {instant_text(one.given_up)}: {one.why}"
    wait = one.event.not_before
    return "told by the next run" if wait is None else f"told by the first run after {instant_text(wait)}"


def _document(one: Waiting) -> dict[str, object]:
    from vmcatcher.model.instant import instant_text  # noqa: PLC0415 - likewise

    wait = one.event.not_before
    return {
        "id": one.event.id,
        "state": _state(one),
        "kind": one.event.kind.value,
        "image": one.image,
        "list": one.list_id,
        "attempts": one.event.attempts,
        "not_before": wait and instant_text(wait),
        "given_up": one.given_up and instant_text(one.given_up),
        "why": one.why or None,
        "variables": dict(one.variables),
    }
