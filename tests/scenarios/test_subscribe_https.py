"""Lists and images over https: whose certificates are believed, and for how long."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.server import Server
from support.server_tls import Authority
from support.site import LIST_ID, Result, Site, image_id

IGTF = ("--uri-trustanchor-set", "igtf")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@contextmanager
def _site(root: Path, authority: Authority, **certificate: object) -> Iterator[Site]:
    with Server(tls=authority.serve(**certificate)) as server:  # type: ignore[arg-type]  # handed on as they are
        site = Site(root, server)
        site.publish("1", site.image(1))
        site.expect(0, "endorser", "-C", "-e", "alice", "--dn", site.alice.subject, "-I", site.alice.issuer)
        yield site


@pytest.fixture
def site(tmp_path: Path, authority: Authority) -> Iterator[Site]:
    """A site whose server has a certificate of a CA that nobody trusts yet."""
    with _site(tmp_path, authority) as found:
        yield found


def _trust_as_grid_ca(site: Site, authority: Authority) -> None:
    for path in authority.directory.iterdir():
        shutil.copy(path, site.pki.certificates)


def _subscribe(site: Site, *words: str, **environment: str) -> Result:
    return site.run("subscribe", "-s", site.server.url("/list"), *words, **environment)


def _trust_column(site: Site) -> str:
    return site.expect(0, "subscribe", "-l").out.split("\t")[2]


@pytest.mark.parametrize("words", [(), ("--uri-trustanchor-set", "none"), ("--uri-trustanchor-set", "Browser"), IGTF])
def test_server_of_an_unknown_ca_is_refused(site: Site, words: tuple[str, ...]):
    result = _subscribe(site, *words)
    assert result.code == 10
    assert "unknown CA" in result.err
    assert site.server.requests == []
    assert site.expect(0, "subscribe", "-l").out == ""


@pytest.mark.parametrize(
    ("words", "column"),
    [((), "None"), (("--uri-trustanchor-set", "none"), "None"), (("--uri-trustanchor-set", "browser"), "Browser")],
)
def test_server_of_a_system_ca_is_believed_unless_told_otherwise(
    site: Site, authority: Authority, words: tuple[str, ...], column: str
):
    site.environment["SSL_CERT_FILE"] = str(authority.bundle)
    assert _subscribe(site, *words).code == 0
    site.expect(0, "subscribe", "-U")
    assert _trust_column(site) == column
    del site.environment["SSL_CERT_FILE"]
    assert site.run("subscribe", "-U").code == 10


def test_server_of_a_grid_ca_is_believed_with_igtf(site: Site, authority: Authority):
    _trust_as_grid_ca(site, authority)
    assert _subscribe(site).code == 10
    assert _subscribe(site, *IGTF, "--imagelist-newimage-subscribe").code == 0
    site.expect(0, "subscribe", "-U")
    assert _trust_column(site) == "IGTF"
    site.cache()
    assert list(site.endorsed()) == [image_id(1)]


def test_igtf_does_not_believe_the_cas_of_the_system(site: Site, authority: Authority):
    assert _subscribe(site, *IGTF, SSL_CERT_FILE=str(authority.bundle)).code == 10


def test_insecure_believes_anybody_says_so_and_ends_when_trust_is_chosen(site: Site):
    result = _subscribe(site, "--uri-insecure")
    assert result.code == 0
    assert "TLS is not verified" in result.err
    assert "TLS is not verified" in site.expect(0, "subscribe", "-U").err
    site.expect(0, "subscribe", "--uri-trustanchor-set", "none", "-u", LIST_ID)
    assert site.run("subscribe", "-U").code == 10


def test_insecure_can_be_chosen_later(site: Site, authority: Authority):
    assert _subscribe(site, SSL_CERT_FILE=str(authority.bundle)).code == 0
    site.expect(0, "subscribe", "--uri-insecure", "-u", LIST_ID)
    site.expect(0, "subscribe", "-U")


def test_insecure_and_a_trust_in_one_call_is_insecure(site: Site):
    assert _subscribe(site, "--uri-insecure", *IGTF).code == 0
    site.expect(0, "subscribe", "--uri-insecure", *IGTF, "-u", LIST_ID)
    site.expect(0, "subscribe", "-U")
    assert _trust_column(site) == "IGTF"


@pytest.mark.parametrize(
    ("certificate", "says"),
    [
        ({"names": ["other.example"]}, "another address|another host"),
        ({"days": (-30, -1)}, "has expired"),
        ({"days": (1, 30)}, "not valid yet"),
        ({"self_signed": True}, "self-signed"),
    ],
    ids=["other name", "expired", "future", "self-signed"],
)
def test_certificate_that_proves_nothing_is_refused(
    tmp_path: Path, authority: Authority, certificate: dict[str, object], says: str
):
    with _site(tmp_path, authority, **certificate) as site:
        result = _subscribe(site, SSL_CERT_FILE=str(authority.bundle))
        assert result.code == 10
        assert any(words in result.err for words in says.split("|")), result.err
        assert _subscribe(site, "--uri-insecure").code == 0


def test_list_may_not_move_from_https_to_http(site: Site, authority: Authority, server: Server):
    site.environment["SSL_CERT_FILE"] = str(authority.bundle)
    _subscribe(site)
    site.publish("2", site.image(1), hv__uri=server.url("/list"))
    for _ in range(2):
        result = site.expect(0, "subscribe", "-U")
        assert "not followed: a list may not move from https to http" in result.err
    assert server.requests == []
    assert site.expect(0, "subscribe", "-l").out.split("\t")[3] == site.server.url("/list") + "\n"


def test_redirect_from_https_to_http_is_refused(site: Site, authority: Authority, server: Server):
    site.environment["SSL_CERT_FILE"] = str(authority.bundle)
    _subscribe(site)
    site.server.fault("/list", "redirect", to=server.url("/list"))
    result = site.run("subscribe", "-U")
    assert result.code == 10
    assert "from https to http" in result.err
    assert server.requests == []


def test_list_moves_from_http_to_https_and_the_password_stays_behind(
    tmp_path: Path, authority: Authority, server: Server
):
    with _site(tmp_path, authority) as site:
        site.environment["SSL_CERT_FILE"] = str(authority.bundle)
        server.publish("/list", site.publish("1", site.image(1)))
        words = ("--uri-username-set", "operator", "--uri-password-set", "secret")
        site.expect(0, "subscribe", "-s", server.url("/list"), *words)
        site.expect(0, "subscribe", "-U")
        assert [request.headers.get("authorization") is None for request in server.requests] == [False]
        assert [request.headers.get("authorization") for request in site.server.requests] == [None]


def test_password_is_sent_over_https(site: Site, authority: Authority):
    site.environment["SSL_CERT_FILE"] = str(authority.bundle)
    site.server.require_password("operator", "secret")
    assert _subscribe(site).code == 10
    assert _subscribe(site, "--uri-username-set", "operator", "--uri-password-set", "secret").code == 0
    token = base64.b64encode(b"operator:secret").decode()
    assert site.server.requests[-1].headers["authorization"] == f"Basic {token}"


@pytest.mark.parametrize("value", ["foo", "", "IGTF "])
def test_trust_that_is_none_of_the_three_is_refused(site: Site, value: str):
    for words in (("-s", site.server.url("/list")), ("-u", LIST_ID), ("-l",)):
        result = site.run("subscribe", "--uri-trustanchor-set", value, *words)
        assert result.code == 1
        assert result.err == "ERROR:main:Invalid trust anchor value\n"
    assert site.server.requests == []
