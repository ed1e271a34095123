"""What every test gets: a clean environment, no network but loopback, and an honest account of what was not run."""

from __future__ import annotations

import ipaddress
import os
import shutil
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from support.server import Server
from support.site import Site

# A deadline per example measures the machine's load, not the program.
settings.register_profile("vmcatcher", deadline=None, print_blob=True)
settings.load_profile("vmcatcher")

_TOOLS = ("faketime", "nginx", "openssl", "rsync", "strace", "sudo")
_TRUST_ANCHORS = Path("/etc/grid-security/certificates")
_PROXIES = ("all_proxy", "ftp_proxy", "http_proxy", "https_proxy", "no_proxy")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the samples of the survival tests be repeated, and what they counted be kept."""
    survival = parser.getgroup("survival")
    survival.addoption("--survival-seed", metavar="TEXT", help="draw the samples with this (default: the date)")
    survival.addoption("--survival-figures", metavar="FILE", help="append what was counted to this table")


def pytest_configure() -> None:
    """Take the interrupt as from a terminal: a shell that runs us in the background has it ignored."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs root when we are not."""
    if os.geteuid() == 0:
        return
    for item in items:
        if item.get_closest_marker("root"):
            item.add_marker(pytest.mark.skip(reason="needs root"))


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing of the caller's: no settings, no proxies, no home, no local time, no umask.

    The time zone is one that nobody's expectations fit by chance: a test that passes only in UTC is wrong.
    """
    for name in list(os.environ):
        if name.startswith(("VMCATCHER_", "XDG_", "LC_")) or name.lower() in _PROXIES:
            monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    for name, below in (
        ("CONFIG", ".config"),
        ("DATA", ".local/share"),
        ("CACHE", ".cache"),
        ("STATE", ".local/state"),
    ):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(home / below))
    monkeypatch.setenv("LANG", "C.UTF-8")
    monkeypatch.setenv("TZ", "NPT-05:45")
    time.tzset()
    before = os.umask(0o022)
    yield
    os.umask(before)
    monkeypatch.undo()
    time.tzset()


class OutsideConnection(AssertionError):
    """A test tried to leave this machine. No OSError, so that no code under test can take it for a network failure."""


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse every connection and look-up that would leave this machine. Child processes are not watched."""
    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, _guarded(getattr(socket.socket, name)))
    look_up = socket.getaddrinfo

    def getaddrinfo(host: str | bytes | None, *args: Any, **kwargs: Any) -> Any:
        if not _is_known_without_asking(host):
            raise OutsideConnection(f"a test looked up {host!r}")
        return look_up(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def _guarded(method: Any) -> Any:
    def guarded(sock: socket.socket, *args: Any) -> Any:
        address = args[-1]
        if sock.family in {socket.AF_INET, socket.AF_INET6} and not _is_loopback(address[0]):
            raise OutsideConnection(f"a test connected to {address!r}")
        return method(sock, *args)

    return guarded


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host in {"", "localhost"}


def _is_known_without_asking(host: str | bytes | None) -> bool:
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
    if name is None or name in {"", "localhost"} or name.endswith(".invalid"):  # RFC 6761: .invalid never resolves
        return True
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Name what could not be run and why, last, where it is seen."""
    reasons = Counter(_reason(report) for report in terminalreporter.stats.get("skipped", []))
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if not any(_TRUST_ANCHORS.glob("*.0")):
        missing.append("igtf-policy-classic")
    for reason, count in sorted(reasons.items()):
        terminalreporter.write_line(f"could not run: {count} test{'s' if count > 1 else ''}: {reason}")
    if missing:
        terminalreporter.write_line(f"could not run: whatever uses {', '.join(missing)} (not installed)")
    for report in (*terminalreporter.stats.get("passed", []), *terminalreporter.stats.get("failed", [])):
        for name, value in report.user_properties:
            if name == "figures":
                terminalreporter.write_line(str(value))
    if config.option.markexpr:
        terminalreporter.write_line(f"left out: tests that are not '{config.option.markexpr}'")


def _reason(report: Any) -> str:
    where = report.longrepr
    text = where[2] if isinstance(where, tuple) else str(where)
    return str(text).removeprefix("Skipped: ")


@pytest.fixture
def server() -> Iterator[Server]:
    """A web server on loopback, ended with the test."""
    with Server() as running:
        yield running


@pytest.fixture
def site(tmp_path: Path, server: Server) -> Site:
    """A whole site: a grid, an endorser, a publisher, an empty place for a store, and the commands."""
    return Site(tmp_path, server)


@pytest.fixture(scope="session")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site with two lists and a cached version that left; for tests that only read it. See support.proofs."""
    from support.proofs import site_with_a_past

    with pytest.MonkeyPatch.context() as patched, Server() as running:
        for name in [name for name in os.environ if name.startswith(("VMCATCHER_", "XDG_"))]:
            patched.delenv(name)
        yield site_with_a_past(tmp_path_factory.mktemp("past"), running)
