"""What the cloud is told when an image comes or goes: kinds of events and the variables that describe them.

The names are the classic program's; handlers of many sites read them. Values are text from signed lists, which is
no reason to trust them: they travel as environment values and JSON only, never as shell text.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX: Final = "VMCATCHER_EVENT_"
MOST_ATTEMPTS: Final = 5


class EventKind(StrEnum):
    """The seven kinds, spelled as handlers test for them."""

    PROCESS_PREFIX = "ProcessPrefix"
    PROCESS_POSTFIX = "ProcessPostfix"
    AVAILABLE_PREFIX = "AvailablePrefix"
    AVAILABLE_POSTFIX = "AvailablePostfix"
    EXPIRE_PREFIX = "ExpirePrefix"
    EXPIRE_POSTFIX = "ExpirePostfix"
    SUBSCRIPTION_IMAGE_NEW = "SubscriptionImageNew"

    @property
    def is_told_once(self) -> bool:
        """Tell whether the handler's answer does not matter: Prefix events are never repeated for being refused."""
        return self in (
            EventKind.PROCESS_PREFIX,
            EventKind.PROCESS_POSTFIX,
            EventKind.AVAILABLE_PREFIX,
            EventKind.EXPIRE_PREFIX,
        )


@dataclass(frozen=True, slots=True)
class OwedEvent:
    """An event that has been promised and not yet struck off; `id` stays the same over repeats."""

    kind: EventKind
    id: str
    attempts: int = 0


# Variable (after the prefix) -> field of the list's hv:image. Size and digest are added as verified, not as written.
_FROM_IMAGE: Final = {
    "DC_DESCRIPTION": "dc:description",
    "DC_IDENTIFIER": "dc:identifier",
    "DC_TITLE": "dc:title",
    "HV_HYPERVISOR": "hv:hypervisor",
    "HV_URI": "hv:uri",
    "HV_VERSION": "hv:version",
    "HV_FORMAT": "hv:format",
    "SL_ARCH": "sl:arch",
    "SL_COMMENTS": "sl:comments",
    "SL_OS": "sl:os",
    "SL_OSVERSION": "sl:osversion",
    "AD_MPURI": "ad:mpuri",
}


def image_variables(
    fields: Mapping[str, object], *, size_bytes: int, sha512: str, list_id: str, vo: str | None
) -> dict[str, str]:
    """Return the `VMCATCHER_EVENT_*` variables that describe one image of one list.

    A value that is empty, missing or no plain text or number has no variable, as in the classic program.
    """
    found = {
        "HV_SIZE": str(size_bytes),
        "SL_CHECKSUM_SHA512": sha512,
        "IL_DC_IDENTIFIER": list_id,
        "VO": vo or "",
    }
    for name, field in _FROM_IMAGE.items():
        value = fields.get(field)
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            found[name] = str(value)
    return {PREFIX + name: value for name, value in found.items() if value}


def event_variables(
    owed: OwedEvent, *, session: str, filename: str | None = None, reason: str | None = None
) -> dict[str, str]:
    """Return the variables that say which event this is, how often it was tried, and why it happened."""
    variables = {
        PREFIX + "TYPE": owed.kind.value,
        PREFIX + "UUID_SESSION": session,
        PREFIX + "ID": owed.id,
        PREFIX + "ATTEMPT": str(owed.attempts + 1),
    }
    return {**variables, **about_file(filename, reason)}


def about_file(filename: str | None, reason: str | None) -> dict[str, str]:
    """Return the variables that say which file of the view an event is about, and why it left."""
    named = {PREFIX + "FILENAME": filename, PREFIX + "REASON": reason}
    return {name: value for name, value in named.items() if value}
