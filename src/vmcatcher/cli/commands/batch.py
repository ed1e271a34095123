"""Doing one thing for each of several that were named on the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeVar

    from vmcatcher.services.context import Failure

    Done = TypeVar("Done")


def each(given: Sequence[str], do: Callable[[str], Done]) -> tuple[list[Done], list[Failure]]:
    """Return what `do` made of each, and why it made nothing of others: one that fails never stops the rest."""
    from vmcatcher.errors import VmcatcherError  # noqa: PLC0415 - `--help` must not pay for it
    from vmcatcher.services.context import Failure  # noqa: PLC0415 - likewise

    done: list[Done] = []
    failed: list[Failure] = []
    for one in dict.fromkeys(given):
        try:
            done.append(do(one))
        except VmcatcherError as error:
            failed.append(Failure(one, error))
    return done, failed
