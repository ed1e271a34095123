"""JSON documents of the store that do not hold what they should."""

from __future__ import annotations

from vmcatcher.errors.base import MachineError
from vmcatcher.light import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import ClassVar


@dataclass(eq=False)
class BadDocument(MachineError):
    """A field of a stored document is missing or of the wrong kind; the store adds which file it was."""

    field: str
    expected: str
    id: ClassVar[str] = "bad-document"
    message: ClassVar[str] = "field '{field}' should be {expected}"
