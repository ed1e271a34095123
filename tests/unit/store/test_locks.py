"""Locks between real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from vmcatcher.errors.store import NotOurFile, StoreHeld, UnknownFormat
from vmcatcher.store.locks import Holder, describe_holder, hold, inherited_name

NOW = datetime(2026, 11, 23, 4, 23, 39, tzinfo=UTC)
HOLDER = Holder("vmcatcher_cache", NOW)
_HOLD = """
import sys, time
from datetime import UTC, datetime
from vmcatcher.store.layout import Layout
from vmcatcher.store.locks import Holder, hold
layout = Layout(sys.argv[1], sys.argv[1] + "/blobs")
with hold(layout, "cache", Holder("vmcatcher_cache", datetime(2026, 1, 2, tzinfo=UTC)), wait_s=0):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(layout):
    """A process that holds the cache lock."""
    with subprocess.Popen([sys.executable, "-c", _HOLD, layout.root], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        yield child
        child.kill()


def taken(layout, name="cache", holder=HOLDER, wait_s=0.0):
    with hold(layout, name, holder, wait_s=wait_s):
        return True


def test_held_lock_is_refused_at_once_and_names_its_holder(layout, holder):
    began = time.monotonic()
    with pytest.raises(StoreHeld) as caught:
        taken(layout)
    assert time.monotonic() - began < 1
    assert caught.value.exit_code == 75
    assert f"pid {holder.pid}" in caught.value.holder
    assert "vmcatcher_cache" in caught.value.holder
    assert "since 2026-01-02T00:00:00Z, 325 d 4 h ago" in caught.value.holder


def test_lock_is_free_the_moment_its_holder_is_killed(layout, holder):
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    began = time.monotonic()
    assert taken(layout)
    assert time.monotonic() - began < 1


def test_stopped_holder_keeps_its_lock(layout, holder):
    os.kill(holder.pid, signal.SIGSTOP)
    try:
        with pytest.raises(StoreHeld):
            taken(layout, wait_s=0.2)
    finally:
        os.kill(holder.pid, signal.SIGCONT)


def test_waiting_ends_when_the_lock_is_free(layout, holder):
    waiter = subprocess.Popen(
        [sys.executable, "-c", _HOLD.replace("wait_s=0", "wait_s=30"), layout.root], stdout=subprocess.PIPE, text=True
    )
    try:
        time.sleep(0.3)
        assert waiter.poll() is None
        holder.kill()
        holder.wait()
        assert waiter.stdout is not None
        assert waiter.stdout.readline() == "held\n"
    finally:
        waiter.kill()
        waiter.communicate()


def test_locks_of_other_names_are_free(layout, holder):
    assert taken(layout, "update")
    assert taken(layout, "store")


def test_lock_that_a_parent_holds_is_refused_without_waiting(layout):
    inherited = Holder("vmcatcher_cache", NOW, frozenset({inherited_name(layout, "cache")}))
    began = time.monotonic()
    with pytest.raises(StoreHeld, match="called this handler"):
        taken(layout, holder=inherited, wait_s=30)
    assert time.monotonic() - began < 1
    assert taken(layout, "store", inherited)


def test_lock_that_a_parent_holds_on_another_store_does_not_count(layout, tmp_path):
    other = frozenset({inherited_name(layout, "cache").replace(layout.root, str(tmp_path / "other"))})
    assert taken(layout, holder=Holder("vmcatcher_cache", NOW, other))


def test_lock_file_stays_and_says_who_had_it_last(layout):
    taken(layout)
    path = Path(layout.locks, "cache.lock")
    note = json.loads(path.read_text())
    assert (note["pid"], note["command"], note["since"]) == (os.getpid(), "vmcatcher_cache", "2026-11-23T04:23:39Z")
    inode = path.stat().st_ino
    taken(layout)
    assert path.stat().st_ino == inode


def test_missing_directory_of_locks_is_made_again(layout):
    Path(layout.locks).rmdir()
    assert taken(layout)


@pytest.mark.parametrize("note", [b"", b"{", b"[]", b'{"pid": 1}', b'{"pid": 0}', b"\xff\xfe", b"x" * 5000])
def test_torn_note_of_a_holder_costs_a_vague_message_only(tmp_path, note):
    (tmp_path / "cache.lock").write_bytes(note)
    assert describe_holder(str(tmp_path / "cache.lock"), NOW) == "another process"


def test_note_of_a_longer_command_leaves_nothing_behind_a_shorter_one(layout):
    taken(layout, holder=Holder("vmcatcher_cache" * 20, NOW))
    taken(layout)
    json.loads(Path(layout.locks, "cache.lock").read_text())


@pytest.mark.parametrize("plant", ["fifo", "directory", "symlink", "dangling"])
def test_fault_84_what_is_no_lock_file_is_refused_and_blocks_nobody(layout, tmp_path, plant):
    path = Path(layout.locks, "cache.lock")
    victim = tmp_path / "victim"
    match plant:
        case "fifo":
            os.mkfifo(path)
        case "directory":
            path.mkdir()
        case _:
            path.symlink_to(victim)
    if plant == "symlink":
        victim.write_text("mine")
    began = time.monotonic()
    with pytest.raises(NotOurFile, match=r"cache\.lock"):
        taken(layout, wait_s=20)
    assert time.monotonic() - began < 1
    assert not victim.exists() or victim.read_text() == "mine"


def test_fault_26_holder_says_that_its_lock_file_was_removed(layout, caplog):
    with hold(layout, "cache", HOLDER, wait_s=0):
        Path(layout.locks, "cache.lock").unlink()
        assert taken(layout), "a second holder gets in: lock files must not be removed"
    assert "was removed while it was held" in caplog.text


def test_holder_whose_lock_file_stayed_says_nothing(layout, caplog):
    taken(layout)
    assert caplog.text == ""


@pytest.mark.parametrize("marker", ['{"format": 1, "locks": "unheard-of"}', '{"format": 1}'])
def test_locks_of_an_unknown_kind_are_never_guessed(layout, marker):
    Path(layout.marker).write_text(marker)
    with pytest.raises(UnknownFormat):
        taken(layout)
    assert os.listdir(layout.locks) == []
