"""What the program says about its own commands, both front ends in one form."""

from __future__ import annotations

import argparse
import functools
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import typer.main
from reading import settings_of

from vmcatcher import settings
from vmcatcher.cli.app import app
from vmcatcher.cli.classic import cache, endorser, handler_example, image, subscribe
from vmcatcher.cli.commands import common

COMMON = "for all commands"
_CLASSIC = {
    "vmcatcher_endorser": endorser,
    "vmcatcher_subscribe": subscribe,
    "vmcatcher_image": image,
    "vmcatcher_cache": cache,
    "vmcatcher_eventHndlExpl": handler_example,
}


@dataclass(frozen=True)
class Option:
    """One option with all its names, what it takes, and what it is for."""

    names: tuple[str, ...]
    """None for a word of the command line that is no option."""
    metavar: str
    help: str
    setting: str


@dataclass(frozen=True)
class Command:
    """One command: everything that its help says, and the functions that run first."""

    name: str
    summary: str
    description: str
    synopses: tuple[str, ...]
    groups: tuple[tuple[str, tuple[Option, ...]], ...]
    """The options of each group, below its title."""
    notes: str
    examples: tuple[str, ...]
    entries: tuple[tuple[str, str], ...]
    """Module and name of the functions that run first."""

    @property
    def options(self) -> Iterator[Option]:
        """Everything that may be on the command line."""
        return (option for _, group in self.groups for option in group)


def classic_commands() -> list[Command]:
    """Return the five classic commands."""
    found = []
    for name, module in _CLASSIC.items():
        parser = module._parser()  # noqa: SLF001 - the pages are about it
        summary, _, rest = (parser.description or "").partition("\n\n")
        synopses = [line.strip().removeprefix(name).strip() for line in (parser.usage or "").splitlines()]
        groups = tuple((group.title or "options", tuple(_classic_options(group))) for group in _groups(parser))
        found.append(
            Command(
                name=name,
                summary=" ".join(summary.split()),
                description=rest,
                synopses=tuple(synopses),
                groups=groups,
                notes="",
                examples=_examples(parser.epilog or ""),
                entries=((module.__name__, "main"),),
            )
        )
    return found


def _groups(parser: argparse.ArgumentParser) -> list[argparse._ArgumentGroup]:
    """Return the groups of options that --help shows."""
    groups = parser._action_groups  # noqa: SLF001 - argparse has no public way to walk what it was told
    return [group for group in groups if any(True for _ in _classic_options(group))]


def _classic_options(group: argparse._ArgumentGroup) -> Iterator[Option]:
    for one in group._group_actions:  # noqa: SLF001 - likewise
        if one.help is argparse.SUPPRESS:
            continue
        metavar = "" if one.nargs == 0 else str(one.metavar or one.dest.upper())
        if one.choices is not None:
            metavar = "|".join(str(choice) for choice in one.choices)
        yield Option(tuple(one.option_strings), metavar, one.help or "", one.dest)


@dataclass(frozen=True)
class Noun:
    """One noun of the noun-verb command with its verbs; a command without a noun is one of both."""

    name: str
    summary: str
    verbs: tuple[Command, ...]


def nouns() -> list[Noun]:
    """Return the nouns of the noun-verb command, in the order of its help."""
    found = []
    for name, one in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]  # a typer with nouns
        below = getattr(one, "commands", None)
        verbs = [_verb(f"vmcatcher {name} {verb}", it) for verb, it in below.items()] if below else None
        summary = _paragraphs(one.help)[0]
        found.append(Noun(f"vmcatcher {name}", summary, tuple(verbs or [_verb(f"vmcatcher {name}", one)])))
    return found


def _verb(name: str, command: Any) -> Command:
    summary, *description = _paragraphs(command.help)
    texts = re.split(r"\n\s*\n", command.epilog or "")
    examples = next((text for text in texts if "Examples:" in text), "")
    body = inspect.unwrap(command.callback)
    options = tuple(_verb_option(one) for one in command.params)
    return Command(
        name=name,
        summary=summary,
        description="\n\n".join(description),
        synopses=(),
        groups=(("options", options),),
        notes="\n\n".join(" ".join(text.split()) for text in texts if text != examples),
        examples=_examples(examples),
        entries=((body.__module__, body.__qualname__), (common.__name__, "_run")),
    )


def _verb_option(parameter: Any) -> Option:
    is_argument = not parameter.opts[0].startswith("-")
    takes_none = getattr(parameter, "is_flag", False) or getattr(parameter, "count", False)
    metavar = "" if takes_none else parameter.metavar or parameter.name.upper()
    if is_argument and not parameter.required:
        metavar = f"[{metavar}]"
    names = () if is_argument else (*sorted(parameter.opts, key=len), *parameter.secondary_opts)
    return Option(names, metavar, getattr(parameter, "help", None) or "", parameter.name)


def _paragraphs(text: str | None) -> list[str]:
    return [" ".join(part.split()) for part in re.split(r"\n\s*\n", inspect.cleandoc(text or "")) if part.strip()]


def _examples(epilog: str) -> tuple[str, ...]:
    return tuple(line.removeprefix("  ") for line in epilog.splitlines() if line.startswith("  "))


def every_command() -> list[Command]:
    """Return all commands."""
    return [*classic_commands(), *(verb for noun in nouns() for verb in noun.verbs)]


@functools.cache
def settings_read_by(command: Command) -> frozenset[str]:
    """Return the settings that a command reads."""
    found = settings_of(command.entries, frozenset(setting.name for setting in settings.TABLE))
    has_store = any("--store" in option.names for option in command.options)
    # What runs before every command looks at a store only where there is an option to name one.
    return found if has_store else found - {"store", "database", "wait"}
