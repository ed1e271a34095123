"""Mistakes on purpose: each is found by the replay of power cuts, and for what it does; the right program is not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.blackout import Blackout
from support.installed_acts import INSTALLED
from support.mistakes import MISTAKES, Mistake, MistakeOutOfDate, demand_runs, with_mistake
from support.recorder import demand_strace
from support.site import Site


def problems(blackout: Blackout) -> Iterator[str]:
    for cut in blackout.cuts(seed=1, extra=2):
        yield from (f"{problem} ({cut})" for problem in blackout.problems(cut))


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", MISTAKES)
def test_fault_03_fault_04_mistake_is_caught(site: Site, name: str):
    demand_strace()
    mistake = MISTAKES[name]
    program = with_mistake(mistake, site.root / "program")
    demand_runs(site, program)
    found: list[str] = []
    for problem in problems(Blackout(site, INSTALLED[mistake.act], PYTHONPATH=str(program))):
        found.append(problem)
        if problem.startswith(mistake.sign):
            return
    pytest.fail(f"nothing begins with '{mistake.sign}' among {found}")


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_copy_without_a_mistake_is_not_accused(site: Site):
    demand_strace()
    program = with_mistake(None, site.root / "program")
    demand_runs(site, program)
    assert list(problems(Blackout(site, INSTALLED["expiring cache run"], PYTHONPATH=str(program)))) == []


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_can_still_be_made(tmp_path: Path, name: str):
    with_mistake(MISTAKES[name], tmp_path)


def test_mistake_whose_line_is_gone_is_no_mistake(tmp_path: Path):
    with pytest.raises(MistakeOutOfDate):
        with_mistake(Mistake("store/files.py", (("no such line\n", ""),), act="update", sign=""), tmp_path)
