"""Sizes and times as people say them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmcatcher.cli.output.human import age_text, counted, size_text, span_text

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (102_400, "100 KiB"),
        (1024**2 - 1, "1.0 MiB"),
        (5 * 1024**3, "5.0 GiB"),
        (1024**5, "1.0 PiB"),
        (2000 * 1024**6, "2000 EiB"),
    ],
)
def test_size_has_the_unit_that_leaves_few_digits(size: int, text: str):
    assert size_text(size) == text


@given(st.integers(0, 2**62))
def test_size_is_never_wider_than_a_column(size: int):
    assert len(size_text(size)) <= 8


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (timedelta(0), "0 s"),
        (timedelta(seconds=59.9), "59 s"),
        (timedelta(seconds=60), "1 min"),
        (timedelta(minutes=119), "1 h"),
        (timedelta(hours=47), "1 d"),
        (timedelta(days=700), "700 d"),
        (timedelta(days=800), "2 y"),
        (-timedelta(days=3), "3 d"),
    ],
)
def test_span_is_told_in_its_largest_unit(span: timedelta, text: str):
    assert span_text(span) == text


def test_age_says_whether_it_is_over():
    assert age_text(NOW - timedelta(hours=5), NOW) == "5 h ago"
    assert age_text(NOW + timedelta(days=20), NOW) == "in 20 d"
    assert age_text(NOW + timedelta(milliseconds=900), NOW) == "now"


def test_one_is_singular_and_all_others_are_plural():
    assert [counted(number, "image") for number in (0, 1, 2)] == ["0 images", "1 image", "2 images"]
