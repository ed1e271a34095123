"""Claims: the locks of a store that several hosts share, between real processes and with claims of other hosts."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from vmcatcher.errors.locks import ClaimHeld, ClaimInUse
from vmcatcher.errors.store import NotOurFile, StoreHeld, StoreReadOnly
from vmcatcher.store import root
from vmcatcher.store.claims import break_claim, claimed
from vmcatcher.store.holders import Note, fate, full_note_of, is_running, read_note
from vmcatcher.store.layout import Layout
from vmcatcher.store.locks import Holder, hold, inherited_name

NOW = datetime(2026, 11, 23, 4, 23, 39, tzinfo=UTC)
HOLDER = Holder("vmcatcher_cache", NOW)
_HOLD = """
import sys, time
from datetime import UTC, datetime
from vmcatcher.store.layout import Layout
from vmcatcher.store.locks import Holder, hold
layout = Layout(sys.argv[1], sys.argv[1] + "/blobs")
with hold(layout, "cache", Holder("vmcatcher_cache", datetime(2026, 1, 2, tzinfo=UTC)), wait_s=float(sys.argv[2])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def layout(tmp_path) -> Layout:
    return root.make_store(str(tmp_path / "store"), locks="claim")


def claimant(layout, wait_s=0):
    return subprocess.Popen(
        [sys.executable, "-c", _HOLD, layout.root, str(wait_s)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def holder(layout):
    """A process that holds the cache lock."""
    with claimant(layout) as child:
        assert child.stdout.readline() == "held\n"
        yield child
        child.kill()


def taken(layout, name="cache", holder=HOLDER, wait_s=0.0):
    with hold(layout, name, holder, wait_s=wait_s):
        return True


def held(layout, name="cache"):
    directory = Path(layout.locks, f"{name}.lock")
    return sorted(directory.iterdir()) if directory.is_dir() else []


def plant(layout, token="0123456789abcdef", name="cache", **changes):
    """Leave a claim as a process of another host, or of this one, would have made it."""
    path = Path(layout.locks, f"{name}.lock", token)
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({**full_note_of(HOLDER, layout), **changes}))
    return path


def dead_pid():
    with subprocess.Popen(["true"]) as child:
        pass
    return child.pid


# -- taking and giving back


def test_claim_is_there_while_it_is_held_and_says_by_whom(layout):
    with hold(layout, "cache", HOLDER, wait_s=0):
        (path,) = held(layout)
        note = read_note(str(path))
        assert (note.host, note.pid, note.command) == (socket.gethostname(), os.getpid(), "vmcatcher_cache")
        assert (note.since, note.store) == ("2026-11-23T04:23:39Z", os.path.realpath(layout.root))
        assert note.started.isdecimal()
        assert fate(note, layout) == "running"
    assert held(layout) == []
    assert os.listdir(layout.locks) == ["cache.lock"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_claim_is_given_back_whatever_ends_the_block(layout, error):
    with pytest.raises(error), hold(layout, "cache", HOLDER, wait_s=0):
        raise error
    assert held(layout) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_command_ended_by_a_signal_gives_its_claim_back(layout, number):
    code = (
        "import sys\nfrom vmcatcher.cli.boundary import bounded\n"
        f"def body():\n    exec({_HOLD!r})\n    return 0\n"
        "sys.exit(bounded(body, classic=True))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, layout.root, "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout.readline() == "held\n"
        assert len(held(layout)) == 1
        child.send_signal(number)
        child.communicate(timeout=20)
    assert child.returncode in (130, 143)
    assert held(layout) == []


def test_claims_of_other_names_are_free(layout, holder):
    assert taken(layout, "update")
    assert taken(layout, "store")


def test_claim_is_refused_to_a_second_one_in_the_same_process(layout):
    with hold(layout, "cache", HOLDER, wait_s=0), pytest.raises(StoreHeld):
        taken(layout)
    assert taken(layout)


def test_lock_that_a_parent_holds_is_refused_without_waiting(layout):
    inherited = Holder("vmcatcher_cache", NOW, frozenset({inherited_name(layout, "cache")}))
    with pytest.raises(StoreHeld, match="called this handler"):
        taken(layout, holder=inherited, wait_s=30)


def test_waiting_takes_the_time_that_was_given_and_no_more(layout):
    plant(layout, host="elsewhere")
    naps, now = [], [100.0]

    def nap(seconds):
        naps.append(seconds)
        now[0] += seconds

    with pytest.raises(StoreHeld), claimed(layout, "cache", HOLDER, wait_s=2, clock=lambda: now[0], sleep=nap):
        pass
    assert 102 <= now[0] < 102.2
    assert len(naps) > 10


def test_waiting_ends_when_the_claim_is_given_back(layout):
    path = plant(layout, host="elsewhere")

    def nap(seconds):
        path.unlink(missing_ok=True)

    with claimed(layout, "cache", HOLDER, wait_s=2, sleep=nap):
        assert len(held(layout)) == 1


def test_missing_directory_of_locks_is_made_again(layout):
    Path(layout.locks).rmdir()
    assert taken(layout)


def test_store_that_cannot_be_written_is_said_so(layout, monkeypatch):
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    os.chmod(layout.locks, 0o555)
    with pytest.raises(StoreReadOnly):
        taken(layout)
    os.chmod(layout.locks, 0o755)


# -- who has it


def test_fault_17_live_process_of_this_host_is_named_with_its_age(layout, holder):
    began = time.monotonic()
    with pytest.raises(StoreHeld) as caught:
        taken(layout)
    assert time.monotonic() - began < 1
    assert (caught.value.exit_code, caught.value.id) == (75, "store-held")
    text = caught.value.one_line()
    assert (
        f"vmcatcher_cache (pid {holder.pid} on {socket.gethostname()}, since 2026-01-02T00:00:00Z, 325 d 4 h ago)"
        in text
    )
    assert "--break-lock" not in text, "waiting, or ending that process, is what helps"


def test_fault_23_claim_of_a_killed_process_is_broken_by_the_next_one(layout, holder, caplog):
    os.kill(holder.pid, signal.SIGKILL)  # and not waited for: a zombie holds nothing, either
    deadline = time.monotonic() + 10
    while is_running(holder.pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    began = time.monotonic()
    assert taken(layout)
    assert time.monotonic() - began < 1
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert f"pid {holder.pid}" in caplog.text
    assert "not running any more" in caplog.text
    assert held(layout) == []


def test_fault_23_number_that_another_process_has_now_is_no_live_holder(layout):
    plant(layout, pid=os.getpid(), started="1")
    assert taken(layout)


def test_fault_23_claim_from_before_the_last_boot_is_broken(layout):
    plant(layout, boot="00000000-0000-0000-0000-000000000000")
    assert taken(layout)


def test_fault_24_claim_of_another_host_is_never_broken_by_age(layout):
    path = plant(layout, host="cloud2", pid=dead_pid(), since="2020-01-01T00:00:00Z")
    os.utime(path, (0, 0))
    with pytest.raises(ClaimHeld) as caught:
        taken(layout)
    assert (caught.value.exit_code, caught.value.classic_exit) == (75, 75)
    text = caught.value.one_line()
    assert "vmcatcher_cache (pid" in text
    assert "on cloud2, since 2020-01-01T00:00:00Z, 2518 d 4 h ago)" in text
    assert "--break-lock cache-0123456789abcdef" in text
    assert held(layout) == [path]


@pytest.mark.parametrize(
    "changes",
    [
        {"machine": "another machine of the same name"},
        {"space": "pid:[4026532999] time:[4026531834]"},
        {"space": ""},
    ],
    ids=["machine", "container", "unknown"],
)
def test_fault_24_what_cannot_be_looked_at_from_here_is_not_broken(layout, changes):
    path = plant(layout, pid=dead_pid(), **changes)
    with pytest.raises(ClaimHeld):
        taken(layout)
    assert held(layout) == [path]


def test_fault_24_container_of_the_same_name_on_another_boot_is_not_taken_for_dead(layout, monkeypatch):
    space = "pid:[4026532999] time:[4026531834]"
    monkeypatch.setattr(
        "os.readlink", lambda path: dict(zip(("pid", "time"), space.split(), strict=True))[Path(path).name]
    )
    plant(layout, space=space, boot="00000000-0000-0000-0000-000000000000")
    with pytest.raises(ClaimHeld):
        taken(layout)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"pid": 1}', b'{"pid": "x"}', b"\xff\xfe", b"x" * 5000])
def test_claim_that_cannot_be_read_is_kept_and_can_be_broken_by_name(layout, content):
    path = plant(layout)
    path.write_bytes(content)
    with pytest.raises(ClaimHeld, match="another process"):
        taken(layout)
    assert break_claim(layout, "cache-0123456789abcdef", HOLDER)
    assert taken(layout)


def test_fault_25_stopped_holder_keeps_its_claim(layout, holder):
    os.kill(holder.pid, signal.SIGSTOP)
    try:
        with pytest.raises(StoreHeld):
            taken(layout, wait_s=0.2)
    finally:
        os.kill(holder.pid, signal.SIGCONT)
    assert len(held(layout)) == 1


# -- copies


def test_fault_30_claim_that_came_with_a_copy_does_not_block_it(layout, holder, tmp_path, caplog):
    shutil.copytree(layout.root, tmp_path / "copy", symlinks=True)
    copy = root.open_store(str(tmp_path / "copy"))
    assert len(held(copy)) == 1
    assert taken(copy)
    assert "copy of another store" in caplog.text
    assert len(held(layout)) == 1
    with pytest.raises(StoreHeld):
        taken(layout)


def test_fault_30_claim_of_another_host_that_came_with_a_copy_does_not_block_it(layout, tmp_path):
    plant(layout, host="cloud2")
    shutil.copytree(layout.root, tmp_path / "copy", symlinks=True)
    assert taken(root.open_store(str(tmp_path / "copy")))


def test_store_with_another_path_on_another_host_is_the_same_store(layout):
    path = plant(layout, host="cloud2", store="/mnt/cloud2/store")
    with pytest.raises(ClaimHeld):
        taken(layout)
    assert held(layout) == [path]


def test_store_that_was_moved_while_it_was_claimed_stays_claimed(layout, holder, tmp_path):
    os.rename(layout.root, tmp_path / "moved")
    moved = root.open_store(str(tmp_path / "moved"))
    with pytest.raises(StoreHeld):
        taken(moved)


# -- breaking


def test_fault_24_claim_is_broken_where_the_operator_names_it_and_the_log_says_who(layout, caplog):
    plant(layout, host="cloud2", pid=4711)
    assert break_claim(layout, "cache-0123456789abcdef", Holder("vmcatcher_image", NOW))
    assert taken(layout)
    for word in (
        "cache-0123456789abcdef",
        "pid 4711 on cloud2",
        "vmcatcher_image",
        f"pid {os.getpid()}",
        "2026-11-23T04:23:39Z",
    ):
        assert word in caplog.text


@pytest.mark.parametrize(
    "named",
    [
        "cache-fedcba9876543210",
        "update-0123456789abcdef",
        "cache",
        "",
        "-",
        "cache-",
        "other-x",
        "cache-../x",
        "cache-.",
    ],
)
def test_break_of_what_is_not_there_breaks_nothing(layout, named, caplog):
    path = plant(layout, host="cloud2")
    assert not break_claim(layout, named, HOLDER)
    assert "nothing was broken" in caplog.text
    assert held(layout) == [path]


def test_claim_of_a_running_process_of_this_host_is_not_broken(layout, holder):
    (path,) = held(layout)
    with pytest.raises(ClaimInUse, match=f"pid {holder.pid}"):
        break_claim(layout, f"cache-{path.name}", HOLDER)
    assert held(layout) == [path]


def test_break_in_a_store_with_kernel_locks_breaks_nothing(tmp_path, caplog):
    layout = root.make_store(str(tmp_path / "kernel"))
    taken(layout)
    assert not break_claim(layout, "cache-0123456789abcdef", HOLDER)
    assert "nothing was broken" in caplog.text
    assert Path(layout.locks, "cache.lock").is_file()


def test_second_breaker_of_a_claim_cannot_hit_the_one_that_came_after(layout):
    plant(layout, host="cloud2")
    assert break_claim(layout, "cache-0123456789abcdef", HOLDER)
    with hold(layout, "cache", HOLDER, wait_s=0):
        assert not break_claim(layout, "cache-0123456789abcdef", HOLDER)
        assert len(held(layout)) == 1


def test_holder_says_that_its_claim_was_broken_and_takes_nobody_elses_away(layout, caplog):
    with hold(layout, "cache", HOLDER, wait_s=0):
        held(layout)[0].unlink()
        later = plant(layout, token="f" * 16, host="cloud2")
    assert "was broken while it was held" in caplog.text
    assert held(layout) == [later]


# -- what else may stand there


@pytest.mark.parametrize("what", ["fifo", "file", "symlink"])
def test_fault_84_what_is_no_directory_of_claims_is_refused_and_blocks_nobody(layout, tmp_path, what):
    path = Path(layout.locks, "cache.lock")
    (tmp_path / "victim").mkdir()
    match what:
        case "fifo":
            os.mkfifo(path)
        case "file":
            path.write_text("{}")
        case _:
            path.symlink_to(tmp_path / "victim")
    began = time.monotonic()
    with pytest.raises(NotOurFile, match=r"cache\.lock"):
        taken(layout, wait_s=20)
    assert time.monotonic() - began < 1
    assert list((tmp_path / "victim").iterdir()) == []


def test_fault_84_fifo_among_the_claims_blocks_the_lock_but_hangs_nobody(layout):
    Path(layout.locks, "cache.lock").mkdir()
    os.mkfifo(Path(layout.locks, "cache.lock", "pipe"))
    with pytest.raises(ClaimHeld, match=r"--break-lock cache-pipe|another process"):
        taken(layout)
    assert break_claim(layout, "cache-pipe", HOLDER)
    assert taken(layout)


def test_fault_15_private_directories_of_dead_processes_are_removed_when_they_are_old(layout):
    for name, age in (("old", timedelta(hours=2)), ("young", timedelta(minutes=30))):
        directory = Path(layout.locks, f".tmp-1-{name}")
        directory.mkdir()
        (directory / "0123456789abcdef").write_text("{}")
        os.utime(directory, ((NOW - age).timestamp(),) * 2)
    taken(layout)
    assert sorted(os.listdir(layout.locks)) == [".tmp-1-young", "cache.lock"]


# -- many at once, and killed at every step

_STRESS = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from vmcatcher.store.layout import Layout
from vmcatcher.store.locks import Holder, hold
layout, rounds, seed = Layout(sys.argv[1], sys.argv[1] + "/blobs"), int(sys.argv[2]), int(sys.argv[3])
inside = Path(sys.argv[1], "inside")
print("ready", flush=True)
sys.stdin.readline()
for number in range(rounds):
    with hold(layout, "store", Holder("stress", datetime(2026, 1, 2, tzinfo=UTC)), wait_s=50):
        if inside.exists():  # left by one that was killed, or by one that is inside with us
            pid = int(inside.read_text())
            try:
                state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
                assert state in "ZX", f"overlap with {pid}"
            except FileNotFoundError:
                pass
            inside.unlink()
        with open(inside, "x") as mark:
            mark.write(str(os.getpid()))
        if number == rounds - 1 and seed % 2:
            os.kill(os.getpid(), signal.SIGKILL)
        inside.unlink()
"""


def test_fault_23_claims_of_many_processes_never_overlap_though_half_of_them_are_killed(layout):
    crowd = [
        subprocess.Popen(
            [sys.executable, "-c", _STRESS, layout.root, "30", str(seed)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for seed in range(4)
    ]
    for child in crowd:
        assert child.stdout.readline() == "ready\n"
    for child in crowd:
        child.stdin.write("go\n")
        child.stdin.flush()
    errors = [child.communicate(timeout=50)[1] for child in crowd]
    assert [child.returncode for child in crowd] == [0, -9, 0, -9], errors


_KILLED = """
import os, signal, sys
from datetime import UTC, datetime
from vmcatcher.store import files
from vmcatcher.store.layout import Layout
from vmcatcher.store.locks import Holder, hold
layout, point = Layout(sys.argv[1], sys.argv[1] + "/blobs"), int(sys.argv[2])
pid, count = os.fork(), 0
if pid:
    sys.exit(1 if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -9 else 0)
def counted(call):
    def do(*args, **named):
        global count
        count += 1
        if count == point:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*args, **named)
    return do
for name in ("mkdir", "write", "fsync", "rename", "unlink", "rmdir"):
    setattr(os, name, counted(getattr(os, name)))
with hold(layout, "cache", Holder("killed", datetime(2026, 1, 2, tzinfo=UTC)), wait_s=0):
    pass
os._exit(0)
"""


def test_fault_23_process_killed_before_any_step_of_a_claim_blocks_nobody(layout):
    for point in range(1, 30):
        child = subprocess.run([sys.executable, "-c", _KILLED, layout.root, str(point)], check=False, timeout=30)
        began = time.monotonic()
        assert taken(layout), point
        assert time.monotonic() - began < 1
        assert held(layout) == []
        if child.returncode == 0:
            break
    assert 8 <= point < 29, "every step was a point, and there was an end"


def test_note_with_more_than_it_should_have_is_read(layout):
    path = plant(layout, more="than we know")
    assert isinstance(read_note(str(path)), Note)


def test_kind_of_locks_is_what_the_marker_says(tmp_path, layout):
    assert root.lock_kind(layout) == "claim"
    assert root.lock_kind(root.make_store(str(tmp_path / "other"))) == "kernel"
    assert root.lock_kind(Layout(str(tmp_path / "none"), str(tmp_path / "none" / "blobs"))) == "kernel"


def test_making_a_store_again_keeps_its_locks(layout):
    assert root.lock_kind(root.make_store(layout.root)) == "claim"
