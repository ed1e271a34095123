"""Many processes on one store: nothing that was acknowledged is lost, runs do not overlap, readers see whole files.

Most of the work is done by workers that run command after command in one process each; real commands, a process for
each, run beside them. The quick tier has a small crowd, `--all` eight workers with ten rounds, `--soak` a hundred.
"""

from __future__ import annotations

import pytest

from support.crowd import FORGOTTEN, Crowd, Done
from support.site import Site
from support.tree import check_invariants
from vmcatcher.store import root

KINDS = pytest.mark.parametrize("kind", ["kernel", "claim"])


def crowded(site: Site, kind: str, *, workers: int, rounds: int, readers: int, is_unlocked: bool = False) -> Crowd:
    """A crowd that has done its work, with what came of it."""
    root.make_store(str(site.store), locks=kind)
    crowd = Crowd(site, is_unlocked)
    crowd.prepare(workers)
    crowd.run(workers=workers, rounds=rounds, readers=readers)
    counts = {name: dict(codes) for name, codes in crowd.codes().items()}
    print(f"{kind}: {counts}, reads {dict(crowd.reads)}, runs {crowd.runs()}")
    return crowd


def demand_order(crowd: Crowd) -> None:
    """Everything that is promised of a crowd whose locks work."""
    assert crowd.trouble() == []
    assert crowd.overlaps() == []
    assert crowd.lost(crowd.final()) == []
    demand_sound(crowd)


def demand_sound(crowd: Crowd) -> None:
    """A store that the next plain run makes what an undisturbed one would be."""
    site = crowd.site
    checked = site.call("vmcatcher", "store", "check", "--data")
    assert checked.code in (0, 4), checked
    assert check_invariants(site.store) == []
    site.expect(0, "subscribe", "-U")
    site.cache()
    states = site.states()
    assert sorted(site.endorsed()) == sorted(image for image, state in states.items() if state == 3)


def test_fault_17_fault_21_small_crowd_loses_nothing_and_tears_nothing(site: Site):
    crowd = crowded(site, "claim", workers=3, rounds=8, readers=1)
    demand_order(crowd)
    assert crowd.runs() >= 2
    assert sum(crowd.reads.values()) > 20


def did(who: str, what: str, value: bool, began: int, ended: int, code: int = 0) -> Done:
    return Done(who, "select", what, value, began, ended, code)


@pytest.mark.parametrize(
    ("history", "final", "is_lost"),
    [
        ([did("a", "x", True, 1, 2)], {"x": True}, False),
        ([did("a", "x", True, 1, 2)], {}, True),
        ([did("a", "x", True, 1, 2, code=75)], {}, False),
        ([did("a", "x", True, 1, 4), did("b", "x", False, 2, 3)], {"x": True}, False),
        ([did("a", "x", True, 1, 4), did("b", "x", False, 2, 3)], {"x": False}, False),
        ([did("a", "x", True, 1, 2), did("b", "x", False, 3, 4)], {"x": True}, True),
        ([Done("a", FORGOTTEN, "x", True, 0, 0, 0)], {"x": True}, True),
    ],
)
def test_lost_changes_are_noticed(site: Site, history: list[Done], final: dict[str, bool], is_lost: bool):
    assert bool(Crowd(site, done=history).lost(final)) == is_lost


@pytest.mark.parametrize(
    ("marks", "faults"),
    [
        ("ProcessPrefix a 1 begin|ProcessPrefix a 1 1|ProcessPostfix a 1 end|ProcessPrefix b 2 begin", 0),
        ("ProcessPrefix a 1 begin|SubscriptionImageNew b 2 begin|SubscriptionImageNew b 2 2|ProcessPostfix a 1 end", 0),
        ("ProcessPrefix a 1 begin|ProcessPrefix b 2 begin|ProcessPostfix a 1 end", 1),
        ("ProcessPrefix a 1 begin|ProcessPrefix a 1 2|ProcessPostfix a 1 end", 1),
    ],
)
def test_runs_at_once_are_noticed(site: Site, marks: str, faults: int):
    crowd = Crowd(site)
    crowd.marks.write_text(marks.replace("|", "\n") + "\n")
    assert len(crowd.overlaps()) == faults


@pytest.mark.slow
@pytest.mark.timeout(240)
@KINDS
def test_fault_17_fault_21_crowd_loses_nothing_and_tears_nothing(site: Site, kind: str):
    demand_order(crowded(site, kind, workers=8, rounds=10, readers=2))


@pytest.mark.soak
@pytest.mark.timeout(3600)
@KINDS
def test_fault_17_fault_21_great_crowd_loses_nothing_and_tears_nothing(site: Site, kind: str):
    crowd = crowded(site, kind, workers=8, rounds=100, readers=3)
    demand_order(crowd)
    assert sum(crowd.reads.values()) >= 10_000


@pytest.mark.slow
def test_fault_22_small_crowd_without_locks_corrupts_nothing(site: Site):
    demand_sound(crowded(site, "kernel", workers=3, rounds=6, readers=0, is_unlocked=True))


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_fault_22_two_hosts_without_locks_corrupt_nothing(site: Site):
    demand_sound(crowded(site, "claim", workers=16, rounds=10, readers=1, is_unlocked=True))
