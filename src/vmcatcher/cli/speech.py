"""The loggers of the front ends. `logging` is loaded, and set up as the operator wants it, with the first line.

A listing that has nothing to say does without it: loading it takes longer than reading the store.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

_waiting: list[Callable[[], None]] = []


def begin_anew(step: Callable[[], None]) -> None:
    """Do `step` before the first line of this command, and nothing that an earlier command of the process wanted."""
    _waiting[:] = [step]


def before_first_line(step: Callable[[], None]) -> None:
    """Do `step`, too, before the first line."""
    _waiting.append(step)


def begin() -> None:
    """Do now what was to be done before the first line."""
    while _waiting:
        _waiting.pop(0)()


def logger(name: str) -> logging.Logger:
    """Return a logger whose lines go where the operator wants them."""
    import logging  # noqa: PLC0415 - see the module's first lines

    begin()
    return logging.getLogger(name)
