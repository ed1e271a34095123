"""A password that nobody but its owner and the server it is for may ever see: where others could look for it.

What becomes of a password that is given, kept, moved and cleared is tried in tests/scenarios/test_secrets.py. Here one
is looked for: in the table of processes, on a terminal, in every file, in all that commands and handlers are told.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import pty
import shutil
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.classic_database import ClassicSite
from support.server import Server
from support.server_proxy import Proxy
from support.site import LIST_ID, Result, Site, image_id

PROGRAMS = Path(sys.executable).parent
CANARY = "cAn4ry-pässword"
QUOTED = CANARY.replace("ä", "%C3%A4")
TOKEN = base64.b64encode(f"operator:{CANARY}".encode()).decode()
FORMS = (CANARY, QUOTED, json.dumps(CANARY)[1:-1], TOKEN)


def found_in(content: bytes | str) -> list[str]:
    """Return the forms of the password that are there."""
    content = content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
    return [form for form in FORMS if form.encode() in content]


def files_with_it(*roots: Path) -> set[Path]:
    files = (path for root in roots for path in root.rglob("*") if path.is_file() and not path.is_symlink())
    return {path for path in files if found_in(path.read_bytes())}


def secret_of(site: Site) -> Path:
    return site.store / "subscriptions" / LIST_ID / "secret.json"


@pytest.fixture
def joined(site: Site) -> Site:
    """A subscription whose server wants the password for the images, and has not been told it yet."""
    site.join(site.image(1), site.image(2))
    site.select(1)
    site.server.require_password("operator", CANARY, under="/images")
    return site


@pytest.fixture
def known(joined: Site) -> Site:
    """The same, with the password known."""
    path = joined.root / "given"
    path.write_text(CANARY, encoding="utf-8")
    path.chmod(0o600)
    words = ("--uri-username-set", "operator", "--uri-password-file", str(path))
    joined.expect(0, "subscribe", *words, "-u", LIST_ID)
    path.unlink()
    return joined


# -- 101: whoever looks at the processes


class Watcher:
    """Reads the command line and the environment of every process, over and over."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self.rounds = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *unused: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.is_set():
            self.rounds += 1
            for entry in Path("/proc").glob("[0-9]*"):
                for name in ("cmdline", "environ"):
                    with contextlib.suppress(OSError):
                        content = (entry / name).read_bytes()
                        if found_in(content):
                            self.seen.add(f"{name}: {content.decode(errors='replace')}")


def run_as_typed(site: Site, *words: str, stdin: str = "") -> None:
    environment = {**os.environ, **site.environment}
    command = [str(PROGRAMS / words[0]), *words[1:]]
    subprocess.run(command, env=environment, input=stdin.encode(), capture_output=True, check=True, timeout=50)


@pytest.mark.slow
def test_fault_101_fault_103_password_is_in_no_command_line_and_no_environment(joined: Site):
    path = joined.root / "given"
    path.write_text(f"{CANARY}\n", encoding="utf-8")
    change = ("vmcatcher_subscribe", "-u", LIST_ID, "--uri-username-set", "operator")
    with Watcher() as watcher:
        run_as_typed(joined, *change, "--uri-password-file", str(path))
        run_as_typed(joined, *change, "--uri-password-file", "-", stdin=f"{CANARY}\n")
        run_as_typed(joined, "vmcatcher_subscribe", "-U")
        run_as_typed(joined, "vmcatcher_cache", "-x", "sleep 0.1; env")
    assert watcher.seen == set()
    assert watcher.rounds > 5
    assert list(joined.endorsed()) == [image_id(1)], "it was used"
    with Watcher() as watcher:  # the watcher is not blind: the classic option shows it, as its warning says
        run_as_typed(joined, *change, "--uri-password-set", CANARY)
    assert watcher.seen
    assert all(one.startswith("cmdline") for one in watcher.seen)


# -- 101: whoever looks over the operator's shoulder


def on_terminal(site: Site, *words: str, types: bytes) -> tuple[int, bytes]:
    """Run a command on a terminal of its own; return its exit code and all that was to be seen there."""
    if shutil.which("setsid") is None:
        pytest.skip("setsid is not installed")
    ours, theirs = pty.openpty()
    environment = {**os.environ, **site.environment}
    command = ["setsid", "--ctty", str(PROGRAMS / words[0]), *words[1:]]
    with subprocess.Popen(command, env=environment, stdin=theirs, stdout=theirs, stderr=theirs) as running:
        os.close(theirs)
        seen = bytearray()
        with contextlib.suppress(OSError):  # the terminal is gone when the last process has left it
            while some := os.read(ours, 4096):
                seen += some
                if b"assword: " in seen and types:
                    os.write(ours, types)
                    types = b""
        code = running.wait(30)
    os.close(ours)
    return code, bytes(seen)


def test_fault_101_password_typed_at_the_prompt_is_not_shown(joined: Site):
    words = ("vmcatcher_subscribe", "-u", LIST_ID, "--uri-username-set", "operator", "--uri-password-file", "-")
    code, seen = on_terminal(joined, *words, types=f"{CANARY}\n".encode())
    assert (code, seen) == (0, b"Password: \r\n")
    assert json.loads(secret_of(joined).read_text())["password"] == CANARY
    assert stat.S_IMODE(secret_of(joined).stat().st_mode) == 0o600


@pytest.mark.parametrize("types", [b"\n", b"\x04"])
def test_fault_101_prompt_that_is_not_answered_changes_nothing(joined: Site, types: bytes):
    code, seen = on_terminal(joined, "vmcatcher_subscribe", "-u", LIST_ID, "--uri-password-file", "-", types=types)
    assert code == 1
    assert b"the user name or password cannot be used" in seen
    assert b"Traceback" not in seen
    assert not secret_of(joined).exists()


def test_password_that_is_longer_than_anybody_reads_is_refused_not_cut(joined: Site):
    path = joined.root / "given"
    path.write_text("x" * 4097)
    result = joined.run("subscribe", "-u", LIST_ID, "--uri-password-file", str(path))
    assert result.code == 1
    assert "longer than 4096" in result.err
    path.write_text("x" * 4096 + "\n")
    joined.expect(0, "subscribe", "-u", LIST_ID, "--uri-username-set", "u", "--uri-password-file", str(path))
    assert json.loads(secret_of(joined).read_text())["password"] == "x" * 4096


# -- 102 and 103: whoever reads files, logs, output, events


_NOUN_VERB = (
    ("store", "check", "--data"),
    ("store", "check", "--json"),
    ("store", "stats", "--json"),
    ("store", "check", "--repair"),
    ("store", "prune", "--dry-run"),
    ("event", "list"),
    ("event", "retry", "--failed", "-x", "exit 1"),
    ("event", "drop", "--failed"),
)
_CLASSIC = (
    ("subscribe", "-l"),
    ("subscribe", "-i", "-u", LIST_ID),
    ("subscribe", "--image-list", "-u", LIST_ID),
    ("image", "-l"),
    ("image", "-i", "-u", image_id(1)),
    ("endorser", "-l"),
    ("endorser", "-K"),
)


def _everything(site: Site) -> Iterator[Result]:
    """Fail, be refused, be broken off, be asked: with as much said as can be."""
    say_all = ("-vv", "--debug")
    site.server.fault("/images/1-v1.raw", "truncate", times=3)
    yield site.run("cache", *say_all, "-x", "env; cat; exit 1")
    yield site.run("cache", *say_all, "-x", f"env >> {site.root}/told; cat >> {site.root}/told; exit 1")
    site.publish("2", site.image(1), site.image(2), site.image(3))
    yield site.run("subscribe", *say_all, "-U", "-x", "exit 1")
    for _ in range(4):
        yield site.run("vmcatcher", "event", "retry", "--owed", *say_all, "-x", "env; exit 1")
    waiting = site.run("vmcatcher", "event", "list", "--json", *say_all)
    yield waiting
    for one in waiting.answer["events"]:
        yield site.run("vmcatcher", "event", "show", one["id"], "--json", *say_all)
    for words in _NOUN_VERB:
        yield site.run("vmcatcher", *words, *say_all)
    for words in _CLASSIC:
        for form in ("lines", "json"):
            yield site.run(words[0], *words[1:], "-f", form, *say_all)
    site.server.require_password("operator", "another one")
    yield site.run("subscribe", *say_all, "-U")
    yield site.run("cache", *say_all)


@pytest.mark.slow
def test_fault_102_fault_103_password_is_in_one_file_and_in_nothing_that_is_said(known: Site):
    results = list(_everything(known))
    assert [(at, form) for at, result in enumerate(results) for form in found_in(result.out + result.err)] == []
    assert len(results) > 25
    told = known.root / "told"
    assert image_id(1) in told.read_text(), "the image came, so the password was used"
    assert any((known.store / "events" / "log").iterdir())
    assert files_with_it(known.store) == {secret_of(known)}
    assert files_with_it(known.root) == {secret_of(known)}


def test_fault_102_fault_103_what_a_killed_download_leaves_does_not_have_it(known: Site):
    known.server.fault("/images/1-v1.raw", "hang", times=1, after=1000)
    command = [str(PROGRAMS / "vmcatcher_cache"), "-vv"]
    with subprocess.Popen(command, env={**os.environ, **known.environment}, stderr=subprocess.PIPE) as run:
        end = time.monotonic() + 30
        while not any(path.suffix == ".json" for path in (known.store / "partial").iterdir()):
            assert time.monotonic() < end, "waited in vain"
            time.sleep(0.02)
        assert (known.store / "locks" / "cache.lock").stat().st_size > 0
        assert files_with_it(known.store) == {secret_of(known)}, "while it runs"
        run.kill()
        _, said = run.communicate()
    assert found_in(said) == []
    assert files_with_it(known.store) == {secret_of(known)}


def test_fault_103_password_of_a_database_server_is_not_handed_on_to_handlers(joined: Site):
    told = joined.root / "told"
    handler = f"env >> {told}; cat >> {told}"
    joined.expect(0, "cache", "-x", handler, "-E", VMCATCHER_RDBMS=f"mysql://operator:{CANARY}@db.host/vmcatcher")
    assert found_in(told.read_text()) == []
    assert '"VMCATCHER_RDBMS": "mysql://db.host/vmcatcher"' in told.read_text()
    assert "VMCATCHER_RDBMS=mysql://db.host/vmcatcher\n" in told.read_text()


# -- 104: whoever listens on the way


def test_fault_104_imported_subscription_goes_on_sending_it_in_the_clear_and_is_told_of(site: Site, tmp_path: Path):
    uri = "http://outside.example/list"
    site.publish("1", site.image(1), hv__uri=uri)
    old = ClassicSite(tmp_path / "old")
    old.endorser("alice", (site.alice.subject, site.alice.issuer))
    old.subscription(LIST_ID, uri, endorsers=["alice"], userName="operator", password=CANARY)
    old.close()
    imported = site.run("vmcatcher", "store", "import-db", old.url)
    assert imported.code == 0, imported
    assert "sends its password over plain http, as before" in imported.out + imported.err
    assert found_in(imported.out + imported.err) == []
    with Proxy({"outside.example:80": site.server}) as proxy:
        site.environment["http_proxy"] = proxy.url()
        site.expect(32, "subscribe", "-U")  # nobody has decided about the image
        assert [request.headers["authorization"] for request in site.server.requests] == [f"Basic {TOKEN}"]
        site.expect(0, "subscribe", "--uri-password-clear", "-u", LIST_ID)
        path = site.root / "given"
        path.write_text(CANARY, encoding="utf-8")
        site.expect(0, "subscribe", "--uri-password-file", str(path), "-u", LIST_ID)
        site.server.forget()
        refused = site.run("subscribe", "-U")
    # The permission went with the password that it was for.
    assert refused.code == 10
    assert "not sending the password over plain http" in refused.err
    assert site.server.requests == []


def test_fault_104_image_redirected_to_another_origin_is_asked_for_without_it(known: Site):
    with Server() as elsewhere:
        elsewhere.publish("/image", b"image 1 version 1\n" * 100)
        known.server.fault("/images/1-v1.raw", "redirect", to=elsewhere.url("/image"))
        known.server.forget()
        known.cache()
        assert [request.headers.get("authorization") for request in elsewhere.requests] == [None]
    [asked] = [request for request in known.server.requests if request.path == "/images/1-v1.raw"]
    assert asked.headers["authorization"] == f"Basic {TOKEN}"


# -- 105: whoever reads what a crash leaves


def test_fault_105_crash_shows_no_traceback_unless_asked_and_never_the_password(known: Site, monkeypatch):
    def collapse(*_: object, **unused: object) -> None:
        raise ZeroDivisionError("a mistake that nobody foresaw")

    # In the midst of a request that has the password at hand.
    monkeypatch.setattr(socket.socket, "sendall", collapse)
    for words in ((), ("--debug",), ("-vv", "--debug")):
        result = known.run("cache", *words)
        assert result.code == 70, result
        assert ("Traceback" in result.err) is ("--debug" in words)
        assert "please report it" in result.err
        assert found_in(result.out + result.err) == []
