"""How fast all downloads together may be: bytes are read no faster than this gives them out."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmcatcher.transport.limits import Clock

# A server that sees nothing read for a minute hangs up (nginx: send_timeout), so no grant may last that long.
_STEP_S: Final = 0.125
# What was not used is made good for that long: a thread that comes a moment late must not cost the others their rate.
_CREDIT_S: Final = 0.25


class Pace:
    """A token bucket that the transfers of a run share. Safe to use from several threads.

    Whoever asks gets a turn in the order of asking, so that none of several transfers is left out.
    """

    def __init__(self, bytes_s: int, clock: Clock, sleep: Callable[[float], None]) -> None:
        """Give out `bytes_s` bytes a second; 0 gives out whatever is asked for."""
        self._bytes_s = bytes_s
        self._step = max(1, int(bytes_s * _STEP_S))
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._given_until = -math.inf
        """Until when what was given out lasts."""

    def take(self, most: int) -> int:
        """Return how many bytes may be read now, from 1 to `most`; sleeps until there are any."""
        if not self._bytes_s:
            return most
        granted = min(most, self._step)
        with self._lock:
            now = self._clock()
            begins = max(self._given_until, now - _CREDIT_S)
            self._given_until = begins + granted / self._bytes_s
        if begins > now:
            self._sleep(begins - now)
        return granted

    def give_back(self, count: int) -> None:
        """Take back what was granted and did not come."""
        if self._bytes_s and count:
            with self._lock:
                self._given_until -= count / self._bytes_s
