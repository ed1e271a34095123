"""Errands are done ahead in threads, a few at a time, and answered in their order."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from vmcatcher.errors.network import HostUnknown
from vmcatcher.services import ahead as ahead_module
from vmcatcher.services.ahead import MOST_PER_HOST, Ahead, Errand
from vmcatcher.transport.results import Fetched, NotModified, Validators

GONE = HostUnknown(url="http://b/", host="b", why="it is not known")
SAME = NotModified(Validators(), "http://a/")


def _no_halt() -> None:
    pytest.fail("nothing was interrupted")


class Servers:
    """Servers that answer when they are let, and count how many are asked at once."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.threads: set[str] = set()
        self.most: dict[str, int] = {}
        self.most_at_all = 0
        self._asked: dict[str, int] = {}
        self._lock = threading.Lock()
        self._open: dict[int, threading.Event] = {}
        self.is_over = threading.Event()

    def errand(self, at: int, host: str | None, answer: object = SAME, *, waits: bool = False) -> Errand:
        self._open[at] = threading.Event()
        if not waits:
            self._open[at].set()
        return Errand(host, lambda: self._fetch(at, host or "", answer))

    def let(self, at: int) -> None:
        self._open[at].set()

    def end(self) -> None:
        self.is_over.set()
        for event in self._open.values():
            event.set()

    def _fetch(self, at: int, host: str, answer: object) -> Fetched | NotModified:
        with self._lock:
            self.begun.append(at)
            self.threads.add(threading.current_thread().name)
            self._asked[host] = self._asked.get(host, 0) + 1
            self.most[host] = max(self.most.get(host, 0), self._asked[host])
            self.most_at_all = max(self.most_at_all, sum(self._asked.values()))
        self._open[at].wait(20)
        with self._lock:
            self._asked[host] -= 1
        if isinstance(answer, BaseException):
            raise answer
        assert isinstance(answer, Fetched | NotModified)
        return answer

    def until(self, condition: Callable[[], bool]) -> None:
        ends = time.monotonic() + 15
        while not condition():
            assert time.monotonic() < ends, self.begun
            time.sleep(0.002)


@pytest.fixture
def servers() -> Iterator[Servers]:
    found = Servers()
    yield found
    found.end()


def _list(number: int) -> Fetched:
    return Fetched(b"list %d" % number, Validators(), "http://a/", "")


def test_answers_come_in_the_order_of_the_errands_whoever_is_first(servers: Servers):
    errands = [servers.errand(at, f"host-{at}", _list(at), waits=at < 3) for at in range(6)]
    with Ahead(errands, jobs=4, halt=_no_halt) as answers:
        found: list[object] = []
        caller = threading.Thread(target=lambda: found.extend(answers.answer(at) for at in range(6)))
        caller.start()
        servers.until(lambda: set(servers.begun) >= {0, 1, 2, 3})
        for at in (2, 1, 0):
            assert found == []
            servers.let(at)
        caller.join(10)
    assert found == [_list(at) for at in range(6)]


def test_server_that_hangs_does_not_keep_the_others_from_being_asked(servers: Servers):
    errands = [servers.errand(0, "slow", waits=True), *(servers.errand(at, "quick") for at in range(1, 50))]
    with Ahead(errands, jobs=2, halt=_no_halt) as answers:
        caller = threading.Thread(target=answers.answer, args=(0,))
        caller.start()
        servers.until(lambda: len(servers.begun) == 50)
        assert caller.is_alive()
        servers.let(0)
        caller.join(10)
        assert [answers.answer(at) for at in range(1, 50)] == [SAME] * 49


def test_no_more_than_so_many_at_a_time_and_two_from_a_host(servers: Servers):
    errands = [servers.errand(at, f"host-{at % 3}", waits=True) for at in range(30)]
    with Ahead(errands, jobs=4, halt=_no_halt) as answers:
        caller = threading.Thread(target=lambda: [answers.answer(at) for at in range(30)])
        caller.start()
        # The caller's own first one, and four in threads.
        servers.until(lambda: len(servers.begun) == 5)
        time.sleep(0.05)
        assert len(servers.begun) == 5
        for at in range(30):
            servers.until(lambda at=at: at in servers.begun)
            servers.let(at)
        caller.join(10)
        assert not caller.is_alive()
    assert max(servers.most.values()) == MOST_PER_HOST
    assert servers.most_at_all <= 5


def test_lists_that_came_wait_in_no_greater_number_than_jobs(servers: Servers):
    errands = [servers.errand(0, "slow", waits=True)]
    errands += [servers.errand(at, f"host-{at}", _list(at)) for at in range(1, 40)]
    with Ahead(errands, jobs=3, halt=_no_halt) as answers:
        caller = threading.Thread(target=answers.answer, args=(0,))
        caller.start()
        servers.until(lambda: len(servers.begun) >= 4)
        time.sleep(0.1)
        # Three wait, and each thread may have had one under way when the third came.
        assert len(servers.begun) <= 1 + 3 + 3
        servers.let(0)
        caller.join(10)
        assert [answers.answer(at) for at in range(1, 40)] == [_list(at) for at in range(1, 40)]


def test_list_whose_turn_it_is_comes_however_many_others_wait(servers: Servers):
    """Its host was busy while others came, and they fill all the room that there is."""
    errands = [servers.errand(at, "slow", _list(at), waits=True) for at in range(3)]
    errands += [servers.errand(at, f"host-{at}", _list(at)) for at in range(3, 12)]
    with Ahead(errands, jobs=3, halt=_no_halt) as answers:
        found: list[object] = []
        caller = threading.Thread(target=lambda: found.extend(answers.answer(at) for at in range(12)))
        caller.start()
        servers.until(lambda: len(servers.begun) >= 5)
        for at in range(3):
            servers.let(at)
        caller.join(10)
        assert not caller.is_alive()
    assert found == [_list(at) for at in range(12)]


def test_what_fetching_raises_is_raised_where_the_answer_is_asked_for(servers: Servers):
    errands = [
        servers.errand(0, "a", waits=True),
        servers.errand(1, "b", GONE),
        servers.errand(2, "c", ZeroDivisionError()),
    ]
    with Ahead(errands, jobs=2, halt=_no_halt) as answers:
        caller = threading.Thread(target=answers.answer, args=(0,))
        caller.start()
        servers.until(lambda: len(servers.begun) == 3)
        servers.let(0)
        caller.join(10)
        with pytest.raises(HostUnknown) as refused:
            answers.answer(1)
        assert refused.value is GONE
        with pytest.raises(ZeroDivisionError):
            answers.answer(2)


@pytest.mark.parametrize(("jobs", "number"), [(1, 5), (0, 5), (4, 1)])
def test_one_job_or_one_errand_needs_no_thread(servers: Servers, jobs: int, number: int):
    before = threading.active_count()
    with Ahead([servers.errand(at, "a") for at in range(number)], jobs=jobs, halt=_no_halt) as answers:
        assert threading.active_count() == before
        assert [answers.answer(at) for at in range(number)] == [SAME] * number
    assert servers.threads == {threading.current_thread().name}


def test_what_needs_no_network_is_fetched_by_the_caller_alone(servers: Servers):
    errands = [servers.errand(at, None if at % 2 else "a", waits=not at) for at in range(8)]
    with Ahead(errands, jobs=4, halt=_no_halt) as answers:
        caller = threading.Thread(target=answers.answer, args=(0,), name="the caller")
        caller.start()
        servers.until(lambda: set(servers.begun) == {0, 2, 4, 6})
        time.sleep(0.05)
        assert set(servers.begun) == {0, 2, 4, 6}
        servers.let(0)
        caller.join(10)
        assert [answers.answer(at) for at in range(1, 8)] == [SAME] * 7


@pytest.mark.parametrize("most", [0, 1])
def test_system_that_has_no_more_threads_has_the_caller_fetch(most: int, monkeypatch: pytest.MonkeyPatch):
    begun: list[threading.Thread] = []
    start = threading.Thread.start

    def begin(thread: threading.Thread) -> None:
        if len(begun) >= most:
            raise RuntimeError("can't start new thread")
        begun.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", begin)

    def fetch() -> NotModified:
        time.sleep(0.12)  # the run is seen to wait
        return SAME

    with Ahead([Errand("a", fetch), Errand("b", fetch)], jobs=2, halt=_no_halt) as ahead:
        assert [ahead.answer(at) for at in range(2)] == [SAME, SAME]


def test_servers_that_answer_at_once_are_asked_in_the_callers_thread():
    def busy() -> NotModified:
        ends = time.thread_time() + 0.002
        while time.thread_time() < ends:
            pass
        return SAME

    with Ahead([Errand("a", busy)] * 3, jobs=4, halt=_no_halt) as answers:
        before = threading.active_count()
        assert [answers.answer(at) for at in range(3)] == [SAME] * 3
        assert threading.active_count() == before


@pytest.mark.parametrize(("raised", "halts"), [(KeyboardInterrupt, 1), (GeneratorExit, 0), (HostUnknown, 0)], ids=str)
def test_interrupt_ends_what_is_on_its_way_and_waits_for_nobody(
    servers: Servers, raised: type[BaseException], halts: int
):
    halted: list[float] = []
    errands = [servers.errand(at, f"host-{at}", waits=True) for at in range(4)]
    caller_waits = threading.Event()

    def ask(answers: Ahead) -> None:
        caller_waits.set()
        answers.answer(0)

    began = time.monotonic()
    with pytest.raises(raised), Ahead(errands, jobs=2, halt=lambda: halted.append(1)) as answers:  # noqa: PT012 - the interrupt comes inside
        threading.Thread(target=ask, args=(answers,), daemon=True).start()
        servers.until(lambda: len(servers.begun) == 3)
        if not halts:
            servers.end()
        raise raised() if raised is not HostUnknown else GONE
    assert time.monotonic() - began < 5
    assert len(halted) == halts
    servers.end()


def _awaited(errands: list[Errand], spoil: Callable[[Ahead], None] = lambda _: None) -> list[object]:
    """Ask for every answer in a thread that is given up after a while: nothing may wait for ever."""
    found: list[object] = []

    def ask() -> None:
        with Ahead(errands, jobs=4, halt=_no_halt) as ahead:
            spoil(ahead)
            found.extend(ahead.answer(at) for at in range(len(errands)))

    asker = threading.Thread(target=ask, daemon=True)
    asker.start()
    asker.join(20)
    assert not asker.is_alive(), "somebody waits for an answer that never comes"
    return found


def test_thread_that_dies_leaves_nobody_waiting(servers, monkeypatch):
    """Whatever ended it, as no memory did: what it was about is fetched by whoever asks for it."""
    monkeypatch.setattr(ahead_module, "_PATIENCE_S", 0.01)
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    errands = [servers.errand(at, f"h{at % 2}") for at in range(6)]

    def spoil(ahead: Ahead) -> None:
        whole = ahead._is_done

        def dies(at: int, host: str | None, found: object = None) -> None:
            if found is not None and at in (2, 3):
                raise MemoryError
            whole(at, host, found)

        ahead._is_done = dies
        time.sleep(0.2)  # until the threads are begun

    assert _awaited(errands, spoil) == [SAME] * 6
    assert sorted(servers.begun) == [0, 1, 2, 2, 3, 3, 4, 5]


def test_lock_that_an_interrupt_left_taken_does_not_hold_up_the_end(servers, monkeypatch):
    monkeypatch.setattr(ahead_module, "_GOODBYE_S", 0.01)
    ahead = Ahead([servers.errand(at, "a") for at in range(3)], jobs=2, halt=lambda: None)
    with ahead:
        ahead._lock.acquire()
    ahead._lock.release()


@pytest.mark.soak
def test_no_way_to_be_answered_leaves_anybody_waiting():
    """Lists and hosts in all numbers, answers that are quick, slow or errors."""
    chance = random.Random(7)
    for _ in range(200):
        hosts = [f"h{number}" for number in range(chance.randint(1, 5))]
        errands = [
            Errand(chance.choice([*hosts, None]), partial(_some_answer, chance)) for _ in range(chance.randint(1, 20))
        ]
        assert len(_awaited(errands)) == len(errands)


def _some_answer(chance: random.Random) -> NotModified:
    time.sleep(chance.choice((0, 0, 0.001, 0.06)))
    return SAME
