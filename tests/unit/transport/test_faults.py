"""Everything a server can do wrong, for lists and images, over http and https: the right error and bounded bytes."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Iterator

import pytest

from support.server import Server
from support.server_client import QUICK, RecordingSink, Waits, at, limits, some_bytes, transport
from support.server_tls import Authority
from vmcatcher.errors import NetworkError
from vmcatcher.errors.answer import (
    BadHeader,
    BodyTooLong,
    BodyTooShort,
    BodyTruncated,
    EncodedAnswer,
    Forbidden,
    Gone,
    HttpStatus,
    LoginNeeded,
    NotFound,
    NotModifiedUnasked,
    ServerBusy,
    TooManyRedirects,
)
from vmcatcher.errors.network import ConnectionBroken, ServerTimeout, TookTooLong, TransferTooSlow
from vmcatcher.transport import Access, Fetched, Limits

_SIZE = 200_000
_CONTENT = some_bytes(_SIZE)
_ACCESS = Access(tls="insecure")
_SLOW = limits(rate_window_s=0.2)


@pytest.fixture(params=["http", "https"])
def faulty(request: pytest.FixtureRequest, authority: Authority) -> Iterator[Server]:
    with Server(tls=authority.serve() if request.param == "https" else None) as server:
        server.publish("/it", _CONTENT)
        yield server


def _fetch_list(server: Server, bounds: Limits = QUICK) -> bytes:
    with transport(bounds=bounds) as carrier:
        fetched = carrier.fetch_list(at(server.url("/it")), _ACCESS)
    assert isinstance(fetched, Fetched)
    return fetched.body


def _fetch_image(server: Server, sink: RecordingSink, bounds: Limits = QUICK) -> None:
    with transport(bounds=bounds) as carrier:
        sink.fetch(carrier, server.url("/it"), _SIZE, _ACCESS)


# OpenSSL tells a reset in the middle of TLS as the end of the stream.
_CUT = (ConnectionBroken, BodyTruncated)
# Fault, its options, the error for a list and for an image, how often the server is asked.
_FAULTS = [
    ("truncate", {}, BodyTruncated, BodyTruncated, 3),
    ("truncate", {"after": 0}, BodyTruncated, BodyTruncated, 3),
    ("rst", {}, _CUT, _CUT, 3),
    ("close", {}, ConnectionBroken, ConnectionBroken, 3),
    ("hang", {}, ServerTimeout, ServerTimeout, 3),
    ("hang", {"after": 1000}, ServerTimeout, ServerTimeout, 3),
    ("dripheader", {}, ServerTimeout, ServerTimeout, 3),
    ("dripheader", {"head": b"HTTP/1.1 200 OK\r\n"}, ServerTimeout, ServerTimeout, 3),
    ("hugeheader", {}, BadHeader, BadHeader, 1),
    ("manyheaders", {"count": 200}, BadHeader, BadHeader, 1),
    ("garbage", {}, BadHeader, BadHeader, 1),
    ("garbage", {"text": b"HTTP/9.9 200 OK\r\n\r\n"}, BadHeader, BadHeader, 1),
    ("garbage", {"text": b"HTTP/1.1 abc OK\r\n\r\n"}, BadHeader, BadHeader, 1),
    ("garbage", {"text": b"\x00\xff" * 40_000}, BadHeader, BadHeader, 1),
    ("raw", {"text": b"HTTP/1.1 200 OK\r\nContent-Length: 1,2\r\n\r\n12"}, BadHeader, BadHeader, 1),
    ("raw", {"text": b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n12"}, BadHeader, BadHeader, 1),
    ("raw", {"text": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n12"}, BadHeader, BadHeader, 1),
    ("raw", {"text": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"}, BodyTruncated, BodyTruncated, 3),
    (
        "raw",
        {"text": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1" * 70_000},
        BadHeader,
        BadHeader,
        1,
    ),
    ("raw", {"text": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"}, EncodedAnswer, EncodedAnswer, 1),
    ("raw", {"text": b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n"}, BadHeader, BadHeader, 1),
    ("chunked", {"cut": True}, BodyTruncated, BodyTruncated, 3),
    ("loop", {}, TooManyRedirects, TooManyRedirects, 6),
    ("304-unasked", {}, NotModifiedUnasked, NotModifiedUnasked, 1),
    ("gzip", {}, EncodedAnswer, EncodedAnswer, 1),
    ("bomb", {}, EncodedAnswer, EncodedAnswer, 1),
    ("html200", {}, None, BodyTooShort, 1),
    ("longer", {}, None, BodyTooLong, 1),
    ("longer", {"announced": False}, None, BodyTooLong, 1),
    ("endless", {}, BodyTooLong, BodyTooLong, 1),
    ("nolength", {"after": 1000}, None, BodyTruncated, 3),
    ("503", {}, ServerBusy, ServerBusy, 3),
    ("429", {}, ServerBusy, ServerBusy, 3),
    ("status", {"status": 500}, ServerBusy, ServerBusy, 3),
    ("status", {"status": 401}, LoginNeeded, LoginNeeded, 1),
    ("status", {"status": 403}, Forbidden, Forbidden, 1),
    ("status", {"status": 404}, NotFound, NotFound, 1),
    ("status", {"status": 407}, HttpStatus, HttpStatus, 1),
    ("status", {"status": 410}, Gone, Gone, 1),
    ("status", {"status": 418}, HttpStatus, HttpStatus, 1),
    ("status", {"status": 300}, HttpStatus, HttpStatus, 1),
    ("status", {"status": 204}, HttpStatus, HttpStatus, 1),
    ("status", {"status": 206}, HttpStatus, HttpStatus, 1),
]
_NAMES = [f"{mode}-{'-'.join(str(value)[:24] for value in options.values())}" for mode, options, *_ in _FAULTS]


@pytest.mark.parametrize(("mode", "options", "expected", "_image", "gets"), _FAULTS, ids=_NAMES)
def test_faulty_list_is_refused_with_its_reason(
    faulty: Server,
    mode: str,
    options: dict[str, object],
    expected: type[NetworkError] | None,
    _image: object,
    gets: int,
) -> None:
    faulty.fault("/it", mode, **options)
    if expected is None:
        assert _fetch_list(faulty)  # only its signature can tell
        return
    with pytest.raises(expected) as refused:
        _fetch_list(faulty, _bounds(mode))
    _is_proper(refused.value, faulty)
    assert faulty.gets("/it") == gets


@pytest.mark.parametrize(("mode", "options", "_list", "expected", "gets"), _FAULTS, ids=_NAMES)
def test_faulty_image_is_refused_with_its_reason(
    faulty: Server, mode: str, options: dict[str, object], _list: object, expected: type[NetworkError], gets: int
) -> None:
    faulty.fault("/it", mode, **options)
    sink = RecordingSink()
    with pytest.raises(expected) as refused:
        _fetch_image(faulty, sink, _bounds(mode))
    _is_proper(refused.value, faulty)
    assert faulty.gets("/it") == gets
    assert sink.most <= _SIZE


def _bounds(mode: str) -> Limits:
    return limits(idle_s=0.1) if mode in {"hang", "dripheader"} else QUICK


def _is_proper(error: NetworkError, server: Server) -> None:
    assert server.url("/it") in error.one_line()
    assert (error.exit_code, error.classic_exit) == (75, 10)
    assert error.one_line().isprintable()


# Faults after which the very same call ends well, and how often the server is asked then.
_PASSING = [
    ("truncate", {}, 2),
    ("rst", {}, 2),
    ("close", {}, 2),
    ("hang", {"after": 5000}, 2),
    ("503", {}, 2),
    ("429", {}, 2),
    ("chunked", {"cut": True}, 2),
    ("chunked", {}, 1),
    ("chunked", {"size": 50}, 1),
    ("nolength", {}, 1),
    ("trailing", {}, 1),
]


@pytest.mark.parametrize(("mode", "options", "gets"), _PASSING)
def test_list_arrives_after_a_passing_fault(faulty: Server, mode: str, options: dict[str, object], gets: int) -> None:
    faulty.fault("/it", mode, times=1, **options)
    assert _fetch_list(faulty) == _CONTENT
    assert faulty.gets("/it") == gets


@pytest.mark.parametrize(("mode", "options", "gets"), _PASSING)
def test_image_arrives_after_a_passing_fault(faulty: Server, mode: str, options: dict[str, object], gets: int) -> None:
    faulty.fault("/it", mode, times=1, **options)
    sink = RecordingSink()
    _fetch_image(faulty, sink)
    assert sink.content == _CONTENT
    assert faulty.gets("/it") == gets
    assert sink.restarts == 0


@pytest.mark.parametrize("gap", [0.05, 0.12])
def test_dripping_list_is_given_up(faulty: Server, gap: float) -> None:
    faulty.fault("/it", "drip", gap=gap)
    with pytest.raises(TransferTooSlow) as refused:
        _fetch_list(faulty, _SLOW)
    assert faulty.gets("/it") == 1
    assert refused.value.least_bytes_s == 1024


def test_dripping_image_is_given_up_and_what_came_is_kept(faulty: Server) -> None:
    faulty.fault("/it", "drip", gap=0.05)
    sink = RecordingSink()
    with pytest.raises(TransferTooSlow) as refused:
        _fetch_image(faulty, sink, _SLOW)
    assert 0 < len(sink.content) < 100
    assert sink.content == _CONTENT[: len(sink.content)]
    assert refused.value.got_bytes < 100


def test_list_that_drips_fast_enough_ends_at_the_deadline(faulty: Server) -> None:
    faulty.fault("/it", "drip", gap=0.05)
    with pytest.raises(TookTooLong) as refused:
        _fetch_list(faulty, limits(total_s=0.5, min_rate_bytes_s=1, rate_window_s=0.1))
    assert refused.value.seconds == 0.5


def test_list_that_hangs_ends_at_the_deadline(faulty: Server) -> None:
    faulty.fault("/it", "hang")
    with pytest.raises(TookTooLong):
        _fetch_list(faulty, limits(total_s=0.3, idle_s=5))


def test_repeats_end_at_the_deadline(faulty: Server) -> None:
    faulty.fault("/it", "503")
    with pytest.raises(ServerBusy):
        _fetch_list(faulty, limits(total_s=0.9))
    assert faulty.gets("/it") == 1


def test_damaged_tls_is_a_broken_connection(secure: Server) -> None:
    secure.publish("/it", _CONTENT)
    secure.fault("/it", "damage", after=50_000)
    sink = RecordingSink()
    with pytest.raises(ConnectionBroken, match="TLS: "):
        _fetch_image(secure, sink)
    assert sink.content == _CONTENT[:150_000]
    assert secure.gets("/it") == 3


def test_header_bomb_costs_no_memory(server: Server) -> None:
    server.publish("/it", b"")
    server.fault("/it", "hugeheader")
    tracemalloc.start()
    try:
        with pytest.raises(BadHeader):
            _fetch_list(server)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 << 20


def test_endless_list_is_read_to_the_limit_and_no_further(faulty: Server) -> None:
    faulty.fault("/it", "endless")
    with pytest.raises(BodyTooLong) as refused:
        _fetch_list(faulty, limits(list_bytes=300_000))
    assert refused.value.limit == 300_000


def test_endless_image_writes_no_more_than_the_image(faulty: Server) -> None:
    faulty.fault("/it", "endless")
    sink = RecordingSink()
    with pytest.raises(BodyTooLong):
        _fetch_image(faulty, sink)
    assert sink.most <= _SIZE


@pytest.mark.parametrize("head", [b"1;", b"1\r\nx\r\n0\r\n"])
def test_dripping_frame_of_a_chunk_is_given_up(faulty: Server, head: bytes) -> None:
    """Between two bytes of the document no time is looked at but that of the watchdog."""
    faulty.fault("/it", "dripframe", head=head, gap=0.05)
    began = time.monotonic()
    with pytest.raises(ServerTimeout, match="for the body"):
        _fetch_list(faulty, limits(idle_s=0.2, attempts=1))
    with pytest.raises(TookTooLong):
        _fetch_list(faulty, limits(total_s=0.3))
    assert time.monotonic() - began < 5


# Status -> the least Retry-After that is obeyed; waits before the second and third attempt.
@pytest.mark.parametrize(
    ("retry_after", "expected"),
    [
        ("", [1, 2]),
        ("1", [1, 2]),
        ("7", [7, 7]),
        ("60", [60, 60]),
        ("61", []),
        ("999999999", []),
        ("soon", [1, 2]),
        ("-5", [1, 2]),
        ("Mon, 03 Jun 2024 12:00:30 GMT", [30, 30]),
        ("Mon, 03 Jun 2024 13:00:00 GMT", []),
        ("Mon, 03 Jun 2024 11:00:00 GMT", [1, 2]),
    ],
)
def test_retry_after_is_obeyed_up_to_a_minute(server: Server, retry_after: str, expected: list[float]) -> None:
    server.publish("/it", b"")
    server.fault("/it", "503", retry_after=retry_after)
    waits = Waits()
    with transport(waits, bounds=limits(total_s=500)) as carrier, pytest.raises(ServerBusy):
        carrier.fetch_list(at(server.url("/it")), Access())
    assert waits == expected
    assert server.gets("/it") == len(expected) + 1


def test_error_names_media_type_of_a_login_page(server: Server) -> None:
    server.publish("/it", b"")
    server.fault("/it", "html200")
    with transport() as carrier, pytest.raises(BodyTooShort, match=r"26 bytes \(text/html\), expected 200000"):
        RecordingSink().fetch(carrier, server.url("/it"), _SIZE)
    with transport() as carrier:
        fetched = carrier.fetch_list(at(server.url("/it")), Access())
    assert isinstance(fetched, Fetched)
    assert fetched.content_type == "text/html"
