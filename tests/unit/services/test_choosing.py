"""What an operator means by a name."""

from __future__ import annotations

import pytest

from support.site import LIST_ID, Site, image_id
from vmcatcher.errors.choosing import NameAmbiguous, NameMisspelled, NameUnknown
from vmcatcher.services.choosing import choose

TITLES = {"abc-1": "Debian 12", "abc-2": "Debian 13", "xyz": "Ubuntu", "abc": "Fedora"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("abc-1", "abc-1"),
        ("abc", "abc"),  # a whole identifier, although others begin so
        ("x", "xyz"),
        ("Debian 13", "abc-2"),
        ("debian 13", "abc-2"),
        ("ubu", "xyz"),
    ],
)
def test_name_that_fits_one_thing_is_that_one(given: str, expected: str):
    assert choose("image", given, TITLES, lambda: TITLES) == expected


@pytest.mark.parametrize(("given", "candidates"), [("abc-", "abc-1, abc-2"), ("debian", "abc-1, abc-2")])
def test_name_that_fits_several_is_refused_with_them(given: str, candidates: str):
    with pytest.raises(NameAmbiguous) as caught:
        choose("image", given, TITLES, lambda: TITLES)
    assert caught.value.candidates == candidates


def test_many_candidates_are_not_all_told():
    with pytest.raises(NameAmbiguous) as caught:
        choose("image", "i", [f"i{number}" for number in range(9)])
    assert caught.value.candidates == "i0, i1, i2, i3, i4 and 4 more"


@pytest.mark.parametrize(
    ("given", "near"),
    [("abd-1", "abc-1"), ("Debain 12", "abc-1 (Debian 12), abc-2 (Debian 13)"), ("ubunto", "xyz (Ubuntu)")],
)
def test_slip_is_answered_with_what_was_meant(given: str, near: str):
    with pytest.raises(NameMisspelled) as caught:
        choose("image", given, ["abc-1", "abc-2", "xyz"], lambda: {k: v for k, v in TITLES.items() if k != "abc"})
    assert near.split(", ", maxsplit=1)[0] in caught.value.near


@pytest.mark.parametrize("given", ["", "nothing-like-it", "\x1b", "/", "../.."])
def test_name_that_fits_nothing_is_refused(given: str):
    with pytest.raises(NameUnknown):
        choose("image", given, TITLES, lambda: TITLES)


def test_titles_are_not_read_where_an_identifier_fits():
    assert choose("image", "xy", TITLES, lambda: pytest.fail("read")) == "xyz"


# -- in a store


@pytest.fixture
def joined(site: Site) -> Site:
    site.join(site.image(1), site.image(2))
    return site


def test_subscription_is_known_by_identifier_title_and_uri(joined: Site):
    for given in (LIST_ID, LIST_ID[:5], "Test list title", "test LIST", joined.server.url("/list")):
        shown = joined.run("vmcatcher", "subscription", "show", given, "--json")
        assert shown.answer["subscription"] == LIST_ID


def test_image_is_known_by_identifier_title_and_digest(joined: Site):
    digest = joined.run("vmcatcher", "image", "list", "--json").answer["images"][1]["sha512"]
    for given in (image_id(2), "Title of image 2", digest, digest[:16].upper()):
        assert joined.run("vmcatcher", "image", "show", given, "--json").answer["image"] == image_id(2)


def test_digest_that_begins_like_the_identifier_of_another_image_does_not_take_its_place(site: Site):
    named = "c0ffee00c0ffee00"
    site.join(site.image(1, dc__identifier=named), site.image(2, sl__checksum__sha512=f"{named:f<128}"))
    assert site.run("vmcatcher", "image", "show", named, "--json").answer["image"] == named
    assert site.run("vmcatcher", "image", "show", f"{named}ff", "--json").answer["image"] == image_id(2)


def test_image_that_only_the_cache_remembers_is_found(joined: Site):
    joined.select(1)
    joined.cache()
    joined.expect(0, "subscribe", "-D", "-u", LIST_ID)
    joined.cache()
    shown = joined.run("vmcatcher", "image", "show", image_id(1), "--json")
    assert [one["reason"] for one in shown.answer["versions"]] == ["subscription-deleted"]
    assert joined.run("vmcatcher", "image", "subscribe", image_id(1)).code == 1


def test_subscription_that_cannot_be_read_is_named_instead_of_a_wrong_answer(joined: Site):
    (joined.store / "subscriptions" / LIST_ID / "subscription.json").write_text("{")
    for given in (LIST_ID, "elsewhere"):
        result = joined.run("vmcatcher", "subscription", "show", given)
        assert (result.code, "subscription.json is damaged" in result.err) == (1, True), result
    result = joined.run("vmcatcher", "image", "show", image_id(1))
    assert (result.code, "damaged" in result.err) == (1, True)
