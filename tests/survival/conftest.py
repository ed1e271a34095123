"""Sites whose lists come from two servers, and runs that do not wait between two requests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.server_client import Waits
from support.server_place import Place, Places
from vmcatcher.transport.transport import Transport


@pytest.fixture(scope="session")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Places]:
    made = Places(tmp_path_factory.mktemp("places"))
    yield made
    made.close()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> Waits:
    """Nobody waits between two requests of a run; how long they would have is noted."""
    noted = Waits()
    monkeypatch.setitem(Transport.__init__.__kwdefaults__, "sleep", noted)
    return noted


@pytest.fixture
def scheme() -> str:
    """What the faulty server speaks, unless the test's parameters say so."""
    return "http"


@pytest.fixture
def place(places: Places, scheme: str, tmp_path: Path, waits: Waits) -> Place:
    """A place for one test; over https where the test has a parameter `scheme` that says so."""
    return places.fresh(scheme, tmp_path)
