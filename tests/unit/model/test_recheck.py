"""Which bytes have their turn to be read again."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from vmcatcher.errors.settings import BadSetting
from vmcatcher.model.identity import ImageId, ListId, Sha512
from vmcatcher.model.recheck import oldest_share, share_in
from vmcatcher.model.record import CacheRecord, Fingerprint, State

NOW = datetime(2026, 11, 23, 4, 23, 39, tzinfo=UTC)


def digest(number):
    return Sha512(f"{number:0128x}")


def record(number, size, days=None, *, same_bytes_as=None):
    """A version whose bytes were checked so many days ago, or never."""
    checked = None if days is None else Fingerprint(NOW - timedelta(days=days), size, 1, 1, 1)
    return CacheRecord(
        image=ImageId(f"image-{number}"), number=1, list_id=ListId("list"), snapshot="1", list_sha512=digest(0),
        sha512=digest(same_bytes_as or number), size_bytes=size, uri="", state=State.ENDORSED, since=NOW,
        checked=checked,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "share"),
    [("1/7", 1 / 7), ("0.15", 0.15), (".5", 0.5), ("1", 1.0), ("3/3", 1.0), ("1.0", 1.0), ("1/999999", 1 / 999999)],
)
def test_share_is_a_fraction_or_a_decimal(text, share):
    assert share_in(text, "x") == share


@pytest.mark.parametrize(
    "text", ["0", "0.0", "1/0", "0/7", "8/7", "1.1", "-1/7", "1 /7", "7", "15%", "nan", "1e-3", "", "1/7/2", "٣/٧"]
)
def test_what_is_no_share_is_refused_and_named(text):
    with pytest.raises(BadSetting) as caught:
        share_in(text, "VMCATCHER_CHECK_SHARE")
    assert (caught.value.name, caught.value.value) == ("check_share (VMCATCHER_CHECK_SHARE)", text)


def test_no_share_is_none():
    assert share_in(None, "default") is None


def test_least_recently_checked_bytes_come_first_until_there_are_enough():
    records = [record(1, 10, 1), record(2, 10, 9), record(3, 10, 5), record(4, 10)]
    assert oldest_share(records, 0.25) == {digest(4)}
    assert oldest_share(records, 0.26) == {digest(4), digest(2)}
    assert oldest_share(records, 0.75) == {digest(4), digest(2), digest(3)}
    assert oldest_share(records, 1.0) == {digest(number) for number in (1, 2, 3, 4)}


def test_share_is_one_of_bytes_not_of_images():
    records = [record(1, 1000, 2), record(2, 1, 9), record(3, 1, 8), record(4, 1, 1)]
    assert oldest_share(records, 0.5) == {digest(2), digest(3), digest(1)}


def test_bytes_that_several_images_share_count_once_and_as_checked_when_last():
    records = [record(1, 10, 9), record(2, 10, 1, same_bytes_as=1), record(3, 10, 5)]
    assert oldest_share(records, 0.5) == oldest_share(records[::-1], 0.5) == {digest(3)}


def test_nothing_cached_means_nothing_to_read():
    assert oldest_share([], 0.5) == frozenset()


@pytest.mark.parametrize("parts", [1, 2, 3, 7, 30])
@pytest.mark.parametrize("sizes", [[1] * 7, [10**10, 1, 1, 1], list(range(1, 40)), [5]])
def test_everything_has_its_turn_in_as_many_runs_as_the_share_says(parts, sizes):
    records = [record(number, size, 1) for number, size in enumerate(sizes, start=1)]
    read = set()
    for run in range(parts):
        chosen = oldest_share(records, 1 / parts)
        read |= chosen
        mark = Fingerprint(NOW + timedelta(hours=run), 1, 1, 1, 1)
        records = [replace(one, checked=mark) if one.sha512 in chosen else one for one in records]
    assert read == {one.sha512 for one in records}
