"""Making and opening a store: never beside strangers, never of an unknown format, never as another user."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from support.faults import Fail, Faults, Kill, Killed
from vmcatcher.errors.store import (
    DocumentDamaged,
    ForeignOwner,
    NotOurFile,
    StoreFull,
    StoreMissing,
    UnknownFormat,
)
from vmcatcher.store import root


def marker(path):
    return Path(path, "vmcatcher.json")


def test_made_store_opens_with_the_same_layout(tmp_path):
    made = root.make_store(str(tmp_path / "a" / "store"))
    assert root.open_store(made.root) == made
    assert made.blobs == os.path.join(made.root, "blobs")


def test_where_none_is_there_is_none(tmp_path):
    assert root.find_store(str(tmp_path)) is None
    with pytest.raises(StoreMissing) as caught:
        root.open_store(str(tmp_path))
    assert caught.value.exit_code == 75


def test_blobs_elsewhere_are_remembered(tmp_path):
    root.make_store(str(tmp_path / "store"), blobs=str(tmp_path / "disk"))
    layout = root.open_store(str(tmp_path / "store"))
    assert layout.blobs == str(tmp_path / "disk")
    assert layout.partial == str(tmp_path / "disk" / "partial")
    assert (tmp_path / "disk" / "sha512").is_dir()


@pytest.mark.parametrize("name", ["README", ".hidden", "vmcatcher.db", "blobs.txt"])
def test_directory_with_files_of_others_is_refused_and_left_as_it_is(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(NotOurFile) as caught:
        root.make_store(str(tmp_path))
    assert name in str(caught.value)
    assert os.listdir(tmp_path) == [name]


def test_empty_file_system_of_its_own_is_taken(tmp_path):
    (tmp_path / "lost+found").mkdir()
    root.make_store(str(tmp_path))
    assert root.find_store(str(tmp_path)) is not None


def test_file_in_place_of_the_store_is_refused(tmp_path):
    (tmp_path / "store").write_text("mine")
    with pytest.raises(NotOurFile):
        root.make_store(str(tmp_path / "store"))
    assert (tmp_path / "store").read_text() == "mine"


@pytest.mark.parametrize(
    "content", [{"format": 2, "locks": "kernel"}, {"format": 1, "locks": "lease"}, {"format": 1}, {"locks": "kernel"}]
)
def test_unknown_format_is_refused_by_readers_and_writers(tmp_path, content):
    marker(tmp_path).write_text(json.dumps(content))
    for call in (root.find_store, root.open_store, root.make_store):
        with pytest.raises(UnknownFormat):
            call(str(tmp_path))
    assert os.listdir(tmp_path) == ["vmcatcher.json"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff"])
def test_damaged_marker_is_refused(tmp_path, content):
    marker(tmp_path).write_bytes(content)
    for call in (root.find_store, root.make_store):
        with pytest.raises(DocumentDamaged):
            call(str(tmp_path))


@pytest.mark.parametrize("name", ["partial", "locks", "expired", "endorsed", "events", "quarantine", "cache", "trust"])
def test_directory_that_somebody_removed_is_made_again(layout, name):
    shutil.rmtree(os.path.join(layout.root, name))
    root.complete(layout)
    assert all(os.path.isdir(path) for path in layout.directories)


def test_file_in_place_of_a_directory_is_named_and_left(layout):
    os.rmdir(layout.trust)
    Path(layout.trust).write_text("mine")
    with pytest.raises(NotOurFile, match="trust"):
        root.complete(layout)
    assert Path(layout.trust).read_text() == "mine"


def test_store_that_was_not_made_to_the_end_is_none_and_can_be_made(tmp_path):
    with Faults() as counted:
        root.make_store(str(tmp_path / "whole"))
    for number in range(counted.count):
        place = str(tmp_path / str(number))
        with Faults(Kill(number)), pytest.raises(Killed):
            root.make_store(place)
        if root.find_store(place) is None:
            root.make_store(place)
        layout = root.open_store(place)
        assert all(os.path.isdir(path) for path in layout.directories)


def test_full_disk_while_a_store_is_made_leaves_none(tmp_path):
    with Faults() as counted:
        root.make_store(str(tmp_path / "whole"))
    for number in range(counted.calls.index("open") + 1):
        place = str(tmp_path / str(number))
        with Faults(Fail(number, 28)), pytest.raises(StoreFull):
            root.make_store(place)
        assert root.find_store(place) is None


@pytest.mark.root
def test_store_of_another_user_may_be_read_and_not_written(layout):
    os.chown(layout.root, 12345, -1)
    assert root.open_store(layout.root) == layout
    with pytest.raises(ForeignOwner) as caught:
        root.demand_owner(layout)
    assert caught.value.owner == "#12345"
    assert "sudo -u #12345" in caught.value.one_line()


def test_own_store_may_be_written(layout):
    root.demand_owner(layout)
