"""Decisions about subscriptions and vetoes, killed or refused by the disk at every call that changes the tree."""

from __future__ import annotations

import errno

import pytest

from support.acts import Act, Stage
from support.faults import Fail, Faults, Kill, Killed
from support.site import LIST_ID, Result, Site, image_id
from vmcatcher.store import root
from vmcatcher.store.check import check_store

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


def _joined(site: Site) -> None:
    site.join(site.image(1, hv__format="qcow2"), site.image(2), site.image(3, hv__format="qcow2"))
    site.select(1, 2)
    (site.root / "secret").write_text("hush\n")


def _vetoed(site: Site) -> None:
    _joined(site)
    site.expect(0, "vmcatcher", "image", "veto", image_id(1), "--reason", "why")


def _set(site: Site) -> Result:
    rest = ("--max-validity", "90d", "--username", "u", "--password-file", str(site.root / "secret"), "--pin-uri")
    return site.run("vmcatcher", "subscription", "set", LIST_ID, "--where", "format=qcow2", *rest)


def _unveto(site: Site) -> Result:
    done = site.run("vmcatcher", "image", "unveto", image_id(1))
    return site.run("vmcatcher", "image", "vetoes") if "no-such-veto" in done.err else done


_ACTS = {
    "set": Act(_joined, _set, is_update_next=True),
    "veto": Act(_joined, lambda site: site.run("vmcatcher", "image", "veto", image_id(1), "--reason", "why")),
    "unveto": Act(_vetoed, _unveto),
}


def _points(stage: Stage) -> int:
    stage.reset()
    with Faults() as counted:
        stage.play()
    assert counted.count > 0
    return counted.count


def _demand_healed(stage: Stage, point: str) -> None:
    found = check_store(root.open_store(str(stage.site.store)))
    assert [str(one) for one in found if one.is_damage] == [], point
    stage.again()
    stage.again()
    assert stage.differences() == {}, point


@pytest.mark.parametrize("act", _ACTS)
def test_decision_that_was_killed_is_whole_or_not_there_and_made_by_the_next_call(site: Site, act: str):
    stage = Stage(site, _ACTS[act])
    for number in range(_points(stage)):
        stage.reset()
        with Faults(Kill(number)) as faults, pytest.raises(Killed):
            stage.play()
        assert faults.struck
        _demand_healed(stage, f"killed at call {number}")


@pytest.mark.parametrize("act", _ACTS)
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_decision_that_the_disk_refuses_is_refused_in_one_line(site: Site, act: str, code: int):
    stage = Stage(site, _ACTS[act])
    for number in range(_points(stage)):
        stage.reset()
        with Faults(Fail(number, code)) as faults:
            result = stage.play()
        assert faults.struck
        assert result.code in (0, 1, 75), result
        assert "internal error" not in result.err, result
        _demand_healed(stage, f"{errno.errorcode[code]} at call {number}")
