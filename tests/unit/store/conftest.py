"""A store without a site: a layout in a temporary directory, and a second file system where there is one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.disks import second_file_system
from vmcatcher.store import root
from vmcatcher.store.layout import Layout


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """An empty store."""
    return root.make_store(str(tmp_path / "store"))


@pytest.fixture
def other_file_system(tmp_path: Path) -> Iterator[Path]:
    """A directory that no file of `tmp_path` can be renamed to."""
    with second_file_system(tmp_path) as directory:
        yield directory
