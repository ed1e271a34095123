"""Redirects: where they may lead, and that a password never goes with them to somebody else."""

from __future__ import annotations

import base64
import socket
from typing import Any

import pytest

from support.server import Server
from support.server_client import RecordingSink, at, some_bytes, transport
from support.server_proxy import Proxy
from vmcatcher.errors.answer import BadHeader, Downgrade, LoginNeeded, RedirectRefused, TooManyRedirects
from vmcatcher.errors.network import PasswordOverHttp
from vmcatcher.transport import Access, Fetched, Transport, Validators

_BASIC = "Basic " + base64.b64encode(b"user:CANARY").decode()


def _fetch(carrier: Transport, url: str, access: Access | None = None) -> Fetched:
    fetched = carrier.fetch_list(at(url), access or Access())
    assert isinstance(fetched, Fetched)
    return fetched


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_is_followed(server: Server, other: Server, carrier: Transport, status: int) -> None:
    other.publish("/there", b"content")
    server.fault("/here", "redirect", to=other.url("/there"), status=status)
    fetched = _fetch(carrier, server.url("/here"))
    assert fetched.body == b"content"
    assert fetched.final_url == other.url("/there")


@pytest.mark.parametrize(
    ("to", "path"),
    [
        ("there", "/a/there"),
        ("/there?x=%20y", "/there"),
        ("../there", "/there"),
        ("?x", "/a/here"),
        ("/bücher", "/b%C3%BCcher"),
        (" /there ", "/there"),
    ],
)
def test_relative_redirect_is_followed(server: Server, carrier: Transport, to: str, path: str) -> None:
    server.publish(path, b"content")
    # Header bytes are what the server's machine writes, UTF-8 as a rule.
    server.fault("/a/here", "redirect", times=1, to=to.encode().decode("latin-1"))
    assert _fetch(carrier, server.url("/a/here")).body == b"content"
    assert server.requests[-1].path == path


def test_five_redirects_are_followed_and_not_six(server: Server, carrier: Transport) -> None:
    server.publish("/0", b"content")
    for number in range(1, 7):
        server.fault(f"/{number}", "redirect", to=f"/{number - 1}")
    assert _fetch(carrier, server.url("/5")).body == b"content"
    with pytest.raises(TooManyRedirects) as refused:
        _fetch(carrier, server.url("/6"))
    assert refused.value.limit == 5
    assert server.url("/6") in str(refused.value)


@pytest.mark.parametrize(
    ("to", "why"),
    [
        ("file:///etc/shadow", "only http and https"),
        ("ftp://127.0.0.1/x", "scheme 'ftp'"),
        ("gopher://127.0.0.1/x", "scheme 'gopher'"),
        ("javascript:alert(1)", "scheme 'javascript'"),
        ("http://u:CANARY@127.0.0.1/", "user name"),
        ("//u:CANARY@127.0.0.1/", "user name"),
        ("http://127.0.0.1:0/", "port"),
        ("//[bad", "no URI|bracket|IPv6"),
        ("http://", "no host"),
        ("http://a\\@b/", "backslash"),
    ],
)
def test_redirect_elsewhere_is_refused(server: Server, carrier: Transport, to: str, why: str) -> None:
    server.fault("/here", "redirect", to=to)
    with pytest.raises(RedirectRefused, match=why) as refused:
        _fetch(carrier, server.url("/here"))
    assert "CANARY" not in refused.value.one_line()
    assert server.url("/here") in refused.value.one_line()


def test_redirect_without_location_is_refused(server: Server, carrier: Transport) -> None:
    server.fault("/here", "redirect", to="")
    with pytest.raises(BadHeader, match="302 without a Location"):
        _fetch(carrier, server.url("/here"))


def test_redirect_from_https_to_http_is_refused(secure: Server, server: Server, carrier: Transport) -> None:
    server.publish("/there", b"content")
    secure.fault("/here", "redirect", to=server.url("/there"))
    with pytest.raises(Downgrade, match="https to http"):
        _fetch(carrier, secure.url("/here"), Access(tls="insecure"))
    assert server.requests == []


def test_redirect_from_http_to_https_is_followed(secure: Server, server: Server, carrier: Transport) -> None:
    secure.publish("/there", b"content")
    server.fault("/here", "redirect", to=secure.url("/there"))
    assert _fetch(carrier, server.url("/here"), Access(tls="insecure")).body == b"content"


def test_condition_and_range_go_with_the_redirect(server: Server, other: Server, carrier: Transport) -> None:
    content = some_bytes(1000)
    other.publish("/there", content, etag='"v1"')
    server.fault("/here", "redirect", to=other.url("/there"))
    assert carrier.fetch_list(at(server.url("/here")), Access(), known=Validators('"v1"')).final_url.endswith("/there")
    sink = RecordingSink(content[:100], '"v1"')
    sink.fetch(carrier, server.url("/here"), 1000)
    assert sink.content == content
    assert other.requests[-1].headers["range"] == "bytes=100-"


# Where the first server stands for a host of the outside world, which only the proxy can reach.
@pytest.mark.parametrize(
    "inside",
    [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "127.1",
        "0x7f.1",
        "169.254.169.254",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
        "[fe80::1]",
    ],
)
def test_redirect_from_outside_to_inside_is_refused(server: Server, other: Server, inside: str) -> None:
    server.fault("/here", "redirect", to=f"http://{inside}:{other.port}/secret")
    with Proxy({"outside.example:80": server}) as proxy:
        options = {"proxies": {"http": proxy.url()}, "no_proxy": inside.strip("[]")}
        with transport(**options) as carrier, pytest.raises(RedirectRefused, match="this machine"):
            _fetch(carrier, "http://outside.example/here")
    assert other.requests == []


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every name below `.names.example` resolve to this machine, as some name server in the world does."""
    before = socket.getaddrinfo

    def look_up(host: Any, *args: Any, **options: Any) -> Any:
        return before("127.0.0.1" if str(host).endswith(".names.example") else host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


@pytest.mark.usefixtures("names")
def test_redirect_to_a_name_that_means_this_machine_is_refused(server: Server, other: Server) -> None:
    other.publish("/secret", b"secret")
    server.fault("/here", "redirect", to=f"http://innocent.names.example:{other.port}/secret")
    with Proxy({"outside.example:80": server}) as proxy:
        options = {"proxies": {"http": proxy.url()}, "no_proxy": "innocent.names.example"}
        with transport(**options) as carrier:
            with pytest.raises(RedirectRefused, match=r"leads to 127\.0\.0\.1"):
                _fetch(carrier, "http://outside.example/here")
            assert other.requests == []
            # Nor by a connection that a permitted request has left open.
            _fetch(carrier, f"http://innocent.names.example:{other.port}/secret")
            with pytest.raises(RedirectRefused):
                _fetch(carrier, "http://outside.example/here")
    assert other.gets("/secret") == 1


@pytest.mark.usefixtures("names")
def test_name_that_means_this_machine_may_redirect_to_it(server: Server, other: Server, carrier: Transport) -> None:
    other.publish("/there", b"content")
    server.fault("/here", "redirect", to=other.url("/there"))
    assert _fetch(carrier, f"http://testbed.names.example:{server.port}/here").body == b"content"


def _with_password(server: Server, **changes: Any) -> Access:
    options = {"username": "user", "password": "CANARY", "origin": at(server.url()).origin, "tls": "insecure"} | changes
    return Access(**options)


def _passwords(server: Server) -> list[str | None]:
    return [request.headers.get("authorization") for request in server.requests]


def test_password_is_sent_to_its_origin(server: Server, carrier: Transport) -> None:
    server.require_password("user", "CANARY")
    server.publish("/list", b"content")
    assert _fetch(carrier, server.url("/list"), _with_password(server)).body == b"content"
    assert _passwords(server) == [_BASIC]


def test_password_goes_with_a_redirect_within_its_origin(server: Server, carrier: Transport) -> None:
    server.publish("/there", b"content")
    server.fault("/here", "redirect", to="/there")
    _fetch(carrier, server.url("/here"), _with_password(server))
    assert _passwords(server) == [_BASIC, _BASIC]


def test_password_does_not_go_with_a_redirect_to_another_port(
    server: Server, other: Server, carrier: Transport
) -> None:
    other.publish("/there", b"content")
    server.fault("/here", "redirect", to=other.url("/there"))
    _fetch(carrier, server.url("/here"), _with_password(server))
    assert _passwords(server) == [_BASIC]
    assert _passwords(other) == [None]


def test_password_does_not_go_with_a_redirect_to_another_host(server: Server, carrier: Transport) -> None:
    server.publish("/there", b"content")
    server.fault("/here", "redirect", to=f"http://localhost:{server.port}/there")
    _fetch(carrier, server.url("/here"), _with_password(server))
    assert _passwords(server) == [_BASIC, None]


def test_password_does_not_go_with_a_redirect_to_another_scheme(
    server: Server, secure: Server, carrier: Transport
) -> None:
    secure.publish("/there", b"content")
    server.fault("/here", "redirect", to=secure.url("/there"))
    _fetch(carrier, server.url("/here"), _with_password(server))
    assert _passwords(secure) == [None]


def test_password_of_another_origin_is_not_sent(server: Server, other: Server, carrier: Transport) -> None:
    server.require_password("user", "CANARY")
    with pytest.raises(LoginNeeded) as refused:
        _fetch(carrier, server.url("/list"), _with_password(other))
    assert refused.value.sent is False
    assert _passwords(server) == [None]


def test_wrong_password_is_named_as_such(server: Server, carrier: Transport) -> None:
    server.require_password("user", "other")
    with pytest.raises(LoginNeeded, match="password sent: True") as refused:
        _fetch(carrier, server.url("/list"), _with_password(server))
    assert "CANARY" not in refused.value.one_line()


def test_password_of_an_image_goes_to_its_origin_only(server: Server, other: Server, carrier: Transport) -> None:
    content = some_bytes(1000)
    for one in (server, other):
        one.publish("/image", content)
        RecordingSink().fetch(carrier, one.url("/image"), 1000, _with_password(server))
    assert (_passwords(server), _passwords(other)) == ([_BASIC], [None])


@pytest.mark.usefixtures("names")
def test_password_over_http_is_not_sent_to_another_machine(server: Server) -> None:
    server.publish("/list", b"content")
    url = f"http://site.names.example:{server.port}/list"
    access = Access(username="user", password="CANARY", origin=at(url).origin)
    with transport() as carrier, pytest.raises(PasswordOverHttp):
        _fetch(carrier, url, access)
    assert server.requests == []


def test_netrc_and_environment_are_not_read(
    server: Server, carrier: Transport, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login user password CANARY\nmachine 127.0.0.1 login user password CANARY\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".netrc").write_bytes(netrc.read_bytes())
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    server.publish("/list", b"content")
    assert _fetch(carrier, server.url("/list")).body == b"content"
    assert _passwords(server) == [None]
