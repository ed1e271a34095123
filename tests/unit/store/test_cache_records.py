"""The records of cached versions on disk: numbered, whole, and never taken from somebody else's file."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from support.faults import Faults, Kill, Killed
from vmcatcher.errors.store import DocumentDamaged, NotOurFile
from vmcatcher.model.identity import ImageId, ListId, Sha512
from vmcatcher.model.record import CacheRecord, State
from vmcatcher.store import cache

NOW = datetime(2026, 11, 23, 4, 23, 39, tzinfo=UTC)
IMAGE = ImageId("image-1")
RECORD = CacheRecord(
    image=IMAGE, number=1, list_id=ListId("list"), snapshot="000001-20261123T042339Z", list_sha512=Sha512("b" * 128),
    sha512=Sha512("a" * 128), size_bytes=17, uri="http://x.test/1", state=State.ENDORSED, since=NOW,
)  # fmt: skip


def directory(layout):
    return Path(layout.records(IMAGE))


@pytest.fixture
def three(layout):
    for number in (1, 2, 10):
        cache.put_record(layout, replace(RECORD, number=number))
    return layout


def test_records_come_oldest_first_and_the_highest_number_is_newest(three):
    assert [record.number for record in cache.image_records(three, IMAGE)] == [1, 2, 10]
    assert cache.newest_record(three, IMAGE).number == 10
    assert cache.next_number(three, IMAGE) == 11


def test_image_without_records_has_none(layout):
    assert cache.newest_record(layout, IMAGE) is None
    assert cache.next_number(layout, IMAGE) == 1
    assert list(cache.image_records(layout, IMAGE)) == []
    assert cache.cached_images(layout) == []


@pytest.mark.parametrize(
    "name", ["README", "01.json", "0.json", "1.json.bak", "x.json", "³.json", "11.json~", ".tmp-1.json"]
)
def test_other_files_beside_records_do_not_count(three, name):
    (directory(three) / name).write_text("{")
    assert [record.number for record in cache.image_records(three, IMAGE)] == [1, 2, 10]


def test_files_and_links_beside_the_directories_are_no_images(three):
    Path(three.cache, "README").write_text("x")
    Path(three.cache, "alias").symlink_to("image-1")
    assert cache.cached_images(three) == ["image-1"]


def test_copied_directory_is_refused_and_not_one_more_image(three):
    shutil.copytree(directory(three), Path(three.cache, "image-1.bak"))
    with pytest.raises(DocumentDamaged, match="record 1 of image image-1"):
        list(cache.image_records(three, "image-1.bak"))


def test_renumbered_record_is_refused(three):
    os.rename(directory(three) / "2.json", directory(three) / "3.json")
    with pytest.raises(DocumentDamaged):
        cache.read_record(three, IMAGE, 3)


def test_damaged_record_does_not_hide_the_others(three):
    (directory(three) / "2.json").write_bytes(b"")
    found, errors = cache.readable_records(three, IMAGE)
    assert [record.number for record in found] == [1, 10]
    assert [type(error) for error in errors] == [DocumentDamaged]


@pytest.mark.timeout(5)
def test_something_else_in_place_of_a_record_is_named(three):
    (directory(three) / "10.json").unlink()
    os.mkfifo(directory(three) / "10.json")
    with pytest.raises(NotOurFile):
        cache.newest_record(three, IMAGE)


def test_record_that_went_between_listing_and_reading_is_left_out(layout):
    assert cache.read_record(layout, IMAGE, 1) is None


def test_kill_while_a_record_is_put_leaves_the_old_or_the_new_one(layout):
    cache.put_record(layout, RECORD)
    changed = replace(RECORD, state=State.EXPIRING)
    with Faults() as counted:
        cache.put_record(layout, changed)
    for number in range(counted.count):
        cache.put_record(layout, RECORD)
        with Faults(Kill(number)), pytest.raises(Killed):
            cache.put_record(layout, changed)
        assert cache.newest_record(layout, IMAGE) in (RECORD, changed)
