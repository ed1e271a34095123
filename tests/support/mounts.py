"""File systems of a test's own: nothing that is mounted here is seen by anybody else or outlives the test.

    with private_mounts():                          # what this thread and its children see from here on
        with loop_mount(tmp_path / "disk", 32):     # a real ext4 of 32 MiB
            …
    with own_machine():                             # /etc, /opt, /usr, /var and /home may be written to, and forget it
        subprocess.run(["useradd", "vmcatcher"])

All of it lives in a mount namespace, which ends with the thread that made it. So everything is unmounted, and the
loop devices are free, even when the test is killed half way.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_CLONE_NEWNS = 0x00020000
# What installing a program writes to. /tmp and the like are left out: the tests' own files are there.
_WRITTEN = ("etc", "home", "opt", "root", "usr", "var")
# Where a site has the program and what belongs to it.
_INSTALLED = (
    *("/etc/cron.d/vmcatcher", "/etc/logrotate.d/vmcatcher", "/etc/vmcatcher", "/opt/vmcatcher", "/usr/bin/vmcatcher*"),
    *("/usr/local/bin/vmcatcher*", "/usr/share/doc/vmcatcher*", "/var/cache/vmimages", "/var/lib/vmcatcher"),
    "/var/log/vmcatcher*",
)
_CHECKOUT = Path(__file__).resolve().parents[2]


@contextmanager
def private_mounts() -> Iterator[None]:
    """Give this thread mounts of its own until the end of the block; skips the test where that is not allowed."""
    if os.geteuid() != 0:
        pytest.skip("needs root to mount")
    libc = ctypes.CDLL(None, use_errno=True)
    outside = os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    directory = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if libc.unshare(_CLONE_NEWNS) != 0:
            pytest.skip(f"no mount namespace here: {os.strerror(ctypes.get_errno())}")
        try:
            # Else what is mounted here would come up outside as well.
            _mount("--make-rprivate", "/")
            yield
        finally:
            # Back outside. Nobody is left in the namespace, which takes its mounts along.
            assert libc.setns(outside, _CLONE_NEWNS) == 0, os.strerror(ctypes.get_errno())
            os.fchdir(directory)
    finally:
        os.close(outside)
        os.close(directory)


def _mount(*words: str) -> None:
    done = subprocess.run(["mount", *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"cannot mount here: {done.stderr.strip()}")


@contextmanager
def loop_mount(directory: Path, size_mib: int) -> Iterator[Path]:
    """Mount an empty ext4 of that size on `directory`; skips the test where loop devices are not to be had.

    To be used within `private_mounts`, which unmounts it at the latest.
    """
    if shutil.which("mkfs.ext4") is None:
        pytest.skip("needs mkfs.ext4")
    image = directory.with_name(f"{directory.name}.ext4")
    with image.open("wb") as file:
        file.truncate(size_mib * 2**20)
    # Without a journal, and nothing set aside for root: as much as is free can be written.
    made = ["mkfs.ext4", "-q", "-F", "-m", "0", "-O", "^has_journal", str(image)]
    subprocess.run(made, check=True, capture_output=True)
    directory.mkdir()
    _mount("-o", "loop", str(image), str(directory))
    try:
        (directory / "lost+found").rmdir()
        yield directory
    finally:
        # Lazily: what is still open in it must not keep the test from ending.
        subprocess.run(["umount", "--lazy", str(directory)], check=True, capture_output=True)
        image.unlink()


@contextmanager
def own_machine() -> Iterator[None]:
    """Let this thread write to /etc, /usr and so on as it likes; nothing of it is there outside or afterwards.

    It is a machine on which vmcatcher was never installed and that has no user of that name, whatever there is outside.
    Other users can run this Python and this checkout in it, also where they are kept below a closed home directory.
    """
    with private_mounts():
        # Hidden below the mount point itself, so that the layers are nobody's business.
        _mount("-t", "tmpfs", "-o", "mode=755", "layers", "/mnt")
        for name in _WRITTEN:
            top = Path("/", name)
            if not top.is_dir():
                continue
            upper, work = Path("/mnt", name, "upper"), Path("/mnt", name, "work")
            upper.mkdir(parents=True)
            work.mkdir()
            shutil.copystat(top, upper)
            _mount("-t", "overlay", "-o", f"lowerdir={top},upperdir={upper},workdir={work}", "overlay", str(top))
        _forget_what_is_installed()
        for needed in (sys.prefix, sys.base_prefix, str(_CHECKOUT)):
            _open_the_way_to(Path(needed).resolve())
        yield


def _forget_what_is_installed() -> None:
    for pattern in _INSTALLED:
        for path in Path("/").glob(pattern[1:]):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    with contextlib.suppress(KeyError):
        pwd.getpwnam("vmcatcher")
        subprocess.run(["userdel", "vmcatcher"], check=True, capture_output=True)


def _open_the_way_to(place: Path) -> None:
    for directory in (place, *place.parents):
        mode = directory.stat().st_mode
        if mode & 0o005 == 0o005:
            continue
        if directory.parts[1:2] and directory.parts[1] in _WRITTEN:
            directory.chmod(mode | 0o055)
        else:
            pytest.skip(f"other users cannot enter {directory}")
