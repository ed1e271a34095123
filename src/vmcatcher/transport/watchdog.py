"""A time by which something must have come over a connection, whatever trickles in until then."""

from __future__ import annotations

import contextlib
import math
import os
import socket
import threading
import time
from typing import Self


class Watchdog:
    """Cuts a connection when its time is over. For use in a `with` block.

    The timeout of a socket is for one byte, so a server that sends a byte a minute gets around it; what the library
    reads in one go (a handshake, a header, the frame of a chunk) has no other end than this.
    """

    def __init__(self, descriptor: int, seconds: float) -> None:
        # A descriptor of its own: the other one may be closed, or taken over by TLS, at any time.
        self._line = socket.socket(fileno=os.dup(descriptor))
        self._ends = time.monotonic() + seconds
        self._dismissed = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True, name="watchdog")
        self.has_cut = False
        """Whether it has; what was read since is not to be trusted."""
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *unused: object) -> None:
        self.dismiss()

    def allow(self, seconds: float) -> None:
        """Cut the connection that many seconds from now, up to a second later."""
        self._ends = time.monotonic() + seconds

    def rest(self) -> None:
        """Cut nothing until the next `allow`: it is us who keep the server waiting."""
        self._ends = math.inf

    def dismiss(self) -> None:
        """Let go of the connection."""
        self._dismissed.set()
        self._thread.join()
        self._line.close()

    def _watch(self) -> None:
        while (left := self._ends - time.monotonic()) > 0:
            if self._dismissed.wait(min(left, 1)):
                return
        self.has_cut = True
        with contextlib.suppress(OSError):
            self._line.shutdown(socket.SHUT_RDWR)
