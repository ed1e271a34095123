"""A machine at its limits, with real ones: a read-only file system, no descriptors, files that may not grow."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from support.site import LIST_ID, Site, image_id
from support.tree import check_invariants

_READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'


@pytest.fixture
def cached(site: Site) -> Site:
    site.join(site.image(1), site.image(2), site.image(3, content=bytes(200_000)))
    site.select(1, 2)
    site.cache()
    site.told()
    return site


def needs(*tools):
    missing = [tool for tool in tools if shutil.which(tool) is None]
    return pytest.mark.skipif(bool(missing), reason=f"needs {', '.join(missing)}")


def is_one_line(result):
    return len(result.err.splitlines()) == 1 and "Traceback" not in result.err


@pytest.mark.root
@needs("unshare", "mount")
class TestReadOnlyStore:
    """A store on a file system that was remounted read-only."""

    @staticmethod
    def call(site: Site, *command: str):
        return site.call(*command, prefix=("unshare", "-m", "sh", "-c", _READ_ONLY, str(site.store)))

    def test_queries_work(self, cached: Site):
        result = self.call(cached, "vmcatcher_image", "-l")
        assert result.code == 0, result
        assert f"{image_id(1)}\t3\t{LIST_ID}" in result.lines
        for command in (("vmcatcher_subscribe", "-l"), ("vmcatcher_endorser", "-l"), ("vmcatcher_endorser", "-K")):
            assert self.call(cached, *command).code == 0
        assert self.call(cached, "vmcatcher_image", "-i", "-u", image_id(1)).code == 0

    @pytest.mark.parametrize(
        "command",
        [
            ("vmcatcher_cache",),
            ("vmcatcher_subscribe", "-U"),
            ("vmcatcher_subscribe", "-D", "-u", LIST_ID),
            ("vmcatcher_image", "-a", "-u", image_id(3)),
            ("vmcatcher_endorser", "-D", "-e", "alice"),
        ],
    )
    def test_changes_are_refused_in_one_line(self, cached: Site, command: tuple[str, ...]):
        before = cached.tree()
        result = self.call(cached, *command)
        assert result.code == 1, result
        assert is_one_line(result), result
        assert "Read-only file system" in result.err
        assert cached.tree() == before


@needs("prlimit")
def test_image_larger_than_a_file_may_be_is_said_in_one_line_and_comes_later(cached: Site):
    cached.select(3)
    result = cached.call("vmcatcher_cache", prefix=("prlimit", "--fsize=50000"))
    assert result.code == 75, result
    assert is_one_line(result), result
    assert "no space for" in result.err
    assert check_invariants(cached.store) == []
    cached.cache()
    assert cached.endorsed()[image_id(3)] == bytes(200_000)


@pytest.mark.slow
@needs("prlimit")
def test_run_without_enough_descriptors_is_said_without_a_traceback_and_heals(cached: Site):
    cached.publish("2", cached.image(1, "2"), cached.image(3, content=bytes(200_000)))
    cached.expect(0, "subscribe", "-U")
    codes = []
    for limit in range(6, 15):
        result = cached.call("vmcatcher_cache", prefix=("prlimit", f"--nofile={limit}"))
        codes.append(result.code)
        assert "internal error" not in result.err, f"{limit}: {result}"
        assert "Traceback" not in result.err, f"{limit}: {result}"
        assert check_invariants(cached.store) == []
    assert set(codes) <= {0, 1, 75}
    assert 75 in codes
    cached.run("cache")
    cached.cache()
    assert cached.endorsed()[image_id(1)].startswith(b"image 1 version 2")


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_files_of_a_whole_life_have_no_bit_too_many(site: Site, umask: int):
    os.umask(umask)
    site.join(site.image(1), site.image(2))
    site.select(1)
    site.cache()
    site.publish("2", site.image(1, "2"), site.image(2))
    site.expect(0, "subscribe", "-U")
    site.cache()
    for path in site.store.rglob("*"):
        mode = path.lstat().st_mode & 0o777
        if path.is_symlink() or path.parent.name == "locks":
            continue  # a lock file says who holds it, which is no secret
        assert path.is_dir() or not mode & 0o022, f"{path} may be written to by others: {mode:04o}"
        assert not mode & umask, f"{path}: {mode:04o}"
        if path.is_file() and "blobs" in Path(path).parts:
            assert mode == 0o444 & ~umask
