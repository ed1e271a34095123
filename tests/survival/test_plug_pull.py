"""The plug is pulled, really, while an installed command writes to a real file system; then the next run heals it."""

from __future__ import annotations

import random
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.blackout import Judge
from support.installed_acts import INSTALLED, InstalledStage
from support.plugpull import PluggedDisk, plugged_disk
from support.recorder import demand_strace, record
from support.server import Server
from support.site import Site

pytestmark = pytest.mark.root

_KILLED = (-9, 137)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[PluggedDisk]:
    # The file behind the disk in memory, if that can be: what counts is what the file system above it forgets.
    memory = Path("/dev/shm")
    with (
        tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path) as directory,
        plugged_disk(Path(directory)) as plugged,
    ):
        yield plugged


class Plugged:
    """An act whose store lies on a disk with a plug."""

    def __init__(self, root: Path, server: Server, disk: PluggedDisk, act: str) -> None:
        self.disk = disk
        self.site = Site(root, server)
        self.site.store = disk.place / "store"
        self.site.environment["VMCATCHER_STORE"] = str(self.site.store)
        self.stage = InstalledStage(self.site, INSTALLED[act])
        self.judge = Judge(self.stage)
        self.words = INSTALLED[act].words(self.site)

    def begin(self) -> None:
        """Have everything as it was before the act, and on the disk."""
        self.stage.reset()
        self.disk.sync()

    def points(self) -> tuple[tuple[str, int], ...]:
        """Return the calls of the undisturbed act that change the store."""
        self.begin()
        return record(self.site, self.words, root=self.site.store).points

    def pull_before(self, name: str, number: int) -> list[str]:
        """Pull the plug just before that call; return what is wrong afterwards."""
        self.begin()
        strike = ("-e", f"trace={name}", "-e", f"inject={name}:signal=KILL:when={number}")
        done = self.site.call(*self.words, prefix=("strace", "-qq", "-o", "/dev/null", "-e", "signal=none", *strike))
        assert done.code in _KILLED, done
        self.disk.pull()
        self.disk.plug_in()
        return self.judge.problems()

    def pull_after(self, seconds: float) -> tuple[int, list[str]]:
        """Pull the plug so long after the start; return the code of the command, and what is wrong afterwards."""
        self.begin()
        timer = threading.Timer(seconds, self.disk.pull)
        timer.start()
        done = self.site.call(*self.words)
        timer.join()
        self.disk.plug_in()
        confused = [done.err] if "Traceback" in done.err or "internal error" in done.err else []
        return done.code, confused + self.judge.problems()

    def duration_s(self) -> float:
        """Return how long the undisturbed act takes."""
        self.begin()
        began = time.monotonic()
        self.site.call(*self.words)
        return time.monotonic() - began


def pull_at_calls(plugged: Plugged, count: int) -> None:
    points = plugged.points()
    rng = random.Random(count)
    for name, number in sorted(rng.sample(points, min(count, len(points)))):
        assert plugged.pull_before(name, number) == [], f"before {name} number {number}"


def pull_at_moments(plugged: Plugged, count: int) -> None:
    whole = plugged.duration_s()
    rng = random.Random(count)
    codes = set()
    for _ in range(count):
        after = rng.uniform(0.3, 1.0) * whole
        code, problems = plugged.pull_after(after)
        assert problems == [], f"{after:.3f} s of {whole:.3f} s after the start, code {code}"
        codes.add(code)
    assert codes <= {0, 1, 75}


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("act", ["update", "fresh cache run", "replacing cache run"])
def test_fault_03_fault_04_plug_pulled_at_some_calls_loses_nothing(
    tmp_path: Path, server: Server, disk: PluggedDisk, act: str
):
    demand_strace()
    pull_at_calls(Plugged(tmp_path, server, disk, act), 3)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_fault_03_fault_04_plug_pulled_at_any_moment_loses_nothing(tmp_path: Path, server: Server, disk: PluggedDisk):
    pull_at_moments(Plugged(tmp_path, server, disk, "replacing cache run"), 3)


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("act", [name for name in INSTALLED if name != "import"])
def test_fault_03_fault_04_plug_pulled_at_many_calls_loses_nothing(
    tmp_path: Path, server: Server, disk: PluggedDisk, act: str
):
    demand_strace()
    pull_at_calls(Plugged(tmp_path, server, disk, act), 14)


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("act", ["update", "fresh cache run", "replacing cache run", "expiring cache run"])
def test_fault_03_fault_04_plug_pulled_at_many_moments_loses_nothing(
    tmp_path: Path, server: Server, disk: PluggedDisk, act: str
):
    pull_at_moments(Plugged(tmp_path, server, disk, act), 10)


def test_fault_03_fault_04_what_was_synced_survives_the_plug_and_what_was_not_does_not(disk: PluggedDisk):
    (disk.place / "early").write_text("synced")
    disk.sync()
    (disk.place / "late").write_text("not synced")
    disk.pull()
    disk.plug_in()
    assert [path.name for path in disk.place.iterdir() if path.name != "lost+found"] == ["early"]
    assert (disk.place / "early").read_text() == "synced"
