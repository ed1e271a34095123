"""How the help of the classic commands looks: each way to call one, room for long options, examples at the end."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Help with room for long options beside what they mean; texts keep their own line ends."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30)


def usage(command: str, synopsis: Sequence[str]) -> str:
    """Return the usage of a command, one line for each way to call it; `synopsis` leaves its name out."""
    return "\n       ".join(f"{command} {line}" for line in synopsis)


def epilog(examples: Sequence[str]) -> str:
    """Return the end of a help text: whole command lines to copy."""
    return "examples:\n" + "\n".join(f"  {line}" for line in examples)
