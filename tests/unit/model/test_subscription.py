"""A subscription as a value: the rules for changing it, and its document."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmcatcher.errors.document import BadDocument
from vmcatcher.model.identity import EndorserId, ImageId, ListId
from vmcatcher.model.subscription import (
    AcceptedImage,
    Decided,
    NewImages,
    Subscription,
    TlsTrust,
    parse_subscription,
    register_images,
    subscription_document,
)

NOW = datetime(2026, 11, 23, 4, 23, 39, 123456, tzinfo=UTC)
A, B, C, D = ImageId("a"), ImageId("b"), ImageId("c"), ImageId("d")
PLAIN = Subscription(ListId("list"), "http://h/asked", "http://h/now", NOW)
_IDS = st.sampled_from([ImageId(letter) for letter in "abcdef"])


def _with(
    *images: AcceptedImage, policy: NewImages = NewImages.REFUSE, refused: tuple[ImageId, ...] = ()
) -> Subscription:
    return replace(PLAIN, images=images, new_images=policy, refused=refused)


def test_subscription_answers_to_the_uri_asked_for_and_the_current_one():
    assert PLAIN.answers_to("http://h/asked")
    assert PLAIN.answers_to("http://h/now")
    assert not PLAIN.answers_to("http://h/")


def test_selection_changes_the_accepted_images_that_are_named_and_no_other():
    one = _with(AcceptedImage(A), AcceptedImage(B, selected=True))
    assert one.with_selection([A, C], selected=True).selected == {A, B}
    assert one.with_selection([B], selected=False).selected == frozenset()
    assert one.with_selection([C], selected=True) == one


def test_selection_is_by_hand_unless_a_policy_or_rule_makes_it():
    one = _with(AcceptedImage(A), AcceptedImage(B, True, Decided.BY_RULE)).with_selection([A, B], selected=True)
    assert [image.decided for image in one.images] == [Decided.BY_HAND, Decided.BY_HAND]
    assert one.with_selection([A], selected=True, decided=None).find(A) == AcceptedImage(A, selected=True)
    assert one.undecided([B]).find(B) == AcceptedImage(B, selected=True)


def test_what_a_rule_selected_stays_selected_by_hand_when_the_rule_goes():
    ruled = _with(
        AcceptedImage(A, True, Decided.BY_RULE), AcceptedImage(B, False, Decided.BY_RULE), AcceptedImage(C, True)
    )
    left = replace(ruled, where="arch=x86_64").without_rule()
    assert left.where is None
    assert left.images == (AcceptedImage(A, True, Decided.BY_HAND), AcceptedImage(B), AcceptedImage(C, True))


@pytest.mark.parametrize("policy", NewImages)
def test_with_a_rule_every_new_image_is_accepted_and_nobody_has_to_decide(policy: NewImages):
    one = replace(_with(policy=policy, refused=(B,)), where="arch=x86_64")
    registered = register_images(one, [A, B, C], owned_elsewhere={C})
    assert registered.subscription.images == (AcceptedImage(A),)
    assert (registered.undecided, registered.owned_elsewhere) == ((), (C,))


def test_accepting_takes_an_image_out_of_the_refused_ones():
    one = _with(AcceptedImage(A), refused=(B,)).accepting(B)
    assert (one.find(B), one.refused) == (AcceptedImage(B), ())
    assert one.accepting(A, selected=True) == one


def test_refusing_forgets_the_image_and_its_selection():
    one = _with(AcceptedImage(A, selected=True), AcceptedImage(B)).refusing(A)
    assert (one.find(A), one.selected, one.refused) == (None, frozenset(), (A,))
    assert one.refusing(A) == one
    assert one.refusing(C).refused == (A, C)


def test_link_is_there_once():
    alice = EndorserId("alice")
    linked = PLAIN.linked(alice)
    assert linked.linked(alice) == linked
    assert linked.unlinked(alice) == PLAIN
    assert PLAIN.unlinked(alice) == PLAIN


# -- images that a list newly names


@pytest.mark.parametrize(
    ("policy", "accepted", "undecided"),
    [
        (NewImages.REFUSE, (AcceptedImage(A),), (B, C)),
        (NewImages.ACCEPT, (AcceptedImage(A), AcceptedImage(B), AcceptedImage(C)), ()),
        (
            NewImages.SUBSCRIBE,
            (AcceptedImage(A), AcceptedImage(B, selected=True), AcceptedImage(C, selected=True)),
            (),
        ),
    ],
)
def test_policy_decides_about_images_nobody_decided_about(
    policy: NewImages, accepted: tuple[AcceptedImage, ...], undecided: tuple[ImageId, ...]
):
    found = register_images(_with(AcceptedImage(A), policy=policy), [B, A, C], owned_elsewhere=())
    assert found.subscription.images == accepted
    assert found.undecided == undecided
    assert found.owned_elsewhere == ()


@pytest.mark.parametrize("policy", list(NewImages))
def test_image_of_another_subscription_is_left_to_it(policy: NewImages):
    found = register_images(_with(policy=policy), [A], owned_elsewhere={A})
    assert (found.subscription.images, found.undecided, found.owned_elsewhere) == ((), (), (A,))


@pytest.mark.parametrize("policy", list(NewImages))
def test_refused_image_is_no_question_any_more(policy: NewImages):
    found = register_images(_with(policy=policy, refused=(A,)), [A], owned_elsewhere={A})
    assert (found.subscription.images, found.undecided, found.owned_elsewhere) == ((), (), ())


def test_image_that_the_list_no_longer_names_stays_accepted():
    one = _with(AcceptedImage(A, selected=True))
    assert register_images(one, [], owned_elsewhere=()).subscription == one


@given(
    st.lists(_IDS, unique=True),
    st.lists(_IDS, unique=True),
    st.lists(_IDS, unique=True),
    st.sets(_IDS),
    st.sampled_from(NewImages),
)
def test_registering_twice_changes_nothing_and_every_image_is_accounted_for(
    accepted: list[ImageId], refused: list[ImageId], listed: list[ImageId], others: set[ImageId], policy: NewImages
):
    before = _with(*map(AcceptedImage, accepted), policy=policy, refused=tuple(refused))
    once = register_images(before, listed, owned_elsewhere=others)
    twice = register_images(once.subscription, listed, owned_elsewhere=others)
    assert twice == once
    assert once.subscription.images[: len(accepted)] == before.images
    for image in listed:
        places = [
            once.subscription.find(image) is not None or image in refused,
            image in once.undecided,
            image in once.owned_elsewhere,
        ]
        assert places.count(True) == 1
    assert all(image.identifier in listed for image in once.subscription.images[len(accepted) :])


# -- its document


_FULL = replace(
    PLAIN,
    description="Größe\n",
    endorsers=(EndorserId("b"), EndorserId("a")),
    new_images=NewImages.SUBSCRIBE,
    images=(AcceptedImage(B, True, Decided.BY_RULE), AcceptedImage(A, False, Decided.BY_HAND), AcceptedImage(D, True)),
    refused=(C,),
    tls=TlsTrust.IGTF,
    insecure=True,
    username="user",
    username_origin="http://h:80",
    password_over_http=True,
    file_images=True,
    pin_uri=True,
    mirrors=("http://m/",),
    where="arch=x86_64",
    max_validity_s=0,
    keep_until_replaced=True,
)


@pytest.mark.parametrize("subscription", [PLAIN, _FULL])
def test_document_is_read_back_unchanged(subscription: Subscription):
    assert parse_subscription(json.loads(json.dumps(subscription_document(subscription)))) == subscription


def test_every_field_is_in_the_document():
    assert set(subscription_document(_FULL)) == {"format", *Subscription.__dataclass_fields__}
    plain = subscription_document(PLAIN)
    same = [name for name, value in subscription_document(_FULL).items() if plain[name] == value]
    assert same == ["format", "identifier", "uri_asked", "uri", "added"]


def test_document_from_before_a_permission_existed_does_not_grant_it():
    document = subscription_document(_FULL)
    for name in ("insecure", "password_over_http", "file_images", "pin_uri", "username", "username_origin"):
        del document[name]
    found = parse_subscription(document)
    assert [found.insecure, found.password_over_http, found.file_images, found.pin_uri] == [False] * 4
    assert [found.username, found.username_origin] == [None, None]


def test_document_from_before_there_were_rules_is_one_without_and_what_is_selected_was_selected_by_hand():
    document = subscription_document(_FULL)
    for name in ("mirrors", "where", "max_validity_s", "keep_until_replaced"):
        del document[name]
    document["images"] = [{"identifier": "a", "selected": True}, {"identifier": "b", "selected": False}]
    found = parse_subscription(document)
    assert found.images == (AcceptedImage(A, True, Decided.BY_HAND), AcceptedImage(B))
    assert [found.where, found.max_validity_s, found.keep_until_replaced] == [None, None, False]


@pytest.mark.parametrize(
    "change",
    [
        {"where": 1},
        {"max_validity_s": -1},
        {"max_validity_s": "90d"},
        {"keep_until_replaced": None},
        {"images": [{"identifier": "a", "selected": True, "decided": "fate"}]},
        {"identifier": None},
        {"uri": 1},
        {"uri_asked": None},
        {"added": "soon"},
        {"description": None},
        {"endorsers": "alice"},
        {"new_images": "perhaps"},
        {"new_images": None},
        {"tls": "none"},
        {"images": ["a"]},
        {"images": [{"selected": True}]},
        {"images": [{"identifier": "a", "selected": "yes"}]},
        {"refused": [1]},
        {"insecure": "yes"},
        {"username": 1},
        {"username_origin": 1},
        {"pin_uri": None},
    ],
    ids=lambda change: next(iter(change)),
)
def test_document_that_does_not_say_what_it_must_is_refused(change: dict[str, object]):
    with pytest.raises(BadDocument):
        parse_subscription({**subscription_document(_FULL), **change})
