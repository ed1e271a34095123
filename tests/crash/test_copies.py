"""A copy that is taken while a run writes, one directory after the other, is a store that the next run completes."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from support.acts import ACTS, Stage
from support.faults import Faults, Meanwhile
from support.site import Site
from vmcatcher.store import root
from vmcatcher.store.check import check_store

# As `rsync -a` walks the tree, with what the documentation asks for: everything but the blobs first, the blobs last.
_ORDER = (
    "vmcatcher.json", "cache", "endorsed", "endorsers", "events", "expired", "marks", "quarantine", "subscriptions",
    "trust", "vetoes", "blobs",
)  # fmt: skip
_SPLITS = (1, 2, 3, 6, 9, 11)


def copy(source: Path, target: Path, names) -> None:
    for name in names:
        if (source / name).is_dir():
            shutil.copytree(source / name, target / name, symlinks=True, ignore=shutil.ignore_patterns(".tmp-*"))
        else:
            shutil.copy2(source / name, target / name)


def examine(stage: Stage, target: Path, point: str) -> None:
    """Assert that the copy is a store, and that two plain runs on it make it what the original became."""
    site = stage.site
    damage = [str(one) for one in check_store(root.open_store(str(target)), read_bytes=True) if one.is_damage]
    assert damage == [], point
    original = site.root / "original"
    os.rename(site.store, original)
    os.rename(target, site.store)
    try:
        for _ in range(2):
            done = stage.again()
        assert done.code == 0, f"{point}: {done}"
        assert [str(one) for one in check_store(root.open_store(str(site.store)), read_bytes=True)] == [], point
        assert site.endorsed() == view(original), point
    finally:
        shutil.rmtree(site.store)
        os.rename(original, site.store)


def view(store: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (store / "endorsed").iterdir() if path.name != "cache.index"}


def sweep(site: Site, act: str, step: int) -> None:
    stage = Stage(site, ACTS[act])
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
        examine(stage, target, f"copied up to {_ORDER[split - 1]} before call {number}, the rest at the end")


@pytest.mark.parametrize("act", ["update", "fresh cache run", "replacing cache run", "expiring cache run"])
def test_copy_taken_during_a_run_is_completed_by_the_next_one(site: Site, act: str):
    sweep(site, act, 11)


@pytest.mark.soak
@pytest.mark.timeout(240)
@pytest.mark.parametrize("act", ["update", "fresh cache run", "replacing cache run", "expiring cache run"])
def test_copy_taken_at_any_call_of_a_run_is_completed_by_the_next_one(site: Site, act: str):
    sweep(site, act, 1)
