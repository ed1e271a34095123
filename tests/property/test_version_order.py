"""Any texts at all are in a total order as versions."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vmcatcher.model.version import version_key

# Mostly what versions are made of, so that close calls are common; now and then anything.
versions = st.text(alphabet="0129-,./arcRC ", max_size=12) | st.text(max_size=12)
numbers = st.integers(min_value=0, max_value=10**30)


@given(versions, versions)
def test_exactly_one_of_less_equal_greater_holds(one, other):
    a, b = version_key(one), version_key(other)
    assert [a < b, a == b, a > b].count(True) == 1
    assert (a < b) == (b > a)


@given(versions, versions, versions)
def test_order_is_transitive(one, two, three):
    a, b, c = sorted(map(version_key, (one, two, three)))
    assert a <= b <= c
    assert a <= c


@given(numbers, numbers, versions)
def test_numbers_compare_as_numbers_wherever_they_stand(one, other, prefix):
    a, b = version_key(f"{prefix}.{one}"), version_key(f"{prefix}.{other}")
    assert (a < b) == (one < other)
    assert (a == b) == (one == other)


@given(st.lists(numbers, min_size=1, max_size=4), st.lists(numbers, min_size=1, max_size=4), st.sampled_from("-,./"))
def test_versions_of_numbers_compare_like_lists_of_numbers(one, other, delimiter):
    a = version_key(delimiter.join(map(str, one)))
    b = version_key(delimiter.join(map(str, other)))
    assert (a < b) == (one < other)


@given(versions, st.sampled_from("-,./"), versions)
def test_version_that_goes_on_is_newer(version, delimiter, more):
    assert version_key(version) < version_key(version + delimiter + more)


@given(versions)
def test_only_leading_zeros_are_lost(version):
    spelled = "".join("".join(run[2] or "0" if run[0] else run[2] for run in runs) for _, runs in version_key(version))
    assert version_key(spelled) == version_key(version)
