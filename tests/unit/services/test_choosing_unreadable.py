"""A name that is known, of a subscription whose decisions cannot be read now."""

from __future__ import annotations

import os

import pytest

from support.site import LIST_ID, Site, image_id


@pytest.mark.parametrize("words", [("veto", "--reason", "why"), ("unveto",), ("show",)])
def test_image_of_a_subscription_that_cannot_be_read_is_not_one_of_none(site: Site, words: tuple[str, ...]):
    site.join(site.image(1))
    path = site.store / "subscriptions" / LIST_ID / "subscription.json"
    was, content = path.stat(), path.read_bytes()
    path.write_bytes(content.replace(b'"alice"', b'"alicf"'))
    # As a bit that rots does it: the file system says nothing, and the index that was made from it counts.
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
    assert image_id(1) in site.run("image", "-l").out
    result = site.run("vmcatcher", "image", words[0], image_id(1), *words[1:])
    assert result.code == 1
    assert "subscription.json" in result.err
    assert "no-such-subscription" not in result.err
