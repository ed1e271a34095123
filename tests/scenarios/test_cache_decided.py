"""Decisions that change while a cache run is on its way: what is published is what is wanted at the commit."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from support.site import LIST_ID, Site, image_id

COMMANDS = Path(sys.executable).parent


@pytest.mark.parametrize(
    "decision",
    [
        f"vmcatcher_subscribe -D -u {LIST_ID}",
        f"vmcatcher_image -r -u {image_id(1)}",
        f"vmcatcher_endorser -u -e alice -s {LIST_ID}",
        "vmcatcher_endorser -D -e alice",
    ],
)
def test_image_that_is_not_wanted_any_more_at_the_commit_is_not_published(site: Site, decision: str):
    site.join(site.image(1))
    site.select(1)
    handler = f'cat >> {site.events}; [ "$VMCATCHER_EVENT_TYPE" != AvailablePrefix ] || {COMMANDS}/{decision}'
    result = site.run("cache", "-x", handler)
    assert result.code == 0, result
    assert "left to the next one" in result.err
    assert site.told() == ["ProcessPrefix", "AvailablePrefix 1", "ProcessPostfix"]
    assert site.endorsed() == {}
    site.cache()
    assert site.told() == ["ProcessPrefix", "ProcessPostfix"]
    assert site.endorsed() == {}
