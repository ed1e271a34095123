"""From a classic database to a store: `vmcatcher store import-db`, and every classic command after it."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from support.classic_database import VERSIONS, ClassicSite, link_of
from support.disks import second_file_system
from support.pki import Signer
from support.server import Server
from support.site import LIST_ID, Result, Site, _captured, image_id
from support.tree import check_invariants, tree
from vmcatcher.store import files, reading

LIST_2 = "22222222-aaaa-4aaa-8aaa-000000000002"
LIST_3 = "33333333-aaaa-4aaa-8aaa-000000000003"
STAMP = "2024-03-01_10-00-00"


def content_of(number: int, version: str = "1") -> bytes:
    """The bytes that `Site.image` serves."""
    return f"image {number} version {version}\n".encode() * 100


@dataclass
class World:
    """A site that still has its classic database, and the publisher that it follows."""

    site: Site
    old: ClassicSite
    bob: Signer
    lists: dict[str, bytes] = field(default_factory=dict)

    @property
    def store(self) -> Path:
        return self.old.root / "vmcatcher"

    def import_db(self, *arguments: str, code: int = 0, directories: bool = True, **environment: str) -> Result:
        """Run the command in this process, with the site's clock; without `directories` it takes decisions only."""
        from vmcatcher import wiring
        from vmcatcher.cli.app import app

        named = ["--cache-dir", str(self.old.cached), "--expired-dir", str(self.old.expired)] if directories else []
        words = ["store", "import-db", *named, *arguments]
        if not any(str(self.old.path) in word for word in arguments):
            words.append(self.old.url)
        with (
            mock.patch.dict(os.environ, {**self.site.environment, **environment}),
            mock.patch.object(wiring, "clock", return_value=self.site.now),
            _captured() as (out, err),
        ):
            found = 0
            try:
                app(args=words, prog_name="vmcatcher")
            except SystemExit as stop:
                found = stop.code if isinstance(stop.code, int) else 0
        result = Result(found, out.getvalue().decode(), err.getvalue(), out.getvalue())
        assert result.code == code, result
        return result

    def report(self, *arguments: str, code: int = 0, **options: Any) -> dict[str, Any]:
        """Run the command and return its report."""
        done = self.import_db("--json", *arguments, code=code, **options)
        return {**done.answer, "left_out": done.errors}

    def problems(self, report: dict[str, Any]) -> list[str]:
        return [one["id"] for one in report["left_out"]]

    def with_classic_cron_file(self) -> None:
        """From here on the environment is that of a classic cron file."""
        self.site.environment |= {
            "VMCATCHER_RDBMS": self.old.url,
            "VMCATCHER_CACHE_DIR_CACHE": str(self.old.cached),
            "VMCATCHER_CACHE_DIR_DOWNLOAD": str(self.old.partial),
            "VMCATCHER_CACHE_DIR_EXPIRE": str(self.old.expired),
        }

    def cache(self, *arguments: str, code: int = 0) -> list[str]:
        """Run vmcatcher_cache; return what was told."""
        result = self.site.run("cache", "-x", f"cat >> {self.site.events}", *arguments)
        assert result.code == code, result
        assert check_invariants(self.store) == []
        return self.site.told()


def world_of(tmp_path: Path, server: Server, version: str = "0.6", **options: Any) -> World:
    site = Site(tmp_path, server)
    del site.environment["VMCATCHER_STORE"]
    old = ClassicSite(tmp_path / "old", version, **options)
    site.environment["VMCATCHER_RDBMS"] = old.url
    site.store = old.root / "vmcatcher"
    return World(site, old, site.pki.endorser("Bob Endorser"))


def hours_ago(site: Site, hours: int) -> str:
    return (site.now - timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")


def fill(world: World) -> World:
    """Two endorsers, three subscriptions: one with two lists and a replaced image, one of Bob's, one never updated."""
    site, old, server = world.site, world.old, world.site.server
    alice, bob = site.alice, world.bob
    old.endorser("alice", (alice.subject, alice.issuer), ("/DC=test/DC=grid/CN=Alice Former", alice.issuer))
    old.endorser("Bob's own", (bob.subject, bob.issuer))
    old.subscription(LIST_ID, server.url("/list"), endorsers=["alice"])
    newer: dict[str, object] = {"trustAnchor": 2} if old.version >= "0.4" else {}
    old.subscription(LIST_2, server.url("/list2"), endorsers=["Bob's own"], **newer)
    newer = {"updateMode": 3} if old.version >= "0.5" else {}
    old.subscription(LIST_3, server.url("/list3"), endorsers=["alice", "Bob's own"], **newer)
    for number, is_cached in ((1, True), (2, True), (3, False), (4, True)):
        old.image(LIST_ID, image_id(number), cached=is_cached)
    old.image(LIST_2, image_id(11), cached=True)
    old.image(LIST_3, image_id(21), cached=True)
    old.image(LIST_3, image_id(22))
    lists = world.lists
    lists["1v1"] = site.publish("1", *map(site.image, (1, 2, 3, 4)), dc__date__created=hours_ago(site, 21))
    old.take(LIST_ID, lists["1v1"], imported=site.now - timedelta(hours=20))
    lists["1v2"] = site.publish(
        "2", site.image(1, "2"), site.image(2), site.image(3), dc__date__created=hours_ago(site, 11)
    )
    old.take(LIST_ID, lists["1v2"], imported=site.now - timedelta(hours=10))
    lists["2v1"] = site.publish(
        "1",
        site.image(11),
        path="/list2",
        signer=bob,
        dc__identifier=LIST_2,
        hv__uri=server.url("/list2"),
        dc__date__created=hours_ago(site, 11),
    )
    old.take(LIST_2, lists["2v1"], imported=site.now - timedelta(hours=9))
    site.publish(
        "1", site.image(21), site.image(22), path="/list3", dc__identifier=LIST_3, hv__uri=server.url("/list3")
    )
    old.cache(image_id(1), content_of(1, "2"), lists["1v2"])
    old.cache(image_id(2), content_of(2), lists["1v1"])
    old.cache(image_id(11), content_of(11), lists["2v1"])
    old.expire(image_id(1), content_of(1), STAMP, lists["1v1"])
    old.expire(image_id(4), content_of(4), STAMP, lists["1v1"])
    old.close()
    return world


@pytest.fixture
def empty(tmp_path: Path, server: Server) -> World:
    """A site whose classic database has its tables and nothing in them."""
    return world_of(tmp_path, server)


@pytest.fixture
def world(empty: World) -> World:
    """A site with two endorsers, three subscriptions, cached and expired images."""
    return fill(empty)


def simple(world: World, *numbers: int, version: str = "1") -> bytes:
    """Alice's subscription with these images, all cached."""
    site, old = world.site, world.old
    old.endorser("alice", (site.alice.subject, site.alice.issuer))
    old.subscription(LIST_ID, site.server.url("/list"), endorsers=["alice"])
    for number in numbers:
        old.image(LIST_ID, image_id(number), cached=True)
    signed = site.publish(version, *map(site.image, numbers), dc__date__created=hours_ago(site, 11))
    old.take(LIST_ID, signed, imported=site.now - timedelta(hours=10))
    for number in numbers:
        old.cache(image_id(number), content_of(number), signed)
    return signed


# -- the same answers


def test_every_listing_answers_as_the_classic_program_did(world: World):
    world.import_db()
    site, url, issuer = world.site, world.site.server.url, world.site.alice.issuer
    assert site.expect(0, "endorser", "-l").lines == [
        f"'alice'\t'/DC=test/DC=grid/CN=Alice Endorser'\t'{issuer}'",
        f"'alice'\t'/DC=test/DC=grid/CN=Alice Former'\t'{issuer}'",
        f"'Bob's own'\t'/DC=test/DC=grid/CN=Bob Endorser'\t'{issuer}'",
    ]
    assert site.expect(0, "endorser", "-K").lines == [
        f"'alice'\t'{LIST_ID}'\t'True'",
        f"'Bob's own'\t'{LIST_2}'\t'True'",
        f"'alice'\t'{LIST_3}'\t'True'",
        f"'Bob's own'\t'{LIST_3}'\t'True'",
    ]
    assert site.expect(0, "subscribe", "-l").lines == [
        f"{LIST_ID}\tTrue\tNone\t{url('/list')}",
        f"{LIST_2}\tTrue\tIGTF\t{url('/list2')}",
        f"{LIST_3}\tTrue\tNone\t{url('/list3')}",
    ]
    assert site.expect(0, "image", "-l").lines == [
        f"{image_id(1)}\t3\t{LIST_ID}",
        f"{image_id(2)}\t3\t{LIST_ID}",
        f"{image_id(3)}\t2\t{LIST_ID}",
        f"{image_id(4)}\t1\t{LIST_ID}",
        f"{image_id(11)}\t3\t{LIST_2}",
        f"{image_id(21)}\t1\t{LIST_3}",
        f"{image_id(22)}\t0\t{LIST_3}",
    ]


def test_details_answer_as_the_classic_program_did(world: World):
    world.import_db()
    site = world.site
    updated = (site.now - timedelta(hours=10)).strftime("%Y-%m-%dT%H:%M:%SZ")
    lines = site.expect(0, "subscribe", "-i", "-u", LIST_ID).lines
    for line in (
        f"subscription.dc:date:updated={updated}",
        "subscription.updateMode=0",
        "subscription.hv:uri.trustAnchor=None",
        "imagelist.expired=False",
        f"imagelist.dc:date:imported={updated}",
        f"imagelist.dc:date:created={hours_ago(site, 11)}",
    ):
        assert line in lines
    lines = site.expect(0, "subscribe", "-i", "-u", LIST_3).lines
    assert "subscription.dc:date:updated=False" in lines
    assert "subscription.updateMode=3" in lines
    assert site.expect(0, "subscribe", "-i", "-u", LIST_ID, "-f", "SMIME").raw == world.lists["1v2"]
    lines = site.expect(0, "image", "-i", "-u", image_id(1)).lines
    assert f"image.sl:checksum:sha512={hashlib.sha512(content_of(1, '2')).hexdigest()}" in lines
    assert "imagedef.cache=1" in lines


def test_image_is_found_by_the_digest_of_a_version_it_once_had(world: World):
    world.import_db()
    digest = hashlib.sha512(content_of(1)).hexdigest()
    world.site.expect(0, "image", "-r", "-s", digest)
    assert world.site.states()[image_id(1)] == 2


def test_update_after_an_import_has_nothing_new(world: World):
    world.import_db()
    before = tree(world.store / "subscriptions" / LIST_ID / "lists")
    result = world.site.run("subscribe", "-U", "-x", f"cat >> {world.site.events}")
    assert result.code == 0, result
    assert tree(world.store / "subscriptions" / LIST_ID / "lists") == before
    assert world.site.told() == []
    assert world.site.states()[image_id(21)] == 3


def test_update_after_an_import_refuses_an_older_list(world: World):
    world.import_db()
    world.site.server.publish("/list", world.lists["1v1"])
    world.site.expect(17, "subscribe", "-U")


# -- what is in the directories


@pytest.mark.parametrize("arguments", [(), ("--move",)], ids=["kept", "moved"])
def test_cache_run_on_the_old_directories_fetches_and_tells_nothing(world: World, arguments: tuple[str, ...]):
    world.import_db(*arguments)
    world.with_classic_cron_file()
    world.site.server.forget()
    assert world.cache() == ["ProcessPrefix", "ProcessPostfix"]
    assert world.cache() == ["ProcessPrefix", "ProcessPostfix"]
    assert world.site.server.requests == []
    shown = {path.name: path.read_bytes() for path in world.old.cached.iterdir() if path.name != "cache.index"}
    assert shown == {image_id(1): content_of(1, "2"), image_id(2): content_of(2), image_id(11): content_of(11)}
    index = json.loads((world.old.cached / "cache.index").read_text())
    assert index[image_id(2)]["msgHash"] == hashlib.sha512(world.lists["1v2"]).hexdigest()
    assert sorted(json.loads((world.old.expired / "cache.index").read_text())) == [
        f"{image_id(1)}.{STAMP}",
        f"{image_id(4)}.{STAMP}",
    ]


def test_cache_run_with_views_inside_the_store_shows_what_was_imported(world: World):
    world.import_db()
    world.site.server.forget()
    assert world.cache() == ["ProcessPrefix", "ProcessPostfix"]
    assert world.site.server.requests == []
    assert list(world.site.endorsed()) == [image_id(1), image_id(2), image_id(11)]
    assert world.site.expired() == {
        f"{image_id(1)}.{STAMP}": content_of(1),
        f"{image_id(4)}.{STAMP}": content_of(4),
    }


def test_view_of_hard_links_keeps_the_old_files_as_they_are(world: World):
    world.import_db()
    world.with_classic_cron_file()
    before = {path.name: path.stat().st_ino for path in world.old.cached.iterdir() if path.name != "cache.index"}
    assert world.cache("--view-links", "hardlink") == ["ProcessPrefix", "ProcessPostfix"]
    after = {path.name: path.stat().st_ino for path in world.old.cached.iterdir() if path.name != "cache.index"}
    assert after == before


def test_import_keeps_every_old_file_under_its_name_with_its_bytes(world: World):
    before = {path: path.read_bytes() for path in world.old.root.rglob("*") if path.is_file()}
    world.import_db()
    assert {path: path.read_bytes() for path in before} == before
    blob = world.store / "blobs/sha512" / (digest := hashlib.sha512(content_of(2)).hexdigest())[:2] / digest
    assert blob.stat().st_ino == (world.old.cached / image_id(2)).stat().st_ino
    assert stat.S_IMODE(blob.stat().st_mode) == 0o444


def test_move_puts_links_in_the_place_of_what_was_taken(world: World):
    world.import_db("--move")
    for path in (world.old.cached / image_id(1), world.old.expired / f"{image_id(4)}.{STAMP}"):
        target = link_of(path)
        assert target is not None
        assert target.startswith(f"{world.store}/blobs/sha512/")
    assert (world.old.cached / image_id(1)).read_bytes() == content_of(1, "2")


def test_move_can_follow_an_import_that_kept_the_files(world: World):
    first = world.report()
    second = world.report("--move")
    assert first["counts"]["cached files taken"] == 3
    assert second["counts"]["cached files there already"] == 3
    assert link_of(world.old.cached / image_id(2)) is not None
    assert link_of(world.old.expired / f"{image_id(1)}.{STAMP}") is not None


def test_expired_record_keeps_when_it_left_and_has_nothing_to_tell(world: World):
    world.import_db()
    record = json.loads((world.store / "cache" / image_id(4) / "1.json").read_text())
    assert record["state"] == "expired"
    assert record["owed"] == []
    assert record["reason"] is None
    # The clock of the tests is 5:45 ahead of UTC, and the classic program wrote local time.
    assert record["expired"] == "2024-03-01T04:15:00Z"
    assert record["expired_name"] == f"{image_id(4)}.{STAMP}"


def test_replaced_image_has_its_expired_version_before_the_cached_one(world: World):
    world.import_db()
    records = [json.loads((world.store / "cache" / image_id(1) / f"{n}.json").read_text()) for n in (1, 2)]
    assert [record["state"] for record in records] == ["expired", "endorsed"]
    assert records[1]["snapshot"].startswith("000002-")


def test_cached_file_that_the_list_has_replaced_since_leaves_as_it_would_have(empty: World):
    signed = simple(empty, 1)
    second = empty.site.publish("2", empty.site.image(1, "2"), dc__date__created=hours_ago(empty.site, 5))
    empty.old.take(LIST_ID, second, imported=empty.site.now - timedelta(hours=4))
    empty.old.close()
    assert signed != second
    empty.import_db()
    empty.with_classic_cron_file()
    assert empty.cache() == [
        "ProcessPrefix", "ExpirePrefix 1", "ExpirePostfix 1", "AvailablePrefix 1", "AvailablePostfix 1",
        "ProcessPostfix",
    ]  # fmt: skip
    assert (empty.old.cached / image_id(1)).read_bytes() == content_of(1, "2")


def test_cached_file_that_nobody_selects_any_more_leaves_as_it_would_have(empty: World):
    simple(empty, 1, 2)
    empty.old.execute('UPDATE "ImageDefinition" SET cache = 0 WHERE identifier = ?', image_id(1))
    empty.old.close()
    empty.import_db()
    empty.with_classic_cron_file()
    assert empty.cache() == ["ProcessPrefix", "ExpirePrefix 1", "ExpirePostfix 1", "ProcessPostfix"]
    assert not (empty.old.cached / image_id(1)).exists()


def test_same_bytes_cached_and_expired_are_stored_once_and_stay_cached(empty: World):
    signed = simple(empty, 1)
    empty.old.expire(image_id(1), content_of(1), STAMP, signed)
    empty.old.close()
    empty.import_db()
    assert empty.cache() == ["ProcessPrefix", "ProcessPostfix"]
    assert list(empty.site.endorsed()) == [image_id(1)]
    assert list(empty.site.expired()) == [f"{image_id(1)}.{STAMP}"]


def test_file_with_other_bytes_is_left_and_the_image_is_fetched(empty: World):
    simple(empty, 1, 2)
    empty.old.close()
    damaged = empty.old.cached / image_id(1)
    damaged.write_bytes(b"rotten")
    report = empty.report(code=1)
    assert empty.problems(report) == ["file-not-adopted"]
    assert str(damaged) in report["left_out"][0]["text"]
    assert damaged.read_bytes() == b"rotten"
    assert empty.cache() == ["ProcessPrefix", "AvailablePrefix 1", "AvailablePostfix 1", "ProcessPostfix"]


def test_files_that_nothing_accounts_for_are_named_and_left_alone(world: World):
    foreign = [world.old.cached / "README", world.old.cached / ".nfs0001", world.old.expired / "notes.txt"]
    for path in foreign:
        path.write_text("mine")
    (world.old.cached / image_id(99)).write_text("an image of nobody")
    (world.old.cached / "elsewhere").symlink_to("/etc/passwd")
    (world.old.cached / image_id(3)).symlink_to("/etc/passwd")
    odd = world.old.expired / f"{image_id(1)}.2024-99-99_10-00-00"
    odd.write_text("no such day")
    os.mkfifo(world.old.cached / image_id(4))
    report = world.report("--move", code=1)
    named = "\n".join(report["notes"])
    for path in (*foreign, world.old.cached / image_id(99), world.old.cached / "elsewhere", odd):
        assert f"{path} is left alone" in named
        assert path.is_symlink() or path.read_text() in ("mine", "an image of nobody", "no such day")
    assert link_of(world.old.cached / image_id(3)) == "/etc/passwd"
    assert world.problems(report) == ["file-not-adopted"]
    assert stat.S_ISFIFO((world.old.cached / image_id(4)).lstat().st_mode)


def test_expired_file_is_known_by_its_index_where_no_list_tells(empty: World):
    empty.old.close()
    other = Site(empty.site.root / "other", empty.site.server)
    signed = other.alice.sign(other.content("1", other.image(7)))
    path = empty.old.expire(image_id(7), content_of(7), STAMP, signed)
    empty.old.expire(image_id(8), content_of(8), STAMP)
    report = empty.report(code=1)
    assert report["counts"]["expired files taken"] == 1
    assert [one["subject"] for one in report["left_out"]] == [str(empty.old.expired / f"{image_id(8)}.{STAMP}")]
    record = json.loads((empty.store / "cache" / image_id(7) / "1.json").read_text())
    assert (record["state"], record["list"], record["vo"]) == ("expired", LIST_ID, "test.vo")
    assert record["fields"]["dc:title"] == "Title of image 7"
    assert path.exists()


def test_expired_file_whose_index_says_other_bytes_is_left(empty: World):
    empty.old.close()
    other = Site(empty.site.root / "other", empty.site.server)
    signed = other.alice.sign(other.content("1", other.image(7)))
    empty.old.expire(image_id(7), b"rotten", STAMP, signed)
    assert empty.problems(empty.report(code=1)) == ["file-not-adopted"]
    assert not (empty.store / "cache" / image_id(7)).exists()


# -- another file system


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A directory on another file system than `tmp_path`."""
    with second_file_system(tmp_path) as directory:
        yield directory


def test_files_of_another_file_system_are_copied_and_stay(world: World, elsewhere: Path):
    store = str(elsewhere / "store")
    plan = world.report("--dry-run", "--store", store)
    report = world.report("--store", store)
    assert plan["counts"] == report["counts"]
    assert report["counts"]["cached files copied"] == 3
    assert any("is on another file system" in note for note in report["notes"])
    assert (world.old.cached / image_id(2)).read_bytes() == content_of(2)
    assert check_invariants(Path(store)) == []


def test_files_of_another_file_system_become_links_with_move(world: World, elsewhere: Path):
    store = elsewhere / "store"
    world.import_db("--store", str(store), "--move")
    assert str(link_of(world.old.cached / image_id(2))).startswith(str(store))
    world.with_classic_cron_file()
    del world.site.environment["VMCATCHER_RDBMS"]
    world.site.environment["VMCATCHER_STORE"] = str(store)
    world.site.server.forget()
    result = world.site.run("cache", "-x", f"cat >> {world.site.events}")
    assert (result.code, world.site.told()) == (0, ["ProcessPrefix", "ProcessPostfix"])
    assert world.site.server.requests == []


def _refuse(number: int) -> Callable[..., None]:
    def link(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return link


@pytest.mark.parametrize("number", [errno.EPERM, errno.EXDEV, errno.EMLINK], ids=["owner", "device", "names"])
def test_file_that_may_not_get_a_second_name_is_copied(world: World, monkeypatch: pytest.MonkeyPatch, number: int):
    monkeypatch.setattr(os, "link", _refuse(number))
    report = world.report()
    assert report["counts"]["cached files copied"] == 3
    assert check_invariants(world.store) == []
    assert [path.name for path in (world.store / "partial").iterdir()] == []


def test_store_with_its_blobs_beside_the_old_directories_needs_no_copy(world: World, elsewhere: Path):
    store = str(elsewhere / "store")
    blobs = str(world.old.root / "blobs")
    assert world.site.call("vmcatcher", "store", "init", store, "--blobs", blobs).code == 0
    report = world.report("--store", store)
    assert report["counts"]["cached files taken"] == 3
    assert check_invariants(Path(store)) == []


def test_full_disk_stops_the_import_which_goes_on_later(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "link", _refuse(errno.EXDEV))
    monkeypatch.setattr(reading, "free_bytes", lambda directory: 10)
    result = world.import_db(code=75)
    assert "no space" in result.err
    assert world.site.run("image", "-l").code == 1
    monkeypatch.undo()
    world.import_db()
    assert world.site.states()[image_id(1)] == 3


# -- versions


@pytest.mark.parametrize("version", [one for one in VERSIONS if one != "0.6"])
def test_old_database_with_lists_cut_keeps_decisions_and_expires_nothing(tmp_path: Path, server: Server, version: str):
    world = fill(world_of(tmp_path, server, version))
    report = world.report(code=1)
    assert report["version"] == {"0.2": "0.2 or 0.3", "0.3": "0.2 or 0.3"}.get(version, version)
    assert world.problems(report) == ["stored-list-cut"] * 3 + ["file-not-adopted"] * 3
    assert report["counts"]["lists kept aside"] == 3
    assert report["counts"]["subscriptions imported"] == 3
    # Expired images are told by their index alone.
    assert report["counts"]["expired files taken"] == 2
    assert world.site.states() == {
        image_id(1): 1, image_id(2): 1, image_id(3): 0, image_id(4): 1, image_id(11): 1,
        image_id(21): 1, image_id(22): 0,
    }  # fmt: skip
    world.with_classic_cron_file()
    assert world.cache() == ["ProcessPrefix", "ProcessPostfix"]
    assert (world.old.cached / image_id(2)).read_bytes() == content_of(2)
    trust = "IGTF" if version >= "0.4" else "None"
    assert world.site.expect(0, "subscribe", "-l").lines[1].split("\t")[2] == trust
    mode = "3" if version >= "0.5" else "0"
    assert f"subscription.updateMode={mode}" in world.site.expect(0, "subscribe", "-i", "-u", LIST_3).lines


@pytest.mark.parametrize("version", ["0.3", "0.5"])
def test_old_database_is_whole_after_an_update_and_a_second_import(tmp_path: Path, server: Server, version: str):
    world = fill(world_of(tmp_path, server, version))
    world.import_db(code=1)
    world.with_classic_cron_file()
    world.site.run("subscribe", "-U")
    report = world.report()
    assert report["counts"]["cached files taken"] == 3
    server.forget()
    told = world.cache()
    assert [event for event in told if not event.startswith("Process") and event[-2:] != "21"] == []
    assert [request.path for request in server.requests] == ["/images/21-v1.raw"]
    assert world.site.states()[image_id(1)] == 3


def test_file_of_an_unproved_list_is_never_fetched_again(tmp_path: Path, server: Server):
    world = fill(world_of(tmp_path, server, "0.5"))
    world.import_db(code=1)
    world.site.run("subscribe", "-U")
    server.forget()
    world.cache()
    assert [request.path for request in server.requests] == ["/images/21-v1.raw"]


def test_short_list_of_an_old_database_is_proved_although_it_is_stored_as_text(tmp_path: Path, server: Server):
    world = world_of(tmp_path, server, "0.5")
    signed = simple(world, 1)
    # SQLite does not keep to the width of a column, so many an old database holds whole lists.
    world.old.execute('UPDATE "imageListInstance" SET data = ?', signed.decode())
    world.old.close()
    world.import_db()
    assert world.site.states() == {image_id(1): 3}


# -- lists that cannot be proved


def revoke(world: World) -> None:
    world.site.pki.revoke(world.site.alice)


def forget_the_ca(world: World) -> None:
    world.site.pki.remove()
    other = type(world.site.pki)(world.site.pki.root, name="Other CA")
    assert other.certificate.exists()


def unlink(world: World) -> None:
    world.old.execute('DELETE FROM "endorserPrincible"')


@pytest.mark.parametrize(
    ("spoil", "why"),
    [(revoke, "revoked"), (forget_the_ca, "no CA certificate of"), (unlink, "is no endorser of")],
    ids=["revoked", "ca-gone", "unlinked"],
)
def test_list_that_cannot_be_proved_is_kept_aside_with_the_reason(
    empty: World, spoil: Callable[[World], None], why: str
):
    signed = simple(empty, 1)
    spoil(empty)
    empty.old.close()
    report = empty.report(code=1)
    assert empty.problems(report) == ["stored-list-not-proved", "file-not-adopted"]
    assert why in report["left_out"][0]["text"]
    assert any(
        "has no current list until `vmcatcher sync` (vmcatcher_subscribe -U)" in note for note in report["notes"]
    )
    kept = sorted((empty.store / "quarantine").iterdir())
    assert [path.suffix for path in kept] == [".json", ".smime"]
    assert kept[1].read_bytes() == signed
    assert json.loads(kept[0].read_text())["list"] == LIST_ID
    assert empty.site.states() == {image_id(1): 1}
    assert empty.cache() == ["ProcessPrefix", "ProcessPostfix"]


def test_list_is_proved_by_a_second_import_once_trust_is_mended(empty: World):
    simple(empty, 1)
    empty.old.close()
    crl = empty.site.pki.crl.read_bytes()
    empty.site.pki.revoke(empty.site.alice)
    empty.import_db(code=1)
    empty.site.pki.crl.write_bytes(crl)
    empty.import_db()
    assert empty.site.states() == {image_id(1): 3}
    assert empty.cache() == ["ProcessPrefix", "ProcessPostfix"]


def of_another_list(world: World) -> bytes:
    return world.site.publish("1", world.site.image(1), dc__identifier=LIST_2)


def naming_another_signer(world: World) -> bytes:
    return world.site.alice.sign(world.site.content("1", world.site.image(1), signer=world.bob))


def of_tomorrow(world: World) -> bytes:
    return world.site.publish("1", world.site.image(1), dc__date__created=hours_ago(world.site, -24))


def of_no_json(world: World) -> bytes:
    return world.site.alice.sign(b'{"hv:imagelist": {"hv:images": [], "dc:date:created": "2020-01-01T00:00:00Z"')


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (of_another_list, LIST_2),
        (naming_another_signer, "Bob Endorser"),
        (of_tomorrow, "clock of this machine"),
        (of_no_json, "JSON"),
    ],
)
def test_list_that_would_not_be_admitted_is_kept_aside(empty: World, make: Callable[[World], bytes], why: str):
    simple(empty, 1)
    signed = make(empty)
    empty.old.execute('UPDATE "imageListInstance" SET data = ?', signed)
    empty.old.close()
    report = empty.report(code=1)
    assert empty.problems(report)[0] == "stored-list-not-proved"
    assert why in report["left_out"][0]["text"]
    assert empty.site.states() == {image_id(1): 1}
    assert [path.read_bytes() for path in (empty.store / "quarantine").glob("*.smime")] == [signed]


def test_elders_of_a_list_that_is_lost_are_kept_aside_with_it(empty: World):
    simple(empty, 1, 2)
    second = empty.site.publish("2", empty.site.image(1), dc__date__created=hours_ago(empty.site, 5))
    row = empty.old.take(LIST_ID, second, imported=empty.site.now - timedelta(hours=4))
    empty.old.execute('UPDATE "imageListInstance" SET data = ? WHERE id = ?', second[:-300], row)
    empty.old.close()
    report = empty.report(code=1)
    assert empty.problems(report)[0] == "stored-list-not-proved"
    assert report["counts"]["lists kept aside"] == 2
    assert not list((empty.store / "subscriptions" / LIST_ID).glob("lists/*.smime"))
    assert empty.site.states() == {image_id(1): 1, image_id(2): 1}
    # The mark is that of the newest list that holds: nothing older than it is taken from anybody.
    assert json.loads((empty.store / "marks" / f"{LIST_ID}.json").read_text())["version"] == "1"


def test_newest_list_without_bytes_leaves_no_current_list(empty: World):
    simple(empty, 1)
    second = empty.site.publish("2", empty.site.image(1), dc__date__created=hours_ago(empty.site, 5))
    row = empty.old.take(LIST_ID, second, imported=empty.site.now - timedelta(hours=4))
    empty.old.execute('UPDATE "imageListInstance" SET data = ? WHERE id = ?', b"", row)
    empty.old.close()
    report = empty.report(code=1)
    assert empty.problems(report)[0] == "broken-row"
    assert empty.site.states() == {image_id(1): 1}


def test_elder_list_that_is_lost_does_not_matter_to_the_current_one(empty: World):
    simple(empty, 1)
    empty.old.execute('UPDATE "imageListInstance" SET data = ?', b"Content-Type: text/plain\n\nnothing")
    second = empty.site.publish("2", empty.site.image(1), dc__date__created=hours_ago(empty.site, 5))
    empty.old.take(LIST_ID, second, imported=empty.site.now - timedelta(hours=4))
    empty.old.close()
    report = empty.report(code=1)
    assert empty.problems(report) == ["stored-list-not-proved"]
    assert report["counts"]["lists kept as snapshots"] == 1
    assert empty.site.states() == {image_id(1): 3}


def test_list_of_a_lower_version_never_undoes_a_higher_one(empty: World):
    simple(empty, 1, 2, version="2")
    older = empty.site.publish("1", empty.site.image(1), dc__date__created=hours_ago(empty.site, 5))
    empty.old.take(LIST_ID, older, imported=empty.site.now - timedelta(hours=4))
    empty.old.close()
    report = empty.report(code=1)
    assert empty.problems(report) == ["stored-list-not-proved"]
    assert empty.site.states() == {image_id(1): 3, image_id(2): 3}


def test_list_that_was_signed_again_is_the_current_one_as_it_was(empty: World):
    simple(empty, 1)
    again = empty.site.publish("1", empty.site.image(1), dc__date__created=hours_ago(empty.site, 11))
    empty.old.take(LIST_ID, again, imported=empty.site.now - timedelta(hours=4))
    empty.old.take(LIST_ID, again, imported=empty.site.now - timedelta(hours=3))
    empty.old.close()
    report = empty.report()
    assert report["counts"]["lists kept as snapshots"] == 2
    empty.site.expect(0, "subscribe", "-U")
    assert empty.site.expect(0, "subscribe", "-i", "-u", LIST_ID, "-f", "SMIME").raw == again


def test_list_that_is_over_is_taken_and_its_images_leave_in_the_next_run(empty: World):
    simple(empty, 1)
    empty.old.close()
    empty.site.now += timedelta(days=21)
    report = empty.report()
    assert any("its current list expired on" in note for note in report["notes"])
    assert empty.site.states() == {image_id(1): 1}
    assert empty.cache() == ["ProcessPrefix", "ExpirePrefix 1", "ExpirePostfix 1", "ProcessPostfix"]


def test_signer_whose_certificate_ended_since_still_counts(empty: World):
    from support.defects import DAY

    simple(empty, 1)
    empty.old.close()
    far = {"dc__date__expires": "2499-12-31T22:00:00Z"}
    signed = empty.site.publish("1", empty.site.image(1), dc__date__created=hours_ago(empty.site, 11), **far)
    assert signed
    empty.site.now += 31 * DAY
    report = empty.report()
    assert any("certificate" in note for note in report["notes"])


# -- access


def test_user_name_and_password_are_kept_bound_to_their_origin(empty: World):
    site, old = empty.site, empty.old
    site.server.require_password("user", "s3cret pass", under="/")
    old.endorser("alice", (site.alice.subject, site.alice.issuer))
    old.subscription(LIST_ID, site.server.url("/list"), endorsers=["alice"], userName="user", password="s3cret pass")
    old.image(LIST_ID, image_id(1), cached=True)
    site.publish("1", site.image(1))
    old.close()
    result = empty.import_db()
    assert "sends its password over plain http, as before" in result.out
    assert "s3cret" not in result.out + result.err
    secret = empty.store / "subscriptions" / LIST_ID / "secret.json"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    origin = site.server.url("").rstrip("/")
    assert json.loads(secret.read_text())["origin"] == origin
    subscription = json.loads(secret.with_name("subscription.json").read_text())
    assert (subscription["username"], subscription["username_origin"]) == ("user", origin)
    site.expect(0, "subscribe", "-U")
    lines = site.expect(0, "subscribe", "-i", "-u", LIST_ID).lines
    assert "subscription.hv:uri.username=user" in lines
    assert empty.cache() == ["ProcessPrefix", "AvailablePrefix 1", "AvailablePostfix 1", "ProcessPostfix"]


def test_user_name_and_password_in_the_uri_are_taken_out_of_it(empty: World):
    site, old = empty.site, empty.old
    old.endorser("alice", (site.alice.subject, site.alice.issuer))
    old.subscription(LIST_ID, site.server.url("/list", userinfo="user:s3cret"), endorsers=["alice"])
    old.close()
    result = empty.import_db()
    assert "s3cret" not in result.out + result.err
    assert site.expect(0, "subscribe", "-l").lines == [f"{LIST_ID}\tTrue\tNone\t{site.server.url('/list')}"]
    shown = site.expect(0, "subscribe", "-i", "-u", LIST_ID, "--show-secrets").lines
    assert "subscription.hv:uri.password=s3cret" in shown


def test_user_name_that_cannot_be_sent_is_said_and_left_out(empty: World):
    site, old = empty.site, empty.old
    old.endorser("alice", (site.alice.subject, site.alice.issuer))
    old.subscription(LIST_ID, "https://lists.invalid/list", endorsers=["alice"], userName="us:er", password="s3cret")
    old.close()
    report = empty.report(code=1)
    assert empty.problems(report) == ["bad-password"]
    assert any("verified from now on" in note for note in report["notes"])
    assert not (empty.store / "subscriptions" / LIST_ID / "secret.json").exists()
    assert site.expect(0, "subscribe", "-l").lines == [f"{LIST_ID}\tTrue\tNone\thttps://lists.invalid/list"]


def test_images_named_as_files_of_this_machine_are_noted(empty: World):
    site, old = empty.site, empty.old
    old.endorser("alice", (site.alice.subject, site.alice.issuer))
    old.subscription(LIST_ID, site.server.url("/list"), endorsers=["alice"])
    old.image(LIST_ID, image_id(1), cached=True)
    signed = site.publish("1", site.image(1, hv__uri="file:///srv/image.raw"))
    old.take(LIST_ID, signed, imported=site.now)
    old.close()
    assert any("--allow-file-images" in note for note in empty.report()["notes"])


# -- nothing is changed


def test_dry_run_changes_nothing_and_says_what_the_import_will_do(world: World):
    before = tree(world.old.root.parent, ignore=())
    plan = world.report("--dry-run")
    assert tree(world.old.root.parent, ignore=()) == before
    assert not world.store.exists()
    assert plan["dry_run"] is True
    done = world.report()
    assert {name: plan[name] for name in ("counts", "notes", "left_out", "sha512", "store")} == {
        name: done[name] for name in ("counts", "notes", "left_out", "sha512", "store")
    }


def test_dry_run_on_a_store_that_is_there_changes_nothing(world: World):
    world.import_db(directories=False)
    before = tree(world.old.root, ignore=())
    plan = world.report("--dry-run", "--move")
    assert tree(world.old.root, ignore=()) == before
    assert plan["counts"]["cached files taken"] == 3
    assert "endorsers imported" not in plan["counts"]


def test_dry_run_of_an_old_version_finds_what_the_import_finds(tmp_path: Path, server: Server):
    world = fill(world_of(tmp_path, server, "0.5"))
    before = tree(world.old.root, ignore=())
    plan = world.report("--dry-run", code=1)
    assert tree(world.old.root, ignore=()) == before
    assert world.report(code=1)["left_out"] == plan["left_out"]


@pytest.mark.parametrize("arguments", [(), ("--move",)], ids=["kept", "moved"])
def test_second_import_changes_nothing(world: World, arguments: tuple[str, ...]):
    world.import_db(*arguments)
    ignore = ("vmcatcher/locks/",)
    before = tree(world.old.root, ignore=ignore)
    world.site.now += timedelta(hours=1)
    report = world.report(*arguments)
    assert tree(world.old.root, ignore=ignore) == before
    assert report["counts"]["subscriptions there already"] == 3
    assert report["left_out"] == []


def test_report_is_readable_and_says_what_was_left_out(world: World):
    (world.old.cached / image_id(1)).write_bytes(b"rotten")
    out = world.import_db(code=1).out
    assert f"database: {world.old.path} (version 0.6)\n" in out
    assert "endorsers imported: 2\ncredentials imported: 3\n" in out
    assert f"left out: {world.old.cached / image_id(1)} stays where it is" in out
    assert f"[{world.old.cached / image_id(1)}]" in out


@pytest.mark.parametrize(
    ("spoil", "code", "word"),
    [
        (lambda world: world.old.path.unlink(), 1, "no-such-database"),
        (
            lambda world: world.old.path.write_bytes(b"no database at all, but a text " * 100),
            1,
            "not-a-classic-database",
        ),
        (lambda world: shutil.rmtree(world.old.cached), 1, "view-directory-missing"),
        (lambda world: shutil.rmtree(world.site.pki.certificates), 1, "trust-directory-missing"),
    ],
    ids=["no-database", "no-sqlite", "no-directory", "no-trust"],
)
def test_import_that_cannot_begin_makes_no_store(world: World, spoil: Callable[[World], Any], code: int, word: str):
    spoil(world)
    result = world.import_db(code=code)
    assert f"[{word}]" in result.err
    assert not world.store.exists()


def test_import_beside_a_cache_run_waits_its_turn(world: World):
    from vmcatcher.store.layout import Layout
    from vmcatcher.store.locks import Holder, hold

    world.import_db(directories=False)
    layout = Layout(str(world.store), str(world.store / "blobs"))
    with hold(layout, "cache", Holder("another run", world.site.now), wait_s=0):
        assert "another run" in world.import_db(code=75).err


# -- rows that say nothing


_BROKEN = {
    "endorser without a name": ("endorser", 2, "identifier = ''"),
    "endorser that cannot be printed": ("endorser", 2, "identifier = 'a' || char(10)"),
    "credential of nobody": ("endorserPrincible", 3, "endorser = 77"),
    "credential without an issuer": ("endorserPrincible", 2, "hv_ca = ''"),
    "subscription whose name leads elsewhere": ("subscription", 2, "identifier = '../../x'"),
    "subscription without a place": ("subscription", 2, "uri = 'nowhere'"),
    "subscription of an unknown policy": ("subscription", 2, '"updateMode" = 9'),
    "subscription of an unknown trust": ("subscription", 2, "\"trustAnchor\" = 'x'"),
    "subscription not authorised": ("subscription", 2, "authorised = 0"),
    "subscription in another encoding": ("subscription", 2, "identifier = CAST(x'e9e9' AS TEXT)"),
    "link to nobody": ("subscriptionAuth", 2, "endorser = NULL"),
    "link not authorised": ("subscriptionAuth", 2, "authorised = 0"),
    "image of nobody": ("ImageDefinition", 5, "subscription = NULL"),
    "image whose name leads elsewhere": ("ImageDefinition", 5, "identifier = '../x'"),
    "image half selected": ("ImageDefinition", 5, "cache = 'yes'"),
    "list of nobody": ("imageListInstance", 3, "sub_auth = 99"),
    "list without bytes": ("imageListInstance", 3, "data = ''"),
}


@pytest.mark.parametrize("case", _BROKEN)
def test_broken_row_is_named_and_everything_else_is_taken(tmp_path: Path, server: Server, case: str):
    world = fill(world_of(tmp_path, server))
    table, number, change = _BROKEN[case]
    world.old.reopen()
    world.old.execute(f'UPDATE "{table}" SET {change} WHERE id = ?', number)
    world.old.close()
    report = world.report(code=1)
    row = f"{table} row {number} "
    assert any(one["text"].startswith(row) and one["id"] == "broken-row" for one in report["left_out"]), report
    states = world.site.states()
    assert {image: states[image] for image in map(image_id, (1, 2, 3, 4))} == {
        image_id(1): 3, image_id(2): 3, image_id(3): 2, image_id(4): 1,
    }  # fmt: skip
    assert check_invariants(world.store) == []


def test_credential_that_two_endorsers_claim_stays_with_the_first(tmp_path: Path, server: Server):
    world = world_of(tmp_path, server, unique_dn=False)
    subject, issuer = world.site.alice.subject, world.site.alice.issuer
    world.old.endorser("first", (subject, issuer))
    world.old.endorser("second", (subject, issuer), (subject, "/DC=test/CN=Another CA"))
    world.old.close()
    report = world.report(code=1)
    assert world.problems(report) == ["credential-taken"]
    assert any("under another issuer" in note for note in report["notes"])
    assert world.site.expect(0, "endorser", "-l").lines == [
        f"'first'\t'{subject}'\t'{issuer}'",
        f"'second'\t'{subject}'\t'/DC=test/CN=Another CA'",
    ]


# -- interruptions


class Killed(BaseException):
    """The process is gone."""


def _kill_at(monkeypatch: pytest.MonkeyPatch, number: int) -> list[int]:
    """Let the `number`-th change of the tree never happen; return a list that counts the changes."""
    counted = [0]

    def watched(change: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*arguments: Any, **options: Any) -> Any:
            counted[0] += 1
            if counted[0] == number:
                raise Killed
            return change(*arguments, **options)

        return wrapper

    for name in ("put", "adopt", "copy_in", "link", "drop"):
        monkeypatch.setattr(files, name, watched(getattr(files, name)))
    return counted


def _shape(store: Path) -> dict[str, str]:
    """What is in a store, but for when it was made."""
    moments = ("vmcatcher.json", "index.tsv", "subscription.json", ".json", ".evidence")
    return {path: what[:4] if path.endswith(moments) else what for path, what in tree(store).items()}


def _changes(world: World, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    with monkeypatch.context() as patch:
        counted = _kill_at(patch, 0)
        world.import_db(*arguments)
        return counted[0]


def test_import_that_was_killed_anywhere_is_completed_by_the_next(empty: World, monkeypatch: pytest.MonkeyPatch):
    signed = simple(empty, 1, 2)
    empty.old.expire(image_id(1), content_of(1), STAMP, signed)
    empty.old.execute("UPDATE subscription SET userName = 'user', password = 'word'")
    empty.old.close()
    whole = empty.old.root / "whole"
    changes = _changes(empty, monkeypatch, "--store", str(whole))
    expected = _shape(whole)
    assert changes > 20
    for number in range(1, changes + 1):
        store = empty.old.root / f"store-{number}"
        with monkeypatch.context() as patch:
            _kill_at(patch, number)
            with pytest.raises(Killed):
                empty.import_db("--store", str(store))
        if (store / "vmcatcher.json").exists():
            stopped = empty.site.run("image", "-l", "--store", str(store))
            assert (stopped.code, "import-db" in stopped.err) == (1, True), f"after change {number}"
        empty.import_db("--store", str(store))
        assert _shape(store) == expected, f"after change {number}"
        assert check_invariants(store) == []
        shutil.rmtree(store)


def test_move_that_was_killed_anywhere_loses_no_image(empty: World, monkeypatch: pytest.MonkeyPatch):
    signed = simple(empty, 1)
    empty.old.expire(image_id(1), content_of(1), STAMP, signed)
    empty.old.close()
    empty.import_db()
    kept = empty.old.root.parent / "kept"
    shutil.copytree(empty.old.root, kept, symlinks=True)
    changes = _changes(empty, monkeypatch, "--move")
    for number in range(1, changes + 1):
        shutil.rmtree(empty.old.root)
        shutil.copytree(kept, empty.old.root, symlinks=True)
        with monkeypatch.context() as patch:
            _kill_at(patch, number)
            with pytest.raises(Killed):
                empty.import_db("--move")
        assert (empty.old.cached / image_id(1)).read_bytes() == content_of(1)
        empty.import_db("--move")
        assert link_of(empty.old.cached / image_id(1)) is not None
        assert link_of(empty.old.expired / f"{image_id(1)}.{STAMP}") is not None
        assert check_invariants(empty.store) == []


# -- what the operator did after an import stays done


def test_what_was_removed_after_the_import_is_not_brought_back(world: World):
    world.import_db()
    world.site.expect(0, "subscribe", "-D", "-u", LIST_2)
    world.site.expect(0, "endorser", "-D", "-e", "Bob's own")
    world.site.expect(0, "image", "-r", "-u", image_id(1))
    report = world.report()
    notes = "\n".join(report["notes"])
    assert f"subscription {LIST_2} was deleted after the import" in notes
    assert "endorser 'Bob's own' was deleted after the import" in notes
    assert world.site.states()[image_id(1)] == 2
    assert len(world.site.expect(0, "subscribe", "-l").lines) == 2
    assert len(world.site.expect(0, "endorser", "-l").lines) == 2


def test_image_that_left_after_the_import_is_not_brought_back(world: World):
    world.import_db()
    world.site.expect(0, "image", "-r", "-u", image_id(1))
    assert world.cache() == ["ProcessPrefix", "ExpirePrefix 1", "ExpirePostfix 1", "ProcessPostfix"]
    report = world.report("--move")
    assert any("has left the cache since" in note for note in report["notes"])
    assert link_of(world.old.cached / image_id(1)) is None
    assert world.cache() == ["ProcessPrefix", "ProcessPostfix"]


def test_classic_changes_after_an_import_are_added_by_the_next(world: World):
    world.import_db()
    world.old.reopen()
    world.old.endorser("carol", ("/DC=test/DC=grid/CN=Carol", world.site.alice.issuer))
    world.old.close()
    report = world.report()
    assert report["counts"]["endorsers imported"] == 1
    assert len(world.site.expect(0, "endorser", "-l").lines) == 4


def test_image_that_a_subscription_of_the_store_has_stays_its_own(empty: World):
    site = empty.site
    site.environment["VMCATCHER_STORE"] = str(empty.store)
    assert site.call("vmcatcher", "store", "init").code == 0
    site.join(site.image(1))
    empty.old.endorser("bob", (empty.bob.subject, empty.bob.issuer))
    empty.old.subscription(LIST_2, site.server.url("/list2"), endorsers=["bob"])
    empty.old.image(LIST_2, image_id(1), cached=True)
    empty.old.close()
    report = empty.report(code=1)
    assert empty.problems(report) == ["image-of-another-list"]
    assert site.states() == {image_id(1): 2}


# -- which store


def test_every_command_stops_until_the_database_is_imported(world: World):
    for command, arguments in (
        ("image", ["-l"]), ("endorser", ["-l"]), ("subscribe", ["-U"]), ("cache", []),
        ("endorser", ["-C", "-e", "x", "--dn", "/CN=x", "-I", "/CN=y"]),
    ):  # fmt: skip
        result = world.site.run(command, *arguments)
        assert result.code == 1
        assert f"vmcatcher store import-db --store {world.store} {world.old.path}" in result.err
    world.import_db()
    world.site.expect(0, "image", "-l")


def test_store_made_in_passing_stops_when_a_database_appears_beside_it(world: World):
    away = world.old.path.rename(world.old.root / "away.db")
    world.site.expect(0, "endorser", "-C", "-e", "x", "--dn", "/CN=x", "-I", "/CN=y")
    world.site.expect(0, "endorser", "-l")
    away.rename(world.old.path)
    assert "import-db" in world.site.expect(1, "endorser", "-l").err
    world.import_db()
    assert len(world.site.expect(0, "endorser", "-l").lines) == 4


def test_store_made_on_purpose_goes_before_the_database(world: World):
    assert world.site.call("vmcatcher", "store", "init", str(world.store)).code == 0
    assert world.site.expect(0, "endorser", "-l").lines == []


def test_store_made_on_purpose_stops_once_an_import_was_begun(empty: World, monkeypatch: pytest.MonkeyPatch):
    simple(empty, 1)
    empty.old.close()
    assert empty.site.call("vmcatcher", "store", "init", str(empty.store)).code == 0
    with monkeypatch.context() as patch:
        _kill_at(patch, 8)
        with pytest.raises(Killed):
            empty.import_db()
    assert "import-db" in empty.site.expect(1, "image", "-l").err
    empty.import_db()
    assert empty.site.states() == {image_id(1): 3}


def test_store_named_otherwise_stops_for_an_import_that_was_begun(empty: World, monkeypatch: pytest.MonkeyPatch):
    simple(empty, 1)
    empty.old.close()
    with monkeypatch.context() as patch:
        _kill_at(patch, 5)
        with pytest.raises(Killed):
            empty.import_db()
    del empty.site.environment["VMCATCHER_RDBMS"]
    empty.site.environment["VMCATCHER_STORE"] = str(empty.store)
    assert "import-db" in empty.site.expect(1, "image", "-l").err
    empty.old.path.unlink()
    empty.site.expect(0, "image", "-l")


def test_import_goes_into_the_store_that_is_named(world: World, tmp_path: Path):
    world.import_db(VMCATCHER_STORE=str(tmp_path / "named"))
    assert (tmp_path / "named" / "vmcatcher.json").exists()
    assert not world.store.exists()


@pytest.mark.parametrize("spelling", ["{path}", "sqlite:///{path}", "file://{path}"])
def test_database_may_be_named_in_several_ways(empty: World, spelling: str):
    empty.old.close()
    empty.import_db(spelling.format(path=empty.old.path))
    assert json.loads((empty.store / "vmcatcher.json").read_text())["imported"][0]["database"] == str(empty.old.path)


def test_database_of_a_server_is_refused_without_its_password(empty: World):
    empty.old.close()
    result = empty.import_db(f"mysql://root:s3cret@db.invalid/{empty.old.path}", code=1)
    assert "only SQLite databases" in result.err
    assert "s3cret" not in result.err


def test_directories_of_the_settings_are_taken(world: World):
    world.with_classic_cron_file()
    report = world.report(directories=False)
    assert report["counts"]["cached files taken"] == 3
    assert report["counts"]["expired files taken"] == 2


def test_import_as_an_installed_command(world: World):
    site = world.site
    done = site.call("vmcatcher", "store", "import-db", "--cache-dir", str(world.old.cached), world.old.url)
    assert (done.code, done.err) == (0, "")
    again = site.call("vmcatcher_image", "-l", VMCATCHER_RDBMS=world.old.url)
    assert again.lines[0] == f"{image_id(1)}\t3\t{LIST_ID}"


def test_stamp_is_local_time():
    """What the test of expired records relies on."""
    assert datetime.strptime(STAMP, "%Y-%m-%d_%H-%M-%S").astimezone(UTC).hour == 4
