"""Installed commands, killed or failed by strace at their system calls: nothing is damaged, the next run heals it all.

Three sizes: a few points always, a sample that rotates with the date (`--survival-seed` repeats one), and every point.
"""

from __future__ import annotations

import random
import shutil
import time
from collections import Counter
from collections.abc import Sequence

import pytest

from support.figures import Figures, seed
from support.installed_acts import Call
from support.sweeps import CODES, Fault, Verdict, errors_of, everything, kills_of, sweep

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")

_ROWS = {
    "first subscribe": "fault_01",
    "update": "fault_01",
    "fresh cache run": "fault_02",
    "resuming cache run": "fault_02",
    "replacing cache run": "fault_02",
    "expiring cache run": "fault_02",
    "cache run that finds rot": "fault_02",
    "select": "selection",
    "import": "import",
    "sync": "sync",
    "cache run that drops a mirror": "fault_107",
    "rule": "decision",
    "veto": "decision",
    "unsubscribe from an image": "decision",
    "fetch of a revocation list": "trust",
}
_ACTS = [pytest.param(act, id=f"{row}-{act}") for act, row in _ROWS.items()]
_SAMPLED = [pytest.param(act, id=f"{row}-{act}") for act, row in _ROWS.items() if row not in ("decision", "trust")]
"""The others are swept in one process by `--all`, see tests/crash."""
_ERRORS = [
    pytest.param("ENOSPC", id="fault_05-ENOSPC"),
    pytest.param("EDQUOT", id="fault_06-EDQUOT"),
    pytest.param("EIO", id="fault_07-EIO"),
    pytest.param("EROFS", id="fault_09-EROFS"),
    pytest.param("EMFILE", id="fault_10-EMFILE"),
    pytest.param("EINTR", id="fault_11-EINTR"),
    pytest.param("ESTALE", id="fault_11-ESTALE"),
]


def bad(verdicts: Sequence[Verdict]) -> list[str]:
    return [f"{one.fault}: {'; '.join(one.problems)}" for one in verdicts if one.problems]


class Sample:
    """So many kills and so many errors, drawn by lot; the lots are drawn the same in every process."""

    def __init__(self, lot: str, *, kills: int, errors: int, only: str | None = None) -> None:
        self._lot, self._kills, self._errors, self._only = lot, kills, errors, only

    def __call__(self, calls: Sequence[Call]) -> list[Fault]:
        dice = random.Random(self._lot)
        kills = kills_of(calls)
        errors = [fault for fault in errors_of(calls) if self._only in (None, fault.error)]
        return dice.sample(kills, min(self._kills, len(kills))) + dice.sample(errors, min(self._errors, len(errors)))


def each_kind_once(calls: Sequence[Call]) -> list[Fault]:
    """A kill before each rename, and each error at one of the calls."""
    errors: dict[str, list[Fault]] = {}
    for fault in errors_of(calls):
        errors.setdefault(fault.kind, []).append(fault)
    chosen = [found[len(found) * index // len(errors)] for index, found in enumerate(errors.values())]
    return [fault for fault in kills_of(calls) if fault.call.name == "renameat"] + chosen


def test_installed_command_disturbed_at_a_few_calls_is_healed_by_the_next_run():
    verdicts = sweep("select", each_kind_once, workers=1)
    assert {one.fault.kind for one in verdicts} == {"SIGKILL", "ENOSPC from then on", *CODES}
    assert bad(verdicts) == []


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("act", _SAMPLED)
def test_killed_at_a_call_drawn_by_lot_the_act_is_finished_by_the_next_run(
    act: str, pytestconfig: pytest.Config, record_property
):
    lot = seed(pytestconfig)
    began = time.monotonic()
    verdicts = sweep(act, Sample(f"{lot} {act}", kills=3, errors=0), workers=1)
    wrong = bad(verdicts)
    figures = Figures(pytestconfig, record_property)
    figures.add(act, f"kills, lot {lot}", points=len(verdicts), bad=len(wrong), seconds=time.monotonic() - began)
    assert wrong == [], f"repeat with --survival-seed {lot}"


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("error", _ERRORS)
def test_call_drawn_by_lot_that_fails_is_said_and_healed(error: str, pytestconfig: pytest.Config, record_property):
    lot = seed(pytestconfig)
    began = time.monotonic()
    act = random.Random(f"{lot} {error}").choice(["update", "fresh cache run", "replacing cache run", "sync"])
    verdicts = sweep(act, Sample(f"{lot} {error}", kills=0, errors=8, only=error), workers=1)
    wrong = bad(verdicts)
    figures = Figures(pytestconfig, record_property)
    figures.add(act, f"{error}, lot {lot}", points=len(verdicts), bad=len(wrong), seconds=time.monotonic() - began)
    assert wrong == [], f"repeat with --survival-seed {lot}"


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("act", _ACTS)
def test_disturbed_at_every_call_in_every_way_the_act_is_finished_by_the_next_run(
    act: str, pytestconfig: pytest.Config, record_property
):
    verdicts = sweep(act, everything, workers=2)
    figures = Figures(pytestconfig, record_property)
    points = Counter(one.fault.kind for one in verdicts)
    for kind, count in points.items():
        ours = [one for one in verdicts if one.fault.kind == kind]
        # Two at a time: the seconds are those of all the points, one after the other.
        figures.add(act, kind, points=count, bad=len(bad(ours)), seconds=sum(one.seconds for one in ours))
    assert bad(verdicts) == []
