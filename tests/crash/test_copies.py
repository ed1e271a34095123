"""A copy that is taken while a run writes is a store that the next run completes, in whatever order it was taken."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from support.acts import ACTS, Stage
from support.copies import SlowCopy, examine
from support.faults import Alongside, Faults, Meanwhile
from support.site import Site

# As `rsync -a` walks the tree, with what the documentation asks for: everything but the blobs first, the blobs last.
_ORDER = (
    "vmcatcher.json", "cache", "endorsed", "endorsers", "events", "expired", "marks", "quarantine", "subscriptions",
    "trust", "vetoes", "blobs",
)  # fmt: skip
_SPLITS = (1, 2, 3, 6, 9, 11)
_COPIED = ["update", "fresh cache run", "replacing cache run", "expiring cache run"]
_ACTS = [pytest.param(act, id=f"fault_27-{act}") for act in _COPIED]


def copy(source: Path, target: Path, names) -> None:
    for name in names:
        if (source / name).is_dir():
            shutil.copytree(source / name, target / name, symlinks=True, ignore=shutil.ignore_patterns(".tmp-*"))
        else:
            shutil.copy2(source / name, target / name)


def sweep(site: Site, act: str, step: int) -> None:
    copied_at(Stage(site, ACTS[act]), step)


def copied_at(stage: Stage, step: int) -> None:
    """Take a copy at every so manieth call: some directories before it, the others when the run is over."""
    site = stage.site
    stage.reset()
    with Faults() as counted:
        stage.play()
    target = site.root / "copy"
    for number in range(0, counted.count, step):
        split = _SPLITS[number // step % len(_SPLITS)]
        stage.reset()
        target.mkdir()
        with Faults(Meanwhile(number, lambda split=split: copy(site.store, target, _ORDER[:split]))):
            stage.play()
        copy(site.store, target, _ORDER[split:])
        examine(
            site, stage.again, target, f"copied up to {_ORDER[split - 1]} before call {number}, the rest at the end"
        )


def wander(stage: Stage, act: str, lots) -> None:
    """Take copies file by file while the run goes on, the directories in an order drawn by lot, locks included."""
    site = stage.site
    for lot in lots:
        dice = random.Random(f"{act} {lot}")
        stage.reset()
        order = sorted(path.name for path in site.store.iterdir())
        dice.shuffle(order)
        slow = SlowCopy(site.store, site.root / "copy", order, dice)
        with Faults(Alongside(slow.step)):
            stage.play()
        slow.finish()
        examine(site, stage.again, site.root / "copy", f"lot {lot}: {', '.join(order)}")


@pytest.mark.slow
@pytest.mark.parametrize("act", _ACTS)
def test_copy_taken_during_a_run_is_completed_by_the_next_one(site: Site, act: str):
    sweep(site, act, 11)


@pytest.mark.slow
@pytest.mark.parametrize("act", _ACTS)
def test_copy_taken_file_by_file_in_any_order_is_completed_by_the_next_run(site: Site, act: str):
    wander(Stage(site, ACTS[act]), act, range(3))


@pytest.mark.slow
@pytest.mark.parametrize("act", _ACTS)
def test_ten_copies_taken_file_by_file_are_completed_by_the_next_run(site: Site, act: str):
    wander(Stage(site, ACTS[act]), act, range(100, 110))


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("act", _ACTS)
def test_copy_taken_at_any_call_of_a_run_is_completed_by_the_next_one(site: Site, act: str):
    sweep(site, act, 1)


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("act", _ACTS)
def test_many_copies_taken_file_by_file_are_completed_by_the_next_run(site: Site, act: str):
    wander(Stage(site, ACTS[act]), act, range(1000, 1150))
