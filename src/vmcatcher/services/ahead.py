"""Fetching ahead: while one list is worked on, the next ones are on their way, a few at a time.

Only the network is waited for in other threads. Whatever touches the store stays in the caller's, in its order.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from vmcatcher.transport.results import Fetched

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from vmcatcher.transport.results import NotModified

    Answer = Fetched | NotModified

MOST_PER_HOST: Final = 2
MOST_JOBS: Final = 32
"""More threads than that are a slip."""
# How long threads that are to end are waited for: one may be waiting for a name server.
_GOODBYE_S: Final = 0.5
# How often it is looked whether the run waits, and of what share of the time that is said.
_LOOK_S: Final = 0.05
# How often whoever waits for somebody else looks whether that one is still there.
_PATIENCE_S: Final = 1.0
_BUSY: Final = 0.5


@dataclass(frozen=True, slots=True)
class Errand:
    """One list to be fetched."""

    host: str | None
    """Whom it asks; None for what is not fetched over the network, and then not ahead either."""
    fetch: Callable[[], Answer]


class Ahead:
    """The answers to errands in their order, up to `jobs` of them fetched at a time, no more than two from a host.

    A server that hangs costs the time until it is given up, while the others are asked. No more than `jobs` lists that
    came wait for their turn, and as many again may be on their way; "not modified" takes no memory and does not count.

    Threads are for waiting: they are begun as soon as the run is seen to do that. As long as servers answer faster than
    their answers are worked on, and with one job or one errand always, each is fetched in the caller's thread when its
    turn comes.

    For use in a `with` block; who leaves it early leaves what is on its way to its own end.
    """

    def __init__(self, errands: Sequence[Errand], *, jobs: int, halt: Callable[[], None]) -> None:
        """Take the errands; `halt` ends what is on its way in other threads when the run is interrupted."""
        self._errands = errands
        self._halt = halt
        self._jobs = min(jobs, MOST_JOBS)
        self._lock = threading.Lock()
        self._has_work = threading.Condition(self._lock)
        self._has_answer = threading.Condition(self._lock)
        self._has_ended = threading.Condition(self._lock)
        self._answers: dict[int, Answer | BaseException] = {}
        self._waiting: dict[str, deque[int]] = {}
        """By host, the errands that nobody does yet."""
        self._left = 0
        self._free: list[tuple[int, str]] = []
        """A heap of the hosts that may be asked, with the first errand that waits for each."""
        self._busy: dict[str, int] = {}
        self._bodies = 0
        self._turn = 0
        self._is_over = False
        self._threads: list[threading.Thread] = []
        self._takers: dict[int, threading.Thread] = {}
        """Who fetches what nobody has the answer to yet."""
        self._are_begun = False
        """Whether the threads that fetch are; the one that looks whether they should be is not one of them."""
        self._is_ahead = jobs > 1 and sum(errand.host is not None for errand in errands) > 1

    def __enter__(self) -> Self:
        if not self._is_ahead:
            return self
        for at, errand in enumerate(self._errands):
            if errand.host is not None:
                self._waiting.setdefault(errand.host, deque()).append(at)
        self._free = [(queue[0], host) for host, queue in self._waiting.items()]
        heapq.heapify(self._free)
        self._left = sum(map(len, self._waiting.values()))
        self._begin(self._watch, "fetchers")  # where there is no thread for it, all is done in the caller's
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over = True
        # Whoever is interrupted just when he takes the lock never lets it go: better unheard than waiting for that.
        if self._lock.acquire(timeout=_GOODBYE_S):
            try:
                self._has_work.notify_all()
                self._has_ended.notify()
            finally:
                self._lock.release()
        if self._are_begun and kind is not None and not issubclass(kind, Exception | GeneratorExit):
            self._halt()
        ends = time.monotonic() + _GOODBYE_S
        for thread in self._threads:
            thread.join(max(0.0, ends - time.monotonic()))

    def answer(self, at: int) -> Answer:
        """Return the answer to the errand of that number; they are asked for in their order, each once.

        Raises whatever fetching it raised.
        """
        errand = self._errands[at]
        if errand.host is None or not self._is_ahead or self._is_for_caller(at, errand.host):
            try:
                return errand.fetch()
            finally:
                self._is_done(at, errand.host)
        found = self._brought(at)
        if found is None:
            # Nobody is left who would bring it: a thread died, which is no reason to wait for ever.
            return errand.fetch()
        if isinstance(found, BaseException):
            raise found
        return found

    def _brought(self, at: int) -> Answer | BaseException | None:
        """Wait for the answer that a thread brings; None if none will."""
        with self._has_answer:
            self._turn = at
            while at not in self._answers:
                if not self._is_coming(at):
                    return None
                self._has_work.notify_all()  # whose turn it is may be fetched, however many others wait
                self._has_answer.wait(_PATIENCE_S)
            found = self._answers.pop(at)
            if isinstance(found, Fetched):
                self._bodies -= 1
                self._has_work.notify()
        return found

    def _is_coming(self, at: int) -> bool:
        """Tell whether there is a thread that fetches an errand, or will. Call with the lock."""
        taker = self._takers.get(at)
        return taker.is_alive() if taker is not None else any(thread.is_alive() for thread in self._threads)

    def _is_for_caller(self, at: int, host: str) -> bool:
        """Tell whether the caller is to fetch what it asks for: it is, until there are threads for it."""
        with self._has_work:
            if self._are_begun:
                return False
            # It is the first one that nobody has begun, so its host stands first.
            taken = self._take()
            assert taken == (at, host), "errands are asked for in their order"
            return True

    def _is_done(self, at: int, host: str | None, found: Answer | BaseException | None = None) -> None:
        if host is None or not self._is_ahead:
            return
        with self._has_answer:
            self._busy[host] -= 1
            if self._busy[host] == MOST_PER_HOST - 1:
                self._offer(host)
            if found is not None:
                del self._takers[at]
                self._answers[at] = found
                self._bodies += isinstance(found, Fetched)
                if at == self._turn:
                    self._has_answer.notify()

    def _begin(self, work: Callable[[], None], name: str) -> bool:
        """Begin a thread; return False where the system has no more of them."""
        # Daemons: one that waits for a server when the run is interrupted must not hold up its end.
        thread = threading.Thread(target=work, name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError:
            return False
        self._threads.append(thread)
        return True

    def _watch(self) -> None:
        """Begin the threads that fetch, as soon as the program does not keep a processor busy without them."""
        with self._has_ended:
            while self._left and not self._is_over:
                wall, cpu = time.monotonic(), time.process_time()
                self._has_ended.wait(_LOOK_S)
                if time.process_time() - cpu < _BUSY * (time.monotonic() - wall):
                    break
            if not self._left or self._is_over:
                return
            most = sum(min(len(queue), MOST_PER_HOST) for queue in self._waiting.values())
            # With the lock: what is begun waits for it, and the caller for whoever is begun.
            for number in range(min(self._jobs, most)):
                self._are_begun |= self._begin(self._work, f"fetcher-{number}")

    def _work(self) -> None:
        while (taken := self._next()) is not None:
            at, host = taken
            try:
                found: Answer | BaseException = self._errands[at].fetch()
            except BaseException as exc:  # raised again in the thread that asks for it
                found = exc
            self._is_done(at, host, found)

    def _next(self) -> tuple[int, str] | None:
        """Return an errand to be done and its host as soon as there is one; None when there will be none."""
        with self._has_work:
            while self._left and not self._is_over:
                if self._free and (self._bodies < self._jobs or self._free[0][0] == self._turn):
                    at, host = self._take()
                    self._takers[at] = threading.current_thread()
                    return at, host
                self._has_work.wait()
        return None

    def _take(self) -> tuple[int, str]:
        """Take the first errand that may be done; return its number and host. Call with the lock."""
        at, host = heapq.heappop(self._free)
        self._left -= 1
        self._waiting[host].popleft()
        self._busy[host] = self._busy.get(host, 0) + 1
        if self._busy[host] < MOST_PER_HOST:
            self._offer(host)
        if not self._left:
            self._has_work.notify_all()
        return at, host

    def _offer(self, host: str) -> None:
        """Have a host asked again that may be, if there is something to ask it. Call with the lock."""
        queue = self._waiting[host]
        if queue:
            heapq.heappush(self._free, (queue[0], host))
            self._has_work.notify()
