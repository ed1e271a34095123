"""Which download comes next. Pure rules; for one thread at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from vmcatcher.model.identity import Sha512

Kind = TypeVar("Kind")

# As `store.downloads` leaves free, for the documents of the run.
_RESERVE: Final = 2**20


@dataclass(frozen=True, slots=True)
class Job(Generic[Kind]):
    """The bytes of one image, which have to be had."""

    name: str
    """The image; no two jobs have the same."""
    sha512: Sha512
    size_bytes: int
    host: str
    """Whom they are asked for first."""
    what: Kind
    """What they are wanted for."""


class Waiting(Generic[Kind]):
    """The jobs that wait, and what of the machine and of others those take that do not.

    Small ones come first, so that most images are there soon. What asks a host that failed in this run comes after
    what asks others: a server that hangs must not have every hand. No job is left out for ever: each one that waits
    may begin when nothing else is on its way.
    """

    def __init__(
        self,
        jobs: Iterable[Job[Kind]],
        *,
        per_host: int,
        free: Callable[[], int | None],
        missing: Callable[[Job[Kind]], int],
    ) -> None:
        """Take the jobs, and how many may ask one host at a time.

        `free` says how many bytes the disk takes, None where nobody can tell; `missing` how many a job has to write.
        """
        self._per_host = per_host
        self._free = free
        self._missing = missing
        self._queues: dict[str, list[tuple[int, int, Job[Kind]]]] = {}
        """By host: size, turn and job, the next one last."""
        self._busy: dict[str, int] = {}
        self._failures: dict[str, int] = {}
        self._needs: dict[str, int] = {}
        """How many bytes each job that is on its way has still to write."""
        self._digests: set[Sha512] = set()
        self._count = 0
        for turn, job in enumerate(jobs):
            self._queues.setdefault(job.host, []).append((job.size_bytes, turn, job))
            self._count += 1
        for queue in self._queues.values():
            queue.sort(key=lambda one: one[:2], reverse=True)

    def __len__(self) -> int:
        """Return how many wait."""
        return self._count

    def take(self) -> Job[Kind] | None:
        """Return the job to begin now; None where none may before another one ends."""
        found = []
        for host, queue in self._queues.items():
            at = self._next_of(host, queue)
            if at is not None:
                found.append((self._failures.get(host, 0), *queue[at][:2], host, at))
        for *_, host, at in sorted(found):
            job = self._queues[host][at][2]
            needed = self._missing(job)
            if self._fits(needed):
                del self._queues[host][at]
                self._begin(job, needed)
                return job
        return None

    def _next_of(self, host: str, queue: list[tuple[int, int, Job[Kind]]]) -> int | None:
        if self._busy.get(host, 0) >= self._per_host:
            return None
        # Bytes that are on their way are not fetched a second time: whoever wants them too comes when they are there.
        return next((at for at in reversed(range(len(queue))) if queue[at][2].sha512 not in self._digests), None)

    def _fits(self, needed: int) -> bool:
        """Tell whether there is space beside what the others have still to write; one alone finds out by itself."""
        free = self._free() if self._needs else None
        return free is None or free >= sum(self._needs.values()) + needed + _RESERVE

    def _begin(self, job: Job[Kind], needed: int) -> None:
        self._count -= 1
        self._busy[job.host] = self._busy.get(job.host, 0) + 1
        self._digests.add(job.sha512)
        self._needs[job.name] = needed

    def wrote(self, name: str, count: int) -> None:
        """Note that so many bytes of a job were written; below zero, that they were forgotten."""
        if name in self._needs:
            self._needs[name] = max(0, self._needs[name] - count)

    def end(self, job: Job[Kind], *, has_host_failed: bool) -> None:
        """Note that a job is over, and whether that was for want of a host."""
        self._busy[job.host] -= 1
        self._digests.discard(job.sha512)
        del self._needs[job.name]
        if has_host_failed:
            self._failures[job.host] = self._failures.get(job.host, 0) + 1
