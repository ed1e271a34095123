"""Lists over http: conditional requests, what is sent, and connections used again."""

from __future__ import annotations

import logging
import threading

import pytest

from support.server import LONG_AGO, Server
from support.server_client import Waits, at, limits, some_bytes
from vmcatcher.errors.answer import NotModifiedUnasked
from vmcatcher.errors.network import ConnectionBroken
from vmcatcher.transport import Access, Fetched, NotModified, Transport, Validators


def test_unchanged_list_is_not_sent_again(server: Server, carrier: Transport) -> None:
    server.publish("/list", b"content", etag='"v1"')
    first = carrier.fetch_list(at(server.url("/list")), Access())
    again = carrier.fetch_list(at(server.url("/list")), Access(), known=first.validators)
    assert first.validators == Validators('"v1"', LONG_AGO)
    assert again == NotModified(Validators('"v1"', LONG_AGO), server.url("/list"))
    assert server.requests[1].headers["if-none-match"] == '"v1"'
    assert server.requests[1].headers["if-modified-since"] == LONG_AGO


def test_unchanged_list_is_known_by_its_date_alone(server: Server, carrier: Transport) -> None:
    server.publish("/list", b"content", etag="")
    known = carrier.fetch_list(at(server.url("/list")), Access()).validators
    assert known == Validators(None, LONG_AGO)
    assert isinstance(carrier.fetch_list(at(server.url("/list")), Access(), known=known), NotModified)
    assert "if-none-match" not in server.requests[1].headers


def test_weak_entity_tag_is_good_enough_for_a_list(server: Server, carrier: Transport) -> None:
    server.publish("/list", b"content", etag='W/"v1"', last_modified="")
    known = carrier.fetch_list(at(server.url("/list")), Access()).validators
    assert isinstance(carrier.fetch_list(at(server.url("/list")), Access(), known=known), NotModified)


def test_not_modified_without_validators_keeps_those_that_were_asked_with(server: Server, carrier: Transport) -> None:
    server.fault("/list", "raw", text=b"HTTP/1.1 304 Not Modified\r\n\r\n")
    known = Validators('"v1"', LONG_AGO)
    answer = carrier.fetch_list(at(server.url("/list")), Access(), known=known)
    assert isinstance(answer, NotModified)
    assert answer.validators == known


def test_not_modified_with_new_validators_brings_them(server: Server, carrier: Transport) -> None:
    head = b'HTTP/1.1 304 Not Modified\r\nETag: W/"v1"\r\nLast-Modified: Sun, 02 Jan 2022 00:00:00 GMT\r\n\r\n'
    server.fault("/list", "raw", text=head)
    answer = carrier.fetch_list(at(server.url("/list")), Access(), known=Validators('"v1"', LONG_AGO))
    assert isinstance(answer, NotModified)
    assert answer.validators == Validators('W/"v1"', "Sun, 02 Jan 2022 00:00:00 GMT")


def test_not_modified_to_a_plain_request_is_refused(server: Server, carrier: Transport) -> None:
    server.fault("/list", "304-unasked")
    for known in (None, Validators(), Validators("no tag", "\r\n")):
        with pytest.raises(NotModifiedUnasked):
            carrier.fetch_list(at(server.url("/list")), Access(), known=known)


def test_stored_validators_cannot_smuggle_headers(server: Server, carrier: Transport) -> None:
    server.publish("/list", b"content")
    bad = Validators('"a"\r\nX-Smuggled: 1', "Sat\r\nX-Smuggled: 1")
    assert isinstance(carrier.fetch_list(at(server.url("/list")), Access(), known=bad), Fetched)
    assert set(server.requests[0].headers) == {"host", "user-agent", "accept", "accept-encoding"}


def test_request_says_who_asks_and_wants_no_encoding(server: Server) -> None:
    server.publish("/list", b"content")
    with Transport(limits=limits(), user_agent="vmcatcher/1\r\nX: ü", sleep=Waits()) as carrier:
        carrier.fetch_list(at(server.url("/list")), Access())
    headers = server.requests[0].headers
    assert headers["user-agent"] == "vmcatcher/1\\r\\nX: ?"
    assert headers["accept-encoding"] == "identity"
    assert headers["host"] == f"127.0.0.1:{server.port}"


def test_query_and_path_are_sent_as_they_were_signed(server: Server, carrier: Transport) -> None:
    # Hex digits in lower case would be sent in upper case, which is the same (RFC 3986 section 6.2.2.1).
    path = "/a%2Fb/../%7Euser//x;y?q=a%2Fb&c=%C3%BC+d&e="
    server.publish(path.partition("?")[0], b"content")
    carrier.fetch_list(at(server.url(path)), Access())
    assert server.requests[0].target == path


def test_cookies_are_not_kept(server: Server, carrier: Transport) -> None:
    server.fault("/list", "raw", times=1, text=b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 1\r\n\r\nx")
    server.publish("/list", b"y")
    for _ in range(2):
        carrier.fetch_list(at(server.url("/list")), Access())
    assert "cookie" not in server.requests[1].headers


def test_many_lists_of_one_server_cost_one_connection(server: Server, carrier: Transport) -> None:
    for number in range(20):
        server.publish(f"/{number}", some_bytes(number * 1000))
        server.fault("/17", "chunked")
    known = [carrier.fetch_list(at(server.url(f"/{number}")), Access()).validators for number in range(20)]
    for number in range(20):
        carrier.fetch_list(at(server.url(f"/{number}")), Access(), known=known[number])
    assert server.connections == 1


def test_connection_is_not_shared_across_tls_settings(secure: Server, carrier: Transport, trusting: object) -> None:
    secure.publish("/list", b"content")
    for access in (Access(tls="insecure"), Access(tls="igtf", trust_directory=str(trusting)), Access(tls="insecure")):
        carrier.fetch_list(at(secure.url("/list")), access)
    assert [request.connection for request in secure.requests] == [1, 2, 1]


@pytest.mark.parametrize("size", [5, 8000, 100_000])
def test_bytes_behind_an_answer_do_not_become_the_next_one(
    server: Server, secure: Server, carrier: Transport, size: int
) -> None:
    for one in (server, secure):
        one.publish("/list", b"r" * size)
        one.fault("/list", "trailing", times=1)
        for _ in range(2):
            answer = carrier.fetch_list(at(one.url("/list")), Access(tls="insecure"))
            assert isinstance(answer, Fetched)
            assert answer.body == b"r" * size


@pytest.mark.parametrize(
    "head",
    [b"HTTP/1.1 304 Not Modified\r\n\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"],
)
def test_bytes_behind_an_answer_without_length_do_not_become_the_next_one(
    server: Server, carrier: Transport, head: bytes
) -> None:
    server.publish("/list", b"content")
    poison = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON"
    server.fault("/list", "raw", times=1, text=head + poison, keep=True)
    carrier.fetch_list(at(server.url("/list")), Access(), known=Validators('"v1"'))
    answer = carrier.fetch_list(at(server.url("/list")), Access())
    assert isinstance(answer, Fetched)
    assert answer.body == b"content"


def test_connection_that_the_server_closed_is_replaced(server: Server, carrier: Transport) -> None:
    server.publish("/list", b"content")
    carrier.fetch_list(at(server.url("/list")), Access())
    server.cut()
    assert isinstance(carrier.fetch_list(at(server.url("/list")), Access()), Fetched)
    assert server.connections == 2


def test_connection_that_the_server_closes_when_asked_is_replaced(
    server: Server, carrier: Transport, waits: Waits
) -> None:
    server.publish("/list", b"content")
    carrier.fetch_list(at(server.url("/list")), Access())
    server.fault("/list", "close", times=1)
    assert isinstance(carrier.fetch_list(at(server.url("/list")), Access()), Fetched)
    assert (server.connections, waits) == (2, [])


def test_server_that_only_ever_closes_is_asked_three_times(server: Server, carrier: Transport, waits: Waits) -> None:
    server.fault("/list", "close")
    with pytest.raises(ConnectionBroken, match="without an answer"):
        carrier.fetch_list(at(server.url("/list")), Access())
    assert (server.gets("/list"), waits) == (3, [1, 2])


def test_no_more_than_sixteen_connections_wait(carrier: Transport) -> None:
    servers = [Server() for _ in range(18)]
    try:
        for server in servers:
            server.publish("/list", b"content")
            carrier.fetch_list(at(server.url("/list")), Access())
        for server in reversed(servers):
            carrier.fetch_list(at(server.url("/list")), Access())
        # The two oldest had been closed to make room.
        assert [server.connections for server in servers] == [2, 2] + [1] * 16
    finally:
        for server in servers:
            server.close()


def test_several_threads_share_one_transport(server: Server, carrier: Transport) -> None:
    for number in range(8):
        server.publish(f"/{number}", some_bytes(50_000, str(number)))
    wrong: list[int] = []

    def fetch(number: int) -> None:
        for _ in range(10):
            answer = carrier.fetch_list(at(server.url(f"/{number}")), Access())
            if not isinstance(answer, Fetched) or answer.body != some_bytes(50_000, str(number)):
                wrong.append(number)

    threads = [threading.Thread(target=fetch, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(server.requests) == 80
    assert server.connections <= 8


def test_repeats_are_logged_with_their_reason(
    server: Server, carrier: Transport, caplog: pytest.LogCaptureFixture
) -> None:
    server.publish("/list", b"content")
    server.fault("/list", "503", times=1)
    with caplog.at_level(logging.INFO):
        carrier.fetch_list(at(server.url("/list")), Access())
    assert "asking again in 1 s" in caplog.text
    assert server.url("/list") in caplog.text
