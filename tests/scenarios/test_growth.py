"""What a store costs grows with the store and no faster: counted in files that are opened, not in seconds."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from architecture.source import ROOT
from bench.stores import Grid, Plan, make_store

pytestmark = pytest.mark.slow
_COUNTS = (2, 4, 8)
_IMAGES, _CACHED = 5, 3
_LENGTHS = (20, 40, 80)
_WORKS = {
    "list": ("vmcatcher_image", "-l"),
    "cache": ("vmcatcher_cache",),
    "check": ("vmcatcher", "store", "check"),
    "prune": ("vmcatcher", "store", "prune", "--dry-run"),
    "sync": ("vmcatcher", "sync"),
    "plan": ("vmcatcher", "plan"),
    "status": ("vmcatcher", "status", "--warn-within", "1d"),
}


@pytest.fixture(scope="module")
def stores(tmp_path_factory) -> dict[int, Path]:
    """Stores of so many subscriptions, with everything cached that is selected."""
    return {count: _made(tmp_path_factory.mktemp(f"of-{count}"), (count, _IMAGES, _CACHED)) for count in _COUNTS}


@pytest.fixture(scope="module")
def lists(tmp_path_factory) -> dict[int, Path]:
    """Stores of one list with so many images, all of them cached."""
    return {count: _made(tmp_path_factory.mktemp(f"long-{count}"), (1, count, count)) for count in _LENGTHS}


def _made(place: Path, size: tuple[int, int, int]) -> Path:
    make_store(Grid(place / "grid"), Plan(*size, f"file://{place}"), store=place / "store", lists=place / "lists")
    counted(place, "sync")  # from then on what an update noted of the lists is there
    return place


def counted(place: Path, work: str) -> Counter[str]:
    """What a command opens and lists in a store."""
    words = [sys.executable, str(ROOT / "tests" / "support" / "counting.py"), str(place / "store"), *_WORKS[work]]
    environment = {
        **os.environ,
        "VMCATCHER_STORE": str(place / "store"),
        "VMCATCHER_DIR_CERT": str(place / "grid" / "certificates"),
        "PYTHONPATH": str(ROOT / "src"),
    }
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=50, check=True)
    assert done.stderr == ""
    return Counter(json.loads(done.stdout))


@pytest.mark.parametrize("work", list(_WORKS))
def test_twice_the_store_opens_twice_as_many_files_at_most(stores, work):
    small, middle, large = (counted(stores[count], work) for count in _COUNTS)
    # How the blobs are spread over their 256 directories is up to the digests.
    names = {name for name in small | middle | large if not {"sha512", "locks", "calls"} & set(re.split("[/ ]", name))}
    growth = {name: (middle[name] - small[name], large[name] - middle[name]) for name in names}
    assert {name: steps for name, steps in growth.items() if steps[1] > 2 * steps[0]} == {}
    _assert_twice_the_calls(small, middle, large)


def _assert_twice_the_calls(small: Counter[str], middle: Counter[str], large: Counter[str]) -> None:
    first, second = middle["calls"] - small["calls"], large["calls"] - middle["calls"]
    assert 0 <= second <= 2.1 * first


@pytest.mark.parametrize("work", list(_WORKS))
def test_twice_the_images_of_a_list_take_twice_the_calls_at_most(lists, work):
    """What is looked for in a list by walking through it, for each of its images, would be seen here."""
    _assert_twice_the_calls(*(counted(lists[count], work) for count in _LENGTHS))


def test_listing_opens_one_file_for_each_subscription(stores):
    found = counted(stores[8], "list")
    below = {name: count for name, count in found.items() if "subscriptions/" in name}
    assert below == {"open subscriptions/*/index.tsv": 8, "list subscriptions/*/lists": 8}


def test_cache_run_with_nothing_to_do_reads_each_file_once_and_writes_none(stores):
    index = stores[8] / "store" / "endorsed" / "cache.index"
    before = index.stat()
    found = counted(stores[8], "cache")
    assert found["open cache/*/*.json"] == 8 * _CACHED
    assert found["open subscriptions/*/lists/*.smime"] == 8
    assert found["open subscriptions/*/subscription.json"] == 8
    assert found["open endorsed/cache.index"] == 1
    assert {name for name in found if name.startswith("write ") and "/locks/" not in f"/{name[6:]}"} == set()
    assert index.stat() == before or index.stat().st_ino == before.st_ino


def test_sync_with_nothing_to_do_reads_each_document_once_and_judges_each_list_once(stores):
    found = counted(stores[8], "sync")
    assert found["open cache/*/*.json"] == 8 * _CACHED
    assert found["open subscriptions/*/subscription.json"] == 8
    # The update compares the bytes with those that are served; then the list is judged, for plan and cache run alike.
    assert found["open subscriptions/*/lists/*.smime"] == 2 * 8
    assert found["open subscriptions/*/lists/*.evidence"] == 0
    assert {name for name in found if name.startswith("write ") and "/locks/" not in f"/{name[6:]}"} == set()


def test_plan_reads_of_lists_that_did_not_change_what_an_update_reads(stores):
    found = counted(stores[8], "plan")
    assert found["open cache/*/*.json"] == 8 * _CACHED
    assert found["open subscriptions/*/subscription.json"] == 8
    assert found["open subscriptions/*/lists/*.smime"] == 2 * 8
    assert found["open subscriptions/*/lists/*.evidence"] == 0
    assert {name for name in found if name.startswith("write ")} == set()


def test_status_reads_each_document_once(stores):
    found = counted(stores[8], "status")
    assert found["open cache/*/*.json"] == 8 * _CACHED
    assert found["open subscriptions/*/subscription.json"] == 8
    assert found["open subscriptions/*/lists/*.smime"] == 8
    assert found["open subscriptions/*/lists/*.evidence"] == 0
    assert {name for name in found if name.startswith("write ")} == set()
