"""What `--help` shows of nouns and verbs: whole sentences, and arguments by the names that the manual gives them."""

from __future__ import annotations

import re
from typing import Any

from typer.core import TyperArgument, TyperCommand, TyperGroup


class NounHelp(TyperGroup):
    """A noun whose help has a whole sentence for each verb; typer would cut it where the line ends."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the verbs and what they do."""
        listed = [(name, _sentence(self.get_command(ctx, name))) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(listed)


def _sentence(command: Any) -> str:
    first = re.split(r"\n\s*\n", (command.help or "").strip())[0]
    return re.split(r"(?<=\.) ", " ".join(first.split()))[0]


class VerbHelp(TyperCommand):
    """A verb whose help names arguments as the manual does, without the types that Python has for them."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:  # noqa: ARG002 - as typer calls it
        """Return the words of the usage line."""
        return ["[OPTIONS]", *(_word(one) for one in self.params if isinstance(one, TyperArgument))]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments and the options."""
        arguments: list[tuple[str, str]] = []
        options: list[tuple[str, str]] = []
        for one in self.get_params(ctx):
            record = one.get_help_record(ctx)
            if record is not None and isinstance(one, TyperArgument):
                arguments.append((_name(one), record[1]))
            elif record is not None:
                options.append(record)
        for title, records in (("Arguments", arguments), ("Options", options)):
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


def _name(argument: TyperArgument) -> str:
    return str(argument.metavar or argument.name.upper())


def _word(argument: TyperArgument) -> str:
    return _name(argument) if argument.required else f"[{_name(argument)}]"
