"""An image that broke off goes on where it stopped, with the right bytes and no request too many."""

from __future__ import annotations

import time

import pytest

from support.server import TODAY, Server
from support.server_client import RecordingSink, at, limits, some_bytes, transport
from vmcatcher.errors.answer import BodyTruncated, Forbidden, HttpStatus
from vmcatcher.errors.network import ServerTimeout, TransferTooSlow
from vmcatcher.transport import Access, Transport

_SIZE = 200_000
_CONTENT = some_bytes(_SIZE)


@pytest.fixture(autouse=True)
def published(server: Server) -> None:
    server.publish("/image", _CONTENT, etag='"v1"')


def _asked(server: Server) -> list[tuple[str | None, str | None]]:
    return [(request.headers.get("range"), request.headers.get("if-range")) for request in server.requests]


def test_plain_request_has_no_range(server: Server, carrier: Transport) -> None:
    RecordingSink().fetch(carrier, server.url("/image"), _SIZE)
    assert _asked(server) == [(None, None)]


def test_rest_is_asked_for_with_the_strong_validator(server: Server, carrier: Transport) -> None:
    sink = RecordingSink(_CONTENT[:777], '"v1"')
    fetched = sink.fetch(carrier, server.url("/image"), _SIZE)
    assert _asked(server) == [("bytes=777-", '"v1"')]
    assert sink.content == _CONTENT
    assert sink.calls == ["remember", "write"]
    assert (fetched.resumed_at, fetched.received_bytes) == (777, _SIZE - 777)


@pytest.mark.parametrize("mode", ["truncate", "rst", "hang"])
def test_break_within_a_call_is_resumed(server: Server, carrier: Transport, mode: str) -> None:
    server.fault("/image", mode, times=2, after=60_000)
    sink = RecordingSink()
    fetched = sink.fetch(carrier, server.url("/image"), _SIZE)
    assert sink.content == _CONTENT
    assert sink.restarts == 0
    assert fetched.received_bytes == _SIZE
    assert _asked(server) == [(None, None), ("bytes=60000-", '"v1"'), ("bytes=120000-", '"v1"')]


def test_break_at_every_attempt_leaves_what_came_for_the_next_run(server: Server, carrier: Transport) -> None:
    server.fault("/image", "truncate", times=3, after=50_000)
    sink = RecordingSink()
    with pytest.raises(BodyTruncated) as refused:
        sink.fetch(carrier, server.url("/image"), _SIZE)
    assert (refused.value.got, refused.value.expected) == (150_000, _SIZE)
    assert sink.content == _CONTENT[:150_000]
    sink.fetch(carrier, server.url("/image"), _SIZE)
    assert sink.content == _CONTENT
    assert server.gets("/image") == 4


# Fault on the request for the rest, and how often the server is asked for all of it to be right in the end.
@pytest.mark.parametrize(
    ("mode", "gets"), [("wrongrange", 2), ("shiftrange", 2), ("etagchange", 2), ("416", 2), ("200onrange", 1)]
)
def test_useless_answer_to_a_range_means_from_the_beginning(
    server: Server, carrier: Transport, mode: str, gets: int
) -> None:
    server.fault("/image", mode)
    sink = RecordingSink(_CONTENT[:5000], '"v1"')
    fetched = sink.fetch(carrier, server.url("/image"), _SIZE)
    assert sink.content == _CONTENT
    assert sink.restarts == 1
    assert sink.calls.index("restart") < sink.calls.index("remember") < sink.calls.index("write")
    assert sink.most == _SIZE
    assert fetched.resumed_at == 0
    assert server.gets("/image") == gets


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 199990\r\n",
        b"Content-Range: bytes 10-199999/*\r\n",
        b"Content-Range: bytes 10-199999/200001\r\n",
        b"Content-Range: bytes 10-100000/200000\r\n",
        b"Content-Range: bytes 10-199999/200000\r\nContent-Length: 5\r\n",
        b'Content-Range: bytes 10-199999/200000\r\nETag: "v2"\r\n',
        b"Content-Range: bytes=10-199999/200000\r\n",
        b"Content-Type: multipart/byteranges; boundary=x\r\n",
    ],
)
def test_range_that_is_not_the_rest_is_not_used(server: Server, carrier: Transport, head: bytes) -> None:
    server.fault("/image", "raw", times=1, text=b"HTTP/1.1 206 Part\r\n" + head + b"\r\n" + b"x" * 199_990)
    sink = RecordingSink(_CONTENT[:10], '"v1"')
    sink.fetch(carrier, server.url("/image"), _SIZE)
    assert sink.content == _CONTENT
    assert sink.restarts == 1
    assert server.gets("/image") == 2


@pytest.mark.parametrize("head", [b"", b'ETag: "v1"\r\n'])
def test_rest_without_length_or_etag_is_used(server: Server, carrier: Transport, head: bytes) -> None:
    span = b"Content-Range: bytes 10-199999/200000\r\n"
    server.fault("/image", "raw", text=b"HTTP/1.1 206 Part\r\n" + head + span + b"\r\n" + _CONTENT[10:])
    sink = RecordingSink(_CONTENT[:10], '"v1"')
    sink.fetch(carrier, server.url("/image"), _SIZE)
    assert sink.content == _CONTENT
    assert sink.validator == '"v1"'


@pytest.mark.parametrize("validator", ['W/"v1"', "v1", '"v1"\r\nX-Smuggled: 1', ""])
def test_validator_that_names_no_bytes_is_not_sent(server: Server, carrier: Transport, validator: str) -> None:
    sink = RecordingSink(_CONTENT[:10], validator)
    sink.fetch(carrier, server.url("/image"), _SIZE)
    assert _asked(server) == [(None, None)]
    assert sink.content == _CONTENT


def test_new_version_in_between_begins_again(server: Server, carrier: Transport) -> None:
    server.publish("/image", b"y" * _SIZE, etag='"v2"')
    sink = RecordingSink(_CONTENT[:5000], '"v1"')
    sink.fetch(carrier, server.url("/image"), _SIZE)
    assert sink.content == b"y" * _SIZE
    assert sink.validator == '"v2"'
    assert server.gets("/image") == 1


def test_date_resumes_where_the_etag_is_weak(server: Server, carrier: Transport) -> None:
    server.publish("/image", _CONTENT, etag='W/"v1"', last_modified="Sat, 01 Jan 2022 00:00:00 GMT")
    server.fault("/image", "truncate", times=1, after=1000)
    sink = RecordingSink()
    sink.fetch(carrier, server.url("/image"), _SIZE)
    assert sink.content == _CONTENT
    assert _asked(server)[1] == ("bytes=1000-", "Sat, 01 Jan 2022 00:00:00 GMT")
    assert sink.restarts == 0


def test_other_date_on_the_rest_begins_again(server: Server, carrier: Transport) -> None:
    span = b"Content-Range: bytes 10-199999/200000\r\nLast-Modified: Sun, 02 Jan 2022 00:00:00 GMT\r\n"
    server.fault("/image", "raw", times=1, text=b"HTTP/1.1 206 Part\r\n" + span + b"\r\n" + b"x" * 199_990)
    sink = RecordingSink(_CONTENT[:10], "Sat, 01 Jan 2022 00:00:00 GMT")
    sink.fetch(carrier, server.url("/image"), _SIZE)
    assert sink.content == _CONTENT


@pytest.mark.parametrize(
    ("etag", "date"), [('W/"v1"', TODAY), ("", ""), ('"a"b"', "never\n"), ('W/"v1"', "yesterday!")]
)
def test_version_that_cannot_be_named_is_not_resumed(server: Server, carrier: Transport, etag: str, date: str) -> None:
    server.publish("/image", _CONTENT, etag=etag, last_modified=date.strip())
    server.fault("/image", "truncate", times=1, after=1000)
    sink = RecordingSink()
    sink.fetch(carrier, server.url("/image"), _SIZE)
    assert sink.content == _CONTENT
    assert sink.restarts == 1
    assert sink.validator is None
    assert _asked(server)[1] == (None, None)


@pytest.mark.parametrize("etag", ['"v1"', 'W/"v1"', ""])
def test_by_digest_the_rest_is_asked_for_without_a_condition(server: Server, carrier: Transport, etag: str) -> None:
    server.publish("/image", _CONTENT, etag=etag, last_modified="")
    server.fault("/image", "truncate", times=1, after=60_000)
    sink = RecordingSink(_CONTENT[:777])
    fetched = carrier.fetch_by_digest(at(server.url("/image")), Access(), size=_SIZE, sink=sink, offset=777)
    assert _asked(server) == [("bytes=777-", None), ("bytes=60777-", None)]
    assert (sink.content, sink.restarts, fetched.resumed_at) == (_CONTENT, 0, 60_777)


@pytest.mark.parametrize("validator", [None, '"v1"'])
def test_range_that_is_refused_costs_nothing_until_the_whole_is_there(
    server: Server, carrier: Transport, validator: str | None
) -> None:
    answers = b"HTTP/1.1 416 No\r\nContent-Length: 0\r\n\r\n" * bool(validator)
    server.fault("/image", "raw", text=answers or b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")
    sink = RecordingSink(_CONTENT[:777], validator)
    with pytest.raises(HttpStatus):
        sink.fetch(carrier, server.url("/image"), _SIZE)
    assert (sink.content, sink.calls) == (_CONTENT[:777], [])


def test_login_page_does_not_cost_what_is_here_already(server: Server, carrier: Transport) -> None:
    server.fault("/image", "status", status=403)
    sink = RecordingSink(_CONTENT[:5000], '"v1"')
    with pytest.raises(Forbidden):
        sink.fetch(carrier, server.url("/image"), _SIZE)
    assert sink.content == _CONTENT[:5000]
    assert sink.calls == []


def test_partial_survives_a_server_that_does_not_answer(server: Server) -> None:
    server.fault("/image", "hang")
    sink = RecordingSink(_CONTENT[:5000], '"v1"')
    with transport(bounds=limits(idle_s=0.1)) as carrier, pytest.raises(ServerTimeout):
        sink.fetch(carrier, server.url("/image"), _SIZE)
    assert sink.content == _CONTENT[:5000]


def test_complete_partial_needs_no_request(server: Server, carrier: Transport) -> None:
    fetched = RecordingSink(_CONTENT, '"v1"').fetch(carrier, server.url("/image"), _SIZE)
    assert (fetched.received_bytes, fetched.resumed_at) == (0, _SIZE)
    assert server.requests == []


class _Slow(RecordingSink):
    """A sink on a disk that takes its time, by a clock that the test turns."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def clock(self) -> float:
        return self.now

    def write(self, chunk: memoryview) -> None:
        super().write(chunk)
        self.now += 100


def test_slow_disk_is_not_taken_for_a_slow_server(server: Server) -> None:
    content = some_bytes(3 << 20)
    server.publish("/image", content)
    sink = _Slow()
    with transport(bounds=limits(rate_window_s=60, min_rate_bytes_s=1 << 20), clock=sink.clock) as carrier:
        sink.fetch(carrier, server.url("/image"), len(content))
    assert sink.content == content


class _Sleepy(RecordingSink):
    """A sink that takes longer than any server may, by the clock of the machine."""

    def write(self, chunk: memoryview) -> None:
        super().write(chunk)
        time.sleep(0.6)


def test_slow_disk_does_not_cost_the_connection(server: Server) -> None:
    content = some_bytes((2 << 20) + 1)
    server.publish("/image", content)
    sink = _Sleepy()
    with transport(bounds=limits(idle_s=0.3, attempts=1)) as carrier:
        sink.fetch(carrier, server.url("/image"), len(content))
    assert sink.content == content


def test_bytes_are_handed_over_while_they_arrive(server: Server) -> None:
    server.fault("/image", "drip", gap=0.02)
    sink = RecordingSink()
    ticks = iter(range(1_000_000))
    # By this clock half a second passes with each look: a buffer is never left to fill for long.
    clock = lambda: next(ticks) / 2  # noqa: E731 - one line says it
    with transport(bounds=limits(idle_s=20, rate_window_s=60), clock=clock) as carrier, pytest.raises(TransferTooSlow):
        sink.fetch(carrier, server.url("/image"), _SIZE)
    assert sink.calls.count("write") > 5
