"""Pruning that is killed, or finds the disk full or broken, at any call: the store holds, and the next one goes on."""

from __future__ import annotations

import errno
import json
import os
from datetime import timedelta
from pathlib import Path

import pytest

from support.acts import Act, Stage
from support.faults import Fail, Faults, Kill, Killed
from support.pruning import prune
from support.site import LIST_ID, Result, Site, image_id
from support.tree import check_invariants

_EVERYTHING = tuple(
    word
    for option in ("expired-retention", "grace", "snapshots", "event-log", "failed-events", "quarantine")
    for word in (f"--{option}", "0")
)
_VISIBLE = ("rename", "unlink", "rmdir")


def _prepare(site: Site) -> None:
    site.join(site.image(1), site.image(2), site.image(3), site.image(4))
    site.select(1, 2, 3, 4)
    site.cache()
    blob = Path(os.path.realpath(site.store / "endorsed" / image_id(4)))
    blob.chmod(0o644)
    blob.write_bytes(b"x" * blob.stat().st_size)
    site.cache("-s", code=1)
    site.publish("2", site.image(1), site.image(3, "2"), site.image(4))
    site.expect(0, "subscribe", "-U")
    site.cache()
    digest = str(site.image(2)["sl:checksum:sha512"])
    path = site.store / "partial" / f"{digest}.1-{1:012x}"
    path.write_bytes(b"half")
    Path(f"{path}.json").write_text(json.dumps({"uri": "http://x/", "validator": None, "host": "x", "pid": 1}))
    (site.store / "marks" / f".tmp-77-{'ab' * 8}").write_bytes(b"half a document")
    (site.store / "events" / "failed" / "0a1b.json").write_text("{}")
    site.now += timedelta(hours=2)


def _prune(site: Site) -> Result:
    return prune(site, *_EVERYTHING)


ACT = Act(_prepare, _prune)


@pytest.fixture
def stage(site: Site) -> Stage:
    return Stage(site, ACT)


def rest(site: Site) -> list[str]:
    """Return what is in the directories that no portrait of a store shows."""
    places = ("partial", "events/log", "marks")
    return sorted(f"{place}/{name}" for place in places for name in os.listdir(site.store / place))


def points(stage: Stage) -> list[str]:
    stage.reset()
    with Faults() as counted:
        assert stage.play().code == 0
    assert rest(stage.site) == [f"marks/{LIST_ID}.json"]
    assert sorted(set(counted.calls)) == ["fsync", "open", "rename", "rmdir", "unlink", "write"]
    return counted.calls


def endure(stage: Stage, point: str, *, by_cache_run: bool) -> None:
    site = stage.site
    assert check_invariants(site.store) == [], point
    assert len(site.endorsed()) == 3, point
    if by_cache_run:
        site.server.forget()
        site.cache()
        assert site.server.requests == [], point
        assert len(site.endorsed()) == 3, point
    done = stage.again()
    assert done.code == 0, f"{point}: {done}"
    assert stage.differences() == {}, point
    assert rest(site) == [f"marks/{LIST_ID}.json"], point


def kill_at(stage: Stage, calls: list[str], numbers: list[int]) -> None:
    for number in numbers:
        point = f"killed before call {number} of {len(calls)}, {calls[number]}"
        stage.reset()
        with Faults(Kill(number)), pytest.raises(Killed):
            stage.play()
        endure(stage, point, by_cache_run=number % 2 == 0)


def test_pruning_killed_at_a_visible_change_is_completed_by_the_next_one(stage: Stage):
    calls = points(stage)
    numbers = [number for number, name in enumerate(calls) if name in _VISIBLE]
    assert len(numbers) > 15
    kill_at(stage, calls, numbers[::2])


@pytest.mark.slow
def test_pruning_killed_at_any_call_is_completed_by_the_next_one(stage: Stage):
    calls = points(stage)
    kill_at(stage, calls, list(range(len(calls))))


def fail_at(stage: Stage, fault: Fail, name: str, codes: set[int]) -> None:
    point = f"{errno.errorcode[fault.errno]} at call {fault.number}, {name}"
    stage.reset()
    with Faults(fault) as faults:
        result = stage.play()
    assert faults.struck, point
    assert result.code in codes, f"{point}: {result}"
    assert "Traceback" not in result.err, point
    assert "internal error" not in result.err, point
    endure(stage, point, by_cache_run=False)


@pytest.mark.parametrize("code", [errno.EIO, errno.EROFS, errno.ENOSPC])
def test_call_that_fails_is_said_and_its_thing_is_dropped_by_the_next_pruning(stage: Stage, code: int):
    for number, name in enumerate(points(stage)):
        if name in ("unlink", "rename") and number % 3 == code % 3:
            fail_at(stage, Fail(number, code), name, {0, 1})


@pytest.mark.parametrize(
    "code",
    [
        pytest.param(errno.EIO, marks=pytest.mark.slow),
        *(pytest.param(one, marks=pytest.mark.soak) for one in (errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EMFILE)),
    ],
)
def test_any_call_that_fails_is_said_and_its_thing_is_dropped_by_the_next_pruning(stage: Stage, code: int):
    for number, name in enumerate(points(stage)):
        fail_at(stage, Fail(number, code), name, {0, 1, 75})


def test_full_disk_does_not_keep_pruning_from_making_room(stage: Stage):
    calls = points(stage)
    stage.reset()
    before = len(list((stage.site.store / "blobs" / "sha512").glob("*/*")))
    with Faults(Fail(0, errno.ENOSPC, sticky=True)) as faults:
        # The first call is an unlink, which needs no space; only what does fails.
        faults._fault = Fail(calls.index("open"), errno.ENOSPC, sticky=True)
        result = stage.play()
    assert result.code == 1
    assert "no space for" in result.err
    assert "cache.index" in result.err
    assert len(list((stage.site.store / "blobs" / "sha512").glob("*/*"))) == before - 2
    endure(stage, "full disk", by_cache_run=False)


def test_full_disk_takes_the_index_once_there_is_room(stage: Stage):
    calls = points(stage)
    stage.reset()
    with Faults(Fail(calls.index("open"), errno.ENOSPC)):
        result = stage.play()
    assert result.code == 0, result
    assert stage.differences() == {}
