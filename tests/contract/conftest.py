"""One place to publish for each way of fetching: a directory, a web server, a web server with TLS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from support.server import Server
from support.server_client import transport
from support.server_tls import Authority
from vmcatcher.transport import Access, Transport


class Place(Protocol):
    """Where something can be published to be fetched."""

    access: Access

    def url(self, path: str) -> str: ...

    def publish(self, path: str, content: bytes) -> None: ...


class Directory:
    """A directory as a place."""

    def __init__(self, root: Path) -> None:
        self.access = Access(file_images=True)
        self._root = root

    def url(self, path: str) -> str:
        return f"file://{self._root}{path}"

    def publish(self, path: str, content: bytes) -> None:
        new = self._root / "new"
        new.write_bytes(content)
        new.rename(self._root / path.lstrip("/"))


class Site:
    """A web server as a place."""

    def __init__(self, server: Server, access: Access) -> None:
        self.access = access
        self.server = server
        self.url = server.url

    def publish(self, path: str, content: bytes) -> None:
        self.server.publish(path, content)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(params=["file", "http", "https"])
def place(request: pytest.FixtureRequest, tmp_path: Path, authority: Authority) -> Iterator[Place]:
    if request.param == "file":
        yield Directory(tmp_path)
        return
    access = Access(tls="igtf", trust_directory=str(authority.directory))
    with Server(tls=authority.serve() if request.param == "https" else None) as server:
        yield Site(server, access)


@pytest.fixture
def carrier() -> Iterator[Transport]:
    with transport() as made:
        yield made
