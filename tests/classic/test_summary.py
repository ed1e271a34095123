"""The page of differences counts what the recordings say."""

from __future__ import annotations

from classic import summary


def test_page_of_differences_counts_the_recorded_steps_as_they_are():
    assert summary.written() == summary.section(), "write it: PYTHONPATH=src:tests python -m classic.summary"
