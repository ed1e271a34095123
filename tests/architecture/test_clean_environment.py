"""The walls around every test hold: no network, nothing of the caller's environment."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest


@pytest.mark.parametrize("address", ["192.0.2.1", "8.8.8.8", "169.254.169.254"])
def test_connection_outside_is_refused(address: str) -> None:
    with socket.socket() as sock, pytest.raises(AssertionError, match="connected to"):
        sock.connect((address, 80))


def test_datagram_outside_is_refused() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, pytest.raises(AssertionError, match="connected to"):
        sock.sendto(b"", ("192.0.2.1", 53))


def test_look_up_outside_is_refused() -> None:
    with pytest.raises(AssertionError, match="looked up"):
        socket.getaddrinfo("example.org", 80)


def test_name_that_never_resolves_fails_as_a_network_does() -> None:
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("server.invalid", 80)


def test_loopback_is_allowed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert client.getpeername() == server.getsockname()


def test_nothing_of_the_caller_is_left() -> None:
    assert [name for name in os.environ if name.startswith("VMCATCHER_") or name.lower().endswith("_proxy")] == []
    assert list(Path.home().iterdir()) == []
    assert os.environ["XDG_DATA_HOME"].startswith(os.environ["HOME"])


def test_local_time_is_nobody_s() -> None:
    assert time.localtime().tm_gmtoff == 20700
