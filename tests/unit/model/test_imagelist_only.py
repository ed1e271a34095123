"""Reading only some images of a list: no list passes that the whole reading would refuse."""

from __future__ import annotations

import json

import pytest

from vmcatcher.errors.imagelist import DuplicateImage, ImageRefused, TooManyImages
from vmcatcher.model.imagelist import ListLimits, parse_image_list


def image(identifier, **changed):
    return {
        "dc:identifier": identifier,
        "hv:size": 1,
        "hv:uri": "http://images.test/1",
        "sl:checksum:sha512": "0" * 128,
        **changed,
    }


def content(*images):
    listed = {
        "dc:date:created": "2026-10-01T08:00:00Z",
        "dc:date:expires": "2499-12-31T22:00:00Z",
        "dc:identifier": "list",
        "hv:version": "1",
        "hv:uri": "https://lists.test/list",
        "hv:endorser": {"hv:x509": {"hv:dn": "/CN=a", "hv:ca": "/CN=b", "hv:email": "e", "dc:creator": "c"}},
        "hv:images": [entry if not isinstance(entry, dict) else {"hv:image": entry} for entry in images],
    }
    return json.dumps({"hv:imagelist": listed}).encode()


def test_only_these_images_are_read_and_the_list_is_the_same():
    everything = content(image("a"), image("b", **{"hv:size": "many"}), image("c"), 7, image("d"))
    whole, some = parse_image_list(everything), parse_image_list(everything, only={"c", "d", "x"})
    assert [one.identifier for one in some.imagelist.images] == ["c", "d"]
    assert set(some.imagelist.images) < set(whole.imagelist.images)
    assert (some.imagelist.expires, some.warnings) == (whole.imagelist.expires, whole.warnings)
    assert (len(whole.refused), some.refused) == (2, ())


def test_image_that_is_asked_for_and_cannot_be_used_is_reported():
    (refused,) = parse_image_list(content(image("a"), image("b", **{"hv:size": 0})), only={"b"}).refused
    assert isinstance(refused, ImageRefused)
    assert (refused.identifier, refused.position) == ("b", 2)


def test_nothing_asked_for_reads_no_image():
    assert parse_image_list(content(image("a")), only=()).imagelist.images == ()


@pytest.mark.parametrize("only", [None, (), {"a"}, {"b"}])
def test_two_images_of_one_identifier_refuse_the_list_whatever_is_asked_for(only):
    with pytest.raises(DuplicateImage) as caught:
        parse_image_list(content(image("b"), image("a"), image("c"), image("a", **{"hv:size": 0})), only=only)
    assert (caught.value.identifier, caught.value.first, caught.value.second) == ("a", 2, 4)


@pytest.mark.parametrize("only", [None, {"a"}])
def test_what_is_no_identifier_is_not_there_twice(only):
    images = (image("a"), image(""), image(""), image("/x"), image("/x"), image(None), image(7), 1, 1)
    assert [one.identifier for one in parse_image_list(content(*images), only=only).imagelist.images] == ["a"]


def test_too_many_images_refuse_the_list_whatever_is_asked_for():
    with pytest.raises(TooManyImages):
        parse_image_list(content(image("a"), image("b")), limits=ListLimits(max_images=1), only={"a"})
