"""What the tests of the documentation share."""

from __future__ import annotations

import socket

import pytest


@pytest.fixture
def port() -> int:
    """A port on loopback that is free."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
