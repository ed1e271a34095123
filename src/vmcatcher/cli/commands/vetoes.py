"""vmcatcher image veto, unveto, vetoes: bytes that nobody here gets, whatever list carries them."""

from __future__ import annotations

import os
import pwd
from typing import TYPE_CHECKING, Annotated

import typer

from vmcatcher.cli import completion
from vmcatcher.cli.commands.batch import each
from vmcatcher.cli.commands.common import Answer, Run, command, examples

if TYPE_CHECKING:
    from collections.abc import Mapping

_Bytes = Annotated[
    list[str],
    typer.Argument(
        metavar="SHA512...",
        help="SHA-512 of the bytes, or an image that has them now: identifier, how it begins, title.",
        autocompletion=completion.images,
    ),
]
_DryRun = Annotated[bool, typer.Option("-n", "--dry-run", help="Say what would be done and change nothing.")]


@command(
    "image",
    "veto",
    epilog="Selected images leave at the next cache run, with the reason `vetoed`; they come back when the veto is "
    "taken back.\n\n"
    + examples(
        "vmcatcher image veto --reason 'CVE-2026-1234' c0ffee00     # the bytes that this image has now",
        "vmcatcher image veto --reason 'backdoor, see ticket 4711' 3f7a…  # 128 digits; also of bytes not seen yet",
    ),
)
def veto(
    run: Run,
    content: _Bytes,
    *,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why nobody here is to have these bytes.")],
    dry_run: _DryRun = False,
) -> Answer:
    """Never cache certain bytes, whatever list or image carries them."""
    from vmcatcher.cli.output.rules import veto_lines, vetoed_document  # noqa: PLC0415 - `--help` must not pay for it
    from vmcatcher.services import vetoes  # noqa: PLC0415 - likewise

    context = run.demanding() if dry_run else run.writing()
    by = _who(run.settings.environment)

    def vetoed(given: str) -> vetoes.Vetoed:
        return vetoes.veto(context, vetoes.digest_of(context, given), reason=reason, by=by, dry_run=dry_run)

    done, failed = each(content, vetoed)
    result = {"dry_run": dry_run, "vetoes": [{**vetoed_document(one), "new": one.is_new} for one in done]}
    lines = [line for one in done for line in veto_lines(one, dry_run=dry_run)]
    return Answer(result, lambda screen: screen.lines(lines), failed, is_report=not dry_run)


def _who(environment: Mapping[str, str]) -> str:
    """Return who calls the command, also through sudo."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = str(os.getuid())
    behind = environment.get("SUDO_USER", "")
    return f"{behind} as {name}" if behind and behind.isprintable() and behind != name else name


@command(
    "image",
    "unveto",
    epilog="Images of these bytes that are selected come back at the next cache run.\n\n"
    + examples("vmcatcher image unveto 3f7a09c1e2d4     # the beginning of a SHA-512 will do"),
)
def unveto(run: Run, content: _Bytes) -> Answer:
    """Take vetoes back."""
    from vmcatcher.services import vetoes  # noqa: PLC0415 - likewise

    context = run.writing()
    done, failed = each(content, lambda given: vetoes.unveto(context, given))
    result = {"vetoes": [{"sha512": one.sha512, "reason": one.reason} for one in done]}
    lines = [f"no longer vetoed {one.sha512}" for one in done]
    return Answer(result, lambda screen: screen.lines(lines), failed, is_report=True)


@command(
    "image",
    "vetoes",
    epilog="In a pipe a line for each: SHA-512, when, by whom, the images that have these bytes now, reason.\n\n"
    + examples("vmcatcher image vetoes", "vmcatcher image vetoes --json | jq -r '.result.vetoes[].sha512'"),
)
def list_vetoes(run: Run) -> Answer:
    """List the vetoes, with their reasons and the images that they are on."""
    from vmcatcher.cli.output.rules import show_vetoes, vetoed_document  # noqa: PLC0415 - likewise
    from vmcatcher.services.vetoes import VetoListing  # noqa: PLC0415 - likewise
    from vmcatcher.services.vetoes import list_vetoes as every_veto  # noqa: PLC0415 - likewise

    context = run.reading()
    listing = every_veto(context) if context else VetoListing((), ())
    document = {"vetoes": [vetoed_document(one) for one in listing.found]}
    return Answer(document, lambda screen: show_vetoes(screen, listing.found), listing.failed)
