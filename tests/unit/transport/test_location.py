"""Locations: what an operator may type, what a list may name, and where a list may move to."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmcatcher.errors import BadLocation
from vmcatcher.errors.location import BadListedLocation
from vmcatcher.model.location import Location, Origin, UserInfo, move_refusal


@pytest.mark.parametrize(
    "uri",
    [
        "http://site.example/list",
        "https://site.example:8443/list?a=b&c=%2f",
        "http://site.example",
        "http://site.example?query",
        "http://site.example/?",
        "http://127.0.0.1:18080/x%7e~//y/../z",
        "http://[2001:db8::1]:8080/list",
        "https://under_score.example/",
        "file:///srv/list.smime",
        "file:///srv/my%20list",
    ],
)
def test_uri_is_written_back_as_it_was_given(uri: str) -> None:
    location, userinfo = Location.parse(uri)
    assert str(location) == uri
    assert userinfo is None
    assert Location.from_list(uri) == location


@pytest.mark.parametrize(
    ("typed", "written"),
    [
        ("HTTP://Site.Example/List", "http://site.example/List"),
        ("http://site.example:/list", "http://site.example/list"),
        ("http://site.example/list#part?no-query", "http://site.example/list"),
        ("http://site.example/bücher?ü", "http://site.example/b%C3%BCcher?%C3%BC"),
        ("http://[2001:DB8:0:0::1]/", "http://[2001:db8::1]/"),
        ("file:/srv/list", "file:///srv/list"),
        ("file:////srv/list", "file:///srv/list"),
        ("file://///srv/list#part", "file:///srv/list"),
        ("file://localhost/srv/list", "file:///srv/list"),
        ("FILE:///srv/list", "file:///srv/list"),
        ("/srv/list", "file:///srv/list"),
        ("//srv/list", "file:///srv/list"),
        ("/srv/my list?#ü", "file:///srv/my%20list%3F%23%C3%BC"),
        ("list.smime", "file:///home/op/list.smime"),
        ("../list.smime", "file:///home/op/../list.smime"),
        ("./a:b", "file:///home/op/./a:b"),
    ],
)
def test_typed_location_is_normal(typed: str, written: str) -> None:
    location, _ = Location.parse(typed, directory="/home/op")
    assert str(location) == written
    assert Location.parse(written)[0] == location


def test_relative_path_below_the_root_directory() -> None:
    assert str(Location.parse("list", directory="/")[0]) == "file:///list"


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("", "empty"),
        ("ftp://site.example/list", "scheme 'ftp'"),
        ("gopher://site.example/", "scheme 'gopher'"),
        ("javascript:alert(1)", "scheme 'javascript'"),
        ("localhost:8080/list", "scheme 'localhost'"),
        ("http:site.example", "no host"),
        ("http:///list", "no host"),
        ("http://:80/list", "no host"),
        ("http://user@/list", "no host"),
        ("http://site.example:0/", "port"),
        ("http://site.example:65536/", "port"),
        ("http://site.example:8o/", "port"),
        ("http://site.example:-1/", "port"),
        ("http://site.example:٣/", "port"),
        ("http://a:1:2/", "port"),
        ("http://[::1]x/", "port"),
        ("http://[::1/", "bracket"),
        ("http://[::g]/", "IPv6"),
        ("http://[fe80::1%25eth0]/", "IPv6|zone"),
        ("http://bücher.example/", "host name"),
        ("http://a%2fb/", "host name"),
        ("http://.example/", "host name"),
        ("http://-o.example/", "host name"),
        ("http://" + "a" * 254 + "/", "host name"),
        ("http://site.example/a b", "space"),
        ("http://site.example/a\nb", "space"),
        ("http://site.example/a\r\nHost: evil", "space"),
        ("http://site.example/\x00", "space"),
        ("http://site.example/\x7f", "space"),
        ("http://site.example/\u202e", "space"),
        ("http://site.example/\udc80", "space"),
        ("http://good.example\\@evil.example/", "space"),
        (" http://site.example/", "space|scheme|relative"),
        ("http://site.example/" + "a" * 8192, "longer"),
        ("http://u%0a:p@site.example/", "user name"),
        ("http://u:p%00@site.example/", "user name"),
        ("file:relative", "absolute"),
        ("file:", "absolute"),
        ("file://server/srv/list", "host"),
        ("file://u:p@localhost/srv/list", "host"),
        ("file:///srv/list?query", "query"),
        ("file:///srv/%00", "control"),
        ("file:///srv/%0a", "control"),
        ("/srv/\n", "control"),
        ("/srv/\ud800", "no file name"),
        ("list.smime", "relative"),
    ],
)
def test_location_that_cannot_be_used_is_refused(uri: str, why: str) -> None:
    with pytest.raises(BadLocation, match=why):
        Location.parse(uri)
    with pytest.raises(BadListedLocation):
        Location.from_list(uri)


@pytest.mark.parametrize("uri", ["/srv/list", "list", "http://user@site.example/", "http://u:p@site.example/"])
def test_list_may_not_name_paths_or_users(uri: str) -> None:
    with pytest.raises(BadListedLocation):
        Location.from_list(uri)


@pytest.mark.parametrize(
    ("before", "userinfo"),
    [
        ("user:word@", UserInfo("user", "word")),
        ("user@", UserInfo("user", None)),
        ("user:@", UserInfo("user", "")),
        ("u%40h:p%3a%2F@", UserInfo("u@h", "p:/")),
        ("u:p@q@", UserInfo("u", "p@q")),
        ("u:p:q@", UserInfo("u", "p:q")),
        ("%C3%BC:%C3%BC@", UserInfo("ü", "ü")),
        ("@", None),
        ("", None),
    ],
)
def test_user_name_and_password_are_taken_out(before: str, userinfo: UserInfo | None) -> None:
    location, found = Location.parse(f"https://{before}site.example:8443/list?a=b")
    assert found == userinfo
    assert str(location) == "https://site.example:8443/list?a=b"


@pytest.mark.parametrize(
    "uri",
    [
        "http://u:CANARY@site.example:bad/",
        "ftp://u:CANARY@site.example/",
        "http://u:CANARY/with@slash.example:0/",
        "http://u:CANARY@site.example/a b",
        "http://u:CANARY?x@site.example:0",
        "https:/u:CANARY@site.example/",
        "u:CANARY@site.example",
        "//u:CANARY@bad\n",
        "http://u:p@CANARY@[::/",
    ],
)
@pytest.mark.parametrize("parse", [Location.parse, Location.from_list])
def test_refusal_shows_no_password(uri: str, parse: object) -> None:
    with pytest.raises((BadLocation, BadListedLocation)) as refused:
        parse(uri)  # type: ignore[operator]  # one of the two above
    assert "CANARY" not in refused.value.one_line() + repr(refused.value)


def test_password_is_not_in_the_repr() -> None:
    _, userinfo = Location.parse("http://u:CANARY@site.example/")
    assert "CANARY" not in repr(userinfo)


@pytest.mark.parametrize(
    ("uri", "origin", "text"),
    [
        ("http://h/x", Origin("http", "h", 80), "http://h:80"),
        ("https://h/x", Origin("https", "h", 443), "https://h:443"),
        ("https://h:8443/", Origin("https", "h", 8443), "https://h:8443"),
        ("http://[::1]/", Origin("http", "::1", 80), "http://[::1]:80"),
    ],
)
def test_origin_has_the_default_port_filled_in(uri: str, origin: Origin, text: str) -> None:
    found = Location.parse(uri)[0].origin
    assert found == origin
    assert str(found) == text
    assert Location.parse(text)[0].origin == origin


@pytest.mark.parametrize(
    ("uri", "target"),
    [("http://h", "/"), ("http://h?q", "/?q"), ("http://h/p?", "/p?"), ("http://h:80/a%2fb?c=%20#f", "/a%2fb?c=%20")],
)
def test_target_is_path_and_query(uri: str, target: str) -> None:
    assert Location.parse(uri)[0].target == target


def test_file_path_is_spelled_as_the_system_spells_it() -> None:
    for path in ("/srv/my list", "/srv/ü?#%", "/srv/\udcff"):
        assert Location.parse(path)[0].file_path == path
    assert Location.parse("file:///srv/my%20list")[0].file_path == "/srv/my list"


@given(st.text(alphabet=st.characters(exclude_characters="\x00"), min_size=1))
def test_any_text_is_a_location_or_refused(text: str) -> None:
    try:
        location, _ = Location.parse(text, directory="/srv")
    except BadLocation:
        return
    assert Location.parse(str(location))[0] == location
    assert str(location).isascii()
    assert str(location).isprintable()
    assert " " not in str(location)


@pytest.mark.parametrize(
    ("old", "new", "allowed"),
    [
        ("http://a/l", "http://b/l", True),
        ("http://a/l", "https://a/l", True),
        ("https://a/l", "https://b:444/l", True),
        ("file:///l", "http://a/l", True),
        ("file:///l", "https://a/l", True),
        ("file:///l", "file:///l", True),
        ("file:///l", "file:///m", False),
        ("https://a/l", "http://a/l", False),
        ("http://a/l", "file:///l", False),
        ("https://a/l", "file:///l", False),
    ],
)
def test_list_moves_to_the_web_and_never_to_less_safety(old: str, new: str, allowed: bool) -> None:
    assert (move_refusal(Location.from_list(old), Location.from_list(new)) is None) is allowed


def test_parsing_a_location_loads_no_network() -> None:
    code = "import sys; before = {*sys.modules}; import vmcatcher.model.location; print(*({*sys.modules} - before))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "vmcatcher.model.location" in loaded
    assert {"socket", "ssl", "http.client", "vmcatcher.errors.network"} & set(loaded) == set()
