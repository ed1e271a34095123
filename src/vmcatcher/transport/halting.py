"""The end of every wait on the network at once: what Ctrl-C means to transfers that run in other threads."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Halted(BaseException):
    """The run is over, and so is this transfer. No `Exception`: it is no failure to answer by asking elsewhere."""


class Halt:
    """Ends all transfers of a run when it is told to; what would begin after that does not. Safe in any thread."""

    def __init__(self) -> None:
        self._is_over = threading.Event()
        self._lock = threading.Lock()
        self._cuts: set[Callable[[], None]] = set()

    def now(self) -> None:
        """Cut every connection that is waited on, and end every sleep."""
        with self._lock:
            self._is_over.set()
            cuts = list(self._cuts)
        for cut in cuts:
            cut()

    def check(self) -> None:
        """Return if the run goes on.

        Raises:
            Halted: it does not.
        """
        if self._is_over.is_set():
            raise Halted

    def sleep(self, seconds: float) -> None:
        """Return after that many seconds.

        Raises:
            Halted: the run is over, before or meanwhile.
        """
        if self._is_over.wait(seconds):
            raise Halted

    def watch(self, cut: Callable[[], None]) -> None:
        """Have `cut` called at the end of the run, at once if that is now; until `forget`."""
        with self._lock:
            self._cuts.add(cut)
            is_over = self._is_over.is_set()
        if is_over:
            cut()

    def forget(self, cut: Callable[[], None]) -> None:
        """Do not call `cut` any more."""
        with self._lock:
            self._cuts.discard(cut)
