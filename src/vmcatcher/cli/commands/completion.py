"""vmcatcher completion: what makes a shell complete command lines."""

from __future__ import annotations

import enum
from typing import Annotated, Final

import typer

from vmcatcher.cli.commands.common import Run, command, examples


class _Shell(enum.Enum):
    """The shells, as typer wants choices."""

    BASH: Final = "bash"
    ZSH: Final = "zsh"
    FISH: Final = "fish"


@command(
    "completion",
    "completion",
    epilog="Identifiers are completed from the store that the settings name, or `--store` before them.\n\n"
    + examples(
        "vmcatcher completion bash > /usr/share/bash-completion/completions/vmcatcher",
        'eval "$(vmcatcher completion bash)"                  # in this shell only',
        "vmcatcher completion zsh > ~/.zfunc/_vmcatcher       # where fpath has ~/.zfunc",
        "vmcatcher completion fish > ~/.config/fish/completions/vmcatcher.fish",
    ),
    needs_store=False,
    has_json=False,
)
def completion(run: Run, shell: Annotated[_Shell, typer.Argument(metavar="bash|zsh|fish", help="The shell.")]) -> int:
    """Write a script that makes a shell complete nouns, verbs, options and identifiers."""
    from typer.completion import get_completion_script  # type: ignore[attr-defined]  # noqa: PLC0415 - only here

    script = get_completion_script(prog_name="vmcatcher", complete_var="_VMCATCHER_COMPLETE", shell=shell.value)
    run.write_line(script.strip())
    return 0
