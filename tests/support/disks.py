"""A second file system, for what happens when files cannot be renamed from one to the other."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_PLACES = ("/dev/shm", "/tmp", "/var/tmp")


@contextmanager
def second_file_system(first: Path) -> Iterator[Path]:
    """Give a directory that lies on another file system than `first`; skips the test where there is none."""
    here = first.stat().st_dev
    for place in map(Path, _PLACES):
        if place.is_dir() and os.access(place, os.W_OK) and place.stat().st_dev != here:
            with tempfile.TemporaryDirectory(dir=place, prefix="vmcatcher-") as directory:
                yield Path(directory)
            return
    pytest.skip(f"none of {', '.join(_PLACES)} is a second file system")
