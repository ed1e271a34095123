"""What the cloud is told when an image comes or goes: kinds of events and the variables that describe them.

The names are the classic program's; handlers of many sites read them. Values are text from signed lists, which is
no reason to trust them: they travel as environment values and JSON only, never as shell text.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from vmcatcher.model import document as doc
from vmcatcher.model.instant import instant_text

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX: Final = "VMCATCHER_EVENT_"
MOST_ATTEMPTS: Final = 5
# How long the next attempt waits at least after that many refusals. The first repeat comes with the next run, since
# most refusals pass; a cloud that is down for two hours must not use up all attempts of a cron line that runs often.
_PATIENCE: Final = (timedelta(0), timedelta(minutes=5), timedelta(minutes=30), timedelta(hours=2))


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
        return KINDS[self].is_told_once


@dataclass(frozen=True, slots=True)
class KindFacts:
    """What the reference says about one kind of event."""

    when: str
    files: str
    """Where the image is while the handler runs."""
    is_told_once: bool


# In the order in which they come; handlers and the reference page go by it.
KINDS: Final = {
    EventKind.PROCESS_PREFIX: KindFacts("a cache run begins", "as the last run left it", is_told_once=True),
    EventKind.EXPIRE_PREFIX: KindFacts("an image is about to leave", "still in the endorsed view", is_told_once=True),
    EventKind.EXPIRE_POSTFIX: KindFacts("an image has left", "in the expired view", is_told_once=False),
    EventKind.AVAILABLE_PREFIX: KindFacts(
        "an image is downloaded and verified, about to be published",
        "`<image>` in the download directory",
        is_told_once=True,
    ),
    EventKind.AVAILABLE_POSTFIX: KindFacts("an image has been published", "in the endorsed view", is_told_once=False),
    EventKind.PROCESS_POSTFIX: KindFacts(
        "a cache run ends, also after a failure; always the last event", "as it is", is_told_once=True
    ),
    EventKind.SUBSCRIPTION_IMAGE_NEW: KindFacts(
        "an update finds an image in a list that it did not name before", "no image file yet", is_told_once=False
    ),
}
_EVERY: Final = frozenset(EventKind)
_CACHE_RUN: Final = _EVERY - {EventKind.SUBSCRIPTION_IMAGE_NEW}
_IMAGE: Final = _EVERY - {EventKind.PROCESS_PREFIX, EventKind.PROCESS_POSTFIX}
_LEAVING: Final = frozenset({EventKind.EXPIRE_PREFIX, EventKind.EXPIRE_POSTFIX})


@dataclass(frozen=True, slots=True)
class EventVariable:
    """One variable that handlers are given, and the kinds of events that have it."""

    name: str
    meaning: str
    field: str = ""
    """Field of the signed list that it comes from."""
    of_list: bool = False
    """Whether the field is one of hv:imagelist, not of hv:image."""
    kinds: frozenset[EventKind] = _IMAGE


VARIABLES: Final = (
    EventVariable(PREFIX + "TYPE", "the kind, as above", kinds=_EVERY),
    EventVariable(PREFIX + "ID", "identifier of this event; the same when it is told again", kinds=_EVERY),
    EventVariable(PREFIX + "ATTEMPT", "1 when told for the first time, then 2, …", kinds=_EVERY),
    EventVariable(PREFIX + "UUID_SESSION", "identifier of the run, the same for all its events",
                  kinds=_EVERY),
    EventVariable("VMCATCHER_STORE", "directory of the store", kinds=_EVERY),
    EventVariable("VMCATCHER_RDBMS", "as the caller set it, if it was set", kinds=_EVERY),
    EventVariable("VMCATCHER_CACHE_DIR_CACHE", "directory of the endorsed view, exactly as the operator gave it",
                  kinds=_CACHE_RUN),
    EventVariable("VMCATCHER_CACHE_DIR_DOWNLOAD", "directory of images about to be published, likewise",
                  kinds=_CACHE_RUN),
    EventVariable("VMCATCHER_CACHE_DIR_EXPIRE", "directory of the expired view, likewise", kinds=_CACHE_RUN),
    EventVariable(PREFIX + "IL_DC_IDENTIFIER", "identifier of the list", "dc:identifier", of_list=True),
    EventVariable(PREFIX + "VO", "virtual organisation", "ad:vo", of_list=True),
    EventVariable(PREFIX + "DC_IDENTIFIER", "identifier of the image", "dc:identifier"),
    EventVariable(PREFIX + "DC_TITLE", "title", "dc:title"),
    EventVariable(PREFIX + "DC_DESCRIPTION", "description", "dc:description"),
    EventVariable(PREFIX + "HV_HYPERVISOR", "hypervisor", "hv:hypervisor"),
    EventVariable(PREFIX + "HV_FORMAT", "disk format", "hv:format"),
    EventVariable(PREFIX + "HV_SIZE", "size in bytes", "hv:size"),
    EventVariable(PREFIX + "HV_URI", "where the image is fetched from", "hv:uri"),
    EventVariable(PREFIX + "HV_VERSION", "version of the image", "hv:version"),
    EventVariable(PREFIX + "SL_ARCH", "architecture", "sl:arch"),
    EventVariable(PREFIX + "SL_CHECKSUM_SHA512", "SHA-512 of the bytes, lower case", "sl:checksum:sha512"),
    EventVariable(PREFIX + "SL_COMMENTS", "comments", "sl:comments"),
    EventVariable(PREFIX + "SL_OS", "operating system", "sl:os"),
    EventVariable(PREFIX + "SL_OSVERSION", "its version", "sl:osversion"),
    EventVariable(PREFIX + "AD_MPURI", "page of the appliance in its catalogue", "ad:mpuri"),
    EventVariable(PREFIX + "FILENAME", "name of the file in its directory: `<image>`, in `ExpirePostfix` "
                  "`<image>.<YYYY-MM-DD_hh-mm-ss>` (UTC)", kinds=_IMAGE & _CACHE_RUN),
    EventVariable(PREFIX + "REASON", "why the image leaves, one of the reasons below", kinds=_LEAVING),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class OwedEvent:
    """An event that has been promised and not yet struck off; `id` stays the same over repeats."""

    kind: EventKind
    id: str
    attempts: int = 0
    not_before: datetime | None = None
    """When it is told again at the earliest; None: at the next run."""

    def refused(self, now: datetime) -> OwedEvent:
        """Return the event after one more attempt that the handler did not take."""
        wait = _PATIENCE[min(self.attempts, len(_PATIENCE) - 1)]
        return replace(self, attempts=self.attempts + 1, not_before=now + wait if wait else None)

    def is_due(self, now: datetime) -> bool:
        """Tell whether the wait is over; one that is longer than any we ask for comes from a clock that was wrong."""
        return self.not_before is None or not now < self.not_before <= now + _PATIENCE[-1]


def owed_document(event: OwedEvent) -> dict[str, object]:
    """Return what is kept of an owed event besides its kind; `parse_owed` reads it back."""
    wait = event.not_before and instant_text(event.not_before)
    return {"id": event.id, "attempts": event.attempts, "not_before": wait}


def parse_owed(document: doc.Document, kind: EventKind) -> OwedEvent:
    """Return the owed event of that kind that a stored document describes.

    Raises:
        BadDocument: a field is missing or of the wrong kind.
    """
    not_before = doc.optional_instant(document, "not_before")
    return OwedEvent(kind, doc.text(document, "id"), doc.number(document, "attempts"), not_before)


_FROM_IMAGE: Final = {one.name: one.field for one in VARIABLES if one.field and not one.of_list}


def image_variables(
    fields: Mapping[str, object], *, size_bytes: int, sha512: str, list_id: str, vo: str | None
) -> dict[str, str]:
    """Return the `VMCATCHER_EVENT_*` variables that describe one image of one list.

    A value that is empty, missing or no plain text or number has no variable, as in the classic program.
    """
    found = {}
    for name, field in _FROM_IMAGE.items():
        value = fields.get(field)
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            found[name] = str(value)
    # Size and digest as verified, not as written.
    found[PREFIX + "HV_SIZE"] = str(size_bytes)
    found[PREFIX + "SL_CHECKSUM_SHA512"] = sha512
    found[PREFIX + "IL_DC_IDENTIFIER"] = list_id
    found[PREFIX + "VO"] = vo or ""
    return {name: value for name, value in found.items() if value}


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
