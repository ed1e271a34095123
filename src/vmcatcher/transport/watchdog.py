"""A time by which something must have come over a connection, whatever trickles in until then."""

from __future__ import annotations

import contextlib
import math
import os
import socket
import threading
import time
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from vmcatcher.transport.halting import Halt


class Watchdog:
    """Cuts a connection when its time is over. For use in a `with` block.

    The timeout of a socket is for one byte, so a server that sends a byte a minute gets around it; what the library
    reads in one go (a handshake, a header, the frame of a chunk) has no other end than this. The end of the run cuts
    the connection, too.
    """

    def __init__(self, descriptor: int, seconds: float, halt: Halt) -> None:
        # A descriptor of its own: the other one may be closed, or taken over by TLS, at any time.
        self._line = os.dup(descriptor)
        self._ends = time.monotonic() + seconds
        self.has_cut = False
        """Whether it has; what was read since is not to be trusted."""
        self._halt = halt
        _KENNEL.admit(self, self._ends)
        halt.watch(self.cut)

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
        self._halt.forget(self.cut)
        if _KENNEL.release(self):
            os.close(self._line)

    def cut(self) -> None:
        """Cut the connection now, if it was not let go yet."""
        _KENNEL.send(self)

    def look(self, now: float) -> float:
        """Cut the connection if its time is over at `now`; return when to look again. Called by the kennel only."""
        ends = self._ends
        if ends > now:
            # `allow` may make it shorter without a word to whoever sleeps until then.
            return min(ends, now + _LONGEST_SLEEP_S)
        self.has_cut = True
        with contextlib.suppress(OSError):
            line = socket.socket(fileno=self._line)
            try:
                line.shutdown(socket.SHUT_RDWR)
            finally:
                line.detach()
        return math.inf


_LONGEST_SLEEP_S: Final = 1.0


class _Kennel:
    """All watchdogs that are on duty, and the one thread that looks after them.

    A thread for each of them cost a quarter of a request for a list that had not changed.
    """

    def __init__(self) -> None:
        self._awake = threading.Condition()
        self._dogs: set[Watchdog] = set()
        self._next_look = math.inf
        self._thread: threading.Thread | None = None

    def admit(self, dog: Watchdog, ends: float) -> None:
        with self._awake:
            self._dogs.add(dog)
            if self._thread is None or not self._thread.is_alive():  # not alive: this is the child of a fork
                self._thread = threading.Thread(target=self._watch, daemon=True, name="watchdog")
                self._thread.start()
            elif ends < self._next_look:
                self._awake.notify()

    def release(self, dog: Watchdog) -> bool:
        """Take a watchdog off duty; return False where it was so already. It cuts nothing after that."""
        with self._awake:
            if dog not in self._dogs:
                return False
            self._dogs.remove(dog)
            return True

    def send(self, dog: Watchdog) -> None:
        """Have a watchdog cut at once, if it is on duty."""
        with self._awake:
            if dog in self._dogs:
                dog.look(math.inf)

    def _watch(self) -> None:
        with self._awake:
            while True:
                now = time.monotonic()
                self._next_look = min((dog.look(now) for dog in self._dogs), default=math.inf)
                # With nobody on duty it sleeps until somebody is; it ends with the program.
                self._awake.wait(None if math.isinf(self._next_look) else max(self._next_look - now, 0.0))


_KENNEL: Final = _Kennel()
