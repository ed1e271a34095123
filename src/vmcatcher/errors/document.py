"""JSON documents of the store that do not hold what they should."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from vmcatcher.errors.base import MachineError


@dataclass(eq=False)
class BadDocument(MachineError):
    """A field of a stored document is missing or of the wrong kind; the store adds which file it was."""

    field: str
    expected: str
    id: ClassVar[str] = "bad-document"
    message: ClassVar[str] = "field '{field}' should be {expected}"
