"""Points in time as people write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from vmcatcher.errors.history import BadMoment
from vmcatcher.model.moment import parse_moment

_NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2026-11-01", datetime(2026, 11, 1, tzinfo=UTC)),
        ("2026-11-01T12:30", datetime(2026, 11, 1, 12, 30, tzinfo=UTC)),
        ("2026-11-01T12:00:00Z", datetime(2026, 11, 1, 12, tzinfo=UTC)),
        ("2026-11-01T12:00:00+02:00", datetime(2026, 11, 1, 10, tzinfo=UTC)),
        ("7d", _NOW - timedelta(days=7)),
        ("1h30m", _NOW - timedelta(minutes=90)),
    ],
)
def test_moment_is_a_date_a_time_or_how_long_ago(text: str, meant: datetime) -> None:
    assert parse_moment(text, _NOW) == meant


@pytest.mark.parametrize(
    "text",
    ["", "d", "yesterday", "7", "7x", "2026", "20261101", "2026-13-01", "2026-11-01\n12:00", "0001-01-01", "9999-12-31",
     "9999-12-31T23:59:59-23:59", "99999999999999w", "2026-11-01T12:00:00Zd", "٢٠٢٦-11-01"],
)  # fmt: skip
def test_text_that_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(BadMoment) as refused:
        parse_moment(text, _NOW)
    assert refused.value.exit_code == 2
