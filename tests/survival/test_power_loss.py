"""The power goes at any call of an act: whatever of it reached the disk, the next plain run makes the store whole.

Replayed, not waited for: the calls of an installed command are recorded once, and every tree that a power cut may have
left is built and healed. A kill cannot show a sync that is missing; only this can.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from support.blackout import Blackout
from support.installed_acts import INSTALLED, InstalledAct, InstalledStage
from support.plugpull import plugged_disk
from support.powerloss import Disk
from support.recorder import Call, Recording, demand_strace, record
from support.server import Server
from support.site import LIST_ID, Site, image_id
from support.tree import check_invariants, tree
from vmcatcher.model.identity import Sha512
from vmcatcher.store import files
from vmcatcher.store.downloads import Download
from vmcatcher.store.layout import Layout

CONTENT = bytes(range(256)) * 400


def with_withdrawal(site: Site) -> None:
    site.join(site.image(1), site.image(2))
    site.select(1, 2)
    site.cache()
    site.publish("2", site.image(2))
    site.expect(0, "subscribe", "-U")


def without_a_store(site: Site) -> None:
    (site.root / "place").mkdir()
    site.store = site.root / "place" / "store"
    site.environment["VMCATCHER_STORE"] = str(site.store)


ACTS = {
    **INSTALLED,
    "import that moves": replace(INSTALLED["import"], words=lambda site: (*INSTALLED["import"].words(site), "--move")),
    "withdrawing cache run": InstalledAct(with_withdrawal, INSTALLED["replacing cache run"].words),
    "new store": InstalledAct(without_a_store, lambda _: ("vmcatcher", "store", "init")),
}
# These are long, and what they are made of is tried whole: so many cuts apart they are by `--all`.
_STEPS = {"sync": 6, "cache run that drops a mirror": 5}
_WITHOUT_RUN = ("new store", "veto", "rule", "unsubscribe from an image", "fetch of a revocation list")


@pytest.fixture
def site(server: Server) -> Iterator[Site]:
    """A site in memory, if that can be: what reaches the disk is the replay's to say."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as directory:
        yield Site(Path(directory), server)


def endure(blackout: Blackout, *, seed: int, extra: int, step: int = 1) -> int:
    """Let the power go in every way, or every so many ways; return in how many."""
    count = 0
    for number, cut in enumerate(blackout.cuts(seed=seed, extra=extra)):
        if number % step == 0:
            count += 1
            assert blackout.problems(cut) == [], str(cut)
    return count


@pytest.mark.slow
def test_fault_03_fault_04_power_cut_in_a_cache_run_is_healed_by_the_next_one(site: Site):
    demand_strace()
    assert endure(Blackout(site, ACTS["expiring cache run"]), seed=1, extra=1, step=2) >= 20


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("act", ACTS)
def test_fault_03_fault_04_power_cut_at_any_call_is_healed_by_the_next_run(site: Site, act: str):
    demand_strace()
    fewest = 5 if act in _WITHOUT_RUN else 15
    assert endure(Blackout(site, ACTS[act]), seed=2, extra=3, step=_STEPS.get(act, 1)) >= fewest


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("act", ACTS)
def test_fault_03_fault_04_power_cut_with_anything_on_disk_is_healed_by_the_next_run(
    site: Site, act: str, record_property: Callable[[str, object], None]
):
    demand_strace()
    record_property("power-loss states", endure(Blackout(site, ACTS[act]), seed=3, extra=200))


# -- the disk itself


def left(calls: list[Call], tmp_path: Path) -> set[tuple[tuple[str, bytes], ...]]:
    """Return what a disk that was empty may hold after these calls, as sets of names with bytes."""
    disk = Disk(tmp_path)
    for call in calls:
        disk.apply(call)
    images = disk.images(random.Random(1), extra=50)
    return {tuple(sorted((path, found.content) for path, found in one.found.items())) for one in images}


NEW = [Call("create", "tmp", number=0o644), Call("write", "tmp", content=b"abcd", number=-1)]


def test_file_that_was_not_synced_may_be_absent_empty_torn_or_zero(tmp_path: Path):
    assert left([*NEW, Call("sync", ".")], tmp_path) == {
        (("tmp", b""),),
        (("tmp", b"ab"),),
        (("tmp", b"\0\0\0\0"),),
        (("tmp", b"abcd"),),
    }


def test_rename_may_be_on_disk_without_the_bytes(tmp_path: Path):
    assert (("name", b""),) in left([*NEW, Call("rename", "tmp", "name")], tmp_path)


def test_file_that_was_synced_has_its_bytes_under_any_name(tmp_path: Path):
    found = left([*NEW, Call("sync", "tmp"), Call("rename", "tmp", "name")], tmp_path)
    assert found == {(), (("tmp", b"abcd"),), (("name", b"abcd"),)}


def test_directory_that_was_synced_has_its_names(tmp_path: Path):
    found = left([*NEW, Call("sync", "tmp"), Call("rename", "tmp", "name"), Call("sync", ".")], tmp_path)
    assert found == {(("name", b"abcd"),)}


def test_changes_of_different_names_may_come_in_any_order(tmp_path: Path):
    found = left([Call("create", "a", number=0o644), Call("create", "b", number=0o644)], tmp_path)
    assert found == {(), (("a", b""),), (("b", b""),), (("a", b""), ("b", b""))}


def test_changes_of_one_name_come_in_their_order(tmp_path: Path):
    found = left([Call("symlink", "a", "x"), Call("unlink", "a"), Call("symlink", "a", "y")], tmp_path)
    assert found == {(), (("a", b"x"),), (("a", b"y"),)}


# -- a disk that cannot keep what it took


def demand_discarded(recording: Recording, failed: int) -> None:
    """Assert that nothing is done any more with a file whose sync failed, but to remove it."""
    path = recording.calls[failed].path
    later = [call for call in recording.calls[failed + 1 :] if call.path == path]
    assert [call.kind for call in later] == ["unlink"], later


def sync_fails(site: Site, act: str, *, step: int) -> int:
    """Have single syncs of the act fail; return how many."""
    stage = InstalledStage(site, ACTS[act])
    stage.reset()
    words = ACTS[act].words(site)
    undisturbed = record(site, words, root=site.store)
    numbers = [number for name, number in undisturbed.points if name == "fsync"]
    for number in numbers[::step]:
        stage.reset()
        recording = record(site, words, root=site.store, inject=f"fsync:error=EIO:when={number}")
        point = f"fsync number {number}: {recording.result}"
        assert "Traceback" not in recording.result.err, point
        if recording.result.code == 0:
            # A left-over that could not be taken over was thrown away, and all of it was fetched anew.
            assert "partial" in next(call for call in recording.calls if call.error).path, point
            assert stage.differences() == {}, point
            continue
        assert recording.result.code in (1, 75), point
        assert "nput/output error" in recording.result.err, point
        failed = next(place for place, call in enumerate(recording.calls) if call.error)
        if any(call.kind == "create" and call.path == recording.calls[failed].path for call in recording.calls):
            demand_discarded(recording, failed)
        if not ACTS[act].is_rotten:
            assert check_invariants(site.store) == [], point
        healed = stage.heal()
        if ACTS[act].is_rotten and healed.code != 0:
            healed = stage.heal()  # the run that finds the rot says so with its code
        assert healed.code == 0, point
        assert stage.differences() == {}, point
        assert stage.story() == stage.whole_story, point
    return len(numbers[::step])


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize(("act", "step"), [("fresh cache run", 9), ("update", 5)])
def test_fault_07_file_whose_sync_failed_is_discarded_and_written_anew(site: Site, act: str, step: int):
    demand_strace()
    assert sync_fails(site, act, step=step) >= 3


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("act", [name for name in ACTS if "import" not in name and name not in _WITHOUT_RUN])
def test_fault_07_file_whose_sync_failed_at_any_call_is_discarded_and_written_anew(site: Site, act: str):
    demand_strace()
    assert sync_fails(site, act, step=1) >= 3


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("kind", ["write", "sync"])
def test_fault_07_image_that_the_disk_did_not_take_is_fetched_from_its_first_byte(site: Site, kind: str):
    demand_strace()
    site.join(site.image(1, content=CONTENT))
    site.select(1)
    shutil.copytree(site.store, site.root / "before", symlinks=True)
    whole = record(site, ("vmcatcher_cache",), root=site.store)
    name, number = next(call.point for call in whole.calls if call.kind == kind and is_download(call.path))
    shutil.rmtree(site.store)
    shutil.copytree(site.root / "before", site.store, symlinks=True)
    site.server.forget()
    broken = record(site, ("vmcatcher_cache",), root=site.store, inject=f"{name}:error=EIO:when={number}")
    assert broken.result.code == 75, broken.result
    done = [call.kind for call in broken.calls if is_download(call.path)]
    assert done == (["create", "unlink"] if kind == "write" else ["create", "write", "mode", "sync", "unlink"])
    assert list((site.store / "partial").iterdir()) == []
    site.cache()
    asked = [request.headers.get("range") for request in site.server.requests if request.path == "/images/1-v1.raw"]
    assert asked == [None, None]
    assert site.endorsed() == {image_id(1): CONTENT}


def is_download(path: str) -> bool:
    return path.startswith("partial/") and not path.endswith(".json") and ".tmp-" not in path


# -- a file that takes less than it is given


def limited(bytes_each: int) -> tuple[str, ...]:
    """Return a prefix under which no file grows beyond so many bytes: the write before is short, the next one fails."""
    if shutil.which("prlimit") is None:
        pytest.skip("prlimit is not installed")
    return ("prlimit", f"--fsize={bytes_each}")


def test_fault_12_image_that_is_written_short_goes_on_where_it_stopped(site: Site):
    site.join(site.image(1, content=CONTENT))
    site.select(1)
    done = site.call("vmcatcher_cache", prefix=limited(60_000))
    assert done.code == 75, done
    said = [line for line in done.err.splitlines() if line.startswith("ERROR:")]
    assert len(said) == 1
    assert "bytes" in said[0]
    assert "partial/" in said[0]
    assert check_invariants(site.store) == []
    kept = [path.stat().st_size for path in (site.store / "partial").iterdir() if path.suffix != ".json"]
    assert all(0 < size <= 60_000 for size in kept)
    site.server.forget()
    site.cache()
    asked = [request.headers.get("range") for request in site.server.requests if request.path == "/images/1-v1.raw"]
    assert asked == [f"bytes={kept[0]}-" if kept else None]
    assert site.endorsed() == {image_id(1): CONTENT}


def test_fault_12_document_that_is_written_short_leaves_the_old_state(site: Site):
    site.join(site.image(1))
    before = decided(site)
    site.publish("2", site.image(1, "2"))
    done = site.call("vmcatcher_subscribe", "-U", prefix=limited(1000))
    assert done.code == 75, done
    assert "Traceback" not in done.err
    assert decided(site) == before
    site.expect(0, "subscribe", "-U")
    assert check_invariants(site.store) == []
    assert decided(site) != before


def decided(site: Site) -> dict[str, str]:
    """Return what a store holds but for the notes about fetching, which say that it failed."""
    return tree(site.store, ignore=("locks/", f"subscriptions/{LIST_ID}/fetch.json"))


@pytest.mark.slow
@pytest.mark.root
def test_fault_12_disk_that_takes_half_a_document_leaves_the_old_state(site: Site):
    with plugged_disk(site.root, size_bytes=4 * 2**20) as disk:
        site.store = disk.place / "store"
        site.environment["VMCATCHER_STORE"] = str(site.store)
        site.join(site.image(1))
        before = decided(site)
        filler = disk.place / "filler"
        fill(filler, leaving=8192)
        # Longer than what is left, so that the disk takes the first part of it.
        site.publish("2", site.image(1, "2"), dc__description="x" * 50_000)
        done = site.call("vmcatcher_subscribe", "-U")
        assert done.code == 75, done
        assert "Traceback" not in done.err
        assert decided(site) == before
        filler.unlink()
        site.expect(0, "subscribe", "-U")
        assert check_invariants(site.store) == []
        assert decided(site) != before


def fill(path: Path, *, leaving: int) -> None:
    """Have a file take all space but a little."""
    with path.open("wb", buffering=0) as file:
        with contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        file.truncate(file.tell() - leaving)
        os.fsync(file.fileno())


# -- a finished download that was not adopted, of an ordinary user


@pytest.mark.root
def test_download_that_was_finished_and_not_adopted_is_gone_on_with_by_an_ordinary_user():
    # Root may write to read-only files; nobody may not, and would never have come to the end of this download.
    with tempfile.TemporaryDirectory(dir="/var/tmp") as directory:
        os.chown(directory, 65534, 65534)
        root = os.path.join(directory, "store")
        layout, digest = Layout(root, os.path.join(root, "blobs")), Sha512(hashlib.sha512(CONTENT).hexdigest())
        os.setegid(65534)
        os.seteuid(65534)
        try:
            with Download(layout, digest, len(CONTENT), uri="http://x.test/y") as download:
                download.remember('"v1"')
                download.write(memoryview(CONTENT))
                files.finish(download._descriptor, download._path)
            with Download(layout, digest, len(CONTENT), uri="http://x.test/y") as again:
                assert again.size == len(CONTENT)
                again.commit()
            assert Path(layout.blob(digest)).read_bytes() == CONTENT
            assert os.listdir(layout.partial) == []
        finally:
            os.seteuid(0)
            os.setegid(0)
