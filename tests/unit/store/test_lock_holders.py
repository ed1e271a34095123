"""Who has a lock, seen from outside: kernel locks of this host, and claims with what became of their makers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from vmcatcher.store.lock_holders import held_locks
from vmcatcher.store.locks import Holder, hold
from vmcatcher.store.root import make_store

_NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def test_a_store_that_nobody_works_on_has_no_held_lock(tmp_path: Path):
    layout = make_store(str(tmp_path / "store"))
    assert held_locks(layout, _NOW) == ()
    with hold(layout, "cache", Holder("a run", _NOW), wait_s=0):
        pass
    # The note of who had it last is there still.
    assert held_locks(layout, _NOW) == ()


def test_a_kernel_lock_is_named_with_its_holder_and_can_be_taken_right_after(tmp_path: Path):
    layout = make_store(str(tmp_path / "store"))
    with hold(layout, "update", Holder("a run", _NOW), wait_s=0):
        [held] = held_locks(layout, _NOW)
    assert (held.lock, held.command, held.pid, held.since, held.claim) == ("update", "a run", os.getpid(), _NOW, "")
    with hold(layout, "update", Holder("another", _NOW), wait_s=0):
        assert [one.command for one in held_locks(layout, _NOW)] == ["another"]


def test_a_claim_is_named_with_what_became_of_its_maker(tmp_path: Path):
    layout = make_store(str(tmp_path / "store"), locks="claim")
    with hold(layout, "cache", Holder("a run", _NOW), wait_s=0):
        [held] = held_locks(layout, _NOW)
        assert (held.lock, held.command, held.fate) == ("cache", "a run", "running")
        assert held.claim.startswith("cache-")
        [claim] = (tmp_path / "store" / "locks" / "cache.lock").iterdir()
        gone = subprocess.run(
            [sys.executable, "-c", "import os; print(os.getpid())"], stdout=subprocess.PIPE, check=True
        )
        note = json.loads(claim.read_text())
        claim.write_text(json.dumps({**note, "pid": int(gone.stdout), "started": ""}))
        assert [one.fate for one in held_locks(layout, _NOW)] == ["gone"]
        claim.write_text(json.dumps({**note, "host": "elsewhere.example.org"}))
        assert [one.fate for one in held_locks(layout, _NOW)] == ["elsewhere"]
        claim.write_text("torn")
        assert [(one.holder, one.fate) for one in held_locks(layout, _NOW)] == [("another process", "elsewhere")]


def test_something_else_in_place_of_a_lock_is_passed_over(tmp_path: Path):
    layout = make_store(str(tmp_path / "store"))
    os.mkfifo(tmp_path / "store" / "locks" / "cache.lock")
    assert held_locks(layout, _NOW) == ()
