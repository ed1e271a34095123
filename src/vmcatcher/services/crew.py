"""Several downloads at once: who does them, and how what comes of each is handed to the caller's thread."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final, Generic, Self, TypeVar

from vmcatcher.errors import NetworkError, VmcatcherError
from vmcatcher.services.waiting import Job, Kind, Waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

Result = TypeVar("Result")

# How long threads are waited for that were told to stop. What then still runs is at something that cannot be cut, such
# as the disk or a name server; it ends with the program.
_GOODBYE_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Arrival(Generic[Kind, Result]):
    """A job that is over, with what came of it."""

    job: Job[Kind]
    result: Result | VmcatcherError


class Crew(Generic[Kind, Result]):
    """Does the jobs that wait, up to `hands` at a time, and gives what came of them in the order of arrival.

        with Crew(waiting, work, hands=4, halt=transport.halt) as crew:
            for arrival in crew: …

    `work` is called in other threads, which go on while the caller is busy with an arrival. With one hand, or one job,
    everything happens in the caller's thread, one after the other. What `work` raises is an arrival if it is a
    `VmcatcherError`; anything else is raised in the caller's thread. Leaving the block early calls `halt`, which is to
    make whatever runs raise something soon.
    """

    def __init__(
        self,
        waiting: Waiting[Kind],
        work: Callable[[Job[Kind]], Result],
        *,
        hands: int,
        halt: Callable[[], None],
    ) -> None:
        self._waiting = waiting
        self._work = work
        self._halt = halt
        self._hands = min(hands, len(waiting))
        self._expected = len(waiting)
        self._changed = threading.Condition()
        self._is_over = False
        self._arrived: SimpleQueue[Arrival[Kind, Result] | BaseException] = SimpleQueue()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        for number in range(self._hands if self._hands > 1 else 0):
            # Daemons: see `_GOODBYE_S`.
            thread = threading.Thread(target=self._run, name=f"download-{number}", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                break  # the system has no more of them; those that are there do
            self._threads.append(thread)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._is_over = True
            self._changed.notify_all()
        if kind is not None:
            self._halt()
        ends = time.monotonic() + _GOODBYE_S
        for thread in self._threads:
            thread.join(max(0.0, ends - time.monotonic()))

    def __iter__(self) -> Iterator[Arrival[Kind, Result]]:
        for _ in range(self._expected):
            found = self._arrived.get() if self._threads else self._next()
            if not isinstance(found, Arrival):
                raise found
            yield found

    def wrote(self, name: str, count: int) -> None:
        """Note that so many bytes of a job were written; for `work` to call, in any thread."""
        with self._changed:
            self._waiting.wrote(name, count)

    def _next(self) -> Arrival[Kind, Result]:
        job = self._waiting.take()
        assert job is not None, "nothing is on its way that it could wait for"
        return self._done(job)

    def _run(self) -> None:
        while (job := self._taken()) is not None:
            try:
                found: Arrival[Kind, Result] | BaseException = self._done(job)
            except BaseException as exc:  # raised again in the caller's thread
                found = exc
            self._arrived.put(found)

    def _taken(self) -> Job[Kind] | None:
        """Return a job as soon as one may begin; None when there will be none."""
        with self._changed:
            while len(self._waiting) and not self._is_over:
                job = self._waiting.take()
                if job is not None:
                    return job
                self._changed.wait()
        return None

    def _done(self, job: Job[Kind]) -> Arrival[Kind, Result]:
        result: Result | VmcatcherError | None = None
        try:
            result = self._work(job)
        except VmcatcherError as error:
            result = error
        finally:
            with self._changed:
                self._waiting.end(job, has_host_failed=isinstance(result, NetworkError))
                self._changed.notify_all()
        return Arrival(job, result)
