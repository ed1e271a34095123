"""How long things are kept: what an operator may write, and when it is over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from vmcatcher.errors.settings import BadSetting
from vmcatcher.model.retention import is_over, parse_retention

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", timedelta(0)),
        ("0d", timedelta(0)),
        ("45s", timedelta(seconds=45)),
        ("30m", timedelta(minutes=30)),
        ("12h", timedelta(hours=12)),
        ("90d", timedelta(days=90)),
        ("2w", timedelta(days=14)),
        ("36525d", timedelta(days=36525)),
        ("keep", None),
    ],
)
def test_time_is_read_as_it_is_written(text: str, expected: timedelta | None):
    assert parse_retention("--grace", text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "90", "-1d", "1.5d", "d", "90D", "90 d", "1d12h", "٣d", "forever", "KEEP", "36526d", "9999999999d", "1d\n"],
)
def test_what_is_no_time_is_refused_with_where_it_was_given(text: str):
    with pytest.raises(BadSetting) as refused:
        parse_retention("--grace", text)
    assert refused.value.name == "--grace"
    assert "90d, 12h or 0" in str(refused.value)


@pytest.mark.parametrize(
    ("age", "kept", "expected"),
    [
        (timedelta(days=90), timedelta(days=90), True),
        (timedelta(days=90) - timedelta(seconds=1), timedelta(days=90), False),
        (timedelta(0), timedelta(0), True),
        (timedelta(seconds=-1), timedelta(0), False),
        (timedelta(days=10_000), None, False),
    ],
)
def test_what_is_as_old_as_its_retention_is_over(age: timedelta, kept: timedelta | None, expected: bool):
    assert is_over(NOW - age, kept, NOW) is expected
