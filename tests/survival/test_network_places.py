"""Where lists and images may come from: redirects, names and addresses, TLS, proxies, passwords, ports."""

from __future__ import annotations

import base64
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.server import Server
from support.server_place import CONTENT, IMAGE, LIST, Place, Places, publish
from support.server_proxy import Proxy
from support.server_tls import Authority
from support.site import LIST_ID, Site, image_id

_CANARY = "CANARY-5f1d"
_SHOWN = (_CANARY, base64.b64encode(f"operator:{_CANARY}".encode()).decode())


def demand_line(text: str, *words: str) -> None:
    (line,) = text.splitlines()
    assert all(word in line for word in words), line


# -- redirects


@pytest.mark.parametrize("scheme", ["https"])
def test_fault_40_redirect_from_https_to_http_is_refused(place: Place, server: Server) -> None:
    place.faulty.fault(LIST, "redirect", to=server.url(LIST))
    place.faulty.fault(IMAGE, "redirect", to=server.url(IMAGE))
    demand_line(place.update(code=10).err, LIST_ID, "it leads from https to http")
    demand_line(place.cache(code=75).err, place.faulty.url(IMAGE), "it leads from https to http")
    assert server.requests == []
    place.faulty.heal(LIST)
    place.faulty.heal(IMAGE)
    place.update()
    place.cache()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_fault_41_password_does_not_go_with_a_redirect_elsewhere(place: Place, scheme: str) -> None:
    words = ("--uri-username-set", "operator", "--uri-password-set", _CANARY)
    place.site.expect(0, "subscribe", "-u", LIST_ID, *words)
    place.faulty.require_password("operator", _CANARY)
    elsewhere = Server(tls=place.faulty.tls)
    with elsewhere:
        for path in (LIST, IMAGE):
            elsewhere.publish(path, place.faulty.published()[path].content)
            place.faulty.fault(path, "redirect", to=elsewhere.url(path))
        shown = place.site.run("subscribe", "-U", "-vv"), place.site.run("cache", "-vv")
        assert [result.code for result in shown] == [0, 0]
        assert [(request.path, request.headers.get("authorization")) for request in elsewhere.requests] == [
            (LIST, None),
            (IMAGE, None),
        ]
    assert {request.headers.get("authorization") for request in place.faulty.requests} == {f"Basic {_SHOWN[1]}"}
    assert {request.headers.get("authorization") for request in place.healthy.requests} <= {None}
    assert [word for result in shown for word in _SHOWN if word in result.out + result.err] == []


@pytest.fixture
def outside(site: Site) -> Iterator[Site]:
    """A site whose publisher stands in the outside world, where only a proxy leads."""
    url = "http://site.example"
    with Proxy({"site.example:80": site.server}) as proxy:
        site.environment["http_proxy"] = proxy.url()
        image = site.image(1, content=CONTENT, path=IMAGE, hv__uri=f"{url}{IMAGE}")
        site.publish("1", image, hv__uri=f"{url}{LIST}")
        site.expect(0, "endorser", "-C", "-e", "alice", "--dn", site.alice.subject, "-I", site.alice.issuer)
        site.expect(0, "subscribe", "-s", f"{url}{LIST}")
        site.expect(0, "subscribe", "-U")
        site.select(1)
        yield site


_INSIDE = ("127.0.0.1", "localhost", "[::1]", "127.1", "0x7f.1", "169.254.169.254", "[::ffff:127.0.0.1]", "[fe80::1]")


@pytest.mark.parametrize(("path", "command", "code"), [(LIST, ("subscribe", "-U"), 10), (IMAGE, ("cache",), 75)])
def test_fault_42_redirect_from_outside_to_inside_is_refused(
    outside: Site, path: str, command: tuple[str, ...], code: int
) -> None:
    with Server() as secret:
        secret.publish("/secret", outside.server.published()[path].content)
        for inside in _INSIDE:
            outside.server.fault(path, "redirect", to=f"http://{inside}:{secret.port}/secret")
            result = outside.run(*command, no_proxy=inside.strip("[]"))
            assert result.code == code, result
            demand_line(result.err, f"http://site.example{path}", "this machine")
        assert secret.requests == []
    assert outside.endorsed() == {}
    outside.server.heal(path)
    outside.expect(0, *command)


# -- names and connections


@pytest.fixture
def apart(places: Places, tmp_path: Path, waits: object) -> Iterator[Place]:
    """A place with servers of its own, which a test may end."""
    own = Places(tmp_path / "own")
    (tmp_path / "own").mkdir()
    yield own.fresh("http", tmp_path)
    own.close()


def test_fault_52_server_that_is_down_is_named_and_the_others_come(apart: Place) -> None:
    served, port = apart.faulty.published(), apart.faulty.port
    apart.faulty.close()
    refused = f"127.0.0.1 port {port} refused the connection"
    demand_line(apart.update(code=10).err, LIST_ID, refused)
    demand_line(apart.cache(code=75).err, image_id(1), refused)
    with Server(port=port) as again:
        again.reset(served)
        apart.update()
        apart.cache()


def fail_to_connect(monkeypatch: pytest.MonkeyPatch, port: int, failure: OSError) -> None:
    connect = socket.socket.connect

    def failing(sock: socket.socket, address: Any) -> None:
        if address[1] == port:
            raise failure
        connect(sock, address)

    monkeypatch.setattr(socket.socket, "connect", failing)


@pytest.mark.parametrize(
    ("failure", "cause"),
    [
        (OSError(101, "Network is unreachable"), "cannot be reached (Network is unreachable)"),
        (OSError(113, "No route to host"), "cannot be reached (No route to host)"),
        (TimeoutError(), "waited 30.0 s for a connection to 127.0.0.1 port"),
    ],
    ids=["fault_52-no network", "fault_52-no route", "fault_37-no answer to a connection"],
)
def test_connection_that_cannot_be_made_is_named_and_the_others_come(
    place: Place, failure: OSError, cause: str
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        fail_to_connect(patch, place.faulty.port, failure)
        demand_line(place.update(code=10).err, LIST_ID, cause)
        demand_line(place.cache(code=75).err, image_id(1), cause)
    place.update()
    place.cache()


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The name service: what is not in it is not known just now."""
    known: dict[str, str] = {}
    look_up = socket.getaddrinfo

    def getaddrinfo(host: Any, *args: Any, **options: Any) -> Any:
        if not str(host).endswith(".example"):
            return look_up(host, *args, **options)
        if host not in known:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return look_up(known[host], *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return known


def test_fault_52_name_that_is_not_resolved_is_named_and_the_others_come(apart: Place, names: dict[str, str]) -> None:
    here = apart.faulty.url(host="site.example")
    publish(apart, "2", listed={"hv__uri": f"{here}list"}, hv__uri=f"{here}images/1.raw")
    names["site.example"] = "127.0.0.1"
    assert "moves from" in apart.update(warned=1).err
    names.clear()
    cause = "no address for host 'site.example' (Temporary failure in name resolution)"
    demand_line(apart.update(code=10).err, LIST_ID, cause)
    demand_line(apart.cache(code=75).err, image_id(1), cause)
    names["site.example"] = "127.0.0.1"
    apart.update()
    apart.cache()


def test_fault_52_name_that_nobody_has_is_unknown(site: Site) -> None:
    result = site.run("subscribe", "-s", "http://lists.invalid/list")
    assert result.code == 10
    assert "no address for host 'lists.invalid'" in result.err


# -- TLS


class _Silent:
    """A server that accepts connections and then says nothing; in place of a TLS context."""

    def wrap_socket(self, plain: socket.socket, *, server_side: bool) -> socket.socket:
        plain.recv(1 << 16)
        plain.settimeout(20)
        plain.recv(1)
        raise OSError("gone")


_BAD: dict[str, tuple[Callable[[Authority], object], str]] = {
    "another host": (lambda ca: ca.serve(names=["other.example"]), "TLS refused, its certificate is for another"),
    "expired": (lambda ca: ca.serve(days=(-30, -1)), "TLS refused, its certificate has expired"),
    "not valid yet": (lambda ca: ca.serve(days=(1, 30)), "TLS refused, its certificate is not valid yet"),
    "self-signed": (lambda ca: ca.serve(self_signed=True), "TLS refused, its certificate is self-signed"),
    "old protocol": (
        lambda ca: ca.serve(newest=ssl.TLSVersion.TLSv1_1),
        "TLS refused, the server speaks no TLS 1.2 or newer",
    ),
    "plain http": (lambda ca: None, "TLS refused, the server speaks"),
}


@pytest.mark.parametrize("scheme", ["https"])
@pytest.mark.parametrize(
    "bad",
    [
        pytest.param("another host", id="fault_53-another host"),
        pytest.param("expired", id="fault_53-expired"),
        pytest.param("not valid yet", id="fault_53-not valid yet", marks=pytest.mark.slow),
        pytest.param("self-signed", id="fault_53-self-signed", marks=pytest.mark.slow),
        pytest.param("old protocol", id="fault_53-old protocol"),
        pytest.param("plain http", id="fault_53-plain http", marks=pytest.mark.slow),
    ],
)
def test_server_that_does_not_prove_itself_is_refused_and_the_others_come(place: Place, bad: str) -> None:
    (make, cause), url = _BAD[bad], place.faulty.url(IMAGE)
    good, place.faulty.tls = place.faulty.tls, make(place.authority)  # type: ignore[assignment]  # None in one case
    demand_line(place.update(code=10).err, LIST_ID, cause)
    demand_line(place.cache(code=75).err, url, cause)
    assert place.faulty.requests == []
    place.faulty.tls = good
    place.update()
    place.cache()


@pytest.mark.parametrize("scheme", ["https"])
def test_fault_53_server_of_an_unknown_ca_is_refused_and_the_others_come(place: Place, tmp_path: Path) -> None:
    other = Authority(tmp_path, "Another CA")
    for trusted in (str(other.bundle), str(tmp_path / "nothing.pem")):
        result = place.update(code=10, SSL_CERT_FILE=trusted, SSL_CERT_DIR=str(tmp_path / "nothing"))
        demand_line(result.err, LIST_ID, "comes from an unknown CA")
        result = place.cache(code=75, SSL_CERT_FILE=trusted, SSL_CERT_DIR=str(tmp_path / "nothing"))
        demand_line(result.err, place.faulty.url(IMAGE), "comes from an unknown CA")
    assert place.faulty.requests == []


@pytest.mark.parametrize("scheme", ["https"])
def test_fault_53_certificates_are_those_of_the_subscription(place: Place) -> None:
    place.site.expect(0, "subscribe", "--uri-trustanchor-set", "igtf", "-u", LIST_ID)
    demand_line(place.update(code=10).err, "comes from an unknown CA")
    for path in place.authority.directory.iterdir():
        (place.site.pki.certificates / path.name).write_bytes(path.read_bytes())
    try:
        place.update(SSL_CERT_FILE="/nonexistent")
        place.cache(SSL_CERT_FILE="/nonexistent")
    finally:
        for path in place.authority.directory.iterdir():
            (place.site.pki.certificates / path.name).unlink()


@pytest.mark.parametrize("scheme", ["https"])
def test_fault_53_only_an_explicit_word_switches_verification_off_and_each_run_says_so(place: Place) -> None:
    good, place.faulty.tls = place.faulty.tls, place.authority.serve(self_signed=True)
    place.site.expect(0, "subscribe", "--uri-insecure", "-u", LIST_ID)
    assert "TLS is not verified" in place.update(warned=1).err
    assert "TLS is not verified" in place.cache(warned=1).err
    place.faulty.tls = good


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["https"])
def test_fault_37_handshake_that_never_ends_is_given_up(place: Place) -> None:
    good, place.faulty.tls = place.faulty.tls, _Silent()  # type: ignore[assignment]  # it does what is asked of it
    patience = {"VMCATCHER_CONNECT_TIMEOUT": "0.4"}
    demand_line(place.update(code=10, **patience).err, LIST_ID, "waited 0.4 s for the TLS handshake")
    demand_line(place.cache(code=75, **patience).err, image_id(1), "waited 0.4 s for the TLS handshake")
    place.faulty.tls = good
    place.update()
    place.cache()


# -- proxies, ports, queries


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_fault_54_proxy_is_obeyed_and_its_password_shown_nowhere(place: Place, scheme: str) -> None:
    known = {f"127.0.0.1:{server.port}": server for server in (place.faulty, place.healthy)}
    with Proxy(known, login=f"operator:{_CANARY}") as proxy:
        url = proxy.url(userinfo=f"operator:{_CANARY}")
        environment = {f"{scheme}_proxy": url, "no_proxy": f"127.0.0.1:{place.healthy.port}"}
        shown = place.site.run("subscribe", "-U", "-vv", **environment)
        assert shown.code == 0, shown
        place.cache(**environment)
        assert len(proxy.lines) == 2
        assert all(str(place.faulty.port) in line for line in proxy.lines)
        assert [word for word in _SHOWN if word in shown.out + shown.err] == []
        assert not [request for request in place.faulty.requests if "proxy-authorization" in request.headers]


def test_fault_54_upper_case_http_proxy_is_not_obeyed(place: Place) -> None:
    with Proxy({}) as proxy:
        place.update(HTTP_PROXY=proxy.url())
        assert proxy.lines == []


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_fault_54_proxy_that_fails_is_named_without_its_password(place: Place, scheme: str) -> None:
    with Proxy({}, login="operator:other") as proxy:
        url = proxy.url(userinfo=f"operator:{_CANARY}")
        environment = {f"{scheme}_proxy": url, "no_proxy": f"127.0.0.1:{place.healthy.port}"}
        for result in (place.update(code=10, **environment), place.cache(code=75, **environment)):
            demand_line(result.err, f"proxy {proxy.url()} failed")
            assert [word for word in _SHOWN if word in result.err] == []
    for result in (place.update(code=10, **environment), place.cache(code=75, **environment)):
        demand_line(result.err, f"proxy {proxy.url()} failed")
        assert [word for word in _SHOWN if word in result.err] == []


def test_fault_54_file_goes_past_the_proxy(site: Site) -> None:
    listed = site.root / "list.smime"
    listed.write_bytes(site.publish("1", site.image(1)))
    site.expect(0, "endorser", "-C", "-e", "alice", "--dn", site.alice.subject, "-I", site.alice.issuer)
    with Proxy({}) as proxy:
        site.expect(0, "subscribe", "-s", f"file://{listed}", all_proxy=proxy.url(), http_proxy=proxy.url())
        assert proxy.lines == []


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_fault_55_port_and_query_are_used_as_signed(place: Place, scheme: str) -> None:
    query = "?a=b&c=%2Fd%20e&&f="
    image = place.site.image(1, content=CONTENT, path=IMAGE, hv__uri=place.faulty.url(IMAGE + query))
    place.site.publish("3", image, path=LIST, hv__uri=place.faulty.url(LIST + query))
    place.site.expect(0, "subscribe", "-U")
    place.site.expect(0, "subscribe", "-U")
    place.site.expect(0, "cache")
    assert [request.target for request in place.faulty.requests] == [LIST, LIST + query, IMAGE + query]
    assert place.site.endorsed()[image_id(1)] == CONTENT
