"""Downloads that go on, start again, are given up, and never write where somebody else does."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.faults import Fail, Faults, Kill, Killed, ShortWrite, TornWrite
from vmcatcher.errors.store import StoreFull, StoreInputOutput, WrongBytes
from vmcatcher.model.identity import Sha512
from vmcatcher.store import downloads, files, reading, root
from vmcatcher.store.downloads import Download, lefts

CONTENT = b"".join(f"line {number}\n".encode() for number in range(1000))
SHA = Sha512(hashlib.sha512(CONTENT).hexdigest())
URI = "http://images.test/1.raw"


def download(layout, *, content=CONTENT, uri=URI):
    return Download(layout, Sha512(hashlib.sha512(content).hexdigest()), len(content), uri=uri)


def begin_other(layout, upto, *, validator, uri=URI):
    """Leave another partial of the same bytes."""
    known = {left.path: Path(left.path).read_bytes() for left in lefts(layout)}
    for path in known:
        Path(path).rename(f"{path}.away")
    begin(layout, upto, validator=validator, uri=uri)
    for path in known:
        Path(f"{path}.away").rename(path)


def feed(sink, content, step=1000):
    view = memoryview(content)
    while view:
        sink.write(view[:step])
        view = view[step:]


def begin(layout, upto, *, validator='"v1"', uri=URI):
    """Leave a partial download of so many bytes, as a run does that ends."""
    with download(layout, uri=uri) as sink:
        sink.remember(validator)
        feed(sink, CONTENT[:upto])
    (left,) = lefts(layout)
    return Path(left.path)


def noted(path, **changes):
    """Change what a partial says about its writer."""
    notes = json.loads(Path(f"{path}.json").read_text())
    Path(f"{path}.json").write_text(json.dumps({**notes, **changes}))


def blob(layout):
    return Path(layout.blob(SHA))


def partials(layout):
    return sorted(os.listdir(layout.partial))


@pytest.fixture
def dead_pid():
    """The number of a process that is over."""
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


# -- the whole way


def test_whole_download_becomes_a_read_only_blob_and_leaves_nothing_else(layout):
    with download(layout) as sink:
        sink.remember('"v1"')
        feed(sink, CONTENT)
        sink.commit()
    assert blob(layout).read_bytes() == CONTENT
    assert stat.S_IMODE(blob(layout).stat().st_mode) == 0o444
    assert partials(layout) == []


@pytest.mark.parametrize(("umask", "mode"), [(0o077, 0o400), (0o000, 0o444), (0o027, 0o440)])
def test_blob_has_no_bit_that_the_umask_forbids(layout, umask, mode):
    os.umask(umask)
    with download(layout) as sink:
        feed(sink, CONTENT)
        sink.commit()
    assert stat.S_IMODE(blob(layout).stat().st_mode) == mode


def test_download_goes_on_after_short_writes(layout):
    with Faults(ShortWrite(7)), download(layout) as sink:
        feed(sink, CONTENT)
        sink.commit()
    assert blob(layout).read_bytes() == CONTENT


def test_bytes_are_synced_before_they_are_a_blob(layout):
    files.make_directory(os.path.dirname(layout.blob(SHA)))
    with Faults() as faults, download(layout) as sink:
        feed(sink, CONTENT, step=len(CONTENT))
        sink.commit()
    assert faults.calls == ["open", "write", "chmod", "fsync", "rename", "fsync", "fsync", "unlink"]


def test_download_of_nothing_leaves_nothing(layout):
    with download(layout) as sink:
        sink.remember(None)
    assert partials(layout) == []


def test_committing_bytes_that_are_a_blob_already_keeps_one(layout):
    for _ in range(2):
        with download(layout) as sink:
            feed(sink, CONTENT)
            sink.commit()
    assert blob(layout).read_bytes() == CONTENT
    assert partials(layout) == []


# -- wrong bytes


def test_other_bytes_of_the_right_size_are_refused_and_gone(layout):
    with download(layout) as sink:
        sink.remember('"v1"')
        feed(sink, CONTENT[::-1])
        with pytest.raises(WrongBytes) as caught:
            sink.commit()
    assert caught.value.what == "SHA-512"
    assert caught.value.expected == SHA
    assert not blob(layout).exists()
    assert partials(layout) == []


def test_one_byte_too_many_is_refused_and_not_written(layout):
    with download(layout) as sink:
        feed(sink, CONTENT)
        with pytest.raises(WrongBytes) as caught:
            sink.write(memoryview(b"x"))
        assert caught.value.what == "size"
        (name,) = partials(layout)
        assert Path(layout.partial, name).stat().st_size == len(CONTENT)


def test_a_byte_too_few_is_refused_and_kept_for_later(layout):
    with download(layout) as sink:
        sink.remember('"v1"')
        feed(sink, CONTENT[:-1])
        with pytest.raises(WrongBytes) as caught:
            sink.commit()
    assert (caught.value.what, caught.value.found) == ("size", str(len(CONTENT) - 1))
    assert [left.size for left in lefts(layout)] == [len(CONTENT) - 1]


# -- going on


def test_next_run_goes_on_where_the_last_one_stopped(layout):
    begin(layout, 4000)
    with download(layout) as sink:
        assert (sink.size, sink.validator) == (4000, '"v1"')
        feed(sink, CONTENT[4000:])
        sink.commit()
    assert blob(layout).read_bytes() == CONTENT
    assert partials(layout) == []


def test_of_several_the_longest_is_taken(layout):
    begin(layout, 1000)
    noted(lefts(layout)[0].path, host="elsewhere")
    begin_other(layout, 3000, validator='"v2"')
    with download(layout) as sink:
        assert (sink.size, sink.validator) == (3000, '"v2"')


def test_partial_from_another_place_keeps_its_bytes_but_its_validator_is_of_no_use_here(layout):
    begin(layout, 4000, uri="http://mirror.test/1.raw")
    with download(layout) as sink:
        assert (sink.size, sink.validator, sink.is_from_elsewhere) == (4000, None, True)
        sink.turn_to("http://mirror.test/1.raw")
        assert (sink.size, sink.validator, sink.is_from_elsewhere) == (4000, '"v1"', False)


def test_next_run_knows_which_place_gave_the_last_bytes(layout):
    begin(layout, 4000, uri="http://mirror.test/1.raw")
    with download(layout) as sink:
        sink.remember('"v2"')
        feed(sink, CONTENT[4000:5000])
    with download(layout) as sink:
        assert (sink.size, sink.validator, sink.is_from_elsewhere) == (5000, '"v2"', False)
    (left,) = lefts(layout)
    assert (left.uri, left.validator) == (URI, '"v2"')


def test_run_that_takes_nothing_leaves_the_notes_of_who_gave_the_bytes(layout):
    begin(layout, 4000, uri="http://mirror.test/1.raw")
    with download(layout):
        pass
    (left,) = lefts(layout)
    assert (left.uri, left.validator, left.size) == ("http://mirror.test/1.raw", '"v1"', 4000)


def test_new_download_is_from_nowhere_else(layout):
    with download(layout) as sink:
        assert (sink.validator, sink.is_from_elsewhere) == (None, False)


def test_wrong_bytes_are_forgotten_and_right_ones_may_follow_at_once(layout):
    with download(layout) as sink:
        sink.remember('"v1"')
        feed(sink, CONTENT[::-1])
        with pytest.raises(WrongBytes):
            sink.commit()
        assert sink.size == 0
        sink.turn_to("http://mirror.test/1.raw")
        sink.remember(None)
        feed(sink, CONTENT)
        sink.commit()
    assert blob(layout).read_bytes() == CONTENT
    assert partials(layout) == []


def test_restart_forgets_every_byte(layout):
    begin(layout, 4000)
    with download(layout) as sink:
        sink.restart()
        assert sink.size == 0
        feed(sink, CONTENT)
        sink.commit()
    assert blob(layout).read_bytes() == CONTENT


def test_partial_longer_than_the_image_is_not_gone_on_with(layout):
    begin(layout, 4000)
    with Download(layout, SHA, 3999, uri=URI) as sink:
        assert sink.size == 0


def test_partial_of_a_dead_process_is_taken_over(layout, dead_pid):
    path = begin(layout, 4000)
    noted(path, pid=dead_pid)
    inode = path.stat().st_ino
    with download(layout) as sink:
        assert sink.size == 4000
        (name,) = [name for name in partials(layout) if not name.endswith(".json")]
        assert os.stat(os.path.join(layout.partial, name)).st_ino == inode
    assert not path.exists()
    assert not Path(f"{path}.json").exists()


@pytest.mark.parametrize("writer", ["live process", "other host", "nobody knows"])
def test_partial_that_somebody_may_still_write_to_is_copied(layout, writer):
    path = begin(layout, 4000)
    sleeper = subprocess.Popen(["sleep", "60"])
    try:
        changes = {
            "live process": {"pid": sleeper.pid},
            "other host": {"host": f"not-{socket.gethostname()}"},
            "nobody knows": {"pid": -1},
        }
        noted(path, **changes[writer])
        with download(layout) as sink:
            assert (sink.size, sink.validator) == (4000, '"v1"')
            feed(sink, CONTENT[4000:])
            sink.commit()
        assert path.read_bytes() == CONTENT[:4000]
    finally:
        sleeper.kill()
        sleeper.wait()
    assert blob(layout).read_bytes() == CONTENT


def test_hard_linked_backup_of_a_partial_does_not_change(layout, tmp_path, dead_pid):
    path = begin(layout, 4000)
    noted(path, pid=dead_pid)
    backup = tmp_path / "backup"
    os.link(path, backup)
    mode = backup.stat().st_mode
    with download(layout) as sink:
        assert sink.size == 4000
        feed(sink, CONTENT[4000:])
        sink.commit()
    assert backup.read_bytes() == CONTENT[:4000]
    assert backup.stat().st_mode == mode
    assert blob(layout).read_bytes() == CONTENT
    assert partials(layout) == []


def test_backup_does_not_change_when_a_resumed_download_starts_again(layout, tmp_path):
    path = begin(layout, 4000)
    backup = tmp_path / "backup"
    os.link(path, backup)
    with download(layout) as sink:
        sink.restart()
        feed(sink, CONTENT[:10])
    assert backup.read_bytes() == CONTENT[:4000]


@pytest.mark.parametrize(
    "notes", [b"", b"[]", b"{}", b"\xff", b'{"uri": 1, "validator": null, "host": "h", "pid": 1}', None]
)
def test_partial_whose_notes_are_damaged_is_left_alone(layout, notes):
    path = begin(layout, 4000)
    if notes is None:
        Path(f"{path}.json").unlink()
    else:
        Path(f"{path}.json").write_bytes(notes)
    with download(layout) as sink:
        assert sink.size == 0
        feed(sink, CONTENT)
        sink.commit()
    assert path.read_bytes() == CONTENT[:4000]


@pytest.mark.parametrize("pid", [10**30, "1", None, True, 0])
def test_notes_with_an_impossible_process_never_prove_that_it_is_dead(layout, pid):
    path = begin(layout, 4000)
    noted(path, pid=pid)
    assert [left.is_abandoned for left in lefts(layout)] == [False]


@pytest.mark.timeout(5)
@pytest.mark.parametrize("what", ["link", "fifo", "directory"])
def test_something_planted_as_a_partial_is_not_followed(layout, tmp_path, what):
    path = begin(layout, 4000)
    path.unlink()
    victim = tmp_path / "victim"
    victim.write_bytes(CONTENT[:4000])
    {"link": lambda: path.symlink_to(victim), "fifo": lambda: os.mkfifo(path), "directory": path.mkdir}[what]()
    with download(layout) as sink:
        assert sink.size == 0
        feed(sink, CONTENT)
        sink.commit()
    assert victim.read_bytes() == CONTENT[:4000]
    assert blob(layout).read_bytes() == CONTENT


def test_link_of_the_view_is_never_taken_for_a_partial(layout):
    name = "a" * 128
    Path(layout.partial, name).symlink_to("x")
    Path(layout.partial, name + ".1-x").touch()
    assert lefts(layout) == []


# -- the machine refuses


def test_download_without_enough_space_is_refused_before_it_begins(layout, monkeypatch):
    monkeypatch.setattr(reading, "free_bytes", lambda _: len(CONTENT))
    with pytest.raises(StoreFull) as caught, download(layout):
        pytest.fail("it began")
    assert caught.value.needed_bytes == len(CONTENT)
    assert partials(layout) == []


def test_going_on_needs_space_for_what_is_missing_only(layout, monkeypatch):
    begin(layout, len(CONTENT) - 10)
    monkeypatch.setattr(reading, "free_bytes", lambda _: 2**20 + 10)
    with download(layout) as sink:
        assert sink.size == len(CONTENT) - 10
    monkeypatch.setattr(reading, "free_bytes", lambda _: 2**20 + 9)
    with pytest.raises(StoreFull), download(layout):
        pytest.fail("it began")
    assert [left.size for left in lefts(layout)] == [len(CONTENT) - 10]


def test_space_is_looked_at_again_while_a_download_grows(layout, monkeypatch):
    monkeypatch.setattr(downloads, "_SPACE_STEP", 2000)
    asked = []
    monkeypatch.setattr(reading, "free_bytes", lambda _: asked.append(1) or (2**30 if len(asked) < 3 else 0))
    with download(layout) as sink:
        sink.remember('"v1"')
        with pytest.raises(StoreFull):
            feed(sink, CONTENT)
    assert [left.size for left in lefts(layout)] == [3000]


def test_full_disk_in_the_middle_keeps_what_came(layout):
    with download(layout) as sink:
        sink.remember('"v1"')
        feed(sink, CONTENT[:3000])
        with Faults(Fail(0, errno.ENOSPC)), pytest.raises(StoreFull):
            feed(sink, CONTENT[3000:])
    with download(layout) as sink:
        assert sink.size == 3000
        feed(sink, CONTENT[3000:])
        sink.commit()
    assert blob(layout).read_bytes() == CONTENT


def test_half_a_write_before_a_full_disk_does_not_spoil_the_rest(layout):
    # The kernel took part of a chunk that we do not count: the next run must look at the file, not believe the count.
    with download(layout) as sink:
        sink.remember('"v1"')
        feed(sink, CONTENT[:1000])
        with Faults(TornWrite(errno.ENOSPC)), pytest.raises(StoreFull):
            feed(sink, CONTENT[1000:3000], step=2000)
    (left,) = lefts(layout)
    assert left.size == 2000
    with download(layout) as sink:
        assert sink.size == 2000
        feed(sink, CONTENT[2000:])
        sink.commit()
    assert blob(layout).read_bytes() == CONTENT


@pytest.mark.parametrize(("call", "number"), [("write", 0), ("chmod", 0), ("fsync", 1)])
def test_broken_disk_discards_the_download_rather_than_trying_again(layout, call, number):
    # After a failed fsync the kernel has forgotten what it could not write, and the next one succeeds without it.
    with download(layout) as sink:
        sink.remember('"v1"')
        feed(sink, CONTENT[:-1] if call == "write" else CONTENT)
        with Faults(Fail(number, errno.EIO)) as faults, pytest.raises(StoreInputOutput):
            sink.write(memoryview(CONTENT[-1:])) if call == "write" else sink.commit()
        assert faults.calls[number] == call
    assert not blob(layout).exists()
    assert partials(layout) == []


def test_partial_that_cannot_be_read_any_more_is_given_up(layout, monkeypatch):
    begin(layout, 4000)

    def broken(*_):
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "readv", broken)
        sink = download(layout).__enter__()
    assert sink.size == 0
    feed(sink, CONTENT)
    sink.commit()
    sink.__exit__(None, None, None)
    assert blob(layout).read_bytes() == CONTENT
    assert partials(layout) == []


def test_no_descriptor_is_left_open_by_a_download_that_could_not_begin(layout):
    begin(layout, 4000)
    before = len(os.listdir("/proc/self/fd"))
    for number in range(12):
        with Faults(Fail(number, errno.ENOSPC)) as faults:
            try:
                with download(layout):
                    pass
            except StoreFull:
                pass
        assert len(os.listdir("/proc/self/fd")) == before
    assert not faults.struck, "twelve calls were not enough"


def every_kill(action):
    """Do something once for each of its calls, killed there, and at last undisturbed; yield after each."""
    number, struck = 0, True
    while struck:
        with Faults(Kill(number)) as faults, contextlib.suppress(Killed):
            action()
        yield number
        number, struck = number + 1, faults.struck


def test_kill_at_any_call_of_going_on_never_loses_what_came(layout):
    begin(layout, 4000)

    def go_on():
        with download(layout) as sink:
            feed(sink, CONTENT[sink.size : sink.size + 100])

    for number in every_kill(go_on):
        assert max(left.size for left in lefts(layout)) >= 4000, f"lost at call {number}"
    assert number > 5


def test_kill_at_any_call_of_a_whole_download_leaves_a_partial_or_the_blob(layout):
    def whole():
        with download(layout) as sink:
            sink.remember('"v1"')
            feed(sink, CONTENT[sink.size :])
            sink.commit()

    blobs = []
    for number in every_kill(whole):
        if blob(layout).exists():
            blobs.append(number)
            assert blob(layout).read_bytes() == CONTENT
            assert stat.S_IMODE(blob(layout).stat().st_mode) == 0o444
            blob(layout).unlink()
    assert blobs[0] > 10
    assert len(blobs) > 2


# -- left-overs


def aged(*paths):
    for path in paths:
        os.utime(path, (time.time() - 4000,) * 2)


def test_sweep_removes_halves_that_belong_to_nothing(layout):
    path = begin(layout, 4000)
    lonely_notes = Path(layout.partial, f"{SHA}.1-{'0' * 12}.json")
    lonely_notes.write_text("{}")
    young_notes = Path(layout.partial, f"{SHA}.3-{'0' * 12}.json")
    young_notes.write_text("{}")
    no_notes = Path(layout.partial, f"{SHA}.2-{'0' * 12}")
    no_notes.touch()
    aged(lonely_notes, no_notes, path, f"{path}.json")
    downloads.sweep(layout, now_s=time.time())
    assert partials(layout) == sorted([young_notes.name, path.name, f"{path.name}.json"])


def test_sweep_removes_abandoned_downloads_of_what_is_a_blob_by_now(layout):
    path = begin(layout, 4000)
    noted(path, host="elsewhere")
    with download(layout) as sink:
        feed(sink, CONTENT[4000:])
        sink.commit()
    downloads.sweep(layout, now_s=time.time())
    assert path.exists(), "its writer may be alive"
    noted(path, host=socket.gethostname())
    downloads.sweep(layout, now_s=time.time())
    assert partials(layout) == []


def test_sweep_touches_nothing_else(layout):
    kept = ["README", "a" * 128, f"{SHA}.json", "a0000000-bbbb-4bbb-8bbb-000000000001"]
    for name in kept:
        Path(layout.partial, name).touch()
    aged(*(Path(layout.partial, name) for name in kept))
    downloads.sweep(layout, now_s=time.time())
    assert partials(layout) == sorted(kept)


def test_blobs_on_another_file_system_have_their_downloads_beside_them(tmp_path, other_file_system):
    layout = root.make_store(str(tmp_path / "store"), blobs=str(other_file_system / "blobs"))
    with download(layout) as sink:
        feed(sink, CONTENT)
        sink.commit()
    assert blob(layout).read_bytes() == CONTENT
    assert str(blob(layout)).startswith(str(other_file_system))
