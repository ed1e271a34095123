"""Hand the bytes of an image to its sink in large pieces, from buffers that take turns."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from vmcatcher.errors import NetworkError
from vmcatcher.errors.answer import BodyTooLong
from vmcatcher.transport.halting import Halted
from vmcatcher.transport.limits import CHUNK_BYTES, RING

if TYPE_CHECKING:
    from vmcatcher.transport.limits import Clock
    from vmcatcher.transport.results import Sink

_LONGEST_WAIT_S = 1.0


class Funnel:
    """Fills a buffer while bytes arrive, and gives it to the sink when it is full or a second old."""

    def __init__(self, sink: Sink, clock: Clock, *, url: str, size: int, position: int) -> None:
        self._sink = sink
        self._clock = clock
        self._url = url
        self._size = size
        self.position = position
        """Where the sink stands: how many bytes of the image it took."""
        # One byte more than is missing, so that a body that is too long shows.
        self._step = min(CHUNK_BYTES, size - position + 1)
        self._ring = [memoryview(bytearray(self._step))]
        self._turn = 0
        self._filled = 0

    def pour(self, read_into: Callable[[memoryview], int], excuse: Callable[[float], None]) -> None:
        """Read to the end; what arrived before an error goes to the sink too. `excuse` is told how long the sink took.

        Raises:
            BodyTooLong: there was a byte more than the image has; it was not handed over.
            NetworkError, Halted: whatever `read_into` raises.
        """
        since = self._clock()
        try:
            while count := read_into(self._ring[self._turn][self._filled : self._room()]):
                self._filled += count
                self._check_size()
                now = self._clock()
                if self._filled == self._step or now - since >= _LONGEST_WAIT_S:
                    self._hand_over()
                    since = self._clock()
                    excuse(since - now)
        except BodyTooLong:
            raise
        except (NetworkError, Halted):
            self._hand_over()
            raise
        self._hand_over()

    def _room(self) -> int:
        return min(self._step, self._size - self.position + 1)

    def _check_size(self) -> None:
        if self.position + self._filled > self._size:
            raise BodyTooLong(url=self._url, limit=self._size)

    def _hand_over(self) -> None:
        if not self._filled:
            return
        self._sink.write(self._ring[self._turn][: self._filled])
        self.position += self._filled
        self._filled = 0
        self._turn = (self._turn + 1) % RING
        if self._turn == len(self._ring):
            self._ring.append(memoryview(bytearray(self._step)))
