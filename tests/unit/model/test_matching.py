"""A rule applied to the images of a list: what it decides, and what it leaves to the hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from vmcatcher.model.identity import Credential, ImageId, ListId
from vmcatcher.model.image import image_from_json
from vmcatcher.model.imagelist import ImageList
from vmcatcher.model.matching import follow_rule
from vmcatcher.model.subscription import AcceptedImage, Decided, Subscription

_NOW = datetime(2026, 11, 23, tzinfo=UTC)
_PLAIN = Subscription(ListId("list"), "http://h/l", "http://h/l", _NOW, where="arch=x86_64")
_NAMES = "abcd"


def _listed(archs: dict[str, str]) -> ImageList:
    images = tuple(
        image_from_json(
            {
                "dc:identifier": name,
                "hv:size": 1,
                "hv:uri": "http://h/i",
                "sl:checksum:sha512": "0" * 128,
                "sl:arch": arch,
            }
        )
        for name, arch in archs.items()
    )
    return ImageList(
        ListId("list"),
        "1",
        _NOW,
        _NOW,
        "http://h/l",
        "",
        "",
        "",
        Credential("/CN=a", "/CN=b"),
        "",
        "",
        None,
        images,
        {},
    )


_ACCEPTED = st.builds(
    lambda names, states: tuple(
        AcceptedImage(ImageId(name), *state) for name, state in zip(names, states, strict=False)
    ),
    st.permutations(_NAMES),
    st.lists(st.tuples(st.booleans(), st.sampled_from([None, *Decided])), min_size=4, max_size=4),
)
_LISTS = st.dictionaries(st.sampled_from(_NAMES), st.sampled_from(["x86_64", "aarch64"]))


@settings(max_examples=50)
@given(_ACCEPTED, _LISTS)
def test_rule_decides_about_listed_images_that_no_hand_did_and_about_no_other(
    accepted: tuple[AcceptedImage, ...], archs: dict[str, str]
):
    before = replace(_PLAIN, images=accepted)
    after = follow_rule(before, _listed(archs))
    assert [one.identifier for one in after.images] == [one.identifier for one in before.images]
    for old, new in zip(before.images, after.images, strict=True):
        if old.decided is Decided.BY_HAND or old.identifier not in archs:
            assert new == old
        else:
            assert new == AcceptedImage(old.identifier, archs[old.identifier] == "x86_64", Decided.BY_RULE)
    assert follow_rule(after, _listed(archs)) == after


@settings(max_examples=20)
@given(_ACCEPTED, _LISTS)
def test_without_a_rule_nothing_is_decided(accepted: tuple[AcceptedImage, ...], archs: dict[str, str]):
    plain = replace(_PLAIN, where=None, images=accepted)
    assert follow_rule(plain, _listed(archs)) is plain
