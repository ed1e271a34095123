"""User names and passwords: kept apart, bound to one origin, never shown."""

from __future__ import annotations

import base64
import io
import itertools
import json
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.server import Server
from support.server_proxy import Proxy
from support.site import LIST_ID, Result, Site

CANARY = "cAn4ry-pässword"
TOKEN = "Basic " + base64.b64encode(f"operator:{CANARY}".encode()).decode()


def _decision(site: Site) -> dict[str, object]:
    document: dict[str, object] = json.loads((site.store / "subscriptions" / LIST_ID / "subscription.json").read_text())
    return document


def _sent(server: Server, path: str = "/list") -> list[str | None]:
    return [request.headers.get("authorization") for request in server.requests if request.path == path]


def _userinfo_uri(site: Site, path: str = "/list") -> str:
    return site.server.url(path, userinfo=f"operator:{CANARY.replace('ä', '%C3%A4')}")


@pytest.fixture
def locked(site: Site) -> Site:
    """A site whose server wants the password for everything."""
    site.publish("1", site.image(1))
    site.server.require_password("operator", CANARY)
    site.expect(0, "endorser", "-C", "-e", "alice", "--dn", site.alice.subject, "-I", site.alice.issuer)
    return site


@pytest.fixture
def elsewhere() -> Iterator[Server]:
    """A second server, which is another origin."""
    with Server() as server:
        yield server


def test_fault_103_credentials_in_the_uri_are_used_kept_and_taken_out_of_it(locked: Site):
    locked.expect(0, "subscribe", "-s", _userinfo_uri(locked))
    locked.expect(0, "subscribe", "-U")
    assert _sent(locked.server) == [TOKEN, TOKEN]
    assert locked.expect(0, "subscribe", "-l").out == f"{LIST_ID}\tTrue\tNone\t{locked.server.url('/list')}\n"
    assert _decision(locked)["username"] == "operator"
    assert locked.expect(0, "subscribe", "-i", "-r", _userinfo_uri(locked)).out


def test_credentials_given_as_options_are_used_for_the_first_request_too(locked: Site):
    words = ("--uri-username-set", "operator", "--uri-password-set", CANARY)
    locked.expect(0, "subscribe", "-s", locked.server.url("/list"), *words)
    locked.expect(0, "subscribe", "-U")
    assert _sent(locked.server) == [TOKEN, TOKEN]


def test_credentials_can_be_set_and_cleared_later(locked: Site):
    locked.server.require_password("operator", CANARY, under="/list")
    locked.expect(0, "subscribe", "-s", _userinfo_uri(locked))
    for clear in ("--uri-username-clear", "--uri-password-clear"):
        locked.expect(0, "subscribe", clear, "-u", LIST_ID)
    assert locked.run("subscribe", "-U").code == 10
    assert _sent(locked.server)[-1] is None
    locked.expect(0, "subscribe", "--uri-username-set", "operator", "--uri-password-set", CANARY, "-u", LIST_ID)
    locked.expect(0, "subscribe", "-U")
    assert _sent(locked.server)[-1] == TOKEN


def test_images_of_the_same_server_are_fetched_with_the_password(locked: Site):
    locked.expect(0, "subscribe", "-s", _userinfo_uri(locked), "--imagelist-newimage-subscribe")
    locked.expect(0, "subscribe", "-U")
    locked.cache()
    assert len(locked.endorsed()) == 1


def test_fault_104_images_of_another_server_are_fetched_without_the_password(site: Site, elsewhere: Server):
    elsewhere.publish("/image", b"bytes")
    site.publish("1", site.image(1, content=b"bytes", hv__uri=elsewhere.url("/image")))
    words = ("-e", "-s", _userinfo_uri(site), "--imagelist-newimage-subscribe")
    site.expect(0, "subscribe", *words)
    site.expect(0, "subscribe", "-U")
    site.cache()
    assert len(site.endorsed()) == 1
    assert _sent(elsewhere, "/image") == [None]


@pytest.mark.parametrize("words", [["--uri-username-set", "operator"], ["--uri-password-set", CANARY]])
def test_fault_104_credentials_stay_with_their_origin_when_the_list_moves(
    site: Site, elsewhere: Server, words: list[str]
):
    """Also a user name without a password: whoever can sign the list must not learn it at a place of his choice."""
    site.join(site.image(1))
    site.expect(0, "subscribe", "--uri-username-set", "operator", *words, "-u", LIST_ID)
    moved = site.publish("2", site.image(1), hv__uri=elsewhere.url("/list"))
    elsewhere.publish("/list", moved)
    site.server.forget()
    for _ in range(2):
        site.expect(0, "subscribe", "-U")
    assert _sent(site.server)[0] is not None
    assert _sent(elsewhere) == [None]


def test_credentials_set_after_the_move_go_to_the_new_origin_only(site: Site, elsewhere: Server):
    site.join(site.image(1))
    elsewhere.publish("/list", site.publish("2", site.image(1), hv__uri=elsewhere.url("/list")))
    site.expect(0, "subscribe", "-U")
    site.expect(0, "subscribe", "--uri-username-set", "operator", "--uri-password-set", CANARY, "-u", LIST_ID)
    elsewhere.publish("/list", site.publish("3", site.image(1), hv__uri=site.server.url("/list")))
    site.expect(0, "subscribe", "-U")
    site.server.forget()
    site.expect(0, "subscribe", "-U")
    assert _sent(elsewhere)[-1] == TOKEN
    assert _sent(site.server) == [None]


def test_fault_104_credentials_are_not_sent_after_a_redirect_to_another_origin(site: Site, elsewhere: Server):
    site.join(site.image(1))
    site.expect(0, "subscribe", "--uri-username-set", "operator", "--uri-password-set", CANARY, "-u", LIST_ID)
    elsewhere.publish("/list", site.publish("2", site.image(1)))
    site.server.forget()
    site.server.fault("/list", "redirect", to=elsewhere.url("/list"))
    site.expect(0, "subscribe", "-U")
    assert _sent(site.server) == [TOKEN]
    assert _sent(elsewhere) == [None]


def test_password_of_a_list_in_a_file_is_no_obstacle(site: Site):
    path = site.root / "list"
    path.write_bytes(site.alice.sign(site.content("1", site.image(1), hv__uri=f"file://{path}")))
    words = ("--uri-username-set", "operator", "--uri-password-set", CANARY)
    site.expect(0, "subscribe", "-e", "-s", str(path), *words)
    site.expect(0, "subscribe", "-U")
    site.expect(0, "subscribe", *words, "-u", LIST_ID)
    site.expect(0, "subscribe", "-U")


@pytest.mark.parametrize("text", [f"{CANARY}\n", f"{CANARY}\r\nsecond line\n", CANARY])
def test_fault_101_password_file_holds_the_password_in_its_first_line(locked: Site, text: str):
    path = locked.root / "password"
    path.write_text(text, encoding="utf-8", newline="")
    words = ("--uri-username-set", "operator", "--uri-password-file", str(path))
    result = locked.expect(0, "subscribe", "-s", locked.server.url("/list"), *words)
    assert _sent(locked.server) == [TOKEN]
    assert result.err == ""


def test_fault_101_password_comes_from_stdin_once_for_all_selections(locked: Site, monkeypatch: pytest.MonkeyPatch):
    locked.expect(0, "subscribe", "-s", _userinfo_uri(locked))
    other = locked.server.url("/other")
    locked.publish("1", path="/other", dc__identifier="other-list", hv__uri=other)
    locked.expect(0, "subscribe", "-s", _userinfo_uri(locked, "/other"))
    monkeypatch.setattr(sys, "stdin", io.StringIO("new\nnot this\n"))
    locked.expect(0, "subscribe", "--uri-password-file", "-", "-u", LIST_ID, "-u", "other-list")
    for list_id in (LIST_ID, "other-list"):
        secret = json.loads((locked.store / "subscriptions" / list_id / "secret.json").read_text())
        assert secret["password"] == "new"


@pytest.mark.parametrize("content", [None, b"\xff\xfe\n", b"\n", b"", b"a\tb\n", b"\x00\n"])
def test_password_file_that_holds_none_changes_nothing(site: Site, content: bytes | None):
    site.join(site.image(1))
    path = site.root / "password"
    if content is not None:
        path.write_bytes(content)
    before = site.tree()
    words = ("--uri-password-file", str(path))
    for command in (("-u", LIST_ID), ("-s", site.server.url("/list"))):
        result = site.run("subscribe", *words, *command)
        assert result.code == 1
        assert result.err.count("ERROR:") in (1, 2)
        assert "Traceback" not in result.err
    assert site.tree() == before


@pytest.mark.parametrize("name", ["", "a:b", "a\nb", "\udcff", "a\x7fb"])
def test_user_name_that_cannot_be_sent_is_refused(site: Site, name: str):
    site.join(site.image(1))
    before = site.tree()
    for command in (("-u", LIST_ID), ("-s", site.server.url("/list"))):
        result = site.run("subscribe", "--uri-username-set", name, *command)
        assert result.code == 1
        assert "user name" in result.err
    assert site.tree() == before


def test_empty_password_is_refused_and_does_not_fall_back_on_the_uri(locked: Site):
    for command in (("-s", _userinfo_uri(locked)), ("-s", locked.server.url("/list"))):
        result = locked.run("subscribe", "--uri-password-set", "", *command)
        assert result.code == 1
        assert "an empty password" in result.err
    assert locked.server.requests == []


@pytest.mark.parametrize("userinfo", ["", ":", "operator:", "operator"])
def test_uri_may_hold_a_part_of_the_credentials(site: Site, userinfo: str):
    site.publish("1", site.image(1))
    site.expect(0, "subscribe", "-e", "-s", site.server.url("/list", userinfo=userinfo or "@").replace("@@", "@"))
    assert _decision(site)["username"] == (userinfo.rstrip(":") or None)
    assert not (site.store / "subscriptions" / LIST_ID / "secret.json").exists()


def test_fault_101_password_on_the_command_line_is_warned_about(site: Site):
    site.join(site.image(1))
    result = site.expect(0, "subscribe", "--uri-password-set", CANARY, "-u", LIST_ID)
    assert result.err.startswith("WARNING")
    assert "--uri-password-file" in result.err


def test_fault_104_password_is_not_sent_over_plain_http_to_another_machine(site: Site):
    """192.0.2.1 is nobody's (RFC 5737): asking it would be an error of the test's own kind."""
    words = ("--uri-username-set", "operator", "--uri-password-set", CANARY)
    result = site.run("subscribe", "-s", "http://192.0.2.1/list", *words)
    assert result.code == 1
    assert "not sending the password over plain http" in result.err
    assert "--uri-password-over-http" in result.err


def test_fault_104_password_is_sent_over_plain_http_where_that_is_allowed(site: Site):
    uri = "http://outside.example/list"
    site.publish("1", site.image(1), hv__uri=uri)
    words = ("-e", "-s", uri, "--uri-username-set", "operator", "--uri-password-set", CANARY)
    with Proxy({"outside.example:80": site.server}, login=f"proxy:{CANARY}") as proxy:
        site.environment["http_proxy"] = proxy.url(userinfo=f"proxy:{CANARY.replace('ä', '%C3%A4')}")
        refused = site.run("subscribe", "-vv", *words)
        assert refused.code == 1
        assert _sent(site.server) == []
        allowed = site.run("subscribe", "-vv", *words, "--uri-password-over-http")
        assert allowed.code == 0
        updated = site.expect(0, "subscribe", "-U", "-vv")
    assert _sent(site.server) == [TOKEN, TOKEN]
    assert not [form for form in _forms() for result in (refused, allowed, updated) if form in result.out + result.err]


def test_permission_to_send_in_the_clear_is_kept_and_ends_with_the_password(site: Site):
    site.join(site.image(1))
    words = ("--uri-username-set", "operator", "--uri-password-set", CANARY)
    site.expect(0, "subscribe", *words, "--uri-password-over-http", "-u", LIST_ID)
    assert _decision(site)["password_over_http"] is True
    site.expect(0, "subscribe", "--uri-username-set", "other", "-u", LIST_ID)
    assert _decision(site)["password_over_http"] is True
    site.expect(0, "subscribe", "--uri-password-clear", "-u", LIST_ID)
    assert _decision(site)["password_over_http"] is False


def test_fault_102_secret_is_readable_by_its_owner_only_whatever_the_umask(site: Site):
    site.join(site.image(1))
    before = os.umask(0)
    try:
        site.expect(0, "subscribe", "--uri-password-set", CANARY, "-u", LIST_ID)
    finally:
        os.umask(before)
    path = site.store / "subscriptions" / LIST_ID / "secret.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_fault_102_secret_that_others_could_read_is_not_used(locked: Site):
    locked.expect(0, "subscribe", "-s", _userinfo_uri(locked))
    (locked.store / "subscriptions" / LIST_ID / "secret.json").chmod(0o644)
    locked.server.forget()
    result = locked.run("subscribe", "-U")
    assert result.code == 1
    assert "others may read this password" in result.err
    assert locked.server.requests == []


@pytest.mark.parametrize(("words", "shown"), [([], "***"), (["--show-secrets"], CANARY)])
@pytest.mark.parametrize("form", ["lines", "json"])
def test_fault_103_password_is_shown_only_where_it_is_asked_for(locked: Site, words: list[str], shown: str, form: str):
    locked.expect(0, "subscribe", "-s", _userinfo_uri(locked))
    result = locked.expect(0, "subscribe", "-i", "-u", LIST_ID, "-f", form, *words)
    if form == "json":
        assert result.json["Subscription"]["uri.password"] == shown
        assert result.json["Subscription"]["uri.username"] == "operator"
    else:
        assert f"subscription.hv:uri.password={shown}" in result.lines
        assert "subscription.hv:uri.username=operator" in result.lines


def _with_canary(site: Site) -> Iterator[Result]:
    """Do everything that has to do with the password, as loudly as possible."""
    uri = _userinfo_uri(site)
    options = ("--uri-username-set", "operator", "--uri-password-set", CANARY)
    for words in (
        ("-s", uri),
        ("-s", uri),
        ("-s", uri.replace("/list", "/missing")),
        ("-s", uri.replace("http", "ftp")),
        ("-s", uri.replace("@", "@@")),
        ("-s", uri.replace("127.0.0.1", "127.0.0.1:99999")),
        ("-s", uri.replace("127.0.0.1", "server.invalid")),
        ("-s", f"http://operator:{CANARY}@"),
        ("-s", site.server.url("/list"), *options),
        ("-U",),
        ("-U", f"--uri-password={CANARY}"),
        (f"--uri-passwort={CANARY}",),
        ("-U", "-x", "env; exit 3"),
        ("-i", "-r", uri),
        ("-i", "-r", uri.replace("/list", "/missing")),
        ("-D", "-r", uri.replace("/list", "/missing")),
        ("-l",),
        ("--image-list", "-u", LIST_ID, "-f", "json"),
        ("--uri-password-set", f"{CANARY}\n", "-u", LIST_ID),
        ("--uri-username-set", f"a:{CANARY}", "-u", LIST_ID),
        (*options, "-u", LIST_ID),
        (*options, "-u", "nosuch"),
        (*options,),
    ):
        yield site.run("subscribe", "-vv", "--debug", *words)
    yield site.run("image", "-vv", "-i", "-u", "a0000000-bbbb-4bbb-8bbb-000000000001", "-f", "json")
    yield site.run("endorser", "-vv", "-i", "-e", "alice", "-f", "json")
    for database in (f"mysql://operator:{CANARY}@host/x", f"postgresql+psycopg2://operator:{CANARY}@host/x"):
        yield site.run("image", "-vv", "-l", "-d", database)
    site.select(1)
    yield site.cache("-vv")
    site.server.close()
    yield site.run("subscribe", "-vv", "-U")


def test_fault_102_fault_103_fault_105_password_is_in_its_own_file_and_nowhere_else(locked: Site):
    locked.environment["VMCATCHER_SUB_EVENT"] = f"cat >> {locked.events}; env >> {locked.events}; exit 1"
    for number, result in enumerate(_with_canary(locked)):
        for form in _forms():
            assert form not in result.out + result.err, (number, result)
        if number == 0:
            locked.publish("2", locked.image(1), locked.image(2))
    assert locked.events.exists()
    secret = locked.store / "subscriptions" / LIST_ID / "secret.json"
    found = [path for path in _files(locked) for form in _forms() if form.encode() in path.read_bytes()]
    assert set(found) == {secret}


def _forms() -> tuple[str, ...]:
    quoted = CANARY.replace("ä", "%C3%A4")
    return CANARY, quoted, json.dumps(CANARY)[1:-1], TOKEN.removeprefix("Basic ")


def _files(site: Site) -> list[Path]:
    return [path for path in itertools.chain(site.store.rglob("*"), [site.events]) if path.is_file()]
