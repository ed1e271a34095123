"""Several hands do jobs at once; what comes of them is dealt with by one, in the order of arrival."""

from __future__ import annotations

import hashlib
import threading
import time

import pytest

from vmcatcher.errors.network import ServerTimeout
from vmcatcher.model.identity import Sha512
from vmcatcher.services.crew import Crew
from vmcatcher.services.waiting import Job, Waiting


def jobs(*names: str) -> Waiting[str]:
    return Waiting(
        [
            Job(name, Sha512(hashlib.sha512(name.encode()).hexdigest()), size, name, name)
            for size, name in enumerate(names)
        ],
        per_host=2,
        free=lambda: None,
        missing=lambda one: one.size_bytes,
    )


class Hands:
    """Work that waits until it is told to go on, and notes who did it."""

    def __init__(self) -> None:
        self.threads: dict[str, str] = {}
        self.begun = threading.Semaphore(0)
        self.halted = threading.Event()
        self.gates: dict[str, threading.Event] = {}

    def gate(self, name: str) -> threading.Event:
        return self.gates.setdefault(name, threading.Event())

    def work(self, one: Job[str]) -> str:
        self.threads[one.name] = threading.current_thread().name
        self.begun.release()
        while not self.gate(one.name).wait(0.01):
            if self.halted.is_set():
                raise Halted
        return one.name.upper()


class Halted(BaseException):
    pass


@pytest.fixture
def hands() -> Hands:
    return Hands()


def quick(one: Job[str]) -> str:
    return one.name.upper()


def no_halt() -> None:
    raise AssertionError("nobody was to be stopped")


@pytest.mark.parametrize(("hands", "names"), [(1, "abc"), (4, "a"), (4, "")])
def test_one_hand_or_one_job_needs_no_thread(hands: int, names: str):
    seen = []

    def work(one: Job[str]) -> str:
        seen.append(threading.current_thread())
        return one.name.upper()

    with Crew(jobs(*names), work, hands=hands, halt=no_halt) as crew:
        assert [arrival.result for arrival in crew] == list(names.upper())
    assert set(seen) <= {threading.current_thread()}


def test_what_is_done_first_arrives_first(hands: Hands):
    with Crew(jobs("a", "b", "c"), hands.work, hands=3, halt=no_halt) as crew:
        for _ in range(3):
            assert hands.begun.acquire(timeout=5)
        arrivals = iter(crew)
        for name in "cab":
            hands.gate(name).set()
            assert next(arrivals).result == name.upper()
        assert next(arrivals, None) is None
    assert len(set(hands.threads.values())) == 3


def test_others_go_on_while_an_arrival_is_dealt_with(hands: Hands):
    hands.gate("a").set()
    hands.gate("b").set()
    hands.gate("c").set()
    with Crew(jobs("a", "b", "c"), hands.work, hands=2, halt=no_halt) as crew:
        arrivals = iter(crew)
        next(arrivals)
        for _ in range(3):
            assert hands.begun.acquire(timeout=5), "the next job waits for the caller"
        assert len(list(arrivals)) == 2


@pytest.mark.parametrize("hands", [1, 3])
def test_refusal_of_one_is_an_arrival_like_others(hands: int):
    def work(one: Job[str]) -> str:
        if one.name == "b":
            raise ServerTimeout(url="http://b/", waiting_for="the body", seconds=1)
        return one.name.upper()

    with Crew(jobs("a", "b", "c"), work, hands=hands, halt=no_halt) as crew:
        found = {arrival.job.name: arrival.result for arrival in crew}
    assert isinstance(found.pop("b"), ServerTimeout)
    assert found == {"a": "A", "c": "C"}


def test_anything_else_is_raised_where_the_caller_is_and_stops_the_others(hands: Hands):
    def work(one: Job[str]) -> str:
        if one.name == "b":
            raise ZeroDivisionError
        return hands.work(one)

    with pytest.raises(ZeroDivisionError), Crew(jobs("a", "b"), work, hands=2, halt=hands.halted.set) as crew:
        list(crew)
    assert hands.halted.is_set()


def test_interrupt_of_the_caller_stops_what_runs_and_begins_nothing_more(hands: Hands):
    def interrupted() -> None:
        with Crew(jobs(*"abcdef"), hands.work, hands=2, halt=hands.halted.set):
            for _ in range(2):
                assert hands.begun.acquire(timeout=5)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert sorted(hands.threads) == ["a", "b"]


def test_what_cannot_be_stopped_holds_nobody_up():
    stuck = threading.Event()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt), Crew(jobs("a", "b"), lambda _: stuck.wait(30), hands=2, halt=lambda: None):
        raise KeyboardInterrupt
    stuck.set()
    assert time.monotonic() - began < 5


def test_where_no_thread_can_be_had_the_caller_does_all(monkeypatch: pytest.MonkeyPatch):
    def refused(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)
    with Crew(jobs("a", "b"), quick, hands=2, halt=no_halt) as crew:
        assert [arrival.result for arrival in crew] == ["A", "B"]


def test_space_that_is_taken_is_told_from_within():
    queue = jobs("a", "b")

    def work(one: Job[str]) -> str:
        crew.wrote(one.name, 1)
        return one.name

    told: list[tuple[str, int]] = []
    queue.wrote = lambda name, count: told.append((name, count))  # type: ignore[method-assign]
    crew = Crew(queue, work, hands=2, halt=no_halt)
    with crew:
        assert sorted(str(arrival.result) for arrival in crew) == ["a", "b"]
    assert sorted(told) == [("a", 1), ("b", 1)]
