"""A small grid for each test of the trust room, at an instant that never changes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from support.pki import Pki
from vmcatcher.trust.anchors import TrustAnchors

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return Pki(tmp_path, now=NOW)


@pytest.fixture
def anchors(pki: Pki) -> Callable[[], TrustAnchors]:
    """Read the directory as it is when called."""
    return lambda: TrustAnchors.load(str(pki.certificates), overlay=str(pki.root / "fetched"))
