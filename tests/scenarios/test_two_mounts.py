"""Store, blobs and views on disks of their own: real ext4 file systems, which no rename or hard link can cross."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.mounts import loop_mount, private_mounts
from support.site import Site, image_id
from support.tree import check_invariants, tree
from vmcatcher.services import stores

pytestmark = pytest.mark.root

MIB = 2**20


@dataclass
class Disks:
    """A site whose store is on one disk and whose views are on another."""

    site: Site
    store: Path
    images: Path

    @property
    def views(self) -> Path:
        return self.images / "views"

    def keep_blobs(self, where: str) -> None:
        """Make the store, with its blobs on the disk of that name."""
        places = {
            "with the store": None,
            "beside the views": str(self.images / "blobs"),
            "on a third disk": str(self.site.root / "blobs"),
        }
        stores.init_store(str(self.site.store), blobs=places[where])

    def cache(self, links: str, *words: str, code: int = 0) -> list[str]:
        """Run vmcatcher_cache on the views; return what was told."""
        directories = ("-C", f"{self.views}", "-p", f"{self.images}/partial/", "-e", f"{self.images}/expired")
        self.site.cache(*directories, "--view-links", links, *words, code=code)
        return self.site.told()

    def shown(self) -> dict[str, bytes]:
        """Return what is in the three directories, as path -> first bytes."""
        found = {}
        for directory in (self.views, self.images / "partial", self.images / "expired"):
            for path in directory.iterdir():
                if path.name != "cache.index":
                    name = path.name.partition(".")[0][-1]
                    found[f"{directory.name}/{name}"] = path.read_bytes()[:17]
        return found


@pytest.fixture
def disks(site: Site) -> Iterator[Disks]:
    with (
        private_mounts(),
        loop_mount(site.root / "disk-of-the-store", 48) as store,
        loop_mount(site.root / "disk-of-the-images", 24) as images,
    ):
        site.store = store / "vmcatcher"
        site.environment["VMCATCHER_STORE"] = str(site.store)
        for name in ("views", "partial", "expired"):
            (images / name).mkdir()
        assert len({path.stat().st_dev for path in (site.root, store, images)}) == 3
        yield Disks(site, store, images)


COMBINATIONS = [
    ("symlink", "with the store"),
    ("symlink", "beside the views"),
    ("symlink", "on a third disk"),
    ("copy", "with the store"),
    ("copy", "beside the views"),
    ("copy", "on a third disk"),
    ("hardlink", "beside the views"),
]


@pytest.mark.parametrize(("links", "where"), COMBINATIONS)
def test_images_come_change_and_leave_across_disks(disks: Disks, links: str, where: str):
    site = disks.site
    disks.keep_blobs(where)
    site.join(site.image(1), site.image(2))
    site.select(1, 2)
    told = disks.cache(links)
    assert sorted(told[1:-1:2]) == ["AvailablePrefix 1", "AvailablePrefix 2"]
    assert disks.shown() == {"views/1": b"image 1 version 1", "views/2": b"image 2 version 1"}
    mode = (disks.views / image_id(1)).lstat().st_mode
    assert stat.S_ISLNK(mode) if links == "symlink" else stat.S_IMODE(mode) == 0o444
    site.server.forget()
    before = tree(disks.images)
    assert disks.cache(links) == ["ProcessPrefix", "ProcessPostfix"]
    assert (tree(disks.images), site.server.requests) == (before, [])

    site.publish("2", site.image(1, "2"))
    site.expect(0, "subscribe", "-U")
    told = disks.cache(links)
    assert told == [
        *("ProcessPrefix", "ExpirePrefix 2", "ExpirePostfix 2", "ExpirePrefix 1", "ExpirePostfix 1"),
        *("AvailablePrefix 1", "AvailablePostfix 1", "ProcessPostfix"),
    ]
    assert disks.shown() == {
        "views/1": b"image 1 version 2",
        "expired/1": b"image 1 version 1",
        "expired/2": b"image 2 version 1",
    }


@pytest.mark.parametrize(("links", "where"), COMBINATIONS[::3])
def test_corrupt_bytes_are_put_aside_and_fetched_again_across_disks(disks: Disks, links: str, where: str):
    site = disks.site
    disks.keep_blobs(where)
    site.join(site.image(1))
    site.select(1)
    disks.cache(links)
    blobs = site.root / "blobs" if where == "on a third disk" else disks.images / "blobs"
    (blob,) = (blobs if where != "with the store" else site.store / "blobs").glob("sha512/*/*")
    blob.chmod(0o644)
    blob.write_bytes(b"I" + blob.read_bytes()[1:])
    blob.chmod(0o444)
    told = disks.cache(links, "-s", code=1)
    assert told == [
        *("ProcessPrefix", "ExpirePrefix 1", "ExpirePostfix 1", "AvailablePrefix 1", "AvailablePostfix 1"),
        "ProcessPostfix",
    ]
    assert disks.shown() == {"views/1": b"image 1 version 1", "expired/1": b"Image 1 version 1"}
    assert disks.cache(links, "-s") == ["ProcessPrefix", "ProcessPostfix"]


@pytest.mark.parametrize("where", ["with the store", "on a third disk"])
def test_hard_links_across_disks_are_refused_in_one_line_before_anything_is_done(disks: Disks, where: str):
    site = disks.site
    disks.keep_blobs(where)
    site.join(site.image(1), site.image(2))
    site.select(1, 2)
    before = tree(disks.store), tree(disks.images)
    site.server.forget()
    result = site.run("cache", "-C", f"{disks.views}", "-p", f"{disks.images}/partial", "-e", f"{disks.images}/expired",
                      "--view-links", "hardlink", "-x", f"cat >> {site.events}")  # fmt: skip
    assert result.code == 1
    assert len(result.err.splitlines()) == 1
    assert f"'{disks.views}' cannot hold hard links to" in result.err
    assert "--view-links copy" in result.err
    assert site.told() == []
    assert ((tree(disks.store), tree(disks.images)), site.server.requests) == (before, [])
    disks.cache("copy")
    assert sorted(disks.shown()) == ["views/1", "views/2"]


def test_one_view_on_another_disk_is_enough_to_refuse_hard_links(disks: Disks):
    disks.keep_blobs("beside the views")
    site = disks.site
    site.join(site.image(1))
    (site.root / "expired").mkdir()
    result = site.run("cache", "-C", f"{disks.views}", "-p", f"{disks.images}/partial", "-e", f"{site.root}/expired",
                      "--view-links", "hardlink")  # fmt: skip
    assert (result.code, f"'{site.root}/expired' cannot hold hard links" in result.err) == (1, True)


def test_full_disk_of_the_views_leaves_no_half_copy_and_the_next_run_goes_on(disks: Disks):
    """The blobs fit, the copies do not: the disk is full in the middle of the second, which needs no space twice."""
    site = disks.site
    disks.keep_blobs("with the store")
    filling = disks.images / "somebody else's"
    filling.write_bytes(bytes(14 * MIB))
    site.join(site.image(1, content=os.urandom(4 * MIB)), site.image(2, content=os.urandom(9 * MIB)))
    site.select(1, 2)
    told = disks.cache("copy", code=75)
    assert told == ["ProcessPrefix", "AvailablePrefix 1", "AvailablePostfix 1", "ProcessPostfix"]
    assert list(disks.shown()) == ["views/1"]
    left = [name for directory in ("views", "partial") for name in os.listdir(disks.images / directory)]
    assert sorted(left) == sorted(["cache.index", image_id(1)])

    result = site.run("cache", "-C", f"{disks.views}", "-p", f"{disks.images}/partial", "-e", f"{disks.images}/expired",
                      "--view-links", "copy")  # fmt: skip
    assert result.code == 75
    assert len(result.err.splitlines()) == 1
    assert "no space for" in result.err
    assert image_id(2) in result.err

    filling.unlink()
    assert disks.cache("copy") == ["ProcessPrefix", "AvailablePrefix 2", "AvailablePostfix 2", "ProcessPostfix"]
    assert sorted(disks.shown()) == ["views/1", "views/2"]
    assert (disks.views / image_id(2)).stat().st_size == 9 * MIB
    # Each was fetched once, however often the copy failed.
    assert [site.server.gets(f"/images/{number}-v1.raw") for number in (1, 2)] == [1, 1]


def test_full_disk_of_the_views_still_lets_images_leave(disks: Disks):
    site = disks.site
    disks.keep_blobs("with the store")
    site.join(site.image(1, content=os.urandom(4 * MIB)), site.image(2))
    site.select(1)
    disks.cache("copy")
    with (disks.images / "somebody else's").open("wb") as filling:
        try:
            while filling.write(bytes(MIB)):
                filling.flush()
        except OSError:
            pass
    site.pki.revoke(site.alice)
    told = disks.cache("copy", code=0)
    assert told == ["ProcessPrefix", "ExpirePrefix 1", "ExpirePostfix 1", "ProcessPostfix"]
    assert [name.partition("/")[0] for name in disks.shown()] == ["expired"]
    assert check_invariants(site.store) == []


def test_disk_of_the_views_that_is_not_mounted_is_no_empty_view(disks: Disks):
    site = disks.site
    disks.keep_blobs("with the store")
    site.join(site.image(1))
    site.select(1)
    disks.cache("symlink")
    os.rename(disks.views, disks.images / "elsewhere")
    before = tree(disks.store)
    result = site.run("cache", "-C", f"{disks.views}", "-x", f"cat >> {site.events}")
    assert result.code == 1
    assert site.told() == []
    assert tree(disks.store) == before
