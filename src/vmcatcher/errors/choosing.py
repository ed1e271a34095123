"""Names that are meant for one thing and fit none, or several; and questions that were not answered with yes."""

from __future__ import annotations

from vmcatcher.errors.base import OperatorError
from vmcatcher.light import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import ClassVar


@dataclass(eq=False)
class NameUnknown(OperatorError):
    """Nothing has that identifier or title, nor anything like it."""

    kind: str
    given: str
    id: ClassVar[str] = "name-unknown"
    message: ClassVar[str] = "there is no {kind} '{given}'"
    hint: ClassVar[str] = "`vmcatcher {kind} list` shows what there is"


@dataclass(eq=False)
class NameMisspelled(OperatorError):
    """Nothing has that identifier or title, but something similar."""

    kind: str
    given: str
    near: str
    id: ClassVar[str] = "name-misspelled"
    message: ClassVar[str] = "there is no {kind} '{given}'"
    hint: ClassVar[str] = "did you mean {near}?"


@dataclass(eq=False)
class NameAmbiguous(OperatorError):
    """Several things begin like that."""

    kind: str
    given: str
    candidates: str
    id: ClassVar[str] = "name-ambiguous"
    message: ClassVar[str] = "'{given}' may be any of several {kind}s: {candidates}"
    hint: ClassVar[str] = "give more of it"


@dataclass(eq=False)
class NotConfirmed(OperatorError):
    """A question before something that cannot be taken back was not answered with yes."""

    what: str
    why: str
    id: ClassVar[str] = "not-confirmed"
    message: ClassVar[str] = "nothing was done: {why} (to {what})"
    hint: ClassVar[str] = "--yes does it without a question"
