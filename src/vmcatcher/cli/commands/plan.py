"""vmcatcher plan: what the next sync would do, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from vmcatcher.cli.commands.common import Answer, Run, command, examples, worst

if TYPE_CHECKING:
    from vmcatcher.cli.output.screen import Screen
    from vmcatcher.services.planning import Plan

_PENDING = 3


@command(
    "plan",
    "plan",
    epilog="In a pipe each line begins with list, image, event, space or note. Ends with 0; with 1 when something "
    "could not be done, with 75 when all of that may pass; with --check and nothing wrong, with 3 when there is "
    "something to do.\n\n"
    + examples(
        "vmcatcher plan",
        "vmcatcher plan --offline                 # do not ask for the lists",
        "vmcatcher plan --check --quiet || vmcatcher sync",
        "vmcatcher plan --json | jq '[.result.images[].source.fetch_bytes // 0] | add'",
    ),
)
def plan(
    run: Run,
    *,
    offline: Annotated[bool, typer.Option("--offline", help="Go by the lists that are there; ask nobody.")] = False,
    check: Annotated[bool, typer.Option("--check", help="End with 3 when there is something to do.")] = False,
    handler: Annotated[
        str | None,
        typer.Option("-x", "--execute", metavar="COMMAND", help="As for sync: show the events that it would be told."),
    ] = None,
    keep: Annotated[bool | None, typer.Option("--keep-until-replaced", help="As for sync.", show_default=False)] = None,
) -> Answer:
    """Show what the next sync would do, and why; change nothing.

    The lists are fetched and judged as sync would, and not kept. What sync finds only by doing it, such as bytes that
    are not what their list says, no plan can show.
    """
    run = run.with_flags({"cache_event": handler, "sub_event": handler, "keep_until_replaced": keep})
    return planned_answer(run, is_offline=offline, is_check=check)


def planned_answer(run: Run, *, is_offline: bool, is_check: bool = False) -> Answer:
    """Return what `vmcatcher plan` answers."""
    found = _plan(run, is_offline=is_offline)
    failure = worst(failure.error for failure in found.failed)
    code = failure or (_PENDING if is_check and found.has_changes else 0)
    document = _document(found, is_offline=is_offline)
    # Who asks whether there is something to do, and quietly, wants the exit code.
    return Answer(document, lambda screen: _show(screen, found), found.failed, code, is_report=is_check)


def _plan(run: Run, *, is_offline: bool) -> Plan:
    from vmcatcher import wiring  # noqa: PLC0415 - `--help` must not pay for it
    from vmcatcher.services.planning import PlanRequest, plan_offline, plan_online  # noqa: PLC0415 - likewise

    context = run.demanding()
    settings = run.settings
    with wiring.tools(settings, context) as tools:
        request = PlanRequest(
            wiring.shown_views(settings, context.layout),
            keep_until_replaced=settings.flag("keep_until_replaced"),
            is_told_of_images=settings.optional("cache_event") is not None,
            is_told_of_lists=settings.optional("sub_event") is not None,
            mirrors=tools.mirrors,
        )
        return (plan_offline if is_offline else plan_online)(context, tools, request)


def _document(found: Plan, *, is_offline: bool) -> dict[str, object]:
    from vmcatcher.cli.output import steps  # noqa: PLC0415 - likewise

    return {
        "is_offline": is_offline,
        "has_changes": found.has_changes,
        "lists": [steps.list_document(one) for one in found.lists],
        "images": [steps.step_document(one) for one in found.steps],
        "events": [steps.telling_document(one) for one in found.owed],
        "fetch_bytes": found.fetch_bytes,
        "space": steps.room_document(found.room),
        "notes": list(found.notes),
    }


def _show(screen: Screen, found: Plan) -> None:
    from vmcatcher.cli.output import steps  # noqa: PLC0415 - likewise

    steps.show_lists(screen, found.lists)
    steps.show_steps(screen, found.steps)
    steps.show_tellings(screen, found.owed)
    steps.show_room(screen, found.room, found.fetch_bytes)
    for note in found.notes:
        screen.table((), [("note", note)]) if not screen.is_terminal else screen.line(note, "warn")
    if screen.is_terminal and not found.has_changes:
        screen.line("No change is pending.", None if found.failed else "good")
