"""A server and a certificate authority for every test that asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.server import Server
from support.server_client import Waits, transport
from support.server_tls import Authority
from vmcatcher.transport import Transport


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        yield running


@pytest.fixture
def other() -> Iterator[Server]:
    with Server() as running:
        yield running


@pytest.fixture
def secure(authority: Authority) -> Iterator[Server]:
    with Server(tls=authority.serve()) as running:
        yield running


@pytest.fixture
def waits() -> Waits:
    return Waits()


@pytest.fixture
def carrier(waits: Waits) -> Iterator[Transport]:
    with transport(waits) as made:
        yield made


@pytest.fixture
def trusting(authority: Authority) -> Path:
    return authority.directory
