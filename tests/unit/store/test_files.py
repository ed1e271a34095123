"""The one module that changes the tree: what each operation leaves, also when the machine refuses."""

from __future__ import annotations

import errno
import os
import socket
import stat
import time
from pathlib import Path

import pytest

from support.faults import CHANGES, Fail, Faults, Kill, Killed, ShortWrite
from vmcatcher.errors.store import NotOurFile, StoreFull, StoreInputOutput, StoreReadOnly
from vmcatcher.store import files, reading

NOW = time.time()


def names(directory):
    return sorted(os.listdir(directory))


def mode(path):
    return stat.S_IMODE(os.lstat(path).st_mode)


def put(directory, name="document", content=b"new"):
    files.put(str(directory / name), content)


def source_of(directory):
    source = directory / "source"
    source.write_bytes(b"bytes")
    source.chmod(0o444)
    return source


def link(directory):
    files.link("target", str(directory / "name"))


def hard_link(directory):
    files.copy_in(str(source_of(directory)), str(directory / "name"), hard=True)


def copy(directory):
    files.copy_in(str(source_of(directory)), str(directory / "name"), hard=False)


def adopt(directory):
    partial = directory / "partial"
    partial.write_bytes(b"bytes")
    files.adopt(str(partial), str(directory / "name"))


def retire(directory):
    files.retire(str(source_of(directory)), str(directory / "name"))


def make_directory(directory):
    files.make_directory(str(directory / "name"))


OPERATIONS = {
    "put": lambda directory: put(directory, "name"),
    "link": link,
    "hard link": hard_link,
    "copy": copy,
    "adopt": adopt,
    "retire": retire,
    "make directory": make_directory,
}


# -- put


def test_put_makes_a_file_with_the_content_and_nothing_else(tmp_path: Path):
    put(tmp_path)
    assert names(tmp_path) == ["document"]
    assert (tmp_path / "document").read_bytes() == b"new"


def test_put_replaces_the_file_and_leaves_the_old_inode_to_its_readers(tmp_path: Path):
    put(tmp_path, content=b"old")
    with open(tmp_path / "document", "rb") as reader:
        put(tmp_path)
        assert reader.read() == b"old"
    assert (tmp_path / "document").read_bytes() == b"new"


@pytest.mark.parametrize(("umask", "expected"), [(0o022, 0o644), (0o077, 0o600), (0o000, 0o644), (0o027, 0o640)])
def test_put_asks_for_644_less_the_umask(tmp_path: Path, umask: int, expected: int):
    os.umask(umask)
    put(tmp_path)
    assert mode(tmp_path / "document") == expected


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_secret_is_readable_by_its_owner_alone_whatever_the_umask(tmp_path: Path, umask: int):
    os.umask(umask)
    files.put_json(str(tmp_path / "secret"), {"password": "x"}, mode=files.SECRET_MODE)
    assert mode(tmp_path / "secret") == 0o600


def test_secret_is_never_readable_by_others_while_it_is_written(tmp_path: Path):
    os.umask(0)
    seen = set()
    with Faults() as counted:
        files.put_json(str(tmp_path / "secret"), {"password": "x"}, mode=files.SECRET_MODE)
    for number in range(counted.count):
        with Faults(Kill(number)), pytest.raises(Killed):
            files.put_json(str(tmp_path / "secret"), {"password": "y"}, mode=files.SECRET_MODE)
        seen |= {mode(tmp_path / name) for name in names(tmp_path)}
    assert seen == {0o600}


def test_put_writes_on_after_short_writes(tmp_path: Path):
    content = os.urandom(100)
    with Faults(ShortWrite(7)) as faults:
        put(tmp_path, content=content)
    assert faults.calls.count("write") == 15
    assert (tmp_path / "document").read_bytes() == content


def test_put_replaces_a_symbolic_link_and_leaves_what_it_led_to(tmp_path: Path):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / "document").symlink_to(victim)
    put(tmp_path)
    assert victim.read_text() == "mine"
    assert not (tmp_path / "document").is_symlink()


def test_put_on_a_directory_is_refused_and_leaves_it(tmp_path: Path):
    (tmp_path / "document" / "inside").mkdir(parents=True)
    with pytest.raises(NotOurFile, match="a directory"):
        put(tmp_path)
    assert names(tmp_path) == ["document"]
    assert names(tmp_path / "document") == ["inside"]


def test_json_is_sorted_utf8_with_a_newline_at_the_end(tmp_path: Path):
    files.put_json(str(tmp_path / "document"), {"b": "Ä", "a": [1]})
    assert (tmp_path / "document").read_bytes() == '{\n "a": [\n  1\n ],\n "b": "Ä"\n}\n'.encode()


# -- every operation, every refusal of the machine


@pytest.mark.parametrize(
    ("code", "error", "exit_code"),
    [
        (errno.ENOSPC, StoreFull, 75),
        (errno.EDQUOT, StoreFull, 75),
        (errno.EFBIG, StoreFull, 75),
        (errno.EROFS, StoreReadOnly, 1),
        (errno.EACCES, StoreReadOnly, 1),
        (errno.EPERM, StoreReadOnly, 1),
        (errno.EIO, StoreInputOutput, 75),
        (errno.EMFILE, StoreInputOutput, 75),
        (errno.ESTALE, StoreInputOutput, 75),
    ],
)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_refused_call_is_reported_with_path_and_reason_and_leaves_no_temporary_name(
    tmp_path: Path, operation: str, code: int, error: type, exit_code: int
):
    with Faults() as counted:
        (tmp_path / "count").mkdir()
        OPERATIONS[operation](tmp_path / "count")
    assert counted.count
    # What a hard link tidies up at the end may fail: `sweep` does it later.
    for number in range(counted.count - (operation == "hard link")):
        directory = tmp_path / str(number)
        directory.mkdir()
        with Faults(Fail(number, code)), pytest.raises(error) as caught:
            OPERATIONS[operation](directory)
        assert caught.value.exit_code == exit_code
        assert str(directory) in str(caught.value)
        assert not [name for name in names(directory) if name.startswith(".tmp-")], f"call {number}"


@pytest.mark.parametrize("operation", OPERATIONS)
def test_operation_is_all_or_nothing_at_every_kill(tmp_path: Path, operation: str):
    with Faults() as counted:
        (tmp_path / "whole").mkdir()
        OPERATIONS[operation](tmp_path / "whole")
    whole = set(names(tmp_path / "whole"))
    for number in range(counted.count):
        directory = tmp_path / str(number)
        directory.mkdir()
        with Faults(Kill(number)), pytest.raises(Killed):
            OPERATIONS[operation](directory)
        found = {name for name in names(directory) if not name.startswith(".tmp-")} - {"source", "partial"}
        assert found in (set(), whole - {"source"})


def test_put_syncs_the_file_before_its_name_and_the_directory_after(tmp_path: Path):
    with Faults() as faults:
        put(tmp_path)
    assert faults.calls == ["open", "write", "fsync", "rename", "fsync"]


@pytest.mark.parametrize(
    ("operation", "calls"),
    [
        ("link", ["symlink", "rename", "fsync"]),
        ("hard link", ["link", "rename", "fsync", "unlink"]),
        ("adopt", ["rename", "fsync", "fsync"]),
        ("retire", ["rename", "fsync"]),
        ("make directory", ["mkdir", "fsync"]),
    ],
)
def test_operation_is_on_disk_when_it_returns(tmp_path: Path, operation: str, calls: list[str]):
    with Faults() as faults:
        OPERATIONS[operation](tmp_path)
    assert faults.calls == calls


def test_drop_is_on_disk_when_it_returns(tmp_path: Path):
    put(tmp_path)
    with Faults() as faults:
        assert files.drop(str(tmp_path / "document"))
    assert faults.calls == ["unlink", "fsync"]


def test_every_changing_call_of_the_module_is_known_to_the_faults():
    text = Path(files.__file__).read_text()
    changing = {"chmod", "chown", "fchmod", "fsync", "ftruncate", "link", "mkdir", "mkfifo", "open", "pwrite", "remove",
                "rename", "replace", "rmdir", "symlink", "truncate", "unlink", "utime", "write"}  # fmt: skip
    used = {name for name in changing if f"os.{name}(" in text}
    assert used <= set(CHANGES)


def test_full_disk_names_what_was_needed_and_what_is_free(tmp_path: Path):
    with Faults(Fail(1, errno.ENOSPC)), pytest.raises(StoreFull) as caught:
        put(tmp_path, content=b"x" * 123)
    assert caught.value.needed_bytes == 123
    assert caught.value.free_bytes is not None
    assert caught.value.free_bytes > 0


@pytest.mark.parametrize("operation", ["put", "link", "hard link", "copy"])
def test_operation_in_a_directory_that_is_gone_is_a_failure_of_the_machine(tmp_path: Path, operation: str):
    source_of(tmp_path)
    gone = str(tmp_path / "gone" / "name")
    calls = {
        "put": lambda: files.put(gone, b""),
        "link": lambda: files.link("x", gone),
        "hard link": lambda: files.copy_in(str(tmp_path / "source"), gone, hard=True),
        "copy": lambda: files.copy_in(str(tmp_path / "source"), gone, hard=False),
    }
    with pytest.raises(StoreInputOutput, match="is gone"):
        calls[operation]()


# -- link and copy_in


def test_link_replaces_what_link_was_there(tmp_path: Path):
    (tmp_path / "name").symlink_to("elsewhere")
    files.link("target", str(tmp_path / "name"))
    assert os.readlink(tmp_path / "name") == "target"
    assert names(tmp_path) == ["name"]


@pytest.mark.parametrize("hard", [True, False])
def test_link_or_copy_on_a_directory_is_refused_and_leaves_it(tmp_path: Path, hard: bool):
    (tmp_path / "name").mkdir()
    source = source_of(tmp_path)
    with pytest.raises(NotOurFile):
        files.copy_in(str(source), str(tmp_path / "name"), hard=hard)
    with pytest.raises(NotOurFile):
        files.link("x", str(tmp_path / "name"))
    assert names(tmp_path) == ["name", "source"]


def test_hard_link_made_twice_leaves_no_temporary_name(tmp_path: Path):
    hard_link(tmp_path)
    files.copy_in(str(tmp_path / "source"), str(tmp_path / "name"), hard=True)
    assert names(tmp_path) == ["name", "source"]
    assert os.lstat(tmp_path / "name").st_nlink == 2


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_copy_has_the_mode_of_a_blob(tmp_path: Path, umask: int):
    os.umask(umask)
    copy(tmp_path)
    assert mode(tmp_path / "name") == 0o444 & ~umask
    assert (tmp_path / "name").read_bytes() == b"bytes"


def test_hard_link_across_file_systems_says_so(tmp_path: Path, other_file_system: Path):
    source = source_of(tmp_path)
    with pytest.raises(StoreReadOnly, match="one file system"):
        files.copy_in(str(source), str(other_file_system / "name"), hard=True)
    assert names(other_file_system) == []


def test_copy_of_a_link_planted_in_place_of_the_source_is_refused(tmp_path: Path):
    (tmp_path / "source").symlink_to("/etc/hostname")
    with pytest.raises(NotOurFile):
        files.copy_in(str(tmp_path / "source"), str(tmp_path / "name"), hard=False)
    assert names(tmp_path) == ["source"]


# -- drop, adopt, retire, directories


def test_drop_of_nothing_is_false(tmp_path: Path):
    assert not files.drop(str(tmp_path / "nothing"))
    assert not files.drop(str(tmp_path / "no directory" / "nothing"))


def test_drop_removes_a_link_and_not_what_it_leads_to(tmp_path: Path):
    source = source_of(tmp_path)
    (tmp_path / "name").symlink_to(source)
    assert files.drop(str(tmp_path / "name"))
    assert names(tmp_path) == ["source"]


def test_drop_never_removes_a_directory(tmp_path: Path):
    (tmp_path / "name").mkdir()
    with pytest.raises(NotOurFile):
        files.drop(str(tmp_path / "name"))
    assert names(tmp_path) == ["name"]


@pytest.mark.parametrize(("umask", "expected"), [(0o022, 0o444), (0o077, 0o400), (0o000, 0o444)])
def test_finished_file_has_no_write_bit_and_no_bit_that_the_umask_forbids(tmp_path: Path, umask: int, expected: int):
    os.umask(umask)
    partial = str(tmp_path / "partial")
    descriptor = files.begin(partial)
    with Faults() as faults:
        files.finish(descriptor, partial)
    os.close(descriptor)
    # The mode before the sync, which takes it along: a power cut must not leave a blob that may be written to.
    assert faults.calls == ["chmod", "fsync"]
    files.adopt(partial, str(tmp_path / "name"))
    assert mode(tmp_path / "name") == expected
    assert names(tmp_path) == ["name"]


def test_file_that_was_finished_and_not_adopted_can_be_gone_on_with(tmp_path: Path):
    partial = tmp_path / "partial"
    partial.write_bytes(b"bytes")
    partial.chmod(0o440)
    os.close(files.go_on(str(partial)))
    assert mode(partial) == 0o640


def test_adopt_takes_the_place_of_a_link_planted_there(tmp_path: Path):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / "name").symlink_to(victim)
    adopt(tmp_path)
    assert victim.read_text() == "mine"
    assert (tmp_path / "name").read_bytes() == b"bytes"


def test_adopt_refuses_a_link_in_place_of_the_partial_and_leaves_its_target(tmp_path: Path):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    victim.chmod(0o666)
    (tmp_path / "partial").symlink_to(victim)
    with pytest.raises(NotOurFile):
        files.adopt(str(tmp_path / "partial"), str(tmp_path / "name"))
    assert mode(victim) == 0o666
    assert names(tmp_path) == ["partial", "victim"]


def test_adopt_of_nothing_says_that_it_is_gone(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        files.adopt(str(tmp_path / "partial"), str(tmp_path / "name"))


def test_adopt_onto_a_directory_is_refused(tmp_path: Path):
    (tmp_path / "name").mkdir()
    with pytest.raises(NotOurFile):
        adopt(tmp_path)
    assert names(tmp_path) == ["name", "partial"]


def test_retire_across_file_systems_is_refused_and_leaves_the_file(tmp_path: Path, other_file_system: Path):
    source = source_of(tmp_path)
    with pytest.raises(StoreReadOnly, match="one file system"):
        files.retire(str(source), str(other_file_system / "name"))
    assert source.read_bytes() == b"bytes"


def test_make_directory_makes_those_above_and_says_whether_it_did(tmp_path: Path):
    assert files.make_directory(str(tmp_path / "a" / "b"))
    assert not files.make_directory(str(tmp_path / "a" / "b"))


@pytest.mark.parametrize("what", ["file", "dangling link", "fifo"])
def test_make_directory_on_something_else_is_refused(tmp_path: Path, what: str):
    plant(tmp_path / "name", what)
    with pytest.raises(NotOurFile):
        files.make_directory(str(tmp_path / "name"))


def test_drop_directory_removes_an_empty_one_only(tmp_path: Path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert not files.drop_directory(str(tmp_path / "a"))
    assert files.drop_directory(str(tmp_path / "a" / "b"))
    assert not files.drop_directory(str(tmp_path / "a" / "b"))


# -- reading


def plant(path, what):
    if what == "fifo":
        os.mkfifo(path)
    elif what == "directory":
        path.mkdir()
    elif what == "file":
        path.write_text("x")
    elif what == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
    else:
        path.symlink_to({"link": "/etc/hostname", "dangling link": "nowhere", "loop": path.name}[what])


@pytest.mark.timeout(5)
@pytest.mark.parametrize("what", ["fifo", "directory", "socket", "link", "dangling link", "loop"])
def test_what_is_no_regular_file_is_refused_and_never_blocks(tmp_path: Path, what: str):
    plant(tmp_path / "name", what)
    with pytest.raises(NotOurFile):
        reading.read(str(tmp_path / "name"))


def test_device_is_refused():
    with pytest.raises(NotOurFile):
        reading.read("/dev/zero")


def test_file_of_more_bytes_than_allowed_is_refused(tmp_path: Path):
    (tmp_path / "name").write_bytes(b"x" * 11)
    assert reading.read(str(tmp_path / "name"), limit_bytes=11) == b"x" * 11
    with pytest.raises(NotOurFile, match="more than 10 bytes"):
        reading.read(str(tmp_path / "name"), limit_bytes=10)


def test_missing_file_is_missing(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        reading.read(str(tmp_path / "name"))


def test_stale_handle_is_looked_up_again_and_given_up_after_ten_times(tmp_path: Path, monkeypatch):
    (tmp_path / "name").write_bytes(b"x")
    tries = []

    def stale(path, flags, *rest):
        tries.append(path)
        if len(tries) < failing:
            raise OSError(errno.ESTALE, "Stale file handle")
        return opened(path, flags, *rest)

    opened, failing = os.open, 10
    monkeypatch.setattr(os, "open", stale)
    assert reading.read(str(tmp_path / "name")) == b"x"
    assert len(tries) == 10
    tries.clear()
    failing = 12
    with pytest.raises(StoreInputOutput):
        reading.read(str(tmp_path / "name"))
    assert len(tries) == 10


def test_names_are_sorted_and_without_temporary_ones(tmp_path: Path):
    for name in ("b", "a", files.temporary_name()):
        (tmp_path / name).touch()
    assert reading.names(str(tmp_path)) == ["a", "b"]
    assert reading.names(str(tmp_path / "absent")) == []


def test_directories_are_no_files_and_no_links(tmp_path: Path):
    (tmp_path / "b").mkdir()
    (tmp_path / "a").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert reading.directories(str(tmp_path)) == ["a", "b"]
    assert reading.directories(str(tmp_path / "absent")) == []


# -- sweeping


def aged(path, seconds):
    os.utime(path, (NOW - seconds, NOW - seconds), follow_symlinks=False)


def test_sweep_removes_own_left_overs_of_more_than_an_hour(tmp_path: Path):
    old, young = files.temporary_name(), files.temporary_name()
    link = files.temporary_name()
    for name, age in ((old, 3700), (young, 3500)):
        (tmp_path / name).touch()
        aged(tmp_path / name, age)
    (tmp_path / link).symlink_to("nowhere")
    aged(tmp_path / link, 3700)
    assert files.sweep(str(tmp_path), now_s=NOW) == 2
    assert names(tmp_path) == [young]


def test_sweep_leaves_names_that_it_did_not_make(tmp_path: Path):
    kept = [".tmp-", ".tmp-notes", ".tmp-12-xyz", ".tmp-1-0123456789abcdef.json", "a.tmp-1-0123456789abcdef", "README"]
    for name in kept:
        (tmp_path / name).touch()
        aged(tmp_path / name, 10**6)
    (tmp_path / ".tmp-1-0123456789abcdef").mkdir()
    aged(tmp_path / ".tmp-1-0123456789abcdef", 10**6)
    assert files.sweep(str(tmp_path), now_s=NOW) == 0
    assert names(tmp_path) == sorted([*kept, ".tmp-1-0123456789abcdef"])


def test_sweep_of_a_missing_directory_is_nothing(tmp_path: Path):
    assert files.sweep(str(tmp_path / "gone"), now_s=NOW) == 0
