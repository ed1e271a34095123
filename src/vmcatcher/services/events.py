"""Telling the cloud: one handler, one session of a run, every event with its identifier and attempt."""

from __future__ import annotations

import logging
import re
import uuid
from typing import TYPE_CHECKING, Final

from vmcatcher.errors import printable
from vmcatcher.model.event import MOST_ATTEMPTS, PREFIX, EventKind, OwedEvent, event_variables, image_variables
from vmcatcher.services.context import new_event_id
from vmcatcher.store import events

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vmcatcher.hooks import HookOutcome, HookRunner
    from vmcatcher.model.record import CacheRecord
    from vmcatcher.services.context import Context

logger = logging.getLogger(__name__)
_SHOWN_OUTPUT: Final = 2000
# A database server's user and password in VMCATCHER_RDBMS: handlers write down what they are told.
_USERINFO: Final = re.compile(r"^([A-Za-z][A-Za-z0-9+._-]*://)[^/]*@")


class Teller:
    """Tells events to the handler of one run. Without a handler nothing is told and nothing is owed."""

    def __init__(self, context: Context, runner: HookRunner | None, common: Mapping[str, str]) -> None:
        self._context = context
        self._runner = runner
        self._common = {name: _USERINFO.sub(r"\1", value) for name, value in common.items()}
        self._session = str(uuid.uuid4())
        self._told: list[dict[str, object]] = []

    @property
    def is_listening(self) -> bool:
        """Tell whether there is a handler."""
        return self._runner is not None

    def new_id(self) -> str | None:
        """Return the identifier of a new event, or None where nobody listens."""
        return new_event_id() if self.is_listening else None

    def tell_run(self, kind: EventKind) -> None:
        """Tell that the run begins or ends."""
        if self.is_listening:
            self.tell(OwedEvent(kind, new_event_id()), {})

    def tell_record(self, owed: OwedEvent, record: CacheRecord, filename: str) -> bool:
        """Tell an event about one cached version; return whether the handler took it."""
        reason = record.reason.value if record.reason else None
        return self.tell(owed, record_variables(record), filename=filename, reason=reason)

    def tell(
        self, owed: OwedEvent, image: Mapping[str, str], *, filename: str | None = None, reason: str | None = None
    ) -> bool:
        """Tell one event and return whether the handler took it (ended in time with exit status 0)."""
        if self._runner is None:
            return False
        about = event_variables(owed, session=self._session, filename=filename, reason=reason)
        variables = {**self._common, **image, **about}
        outcome = self._runner.run(variables, variables)
        self._note(owed, image, outcome)
        if outcome.delivered and not owed.kind.is_told_once:
            # A run that died between keeping it aside and striking it off has it told again: it is not failed now.
            events.drop_failed(self._context.layout, owed.id)
        return outcome.delivered

    def give_up(self, owed: OwedEvent, image: Mapping[str, str], why: str) -> None:
        """Keep an event that will not be told again where an operator finds it."""
        logger.error("event %s for %s is given up: %s (kept in events/failed)", owed.kind.value, _about(image), why)
        # Only what is about the image: the rest is known again when it is told by hand, and may be a secret.
        events.put_failed(self._context.layout, owed, image, why=why, now=self._context.now)

    def is_exhausted(self, owed: OwedEvent) -> bool:
        """Tell whether the event was told as often as it may be."""
        return owed.attempts >= MOST_ATTEMPTS

    def write_log(self) -> None:
        """Keep what this run told about images; that it began and ended is no news."""
        if all(one["image"] is None and one["delivered"] for one in self._told):
            return
        events.put_log(self._context.layout, self._session, self._told, self._context.now)

    def _note(self, owed: OwedEvent, image: Mapping[str, str], outcome: HookOutcome) -> None:
        self._told.append(
            {
                "kind": owed.kind.value,
                "id": owed.id,
                "attempt": owed.attempts + 1,
                "image": image.get(PREFIX + "DC_IDENTIFIER"),
                "delivered": outcome.delivered,
                "exit_status": outcome.exit_status,
                "signal": outcome.signal,
                "timed_out": outcome.timed_out,
                "seconds": round(outcome.duration_s, 3),
            }
        )
        # A handler may echo a title: what it says is as untrusted as the list.
        text = printable(outcome.output.decode("utf-8", "replace")[:_SHOWN_OUTPUT].strip())
        if outcome.delivered:
            logger.info("told %s %s", owed.kind.value, _about(image))
            logger.debug("handler said: %s", text)
            return
        logger.error("handler %s on %s for %s", _ending(outcome), owed.kind.value, _about(image))
        if text:
            logger.warning("handler said: %s", text)


def record_variables(record: CacheRecord) -> dict[str, str]:
    """Return the variables that describe the image of a cached version, as its own list described it."""
    fields = {**record.fields, "dc:identifier": record.image}
    return image_variables(
        fields, size_bytes=record.size_bytes, sha512=record.sha512, list_id=record.list_id, vo=record.vo
    )


def _about(image: Mapping[str, str]) -> str:
    return printable(image.get(PREFIX + "DC_IDENTIFIER", "the run"))


def _ending(outcome: HookOutcome) -> str:
    if outcome.timed_out:
        return f"was ended after {outcome.duration_s:.0f} s"
    if outcome.signal is not None:
        return f"died of signal {outcome.signal}"
    return f"ended with {outcome.exit_status}"
