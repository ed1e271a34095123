"""What changed between two lists."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from vmcatcher.model.changes import ChangeKind, image_changes, list_changes
from vmcatcher.model.imagelist import ImageList, parse_image_list


def _image(number: int, digest: str = "a", **fields: object) -> dict[str, object]:
    return {
        "dc:identifier": f"image-{number}",
        "dc:title": f"Image {number}",
        "hv:size": 100,
        "hv:uri": f"https://images.test/{number}",
        "hv:version": "1",
        "sl:checksum:sha512": digest * 128,
    } | {name.replace("__", ":"): value for name, value in fields.items()}


def _list(*images: dict[str, object], **fields: object) -> ImageList:
    listed: dict[str, Any] = {
        "dc:identifier": "list",
        "dc:date:created": "2026-01-01T00:00:00Z",
        "dc:date:expires": "2026-02-01T00:00:00Z",
        "dc:title": "A list",
        "dc:description": "",
        "dc:source": "",
        "hv:version": "1",
        "hv:uri": "https://images.test/list",
        "hv:endorser": {"hv:x509": {"hv:dn": "/CN=a", "hv:ca": "/CN=ca", "hv:email": "", "dc:creator": ""}},
        "hv:images": [{"hv:image": image} for image in images],
    } | {name.replace("__", ":"): value for name, value in fields.items()}
    return parse_image_list(json.dumps({"hv:imagelist": listed}).encode()).imagelist


def test_images_are_withdrawn_replaced_changed_and_added_in_that_order_of_the_lists() -> None:
    old = _list(_image(1), _image(2), _image(3), _image(4))
    new = _list(_image(5), _image(3, "b"), _image(4, hv__version="2"), _image(1))
    found = [(change.kind, change.identifier) for change in image_changes(old, new)]
    assert found == [
        (ChangeKind.WITHDRAWN, "image-2"),
        (ChangeKind.ADDED, "image-5"),
        (ChangeKind.REPLACED, "image-3"),
        (ChangeKind.CHANGED, "image-4"),
    ]


def test_changed_field_is_told_with_both_values() -> None:
    (change,) = image_changes(_list(_image(1)), _list(_image(1, dc__title="Other", x__new=["more"])))
    assert [(field.field, field.old, field.new) for field in change.fields] == [
        ("dc:title", "Image 1", "Other"),
        ("x:new", None, ["more"]),
    ]


def test_digest_in_other_case_is_a_changed_field_and_no_replacement() -> None:
    (change,) = image_changes(_list(_image(1)), _list(_image(1, "A")))
    assert change.kind is ChangeKind.CHANGED


def test_values_that_python_takes_for_equal_differ() -> None:
    (change,) = image_changes(_list(_image(1, x__flag=1)), _list(_image(1, x__flag=True)))
    assert [(field.old, field.new) for field in change.fields] == [(1, True)]


def test_null_and_missing_are_the_same() -> None:
    assert image_changes(_list(_image(1)), _list(_image(1, x__null=None))) == ()


def test_first_list_adds_all_of_its_images() -> None:
    assert [change.kind for change in image_changes(None, _list(_image(1), _image(2)))] == [ChangeKind.ADDED] * 2


def test_fields_of_the_list_differ_without_its_images() -> None:
    old, new = _list(_image(1)), _list(dc__title="Other", hv__version="2", ad__swid="x")
    assert [(field.field, field.old, field.new) for field in list_changes(old, new)] == [
        ("hv:version", "1", "2"),
        ("dc:title", "A list", "Other"),
        ("ad:swid", None, "x"),
    ]


_LISTS = st.dictionaries(st.integers(1, 6), st.tuples(st.sampled_from("ab"), st.sampled_from("12"))).map(
    lambda images: _list(*(_image(n, digest, hv__version=version) for n, (digest, version) in images.items()))
)


@settings(max_examples=40)
@given(old=_LISTS, new=_LISTS)
def test_changes_lead_from_one_list_to_the_other_and_no_further(old: ImageList, new: ImageList) -> None:
    images = {image.identifier: image for image in old.images}
    for change in image_changes(old, new):
        assert images.get(change.identifier) == change.old
        if change.new is None:
            del images[change.identifier]
        else:
            assert change.new != change.old
            images[change.identifier] = change.new
    assert images == {image.identifier: image for image in new.images}
