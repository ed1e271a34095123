"""Instants as text, and back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmcatcher.model.instant import instant_text, parse_instant, precise_text, stamp_text, view_stamp

NOW = datetime(2026, 11, 23, 4, 23, 39, 123456, tzinfo=UTC)
NEPAL = timezone(timedelta(hours=5, minutes=45))


@pytest.mark.parametrize("instant", [NOW, NOW.astimezone(NEPAL)])
def test_instant_is_told_in_utc_whatever_its_zone(instant: datetime):
    assert instant_text(instant) == "2026-11-23T04:23:39Z"
    assert precise_text(instant) == "2026-11-23T04:23:39.123456Z"
    assert stamp_text(instant) == "20261123T042339Z"
    assert view_stamp(instant) == "2026-11-23_04-23-39"


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-23T04:23:39Z",
        "2026-11-23T04:23:39+00:00",
        "2026-11-23T10:08:39+05:45",
        "2026-11-22T23:23:39-05:00",
        "20261123T042339Z",
        "2026-11-23 04:23:39Z",
        "2026-W48-1T04:23:39Z",
    ],
)
def test_every_iso_8601_time_with_a_zone_is_read(text: str):
    found = parse_instant(text)
    assert found == NOW.replace(microsecond=0)
    assert found.tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tomorrow",
        "2026-11-23",
        "2026-11-23T04:23:39",
        "2026-13-01T00:00:00Z",
        "2026-11-23T25:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "10000-01-01T00:00:00Z",
    ],
)
def test_everything_else_is_refused(text: str):
    with pytest.raises(ValueError):  # noqa: PT011 - whatever the words: the caller has its own
        parse_instant(text)


@given(st.datetimes(min_value=datetime(1000, 1, 1), max_value=datetime(9998, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - hypothesis adds the zone
def test_precise_text_is_read_back_unchanged_and_sorts(instant: datetime):
    assert parse_instant(precise_text(instant)) == instant
    assert parse_instant(instant_text(instant)) == instant.replace(microsecond=0)
    assert parse_instant(stamp_text(instant)) == instant.replace(microsecond=0)
    later = instant + timedelta(microseconds=1)
    assert precise_text(instant) < precise_text(later)
    assert stamp_text(instant) <= stamp_text(later)
