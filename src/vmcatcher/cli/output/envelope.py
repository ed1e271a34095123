"""The one JSON document that every command writes with --json; docs/reference/schema has its schemas."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Final

from vmcatcher.model.instant import instant_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from vmcatcher.errors import VmcatcherError

FORMAT: Final = 1
"""Counted up when a member is renamed, removed, or means something else; new members may come at any time."""


def envelope(
    command: str, result: Mapping[str, object] | None, errors: Iterable[tuple[str | None, VmcatcherError]], code: int
) -> str:
    """Return the document: what was asked for, and everything that was not done, with the exit code.

    `result` is null where the command was refused as a whole. `errors` are pairs of what each one is about, if it is
    about one thing of many, and the error.
    """
    document = {
        "format": FORMAT,
        "command": command,
        "exit_code": code,
        "errors": [_error(subject, error) for subject, error in errors],
        "result": result,
    }
    # ASCII: what a list says must not act on a terminal, and what reads this may run in any locale.
    return json.dumps(document, indent=2, default=_plain)


def _error(subject: str | None, error: VmcatcherError) -> dict[str, object]:
    return {
        "id": error.id,
        "subject": subject,
        "text": str(error),
        "line": error.one_line(),
        "temporary": error.exit_code == 75,
        "facts": error.facts(),
    }


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return instant_text(value)
    if isinstance(value, frozenset | set):
        return sorted(value, key=str)
    if isinstance(value, tuple):
        return list(value)
    return str(value)
