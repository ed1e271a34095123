"""The directories of the views: where they are, what they are made of, and what in them is not ours."""

from __future__ import annotations

import os
import stat
from datetime import timedelta
from pathlib import Path

import pytest

from support.site import LIST_ID, Site, image_id


@pytest.fixture
def joined(site: Site) -> Site:
    site.join(site.image(1), site.image(2))
    site.select(1)
    return site


@pytest.fixture
def outside(joined: Site) -> Path:
    """A view outside the store, with its directories."""
    cache = joined.root / "cache"
    for name in ("partial", "expired"):
        (cache / name).mkdir(parents=True)
    return cache


def withdraw(site, version="2"):
    site.publish(version, site.image(2))
    site.expect(0, "subscribe", "-U")


def files(directory):
    return sorted(path.name for path in directory.iterdir() if not path.is_dir() and path.name != "cache.index")


# -- where they are


@pytest.mark.parametrize("slash", ["", "/", "//", "/."])
def test_directories_reach_the_handler_exactly_as_they_were_typed(joined: Site, outside: Path, slash: str):
    joined.cache("-C", f"{outside}{slash}")
    for event in joined.noted():
        assert event["VMCATCHER_CACHE_DIR_CACHE"] == f"{outside}{slash}"
        assert event["VMCATCHER_CACHE_DIR_DOWNLOAD"] == os.path.join(f"{outside}{slash}", "partial")
        assert event["VMCATCHER_CACHE_DIR_EXPIRE"] == os.path.join(f"{outside}{slash}", "expired")
    assert files(outside) == [image_id(1)]
    assert (outside / image_id(1)).read_bytes().startswith(b"image 1")
    assert list(joined.endorsed()) == []


def test_three_directories_may_be_anywhere_and_relative(joined: Site, monkeypatch):
    monkeypatch.chdir(joined.root)
    for name in ("a", "b", "c"):
        (joined.root / name).mkdir()
    joined.cache("-C", "a/", "-p", "./b", "-e", "c")
    event = joined.noted()[0]
    assert event["VMCATCHER_CACHE_DIR_CACHE"] == "a/"
    assert event["VMCATCHER_CACHE_DIR_DOWNLOAD"] == "./b"
    assert event["VMCATCHER_CACHE_DIR_EXPIRE"] == "c"
    withdraw(joined)
    joined.cache("-C", "a/", "-p", "./b", "-e", "c")
    assert len(files(joined.root / "c")) == 1
    assert (joined.root / "c" / files(joined.root / "c")[0]).read_bytes().startswith(b"image 1")


def test_variables_name_the_directories_as_well(joined: Site, outside: Path):
    joined.cache(VMCATCHER_CACHE_DIR_CACHE=f"{outside}/")
    assert joined.noted()[0]["VMCATCHER_CACHE_DIR_CACHE"] == f"{outside}/"
    assert files(outside) == [image_id(1)]


def test_directory_called_cache_below_is_the_default_where_it_is_whole(joined: Site, outside: Path, monkeypatch):
    monkeypatch.chdir(joined.root)
    joined.cache()
    assert joined.noted()[0]["VMCATCHER_CACHE_DIR_CACHE"] == "cache"
    assert joined.noted()[0]["VMCATCHER_CACHE_DIR_EXPIRE"] == "cache/expired"
    assert files(outside) == [image_id(1)]


def test_directory_called_cache_without_the_others_is_somebody_elses(joined: Site, monkeypatch):
    monkeypatch.chdir(joined.root)
    (joined.root / "cache").mkdir()
    joined.cache()
    assert list((joined.root / "cache").iterdir()) == []
    assert list(joined.endorsed()) == [image_id(1)]
    assert joined.noted()[0]["VMCATCHER_CACHE_DIR_CACHE"] == str(joined.store / "endorsed")


@pytest.mark.parametrize("missing", [("partial",), ("expired",), ("partial", "expired"), (".",)])
def test_missing_directories_are_named_one_a_line_and_nothing_happens(joined: Site, outside: Path, missing):
    for name in ("partial", "expired") if missing == (".",) else missing:
        (outside / name).rmdir()
    if missing == (".",):
        outside.rmdir()
    before = joined.tree()
    result = joined.run("cache", "-C", str(outside), "-x", f"cat >> {joined.events}")
    assert result.code == 1
    assert len(result.err.splitlines()) == (3 if missing == (".",) else len(missing))
    assert all("does not exist" in line for line in result.err.splitlines())
    assert joined.told() == []
    assert joined.tree() == before
    assert not outside.exists() or sorted(path.name for path in outside.iterdir()) == sorted(
        {"partial", "expired"} - set(missing)
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("-C", "cache", "-p", "cache"),
        ("-C", "cache", "-e", "cache/"),
        ("-C", "cache", "-p", "cache/expired", "-e", "cache/expired/../expired"),
        ("-C", "store/cache"),
        ("-C", "store", "-p", "cache/partial", "-e", "cache/expired"),
        ("-C", "cache", "-p", "store/quarantine", "-e", "cache/expired"),
        ("-C", "cache", "-p", "alias", "-e", "cache/expired"),
    ],
)
def test_directories_that_would_get_in_each_others_way_are_refused(joined: Site, outside: Path, arguments, monkeypatch):
    monkeypatch.chdir(joined.root)
    (joined.root / "alias").symlink_to("cache")
    for name in ("partial", "expired"):
        (joined.store / "cache" / name).mkdir()
    before = joined.tree()
    result = joined.run("cache", *arguments, "-x", f"cat >> {joined.events}")
    assert result.code == 1
    assert len(result.err.splitlines()) == 1
    assert joined.told() == []
    assert joined.tree() == before


def test_view_that_moves_elsewhere_is_filled_there_and_nothing_is_told(joined: Site, outside: Path):
    joined.cache()
    joined.told()
    joined.cache("-C", str(outside))
    assert joined.told() == ["ProcessPrefix", "ProcessPostfix"]
    assert files(outside) == [image_id(1)]


@pytest.mark.parametrize("name", ["partial", "locks", "expired", "endorsed", "quarantine", "events"])
def test_directory_of_the_store_that_somebody_removed_is_made_again(joined: Site, name: str):
    import shutil

    joined.cache()
    shutil.rmtree(joined.store / name)
    withdraw(joined)
    joined.cache()
    assert (joined.store / name).is_dir()
    assert joined.told()[-3:] == ["ExpirePrefix 1", "ExpirePostfix 1", "ProcessPostfix"]


def test_view_that_was_emptied_by_hand_is_filled_again(joined: Site):
    joined.cache()
    for path in (joined.store / "endorsed").iterdir():
        path.unlink()
    joined.told()
    joined.cache()
    assert list(joined.endorsed()) == [image_id(1)]
    assert list(joined.index()) == [image_id(1)]
    assert joined.told() == ["ProcessPrefix", "ProcessPostfix"]


@pytest.mark.parametrize("target", ["/dev/null/x", "../blobs/sha512/aa/" + "a" * 128])
def test_link_of_ours_that_leads_elsewhere_is_made_right(joined: Site, target: str):
    joined.cache()
    link = joined.store / "endorsed" / image_id(1)
    right = os.readlink(link)
    link.unlink()
    link.symlink_to(f"/old/place/blobs/sha512/aa/{'a' * 128}" if target.startswith("/dev") else target)
    joined.cache()
    assert os.readlink(link) == right


# -- what they are made of


@pytest.mark.parametrize("kind", ["hardlink", "copy"])
def test_views_of_files_hold_the_bytes_themselves(joined: Site, outside: Path, kind: str):
    arguments = ("-C", str(outside), "--view-links", kind)
    joined.cache(*arguments)
    shown = outside / image_id(1)
    assert stat.S_ISREG(shown.lstat().st_mode)
    assert shown.read_bytes().startswith(b"image 1")
    assert stat.S_IMODE(shown.stat().st_mode) == 0o444
    inode = shown.stat().st_ino
    joined.told()
    joined.cache(*arguments)
    assert shown.stat().st_ino == inode
    assert joined.told() == ["ProcessPrefix", "ProcessPostfix"]

    joined.publish("2", joined.image(1, "2"))
    joined.expect(0, "subscribe", "-U")
    joined.cache(*arguments)
    assert shown.read_bytes().startswith(b"image 1 version 2")
    (left,) = files(outside / "expired")
    assert (outside / "expired" / left).read_bytes().startswith(b"image 1 version 1")
    assert files(outside / "partial") == []
    assert files(outside) == [image_id(1)]

    withdraw(joined, "3")
    joined.cache(*arguments)
    assert files(outside) == []


@pytest.mark.parametrize("first", ["symlink", "hardlink", "copy"])
@pytest.mark.parametrize("then", ["symlink", "hardlink", "copy"])
def test_what_views_are_made_of_can_be_changed(joined: Site, first: str, then: str):
    joined.cache("--view-links", first)
    joined.told()
    joined.cache("--view-links", then)
    path = joined.store / "endorsed" / image_id(1)
    assert path.is_symlink() is (then == "symlink")
    assert joined.told() == ["ProcessPrefix", "ProcessPostfix"]
    withdraw(joined)
    joined.cache("--view-links", then)
    assert joined.endorsed() == {}
    assert len(joined.expired()) == 1


def test_views_of_hard_links_are_not_read_again_and_again(joined: Site, monkeypatch):
    from vmcatcher.store import blobs

    joined.cache("--view-links", "hardlink")
    joined.expect(0, "cache", "--view-links", "hardlink")
    reads = []
    is_intact = blobs.is_intact
    monkeypatch.setattr(blobs, "is_intact", lambda *about: reads.append(about) or is_intact(*about))
    joined.expect(0, "cache", "--view-links", "hardlink")
    assert reads == []


# -- what is not ours


def plant(directory, name="README"):
    path = directory / name
    path.write_text("mine")
    os.utime(path, (1_000_000_000, 1_000_000_000))
    return path


def test_files_of_others_stay_untouched_in_every_directory(joined: Site, outside: Path):
    directories = [
        path
        for path in joined.store.rglob("*")
        if path.is_dir() and not path.is_symlink() and "trust" not in path.parts
    ]
    planted = [plant(directory) for directory in (joined.store, outside, outside / "partial", outside / "expired")]
    planted += [plant(directory) for directory in directories]
    planted += [plant(directory, ".tmp-notes") for directory in (outside, joined.store / "partial")]
    planted.append(plant(joined.store / "partial", "a" * 128))
    (outside / "directory").mkdir()
    (outside / ".tmp-1-0123456789abcdef").mkdir()
    before = {path: (path.lstat().st_ino, path.lstat().st_mtime_ns) for path in planted}
    joined.run("cache", "-C", str(outside))
    joined.publish("2", joined.image(1, "2"), joined.image(2))
    joined.expect(0, "subscribe", "-U")
    for arguments in ((), ("-s",), ("-E",)):
        result = joined.run("cache", "-C", str(outside), *arguments)
        assert result.code == 0, result
    joined.expect(0, "image", "-l")
    joined.expect(0, "subscribe", "-l")
    withdraw(joined, "3")
    joined.expect(0, "cache", "-C", str(outside))
    joined.now += timedelta(days=40)
    joined.expect(0, "cache", "-C", str(outside))
    assert {path: (path.lstat().st_ino, path.lstat().st_mtime_ns) for path in planted} == before
    assert (outside / "directory").is_dir()


@pytest.mark.parametrize("what", ["file", "link", "directory"])
def test_something_at_the_very_name_of_an_image_is_never_replaced(joined: Site, outside: Path, what: str):
    place = outside / image_id(1)
    match what:
        case "file":
            place.write_text("mine")
        case "link":
            place.symlink_to("/etc/hostname")
        case "directory":
            place.mkdir()
    before = place.lstat()
    joined.select(2)
    for _ in range(3):
        result = joined.cache("-C", str(outside), code=1)
        assert str(place) in result.err
        assert len([line for line in result.err.splitlines() if line.startswith("ERROR")]) == 1
        assert place.lstat() == before
    assert "AvailablePrefix 1" not in joined.told()
    assert (outside / image_id(2)).read_bytes().startswith(b"image 2")
    assert joined.server.gets("/images/1-v1.raw") == 1

    place.rmdir() if what == "directory" else place.unlink()
    joined.cache("-C", str(outside))
    assert joined.told() == ["ProcessPrefix", "AvailablePrefix 1", "AvailablePostfix 1", "ProcessPostfix"]


def test_something_at_the_name_of_an_endorsed_image_stays_and_the_image_can_still_leave(joined: Site, outside: Path):
    joined.cache("-C", str(outside))
    joined.told()
    place = outside / image_id(1)
    place.unlink()
    place.write_text("mine")
    for _ in range(2):
        joined.cache("-C", str(outside), code=1)
        assert place.read_text() == "mine"
    assert len(list((joined.store / "cache" / image_id(1)).iterdir())) == 1
    joined.told()
    withdraw(joined)
    joined.run("cache", "-C", str(outside), "-x", f"cat >> {joined.events}")
    assert joined.told() == ["ProcessPrefix", "ExpirePrefix 1", "ExpirePostfix 1", "ProcessPostfix"]
    assert place.read_text() == "mine"


def test_endorsed_link_without_a_record_is_taken_out(joined: Site):
    joined.cache()
    target = os.readlink(joined.store / "endorsed" / image_id(1))
    (joined.store / "endorsed" / image_id(2)).symlink_to(target)
    (joined.store / "endorsed" / "alias").symlink_to(image_id(1))
    result = joined.cache()
    assert image_id(2) in result.err
    assert sorted(os.listdir(joined.store / "endorsed")) == sorted([image_id(1), "alias", "cache.index"])


def test_records_that_were_lost_are_made_again_without_a_gap(joined: Site):
    import shutil

    joined.cache()
    joined.told()
    shutil.rmtree(joined.store / "cache" / image_id(1))
    link = joined.store / "endorsed" / image_id(1)
    inode = link.lstat().st_ino
    joined.server.forget()
    joined.cache()
    assert joined.told() == ["ProcessPrefix", "AvailablePrefix 1", "AvailablePostfix 1", "ProcessPostfix"]
    assert link.lstat().st_ino == inode
    assert joined.server.gets("/images/1-v1.raw") == 0


# -- damaged records


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[]", b'{"format": 1}'])
def test_damaged_record_is_put_aside_and_made_again_from_the_view(joined: Site, content: bytes):
    joined.select(2)
    joined.cache()
    joined.told()
    joined.server.forget()
    record = joined.store / "cache" / image_id(1) / "1.json"
    record.write_bytes(content)
    result = joined.cache(code=1)
    assert len(result.err.splitlines()) == 1
    assert str(record) in result.err
    # Whether the event was owed is not known any more: told twice is told.
    assert joined.told() == ["ProcessPrefix", "AvailablePostfix 1", "ProcessPostfix"]
    assert [path.read_bytes() for path in (joined.store / "quarantine").iterdir()] == [content]
    assert joined.server.requests == []
    joined.cache()
    assert joined.told() == ["ProcessPrefix", "ProcessPostfix"]
    assert sorted(joined.endorsed()) == [image_id(1), image_id(2)]
    joined.expect(0, "image", "-r", "-u", image_id(1))
    joined.cache()
    assert joined.told() == ["ProcessPrefix", "ExpirePrefix 1", "ExpirePostfix 1", "ProcessPostfix"]


def test_record_of_a_later_version_is_said_and_neither_published_nor_expired(joined: Site):
    joined.select(2)
    joined.cache()
    joined.told()
    record = joined.store / "cache" / image_id(1) / "1.json"
    record.write_bytes(b'{"format": 2}')
    for _ in range(2):
        result = joined.run("cache", "-x", f"cat >> {joined.events}")
        assert result.code == 1
        assert str(record) in result.err
    assert joined.told() == ["ProcessPrefix", "ProcessPostfix"] * 2
    assert sorted(joined.endorsed()) == [image_id(1), image_id(2)]
    assert record.read_bytes() == b'{"format": 2}'


def test_damaged_old_record_does_not_keep_the_newest_from_leaving(joined: Site):
    joined.cache()
    joined.publish("2", joined.image(1, "2"), joined.image(2))
    joined.expect(0, "subscribe", "-U")
    joined.cache()
    (joined.store / "cache" / image_id(1) / "1.json").write_bytes(b"")
    joined.told()
    expired = sorted(joined.expired())
    joined.cache(code=1)
    joined.cache()
    assert joined.told() == ["ProcessPrefix", "ProcessPostfix"] * 2
    assert sorted(joined.expired()) == expired
    assert sorted(os.listdir(joined.store / "cache" / image_id(1))) == ["1.json", "2.json"]
    joined.expect(0, "subscribe", "-D", "-u", LIST_ID)
    joined.cache()
    assert joined.told() == ["ProcessPrefix", "ExpirePrefix 1", "ExpirePostfix 1", "ProcessPostfix"]
    assert joined.endorsed() == {}


def test_copied_directory_of_records_is_said_and_told_about_once(joined: Site):
    import shutil

    joined.cache()
    shutil.copytree(joined.store / "cache" / image_id(1), joined.store / "cache" / "backup")
    withdraw(joined)
    joined.told()
    for told in (["ExpirePrefix 1", "ExpirePostfix 1"], []):
        joined.run("cache", "-x", f"cat >> {joined.events}")
        assert joined.told() == ["ProcessPrefix", *told, "ProcessPostfix"]


# -- read-only and full


def test_process_postfix_and_the_index_come_also_after_a_failure(joined: Site, monkeypatch):
    from vmcatcher.errors.store import DocumentDamaged
    from vmcatcher.store import endorsers

    joined.cache()
    joined.told()
    (joined.store / "endorsed" / "cache.index").unlink()

    def damaged(_):
        raise DocumentDamaged(path="endorsers/x.json", why="it is no JSON")

    monkeypatch.setattr(endorsers, "all_endorsers", damaged)
    result = joined.run("cache", "-x", f"cat >> {joined.events}")
    assert result.code == 1
    assert joined.told() == ["ProcessPrefix", "ProcessPostfix"]
    assert list(joined.index()) == [image_id(1)]


def test_name_taken_in_the_expired_view_gets_a_number(joined: Site):
    stamp = joined.now.strftime("%Y-%m-%d_%H-%M-%S")
    plant(joined.store / "expired", f"{image_id(1)}.{stamp}")
    joined.cache()
    withdraw(joined)
    joined.cache()
    assert joined.noted()[-2]["FILENAME"] == f"{image_id(1)}.{stamp}-1"
    assert (joined.store / "expired" / f"{image_id(1)}.{stamp}").read_text() == "mine"
    assert f"{image_id(1)}.{stamp}-1" in joined.index("expired")


def test_missing_store_is_no_empty_site(site: Site):
    result = site.run("cache", "-x", f"cat >> {site.events}")
    assert result.code == 75
    assert not site.store.exists()
    assert site.told() == []
