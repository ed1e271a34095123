"""Files that a command leaves where the operator says: killed or failed at any call they are the old one or the new."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from support.faults import Fail, Faults, Kill, Killed, ShortWrite
from support.site import Result, Site, image_id

_OLD = b"what was there before\n"
_KINDS = ["proof", "metrics"]


@pytest.fixture
def joined(site: Site) -> Site:
    site.join(site.image(1))
    return site


def write(site: Site, kind: str, path: Path) -> Result:
    if kind == "proof":
        return site.run("vmcatcher", "image", "proof", image_id(1), "-o", str(path))
    return site.run("vmcatcher", "status", "--quiet", "--prometheus", str(path))


def is_whole(kind: str, content: bytes, whole: bytes) -> bool:
    # Metrics say how much space is free, which others change meanwhile.
    return content == whole if kind == "proof" else content.splitlines()[-1:] == whole.splitlines()[-1:]


@pytest.mark.slow
@pytest.mark.parametrize("kind", _KINDS)
def test_fault_113_disturbed_at_any_call_the_file_is_the_old_one_or_the_new(joined: Site, kind: str):
    path = joined.root / "out" / "file"
    path.parent.mkdir()
    with Faults() as counted:
        code = write(joined, kind, path).code
    assert counted.count >= 5
    whole, store = path.read_bytes(), joined.tree()
    for number in range(counted.count):
        for fault in (Kill(number), Fail(number, errno.ENOSPC), Fail(number, errno.EIO), Fail(number, errno.EROFS)):
            path.write_bytes(_OLD)
            with Faults(fault) as faults, contextlib.suppress(Killed):
                result = write(joined, kind, path)
                assert result.code == 1, fault
                assert "[output-unwritable]" in result.err, fault
                assert str(path) in result.err, fault
                left = [one.name for one in path.parent.iterdir()]
                # A name that cannot be removed stays, and hurts nobody who looks for the file.
                assert counted.calls[number] == "unlink" or left == [path.name], fault
            assert faults.struck, fault
            assert path.read_bytes() == _OLD or is_whole(kind, path.read_bytes(), whole), fault
            assert joined.tree() == store, fault
            assert write(joined, kind, path).code == code, fault
            assert is_whole(kind, path.read_bytes(), whole), fault
            for one in path.parent.glob(".tmp-*"):
                one.unlink()


def test_file_that_is_written_piece_by_piece_is_whole(joined: Site):
    path = joined.root / "file"
    write(joined, "proof", path)
    whole = path.read_bytes()
    with Faults(ShortWrite(7)):
        write(joined, "proof", path)
    assert path.read_bytes() == whole


@pytest.mark.parametrize("kind", _KINDS)
def test_fault_113_link_is_replaced_and_a_pipe_is_written_to(joined: Site, kind: str):
    victim, link, pipe = (joined.root / name for name in ("victim", "link", "pipe"))
    victim.write_bytes(_OLD)
    link.symlink_to(victim)
    os.mkfifo(pipe)
    write(joined, kind, link)
    assert not link.is_symlink()
    assert victim.read_bytes() == _OLD
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append(pipe.read_bytes()))
    reader.start()
    write(joined, kind, pipe)
    reader.join(10)
    assert pipe.is_fifo()
    assert is_whole(kind, found[0], link.read_bytes())


@pytest.mark.slow
@pytest.mark.parametrize("kind", _KINDS)
def test_fault_113_standard_output_is_written_to_wherever_it_leads(joined: Site, kind: str):
    words = {"proof": ("image", "proof", image_id(1), "-o"), "metrics": ("status", "--quiet", "--prometheus")}[kind]
    before = os.readlink("/dev/stdout")
    done = joined.call("vmcatcher", *words, "/dev/stdout")
    program = str(Path(sys.executable).parent / "vmcatcher")
    line = f'"$0" "$@" /dev/stdout > {joined.root}/out'
    environment = {**os.environ, **joined.environment}
    subprocess.run(["sh", "-c", line, program, *words], env=environment, check=False)
    assert os.readlink("/dev/stdout") == before
    assert done.raw.startswith({"proof": b"{", "metrics": b"# HELP"}[kind])
    # What the command says itself goes to the same file, and is why `-o -` is there.
    assert b"~sha256" in (joined.root / "out").read_bytes() or kind == "metrics"
