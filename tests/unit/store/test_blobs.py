"""Blobs: there or not, right or not, and out of the way when not."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from support.faults import Fail, Faults
from vmcatcher.errors.store import StoreInputOutput
from vmcatcher.model.identity import Sha512
from vmcatcher.store import blobs, root

CONTENT = b"image bytes"
SHA = Sha512(hashlib.sha512(CONTENT).hexdigest())
SIZE = len(CONTENT)
NOW = datetime(2026, 11, 23, 4, 23, 39, tzinfo=UTC)


@pytest.fixture
def blob(layout):
    path = Path(layout.blob(SHA))
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    path.chmod(0o444)
    return path


def flip(path):
    path.chmod(0o644)
    path.write_bytes(CONTENT[:-1] + bytes([CONTENT[-1] ^ 1]))


SPOILERS = {
    "one bit": flip,
    "a byte less": lambda path: os.truncate(path, SIZE - 1),
    "a byte more": lambda path: (path.chmod(0o644), path.write_bytes(CONTENT + b"x")),
    "empty": lambda path: os.truncate(path, 0),
    "link": lambda path: (path.rename(path.with_suffix(".real")), path.symlink_to(path.with_suffix(".real"))),
    "directory": lambda path: (path.unlink(), path.mkdir()),
    "fifo": lambda path: (path.unlink(), os.mkfifo(path)),
}


def test_blob_is_there_by_name_and_size(layout, blob):
    assert blobs.has_blob(layout, SHA, SIZE)
    assert not blobs.has_blob(layout, SHA, SIZE + 1)
    blob.unlink()
    assert not blobs.has_blob(layout, SHA, SIZE)


@pytest.mark.timeout(5)
@pytest.mark.parametrize("how", SPOILERS)
def test_spoiled_blob_is_found(layout, blob, how):
    assert blobs.is_intact(layout, SHA, SIZE)
    SPOILERS[how](blob)
    assert not blobs.is_intact(layout, SHA, SIZE)


@pytest.mark.parametrize("how", ["link", "directory", "fifo"])
def test_what_is_no_regular_file_is_no_blob_but_something_to_look_at(layout, blob, how):
    SPOILERS[how](blob)
    assert not blobs.has_blob(layout, SHA, blob.lstat().st_size)
    assert blobs.fingerprint(layout, SHA, NOW) is not None


def test_missing_blob_has_no_fingerprint_and_is_missing(layout):
    assert blobs.fingerprint(layout, SHA, NOW) is None
    with pytest.raises(FileNotFoundError):
        blobs.is_intact(layout, SHA, SIZE)


def test_disk_that_cannot_deliver_says_nothing_about_the_bytes(layout, blob, monkeypatch):
    def broken(*_):
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "readv", broken)
        with pytest.raises(StoreInputOutput, match="Input/output error"):
            blobs.is_intact(layout, SHA, SIZE)


@pytest.mark.parametrize("what", ["content", "time", "inode", "mode"])
def test_touched_blob_has_another_fingerprint(layout, blob, what):
    before = blobs.fingerprint(layout, SHA, NOW)
    assert before is not None
    assert before.is_same_file(blobs.fingerprint(layout, SHA, datetime(2027, 1, 1, tzinfo=UTC)))
    if what == "content":
        flip(blob)
    elif what == "time":
        os.utime(blob, (1, 1))
    elif what == "mode":
        blob.chmod(0o644)
    else:
        copy = blob.with_suffix(".copy")
        copy.write_bytes(CONTENT)
        os.utime(copy, ns=(blob.stat().st_atime_ns, blob.stat().st_mtime_ns))
        copy.rename(blob)
    assert not before.is_same_file(blobs.fingerprint(layout, SHA, NOW))


@pytest.mark.parametrize("how", SPOILERS)
def test_spoiled_blob_is_put_aside_as_it_is(layout, blob, how):
    SPOILERS[how](blob)
    kind = stat.S_IFMT(blob.lstat().st_mode)
    place = blobs.place_aside(layout, SHA, NOW)
    assert blobs.set_aside(layout, SHA, place)
    assert not os.path.lexists(blob)
    assert place.startswith(f"quarantine/{SHA}.2026-11-23_04-23-39.")
    assert stat.S_IFMT(os.lstat(os.path.join(layout.root, place)).st_mode) == kind


def test_putting_aside_twice_keeps_the_first_and_what_came_since(layout, blob):
    flip(blob)
    place = blobs.place_aside(layout, SHA, NOW)
    blobs.set_aside(layout, SHA, place)
    blob.write_bytes(CONTENT)
    assert not blobs.set_aside(layout, SHA, place)
    assert blob.read_bytes() == CONTENT
    assert Path(layout.root, place).read_bytes() != CONTENT


def test_putting_aside_what_is_gone_is_nothing(layout):
    assert not blobs.set_aside(layout, SHA, blobs.place_aside(layout, SHA, NOW))


def test_two_places_aside_never_have_one_name(layout):
    assert blobs.place_aside(layout, SHA, NOW) != blobs.place_aside(layout, SHA, NOW)


def test_failure_to_put_aside_leaves_the_bytes_where_they_were(layout, blob):
    with Faults(Fail(0, errno.EIO)), pytest.raises(StoreInputOutput):
        blobs.set_aside(layout, SHA, blobs.place_aside(layout, SHA, NOW))
    assert blob.read_bytes() == CONTENT


def test_blobs_on_another_file_system_are_put_aside_beside_themselves(tmp_path, other_file_system):
    layout = root.make_store(str(tmp_path / "store"), blobs=str(other_file_system / "blobs"))
    path = Path(layout.blob(SHA))
    path.parent.mkdir()
    path.write_bytes(b"spoiled")
    place = blobs.place_aside(layout, SHA, NOW)
    assert blobs.set_aside(layout, SHA, place)
    assert place.startswith(str(other_file_system / "blobs" / "quarantine"))
    assert Path(layout.root, place).read_bytes() == b"spoiled"
