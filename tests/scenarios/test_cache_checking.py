"""Checking cached bytes: what is found, what is read again, and what becomes of it."""

from __future__ import annotations

import os
import random
from datetime import timedelta
from pathlib import Path

import pytest

from support.site import Site, image_id


@pytest.fixture
def cached(site: Site) -> Site:
    site.join(site.image(1), site.image(2))
    site.select(1, 2)
    site.cache()
    site.told()
    site.server.forget()
    return site


@pytest.fixture
def reads(monkeypatch):
    """The blobs whose bytes were read for a check, since the last look."""
    from vmcatcher.store import blobs

    found: list[str] = []
    is_intact = blobs.is_intact

    def counted(layout, sha512, size_bytes, *goes_on):
        found.append(sha512)
        return is_intact(layout, sha512, size_bytes, *goes_on)

    monkeypatch.setattr(blobs, "is_intact", counted)
    return found


def blob(site, number=1):
    return Path(os.path.realpath(site.store / "endorsed" / image_id(number)))


def spoil(path, content):
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(0o444)


def flip(path):
    content = bytearray(path.read_bytes())
    content[random.randrange(len(content))] ^= 1 << random.randrange(8)
    spoil(path, bytes(content))


def to_link(path):
    real = path.parent / "real"
    path.rename(real)
    path.symlink_to(real)


SPOILERS = {
    "a flipped bit": flip,
    "a byte less": lambda path: spoil(path, path.read_bytes()[:-1]),
    "a byte more": lambda path: spoil(path, path.read_bytes() + b"x"),
    "nothing in it": lambda path: spoil(path, b""),
    "a link": to_link,
    "a directory": lambda path: (path.unlink(), path.mkdir()),
    "a pipe": lambda path: (path.unlink(), os.mkfifo(path)),
}


@pytest.mark.timeout(30)
@pytest.mark.parametrize("how", SPOILERS)
def test_check_finds_what_is_wrong_and_fetches_it_again(cached: Site, how: str):
    SPOILERS[how](blob(cached))
    result = cached.run("cache", "-s", "-x", f"cat >> {cached.events}")
    assert result.code == 1
    assert cached.told() == [
        "ProcessPrefix",
        "ExpirePrefix 1",
        "ExpirePostfix 1",
        "AvailablePrefix 1",
        "AvailablePostfix 1",
        "ProcessPostfix",
    ]
    assert len(list((cached.store / "quarantine").iterdir())) == 1
    assert sum(image_id(1) in line for line in result.err.splitlines()) == 1
    assert "kept aside as quarantine/" in result.err
    assert cached.endorsed()[image_id(1)] == b"image 1 version 1\n" * 100
    assert cached.server.gets("/images/1-v1.raw") == 1
    cached.cache("-s")
    assert cached.told() == ["ProcessPrefix", "ProcessPostfix"]


@pytest.mark.timeout(30)
@pytest.mark.parametrize("how", SPOILERS)
def test_default_run_finds_it_too_because_the_file_was_touched(cached: Site, how: str):
    SPOILERS[how](blob(cached))
    assert cached.run("cache").code == 1
    assert cached.endorsed()[image_id(1)] == b"image 1 version 1\n" * 100


def test_every_single_bit_that_flips_is_found(site: Site):
    site.join(site.image(1, content=b"tiny"))
    site.select(1)
    site.cache()
    for bit in range(32):
        content = bytearray(b"tiny")
        content[bit // 8] ^= 1 << bit % 8
        spoil(blob(site), bytes(content))
        assert site.run("cache", "-s").code == 1, bit
        assert site.endorsed() == {image_id(1): b"tiny"}
    assert len(list((site.store / "quarantine").iterdir())) == 32
    assert len(site.expired()) == 32


def test_corrupt_image_that_cannot_be_fetched_again_leaves_and_comes_back_later(cached: Site):
    flip(blob(cached))
    cached.server.withdraw("/images/1-v1.raw")
    cached.cache("-s", code=1)
    assert cached.told() == ["ProcessPrefix", "ExpirePrefix 1", "ExpirePostfix 1", "ProcessPostfix"]
    assert list(cached.endorsed()) == [image_id(2)]
    cached.image(1)
    cached.cache()
    assert cached.told() == ["ProcessPrefix", "AvailablePrefix 1", "AvailablePostfix 1", "ProcessPostfix"]


def test_corrupt_image_is_never_seen_in_the_endorsed_view_after_its_expiry_is_told(cached: Site):
    flip(blob(cached))
    handler = f'test -e {cached.store}/endorsed/{image_id(1)}; echo "$VMCATCHER_EVENT_TYPE $?" >> {cached.events}'
    cached.run("cache", "-s", "-x", handler)
    seen = dict(line.split() for line in cached.events.read_text().splitlines())
    assert seen == {
        "ProcessPrefix": "0",
        "ExpirePrefix": "1",  # corrupt bytes are out of use before anything else
        "ExpirePostfix": "1",
        "AvailablePrefix": "1",
        "AvailablePostfix": "0",
        "ProcessPostfix": "0",
    }


def test_what_was_put_aside_is_what_was_found(cached: Site):
    spoil(blob(cached), b"rotten")
    cached.cache("-s", code=1)
    (aside,) = (cached.store / "quarantine").iterdir()
    assert aside.read_bytes() == b"rotten"
    (left,) = cached.expired().items()
    assert left[0].startswith(image_id(1) + ".")
    assert left[1] == b"rotten"


def test_corrupt_replaced_image_leaves_as_corrupt_and_the_new_version_comes(cached: Site):
    cached.publish("2", cached.image(1, "2"), cached.image(2))
    cached.expect(0, "subscribe", "-U")
    flip(blob(cached))
    cached.cache("-s", "-D", code=1)
    reasons = [event["REASON"] for event in cached.noted() if event["TYPE"] == "ExpirePostfix"]
    assert reasons == ["corrupt"]
    assert cached.endorsed()[image_id(1)].startswith(b"image 1 version 2")


def test_check_alone_looks_at_images_that_are_about_to_leave(cached: Site):
    cached.expect(0, "image", "-r", "-u", image_id(1))
    flip(blob(cached))
    cached.cache("-s", code=1)
    assert cached.told() == ["ProcessPrefix", "ExpirePrefix 1", "ExpirePostfix 1", "ProcessPostfix"]
    assert list(cached.endorsed()) == [image_id(2)]


def test_bytes_that_rotted_while_nobody_used_them_are_not_published_again(cached: Site):
    path = blob(cached)
    cached.expect(0, "image", "-r", "-u", image_id(1))
    cached.cache()
    flip(path)
    cached.select(1)
    cached.server.forget()
    cached.told()
    result = cached.cache("-D")
    assert "kept aside as quarantine/" in result.err
    assert cached.endorsed()[image_id(1)] == b"image 1 version 1\n" * 100
    assert cached.server.gets("/images/1-v1.raw") == 1
    assert cached.told() == ["ProcessPrefix", "AvailablePrefix 1", "AvailablePostfix 1", "ProcessPostfix"]


def test_bytes_that_are_published_again_are_read_once(cached: Site, reads):
    cached.expect(0, "image", "-r", "-u", image_id(1))
    cached.expect(0, "cache")
    cached.select(1)
    cached.server.forget()
    cached.expect(0, "cache")
    assert reads == [blob(cached).name]
    assert cached.server.requests == []
    cached.expect(0, "cache")
    assert len(reads) == 1


def test_bytes_that_were_just_fetched_are_not_read_again_for_an_image_that_shares_them(site: Site, reads):
    first = site.image(1)
    same = ("hv:size", "hv:uri", "sl:checksum:sha512")
    site.join(first, {**site.image(2), **{key: first[key] for key in same}})
    site.select(1, 2)
    site.expect(0, "cache")
    assert reads == []


def test_corrupt_bytes_that_cannot_be_put_aside_are_never_published_again(cached: Site, monkeypatch):
    from vmcatcher.errors.store import StoreInputOutput
    from vmcatcher.store import files

    flip(blob(cached))

    def broken(path, destination):
        raise StoreInputOutput(path=destination, why="Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(files, "retire", broken)
        for _ in range(3):
            assert cached.run("cache", "-x", f"cat >> {cached.events}").code in (1, 75)
    assert not any(one.endswith(" 1") for one in cached.told())
    assert cached.run("cache", "-x", f"cat >> {cached.events}").code == 0
    assert cached.told() == [
        "ProcessPrefix",
        "ExpirePrefix 1",
        "ExpirePostfix 1",
        "AvailablePrefix 1",
        "AvailablePostfix 1",
        "ProcessPostfix",
    ]
    assert cached.endorsed()[image_id(1)] == b"image 1 version 1\n" * 100


# -- what is read


def test_default_run_reads_nothing_that_was_checked_lately(cached: Site, reads):
    cached.expect(0, "cache")
    assert reads == []


def test_check_by_name_reads_everything(cached: Site, reads):
    cached.expect(0, "cache", "-s")
    assert sorted(reads) == sorted(blob(cached, number).name for number in (1, 2))


def test_variable_asks_for_everything_as_well(cached: Site, reads):
    cached.expect(0, "cache", VMCATCHER_CACHE_ACTION_CHECK="1")
    assert len(reads) == 2


def test_download_or_expire_alone_reads_nothing(cached: Site, reads):
    os.utime(blob(cached), (1, 1))
    cached.expect(0, "cache", "-D")
    cached.expect(0, "cache", "-E")
    assert reads == []


def test_file_that_somebody_touched_is_read_once(cached: Site, reads):
    os.utime(blob(cached), (1, 1))
    cached.expect(0, "cache")
    assert reads == [blob(cached).name]
    cached.expect(0, "cache")
    assert len(reads) == 1


def test_file_with_its_old_time_put_back_is_read_all_the_same(cached: Site):
    path = blob(cached)
    before = path.stat()
    flip(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert cached.run("cache").code == 1


def test_check_holds_for_thirty_days(cached: Site, reads):
    cached.publish("2", cached.image(1), cached.image(2), dc__date__expires="2499-12-31T22:00:00Z")
    cached.expect(0, "subscribe", "-U")
    cached.expect(0, "cache")
    cached.now += timedelta(days=29)
    cached.expect(0, "cache")
    assert reads == []
    cached.now += timedelta(days=2)
    cached.expect(0, "cache")
    assert len(reads) == 2
    cached.expect(0, "cache")
    assert len(reads) == 2


def test_check_is_remembered_although_the_list_is_newer_in_the_same_run(cached: Site, reads):
    os.utime(blob(cached), (1, 1))
    cached.publish("2", cached.image(1), cached.image(2))
    cached.expect(0, "subscribe", "-U")
    cached.expect(0, "cache")
    assert len(reads) == 1
    cached.expect(0, "cache")
    assert len(reads) == 1


def test_time_after_which_to_read_again_can_be_set(cached: Site, reads):
    cached.now += timedelta(seconds=11)
    cached.expect(0, "cache", VMCATCHER_RECHECK_AFTER="10")
    assert len(reads) == 2


def test_disk_that_cannot_read_an_image_is_said_and_expires_nothing(cached: Site, monkeypatch):
    from vmcatcher.errors.store import StoreInputOutput
    from vmcatcher.store import blobs

    is_intact, victim = blobs.is_intact, blob(cached).name

    def broken(layout, sha512, size_bytes, *goes_on):
        if sha512 == victim:
            raise StoreInputOutput(path=layout.blob(sha512), why="Input/output error")
        return is_intact(layout, sha512, size_bytes, *goes_on)

    monkeypatch.setattr(blobs, "is_intact", broken)
    result = cached.run("cache", "-s", "-x", f"cat >> {cached.events}")
    assert result.code == 75
    assert "Input/output error" in result.err
    assert cached.told() == ["ProcessPrefix", "ProcessPostfix"]
    assert sorted(cached.endorsed()) == [image_id(1), image_id(2)]
