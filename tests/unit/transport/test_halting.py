"""When a run is interrupted, every wait of its transfers ends at once, and what had come is kept."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from support.server import Server
from support.server_client import RecordingSink, at, some_bytes
from vmcatcher.transport import Access, Limits, Transport
from vmcatcher.transport.halting import Halt, Halted

# None of these bounds would end anything before the test's own time is over.
_PATIENT = Limits(connect_s=30, idle_s=30, total_s=30, backoff_s=30)
_SIZE = 3_000_000


class Fetching:
    """An image that is fetched in a thread of its own, and how that ended."""

    def __init__(self, carrier: Transport, url: str, access: Access) -> None:
        self.sink = RecordingSink()
        self.ended: BaseException | None = None
        self._thread = threading.Thread(target=self._fetch, args=(carrier, url, access), daemon=True)
        self._thread.start()

    def _fetch(self, carrier: Transport, url: str, access: Access) -> None:
        try:
            self.sink.fetch(carrier, url, _SIZE, access)
        except BaseException as exc:
            self.ended = exc

    def wait(self) -> float:
        """Return how long it took to end."""
        began = time.monotonic()
        self._thread.join(20)
        return time.monotonic() - began


def until(condition) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("fault", [{"mode": "hang", "after": 1_500_000}, {"mode": "hang"}, {"mode": "dripheader"}])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_transfer_that_waits_for_its_server_ends_at_once(
    request: pytest.FixtureRequest, trusting: Path, fault: dict[str, object], scheme: str
):
    place: Server = request.getfixturevalue("server" if scheme == "http" else "secure")
    content = some_bytes(_SIZE)
    place.publish("/image", content)
    place.fault("/image", **fault)
    access = Access(tls="igtf", trust_directory=str(trusting))
    with Transport(limits=_PATIENT, user_agent="x") as carrier:
        fetching = [Fetching(carrier, place.url("/image"), access) for _ in range(2)]
        least = 1_000_000 if "after" in fault else 0
        until(lambda: place.gets("/image") == 2 and all(len(one.sink.content) >= least for one in fetching))
        carrier.halt()
        assert all(one.wait() < 1 for one in fetching)
    assert [type(one.ended) for one in fetching] == [Halted] * 2
    assert all(one.sink.content == content[: len(one.sink.content)] for one in fetching)
    if "after" in fault:
        assert all(len(one.sink.content) == 1_500_000 for one in fetching), "what had come is kept"


def test_handshake_that_hangs_ends_at_once(server: Server, trusting: Path):
    # Speaks no TLS: the handshake waits.
    with Transport(limits=_PATIENT, user_agent="x") as carrier:
        server.listening.settimeout(None)
        url = server.url("/image").replace("http:", "https:")
        fetching = Fetching(carrier, url, Access(tls="igtf", trust_directory=str(trusting)))
        until(lambda: server.connections == 1)
        carrier.halt()
        assert fetching.wait() < 1
    assert fetching.ended is not None


def test_wait_before_the_next_attempt_ends_at_once(server: Server):
    server.publish("/image", some_bytes(_SIZE))
    server.fault("/image", "close")
    with Transport(limits=_PATIENT, user_agent="x") as carrier:
        fetching = Fetching(carrier, server.url("/image"), Access())
        until(lambda: server.gets("/image") == 1)
        time.sleep(0.05)
        carrier.halt()
        assert fetching.wait() < 1
    assert type(fetching.ended) is Halted
    assert server.gets("/image") == 1


def test_wait_for_the_common_rate_ends_at_once(server: Server):
    content = some_bytes(_SIZE)
    server.publish("/image", content)
    slow = Limits(most_bytes_s=2, idle_s=30)
    with Transport(limits=slow, user_agent="x") as carrier:
        fetching = Fetching(carrier, server.url("/image"), Access())
        until(lambda: server.gets("/image") == 1)
        time.sleep(0.2)
        carrier.halt()
        assert fetching.wait() < 1
    assert type(fetching.ended) is Halted
    assert fetching.sink.content == content[: len(fetching.sink.content)]


def test_nothing_begins_after_it(server: Server):
    server.publish("/list", b"a list")
    with Transport(limits=_PATIENT, user_agent="x") as carrier:
        carrier.halt()
        with pytest.raises(Halted):
            carrier.fetch_list(at(server.url("/list")), Access())
    assert server.connections == 0


def test_what_is_watched_after_the_end_is_cut_at_once():
    halt, cut = Halt(), []
    halt.watch(lambda: cut.append("before"))
    halt.now()
    halt.watch(lambda: cut.append("after"))
    assert cut == ["before", "after"]


def test_what_was_forgotten_is_not_cut():
    halt, cut = Halt(), []

    def cutting() -> None:
        cut.append("cut")

    halt.watch(cutting)
    halt.forget(cutting)
    halt.now()
    assert cut == []
