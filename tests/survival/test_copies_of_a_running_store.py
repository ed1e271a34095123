"""Backups taken with real tools while a real run writes: each is a store, and none is changed by the live one."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from support.copies import examine
from support.figures import Figures
from support.installed_acts import FAST_STRACE, INSTALLED, InstalledStage
from support.server import Server
from support.site import LIST_ID, Site, image_id
from support.tree import check_invariants, tree

PROGRAMS = Path(sys.executable).parent
CONTENT = os.urandom(1 << 20) * 3
_MEMORY = Path("/dev/shm")


def rsync_as_told(store: Path, target: Path) -> int:
    """As docs/how-to/backup-and-restore.md: everything but the blobs first, the blobs last."""
    target.mkdir()
    left_out = ("--exclude", "/blobs", "--exclude", "/locks/*", "--exclude", "/partial/*")
    first = subprocess.run(["rsync", "-a", *left_out, f"{store}/", target], capture_output=True, check=False)
    last = subprocess.run(["rsync", "-a", f"{store}/blobs/", f"{target}/blobs/"], capture_output=True, check=False)
    return max(first.returncode, last.returncode)


def rsync_at_once(store: Path, target: Path) -> int:
    return subprocess.run(["rsync", "-a", f"{store}/", target], capture_output=True, check=False).returncode


def cp(store: Path, target: Path) -> int:
    return subprocess.run(["cp", "-a", store, target], capture_output=True, check=False).returncode


def tar(store: Path, target: Path) -> int:
    target.mkdir()
    archive = target.with_suffix(".tar")
    packed = subprocess.run(["tar", "-cf", archive, "-C", store, "."], capture_output=True, check=False)
    subprocess.run(["tar", "-xf", archive, "-C", target], check=True)
    archive.unlink()
    return packed.returncode


# What each ends with where nothing went wrong, or where a file vanished or changed while it looked.
_TOOLS: dict[Callable[[Path, Path], int], set[int]] = {
    rsync_as_told: {0, 24},
    rsync_at_once: {0, 24},
    cp: {0, 1},
    tar: {0, 1},
}


@contextlib.contextmanager
def begun(site: Site, *words: str, prefix: tuple[str, ...] = ()) -> Iterator[subprocess.Popen[bytes]]:
    """A command as a process of its own, which is gone at the end of the block."""
    environment = {**os.environ, **site.environment}
    command = [*prefix, str(PROGRAMS / words[0]), *words[1:]]
    with subprocess.Popen(command, env=environment, cwd=site.root, stderr=subprocess.PIPE) as run:
        try:
            yield run
        finally:
            with contextlib.suppress(ProcessLookupError):
                run.kill()


def wait_until(condition: Callable[[], object], *, within_s: float = 30.0) -> None:
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


@pytest.fixture
def site(tmp_path: Path, server: Server) -> Iterator[Site]:
    """A site whose store is in memory where that can be: copies of it are taken by the dozen."""
    place = _MEMORY if _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK) else tmp_path
    with tempfile.TemporaryDirectory(dir=place) as directory:
        yield Site(Path(directory), server)


def copied_by(site: Site, act: str, tools: list[Callable[[Path, Path], int]], *, count: int) -> None:
    """Take copies of a store while a run writes to it, and assert that a plain run on each makes it whole."""
    stage = InstalledStage(site, INSTALLED[act])
    # Each sync takes a little longer, as on a disk, so that the copy falls into the middle of the run.
    slowly = (*FAST_STRACE, "-o", "/dev/null", "-e", "trace=fsync", "-e", "inject=fsync:delay_exit=3000")
    lock = site.store / "locks" / "cache.lock"
    for number in range(count):
        dice = random.Random(f"{act} {number}")
        tool = tools[number % len(tools)]
        stage.reset()
        before = lock.stat().st_mtime_ns if lock.exists() else 0
        with begun(site, *stage.act.words(site), prefix=slowly if shutil.which("strace") else ()) as run:
            wait_until(lambda before=before: lock.exists() and lock.stat().st_mtime_ns != before)
            time.sleep(dice.random() * 0.2)
            code = tool(site.store, site.root / "copy")
            _, errors = run.communicate(timeout=30)
        assert run.returncode == 0, errors
        assert code in _TOOLS[tool], f"{tool.__name__} ended with {code}"
        examine(site, stage.heal, site.root / "copy", f"{tool.__name__} {number}")


def available(*tools: Callable[[Path, Path], int]) -> list[Callable[[Path, Path], int]]:
    return [tool for tool in tools if shutil.which(tool.__name__.split("_")[0])]


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_fault_27_copy_taken_by_any_tool_during_a_run_is_completed_by_the_next_one(site: Site):
    copied_by(site, "replacing cache run", available(*_TOOLS), count=8)


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.skipif(shutil.which("rsync") is None, reason="needs rsync")
@pytest.mark.parametrize("act", ["fresh cache run", "replacing cache run"])
def test_fault_27_dozens_of_copies_by_rsync_are_completed_by_the_next_run(
    site: Site, act: str, pytestconfig: pytest.Config, record_property: Callable[[str, object], None]
):
    count = 30
    began = time.monotonic()
    copied_by(site, act, [rsync_as_told, rsync_at_once], count=count)
    figures = Figures(pytestconfig, record_property)
    figures.add(act, "copied by rsync meanwhile", points=count, bad=0, seconds=time.monotonic() - began)


# -- a copy without links


def test_fault_28_views_that_a_copy_lacks_are_made_again_by_the_next_run(site: Site):
    site.join(site.image(1), site.image(2))
    site.select(1, 2)
    site.cache()
    site.expect(0, "image", "-r", "-u", image_id(2))
    site.cache()
    endorsed, expired = site.endorsed(), site.expired()
    assert list(endorsed) == [image_id(1)]
    assert len(expired) == 1
    for view in ("endorsed", "expired"):
        shutil.rmtree(site.store / view)
    site.told()
    assert check_invariants(site.store) == []
    site.cache()
    assert site.endorsed() == endorsed
    assert site.expired() == expired
    assert site.told() == ["ProcessPrefix", "ProcessPostfix"], "nothing has happened as far as the cloud knows"


@pytest.mark.slow
def test_fault_28_views_that_a_copy_lacks_are_made_again_by_a_repair(site: Site):
    site.join(site.image(1), site.image(2))
    site.select(1, 2)
    site.cache()
    site.expect(0, "image", "-r", "-u", image_id(2))
    site.cache()
    endorsed, expired, index = site.endorsed(), site.expired(), site.index("expired")
    for view in ("endorsed", "expired"):
        shutil.rmtree(site.store / view)
    assert site.call("vmcatcher", "store", "check").code == 4
    assert site.call("vmcatcher", "store", "check", "--repair").code in (0, 4)
    assert site.endorsed() == endorsed
    assert site.expired() == expired
    assert site.index("expired") == index
    assert site.call("vmcatcher", "store", "check").code == 0


# -- a hard-linked backup


def digest_of(backup: Path) -> dict[str, str]:
    """What a backup holds, but for the notes in lock files: the recipe leaves those out."""
    return {path: found for path, found in tree(backup).items() if found != "dir"}


def held(site: Site) -> int:
    """How many bytes have come of the download in flight."""
    sizes = [path.stat().st_size for path in (site.store / "partial").glob("*") if path.suffix != ".json"]
    return max(sizes, default=0)


def test_fault_29_hard_linked_backup_of_a_broken_off_download_is_not_changed_by_the_run_that_goes_on(site: Site):
    site.join(site.image(1, content=CONTENT))
    site.select(1)
    site.server.fault("/images/1-v1.raw", "hang", times=1, seconds=60.0, after=2_000_000)
    with begun(site, "vmcatcher_cache") as run:
        wait_until(lambda: held(site) > 1_000_000)
        os.kill(run.pid, signal.SIGKILL)
        run.wait()
    came = held(site)
    subprocess.run(["cp", "-al", site.store, site.root / "backup"], check=True)
    kept = digest_of(site.root / "backup")
    site.server.forget()
    site.cache()
    assert site.endorsed() == {image_id(1): CONTENT}
    assert [request.headers.get("range") for request in site.server.requests] == [f"bytes={came}-"]
    assert digest_of(site.root / "backup") == kept


def test_fault_29_hard_linked_backup_is_not_changed_by_whatever_is_done_to_the_live_store(site: Site):
    site.join(site.image(1), site.image(2), site.image(3))
    site.select(1, 2)
    site.cache()
    subprocess.run(["cp", "-al", site.store, site.root / "backup"], check=True)
    kept = digest_of(site.root / "backup")
    site.publish("2", site.image(1, "2"), site.image(3), site.image(4))
    site.expect(32, "subscribe", "-U")
    site.select(3)
    site.cache()
    site.expect(0, "subscribe", "-u", LIST_ID, "--imagelist-newimage-subscribe")
    site.now += timedelta(hours=3)
    site.cache("-s")
    site.now += timedelta(days=30)
    site.cache()
    assert site.endorsed() == {}
    assert digest_of(site.root / "backup") == kept


# -- locks and marks in a copy


def test_fault_30_lock_files_in_a_copy_hold_nobody_up(site: Site):
    site.join(site.image(1, content=CONTENT))
    site.select(1)
    site.server.fault("/images/1-v1.raw", "hang", times=1, seconds=60.0, after=2_000_000)
    copy = site.root / "copy"
    with begun(site, "vmcatcher_cache"):
        wait_until(lambda: held(site) > 1_000_000)
        assert site.run("cache").code == 75
        subprocess.run(["cp", "-a", site.store, copy], check=True)
        assert (copy / "locks" / "cache.lock").stat().st_size > 0, "the holder's note came along"
        began = time.monotonic()
        site.expect(0, "cache", VMCATCHER_STORE=str(copy))
        site.expect(0, "subscribe", "-U", VMCATCHER_STORE=str(copy))
        assert time.monotonic() - began < 20
    assert (copy / "endorsed" / image_id(1)).read_bytes() == CONTENT
    assert check_invariants(copy) == []


def test_fault_32_restored_store_says_how_old_its_newest_list_is_and_refuses_what_is_older(site: Site):
    site.publish("1", site.image(1))
    site.join()
    site.publish("2", site.image(1))
    site.expect(0, "subscribe", "-U")
    backup = site.root / "backup"
    shutil.copytree(site.store, backup, symlinks=True)
    created = site.now - timedelta(minutes=1)
    site.now += timedelta(days=5)
    site.publish("4", site.image(1))
    site.expect(0, "subscribe", "-U")
    marks = {path.name: path.read_bytes() for path in (site.store / "marks").iterdir()}
    shutil.rmtree(site.store)
    shutil.copytree(backup, site.store, symlinks=True)

    site.publish("1", site.image(1))
    refused = site.run("subscribe", "-U", "-v")
    assert refused.code == 17
    assert f"version 2, created {created:%Y-%m-%dT%H:%M:%SZ}, 5 days ago" in refused.err
    # What the backup does not know was refused before the accident; with the marks of the damaged store it still is.
    site.publish("3", site.image(1))
    for name, content in marks.items():
        (site.store / "marks" / name).write_bytes(content)
    site.expect(17, "subscribe", "-U")
    shutil.copytree(backup / "marks", site.store / "marks", dirs_exist_ok=True)
    site.expect(0, "subscribe", "-U")


@pytest.mark.slow
def test_fault_29_hard_linked_backup_is_not_changed_by_the_download_that_it_caught(site: Site):
    site.join(site.image(1, content=CONTENT))
    site.select(1)
    site.server.fault("/images/1-v1.raw", "hang", times=1, seconds=1.5, after=2_000_000)
    with begun(site, "vmcatcher_cache") as run:
        wait_until(lambda: held(site) > 1_000_000)
        subprocess.run(["cp", "-al", site.store, site.root / "backup"], check=True)
        kept = digest_of(site.root / "backup")
        _, errors = run.communicate(timeout=30)
    assert run.returncode == 0, errors
    assert site.endorsed() == {image_id(1): CONTENT}
    assert list((site.store / "partial").iterdir()) == []
    assert digest_of(site.root / "backup") == kept
