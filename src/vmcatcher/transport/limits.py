"""How long and how much: every bound of a transfer, with its unit and where the number is from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from vmcatcher.errors.network import TookTooLong

Clock = Callable[[], float]

MIB: Final = 1 << 20
CHUNK_BYTES: Final = MIB
"""Size of the buffers that image bytes are read into; smaller ones cost time (docs/explanation, costs)."""
RING: Final = 4
"""How many such buffers take turns: what a sink was given stays untouched until it was given RING - 1 more."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a transfer. Times in seconds, sizes in bytes."""

    connect_s: float = 30
    """For a TCP connection, all addresses of the host together; as much again for the proxy and the TLS handshake."""
    idle_s: float = 60
    """Without a single byte; also for the whole header of an answer, so that one byte a minute is no way out."""
    total_s: float = 300
    """For a list: everything together, redirects and repeats included."""
    min_rate_bytes_s: int = 1024
    """Average below which a body is given up, judged every `rate_window_s` (curl: --speed-limit, --speed-time)."""
    rate_window_s: float = 60
    most_bytes_s: int = 0
    """Rate of all images together; 0 is none (curl: --limit-rate). Lists are small, and come as fast as they can."""
    max_redirects: int = 5
    list_bytes: int = 10 * MIB
    attempts: int = 3
    """Requests for one list or image where a server breaks off, is busy or does not answer."""
    backoff_s: float = 1
    """Wait before the second attempt; doubled before each further one."""
    retry_after_s: float = 60
    """The longest wait that a server may ask for; if it asks for more, the next run tries again."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """An instant of the clock at which everything must be done, and how many seconds that was from the start."""

    at: float
    seconds: float

    def left(self, clock: Clock, url: str) -> float:
        """Return how many seconds are left.

        Raises:
            TookTooLong: none.
        """
        left = self.at - clock()
        if left <= 0:
            raise TookTooLong(url=url, seconds=self.seconds)
        return left
