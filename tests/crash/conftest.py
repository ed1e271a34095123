"""Where the sweeps happen: in memory if that can be, since thousands of syncs prove nothing here but cost minutes.

What a missing sync would cost cannot be seen by killing a process; only a replay of a power cut shows it.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.server import Server
from support.site import Site

_MEMORY = Path("/dev/shm")


@pytest.fixture
def site(tmp_path: Path, server: Server) -> Iterator[Site]:
    """A site whose store is in memory."""
    place = _MEMORY if _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK) else tmp_path
    with tempfile.TemporaryDirectory(dir=place) as directory:
        yield Site(Path(directory), server)
