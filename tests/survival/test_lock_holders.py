"""Whoever holds a lock: killed, stopped, ended, copied, on another host, a parent of the one who asks.

Real commands on both kinds of locks. The holder is a cache run that stands in the middle of a download, for as long as
the test needs it; what has to be quick is shown by what ends first, not by a clock, wherever that can be.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from support.site import Site, image_id
from support.tree import check_invariants
from vmcatcher.store import root
from vmcatcher.store.holders import Holder, full_note_of
from vmcatcher.store.locks import hold

PROGRAMS = Path(sys.executable).parent
CONTENT = os.urandom(1 << 20) * 3
# Kernel locks in the quick tier: tests/scenarios/test_cache_processes.py and tests/unit/store/test_locks.py.
KINDS = pytest.mark.parametrize("kind", [pytest.param("kernel", marks=pytest.mark.slow), "claim"])
TOKEN = "0123456789abcdef"


@contextlib.contextmanager
def running(site: Site, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A cache run as a process of its own, which is gone at the end of the block."""
    environment = {**os.environ, **site.environment}
    command = [PROGRAMS / "vmcatcher_cache", *arguments]
    with subprocess.Popen(command, env=environment, cwd=site.root, stderr=subprocess.PIPE) as run:
        try:
            yield run
        finally:
            with contextlib.suppress(ProcessLookupError):
                run.kill()


def wait_until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def came(site: Site) -> int:
    """Return how many bytes have come of the download in flight."""
    sizes = [path.stat().st_size for path in (site.store / "partial").iterdir() if not path.name.endswith(".json")]
    return max(sizes, default=0)


def made(site: Site, kind: str) -> Site:
    """Two images, the first one selected, in a store with locks of that kind."""
    root.make_store(str(site.store), locks=kind)  # type: ignore[arg-type]  # the two kinds
    site.join(site.image(1, content=CONTENT), site.image(2))
    site.select(1)
    return site


@pytest.fixture
def slow(site: Site, kind: str) -> Site:
    """A site whose image comes in two pieces, the second one after a minute."""
    made(site, kind)
    site.server.fault("/images/1-v1.raw", "hang", times=1, seconds=60.0, after=2_000_000)
    site.server.forget()
    return site


def claims(store: Path, name: str = "cache") -> list[Path]:
    return sorted((store / "locks" / f"{name}.lock").iterdir())


def plant(site: Site, **changes: object) -> Path:
    """Leave a claim on the cache lock, of another host where `changes` say so."""
    layout = root.open_store(str(site.store))
    note = full_note_of(Holder("vmcatcher_cache", datetime(2026, 1, 2, tzinfo=UTC)), layout)
    path = site.store / "locks" / "cache.lock" / TOKEN
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({**note, **changes}))
    return path


# -- held


@KINDS
def test_fault_18_second_run_is_told_who_is_at_it_and_asks_the_server_for_nothing(slow: Site, kind: str):
    with running(slow) as run:
        wait_until(lambda: came(slow))
        asked = len(slow.server.requests)
        result = slow.call("vmcatcher_cache")
        assert run.poll() is None, "the second one ended first"
        assert result.code == 75
        for word in (
            "the cache lock is held by vmcatcher_cache",
            f"pid {run.pid} on {socket.gethostname()}",
            "since 20",
            " s ago)",
            "--wait SECONDS",
        ):
            assert word in result.err
        assert "--break-lock" not in result.err
        assert len(result.err.splitlines()) == 1
        assert len(slow.server.requests) == asked


@KINDS
def test_fault_17_run_that_waits_does_its_work_when_the_other_one_has_ended(slow: Site, kind: str):
    with running(slow) as run:
        wait_until(lambda: came(slow))
        with running(slow, "--wait", "40") as second:
            with pytest.raises(subprocess.TimeoutExpired):
                second.wait(timeout=0.7)
            run.kill()
            run.wait()
            assert second.wait(timeout=30) == 0
    assert slow.endorsed() == {image_id(1): CONTENT}


@KINDS
def test_fault_19_selecting_during_a_download_ends_first_and_is_not_lost(slow: Site, kind: str):
    with running(slow) as run:
        wait_until(lambda: came(slow))
        assert slow.call("vmcatcher_image", "-a", "-u", image_id(2)).code == 0
        assert run.poll() is None, "both ended before the download did"
        assert slow.states() == {image_id(1): 3, image_id(2): 3}
    slow.cache()
    assert sorted(slow.endorsed()) == [image_id(1), image_id(2)]


@KINDS
def test_fault_20_handler_may_call_every_command_and_none_waits_for_its_own_parent(site: Site, kind: str):
    made(site, kind)
    said = site.root / "said"
    calls = (
        "vmcatcher_image -l",
        f"vmcatcher_image -a -u {image_id(2)}",
        "vmcatcher_cache --wait 40",
        "vmcatcher_subscribe -U",
    )
    handler = "; ".join(f"{PROGRAMS}/{call} >> {said}.out 2>&1; echo $? >> {said}" for call in calls)
    handler = f'[ "$VMCATCHER_EVENT_TYPE" = AvailablePostfix ] || exit 0; {handler}'
    result = site.call("vmcatcher_cache", "-x", handler, "--event-timeout", "45")
    assert result.code == 0, result
    assert said.read_text().split() == ["0", "0", "75", "0"]
    assert "the vmcatcher run that called this handler" in (site.root / "said.out").read_text()
    assert site.states()[image_id(2)] == 3


# -- gone


@KINDS
def test_fault_23_lock_of_a_killed_run_is_free_at_once(slow: Site, kind: str):
    with running(slow) as run:
        wait_until(lambda: came(slow))
        run.kill()
        run.wait()
    layout = root.open_store(str(slow.store))
    began = time.monotonic()
    with hold(layout, "cache", Holder("test", slow.now), wait_s=0):
        assert time.monotonic() - began < 1
    result = slow.run("cache")
    assert result.code == 0
    assert slow.endorsed() == {image_id(1): CONTENT}


def test_fault_23_run_that_finds_the_claim_of_a_killed_one_says_that_it_broke_it(site: Site):
    made(site, "claim")
    with subprocess.Popen(["true"]) as child:
        pass
    plant(site, pid=child.pid)
    result = site.run("cache")
    assert result.code == 0
    assert f"broke the claim cache-{TOKEN} of vmcatcher_cache (pid {child.pid} on" in result.err
    assert claims(site.store) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_run_that_is_ended_gives_its_claim_back(site: Site, number: int):
    made(site, "claim")
    site.server.fault("/images/1-v1.raw", "hang", times=1, seconds=60.0, after=2_000_000)
    with running(site) as run:
        wait_until(lambda: came(site))
        assert len(claims(site.store)) == 1
        run.send_signal(number)
        run.communicate(timeout=20)
    assert run.returncode == {signal.SIGTERM: 143, signal.SIGINT: 130}[number]
    assert claims(site.store) == []


@pytest.mark.slow
@KINDS
def test_fault_25_stopped_run_keeps_its_lock_and_goes_on_where_it_was(site: Site, kind: str):
    made(site, kind)
    site.server.fault("/images/1-v1.raw", "hang", times=1, seconds=2.0, after=2_000_000)
    with running(site) as run:
        wait_until(lambda: came(site))
        run.send_signal(signal.SIGSTOP)
        result = site.call("vmcatcher_cache", "--wait", "0.5")
        assert result.code == 75
        assert f"pid {run.pid}" in result.err
        run.send_signal(signal.SIGCONT)
        run.communicate(timeout=40)
    assert run.returncode in (0, 75)
    site.cache()
    assert site.endorsed() == {image_id(1): CONTENT}


# -- of another host


def test_fault_24_claim_of_another_host_is_broken_only_where_the_operator_names_it(site: Site):
    made(site, "claim")
    path = plant(site, host="cloud2", pid=4711)
    os.utime(path, (0, 0))
    for words in ((), ("--break-lock", "cache-fedcba9876543210")):
        result = site.run("cache", *words)
        assert result.code == 75
        for word in ("claimed by vmcatcher_cache (pid 4711 on cloud2, since 2026-01-02", f"--break-lock cache-{TOKEN}"):
            assert word in result.err
        assert path.exists()
    result = site.run("cache", "--break-lock", f"cache-{TOKEN}")
    assert result.code == 0
    assert f"broke the claim cache-{TOKEN} of vmcatcher_cache (pid 4711 on cloud2" in result.err
    assert "with vmcatcher_cache (pid" in result.err
    assert sorted(site.endorsed()) == [image_id(1)]


def test_fault_24_commands_of_the_other_command_line_break_claims_too(site: Site):
    made(site, "claim")
    path = plant(site, host="cloud2", pid=4711)
    result = site.call("vmcatcher", "store", "import-db", "--break-lock", f"cache-{TOKEN}", "/there/is/none.db")
    assert result.code == 1
    assert f"broke the claim cache-{TOKEN}" in result.err
    assert not path.exists()


def test_claim_of_a_run_on_this_host_is_not_broken_while_it_runs(site: Site):
    made(site, "claim")
    with hold(root.open_store(str(site.store)), "cache", Holder("test", site.now), wait_s=0):
        (path,) = claims(site.store)
        result = site.run("cache", "--break-lock", f"cache-{path.name}")
        assert result.code == 1
        assert "is running on this host" in result.err
        assert path.exists()


# -- lock files that are tampered with


@KINDS
def test_fault_26_run_whose_lock_was_removed_says_so_and_check_minds_no_lock_file(slow: Site, kind: str):
    slow.server.heal("/images/1-v1.raw")
    handler = f"rm -r {slow.store}/locks/cache.lock"
    result = slow.run("cache", "-x", f'[ "$VMCATCHER_EVENT_TYPE" != ProcessPrefix ] || {handler}')
    assert result.code == 0
    assert "while it was held" in result.err
    assert check_invariants(slow.store) == []
    assert slow.run("cache").code == 0
    assert "locks" not in slow.call("vmcatcher", "store", "check").out


@pytest.mark.parametrize("kind", ["kernel", "claim"])
@pytest.mark.parametrize("what", ["fifo", "symlink", "other"])
def test_fault_84_something_planted_as_a_lock_is_named_and_hangs_nobody(site: Site, kind: str, what: str):
    made(site, kind)
    path = site.store / "locks" / "cache.lock"
    match what:
        case "fifo":
            os.mkfifo(path)
        case "symlink":
            path.symlink_to(site.root)
        case _ if kind == "kernel":
            path.mkdir()
        case _:
            path.write_text("")
    result = site.run("cache")
    assert result.code == 1
    assert str(path) in result.err
    assert len(result.err.splitlines()) == 1
    assert site.run("image", "-l").code == 0


# -- copies


@KINDS
def test_fault_30_copy_made_while_a_run_holds_its_lock_is_not_held(slow: Site, kind: str):
    copy = slow.root / "copy"
    with running(slow) as run:
        wait_until(lambda: came(slow))
        shutil.copytree(slow.store, copy, symlinks=True)
        slow.server.heal("/images/1-v1.raw")
        result = slow.call("vmcatcher_cache", "--store", str(copy))
        assert result.code == 0, result
        assert run.poll() is None, "and the run whose lock was copied is still at it"
        assert slow.call("vmcatcher_cache").code == 75
    assert (copy / "endorsed" / image_id(1)).read_bytes() == CONTENT


# -- which kind


def test_store_is_made_with_the_locks_that_were_asked_for_and_keeps_them(site: Site):
    for words, code, said in (
        (("--locks", "claims"), 2, "'claims' is not one of 'kernel', 'claim'"),
        (("--locks", "claim"), 0, "made the store"),
        (("--locks", "kernel"), 1, "has claim locks, not kernel"),
    ):
        result = site.call("vmcatcher", "store", "init", *words)
        assert result.code == code, result
        assert said in result.out + result.err
    assert json.loads((site.store / "vmcatcher.json").read_text())["locks"] == "claim"
    site.join(site.image(1))
    assert (site.store / "locks" / "store.lock").is_dir()


def test_store_has_kernel_locks_unless_asked_for_others(site: Site):
    site.join(site.image(1))
    assert json.loads((site.store / "vmcatcher.json").read_text())["locks"] == "kernel"
    assert (site.store / "locks" / "store.lock").is_file()
