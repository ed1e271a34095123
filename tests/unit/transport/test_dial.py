"""Connecting: names, addresses, proxies, TLS; each failure with its own error and without delay."""

from __future__ import annotations

import logging
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from requests import adapters, utils

from support.server import Server
from support.server_client import RecordingSink, Waits, at, limits, some_bytes, transport
from support.server_proxy import Proxy
from support.server_tls import Authority
from vmcatcher.errors import NetworkError
from vmcatcher.errors.answer import BadHeader, HttpStatus
from vmcatcher.errors.network import (
    BadUserName,
    ConnectionBroken,
    ConnectionRefused,
    HostUnknown,
    ProxyFailed,
    ServerTimeout,
    TlsRefused,
    TookTooLong,
    TrustDirectoryUnusable,
    Unreachable,
    UnusableProxy,
)
from vmcatcher.transport import Access, Fetched, Transport


def _fetch(carrier: Transport, url: str, access: Access | None = None) -> bytes:
    fetched = carrier.fetch_list(at(url), access or Access())
    assert isinstance(fetched, Fetched)
    return fetched.body


def _fetch_image(carrier: Transport, url: str, access: Access) -> bytes:
    sink = RecordingSink()
    sink.fetch(carrier, url, 1000, access)
    return bytes(sink.content)


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield int(listening.getsockname()[1])


def test_unknown_host_is_named_and_not_asked_for_again(carrier: Transport, waits: Waits) -> None:
    with pytest.raises(HostUnknown, match=r"no address for host 'list\.invalid'"):
        _fetch(carrier, "http://list.invalid/list")
    assert waits == []


@pytest.mark.parametrize("host", ["a..b", "a" * 64 + ".invalid"])
def test_name_that_no_host_can_have_is_unknown(carrier: Transport, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def look_up(name: str, *_: Any, **__: Any) -> Any:
        name.encode("idna")
        pytest.fail("the name was looked up")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with pytest.raises(HostUnknown, match="no valid host name"):
        _fetch(carrier, f"http://{host}/list")


def test_closed_port_is_named_and_not_asked_for_again(carrier: Transport, waits: Waits, free_port: int) -> None:
    with pytest.raises(ConnectionRefused, match=rf"127\.0\.0\.1 port {free_port} refused"):
        _fetch(carrier, f"http://127.0.0.1:{free_port}/list")
    assert waits == []


@pytest.fixture
def connecting(monkeypatch: pytest.MonkeyPatch) -> list[BaseException]:
    """Connections fail with what is in this list, one after the other; after that they succeed."""
    errors: list[BaseException] = []
    before = socket.socket.connect

    def connect(sock: socket.socket, address: Any) -> None:
        if errors:
            raise errors.pop(0)
        before(sock, address)

    monkeypatch.setattr(socket.socket, "connect", connect)
    return errors


def test_unreachable_network_is_named_and_not_asked_for_again(
    carrier: Transport, waits: Waits, connecting: list[BaseException]
) -> None:
    connecting.append(OSError(101, "Network is unreachable"))
    with pytest.raises(Unreachable, match="Network is unreachable"):
        _fetch(carrier, "http://127.0.0.1:9/list")
    assert waits == []


def test_process_without_free_descriptors_says_so(carrier: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> socket.socket:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(socket, "socket", refuse)
    with pytest.raises(Unreachable, match="Too many open files"):
        _fetch(carrier, "http://127.0.0.1:9/list")


def test_connection_that_nobody_answers_is_repeated(
    server: Server, carrier: Transport, waits: Waits, connecting: list[BaseException]
) -> None:
    server.publish("/list", b"content")
    connecting += [TimeoutError(), TimeoutError()]
    assert _fetch(carrier, server.url("/list")) == b"content"
    assert waits == [1, 2]


def test_connection_that_nobody_ever_answers_is_given_up(carrier: Transport, connecting: list[BaseException]) -> None:
    connecting += [TimeoutError()] * 3
    with pytest.raises(ServerTimeout, match="for a connection to 127"):
        _fetch(carrier, "http://127.0.0.1:9/list")
    assert connecting == []


def test_second_address_is_tried(server: Server, carrier: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    server.publish("/list", b"content")
    before = socket.getaddrinfo

    def look_up(host: Any, port: Any, *options: Any) -> Any:
        return [*before("127.0.0.9", port, *options), *before(host, port, *options)]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    assert _fetch(carrier, server.url("/list")) == b"content"


def test_host_of_many_addresses_takes_no_longer_than_one(carrier: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(sock: socket.socket, address: Any) -> None:
        asked.append(address[0])
        time.sleep(sock.gettimeout() or 0)
        raise TimeoutError

    asked: list[str] = []
    many = [f"127.0.1.{number}" for number in range(1, 51)]
    found = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", (address, 9)) for address in many]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    monkeypatch.setattr(socket.socket, "connect", connect)
    began = time.monotonic()
    with transport(bounds=limits(connect_s=0.3, attempts=1)) as quick, pytest.raises(ServerTimeout):
        _fetch(quick, "http://many.invalid/list")
    assert time.monotonic() - began < 2
    assert asked == many


def test_deadline_holds_before_connecting(server: Server) -> None:
    now = iter([0.0, *[1000.0] * 9])
    with transport(clock=lambda: next(now)) as carrier, pytest.raises(TookTooLong):
        _fetch(carrier, server.url("/list"))
    assert server.connections == 0


@pytest.mark.parametrize(
    "error", [BrokenPipeError(32, "Broken pipe"), TimeoutError(), ConnectionResetError(104, "Reset")]
)
def test_request_that_cannot_be_sent_is_repeated(
    server: Server, carrier: Transport, waits: Waits, error: OSError, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.publish("/list", b"content")
    before, errors = socket.socket.sendall, [error] * 3

    def sendall(sock: socket.socket, content: bytes) -> None:
        if content.startswith(b"GET") and errors:
            raise errors.pop()
        before(sock, content)

    monkeypatch.setattr(socket.socket, "sendall", sendall)
    with pytest.raises((ConnectionBroken, ServerTimeout)):
        _fetch(carrier, server.url("/list"))
    assert waits == [1, 2]
    assert _fetch(carrier, server.url("/list")) == b"content"


# TLS


@pytest.fixture
def igtf(trusting: Path) -> Access:
    return Access(tls="igtf", trust_directory=str(trusting))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_server_of_a_trusted_ca_is_believed(secure: Server, carrier: Transport, igtf: Access, host: str) -> None:
    secure.publish("/list?", b"")
    secure.publish("/list", b"content")
    assert _fetch(carrier, secure.url("/list?a=b", host=host), igtf) == b"content"
    assert secure.requests[0].headers["host"] == f"{host}:{secure.port}"


def test_system_trust_follows_openssl_s_own_variable(
    secure: Server, carrier: Transport, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    secure.publish("/list", b"content")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.bundle))
    with transport() as early, pytest.raises(TlsRefused, match="unknown CA"):
        _fetch(early, secure.url("/list"))
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.bundle))
    assert _fetch(carrier, secure.url("/list")) == b"content"


def test_system_trust_may_be_a_directory(
    secure: Server, carrier: Transport, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secure.publish("/list", b"content")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("SSL_CERT_DIR", str(authority.directory))
    assert _fetch(carrier, secure.url("/list")) == b"content"


def test_machine_without_cas_falls_back_to_those_of_requests(
    secure: Server, carrier: Transport, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nonexistent")
    monkeypatch.setenv("SSL_CERT_DIR", "/nonexistent")
    monkeypatch.setattr(utils, "DEFAULT_CA_BUNDLE_PATH", str(authority.bundle))
    secure.publish("/list", b"content")
    assert _fetch(carrier, secure.url("/list")) == b"content"


def test_cas_of_requests_are_not_mixed_into_other_trust(
    secure: Server, carrier: Transport, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(utils, "DEFAULT_CA_BUNDLE_PATH", str(authority.bundle))
    monkeypatch.setattr(adapters, "DEFAULT_CA_BUNDLE_PATH", str(authority.bundle))
    for access in (Access(), Access(tls="igtf", trust_directory=str(tmp_path))):
        with pytest.raises(TlsRefused, match="unknown CA"):
            _fetch(carrier, secure.url("/list"), access)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"names": ["other.example"]}, "for another address"),
        ({"names": ["localhost"]}, "for another address"),
        ({"days": (-30, -1)}, "has expired"),
        ({"days": (1, 30)}, "not valid yet"),
        ({"self_signed": True}, "self-signed"),
        ({"newest": ssl.TLSVersion.TLSv1_1}, "TLS 1.2|no agreement"),
    ],
)
@pytest.mark.parametrize("kind", ["list", "image"])
def test_server_that_cannot_prove_itself_is_refused_in_words(
    authority: Authority, igtf: Access, changes: dict[str, Any], why: str, kind: str
) -> None:
    waits = Waits()
    with Server(tls=authority.serve(**changes)) as server, transport(waits) as carrier:
        fetch = _fetch if kind == "list" else _fetch_image
        with pytest.raises(TlsRefused, match=why) as refused:
            fetch(carrier, server.url("/it"), igtf)
    assert server.requests == []
    assert waits == []
    assert (refused.value.exit_code, refused.value.classic_exit) == (75, 10)


def test_certificate_for_another_name_is_refused_in_words(
    authority: Authority, carrier: Transport, igtf: Access
) -> None:
    tls = authority.serve(names=["127.0.0.1"])
    with Server(tls=tls) as server, pytest.raises(TlsRefused, match="for another host name"):
        _fetch(carrier, server.url("/list", host="localhost"), igtf)


def test_server_of_an_unknown_ca_is_refused(secure: Server, carrier: Transport, tmp_path: Path) -> None:
    for access in (Access(), Access(tls="igtf", trust_directory=str(tmp_path))):
        with pytest.raises(TlsRefused, match="unknown CA"):
            _fetch(carrier, secure.url("/list"), access)
    assert secure.requests == []


@pytest.mark.parametrize("directory", [None, "/nonexistent"])
def test_missing_trust_directory_is_named(secure: Server, carrier: Transport, directory: str | None) -> None:
    with pytest.raises(TrustDirectoryUnusable, match=f"'{directory or ''}'"):
        _fetch(carrier, secure.url("/list"), Access(tls="igtf", trust_directory=directory))


def test_insecure_access_is_allowed_and_warned_of_once(
    authority: Authority, carrier: Transport, caplog: pytest.LogCaptureFixture
) -> None:
    with Server(tls=authority.serve(self_signed=True, names=["other.example"], days=(-3, -1))) as server:
        server.publish("/list", b"content")
        for _ in range(2):
            assert _fetch(carrier, server.url("/list"), Access(tls="insecure")) == b"content"
            server.cut()
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert [f"https://127.0.0.1:{server.port}" in record.getMessage() for record in warnings] == [True]


def test_insecure_is_no_reason_for_old_tls(authority: Authority, carrier: Transport) -> None:
    with Server(tls=authority.serve(newest=ssl.TLSVersion.TLSv1_1)) as server, pytest.raises(TlsRefused):
        _fetch(carrier, server.url("/list"), Access(tls="insecure"))


def test_plain_http_where_tls_is_expected_is_said(server: Server, carrier: Transport) -> None:
    with pytest.raises(TlsRefused, match=r"plain http|no TLS"):
        _fetch(carrier, f"https://127.0.0.1:{server.port}/list")


def test_tls_where_plain_http_is_expected_is_no_answer(secure: Server, carrier: Transport) -> None:
    with pytest.raises((BadHeader, ConnectionBroken)):
        _fetch(carrier, f"http://127.0.0.1:{secure.port}/list")


def test_handshake_that_hangs_is_given_up(silent: int, waits: Waits) -> None:
    bounds = limits(connect_s=0.15)
    with transport(waits, bounds=bounds) as carrier, pytest.raises(ServerTimeout, match="TLS handshake"):
        _fetch(carrier, f"https://127.0.0.1:{silent}/list")
    assert waits == [1, 2]


@pytest.mark.parametrize("reset", [True, False])
def test_handshake_that_breaks_off_is_repeated(carrier: Transport, waits: Waits, reset: bool) -> None:
    def hang_up(listening: socket.socket) -> None:
        for _ in range(3):
            sock, _ = listening.accept()
            sock.recv(10_000)
            if reset:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=hang_up, args=(listening,))
        thread.start()
        with pytest.raises(ConnectionBroken):
            _fetch(carrier, f"https://127.0.0.1:{listening.getsockname()[1]}/list")
        thread.join()
    assert waits == [1, 2]


# Proxies


@pytest.fixture
def through(server: Server, secure: Server) -> Iterator[Proxy]:
    with Proxy({"plain.example:80": server, "127.0.0.1:443": secure, f"127.0.0.1:{secure.port}": secure}) as proxy:
        yield proxy


def _by(proxy: Proxy, *, no_proxy: str = "", userinfo: str = "") -> Transport:
    url = proxy.url(userinfo=userinfo)
    return transport(proxies={"http": url, "https": url}, no_proxy=no_proxy)


def test_http_goes_through_the_proxy_by_its_whole_url(server: Server, through: Proxy) -> None:
    server.publish("/list", b"content")
    with _by(through) as carrier:
        assert _fetch(carrier, "http://plain.example/list?a=b") == b"content"
    assert through.lines == ["GET http://plain.example/list?a=b HTTP/1.1"]
    assert server.requests[0].headers["host"] == "plain.example"


def test_https_goes_through_a_tunnel_and_is_verified(secure: Server, through: Proxy, igtf: Access) -> None:
    content = some_bytes(300_000)
    secure.publish("/list", content)
    with _by(through) as carrier:
        for _ in range(2):
            assert _fetch(carrier, secure.url("/list"), igtf) == content
        sink = RecordingSink()
        sink.fetch(carrier, secure.url("/list"), len(content), igtf)
        assert sink.content == content
    assert [line.rpartition(" ")[0] for line in through.lines] == [f"CONNECT 127.0.0.1:{secure.port}"]
    with _by(through) as carrier, pytest.raises(TlsRefused, match="unknown CA"):
        _fetch(carrier, secure.url("/list"))


def test_exception_goes_past_the_proxy(server: Server, through: Proxy) -> None:
    server.publish("/list", b"content")
    with _by(through, no_proxy="other, 127.0.0.0/8") as carrier:
        assert _fetch(carrier, server.url("/list")) == b"content"
    assert through.lines == []


def test_file_never_goes_through_a_proxy(through: Proxy, tmp_path: Path) -> None:
    (tmp_path / "list").write_bytes(b"content")
    with transport(proxies={"all": through.url(), "file": through.url()}) as carrier:
        assert _fetch(carrier, f"file://{tmp_path}/list") == b"content"
    assert through.lines == []


@pytest.mark.parametrize("url", ["http://plain.example/list", "https://127.0.0.1/list"])
def test_proxy_s_password_is_sent_to_it_alone(server: Server, secure: Server, igtf: Access, url: str) -> None:
    for one in (server, secure):
        one.publish("/list", b"content")
    known = {"plain.example:80": server, "127.0.0.1:443": secure}
    with Proxy(known, login="user:p@ss") as proxy, _by(proxy, userinfo="user:p%40ss") as carrier:
        assert _fetch(carrier, url, igtf) == b"content"
        assert proxy.logins == ["user:p@ss"]
    assert "authorization" not in (server.requests + secure.requests)[0].headers


@pytest.mark.parametrize("url", ["http://plain.example/list", "https://127.0.0.1/list"])
def test_proxy_that_wants_another_password_is_named_without_it(server: Server, url: str) -> None:
    proxy = Proxy({"plain.example:80": server}, login="user:right")
    wrong = _by(proxy, userinfo="user:CANARY")
    with proxy, wrong as carrier, pytest.raises(ProxyFailed, match=r"407|user name") as failed:
        _fetch(carrier, url)
    assert f"http://127.0.0.1:{proxy.port}" in str(failed.value)
    assert "CANARY" not in failed.value.one_line() + repr(failed.value)


def test_proxy_user_name_that_cannot_be_sent_is_refused(through: Proxy) -> None:
    with _by(through, userinfo="user:%20%E2%80%AE") as carrier, pytest.raises((BadUserName, UnusableProxy)):
        _fetch(carrier, "http://plain.example/list")


def test_proxy_that_cannot_reach_the_server_is_named(through: Proxy) -> None:
    with _by(through) as carrier, pytest.raises(ProxyFailed, match="502"):
        _fetch(carrier, "https://127.0.0.1:1/list")


def test_proxy_that_is_not_there_is_named(free_port: int) -> None:
    proxies = {"all": f"http://user:CANARY@127.0.0.1:{free_port}"}
    for url in ("http://plain.example/list", "https://plain.example/list"):
        with transport(proxies=proxies) as carrier, pytest.raises(ProxyFailed, match="refused") as failed:
            _fetch(carrier, url)
        assert "CANARY" not in failed.value.one_line()


@pytest.mark.parametrize("answer", [b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000])
def test_proxy_that_speaks_no_http_is_named(answer: bytes) -> None:
    with Proxy({}, answer=answer) as proxy, _by(proxy) as carrier, pytest.raises(ProxyFailed):
        _fetch(carrier, "https://plain.example/list")


def test_proxy_that_says_nothing_is_given_up(silent: int) -> None:
    quick = transport(proxies={"all": f"127.0.0.1:{silent}"}, bounds=limits(connect_s=0.1))
    with quick as carrier, pytest.raises(ServerTimeout):
        _fetch(carrier, "https://plain.example/list")


def test_host_name_that_no_certificate_can_hold_is_unknown(secure: Server) -> None:
    host = "a" * 64 + ".example"
    with Proxy({f"{host}:443": secure}) as proxy, _by(proxy) as carrier, pytest.raises(HostUnknown, match="host name"):
        _fetch(carrier, f"https://{host}/list")


def test_status_407_without_a_proxy_is_just_a_status(server: Server, carrier: Transport) -> None:
    server.fault("/list", "status", status=407)
    with pytest.raises(HttpStatus) as refused:
        _fetch(carrier, server.url("/list"))
    assert isinstance(refused.value, NetworkError)
    assert refused.value.status == 407


def test_everything_that_fails_keeps_no_socket_open(server: Server, free_port: int) -> None:
    """Unclosed sockets are warnings, and warnings are errors here; this looks at the descriptors themselves."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    server.publish("/list", b"content")
    server.fault("/list", "truncate")
    with transport() as carrier:
        for url in (server.url("/list"), server.url("/none"), f"http://127.0.0.1:{free_port}/", "http://list.invalid/"):
            with pytest.raises(NetworkError):
                _fetch(carrier, url)
    server.close()
    patience = time.monotonic() + 5  # the server's own threads close their ends when they notice
    while len(list(Path("/proc/self/fd").iterdir())) > before and time.monotonic() < patience:
        time.sleep(0.01)
    assert len(list(Path("/proc/self/fd").iterdir())) <= before
