"""The index and the manifest of a subscription: what a reader finds stale, torn or missing, it makes again itself."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from support.site import LIST_ID, image_id
from vmcatcher.store import index, root, subscriptions


@pytest.fixture
def joined(site):
    """A site that follows a list of three images, one of them selected."""
    site.join(site.image(1), site.image(2), site.image(3, dc__date__expires="2499-12-31T22:00:00Z"))
    site.select(2)
    return site


@pytest.fixture
def layout(joined):
    return root.open_store(str(joined.store))


@pytest.fixture
def path(layout):
    return Path(layout.index(LIST_ID))


def made_anew(layout):
    return index.build_index(layout, subscriptions.find_subscription(layout, LIST_ID))[0]


def test_fresh_index_equals_what_it_is_made_from(layout):
    fresh = index.fresh_index(layout, LIST_ID)
    assert fresh is not None
    assert fresh == made_anew(layout)
    assert [(image.identifier, image.selected) for image in fresh.images] == [
        (image_id(1), False),
        (image_id(2), True),
        (image_id(3), False),
    ]


@pytest.mark.parametrize(
    "how", ["missing", "empty", "binary", "torn", "half a line", "other format", "other snapshot", "link", "fifo"]
)
@pytest.mark.timeout(10)
def test_spoiled_index_is_made_again_by_the_reader(layout, path, joined, how):
    before = joined.states()
    content = path.read_bytes()
    path.unlink()
    match how:
        case "empty":
            path.write_bytes(b"")
        case "binary":
            path.write_bytes(os.urandom(200))
        case "torn":
            path.write_bytes(content[: len(content) // 2])
        case "half a line":
            path.write_bytes(content[:-20])
        case "other format":
            path.write_bytes(content.replace(b"#vmcatcher-index\t1", b"#vmcatcher-index-2\t2"))
        case "other snapshot":
            path.write_bytes(content.replace(b"000001-", b"000002-"))
        case "link":
            path.symlink_to("/etc/hostname")
        case "fifo":
            os.mkfifo(path)
    assert index.fresh_index(layout, LIST_ID) is None
    assert index.read_index(layout, LIST_ID) == made_anew(layout)
    assert joined.states() == before


def test_index_older_than_the_decision_is_stale(layout, path):
    content, age = path.read_bytes(), path.stat().st_mtime
    changed = subscriptions.find_subscription(layout, LIST_ID).with_selection([image_id(1)], selected=True)
    subscriptions.put_subscription(layout, changed)
    path.write_bytes(content)
    os.utime(path, (age + 100, age + 100))
    assert index.fresh_index(layout, LIST_ID) is None
    assert index.read_index(layout, LIST_ID).images[0].selected


def test_index_older_than_the_snapshot_is_stale(layout, path, joined):
    content = path.read_bytes()
    joined.publish("2", joined.image(1))
    joined.expect(0, "subscribe", "-U")
    path.write_bytes(content)
    assert index.fresh_index(layout, LIST_ID) is None
    assert joined.states() == {image_id(1): 2, image_id(2): 1, image_id(3): 0}


def test_damaged_evidence_makes_images_unavailable_and_nothing_worse(layout, joined):
    for path in Path(layout.lists(LIST_ID)).glob("*.evidence"):
        path.write_bytes(b"{")
    Path(layout.index(LIST_ID)).unlink()
    assert joined.states() == {image_id(1): 0, image_id(2): 1, image_id(3): 0}


def test_next_update_writes_the_index_again(layout, path, joined):
    path.unlink()
    Path(layout.manifest(LIST_ID)).unlink()
    joined.expect(0, "subscribe", "-U")
    assert index.fresh_index(layout, LIST_ID) == made_anew(layout)
    assert os.path.exists(layout.manifest(LIST_ID))


def test_index_of_no_subscription_is_none(layout):
    assert index.read_index(layout, "nobody") is None
    assert index.fresh_index(layout, "nobody") is None


def test_index_torn_at_the_end_of_a_line_is_stale(layout, path):
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    assert index.fresh_index(layout, LIST_ID) is None
    assert index.read_index(layout, LIST_ID) == made_anew(layout)
