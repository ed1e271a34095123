"""Event handlers that cannot be run at all."""

from __future__ import annotations

from typing import ClassVar

from vmcatcher.errors.base import OperatorError
from vmcatcher.light import dataclass


@dataclass(eq=False)
class HandlerUnusable(OperatorError):
    """The command line of the event handler is none that a shell could be given."""

    command: str
    why: str
    id: ClassVar[str] = "handler-unusable"
    message: ClassVar[str] = "cannot run the event handler '{command}': {why}"
    hint: ClassVar[str] = "give a shell command line with -x, VMCATCHER_CACHE_EVENT or VMCATCHER_SUB_EVENT"
