"""Several downloads at once, broken off or failed at any call of any of them: the store is sound, the next run heals.

Which thread makes which call differs from play to play, so a point is a number of calls, not always the same one.
"""

from __future__ import annotations

import contextlib
import errno

import pytest

from support.acts import ACTS, Act, Stage, with_replacement
from support.faults import Fail, Faults, Kill, Killed
from support.site import Result, Site
from support.tree import check_invariants

_ACTS = ["fresh cache run", "replacing cache run"]


def _at_once(site: Site) -> Result:
    words = ("--jobs", "4", "--jobs-per-host", "4")
    return site.run("cache", "-x", f"cat >> {site.events}", *words)


def _replaced(site: Site) -> None:
    with_replacement(site)
    # Both images that stay have news: several are replaced at once.
    site.publish("3", site.image(1, "2"), site.image(2, "2"))
    site.expect(0, "subscribe", "-U")


def stage_of(site: Site, name: str) -> Stage:
    prepare = _replaced if name == "replacing cache run" else ACTS[name].prepare
    return Stage(site, Act(prepare, _at_once))


def counted(stage: Stage) -> int:
    stage.reset()
    with Faults() as faults:
        stage.play()
    return faults.count


def judge(stage: Stage, point: str) -> None:
    assert check_invariants(stage.site.store) == [], point
    assert stage.again().code == 0, point
    stage.again()
    assert stage.differences() == {}, point
    assert stage.story() == stage.whole_story, point


def kills(stage: Stage, step: int, first: int = 0) -> None:
    count = counted(stage)
    for number in range(first, count, step):
        point = f"killed at call {number} of {count}"
        stage.reset()
        # A play that happens to make fewer calls escapes.
        with Faults(Kill(number)), contextlib.suppress(Killed):
            stage.play()
        judge(stage, point)


def failures(stage: Stage, code: int, step: int, first: int = 0) -> None:
    count = counted(stage)
    for number in range(first, count, step):
        point = f"{errno.errorcode[code]} at call {number} of {count}"
        stage.reset()
        with Faults(Fail(number, code, sticky=code == errno.ENOSPC)):
            result = stage.play()
        assert result.code in (0, 75), f"{point}: {result}"
        assert result.code == 0 or result.err, f"{point}: silent"
        assert "internal error" not in result.err, f"{point}: {result}"
        judge(stage, point)


@pytest.mark.slow
@pytest.mark.parametrize("act", _ACTS)
def test_run_that_is_killed_with_several_downloads_on_their_way_is_finished_by_the_next(site: Site, act: str):
    kills(stage_of(site, act), 7)


@pytest.mark.slow
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_disk_that_fails_several_downloads_is_said_and_healed(site: Site, code: int):
    failures(stage_of(site, "fresh cache run"), code, 9)


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("act", _ACTS)
def test_every_kill_with_several_downloads_on_their_way_is_healed(site: Site, act: str):
    kills(stage_of(site, act), 1)


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("act", _ACTS)
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_every_failure_with_several_downloads_on_their_way_is_healed(site: Site, act: str, code: int):
    failures(stage_of(site, act), code, 1)
