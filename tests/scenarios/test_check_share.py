"""A full check that is spread over runs: each default run reads a share of the bytes."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from support.site import Site, image_id


@pytest.fixture
def cached(site: Site) -> Site:
    """A site with four cached images of one size."""
    site.join(*(site.image(number) for number in range(1, 5)))
    site.select(1, 2, 3, 4)
    site.cache()
    return site


def checks(site: Site) -> dict[str, str]:
    """When the bytes of each image were checked last."""
    records = (site.store / "cache").glob("*/1.json")
    return {path.parent.name: json.loads(path.read_text())["checked"]["at"] for path in records}


def test_four_runs_with_a_quarter_each_read_everything_once(cached: Site):
    before = checks(cached)
    for run in range(1, 5):
        cached.now += timedelta(hours=1)
        assert cached.run("cache", "--check-share", "1/4").code == 0
        assert sum(before[image] != at for image, at in checks(cached).items()) == run
    after = checks(cached)
    assert len(set(after.values())) == 4
    cached.now += timedelta(hours=1)
    assert cached.run("cache").code == 0
    assert checks(cached) == after


def test_corrupt_bytes_are_found_when_their_turn_comes_and_fetched_again(cached: Site):
    path = next((cached.store / "endorsed").glob(image_id(2))).resolve()
    before = path.stat()
    path.chmod(0o644)
    path.write_bytes(b"x" * before.st_size)
    path.chmod(0o444)
    cached.now += timedelta(days=1)
    result = cached.run("cache", VMCATCHER_CHECK_SHARE="1")
    assert (result.code, image_id(2) in result.err) == (1, True)
    assert path.read_bytes() != b"x" * before.st_size


def test_check_holds_as_long_as_the_option_says(cached: Site):
    before = checks(cached)
    cached.now += timedelta(hours=13)
    assert cached.run("cache", "--recheck-after", "1d").code == 0
    assert checks(cached) == before
    assert cached.run("cache", "--recheck-after", "12h").code == 0
    assert not set(checks(cached).values()) & set(before.values())


@pytest.mark.parametrize(("arguments", "said"), [(("--check-share", "2"), "1/7"), (("--recheck-after", "soon"), "30d")])
def test_value_that_makes_no_sense_is_refused_before_anything_is_done(cached: Site, arguments, said: str):
    before = checks(cached)
    result = cached.run("cache", *arguments)
    assert (result.code != 0, arguments[1] in result.err, said in result.err) == (True, True, True)
    assert checks(cached) == before
