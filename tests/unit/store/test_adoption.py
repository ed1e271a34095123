"""Files that are older than the store become blobs, and nothing is lost on the way."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from pathlib import Path

import pytest

from vmcatcher.errors.importing import FileNotAdopted
from vmcatcher.errors.store import StoreFull, StoreReadOnly
from vmcatcher.model.identity import Sha512
from vmcatcher.store import adoption, files
from vmcatcher.store.layout import Layout

CONTENT = b"an image\n" * 1000
DIGEST = Sha512(hashlib.sha512(CONTENT).hexdigest())


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "old" / "image-1"
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    return path


def blob(layout: Layout) -> Path:
    return Path(layout.blob(DIGEST))


def test_file_is_known_by_its_digest(image: Path):
    found = adoption.look_at(str(image))
    assert (found.sha512, found.size_bytes) == (DIGEST, len(CONTENT))


def test_blob_is_a_second_name_that_nobody_may_write_to(layout: Layout, image: Path):
    assert adoption.adopt(layout, adoption.look_at(str(image)), may_copy=False) == "linked"
    assert blob(layout).stat().st_ino == image.stat().st_ino
    assert stat.S_IMODE(blob(layout).stat().st_mode) == 0o444
    assert adoption.is_blob(layout, str(image), DIGEST)
    assert os.listdir(layout.partial) == []


def test_bytes_that_are_a_blob_already_are_not_taken_again(layout: Layout, image: Path):
    adoption.adopt(layout, adoption.look_at(str(image)), may_copy=False)
    again = image.with_name("image-2")
    again.write_bytes(CONTENT)
    assert adoption.adopt(layout, adoption.look_at(str(again)), may_copy=False) == "there"
    assert again.stat().st_nlink == 1


def test_file_of_another_file_system_is_copied(layout: Layout, other_file_system: Path):
    path = other_file_system / "image-1"
    path.write_bytes(CONTENT)
    found = adoption.look_at(str(path))
    assert not adoption.may_be_linked(layout, str(path))
    assert adoption.adopt(layout, found, may_copy=False) is None
    assert not blob(layout).exists()
    assert adoption.adopt(layout, found, may_copy=True) == "copied"
    assert blob(layout).read_bytes() == CONTENT
    assert stat.S_IMODE(blob(layout).stat().st_mode) == 0o444
    assert os.listdir(layout.partial) == []
    assert path.read_bytes() == CONTENT


def test_copy_goes_on_where_an_interrupted_one_stopped(
    layout: Layout, other_file_system: Path, monkeypatch: pytest.MonkeyPatch
):
    path = other_file_system / "image-1"
    path.write_bytes(CONTENT)
    monkeypatch.setattr(adoption, "_CHUNK", 1000)
    found = adoption.look_at(str(path))
    written: list[int] = []

    class Killed(BaseException):
        pass

    def write_all(descriptor: int, chunk: memoryview, *, real=files.write_all) -> None:
        if len(written) == 4:
            raise Killed
        written.append(len(chunk))
        real(descriptor, chunk)

    with monkeypatch.context() as patch:
        patch.setattr(files, "write_all", write_all)
        with pytest.raises(Killed):
            adoption.adopt(layout, found, may_copy=True)
    assert adoption.adopt(layout, found, may_copy=True) == "copied"
    assert blob(layout).read_bytes() == CONTENT
    assert os.listdir(layout.partial) == []


def test_file_that_only_its_owner_may_protect_is_copied(layout: Layout, image: Path, monkeypatch: pytest.MonkeyPatch):
    found = adoption.look_at(str(image))
    attempts = []

    def adopt(path: str, destination: str, *, real=files.adopt) -> None:
        attempts.append(path)
        if len(attempts) == 1:
            raise StoreReadOnly(path=path, why="not the owner")
        real(path, destination)

    monkeypatch.setattr(files, "adopt", adopt)
    assert adoption.adopt(layout, found, may_copy=True) == "copied"
    assert blob(layout).stat().st_ino != image.stat().st_ino
    assert os.listdir(layout.partial) == []


@pytest.mark.parametrize("may_copy", [True, False])
def test_file_that_was_replaced_after_it_was_read_is_not_taken(layout: Layout, image: Path, may_copy: bool):
    found = adoption.look_at(str(image))
    other = image.with_name("other")
    other.write_bytes(b"x" * len(CONTENT))
    other.rename(image)
    with pytest.raises(FileNotAdopted, match="changed"):
        adoption.adopt(layout, found, may_copy=may_copy)
    assert not blob(layout).exists()
    assert os.listdir(layout.partial) == []
    assert image.stat().st_nlink == 1


def test_copy_of_a_file_that_changes_meanwhile_is_given_up(layout: Layout, other_file_system: Path):
    path = other_file_system / "image-1"
    path.write_bytes(CONTENT)
    found = adoption.look_at(str(path))
    path.write_bytes(b"y" * len(CONTENT))
    with pytest.raises(FileNotAdopted, match="changed"):
        adoption.adopt(layout, found, may_copy=True)
    assert not blob(layout).exists()
    assert os.listdir(layout.partial) == []


def test_file_that_changes_while_it_is_read_is_not_taken(image: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(adoption, "_CHUNK", 1000)
    real = os.fstat
    looks = []

    def fstat(descriptor: int) -> os.stat_result:
        looks.append(descriptor)
        if len(looks) == 3:  # open_regular, before, after
            os.utime(image, ns=(1, 1))
        return real(descriptor)

    monkeypatch.setattr(os, "fstat", fstat)
    with pytest.raises(FileNotAdopted, match="still running"):
        adoption.look_at(str(image))


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink("/etc/passwd", path)])
def test_what_is_no_regular_file_is_not_read(tmp_path: Path, make):
    path = str(tmp_path / "thing")
    make(path)
    with pytest.raises(FileNotAdopted):
        adoption.look_at(path)


def test_file_that_is_gone_is_said_to_be(tmp_path: Path):
    with pytest.raises(FileNotAdopted, match="gone"):
        adoption.look_at(str(tmp_path / "none"))


def test_full_disk_is_no_reason_to_copy(layout: Layout, image: Path, monkeypatch: pytest.MonkeyPatch):
    def link(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(StoreFull):
        adoption.adopt(layout, adoption.look_at(str(image)), may_copy=True)


# -- links in the place of files


def test_hand_over_leaves_a_link_to_the_blob(layout: Layout, image: Path):
    found = adoption.look_at(str(image))
    adoption.adopt(layout, found, may_copy=False)
    adoption.hand_over(layout, found)
    assert os.readlink(image) == os.path.realpath(blob(layout))
    assert image.read_bytes() == CONTENT
    assert blob(layout).stat().st_nlink == 1


def test_hand_over_of_a_copy_reads_the_blob_once_more(layout: Layout, image: Path):
    found = adoption.look_at(str(image))
    blob(layout).parent.mkdir(parents=True)
    blob(layout).write_bytes(b"z" * len(CONTENT))
    with pytest.raises(FileNotAdopted, match="does not have these bytes"):
        adoption.hand_over(layout, found)
    assert image.read_bytes() == CONTENT
    blob(layout).write_bytes(CONTENT)
    adoption.hand_over(layout, found)
    assert image.is_symlink()


def test_hand_over_of_a_file_that_changed_leaves_it(layout: Layout, image: Path):
    found = adoption.look_at(str(image))
    blob(layout).parent.mkdir(parents=True)
    blob(layout).write_bytes(CONTENT)
    image.write_bytes(b"new" + CONTENT)
    with pytest.raises(FileNotAdopted, match="changed"):
        adoption.hand_over(layout, found)
    assert image.read_bytes() == b"new" + CONTENT


def test_hand_over_of_a_file_that_is_gone_makes_no_link(layout: Layout, image: Path):
    found = adoption.look_at(str(image))
    adoption.adopt(layout, found, may_copy=False)
    image.unlink()
    with pytest.raises(FileNotAdopted):
        adoption.hand_over(layout, found)
    assert not image.is_symlink()


def test_store_that_is_yet_to_be_made_is_measured_by_the_directory_above(tmp_path: Path, image: Path):
    root = tmp_path / "not" / "there" / "yet"
    assert adoption.may_be_linked(Layout(str(root), str(root / "blobs")), str(image))
