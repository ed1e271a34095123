"""vmcatcher event: what no handler has taken yet, and what to do about it."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from vmcatcher.cli import completion
from vmcatcher.cli.commands.common import Answer, Run, command, examples

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vmcatcher.cli.output.screen import Screen
    from vmcatcher.services.context import Context, Failure
    from vmcatcher.services.events import Teller
    from vmcatcher.services.owed import Waiting, WaitingEvents
    from vmcatcher.store.locks import LockName

logger = logging.getLogger("main")

_Ids = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="ID...", help="Events, by the beginning of their identifiers.", autocompletion=completion.events
    ),
]
_Failed = Annotated[bool, typer.Option("--failed", help="Those that were given up.")]
_Owed = Annotated[bool, typer.Option("--owed", help="Those that runs still tell.")]


@command(
    "event",
    "list",
    epilog="In a pipe a line for each: identifier, owed or failed, kind, image, attempts, when it is told next, why it "
    "was given up.\n\n"
    + examples("vmcatcher event list", "vmcatcher event list --failed --json | jq -r '.result.events[].id'"),
)
def list_events(run: Run, *, failed: _Failed = False, owed: _Owed = False) -> Answer:
    """List the events that no handler has taken. Without --failed or --owed: both."""
    waiting = _waiting(run.reading())
    is_both = failed == owed
    wanted = [one for one in waiting.events if is_both or one.is_failed == failed]
    return Answer(
        {"events": [_document(one) for one in wanted]}, lambda screen: _show_list(screen, wanted), waiting.unread
    )


def _show_list(screen: Screen, events: Sequence[Waiting]) -> None:
    from vmcatcher.cli.output.screen import Column, Kind  # noqa: PLC0415 - `--help` must not pay for it

    columns = (
        Column("event", Kind.NAME),
        Column("state"),
        Column("kind"),
        Column("image", Kind.NAME),
        Column("attempts", Kind.COUNT),
        Column("next", Kind.AGE),
        Column("why"),
    )
    screen.table(
        columns,
        [
            (
                one.event.id,
                _state(one),
                one.event.kind.value,
                one.image,
                one.event.attempts,
                one.event.not_before,
                one.why if one.is_failed else None,
            )
            for one in events
        ],
    )


@command("event", "show", epilog=examples("vmcatcher event show 4f1c", "vmcatcher event show 4f1c --json"))
def show(
    run: Run,
    beginning: Annotated[
        str, typer.Argument(metavar="ID", help="The event, by its beginning.", autocompletion=completion.events)
    ],
) -> Answer:
    """Show one event with everything that a handler is told about its image."""
    from vmcatcher.cli.output.screen import Kind  # noqa: PLC0415 - likewise
    from vmcatcher.services.owed import choose  # noqa: PLC0415 - likewise

    waiting = _waiting(run.reading())
    _report(waiting.unread)  # it may be the one
    found = choose(waiting.events, beginning)
    document = _document(found)
    facts = {**{name: value for name, value in document.items() if name != "variables"}, **dict(found.variables)}
    listed = [(name, value, Kind.TEXT) for name, value in facts.items() if isinstance(value, str | int | datetime)]
    return Answer(document, lambda screen: screen.facts(listed))


@command(
    "event",
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
) -> Answer:
    """Tell events now, whatever they should still wait for; those that the handler takes are off the list."""
    from vmcatcher import wiring  # noqa: PLC0415 - likewise
    from vmcatcher.services.context import Failure  # noqa: PLC0415 - likewise
    from vmcatcher.services.retelling import retell  # noqa: PLC0415 - likewise

    run = run.with_flags({"cache_event": handler, "sub_event": handler})
    context = run.writing()
    wanted, unread = _chosen(context, ids, failed=failed, owed=owed)
    shown = wiring.shown_views(run.settings, context.layout)
    refused: list[Failure] = []
    told: list[Waiting] = []
    for one, error in retell(context, _tellers(run, context), shown, wanted, force=force):
        if error is not None:
            refused.append(Failure(one.event.id, error))
            continue
        told.append(one)
        _say(run, "told", one)
    return _answer("told", told, (*unread, *refused))


@command(
    "event",
    "drop",
    epilog=examples("vmcatcher event drop 4f1c", "vmcatcher event drop --failed"),
    takes_locks=True,
)
def drop(run: Run, ids: _Ids = None, *, failed: _Failed = False, owed: _Owed = False) -> Answer:
    """Forget events: nobody is told. What they say has happened all the same."""
    from vmcatcher.errors import VmcatcherError  # noqa: PLC0415 - likewise
    from vmcatcher.services.context import Failure  # noqa: PLC0415 - likewise
    from vmcatcher.services.owed import forget  # noqa: PLC0415 - likewise

    context = run.writing()
    wanted, unread = _chosen(context, ids, failed=failed, owed=owed)
    refused: list[Failure] = []
    forgotten: list[Waiting] = []
    for one in wanted:
        try:
            forget(context, one)
        except VmcatcherError as error:
            refused.append(Failure(one.event.id, error))
            continue
        forgotten.append(one)
        _say(run, "forgot", one)
    return _answer("forgotten", forgotten, (*unread, *refused))


def _say(run: Run, done: str, one: Waiting) -> None:
    # At once, each: a handler may take its time.
    if not (run.is_json or run.is_quiet):
        run.write_printable(f"{done} {one.event.kind.value} {one.event.id} of image {one.image}")


def _answer(done: str, events: Sequence[Waiting], failed: Sequence[Failure]) -> Answer:
    return Answer({done: [one.event.id for one in events]}, lambda _: None, failed, is_report=True)


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


def _report(failures: Sequence[Failure]) -> None:
    for failure in failures:
        text = failure.error.one_line()
        logger.error("%s", text if failure.subject in text else f"{failure.subject}: {text}")


def _state(one: Waiting) -> str:
    return "failed" if one.is_failed else "owed"


def _document(one: Waiting) -> dict[str, object]:
    return {
        "id": one.event.id,
        "state": _state(one),
        "kind": one.event.kind.value,
        "image": one.image,
        "list": one.list_id,
        "attempts": one.event.attempts,
        "not_before": one.event.not_before,
        "given_up": one.given_up,
        "why": one.why or None,
        "variables": dict(one.variables),
    }
