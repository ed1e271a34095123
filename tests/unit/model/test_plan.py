"""The plan of a cache run: pure, complete, and nothing twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmcatcher.model.identity import Credential, ImageId, ListId, Sha512
from vmcatcher.model.image import image_from_json
from vmcatcher.model.imagelist import ImageList
from vmcatcher.model.plan import CachePlan, Standing, plan_cache, wanted_images, why_leaving
from vmcatcher.model.record import CacheRecord, Reason, State
from vmcatcher.model.subscription import AcceptedImage, Subscription

NOW = datetime(2026, 11, 23, 4, 23, 39, tzinfo=UTC)
SOON = NOW + timedelta(days=1)
LIST = ListId("list-1")
LIST_SHA = Sha512("f" * 128)


def sha(version):
    return Sha512(f"{version:0128x}")


def image(number, version=1, *, until=None):
    fields = {
        "dc:identifier": f"image-{number}",
        "hv:size": 17,
        "sl:checksum:sha512": sha(100 * number + version),
        "hv:uri": f"http://x.test/{number}",
        "hv:version": str(version),
    }
    if until is not None:
        fields["dc:date:expires"] = until.strftime("%Y-%m-%dT%H:%M:%SZ")
    return image_from_json(fields)


def listed(*images, expires=SOON, identifier=LIST):
    return ImageList(
        identifier=identifier, version="1", created=NOW - timedelta(days=1), expires=expires, uri="http://x.test/list",
        title="t", description="d", source="s", endorser=Credential("/CN=a", "/CN=ca"), email="e", creator="c", vo="vo",
        images=tuple(images), fields={},
    )  # fmt: skip


def standing(*images, selected=(1, 2, 3), accepted=(1, 2, 3), identifier=LIST, expires=SOON, gone=None, known=True):
    subscription = Subscription(
        identifier, "http://x.test/list", "http://x.test/list", NOW,
        images=tuple(AcceptedImage(ImageId(f"image-{number}"), number in selected) for number in accepted),
    )  # fmt: skip
    current = listed(*images, expires=expires, identifier=identifier) if known and gone is None else None
    return {identifier: Standing(subscription, current, "000001", LIST_SHA if current else None, gone)}


def record(number, version=1, *, state=State.ENDORSED, identifier=LIST, valid_until=SOON):
    return CacheRecord(
        image=ImageId(f"image-{number}"), number=1, list_id=identifier, snapshot="000001", list_sha512=LIST_SHA,
        sha512=sha(100 * number + version), size_bytes=17, uri="http://x.test", state=state, since=NOW,
        valid_until=valid_until,
    )  # fmt: skip


def reason(records, standings, **more):
    """Return the reasons why versions leave at once, in order."""
    return [one.reason for one in plan_cache(records, standings, NOW, **more).leave_first]


# -- what is wanted


def test_selected_images_of_the_current_list_are_wanted():
    found = wanted_images(standing(image(1), image(2), image(9), selected=(2, 9)).values(), NOW)
    assert list(found) == ["image-2"]
    assert found["image-2"].valid_until == SOON


def test_image_or_list_that_is_over_is_not_wanted_from_that_very_second():
    for expires, until in ((NOW, None), (SOON, NOW)):
        assert wanted_images(standing(image(1, until=until), expires=expires).values(), NOW) == {}
    later = NOW + timedelta(seconds=1)
    assert wanted_images(standing(image(1, until=later)).values(), NOW)["image-1"].valid_until == later


def test_vetoed_bytes_are_not_wanted():
    assert wanted_images(standing(image(1)).values(), NOW, {image(1).sha512}) == {}


@pytest.mark.parametrize("more", [{"known": False}, {"gone": Reason.SIGNER_REVOKED}])
def test_nothing_is_wanted_of_a_list_that_is_not_known_or_not_trusted(more):
    assert wanted_images(standing(image(1), **more).values(), NOW) == {}


# -- why a version leaves


@pytest.mark.parametrize(
    ("standings", "expected"),
    [
        (standing(image(2)), Reason.WITHDRAWN),
        (standing(image(1), selected=(2,)), Reason.UNSUBSCRIBED),
        (standing(image(1), accepted=(2,)), Reason.REFUSED),
        (standing(image(1), expires=NOW), Reason.LIST_EXPIRED),
        (standing(image(1, until=NOW)), Reason.IMAGE_EXPIRED),
        (standing(gone=Reason.SIGNER_REVOKED), Reason.SIGNER_REVOKED),
        (standing(gone=Reason.ENDORSER_UNLINKED), Reason.ENDORSER_UNLINKED),
        ({}, Reason.SUBSCRIPTION_DELETED),
        (standing(image(1)), None),
        (standing(known=False), None),
        (standing(image(1, 2)), Reason.REPLACED),
    ],
)
def test_version_leaves_for_the_right_reason(standings, expected):
    assert why_leaving(record(1), standings.get(LIST), NOW) is expected


def test_veto_comes_before_every_other_reason():
    assert why_leaving(record(1), None, NOW, {record(1).sha512}) is Reason.VETOED


def test_what_the_operator_decided_comes_before_what_the_list_says():
    assert why_leaving(record(1), standing(gone=Reason.TRUST_LOST, selected=())[LIST], NOW) is Reason.UNSUBSCRIBED


def test_version_of_a_list_about_which_nothing_is_known_stays_until_its_own_time_is_over():
    over = record(1, valid_until=NOW)
    for standings, unread in ((standing(known=False), frozenset()), ({}, frozenset({LIST}))):
        assert why_leaving(record(1), standings.get(LIST), NOW, frozenset(), unread) is None
        assert why_leaving(over, standings.get(LIST), NOW, frozenset(), unread) is Reason.LIST_EXPIRED
    assert why_leaving(record(1, valid_until=None), standing(known=False)[LIST], NOW) is None


# -- the plan


def test_first_run_brings_everything():
    plan = plan_cache([], standing(image(1), image(2)), NOW)
    assert [one.image.identifier for one in plan.bring] == ["image-1", "image-2"]
    assert (plan.leave_first, plan.replace, plan.stay, plan.give_up) == ((), (), (), ())


def test_second_run_keeps_everything():
    records = [record(1), record(2)]
    plan = plan_cache(records, standing(image(1), image(2)), NOW)
    assert plan.stay == tuple(records)
    assert plan.bring == ()


def test_replaced_version_is_paired_with_the_one_that_comes():
    plan = plan_cache([record(1)], standing(image(1, 2)), NOW)
    ((leaving, wanted),) = plan.replace
    assert (leaving.record, leaving.reason) == (record(1), Reason.REPLACED)
    assert wanted.image.version == "2"
    assert plan.bring == ()


def test_replaced_version_that_was_never_shown_leaves_at_once_and_the_new_one_comes():
    plan = plan_cache([record(1, state=State.STAGED)], standing(image(1, 2)), NOW)
    assert [one.reason for one in plan.leave_first] == [Reason.REPLACED]
    assert [one.image.version for one in plan.bring] == ["2"]


def test_replaced_version_whose_own_list_is_over_leaves_at_once():
    plan = plan_cache([record(1, valid_until=NOW)], standing(image(1, 2)), NOW)
    assert (plan.replace, [one.reason for one in plan.leave_first]) == ((), [Reason.LIST_EXPIRED])
    assert [one.image.sha512 for one in plan.bring] == [sha(102)]


def test_replaced_version_whose_replacement_is_vetoed_leaves_at_once():
    plan = plan_cache([record(1)], standing(image(1, 2)), NOW, {image(1, 2).sha512})
    assert [one.reason for one in plan.leave_first] == [Reason.REPLACED]
    assert plan.bring == ()


def test_image_that_moved_to_another_subscription_leaves_and_comes():
    other = ListId("list-2")
    plan = plan_cache([record(1)], standing(image(1), identifier=other), NOW)
    assert [one.reason for one in plan.leave_first] == [Reason.SUBSCRIPTION_DELETED]
    assert [one.list_id for one in plan.bring] == [other]


@pytest.mark.parametrize("state", [State.EXPIRED, State.EXPIRING])
def test_version_that_left_or_is_leaving_is_not_planned(state):
    plan = plan_cache([record(1, state=state)], standing(image(2)), NOW)
    assert (plan.leave_first, plan.replace, plan.stay) == ((), (), ())


def test_failing_version_is_given_up_when_nobody_asks_for_it():
    failing = record(1, state=State.FAILING)
    assert plan_cache([failing], standing(image(1)), NOW).give_up == ()
    assert plan_cache([failing], standing(image(1, 2)), NOW).give_up == ()
    assert plan_cache([failing], standing(known=False), NOW).give_up == ()
    (given_up,) = plan_cache([failing], standing(image(2)), NOW).give_up
    assert (given_up.record, given_up.reason) == (failing, Reason.WITHDRAWN)


def test_failing_version_is_brought_like_one_that_was_never_tried():
    plan = plan_cache([record(1, state=State.FAILING)], standing(image(1)), NOW)
    assert [one.image.identifier for one in plan.bring] == ["image-1"]


def test_subscription_that_cannot_be_read_expires_nothing():
    plan = plan_cache([record(1)], {}, NOW, frozenset(), frozenset({LIST}))
    assert plan.stay == (record(1),)


_STATES = st.sampled_from([State.STAGED, State.ENDORSED])


@given(
    st.dictionaries(st.integers(1, 5), st.integers(1, 3)),
    st.dictionaries(st.integers(1, 5), st.tuples(st.integers(1, 3), _STATES)),
    st.sets(st.integers(1, 5)),
)
def test_carrying_out_a_plan_leaves_nothing_to_plan(there, held, selected):
    standings = standing(
        *(image(number, version) for number, version in there.items()), selected=selected, accepted=range(1, 6)
    )
    records = [record(number, version, state=state) for number, (version, state) in held.items()]
    plan = plan_cache(records, standings, NOW)
    after = carried_out(plan)
    again = plan_cache(after, standings, NOW)
    assert (again.leave_first, again.replace, again.bring) == ((), (), ())
    assert {one.image for one in after} == {f"image-{number}" for number in selected & set(there)}


def carried_out(plan: CachePlan):
    came = [*plan.bring, *(wanted for _, wanted in plan.replace)]
    stayed = [replace(one, state=State.ENDORSED) for one in plan.stay]
    return [
        *stayed,
        *(replace(record(1), image=one.image.identifier, sha512=one.image.sha512) for one in came),
    ]


@given(st.sets(st.integers(1, 5)), st.sets(st.integers(1, 5)), st.sets(st.integers(1, 5)))
def test_every_version_is_planned_exactly_once(there, held, selected):
    standings = standing(*(image(number) for number in there), selected=selected, accepted=range(1, 6))
    plan = plan_cache([record(number) for number in held], standings, NOW)
    planned = [one.record.image for one in plan.leave_first]
    planned += [one.record.image for one, _ in plan.replace] + [one.image for one in plan.stay]
    assert sorted(planned) == sorted(f"image-{number}" for number in held)
    brought = [one.image.identifier for one in plan.bring]
    assert not set(brought) & set(planned)
    assert len(set(brought)) == len(brought)
