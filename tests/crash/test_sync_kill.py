"""`vmcatcher sync`, killed at visible changes: the next one finishes it, as a plan of what was left says."""

from __future__ import annotations

import pytest

from crash.test_kill import endure
from support.acts import Act, Stage, with_news
from support.changes import events_of
from support.faults import Faults, Kill, Killed
from support.site import LIST_ID, Result, Site

_VISIBLE = ("rename", "unlink", "rmdir")
_EVERY = 4
"""How many changes apart the kills are. The sweeps of update and cache run, which a sync is made of, take all."""


def _cached_with_news(site: Site) -> None:
    with_news(site)
    site.cache()


def _sync(site: Site) -> Result:
    return site.run("vmcatcher", "sync", "-x", f"cat >> {site.events}")


@pytest.mark.slow
def test_killed_at_visible_changes_a_sync_is_finished_by_the_next_one_as_planned(site: Site):
    stage = Stage(site, Act(_cached_with_news, _sync))
    stage.reset()
    with Faults() as counted:
        stage.play()
    points = [number for number, name in enumerate(counted.calls) if name in _VISIBLE]
    assert len(points) > 20
    for number in points[::_EVERY]:
        point = f"call {number} of {counted.count}, {counted.calls[number]}"
        stage.reset()
        with Faults(Kill(number)), pytest.raises(Killed):
            stage.play()
        earlier = len(site.noted())
        promised = _planned_events(site, point)
        endure(stage, point)
        later = ((one["TYPE"], one.get("DC_IDENTIFIER", "")[-12:].lstrip("0")) for one in site.noted()[earlier:])
        told = {f"{kind} {number}".strip() for kind, number in later}
        # What a version on its way was told before the kill is not told twice; nothing else is told than was planned.
        assert told <= promised, point


def _planned_events(site: Site, point: str) -> set[str]:
    """Return the events that a plan of what a kill left promises; it fails in nothing and changes nothing."""
    before = site.tree()
    plan = site.run("vmcatcher", "plan", "--json", "-x", "true")
    assert plan.code == 0, (point, plan)
    assert site.tree() == before, point
    assert {one["list"] for one in plan.json["result"]["lists"]} == {LIST_ID}, point
    return set(events_of(plan.json["result"]))
