"""All downloads together keep to a rate, and none of them is given up for being held back by us."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from support.server import Server
from support.server_client import RecordingSink, at, limits, some_bytes
from vmcatcher.transport import Access, Fetched, Transport
from vmcatcher.transport.pace import Pace

MIB = 1 << 20


class Time:
    """A clock that only sleeping moves; several threads may sleep at once."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._lock = threading.Lock()

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        with self._lock:
            self.now += seconds


@pytest.fixture
def time() -> Time:
    return Time()


def test_no_rate_gives_whatever_is_asked_for_and_never_sleeps(time: Time):
    pace = Pace(0, time.clock, time.sleep)
    assert [pace.take(MIB) for _ in range(100)] == [MIB] * 100
    assert time.now == 1000


@pytest.mark.parametrize("rate", [1, 100, 20_000, 5 * MIB])
def test_no_more_is_given_out_than_the_rate_allows(time: Time, rate: int):
    pace = Pace(rate, time.clock, time.sleep)
    given = sum(pace.take(MIB) for _ in range(200))
    spent = time.now - 1000
    assert given <= rate * (spent + 0.5) + 1
    assert given >= rate * spent * 0.99


def test_sleeps_are_short_so_that_no_server_takes_us_for_dead(time: Time):
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        time.sleep(seconds)

    pace = Pace(10_000, time.clock, sleep)
    for _ in range(50):
        pace.take(MIB)
    assert max(slept) < 1


def test_what_did_not_come_is_given_to_the_next(time: Time):
    pace = Pace(80_000, time.clock, time.sleep)
    for _ in range(100):
        granted = pace.take(MIB)
        pace.give_back(granted - 100)
    assert time.now - 1000 < 100 * 100 / 80_000 + 0.2


def test_idle_time_is_not_saved_up(time: Time):
    pace = Pace(8000, time.clock, time.sleep)
    time.now += 3600
    given = sum(pace.take(MIB) for _ in range(80))
    assert given <= 8000 * (time.now - 4600 + 0.5)


def test_turns_are_given_in_the_order_of_asking(time: Time):
    slept: list[float] = []
    pace = Pace(8000, time.clock, slept.append)
    # Nobody's sleep is over when the next one asks, as with threads that ask at the same time.
    for _ in range(6):
        pace.take(MIB)
    assert slept == sorted(slept)
    assert len(set(slept)) == len(slept) >= 3


def paced(time: Time, **changes: float) -> Transport:
    return Transport(limits=limits(**changes), user_agent="x", clock=time.clock, sleep=time.sleep)


@pytest.fixture
def image(server: Server) -> bytes:
    content = some_bytes(300_000)
    server.publish("/image", content)
    return content


def test_image_comes_no_faster_than_the_rate(server: Server, time: Time, image: bytes):
    sink = RecordingSink()
    with paced(time, most_bytes_s=30_000) as carrier:
        sink.fetch(carrier, server.url("/image"), len(image))
    assert sink.content == image
    assert 9 < time.now - 1000 < 11


def test_image_that_we_hold_back_is_not_taken_for_slow(server: Server, time: Time, image: bytes):
    # At 500 bytes a second it takes 600 s, far below the least rate and ten windows of it.
    sink = RecordingSink()
    with paced(time, most_bytes_s=500, rate_window_s=60, min_rate_bytes_s=1024) as carrier:
        sink.fetch(carrier, server.url("/image"), len(image))
    assert sink.content == image
    assert time.now - 1000 > 590


def test_lists_come_as_fast_as_they_can(server: Server, time: Time):
    server.publish("/list", some_bytes(200_000))
    with paced(time, most_bytes_s=1000) as carrier:
        assert isinstance(carrier.fetch_list(at(server.url("/list")), Access()), Fetched)
    assert time.now == 1000


def test_images_at_the_same_time_share_the_rate(server: Server, time: Time, image: bytes):
    sinks = [RecordingSink() for _ in range(3)]
    with paced(time, most_bytes_s=30_000) as carrier:

        def fetch(sink: RecordingSink) -> Callable[[], None]:
            return lambda: sink.fetch(carrier, server.url("/image"), len(image)) and None

        threads = [threading.Thread(target=fetch(sink)) for sink in sinks]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert all(sink.content == image for sink in sinks)
    # Sleeping at once, they move the clock on more than once: what is seen is no more than three times the time.
    assert time.now - 1000 > 29
