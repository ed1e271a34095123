"""The views: made of links, hard links or copies; what is somebody else's is neither replaced nor removed."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from vmcatcher.errors.store import NotOurFile
from vmcatcher.model.identity import ImageId, ListId, Sha512
from vmcatcher.model.record import CacheRecord, Reason, State
from vmcatcher.store import root, view_text, views
from vmcatcher.store.layout import Layout
from vmcatcher.store.views import Views

NOW = datetime(2026, 11, 23, 4, 23, 39, tzinfo=UTC)
NAME = "image-1"
KINDS = ("symlink", "hardlink", "copy")


def add_blob(layout, content):
    path = Path(layout.blob(Sha512(hashlib.sha512(content).hexdigest())))
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    path.chmod(0o444)
    return str(path)


@pytest.fixture
def blob(layout):
    return add_blob(layout, b"bytes of the image")


@pytest.fixture(params=["inside", "outside"])
def place(request, layout, tmp_path):
    """Views inside the store and elsewhere."""
    if request.param == "inside":
        return Views.inside(layout)
    for name in ("", "partial", "expired"):
        (tmp_path / "cache" / name).mkdir()
    return Views(*(str(tmp_path / "cache" / name) for name in ("", "partial", "expired")))


@pytest.fixture(params=KINDS)
def shown(request, place):
    """Views of each kind in each place."""
    return replace(place, links=request.param)


def show(layout, shown, blob, name=NAME):
    views.show(layout, shown, shown.cache, name, blob)


def hide(shown, blob, name=NAME):
    return views.hide(shown, shown.cache, name, blob)


def entry(shown, name=NAME):
    return Path(shown.cache, name)


def snapshot(path):
    status = path.lstat()
    content = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
    return status.st_ino, status.st_mode, status.st_mtime_ns, content


# -- showing


def test_shown_bytes_are_those_of_the_blob(layout, shown, blob):
    show(layout, shown, blob)
    assert entry(shown).read_bytes() == b"bytes of the image"
    assert views.is_shown(layout, shown, shown.cache, NAME, blob)
    assert os.listdir(shown.cache).count(NAME) == 1


def test_entry_is_of_the_kind_that_was_asked_for(layout, shown, blob):
    show(layout, shown, blob)
    status = entry(shown).lstat()
    assert stat.S_ISLNK(status.st_mode) is (shown.links == "symlink")
    assert (status.st_ino == os.lstat(blob).st_ino) is (shown.links == "hardlink")
    if shown.links == "copy":
        assert stat.S_IMODE(status.st_mode) == 0o444
        assert status.st_nlink == 1


def test_showing_twice_changes_nothing(layout, shown, blob):
    show(layout, shown, blob)
    before = snapshot(entry(shown))
    names = sorted(os.listdir(shown.cache))
    show(layout, shown, blob)
    assert snapshot(entry(shown)) == before
    assert sorted(os.listdir(shown.cache)) == names


def test_link_inside_the_store_is_relative_and_outside_absolute(layout, place, blob):
    show(layout, place, blob)
    target = os.readlink(entry(place))
    assert os.path.isabs(target) is (not place.cache.startswith(layout.root))


def test_links_of_a_moved_store_hold(layout, blob, tmp_path):
    show(layout, Views.inside(layout), blob)
    shutil.move(layout.root, tmp_path / "elsewhere")
    assert (tmp_path / "elsewhere" / "endorsed" / NAME).read_bytes() == b"bytes of the image"


def test_link_inside_a_store_that_is_reached_through_a_link_is_relative(layout, tmp_path, blob):
    (tmp_path / "alias").symlink_to(layout.root)
    through = Layout(str(tmp_path / "alias"), str(tmp_path / "alias" / "blobs"))
    views.show(through, Views.inside(through), through.endorsed, NAME, blob.replace(layout.root, through.root))
    assert os.readlink(os.path.join(layout.endorsed, NAME)).startswith("../blobs/sha512/")


def test_link_to_blobs_that_lie_elsewhere_is_absolute(tmp_path):
    layout = root.make_store(str(tmp_path / "store"), blobs=str(tmp_path / "disk" / "blobs"))
    blob = add_blob(layout, b"x")
    show(layout, Views.inside(layout), blob)
    assert os.readlink(os.path.join(layout.endorsed, NAME)) == blob
    assert hide(Views.inside(layout), blob)


def test_link_planted_in_place_of_a_blob_does_not_lead_the_view_elsewhere(layout, place, blob):
    os.unlink(blob)
    os.symlink("/etc/hostname", blob)
    show(layout, place, blob)
    assert os.readlink(entry(place)).endswith(os.path.basename(blob))


@pytest.mark.parametrize("before", KINDS)
@pytest.mark.parametrize("after", KINDS)
def test_kind_of_links_can_be_changed(layout, place, blob, before, after):
    show(layout, replace(place, links=before), blob)
    show(layout, replace(place, links=after), blob)
    assert views.is_shown(layout, replace(place, links=after), place.cache, NAME, blob)
    assert entry(place).is_symlink() is (after == "symlink")


@pytest.mark.parametrize("before", KINDS)
def test_entry_of_another_kind_is_taken_out(layout, shown, blob, before):
    show(layout, replace(shown, links=before), blob)
    assert hide(shown, blob)
    assert not os.path.lexists(entry(shown))


@pytest.mark.parametrize("target", ["dangling", "absolute", "old root", "other blob", "quarantine"])
def test_wrong_link_of_ours_is_made_right(layout, shown, blob, target):
    digest = os.path.basename(blob)
    targets = {
        "dangling": f"../blobs/sha512/{digest[:2]}/{digest[:2]}{'0' * 126}",
        "absolute": blob,
        "old root": f"/old/mount/store/blobs/sha512/{digest[:2]}/{digest}",
        "other blob": add_blob(layout, b"other bytes"),
        "quarantine": f"../quarantine/{digest}.2026-01-01_00-00-00.abcd",
    }
    entry(shown).symlink_to(targets[target])
    show(layout, shown, blob)
    assert views.is_shown(layout, shown, shown.cache, NAME, blob)
    assert entry(shown).read_bytes() == b"bytes of the image"


# -- what is somebody else's


def foreign(path, what, blob):
    """Put something of somebody else at `path`."""
    contents = {
        "file": b"mine",
        "file of the same size": b"x" * os.path.getsize(blob),
        "read-only file": b"mine",
        "read-only file of the same size": b"x" * os.path.getsize(blob),
        "copy that may be written to": Path(blob).read_bytes(),
    }
    targets = {
        "link": "/etc/hostname",
        "link to a neighbour": "image-2",
        "link to something that looks like a blob": f"sha512/zz/{'z' * 128}",
    }
    if what in contents:
        path.write_bytes(contents[what])
        path.chmod(0o444 if what.startswith("read-only") else 0o644)
    elif what in targets:
        path.symlink_to(targets[what])
    elif what == "fifo":
        os.mkfifo(path)
    else:
        (path / "inside").mkdir(parents=True)


FOREIGN = (
    "file", "file of the same size", "read-only file", "copy that may be written to", "directory", "fifo", "link",
    "link to a neighbour", "link to something that looks like a blob",
)  # fmt: skip


@pytest.mark.timeout(10)
@pytest.mark.parametrize("what", FOREIGN)
def test_what_somebody_else_put_there_is_never_replaced(layout, shown, blob, what):
    foreign(entry(shown), what, blob)
    before = snapshot(entry(shown))
    with pytest.raises(NotOurFile):
        show(layout, shown, blob)
    with pytest.raises(NotOurFile):
        views.demand_free(shown.cache, NAME, blob)
    assert snapshot(entry(shown)) == before
    assert not [name for name in os.listdir(shown.cache) if name.startswith(".tmp-")]


@pytest.mark.parametrize("kind", ["symlink", "hardlink"])
def test_read_only_file_of_the_same_size_and_other_bytes_is_never_replaced(layout, place, blob, kind):
    # In a view of copies nothing tells it from ours.
    shown = replace(place, links=kind)
    foreign(entry(shown), "read-only file of the same size", blob)
    before = snapshot(entry(shown))
    with pytest.raises(NotOurFile):
        show(layout, shown, blob)
    assert snapshot(entry(shown)) == before


@pytest.mark.timeout(10)
@pytest.mark.parametrize("what", [*FOREIGN, "read-only file of the same size"])
def test_what_somebody_else_put_there_is_never_taken_out(place, blob, what, caplog):
    foreign(entry(place), what, blob)
    before = snapshot(entry(place))
    assert not hide(place, blob)
    assert snapshot(entry(place)) == before
    assert "is not ours and stays" in caplog.text


@pytest.mark.timeout(10)
@pytest.mark.parametrize("kind", ["hardlink", "copy"])
@pytest.mark.parametrize("what", FOREIGN)
def test_what_is_no_copy_of_the_blob_is_never_taken_out_of_a_view_of_files(place, blob, what, kind):
    foreign(entry(place), what, blob)
    before = snapshot(entry(place))
    assert not hide(replace(place, links=kind), blob)
    assert snapshot(entry(place)) == before


def test_file_in_a_view_of_files_is_taken_out_although_the_blob_is_gone(layout, place, blob):
    for kind in ("hardlink", "copy"):
        shown = replace(place, links=kind)
        show(layout, shown, blob)
        os.rename(blob, blob + ".gone")
        assert hide(shown, blob)
        os.rename(blob + ".gone", blob)


def test_hiding_what_is_not_there_is_nothing(shown, blob):
    assert not hide(shown, blob)


def test_only_links_into_this_store_count_as_its_own(layout, shown, blob, tmp_path):
    entry(shown, "ours").symlink_to(blob)
    entry(shown, "aside").symlink_to(os.path.join(layout.quarantine, os.path.basename(blob) + ".x"))
    entry(shown, "other-store").symlink_to(f"/old/store/blobs/sha512/aa/{'a' * 128}")
    entry(shown, "alias").symlink_to("ours")
    entry(shown, "file").write_text("x")
    assert dict(views.own_links(layout, shown.cache)) == {
        "ours": os.path.basename(blob),
        "aside": os.path.basename(blob) + ".x",
    }


# -- names in the expired view


def test_expired_name_is_the_image_and_the_time_in_utc(shown):
    assert views.expired_name(shown, NAME, NOW) == "image-1.2026-11-23_04-23-39"


def test_taken_expired_name_gets_a_number(shown):
    for expected in ("", "-1", "-2"):
        name = views.expired_name(shown, NAME, NOW)
        assert name == "image-1.2026-11-23_04-23-39" + expected
        Path(shown.expired, name).symlink_to("dangling")


# -- the index


def record(**changes):
    base = CacheRecord(
        image=ImageId(NAME), number=1, list_id=ListId("list"), snapshot="000001-20261123T042339Z",
        list_sha512=Sha512("b" * 128), sha512=Sha512("a" * 128), size_bytes=17, uri="http://x.test/1",
        state=State.ENDORSED, since=NOW, vo="test.vo", valid_until=NOW,
        fields={"dc:title": "Title", "hv:version": "1", "hv:size": "17", "x:odd": None},
    )  # fmt: skip
    return replace(base, **changes)


def test_index_entry_has_the_classic_keys_but_the_message():
    entry = view_text.entry_of(record(), NAME)
    classic = {
        "DownLoadTrys", "dc:description", "dc:identifier", "dc:title", "filename", "hv:hypervisor",
        "hv:imagelist.ad:vo", "hv:imagelist.dc:identifier", "hv:size", "hv:uri", "hv:version", "msgHash", "sha512",
        "size", "sl:arch", "sl:checksum:sha512", "sl:comments", "sl:os", "sl:osversion", "uri", "uuid",
        "hv:image.dc:title", "hv:image.hv:version",
    }  # fmt: skip
    assert classic <= set(entry)
    assert "message" not in entry
    assert entry["msgHash"] == "b" * 128
    assert entry["hv:size"] == 17
    assert entry["valid_until"] == "2026-11-23T04:23:39Z"


def test_index_entry_says_why_an_image_left():
    assert view_text.entry_of(record(reason=Reason.REPLACED), "x")["reason"] == "replaced"
    assert "reason" not in view_text.entry_of(record(), "x")


def test_index_is_written_when_it_differs_only(tmp_path):
    path = tmp_path / "cache.index"
    views.put_index(str(tmp_path), [("b", {"x": 1}), ("a", {})])
    assert path.read_text() == '{\n    "a": {},\n    "b": {\n        "x": 1\n    }\n}\n'
    inode = path.stat().st_ino
    views.put_index(str(tmp_path), [("a", {}), ("b", {"x": 1})])
    assert path.stat().st_ino == inode
    views.put_index(str(tmp_path), [])
    assert path.read_text() == "{}\n"


@pytest.mark.timeout(5)
@pytest.mark.parametrize("what", ["torn", "empty", "binary", "link", "fifo"])
def test_spoiled_index_is_written_anew(tmp_path, what):
    path, victim = tmp_path / "cache.index", tmp_path / "victim"
    victim.write_text("mine")
    match what:
        case "link":
            path.symlink_to(victim)
        case "fifo":
            os.mkfifo(path)
        case _:
            path.write_bytes({"torn": b'{"a": {', "empty": b"", "binary": b"\x00\xff"}[what])
    views.put_index(str(tmp_path), [("a", {})])
    assert path.read_text() == '{\n    "a": {}\n}\n'
    assert victim.read_text() == "mine"


def test_directory_in_place_of_the_index_is_refused_and_stays(tmp_path):
    (tmp_path / "cache.index" / "inside").mkdir(parents=True)
    with pytest.raises(NotOurFile):
        views.put_index(str(tmp_path), [])
    assert (tmp_path / "cache.index" / "inside").is_dir()
