"""A full store, damaged by lot: every damage is found, nothing hides behind it, and a repair and a run make it good."""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from support.ruin import HOWS, Damage, Ruins, is_beyond_finding
from support.server import Server
from support.site import LIST_ID, Site, image_id
from vmcatcher.errors import VmcatcherError
from vmcatcher.services.context import Context
from vmcatcher.services.repairing import Repair, repair_store
from vmcatcher.store import root
from vmcatcher.store.check import Finding, check_store
from vmcatcher.store.views import Views

# What the operator alone can mend: it follows from nothing else, or whoever repairs needs it.
_DECISIONS = {"endorser", "subscription", "secret"}
_NEEDS_HANDS = {"marker", "lock", "veto"}
_QUICK, _MANY = 9, 75
_REPAIRED, _MANY_REPAIRED = 1, 12


_MEMORY = Path("/dev/shm")


@pytest.fixture
def site(tmp_path: Path, server: Server) -> Iterator[Site]:
    """A site in memory, if that can be: thousands of syncs prove nothing here but cost minutes."""
    place = _MEMORY if _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK) else tmp_path
    with tempfile.TemporaryDirectory(dir=place) as directory:
        yield Site(Path(directory), server)


def look(site: Site) -> list[Finding]:
    """Return what a check with `--data` finds; a store that it refuses to open is found to be damaged as well."""
    try:
        return check_store(root.open_store(str(site.store)), read_bytes=True)
    except VmcatcherError as error:
        return [Finding("I1", str(site.store), str(error), is_damage=True)]


def repaired(site: Site) -> Repair | None:
    """Repair the store; None where it cannot even be opened."""
    try:
        layout = root.open_store(str(site.store))
        return repair_store(Context(layout, site.now, "test"), read_bytes=True, shown=Views.inside(layout))
    except VmcatcherError:
        return None


def queries(site: Site) -> dict[str, int]:
    asked = {"image": "-l", "subscribe": "-l", "endorser": "-l"}
    return {command: site.run(command, word).code for command, word in asked.items()}


def plain_run(site: Site) -> list[int]:
    return [site.run("subscribe", "-U").code, site.run("cache").code]


def known(ruins: Ruins) -> set[tuple[str, str]]:
    """Return what is found in the undamaged store: the files of somebody else."""
    ruins.reset()
    found = look(ruins.site)
    assert {one.invariant for one in found} == {"I13"}, found
    return {(one.path, one.text) for one in found}


def find_all(ruins: Ruins, how: str, seeds: range) -> int:
    """Damage the store once for each seed, and demand that the check finds each and nothing falls over it."""
    sound, tried = known(ruins), 0
    for seed in seeds:
        damage = ruins.draw(how, str(seed))
        if not damage.changed:
            continue
        tried += 1
        found = [one for one in look(ruins.site) if (one.path, one.text) not in sound]
        assert found or is_beyond_finding(damage), (seed, damage)
        if seed % 4 == 0:
            assert 70 not in queries(ruins.site).values(), (seed, damage)
    return tried


def test_fault_13_fault_14_fault_89_every_sort_of_damage_is_found(site: Site):
    ruins = Ruins(site)
    assert sum(find_all(ruins, how, range(_QUICK)) for how in HOWS) >= 110


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("how", HOWS)
def test_fault_13_fault_14_fault_87_fault_89_a_thousand_damages_are_found(site: Site, how: str):
    assert find_all(Ruins(site), how, range(1000, 1000 + _MANY)) >= _MANY - 10


def mend_all(ruins: Ruins, how: str, seeds: range) -> None:
    """Damage, repair, run: what is left is what only the operator can do, and nobody lost anything."""
    for seed in seeds:
        damage = ruins.draw(how, str(seed))
        point = (seed, damage)
        assert 70 not in queries(ruins.site).values(), point
        repair = repaired(ruins.site)
        assert 70 not in plain_run(ruins.site), point
        left = [str(one) for one in look(ruins.site) if one.is_damage]
        assert 70 not in queries(ruins.site).values(), point
        assert ruins.are_foreign_files_untouched(), point
        if is_for_the_operator(damage):
            continue
        assert repair is not None, point
        assert left == [], (point, [str(one) for one in repair.done])
        if not (damage.how == "delete" and damage.kind in _DECISIONS):
            assert ruins.shown() == ruins.endorsed, point


def is_for_the_operator(damage: Damage) -> bool:
    kinds = {damage.kind, damage.other} - {""}
    if damage.how == "chmod" or damage.how.startswith("plant"):
        return False
    if damage.how == "delete":
        return damage.kind == "marker"
    return bool(kinds & (_NEEDS_HANDS | _DECISIONS))


@pytest.mark.slow
def test_fault_13_fault_88_repair_and_a_run_make_it_good(site: Site):
    ruins = Ruins(site)
    for how in HOWS:
        mend_all(ruins, how, range(_REPAIRED))


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("how", HOWS)
def test_fault_13_fault_88_repair_and_a_run_make_many_damages_good(site: Site, how: str):
    mend_all(Ruins(site), how, range(2000, 2000 + _MANY_REPAIRED))


def contents(site: Site) -> set[bytes]:
    return {path.read_bytes() for path in site.store.rglob("*") if path.is_file() and not path.is_symlink()}


_KEPT = ("endorser", "subscription", "secret", "list", "evidence", "mark", "record", "blob")


def test_fault_13_a_plain_run_deletes_nothing_that_is_damaged(site: Site):
    ruins = Ruins(site)
    for number, kind in enumerate(_KEPT):
        path = next(one for of, one in ruins.files if of == kind)
        ruins.reset()
        ruins.spoil("truncate", kind, path, random.Random(f"{kind} {number}"))
        torn = Path(path).read_bytes()
        assert 70 not in plain_run(site), path
        assert torn in contents(site), path
        assert ruins.shown() == ruins.endorsed, path


_READERS = (
    ("status",),
    ("plan", "--offline"),
    ("image", "list"),
    ("image", "history", image_id(1)),
    ("image", "vetoes"),
    ("subscription", "list"),
    ("subscription", "history", LIST_ID),
    ("event", "list"),
    ("trust", "check"),
    ("store", "stats"),
)


@pytest.mark.slow
def test_fault_13_no_reader_of_the_new_command_line_falls_over_a_damage(site: Site):
    ruins = Ruins(site)
    firsts = dict(reversed(ruins.files))
    for number, (kind, path) in enumerate(sorted(firsts.items())):
        # A link has no content, and what it leads to is a kind of its own.
        how = "to directory" if kind == "link" or number % 2 else "random"
        ruins.reset()
        ruins.spoil(how, kind, path, random.Random(f"{how} {number}"))
        for words in _READERS:
            result = site.run("vmcatcher", *words)
            assert result.code in (0, 1, 75), (kind, words, result)
            assert "Traceback" not in result.err, (kind, words, result)
            assert len(result.err.splitlines()) < 10, (kind, words, result)


@pytest.mark.slow
def test_prune_knows_what_fetches_and_runs_note(site: Site):
    ruins = Ruins(site)
    ruins.reset()
    kinds = ("not done", "fetched CRL", "CRL note", "veto")
    words = ("--grace", "0", "--expired-retention", "0", "--snapshots", "0", "--event-log", "0", "--failed-events", "0")
    site.now += timedelta(days=400)
    site.expect(0, "vmcatcher", "store", "prune", *words)
    assert [kind for kind, path in ruins.files if kind in kinds and not path.exists()] == []
    assert not any(path.exists() for kind, path in ruins.files if kind == "log")
