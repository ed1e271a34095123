"""vmcatcher config: what is set, by whom, and whether it fits this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from vmcatcher.cli.commands.common import Answer, Run, command, examples

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vmcatcher.cli.output.screen import Screen, Value
    from vmcatcher.configuration import Finding, Shown


@command(
    "config",
    "show",
    epilog="In a pipe a line for each setting: its key in the settings file, or its variable where it has none, its "
    "value, option, variable, file or default, and which variable or file. Passwords are never shown.\n\n"
    + examples(
        "vmcatcher config show",
        "vmcatcher config show --changed",
        "vmcatcher config show --json | jq -r '.result.settings[] | select(.origin != \"default\") | .key'",
    ),
)
def show(
    run: Run, *, changed: Annotated[bool, typer.Option("--changed", help="Only what somebody has set.")] = False
) -> Answer:
    """Show every setting with its value, and where that comes from.

    An option goes before a variable, a variable before the settings file, and that before the default.
    """
    from vmcatcher.configuration import Origin, shown_settings  # noqa: PLC0415 - `--help` must not pay for it

    found = [one for one in shown_settings(run.settings) if not (changed and one.origin is Origin.DEFAULT)]
    document = {"file": run.settings.file, "settings": [_document(one) for one in found]}
    return Answer(document, lambda screen: _show(screen, found))


def _document(one: Shown) -> dict[str, object]:
    return {
        "name": one.name,
        "key": one.key or None,
        "variable": one.variable,
        "value": list(one.value) if isinstance(one.value, tuple) else one.value,
        "default": list(one.default) if isinstance(one.default, tuple) else one.default,
        "origin": one.origin.value,
        "source": one.source or None,
        "meaning": one.meaning,
    }


def _show(screen: Screen, found: Sequence[Shown]) -> None:
    from vmcatcher.cli.output.screen import Column, Kind, Toned  # noqa: PLC0415 - likewise

    columns = (Column("setting", Kind.NAME), Column("value", Kind.NAME), Column("from"), Column("which"))
    rows = []
    for one in found:
        value = Toned(_words(one), "dim") if one.origin.value == "default" else _words(one)
        rows.append((one.key or one.variable, value, one.origin.value, one.source or None))
    screen.table(columns, rows)


def _words(one: Shown) -> Value:
    match one.value:
        case bool(flag):
            return "true" if flag else "false"
        case float(seconds):
            return f"{seconds:g}" if seconds < 1e6 else f"{seconds:.0f}"
        case tuple(texts):
            return " ".join(texts)
        case other:
            return other


@command(
    "config",
    "check",
    needs_settings=False,
    epilog="In a pipe a line for each finding: error or warning, the setting or file, what is wrong. Ends with 1 when "
    "there is an error, else with 0.\n\n"
    + examples("vmcatcher config check", "vmcatcher config check /etc/vmcatcher/vmcatcher.toml"),
)
def check(
    run: Run,
    file: Annotated[
        str | None, typer.Argument(metavar="FILE", help="The settings file to look at (default: the one in use).")
    ] = None,
) -> Answer:
    """Look for mistakes in the settings: unknown ones, values that make no sense, what they name and is not there.

    Looked at are options, variables and the settings file, the directories, handlers, trust anchors and the store that
    they name, and who may read and write the file.
    """
    from vmcatcher.configuration import Severity, check_settings  # noqa: PLC0415 - likewise

    findings = check_settings(run.flags, run.settings.environment, file or run.config)
    has_errors = any(finding.severity is Severity.ERROR for finding in findings)
    documents = [{"severity": one.severity.value, "about": one.about, "said": one.said} for one in findings]
    return Answer({"findings": documents}, lambda screen: _show_findings(screen, findings), code=int(has_errors))


def _show_findings(screen: Screen, findings: Sequence[Finding]) -> None:
    from vmcatcher.cli.output.screen import Column  # noqa: PLC0415 - likewise

    if not screen.is_terminal:
        screen.table(
            (Column("severity"), Column("about"), Column("what")),
            [(one.severity.value, one.about, one.said) for one in findings],
        )
        return
    for one in findings:
        screen.line(f"{one.severity.value:8} {one.said}", "bad" if one.severity == "error" else "warn")
    if not findings:
        screen.line("nothing wrong", "good")
