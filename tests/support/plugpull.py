"""A disk whose plug can be pulled: ext4 on a loop device, which the kernel is told to forget everything about.

    with plugged_disk(tmp_path) as disk:
        …                          # write below disk.place
        disk.sync()                # this much is on it
        …                          # write more
        disk.pull()                # what was not synced is gone; whoever still writes is refused
        disk.plug_in()             # as after a reboot: mounted again, its journal replayed

The kernel does to the file system what a power cut does, at any instant and in milliseconds. Needs root.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

# EXT4_IOC_SHUTDOWN of the kernel's fs/ext4/ext4.h: _IOR('X', 125, __u32).
_SHUTDOWN: Final = 0x8004587D
_NO_LOG_FLUSH: Final = 2  # EXT4_GOING_FLAGS_NOLOGFLUSH: the journal is not written out either
_SIZE: Final = 32 * 2**20
_TOOLS: Final = ("mkfs.ext4", "mount", "umount", "sync")


class PluggedDisk:
    """An ext4 file system of its own, mounted at `place`."""

    def __init__(self, device: Path, place: Path) -> None:
        self.place = place
        self._device = device
        # Not to be asked of the file system: one whose plug was pulled may not answer.
        self._is_plugged_in = False

    def plug_in(self) -> None:
        """Mount it; whatever its journal holds is done first. One whose plug was pulled is put away before."""
        if self._is_plugged_in:
            self.put_away()
            # A copy, so that nothing in this kernel knows it: somebody else's mount namespace may hold on to the device
            # that was, and with it to the file system that refuses everybody since its plug was pulled.
            former = self._device
            self._device = former.with_suffix(".b" if former.suffix == ".a" else ".a")
            _run("cp", "--sparse=always", str(former), str(self._device))
            former.unlink()
        _run("mount", "-o", "loop", str(self._device), str(self.place))
        self._is_plugged_in = True

    def put_away(self) -> None:
        """Unmount it, if it is mounted."""
        if self._is_plugged_in:
            _run("umount", str(self.place))
        self._is_plugged_in = False

    def throw_away(self) -> None:
        """Unmount it and forget what is on it."""
        self.put_away()
        self._device.unlink()

    def sync(self) -> None:
        """Have everything that was written so far on it."""
        _run("sync", "-f", str(self.place))

    def pull(self) -> None:
        """Pull the plug."""
        descriptor = os.open(self.place, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, _SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def plugged_disk(directory: Path, *, size_bytes: int = _SIZE) -> Iterator[PluggedDisk]:
    """Give an empty, mounted disk below `directory`; skips the test where there can be none."""
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed")
    device, place = directory / "disk.a", directory / "disk"
    place.mkdir()
    with device.open("wb") as file:
        file.truncate(size_bytes)
    _run("mkfs.ext4", "-q", "-F", "-m", "0", str(device))
    disk = PluggedDisk(device, place)
    try:
        disk.plug_in()
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no loop mounts here ({error.stderr.decode(errors='replace').strip()})")
    try:
        yield disk
    finally:
        disk.throw_away()


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True, timeout=30)
