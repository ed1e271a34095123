"""Every use case, killed at every call that changes the tree: nothing is damaged, and the next run heals everything."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from support.acts import ACTS, Stage, left_overs, sampled
from support.faults import Faults, Kill, Killed
from support.site import Site
from support.sweeps import images, in_order
from vmcatcher.store import root
from vmcatcher.store.check import check_store

# What is visible changes at these; a kill before any other call leaves the same tree but for a temporary name.
_VISIBLE = ("rename", "unlink", "rmdir")
_PARTS = 6


def findings(site, *, read_bytes=True):
    return check_store(root.open_store(str(site.store)), read_bytes=read_bytes)


def blobs(site):
    return {path.name for path in (site.store / "blobs" / "sha512").glob("*/*")}


def sweep(stage: Stage, chosen):
    """Kill the act at each chosen call; whatever is not as it has to be fails with the number and name of that call."""
    stage.reset()
    with Faults() as counted:
        stage.play()
    points = [number for number, name in enumerate(counted.calls) if chosen(number, name)]
    assert points
    for number in points:
        point = f"call {number} of {counted.count}, {counted.calls[number]}"
        stage.reset()
        with Faults(Kill(number)) as faults, pytest.raises(Killed):
            stage.play()
        assert faults.struck
        endure(stage, point)


def endure(stage: Stage, point: str) -> None:
    """Assert what has to hold right after a kill, and after the next run."""
    site = stage.site
    # I3 and I13 are notes for the sake of copies; a run that is killed leaves neither.
    found = findings(site, read_bytes=not stage.act.is_rotten)
    assert [str(one) for one in found if one.is_damage or one.invariant in ("I3", "I13")] == [], point
    there = blobs(site)
    asked = {path: site.server.gets(path) for path in images(site)}
    stage.again()
    stage.again()
    assert stage.differences() == {}, point
    assert [str(one) for one in findings(site)] == [], point
    assert stage.story() == stage.whole_story, point
    assert in_order(site), point
    for path, (digest, _) in images(site).items():
        if digest in there and not stage.act.is_rotten:
            assert site.server.gets(path) == asked[path], f"{point}: {path} was fetched again"
        assert site.server.gets(path) <= 2, point


@pytest.mark.parametrize("act", sampled(ACTS, "update", "expiring cache run"))
def test_killed_at_every_visible_change_the_act_is_finished_by_the_next_run(site: Site, act: str):
    sweep(Stage(site, ACTS[act]), lambda _, name: name in _VISIBLE)


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("part", range(_PARTS))
@pytest.mark.parametrize("act", ACTS)
def test_killed_at_every_call_the_act_is_finished_by_the_next_run(site: Site, act: str, part: int):
    sweep(Stage(site, ACTS[act]), lambda number, _: number % _PARTS == part)


@pytest.mark.slow
@pytest.mark.parametrize("act", ["fresh cache run", "replacing cache run", "cache run that finds rot"])
def test_what_a_kill_leaves_is_swept_an_hour_later(site: Site, act: str):
    stage = Stage(site, ACTS[act])
    stage.reset()
    with Faults() as counted:
        stage.play()
    for number in range(5, counted.count, 7):
        stage.reset()
        with Faults(Kill(number)), pytest.raises(Killed):
            stage.play()
        site.now += timedelta(hours=2)
        stage.again()
        assert left_overs(site.store) == [], counted.calls[number]
        site.now -= timedelta(hours=2)


def test_run_killed_again_and_again_still_comes_to_its_end(site: Site):
    stage = Stage(site, ACTS["replacing cache run"])
    stage.reset()
    for number in range(200):
        # Each life is a little longer than the last one, so that recovery itself is killed at every place.
        with Faults(Kill(number)) as faults:
            try:
                stage.play()
            except Killed:
                bad = [str(one) for one in findings(site) if one.is_damage or one.invariant == "I3"]
                assert bad == [], number
        if not faults.struck:
            break
    stage.again()
    assert stage.differences() == {}
    assert stage.story() == stage.whole_story
    assert sorted(Path(site.store, "endorsed").iterdir())
