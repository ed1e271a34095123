"""The index and the manifest of a subscription: what a reader finds stale, torn or missing, it makes again itself."""

from __future__ import annotations

import os
import random
import zlib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from support.site import LIST_ID, image_id
from vmcatcher.model.identity import EndorserId, ListId, OneLineName
from vmcatcher.store import index, index_lines, index_text, root, snapshots, subscriptions


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


def states_of(made):
    """What is left of an index without its digests."""
    return index_text.SubscriptionStates(
        *(getattr(made, name) for name in index_text.SubscriptionStates.__match_args__)
    )


def test_fresh_index_equals_what_it_is_made_from(layout):
    fresh = index.fresh_index(layout, LIST_ID)
    assert fresh is not None
    assert fresh == made_anew(layout)
    assert index_lines.fresh_states(layout, LIST_ID) == states_of(fresh)
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
            path.write_bytes(content.replace(b"#vmcatcher-index\t", b"#vmcatcher-index-2\t"))
        case "other snapshot":
            path.write_bytes(content.replace(b"000001-", b"000002-"))
        case "link":
            path.symlink_to("/etc/hostname")
        case "fifo":
            os.mkfifo(path)
    assert index.fresh_index(layout, LIST_ID) is None
    assert index.read_index(layout, LIST_ID) == made_anew(layout)
    # Of a file that lacks only digests, states can be read; they are the same ones.
    assert index_lines.read_states(layout, LIST_ID) in (made_anew(layout), states_of(made_anew(layout)))
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


_OLD_FORM = """#list\t{list}\t2026-01-01T00:00:00.000000Z
#snapshot\t{snapshot}\t1797162918
#signer\t/CN=a\t/CN=a
#issuer\t/CN=b\t/CN=b
#endorsers\te
{image}\t1\t{digest}\t1797162918
"""


def test_index_of_an_earlier_form_is_made_again_and_is_no_damage(layout, path, joined):
    before = joined.states()
    snapshot = snapshots.current_snapshot(layout, LIST_ID)
    rest = _OLD_FORM.format(list=LIST_ID, snapshot=snapshot.name, image=image_id(1), digest="0" * 128).encode()
    source = index_lines.source_of(layout, LIST_ID)
    path.write_bytes(f"#vmcatcher-index\t1\t{source}\t{zlib.crc32(rest):08x}\n".encode() + rest)
    assert index.fresh_index(layout, LIST_ID) is None
    assert index_lines.fresh_states(layout, LIST_ID) is None
    assert not index.is_torn(layout, LIST_ID)
    assert index.read_index(layout, LIST_ID) == made_anew(layout)
    assert joined.states() == before
    joined.expect(0, "subscribe", "-U")
    assert index.fresh_index(layout, LIST_ID) == made_anew(layout)


def _sealed_again(content, change):
    """The bytes of an index with other lines, and checksums that fit them."""
    head, rows, digests = content.partition(b"\n")[0], *content.partition(b"\n")[2].rsplit(b"#sha512\t", 1)
    rows, column = change(rows, digests.split(b"\t")[1][:-1])
    words = [*head.split(b"\t")[:3], str(len(rows)).encode(), b"%08x" % zlib.crc32(rows)]
    return b"\t".join(words) + b"\n" + rows + b"#sha512\t%08x\t%b\n" % (zlib.crc32(column), column)


_HOSTILE = [
    (b"\n0\t", b"\n2\t"),
    (b"\n0\t", b"\n\t"),
    (b"\n0\t", b"\n0\t0\t"),
    (b"#snapshot\t", b"#snapshot\tx\t"),
    (b"#snapshot\t", b"#screenshot\t"),
    (b"#list\t", b"#list\tx\t"),
    (b"#endorsers", b"#endorsed"),
    (b"#signer\t", b"#signer\tx\t"),
    (b"Z\t-\n#snapshot", b"Z\tmany\n#snapshot"),
    (b"Z\t-\n#snapshot", b"ZZ\t-\n#snapshot"),
    (image_id(1).encode(), b""),
    (image_id(1).encode(), image_id(1).encode() + b" "),
    (image_id(1).encode(), image_id(1).encode() + b"  x"),
    (image_id(1).encode(), image_id(1).encode() + b" x"),
    (image_id(1).encode(), b"\xff"),
    (b"\n0\t", b"\n\n0\t"),
]


def test_hostile_line_makes_the_index_as_good_as_none(layout, path):
    """Also where its checksums are right: nothing but what the program writes is believed."""
    content = path.read_bytes()
    assert _sealed_again(content, lambda *parts: parts) == content
    for old, new in _HOSTILE:
        changed = _sealed_again(content, lambda rows, column, old=old, new=new: (rows.replace(old, new, 1), column))
        assert changed != content, old
        path.write_bytes(changed)
        assert index.fresh_index(layout, LIST_ID) is None, (old, new)
        assert index.read_index(layout, LIST_ID) == made_anew(layout), (old, new)


def test_instant_that_is_none_makes_the_index_as_good_as_none(layout, path):
    content = path.read_bytes()
    for until in (b"x", b"1e9", b"9" * 23, b"253402300800", b""):

        def change(rows, column, until=until):
            lines = rows.split(b"\n")
            lines[-2] = b"\t".join([b"1", until, lines[-2].split(b"\t")[2]])
            return b"\n".join(lines), column

        path.write_bytes(_sealed_again(content, change))
        assert index.fresh_index(layout, LIST_ID) is None, until
        assert index_lines.fresh_states(layout, LIST_ID) is None, until
        assert index_lines.read_states(layout, LIST_ID) == made_anew(layout), until


def test_digest_too_many_or_too_few_makes_the_index_as_good_as_none(layout, path):
    content = path.read_bytes()
    for column in (b"", b"-", b"- -", b"- - - -", b"- - \xff"):
        path.write_bytes(_sealed_again(content, lambda rows, _, column=column: (rows, column)))
        assert index.fresh_index(layout, LIST_ID) is None


def test_length_that_is_a_lie_makes_the_index_as_good_as_none(layout, path):
    content = path.read_bytes()
    head, _, rest = content.partition(b"\n")
    for length in (b"0", b"-1", b"1", b"10", b"99999", b"9" * 30, b"9" * 5000, b"x", b""):
        words = head.split(b"\t")
        path.write_bytes(b"\t".join([*words[:3], length, words[4]]) + b"\n" + rest)
        assert index.fresh_index(layout, LIST_ID) is None, length
        assert index_lines.fresh_states(layout, LIST_ID) is None, length
        assert index.is_torn(layout, LIST_ID), length


def test_index_of_many_images_is_read_whole_and_in_part(layout, path):
    made = _drawn(random.Random(7), 2000)
    text = index_text.spell_index(made, "1:2")
    assert index_text.parse_index(text) == (made, "1:2")
    end = index_text.states_end(text[:200])
    assert 8192 < end < len(text) / 3
    assert index_text.parse_states(text[:end]) == (states_of(made), "1:2")
    with pytest.raises(ValueError, match="torn"):
        index_text.parse_states(text[: end - 1])


def _drawn(rng, count):
    images = [
        index_text.IndexedImage(
            image_id(number),
            rng.random() < 0.1,
            None if rng.random() < 0.1 else f"{number:0128x}",
            rng.choice([None, datetime(2030, 1, 31, tzinfo=UTC), datetime(2499, 12, 31, tzinfo=UTC)]),
        )
        for number in range(count)
    ]
    runs, digests = index_text.runs_of(images)
    made = index_text.SubscriptionIndex(
        ListId(LIST_ID),
        datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
        (EndorserId("Predrag Buncic"), EndorserId("b")),
        "000001-20260101T000000Z",
        datetime(2030, 1, 31, tzinfo=UTC),
        datetime(2026, 1, 1, tzinfo=UTC),
        rng.choice([None, 86400]),
        OneLineName("/CN=a\\/b", None),
        OneLineName("/CN=c", "/CN=c"),
        runs,
        digests,
    )
    assert made.images == tuple(images)
    return made


@pytest.mark.parametrize("count", [0, 1, 2, 50])
def test_index_is_read_back_as_it_was_written(count):
    for seed in range(20):
        made = _drawn(random.Random(seed), count)
        assert index_text.parse_index(index_text.spell_index(made, "1:2")) == (made, "1:2")


def test_images_with_one_state_are_one_line(layout, path):
    lines = path.read_text().splitlines()
    assert [line.split("\t")[2].split(" ") for line in lines[6:-1]] == [[image_id(1)], [image_id(2)], [image_id(3)]]
    selected = subscriptions.find_subscription(layout, LIST_ID).with_selection([image_id(1)], selected=True)
    subscriptions.put_subscription(layout, selected)
    index.write_projections(layout, selected)
    assert path.read_text().splitlines()[6].split("\t")[2] == f"{image_id(1)} {image_id(2)}"


_BESIDE = [
    "000002-20260101T000000Z",
    "000002-99990101T000000Z",
    "0000002-20260101T000000Z",
    "0000001-99990101T000000Z",
    "000001-99990101T000000Z",
    "000001-19990101T000000Z",
    "zzzzzz-20260101T000000Z",
    "999999-20261301T000000Z",
    "aaaa",
    "000000-20260101T000000Z",
]


def test_index_is_fresh_exactly_where_its_snapshot_is_the_current_one(layout):
    """The newest name is found without reading all of them, whatever else lies beside it."""
    made = index.fresh_index(layout, LIST_ID)
    for name in _BESIDE:
        beside = Path(layout.lists(LIST_ID), f"{name}.smime")
        beside.write_bytes(b"")
        is_current = snapshots.current_snapshot(layout, LIST_ID).name == made.snapshot
        assert (index.fresh_index(layout, LIST_ID) is not None) == is_current, name
        beside.unlink()


def test_longer_name_of_a_smaller_number_is_not_taken_for_the_newest(layout, path):
    """Nobody but a person gives such a name; the number counts, not the text."""
    for own in Path(layout.lists(LIST_ID)).iterdir():
        own.rename(own.with_name(f"0{own.name}"))
    own = subscriptions.find_subscription(layout, LIST_ID)
    index.write_projections(layout, own)
    assert index.fresh_index(layout, LIST_ID).snapshot.startswith("0000001-")
    Path(layout.lists(LIST_ID), "000002-20260101T000000Z.smime").write_bytes(b"")
    assert index.fresh_index(layout, LIST_ID) is None


def test_states_that_are_longer_than_what_is_read_at_first_are_read_whole(layout, monkeypatch):
    whole = states_of(index.fresh_index(layout, LIST_ID))
    for first_bytes in (80, 200, 600):
        monkeypatch.setattr(index_lines, "_FIRST_BYTES", first_bytes)
        assert index_lines.fresh_states(layout, LIST_ID) == whole
