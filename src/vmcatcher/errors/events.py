"""Events that an operator asks about or wants told again."""

from __future__ import annotations

from typing import ClassVar

from vmcatcher.errors.base import OperatorError
from vmcatcher.light import dataclass


@dataclass(eq=False)
class NoSuchEvent(OperatorError):
    """No event of that identifier is owed or was given up."""

    event: str
    id: ClassVar[str] = "no-such-event"
    message: ClassVar[str] = "no event '{event}' is owed or was given up"
    hint: ClassVar[str] = "vmcatcher event list shows them"


@dataclass(eq=False)
class AmbiguousEvent(OperatorError):
    """The beginning of an identifier that fits several events."""

    event: str
    count: int
    id: ClassVar[str] = "ambiguous-event"
    message: ClassVar[str] = "'{event}' is the beginning of {count} events"
    hint: ClassVar[str] = "give more characters of the one that is meant"


@dataclass(eq=False)
class EventsNotNamed(OperatorError):
    """A command that changes what is owed has to be told for which events, one way or the other."""

    id: ClassVar[str] = "events-not-named"
    exit_code: ClassVar[int] = 2
    message: ClassVar[str] = "which events?"
    hint: ClassVar[str] = "give identifiers, or --failed, or --owed"


@dataclass(eq=False)
class NoHandler(OperatorError):
    """An event is to be told, and nobody is there to hear it."""

    variable: str
    id: ClassVar[str] = "no-handler"
    message: ClassVar[str] = "no handler is set that could be told"
    hint: ClassVar[str] = "give one with -x, or set {variable}"


@dataclass(eq=False)
class EventNotTaken(OperatorError):
    """The handler was told and did not end with 0 in its time."""

    event: str
    kind: str
    image: str
    id: ClassVar[str] = "event-not-taken"
    message: ClassVar[str] = "the handler did not take {kind} {event} of image {image}"
    hint: ClassVar[str] = "what it said is in the log; repair it and run this command again"


@dataclass(eq=False)
class EventOvertaken(OperatorError):
    """What the event says was true then and is not so now."""

    event: str
    kind: str
    image: str
    now: str
    id: ClassVar[str] = "event-overtaken"
    message: ClassVar[str] = "{kind} {event} is out of date: image {image} {now}"
    hint: ClassVar[str] = "forget it with vmcatcher event drop, or tell it all the same with --force"


@dataclass(eq=False)
class EarlierEventOwed(OperatorError):
    """The events of an image are told in the order in which they happened."""

    event: str
    earlier: str
    image: str
    id: ClassVar[str] = "earlier-event-owed"
    message: ClassVar[str] = "event {event} of image {image} waits for {earlier}, which is owed since before"
    hint: ClassVar[str] = "tell the earlier one first, or drop it"


@dataclass(eq=False)
class EventInPassage(OperatorError):
    """The event belongs to a step of a cache run that was broken off; only that step can tell it."""

    event: str
    kind: str
    image: str
    id: ClassVar[str] = "event-in-passage"
    message: ClassVar[str] = "{kind} {event} of image {image} is told by the cache run that goes on with the image"
    hint: ClassVar[str] = "run `vmcatcher sync` (vmcatcher_cache)"


@dataclass(eq=False)
class ImageNotShown(OperatorError):
    """A handler that is told of an image looks for it in a directory, and would not find it there."""

    event: str
    kind: str
    image: str
    directory: str
    id: ClassVar[str] = "image-not-shown"
    message: ClassVar[str] = "{kind} {event} is not told: image {image} is not in {directory}"
    hint: ClassVar[str] = (
        "run `vmcatcher sync` (vmcatcher_cache); if the latter has -C and -e, set VMCATCHER_CACHE_DIR_CACHE and "
        "_EXPIRE likewise"
    )
