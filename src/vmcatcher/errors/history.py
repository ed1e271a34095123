"""Questions about what was endorsed when that have no answer."""

from __future__ import annotations

from vmcatcher.errors.base import MachineError, OperatorError
from vmcatcher.light import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import ClassVar


@dataclass(eq=False)
class BadMoment(OperatorError):
    """A text that names no point in time."""

    given: str
    id: ClassVar[str] = "bad-moment"
    exit_code: ClassVar[int] = 2
    message: ClassVar[str] = "'{given}' is no time"
    hint: ClassVar[str] = "give 2026-11-01, 2026-11-01T12:00:00Z (UTC unless it names a zone), or 7d for seven days ago"


@dataclass(eq=False)
class NoSuchAdmittedList(OperatorError):
    """No admitted list of the subscription has that version or number, or it is not kept any more."""

    list_id: str
    wanted: str
    id: ClassVar[str] = "no-such-admitted-list"
    message: ClassVar[str] = "subscription {list_id} has no admitted list '{wanted}'"
    hint: ClassVar[str] = "vmcatcher subscription history {list_id} shows their versions and numbers"


@dataclass(eq=False)
class NotEndorsedVersion(OperatorError):
    """No list that is kept names the image in the version or with the bytes that were asked for."""

    image: str
    wanted: str
    id: ClassVar[str] = "not-endorsed-version"
    message: ClassVar[str] = "no admitted list that is still kept names image {image} with {wanted}"
    hint: ClassVar[str] = "vmcatcher image history {image} shows its versions"


@dataclass(eq=False)
class HistoryGap(MachineError):
    """What was endorsed then is not known: lists of that time are not kept any more."""

    list_id: str
    at: str
    before: str
    id: ClassVar[str] = "history-gap"
    message: ClassVar[str] = (
        "subscription {list_id}: what was endorsed at {at} is not known, "
        "since lists that were admitted before {before} are not kept"
    )
    hint: ClassVar[str] = "a backup of the store from that time can tell"


@dataclass(eq=False)
class AdmittedListDamaged(MachineError):
    """A kept list is not the one that was admitted."""

    path: str
    why: str
    id: ClassVar[str] = "admitted-list-damaged"
    message: ClassVar[str] = "the admitted list {path} is damaged: {why}"
    hint: ClassVar[str] = "vmcatcher store check says what else is; an older backup may have it"
