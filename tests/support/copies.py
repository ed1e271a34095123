"""Copies of a store that are taken while a run writes to it, and what has to hold for each of them.

copy = SlowCopy(site.store, target, order, dice)
with Faults(Alongside(copy.step)):        # a few files at each call of the run, as rsync would
    stage.play()
copy.finish()
examine(site, stage.again, target, "…")
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from support.site import Result, Site
from support.tree import check_invariants
from vmcatcher.store import root
from vmcatcher.store.check import check_store


class SlowCopy:
    """A copy that reads each directory and each file at a moment of its own, in the order that is given."""

    def __init__(self, source: Path, target: Path, order: Sequence[str], dice: random.Random) -> None:
        self._steps = _steps(source, target, order)
        self._dice = dice
        # From one file in ten calls to three files in one call, from the first call or from the fiftieth.
        self._pace = dice.choice([0.1, 0.3, 1.0, 3.0])
        self._from = dice.choice([0, 10, 25, 50])

    def step(self, number: int) -> None:
        """Copy what falls into the moment before the call of that number."""
        if number < self._from:
            return
        for _ in range(int(self._pace) + (self._dice.random() < self._pace % 1)):
            next(self._steps, None)

    def finish(self) -> None:
        """Copy the rest."""
        for _ in self._steps:
            pass


def _steps(source: Path, target: Path, order: Sequence[str]) -> Iterator[None]:
    target.mkdir()
    for name in order:
        yield from _copied(source / name, target / name)


def _copied(source: Path, target: Path) -> Iterator[None]:
    """Copy a file, link or directory, reading one name at a time; what is gone by then is left out, as by rsync."""
    yield
    try:
        if source.is_symlink():
            target.symlink_to(os.readlink(source))
        elif source.is_dir():
            target.mkdir()
            names = sorted(os.listdir(source))
            for name in names:
                yield from _copied(source / name, target / name)
        else:
            shutil.copy2(source, target)
    except FileNotFoundError:
        return


def examine(site: Site, run: Callable[[], Result], target: Path, point: str) -> None:
    """Assert that the copy is a store, and that one plain `run` on it makes it what the original became."""
    damage = [str(one) for one in check_store(root.open_store(str(target)), read_bytes=True) if one.is_damage]
    assert damage == [], point
    wanted, listed = view(site.store), listings(site)
    original = site.root / "original"
    os.rename(site.store, original)
    os.rename(target, site.store)
    try:
        done = run()
        assert done.code == 0, f"{point}: {done}"
        assert check_invariants(site.store) == [], point
        # Where a tool kept whole seconds only, an index looks older than its sources; readers make it anew (I10).
        left = [one for one in check_store(root.open_store(str(site.store)), read_bytes=True) if one.invariant != "I10"]
        assert left == [], f"{point}: {[str(one) for one in left]}"
        assert view(site.store) == wanted, point
        assert listings(site) == listed, point
    finally:
        shutil.rmtree(site.store)
        os.rename(original, site.store)


def view(store: Path) -> dict[str, bytes]:
    """Return what may be used: name -> bytes. A temporary name that was copied is nobody's image, and goes in time."""
    shown = (path for path in (store / "endorsed").iterdir() if not path.name.startswith(".tmp-"))
    return {path.name: path.read_bytes() for path in shown if path.name != "cache.index"}


def listings(site: Site) -> list[str]:
    """Return what the three listings say."""
    return [site.expect(0, command, "-l").out for command in ("endorser", "subscribe", "image")]
