"""Ask again where a server broke off, is busy or does not answer; never in a storm, never for what would not change."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from vmcatcher.errors import NetworkError
from vmcatcher.errors.answer import BodyTruncated, ServerBusy
from vmcatcher.errors.network import ConnectionBroken, ServerTimeout

if TYPE_CHECKING:
    from vmcatcher.transport.limits import Clock, Deadline, Limits

logger = logging.getLogger(__name__)

_Result = TypeVar("_Result")


class Repeats:
    """How often and after which waits an attempt is repeated."""

    def __init__(self, limits: Limits, clock: Clock, sleep: Callable[[float], None]) -> None:
        self._limits = limits
        self._clock = clock
        self._sleep = sleep

    def run(self, attempt: Callable[[], _Result], deadline: Deadline | None = None) -> _Result:
        """Return what `attempt` returns, repeating it where that may help.

        Repeated are a broken connection, a truncated body, no answer in time, status 429 and 5xx; at most
        `Limits.attempts` in all, 1 s and 2 s apart or as long as the server asks for. Not repeated is what another
        request would not change: unknown host, refused connection, TLS, 4xx, a slow server.
        """
        for done in range(1, self._limits.attempts):
            try:
                return attempt()
            except (BodyTruncated, ConnectionBroken, ServerBusy, ServerTimeout) as exc:
                pause = self._pause(exc, done)
                if pause is None or (deadline is not None and self._clock() + pause >= deadline.at):
                    raise
                logger.info("asking again in %.0f s: %s", pause, exc)
            self._sleep(pause)
        return attempt()

    def _pause(self, exc: NetworkError, done: int) -> float | None:
        pause: float = self._limits.backoff_s * 2 ** (done - 1)
        if not isinstance(exc, ServerBusy) or exc.retry_after_s is None:
            return pause
        return max(pause, exc.retry_after_s) if exc.retry_after_s <= self._limits.retry_after_s else None
