"""Single faults of the machine that a sweep cannot make: real full disks, read errors, no descriptors, odd clocks."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from support.faults import Fail, Faults
from support.installed_acts import FAST_STRACE
from support.mounts import loop_mount, private_mounts
from support.site import LIST_ID, Result, Site, image_id
from support.tree import check_invariants

MIB = 2**20
_READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
_LISTINGS = (
    ("vmcatcher_image", "-l"),
    ("vmcatcher_image", "-i", "-u", image_id(1)),
    ("vmcatcher_subscribe", "-l"),
    ("vmcatcher_subscribe", "-i", "-u", LIST_ID),
    ("vmcatcher_endorser", "-l"),
    ("vmcatcher_endorser", "-K"),
    ("vmcatcher", "store", "check"),
)
_WRITERS = (
    ("vmcatcher_cache",),
    ("vmcatcher_subscribe", "-U"),
    ("vmcatcher_image", "-r", "-u", image_id(1)),
    ("vmcatcher_endorser", "-D", "-e", "alice"),
)


def needs(*tools: str) -> pytest.MarkDecorator:
    missing = [tool for tool in tools if shutil.which(tool) is None]
    return pytest.mark.skipif(bool(missing), reason=f"needs {', '.join(missing)}")


def is_one_line(result: Result) -> bool:
    return len(result.err.splitlines()) == 1 and "Traceback" not in result.err


@pytest.fixture
def cached(site: Site) -> Site:
    """Two images are cached, of three."""
    site.join(site.image(1), site.image(2), site.image(3))
    site.select(1, 2)
    site.cache()
    site.told()
    return site


# -- a full disk


@contextmanager
def small_disk(kind: str, place: Path) -> Iterator[Path]:
    """A real file system of 16 MiB, seen by nobody else."""
    with private_mounts():
        if kind == "ext4":
            with loop_mount(place, 16) as disk:
                yield disk
            return
        place.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "none", place], check=False)
        if done.returncode:
            pytest.skip("cannot mount a tmpfs here")
        try:
            yield place
        finally:
            subprocess.run(["umount", place], check=True)


@pytest.mark.root
@needs("mount")
@pytest.mark.parametrize("kind", ["ext4", "tmpfs"])
def test_fault_05_image_that_does_not_fit_is_said_in_one_line_and_comes_when_it_fits(site: Site, kind: str):
    large = os.urandom(12 * MIB)
    with small_disk(kind, site.root / "disk") as disk:
        site.store = disk / "store"
        site.environment["VMCATCHER_STORE"] = str(site.store)
        site.join(site.image(1, content=os.urandom(6 * MIB)), site.image(2, content=large), site.image(3))
        site.select(1, 2, 3)
        result = site.cache(code=75)
        assert len(result.err.splitlines()) == 1
        assert f"{len(large)} bytes" in result.err, "how much is needed"
        assert str(site.store) in result.err, "where"
        assert sorted(site.endorsed()) == [image_id(1), image_id(3)], "what fits has come"
        assert list((site.store / "partial").iterdir()) == []
        site.expect(0, "image", "-r", "-u", image_id(1))
        site.cache(code=75)
        (site.store / "blobs" / "sha512").joinpath(*blob_of(site, 1)).unlink()
        site.cache()
        assert site.endorsed()[image_id(2)] == large


def fill(disk: Path) -> Path:
    """Write to the disk until it is full; return the file that has to go to make room again."""
    ballast = disk / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    return ballast


def blob_of(site: Site, number: int) -> tuple[str, str]:
    """Where the blob of an image lies that has left."""
    link = next(path for path in (site.store / "expired").iterdir() if path.name.startswith(image_id(number)))
    digest = os.path.basename(os.readlink(link))
    return digest[:2], digest


@pytest.mark.root
@needs("mount")
def test_fault_05_full_disk_changes_nothing_and_leaves_no_temporary_file(site: Site):
    with small_disk("tmpfs", site.root / "disk") as disk:
        site.store = disk / "store"
        site.environment["VMCATCHER_STORE"] = str(site.store)
        site.join(site.image(1), site.image(2))
        site.select(1)
        site.cache()
        ballast = fill(disk)
        before = site.tree()
        new_endorser = ("endorser", "-C", "-e", "bob", "-S", "/CN=b", "-I", "/CN=c")
        for command in (("image", "-a", "-u", image_id(2)), new_endorser):
            result = site.run(*command)
            assert result.code == 75, result
            assert re.search(r"no space for \S+: \d+ bytes needed", result.err), result
            assert is_one_line(result), result
        assert site.tree() == before
        site.expect(0, "image", "-l")
        ballast.unlink()
        site.select(2)
        site.cache()
        assert sorted(site.endorsed()) == [image_id(1), image_id(2)]


@pytest.mark.parametrize("row", [pytest.param(errno.EDQUOT, id="fault_06"), pytest.param(errno.ENOSPC, id="fault_05")])
def test_used_up_quota_is_a_full_disk(cached: Site, row: int):
    with Faults() as counted:
        cached.expect(0, "image", "-a", "-u", image_id(3))
    cached.expect(0, "image", "-r", "-u", image_id(3))
    before = cached.tree()
    with Faults(Fail(counted.calls.index("write"), row)) as faults:
        result = cached.run("image", "-a", "-u", image_id(3))
    assert faults.struck
    assert result.code == 75
    assert is_one_line(result)
    assert re.search(r"no space for \S+: \d+ bytes needed", result.err)
    assert str(cached.store) in result.err
    assert cached.tree() == before


# -- a disk that does not deliver


@needs("strace")
def test_fault_08_image_that_the_disk_does_not_deliver_is_named_and_the_others_are_checked(cached: Site):
    blob = os.path.realpath(cached.store / "endorsed" / image_id(1))
    calls = "read,readv,pread64"
    words = ("strace", "-f", "-qq", "-o", str(cached.root / "reads.strace"), "-P", blob,
             "-e", f"trace={calls}", "-e", f"inject={calls}:error=EIO")  # fmt: skip
    # The other image has rotted: that it is found shows that the check went on.
    rotten = Path(os.path.realpath(cached.store / "endorsed" / image_id(2)))
    rotten.chmod(0o644)
    rotten.write_bytes(b"x" * rotten.stat().st_size)
    rotten.chmod(0o444)
    result = cached.call("vmcatcher_cache", "-s", prefix=words)
    assert result.code == 1, result
    told = result.err.splitlines()
    assert len(told) == 2, result
    assert re.search(rf"image {image_id(1)}: .*/blobs/sha512/\S+ cannot be read: Input/output error", told[0])
    assert f"image {image_id(2)}: the stored bytes do not match" in told[1]
    assert sorted(cached.endorsed()) == [image_id(1), image_id(2)], "not a reason to take anything out"
    cached.cache("-s")


# -- a disk that takes nothing


@pytest.mark.root
@pytest.mark.slow
@needs("unshare", "mount")
def test_fault_09_store_on_a_read_only_disk_can_be_looked_at_and_refuses_changes_in_one_line(cached: Site):
    before = cached.tree()
    prefix = ("unshare", "-m", "sh", "-c", _READ_ONLY, str(cached.store))
    for command in _LISTINGS:
        result = cached.call(*command, prefix=prefix)
        assert result.code == 0, result
        assert result.err == "", result
    for command in _WRITERS:
        result = cached.call(*command, prefix=prefix)
        assert result.code == 1, result
        assert is_one_line(result), result
        assert "Read-only file system" in result.err
    assert cached.tree() == before


# -- no descriptors


@pytest.mark.slow
@needs("prlimit")
def test_fault_10_run_with_too_few_descriptors_ends_in_order_and_is_made_up_for(cached: Site):
    cached.publish("2", cached.image(1, "2"), cached.image(3))
    cached.expect(0, "subscribe", "-U")
    cached.select(3)
    codes = []
    for limit in (6, 9, 12):
        result = cached.call("vmcatcher_cache", prefix=("prlimit", f"--nofile={limit}"))
        codes.append(result.code)
        assert "Traceback" not in result.err
        assert "internal error" not in result.err
        assert result.code == 0 or "Too many open files" in result.err, result
        assert check_invariants(cached.store) == []
    assert codes[0] == 75
    # Where that many are enough, all is done.
    assert set(codes) <= {0, 75}
    cached.cache()
    assert cached.endorsed()[image_id(1)].startswith(b"image 1 version 2")
    assert image_id(3) in cached.endorsed()


# -- names that another host replaced


@needs("strace")
@pytest.mark.parametrize(("times", "code"), [(9, 0), (10, 75)])
def test_fault_11_stale_name_is_looked_up_ten_times(cached: Site, times: int, code: int):
    log = cached.root / "opens.strace"
    words = (*FAST_STRACE, "-o", str(log), "-e", "trace=openat")
    cached.call("vmcatcher_image", "-a", "-u", image_id(3), prefix=words)
    opens = [line for line in log.read_text(errors="replace").splitlines() if "openat(" in line]
    first = next(number for number, line in enumerate(opens, start=1) if "subscription.json" in line)
    stale = f"inject=openat:error=ESTALE:when={first}..{first + times - 1}"
    result = cached.call("vmcatcher_image", "-r", "-u", image_id(3), prefix=(*words, "-e", stale))
    assert result.code == code, result
    assert "(INJECTED)" in log.read_text()
    assert code == 0 or (is_one_line(result) and "Stale file handle" in result.err)
    assert cached.states()[image_id(3)] == (2 if code == 0 else 3)


# -- clocks


def test_fault_16_list_from_the_future_is_refused_with_a_code_of_its_own(site: Site):
    site.join(site.image(1))
    ahead = site.now + timedelta(minutes=6)
    site.publish("2", site.image(1, "2"), dc__date__created=f"{ahead:%Y-%m-%dT%H:%M:%SZ}")
    site.expect(33, "subscribe", "-U")
    site.publish("2", site.image(1, "2"), dc__date__created=f"{ahead - timedelta(minutes=2):%Y-%m-%dT%H:%M:%SZ}")
    site.expect(0, "subscribe", "-U")


@pytest.mark.parametrize(
    "now", [datetime(1970, 1, 1, 0, 2, tzinfo=UTC), datetime(2023, 12, 31, tzinfo=UTC), timedelta(hours=-1)], ids=str
)
def test_fault_16_clock_that_is_behind_expires_nothing_and_is_told(cached: Site, now: datetime | timedelta):
    # What leaves for sure once the clock is right: not selected any more, and replaced.
    cached.publish("2", cached.image(1, "2"), cached.image(2), cached.image(3))
    cached.expect(0, "subscribe", "-U")
    cached.expect(0, "image", "-r", "-u", image_id(2))
    right, before = cached.now, cached.endorsed()
    cached.now = right + now if isinstance(now, timedelta) else now
    result = cached.cache()
    assert "WARNING:vmcatcher.services.cache:the clock of this machine says" in result.err
    assert cached.endorsed() == before
    assert cached.told() == ["ProcessPrefix", "ProcessPostfix"]
    assert cached.states() == {image_id(1): 3, image_id(2): 2, image_id(3): 2}
    updated = cached.run("subscribe", "-U")
    assert "WARNING:vmcatcher.services.update:the clock of this machine says" in updated.err
    assert cached.endorsed() == before
    cached.now = right
    cached.cache()
    assert list(cached.endorsed()) == [image_id(1)]
    assert cached.endorsed() != {image_id(1): before[image_id(1)]}


def test_fault_16_clock_that_lags_a_little_stops_nothing(cached: Site):
    cached.expect(0, "image", "-r", "-u", image_id(2))
    cached.now -= timedelta(minutes=4)
    cached.cache()
    assert list(cached.endorsed()) == [image_id(1)]
