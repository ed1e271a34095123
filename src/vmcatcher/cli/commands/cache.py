"""vmcatcher cache: the images that are there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from vmcatcher.cli.commands.common import Answer, Run, command, examples

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vmcatcher.cli.output.screen import Screen, Tone
    from vmcatcher.services.cached import CachedVersion

_TONES: Final[Mapping[str, Tone]] = {"endorsed": "good", "failing": "bad", "expired": "dim"}


@command(
    "cache",
    "list",
    epilog="In a pipe a line for each version: image, state, size in bytes, SHA-512, since when, end, why it left. "
    "Without options: what is in use, and what is on its way in or out.\n\n"
    + examples(
        "vmcatcher cache list",
        "vmcatcher cache list --expired --json | jq -r '.result.versions[] | [.image, .reason] | @tsv'",
    ),
)
def list_versions(
    run: Run,
    *,
    expired: Annotated[bool, typer.Option("--expired", help="Those that left.")] = False,
    failing: Annotated[bool, typer.Option("--failing", help="Those that could not be had: wrong bytes came.")] = False,
) -> Answer:
    """List the versions of images in the cache."""
    from vmcatcher.model.record import State  # noqa: PLC0415 - `--help` must not pay for it
    from vmcatcher.services.cached import CacheContents, cache_contents  # noqa: PLC0415 - likewise

    asked = (*((State.EXPIRED,) if expired else ()), *((State.FAILING,) if failing else ()))
    states = asked or (State.STAGED, State.ENDORSED, State.EXPIRING)
    context = run.reading()
    found = cache_contents(context, states) if context else CacheContents((), ())
    documents = [_document(one) for one in found.versions]
    return Answer({"versions": documents}, lambda screen: _show(screen, found.versions), found.failed)


def _document(one: CachedVersion) -> dict[str, object]:
    record = one.record
    return {
        "image": record.image,
        "number": record.number,
        "state": record.state.value,
        "list": record.list_id,
        "title": str(record.fields.get("dc:title", "")),
        "sha512": record.sha512,
        "size": record.size_bytes,
        "has_bytes": one.has_bytes,
        "since": record.since,
        "valid_until": record.valid_until,
        "checked": record.checked.checked if record.checked else None,
        "reason": record.reason.value if record.reason else None,
        "tries": record.tries,
    }


def _show(screen: Screen, versions: Sequence[CachedVersion]) -> None:
    from vmcatcher.cli.output.screen import Column, Kind, Toned  # noqa: PLC0415 - likewise

    columns = (
        Column("image", Kind.NAME),
        Column("state", Kind.NAME),
        Column("size", Kind.SIZE),
        Column("sha512"),
        Column("since", Kind.AGE),
        Column("expires", Kind.AGE),
        Column("reason"),
    )
    screen.table(
        columns,
        [
            (
                one.record.image,
                Toned(one.record.state.value, _TONES.get(one.record.state.value, "warn")),
                one.record.size_bytes,
                one.record.sha512,
                one.record.since,
                one.record.valid_until,
                one.record.reason.value if one.record.reason else None,
            )
            for one in versions
        ],
    )


@command(
    "cache",
    "verify",
    epilog="What is corrupt is put aside and shown in the expired view; the same command fetches it again. Ends with 0 "
    "when all bytes are right, 1 when some were not, 75 while a cache run is going on.\n\n"
    + examples("vmcatcher cache verify", "vmcatcher cache verify -x /usr/local/bin/tell-the-cloud"),
    takes_locks=True,
)
def verify(
    run: Run,
    *,
    handler: Annotated[
        str | None,
        typer.Option("-x", "--execute", metavar="COMMAND", help="Handler to run (default: the configured one)."),
    ] = None,
) -> Answer:
    """Read every image in the cache, and check that its bytes are the ones that its list promises."""
    from vmcatcher import wiring  # noqa: PLC0415 - likewise
    from vmcatcher.light import replace  # noqa: PLC0415 - likewise
    from vmcatcher.services.cache import CacheRequest, run_cache  # noqa: PLC0415 - likewise

    run = run.with_flag("cache_event", handler)
    context = run.writing()
    views = wiring.shown_views(run.settings, context.layout)
    request = CacheRequest(views=views, download=False, expire=False, check=True, check_everything=True)
    teller = wiring.teller(run.settings, context, "cache_event", wiring.view_variables(views), locks=("cache",))
    with run.showing_progress() as progress, wiring.tools(run.settings, context) as tools:
        report = run_cache(replace(context, progress=progress), tools, teller, request)
    corrupt = [image for image, _ in report.expired]
    result = {"corrupt": corrupt, "fetched_again": [image for image in report.published if image in corrupt]}
    lines = [f"corrupt {image}" for image in corrupt]
    return Answer(result, lambda screen: screen.lines(lines), report.failed, is_report=True, is_told=True)
