"""Until when a list holds, by what was signed and by the site's own limit."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from vmcatcher.model.validity import end_of, limit_of, limit_text

CREATED = datetime(2026, 11, 23, tzinfo=UTC)
FAR = datetime(2499, 12, 31, tzinfo=UTC)
DAY = 86400


def test_list_ends_at_the_limit_or_when_it_says_whatever_comes_first():
    assert end_of(FAR, CREATED, 90 * DAY) == CREATED + timedelta(days=90)
    assert end_of(CREATED + timedelta(days=2), CREATED, 90 * DAY) == CREATED + timedelta(days=2)
    assert end_of(FAR, CREATED, None) == FAR


def test_limit_behind_the_end_of_the_calendar_is_none():
    last = datetime.max.replace(tzinfo=UTC)
    assert end_of(last, last - timedelta(days=1), 90 * DAY) == last


@pytest.mark.parametrize(
    ("own", "everywhere", "limit"),
    [(None, None, None), (None, DAY, DAY), (5, DAY, 5), (5, None, 5), (0, DAY, None), (None, 0, None)],
)
def test_own_limit_goes_before_the_setting_and_0_means_none(own: int | None, everywhere: int | None, limit: int | None):
    assert limit_of(own, everywhere) == limit


@pytest.mark.parametrize(
    ("limit_s", "text"),
    [(90 * DAY, "90 days"), (DAY, "1 day"), (36 * 3600, "36 hours"), (5400, "90 minutes"), (61, "61 seconds")],
)
def test_limit_is_said_in_the_largest_unit_that_fits(limit_s: int, text: str):
    assert limit_text(limit_s) == text
