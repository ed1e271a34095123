"""What came with sync, rules, vetoes and mirrors, killed and failed at the calls that change the tree, and copied.

`--all` takes a sample; every call is taken by hand (`--soak`).
"""

from __future__ import annotations

import errno

import pytest

from crash.test_copies import copied_at, wander
from support.acts import Stage
from support.faults import Fail, Faults, Kill, Killed
from support.more_acts import MORE
from support.site import Site
from support.sweeps import images, in_order
from support.tree import check_invariants
from vmcatcher.store import root
from vmcatcher.store.check import check_store
from vmcatcher.transport.transport import Transport

_SAMPLED = [name for name in MORE if name != "sync of everything"]
# So many points of an act are taken by the sample; where they begin moves from act to act.
_KILLS, _FAILURES = 4, 2
_PARTS = 4
# A failure of these is not worth a word: what they would tidy up is swept later.
_TIDYING = ("unlink", "rmdir")
_CODES = {errno.ENOSPC: 75, errno.EIO: 75, errno.EROFS: 1}


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch):
    """Repeats within one run come at once."""
    monkeypatch.setitem(Transport.__init__.__kwdefaults__, "sleep", lambda _: None)


def counted(stage: Stage) -> list[str]:
    stage.reset()
    with Faults() as faults:
        stage.play()
    return faults.calls


def spread(calls: list[str], most: int, first: int) -> list[int]:
    step = max(1, len(calls) // most)
    return list(range(first % step, len(calls), step))


def heal(stage: Stage, point: str) -> None:
    stage.again()
    stage.again()
    assert stage.differences() == {}, point
    assert stage.findings() == stage.whole_findings, point
    assert stage.story() == stage.whole_story, point
    assert in_order(stage.site), point


def kill(stage: Stage, chosen: list[int], calls: list[str]) -> None:
    site = stage.site
    stage.reset()
    # What crashes and careless hands left before is found until the act has come to it.
    known = stage.findings()
    for number in chosen:
        point = f"killed at call {number} of {len(calls)}, {calls[number]}"
        stage.reset()
        with Faults(Kill(number)) as faults, pytest.raises(Killed):
            stage.play()
        assert faults.struck, point
        found = check_store(root.open_store(str(site.store)), read_bytes=True)
        own = [str(one) for one in found if one.is_damage or one.invariant in ("I3", "I13")]
        assert [one for one in own if one not in known] == [], point
        there = {path.name for path in (site.store / "blobs" / "sha512").glob("*/*")}
        asked = {path: site.server.gets(path) for path in images(site)}
        heal(stage, point)
        for path, (digest, _) in images(site).items():
            if digest in there:
                assert site.server.gets(path) == asked[path], f"{point}: {path} was fetched again"


def fail(stage: Stage, code: int, chosen: list[int], calls: list[str], *, sticky: bool = False) -> None:
    for number in chosen:
        point = f"{errno.errorcode[code]} at call {number} of {len(calls)}, {calls[number]}"
        stage.reset()
        with Faults(Fail(number, code, sticky=sticky)) as faults:
            result = stage.play()
        assert faults.struck, point
        allowed = {_CODES[code], *([stage.code] if calls[number] in _TIDYING or stage.code else [])}
        assert result.code in allowed, f"{point}: {result}"
        assert result.code == 0 or "ERROR:" in result.err, f"{point}: silent"
        assert "internal error" not in result.err, f"{point}: {result}"
        # A link that only a copy brings is among what some acts begin with.
        bad = [one for one in check_invariants(stage.site.store) if stage.code == 0 or "I3" not in str(one)]
        assert bad == [], point
        heal(stage, point)


@pytest.mark.slow
@pytest.mark.parametrize("act", _SAMPLED)
def test_killed_at_some_calls_the_act_is_finished_by_the_next_run(site: Site, act: str):
    stage = Stage(site, MORE[act])
    calls = counted(stage)
    kill(stage, spread(calls, _KILLS, len(act)), calls)


@pytest.mark.slow
@pytest.mark.parametrize("act", _SAMPLED)
def test_disk_that_is_full_or_broken_at_some_calls_is_said_and_healed(site: Site, act: str):
    stage = Stage(site, MORE[act])
    calls = counted(stage)
    fail(stage, errno.ENOSPC, spread(calls, _FAILURES, len(act)), calls, sticky=True)
    fail(stage, errno.EIO, spread(calls, _FAILURES, 2 * len(act)), calls)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("part", range(_PARTS))
@pytest.mark.parametrize("act", MORE)
def test_killed_at_every_call_the_act_is_finished_by_the_next_run(site: Site, act: str, part: int):
    stage = Stage(site, MORE[act])
    calls = counted(stage)
    kill(stage, list(range(part, len(calls), _PARTS)), calls)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("part", range(_PARTS))
@pytest.mark.parametrize("code", _CODES)
@pytest.mark.parametrize("act", MORE)
def test_every_failure_at_every_call_is_said_and_healed(site: Site, act: str, code: int, part: int):
    stage = Stage(site, MORE[act])
    calls = counted(stage)
    fail(stage, code, list(range(part, len(calls), _PARTS)), calls)


@pytest.mark.slow
def test_fault_27_copy_taken_during_a_sync_is_completed_by_the_next_one(site: Site):
    copied_at(Stage(site, MORE["sync"]), 37)


@pytest.mark.slow
def test_fault_27_copy_of_a_sync_taken_file_by_file_is_completed_by_the_next_one(site: Site):
    wander(Stage(site, MORE["sync"]), "sync", range(2))


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_fault_27_copy_taken_at_any_call_of_a_sync_is_completed_by_the_next_one(site: Site):
    copied_at(Stage(site, MORE["sync"]), 1)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_fault_27_many_copies_of_a_sync_taken_file_by_file_are_completed_by_the_next_one(site: Site):
    wander(Stage(site, MORE["sync"]), "sync", range(1000, 1150))
