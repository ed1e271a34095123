"""The quick listing, which looks at no digest, says what the whole one says."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.site import LIST_ID, image_id
from vmcatcher.services.context import Context
from vmcatcher.services.listing import list_images, list_states
from vmcatcher.store import root


@pytest.fixture
def joined(site):
    """A site that follows a list of four images; the second and the third are selected."""
    site.join(*(site.image(number) for number in range(1, 5)))
    site.select(2, 3)
    return site


def listed(site):
    """The states by both listings, image by image."""
    context = Context(root.open_store(str(site.store)), site.now, "test")
    whole, quick = list_images(context), list_states(context)
    assert [str(one.error) for one in quick.failed] == [str(one.error) for one in whole.failed]
    assert [one.runs for one in quick.found] == [one.runs for one in whole.found]
    return {line.image: line.state for line in whole.lines}


def digest_of(site, number):
    context = Context(root.open_store(str(site.store)), site.now, "test")
    return next(line.sha512 for line in list_images(context).lines if line.image == image_id(number))


def test_images_of_one_state_that_follow_each_other_are_one_text(joined):
    assert listed(joined) == {image_id(1): 2, image_id(2): 3, image_id(3): 3, image_id(4): 2}
    (one,) = list_states(Context(root.open_store(str(joined.store)), joined.now, "test")).found
    names = [image_id(number) for number in range(1, 5)]
    assert one.runs == ((2, names[0].encode()), (3, f"{names[1]} {names[2]}".encode()), (2, names[3].encode()))


def test_veto_takes_an_image_out_of_the_middle_of_others(joined):
    digest = digest_of(joined, 2)
    Path(joined.store, "vetoes", f"{digest}.json").write_text("{}")
    Path(joined.store, "vetoes", f"{'0' * 128}.json").write_text("{}")
    assert listed(joined) == {image_id(1): 2, image_id(2): 1, image_id(3): 3, image_id(4): 2}
    assert joined.states() == listed(joined)


def test_lost_subscription_is_named_by_both(joined):
    Path(joined.store, "subscriptions", "another").mkdir()
    Path(joined.store, "subscriptions", "another", "subscription.json.lost").write_text("{}")
    Path(joined.store, "subscriptions", "empty").mkdir()
    assert len(listed(joined)) == 4
    context = Context(root.open_store(str(joined.store)), joined.now, "test")
    assert [failure.subject for failure in list_states(context).failed] == ["another"]


def test_verdict_of_a_cache_run_makes_images_unavailable(joined):
    joined.pki.revoke(joined.alice)
    joined.run("cache")
    assert listed(joined) == {image_id(1): 0, image_id(2): 1, image_id(3): 1, image_id(4): 0}


def test_index_whose_digests_rotted_is_still_good_for_states(joined):
    path = joined.store / "subscriptions" / LIST_ID / "index.tsv"
    before = listed(joined)
    path.write_bytes(path.read_bytes()[:-50])
    assert listed(joined) == before
