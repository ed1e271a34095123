"""The rules that need no network: local addresses, passwords, proxies, validators, limits."""

from __future__ import annotations

import base64

import pytest

from support.server_client import at
from vmcatcher.errors.network import BadUserName, PasswordOverHttp, UnusableProxy
from vmcatcher.model.location import Origin
from vmcatcher.transport import Access, Limits
from vmcatcher.transport.access import authorization
from vmcatcher.transport.addresses import is_local, is_loopback
from vmcatcher.transport.answers import is_date, is_etag, seconds_between
from vmcatcher.transport.proxies import Proxies


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.255.0.9",
        "127.1",
        "2130706433",
        "0x7f000001",
        "017700000001",
        "0.0.0.0",
        "169.254.169.254",
        "::1",
        "::",
        "fe80::1",
        "fe80::1%eth0",
        "::ffff:127.0.0.1",
        "::ffff:a9fe:a9fe",
        "64:ff9b::7f00:1",
        "fd00:ec2::254",
        "100.100.100.200",
        "localhost",
        "localhost.",
        "deep.localhost",
    ],
)
def test_address_of_this_machine_or_its_metadata_is_local(host: str) -> None:
    assert is_local(host)


@pytest.mark.parametrize(
    "host",
    ["192.0.2.1", "10.0.0.1", "2001:db8::1", "site.example", "notlocalhost", "::ffff:192.0.2.1", "64:ff9b::c000:201"],
)
def test_other_address_is_not_local(host: str) -> None:
    assert not is_local(host)
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("169.254.169.254", False), ("::", False)],
)
def test_loopback_is_what_does_not_leave_the_machine(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def _access(url: str, **changes: object) -> Access:
    options: dict[str, object] = {"username": "user", "password": "word", "origin": at(url).origin} | changes
    return Access(**options)  # type: ignore[arg-type]  # fields by name


def _sent(url: str, access: Access, *, through_proxy: bool = False) -> str | None:
    header = authorization(at(url), access, through_proxy=through_proxy)
    return base64.b64decode(header.removeprefix("Basic ")).decode() if header else header


def test_password_goes_to_its_origin() -> None:
    assert _sent("https://h/list", _access("https://h:443/")) == "user:word"


def test_user_name_alone_goes_with_an_empty_password() -> None:
    assert _sent("https://h/list", _access("https://h/", password=None)) == "user:"


def test_password_beyond_ascii_is_utf_8() -> None:
    assert _sent("https://h/list", _access("https://h/", password="wörd")) == "user:wörd"


@pytest.mark.parametrize("url", ["https://h:444/", "https://g/", "http://h/", "https://h.g/", "http://h:443/"])
def test_password_goes_nowhere_else(url: str) -> None:
    assert _sent(url, _access("https://h/")) is None


def test_password_without_origin_goes_nowhere() -> None:
    assert _sent("https://h/", Access(username="user", password="word")) is None


def test_without_user_name_nothing_is_sent() -> None:
    assert _sent("https://h/", Access(origin=Origin("https", "h", 443))) is None


def test_password_over_http_is_refused_and_names_the_option() -> None:
    with pytest.raises(PasswordOverHttp, match="http://h/list") as refused:
        _sent("http://h/list", _access("http://h/"))
    assert "--uri-password-over-http" in refused.value.one_line()
    assert refused.value.classic_exit == 10


def test_password_over_http_is_sent_where_the_operator_allows_it() -> None:
    assert _sent("http://h/list", _access("http://h/", plain_password=True)) == "user:word"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_password_over_http_may_go_to_this_machine(host: str) -> None:
    assert _sent(f"http://{host}/list", _access(f"http://{host}/")) == "user:word"
    with pytest.raises(PasswordOverHttp):
        _sent(f"http://{host}/list", _access(f"http://{host}/"), through_proxy=True)


@pytest.mark.parametrize(
    "changes", [{"username": "a:b"}, {"username": "a\nb"}, {"password": "a\x00"}, {"password": "\udc80"}]
)
def test_user_name_that_basic_cannot_carry_is_refused(changes: dict[str, str]) -> None:
    with pytest.raises(BadUserName) as refused:
        _sent("https://h/", _access("https://h/", **changes))
    assert "word" not in str(refused.value).replace("password", "")


def test_access_hides_user_and_password() -> None:
    shown = repr(_access("https://h/", username="CANARY1", password="CANARY2"))
    assert "CANARY" not in shown


def _proxy(url: str, by_scheme: dict[str, str], no_proxy: str = "") -> str | None:
    found = Proxies(by_scheme, no_proxy).choose(at(url))
    return str(found) if found else None


@pytest.mark.parametrize(
    ("url", "expected"),
    [("http://h/", "http://plain:1"), ("https://h/", "http://tls:2"), ("https://deep.site.example/", "http://tls:2")],
)
def test_proxy_is_chosen_by_scheme(url: str, expected: str) -> None:
    assert _proxy(url, {"http": "http://plain:1", "https": "http://tls:2", "all": "http://any:3"}) == expected


def test_proxy_for_all_stands_in() -> None:
    assert _proxy("https://h/", {"all": "http://any:3", "http": " "}) == "http://any:3"
    assert _proxy("http://h/", {"all": "http://any:3", "http": " "}) == "http://any:3"
    assert _proxy("http://h/", {}) is None


@pytest.mark.parametrize(
    ("setting", "shown"), [("proxy:3128", "http://proxy:3128"), ("HTTP://Proxy/", "http://proxy:80")]
)
def test_proxy_setting_may_be_short(setting: str, shown: str) -> None:
    assert _proxy("http://h/", {"http": setting}) == shown


@pytest.mark.parametrize(
    "setting", ["https://u:CANARY@p:1", "socks5://u:CANARY@p:1", "http://u:CANARY@p:x", "u:CANARY@p:x"]
)
def test_proxy_that_cannot_be_used_is_refused_without_its_password(setting: str) -> None:
    with pytest.raises(UnusableProxy) as refused:
        _proxy("http://h/", {"http": setting})
    assert "CANARY" not in refused.value.one_line()


def test_proxy_password_is_hidden() -> None:
    found = Proxies({"http": "http://u:CANARY@p:1"}, "").choose(at("http://h/"))
    assert found is not None
    assert found.authorization == "Basic " + base64.b64encode(b"u:CANARY").decode()
    assert "CANARY" not in repr(found)
    assert found.authorization not in repr(found) + str(found)


@pytest.mark.parametrize(
    ("no_proxy", "url"),
    [
        ("*", "http://h/"),
        ("site.example", "http://site.example/"),
        ("site.example", "http://deep.site.example/"),
        (".site.example", "http://site.example/"),
        ("*.site.example", "http://deep.site.example/"),
        ("a, SITE.example", "http://site.example./"),
        ("a site.example:80 b", "http://site.example/"),
        ("site.example:8080", "http://site.example:8080/"),
        ("192.0.2.1", "http://192.0.2.1/"),
        ("192.0.2.0/24", "http://192.0.2.77/"),
        ("192.0.2.1:81", "http://192.0.2.1:81/"),
        ("[2001:db8::1]", "http://[2001:db8::1]/"),
        ("2001:db8::/32", "http://[2001:db8::1]/"),
        ("[2001:db8::1]:81", "http://[2001:db8::1]:81/"),
    ],
)
def test_exception_means_a_direct_connection(no_proxy: str, url: str) -> None:
    assert _proxy(url, {"http": "http://p:1"}, no_proxy) is None


@pytest.mark.parametrize(
    ("no_proxy", "url"),
    [
        ("", "http://h/"),
        (",,", "http://h/"),
        ("site.example", "http://notsite.example/"),
        ("site.example", "http://example/"),
        ("site.example:8080", "http://site.example/"),
        ("192.0.2.0/24", "http://192.0.3.1/"),
        ("192.0.2.0/24", "http://site.example/"),
        ("192.0.2.1:81", "http://192.0.2.1/"),
    ],
)
def test_exception_covers_nothing_else(no_proxy: str, url: str) -> None:
    assert _proxy(url, {"http": "http://p:1"}, no_proxy) == "http://p:1"


@pytest.mark.parametrize("text", ['"abc"', 'W/"abc"', '""', '"!#~"'])
def test_entity_tag_may_be_sent_back(text: str) -> None:
    assert is_etag(text)


@pytest.mark.parametrize(
    "text", ["", "abc", '"a"b"', '"a', '"\n"', '"ü"', '"a b"', 'w/"a"', '"' + "a" * 513 + '"', '"a"\r\nX: y']
)
def test_other_text_is_no_entity_tag(text: str) -> None:
    assert not is_etag(text)


def test_date_may_be_sent_back() -> None:
    assert is_date("Sat, 01 Jan 2022 00:00:00 GMT")
    assert not is_date("Sat, 01 Jan 2022\r\nX: y")
    assert not is_date("x")


def test_seconds_between_dates_of_a_server() -> None:
    assert seconds_between("Sat, 01 Jan 2022 00:00:00 GMT", "Sat, 01 Jan 2022 00:01:00 GMT") == 60
    assert seconds_between("Sat, 01 Jan 2022 00:00:00 GMT", "") is None
    assert seconds_between("nonsense", "Sat, 01 Jan 2022 00:01:00 GMT") is None
    assert seconds_between("Sat, 01 Jan 2022 00:00:00 GMT", "Sat, 99 Jan 2022 00:01:00 GMT") is None


def test_limits_are_those_of_the_documentation() -> None:
    limits = Limits()
    assert (limits.connect_s, limits.idle_s, limits.total_s, limits.max_redirects) == (30, 60, 300, 5)
    assert (limits.min_rate_bytes_s, limits.rate_window_s, limits.list_bytes) == (1024, 60, 10 * 2**20)
