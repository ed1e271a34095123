"""Every use case, with the disk full or broken at every call that changes the tree: one line, a code, and it heals."""

from __future__ import annotations

import errno

import pytest

from support.acts import ACTS, Stage, sampled
from support.faults import Fail, Faults, ShortWrite
from support.site import Site
from support.tree import check_invariants

_PARTS = 6
# `again`: a code of its own says that the same command may succeed later; the others want somebody to look.
_CODES = {errno.ENOSPC: {75}, errno.EIO: {75}, errno.EROFS: {1}}
# A failure of these is not worth a word: what they would tidy up is swept later.
_TIDYING = ("unlink", "rmdir")


def sweep(stage: Stage, code: int, chosen, *, sticky: bool = False):
    stage.reset()
    with Faults() as counted:
        stage.play()
    for number, name in enumerate(counted.calls):
        if not chosen(number, name):
            continue
        point = f"{errno.errorcode[code]} at call {number} of {counted.count}, {name}"
        stage.reset()
        with Faults(Fail(number, code, sticky=sticky)) as faults:
            result = stage.play()
        assert faults.struck, point
        judge(stage, result, code, point, is_tidying=name in _TIDYING)


def judge(stage: Stage, result, code: int, point: str, *, is_tidying: bool):
    expected = {*_CODES[code], stage.code} if is_tidying else _CODES[code]
    # A run that had something to complain about already ends with that.
    assert result.code in expected | ({1} if stage.act.is_rotten else set()), f"{point}: {result}"
    errors = [line for line in result.err.splitlines() if line.startswith(("ERROR:", "CRITICAL:"))]
    assert result.code == 0 or errors, f"{point}: silent"
    assert all(line.startswith(("ERROR:", "WARNING:")) for line in result.err.splitlines()), f"{point}: {result}"
    assert not any("internal error" in line for line in errors), f"{point}: {result}"
    if not stage.act.is_rotten:
        assert check_invariants(stage.site.store) == [], point
    stage.again()
    stage.again()
    assert stage.differences() == {}, point
    assert stage.story() == stage.whole_story, point


@pytest.mark.parametrize("act", sampled(ACTS, "fresh cache run"))
def test_full_disk_is_said_in_one_line_and_healed_when_there_is_space_again(site: Site, act: str):
    sweep(
        Stage(site, ACTS[act]),
        errno.ENOSPC,
        lambda number, name: name in ("open", "symlink") and number % 2 == 0,
        sticky=True,
    )


@pytest.mark.parametrize("act", sampled(ACTS, "update"))
def test_broken_disk_is_said_in_one_line_and_healed_when_it_works_again(site: Site, act: str):
    sweep(Stage(site, ACTS[act]), errno.EIO, lambda number, name: name == "rename" and number % 2 == 1)


@pytest.mark.parametrize("act", sampled(["fresh cache run", "replacing cache run", "update"], "update"))
def test_sync_that_fails_is_no_success(site: Site, act: str):
    sweep(Stage(site, ACTS[act]), errno.EIO, lambda number, name: name == "fsync" and number % 3 == 0)


@pytest.mark.soak
@pytest.mark.timeout(120)
@pytest.mark.parametrize("part", range(_PARTS))
@pytest.mark.parametrize(
    ("code", "sticky"), [(errno.ENOSPC, False), (errno.ENOSPC, True), (errno.EIO, False), (errno.EROFS, False)]
)
@pytest.mark.parametrize("act", ACTS)
def test_every_failure_at_every_call_is_said_and_healed(site: Site, act: str, code: int, part: int, sticky: bool):
    sweep(Stage(site, ACTS[act]), code, lambda number, _: number % _PARTS == part, sticky=sticky)


@pytest.mark.parametrize("act", ACTS)
def test_writes_that_take_seven_bytes_at_a_time_change_nothing(site: Site, act: str):
    stage = Stage(site, ACTS[act])
    stage.reset()
    with Faults(ShortWrite(7)) as faults:
        result = stage.play()
    assert result.code == stage.code
    assert faults.calls.count("write") > 100
    stage.again()
    assert stage.differences() == {}
