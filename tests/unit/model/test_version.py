"""The classic order of versions: pieces split at `- , . /`, digits compared as numbers."""

from __future__ import annotations

import itertools

import pytest

from vmcatcher.model.version import version_key

# Each is older than all that follow.
_ORDER = [
    "",
    "-",
    ".",
    "a",
    "rc9",
    "rc10",
    "1",
    "1.",
    "1.!",
    "1..2",
    "1.a",
    "1.0a",
    "1.0",
    "1.0-rc1",
    "1.0-rc1.1",
    "1.0-1",
    "1.0.0",
    "1.9.0",
    "1.10.0",
    "2",
    "10",
    "2016.04.09",
    "2016.4.10",
    "20160409",
]


@pytest.mark.parametrize(("older", "newer"), list(itertools.combinations(_ORDER, 2)))
def test_older_version_sorts_before_newer(older, newer):
    assert version_key(older) < version_key(newer)


@pytest.mark.parametrize("delimiter", ["-", ",", ".", "/"])
def test_every_delimiter_separates_numbers(delimiter):
    assert version_key(f"1{delimiter}9") < version_key(f"1{delimiter}10")


def test_other_characters_do_not_separate():
    assert version_key("1_9") < version_key("1_10")
    assert version_key("1_10") < version_key("1.1")


@pytest.mark.parametrize(("one", "other"), [("1.02", "1.2"), ("0", "000"), ("rc01", "rc1"), ("1-007/x", "1-7/x")])
def test_leading_zeros_do_not_count(one, other):
    assert version_key(one) == version_key(other)


def test_comparison_goes_on_after_numbers_that_are_spelled_differently():
    assert version_key("1.02.1") < version_key("1.2.9")


def test_zero_is_a_number_and_lower_than_one():
    assert version_key("1.x") < version_key("1.0") < version_key("1.1")


def test_digits_of_other_scripts_are_text():
    assert version_key("٣") < version_key("1")
    assert version_key("²") < version_key("0")


def test_numbers_longer_than_python_converts_are_compared():
    assert version_key("9" * 50_000) < version_key("1" + "0" * 50_000)
    assert version_key("0" * 50_000 + "5") == version_key("5")
