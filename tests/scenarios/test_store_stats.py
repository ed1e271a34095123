"""What `vmcatcher store stats` counts."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from support.pruning import blob, blobs, lapse, vmcatcher
from support.site import Result, Site, image_id
from support.tree import tree


def stats(site: Site, *options: str) -> Result:
    return vmcatcher(site, "store", "stats", *options)


def kinds(site: Site) -> dict[str, Any]:
    result = stats(site, "--json")
    assert result.code == 0, result
    found: dict[str, Any] = result.answer["kinds"]
    return found


@pytest.fixture
def lived_in(site: Site) -> Site:
    site.join(site.image(1), site.image(2), site.image(3))
    site.select(1, 2)
    site.cache()
    site.expect(0, "image", "-r", "-u", image_id(2))
    site.publish("2", site.image(1), site.image(2), site.image(3))
    site.expect(0, "subscribe", "-U")
    site.run("cache", "-x", "case $VMCATCHER_EVENT_TYPE in ExpirePostfix) exit 1;; esac")
    return site


def test_every_kind_is_counted(lived_in: Site):
    found = {kind: one["count"] for kind, one in kinds(lived_in).items()}
    assert found == {
        "endorsers": 1,
        "subscriptions": 1,
        "snapshots": 2,
        "images endorsed": 1,
        "images staged": 0,
        "images expiring": 0,
        "images failing": 0,
        "images expired": 1,
        "blobs needed": 2,
        "blobs unneeded": 0,
        "partial downloads": 0,
        "quarantine": 0,
        "events owed": 1,
        "events failed": 0,
        "event log": 2,
        "temporary files": 0,
    }


def test_bytes_are_those_of_the_files_and_of_the_disk(lived_in: Site):
    needed = kinds(lived_in)["blobs needed"]
    stats_of = [blob(lived_in, digest).stat() for digest in blobs(lived_in)]
    assert needed["bytes"] == sum(one.st_size for one in stats_of)
    assert needed["allocated"] == sum(one.st_blocks * 512 for one in stats_of)


def test_blob_that_nothing_names_is_counted_apart(lived_in: Site):
    path = blob(lived_in, "ab" * 64)
    path.parent.mkdir(exist_ok=True)
    with path.open("wb") as sparse:
        sparse.truncate(10 * 2**20)
    found = kinds(lived_in)
    assert (found["blobs needed"]["count"], found["blobs unneeded"]["count"]) == (2, 1)
    assert found["blobs unneeded"]["bytes"] == 10 * 2**20
    assert found["blobs unneeded"]["allocated"] < 2**20


def test_left_overs_and_quarantine_are_counted(lived_in: Site):
    digest = "cd" * 64
    for name in (f"{digest}.1-{'a' * 12}", f"{digest}.1-{'a' * 12}.json", f".tmp-1-{'b' * 16}"):
        (lived_in.store / "partial" / name).write_bytes(b"x")
    (lived_in.store / "quarantine" / "something").write_bytes(b"xyz")
    (lived_in.store / "events" / "failed" / "abc.json").write_bytes(b"{}")
    found = kinds(lived_in)
    assert (found["partial downloads"]["count"], found["partial downloads"]["bytes"]) == (1, 2)
    assert found["temporary files"]["count"] == 1
    assert (found["quarantine"]["count"], found["quarantine"]["bytes"]) == (1, 3)
    assert found["events failed"]["count"] == 1


def test_oldest_and_newest_are_told(site: Site):
    site.join(site.image(1), site.image(2))
    site.select(1)
    site.cache()
    first = site.now
    site.now += timedelta(days=1)
    site.select(2)
    site.cache()
    found = kinds(site)["images endorsed"]
    assert (found["oldest"], found["newest"]) == (f"{first:%Y-%m-%dT%H:%M:%SZ}", f"{site.now:%Y-%m-%dT%H:%M:%SZ}")


def test_space_of_each_file_system_is_told(lived_in: Site):
    (space,) = stats(lived_in, "--json").answer["file_systems"]
    found = os.statvfs(lived_in.store)
    assert space["path"] == str(lived_in.store)
    assert space["total"] == found.f_blocks * found.f_frsize
    assert abs(space["free"] - found.f_bavail * found.f_frsize) < 2**30  # others write to the same disk


def test_lines_say_the_same_as_the_document(lived_in: Site):
    lines = stats(lived_in).lines
    found = kinds(lived_in)
    one = found["blobs needed"]
    expected = ("kind", "blobs needed", "2", one["bytes"], one["allocated"], one["oldest"], one["newest"])
    assert "\t".join(map(str, expected)) in lines
    assert "kind\tevents owed\t1\t-\t-\t-\t-" in lines
    assert lines[-1].startswith(f"space\t{lived_in.store}\t")
    assert len(lines) == len(found) + 1


def test_nothing_is_changed_and_no_image_is_read(lived_in: Site):
    before = tree(lived_in.store, ignore=())
    for digest in blobs(lived_in):
        os.utime(blob(lived_in, digest), (1, 1))
    kinds(lived_in)
    assert {blob(lived_in, digest).stat().st_atime for digest in blobs(lived_in)} == {1.0}
    assert tree(lived_in.store, ignore=()) == before


def test_what_cannot_be_read_is_said_and_the_rest_is_counted(lived_in: Site):
    path = lived_in.store / "cache" / image_id(2) / "1.json"
    path.write_text("{")
    result = stats(lived_in, "--json")
    assert result.code == 1
    assert result.answer["kinds"]["images expired"]["count"] == 0
    assert [one["id"] for one in result.errors] == ["document-damaged"]
    assert str(path) in result.err


def test_store_that_is_not_there_is_said_so(site: Site):
    result = stats(site)
    assert result.code == 75
    assert "there is no store" in result.err


def test_hard_links_of_one_file_take_their_space_once(lived_in: Site):
    first, *_ = (blob(lived_in, digest) for digest in blobs(lived_in))
    before = kinds(lived_in)["blobs unneeded"]["allocated"]
    other = blob(lived_in, "ee" * 64)
    other.parent.mkdir(exist_ok=True)
    third = blob(lived_in, "ee" * 63 + "ff")
    Path(other).write_bytes(first.read_bytes())
    os.link(other, third)
    found = kinds(lived_in)["blobs unneeded"]
    assert found["count"] == 2
    assert found["allocated"] - before == other.stat().st_blocks * 512


def test_stats_count_what_pruning_would_drop(lived_in: Site):
    lived_in.cache()
    lapse(lived_in, timedelta(days=100))
    plan = vmcatcher(lived_in, "store", "prune", "--dry-run", "--json").answer
    assert [one["kind"] for one in plan["dropped"]] == ["expired", "blob"]
    vmcatcher(lived_in, "store", "prune", "--grace", "keep")
    found = kinds(lived_in)
    assert found["blobs unneeded"]["allocated"] == plan["dropped"][1]["freed"]
