"""SubscriptionImageNew: told for every image that a list newly names, whatever the policy, until it is taken."""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from support.site import LIST_ID, Site, image_id

LONGEST_WAIT = timedelta(hours=2)

PROGRAMS = Path(sys.executable).parent
POLICIES = {"refuse": (32, None), "accept": (0, 2), "subscribe": (0, 3)}


@pytest.fixture
def joined(site: Site) -> Site:
    site.join(site.image(1))
    return site


def update(site, *, code=0, handler=None):
    handler = f"cat >> {site.events}" if handler is None else handler
    return site.expect(code, "subscribe", "-U", "-x", handler)


def refusing(site):
    """A handler that notes every event and takes none."""
    return f"cat >> {site.events}; exit 1"


def set_policy(site, policy):
    site.expect(0, "subscribe", f"--imagelist-newimage-{policy}", "-u", LIST_ID)


@pytest.mark.parametrize("policy", POLICIES)
def test_image_that_a_list_newly_names_is_told_whatever_the_policy(joined: Site, policy: str):
    code, state = POLICIES[policy]
    set_policy(joined, policy)
    joined.publish("2", joined.image(1), joined.image(2))
    update(joined, code=code)
    assert joined.told(forget=False) == ["SubscriptionImageNew 2"]
    assert joined.states().get(image_id(2)) == state
    joined.told()
    update(joined, code=code)
    assert joined.told() == []


def test_first_subscription_tells_nothing(site: Site):
    site.join(site.image(1), site.image(2), update=False)
    update(site)
    assert site.told() == []


def test_image_that_came_between_subscribing_and_the_first_update_is_told(site: Site):
    site.join(site.image(1), update=False)
    set_policy(site, "accept")
    site.publish("2", site.image(1), site.image(2))
    update(site)
    assert site.told() == ["SubscriptionImageNew 2"]


def test_new_version_of_a_known_image_is_no_new_image(joined: Site):
    joined.publish("2", joined.image(1, "2"))
    update(joined)
    assert joined.told() == []


def test_it_has_the_variables_of_the_image_and_no_file(joined: Site):
    set_policy(joined, "accept")
    joined.publish("2", joined.image(1), joined.image(2, "7", hv__format="qcow2", sl__comments=""))
    update(joined)
    (event,) = joined.noted()
    listed = joined.image(2, "7")
    assert set(event) == {
        "TYPE", "ID", "ATTEMPT", "UUID_SESSION", "VMCATCHER_STORE", "DC_DESCRIPTION", "DC_IDENTIFIER", "DC_TITLE",
        "HV_FORMAT", "HV_HYPERVISOR", "HV_SIZE", "HV_URI", "HV_VERSION", "IL_DC_IDENTIFIER", "SL_ARCH",
        "SL_CHECKSUM_SHA512", "SL_OS", "SL_OSVERSION", "VO",
    }  # fmt: skip
    assert event["HV_VERSION"] == "7"
    assert event["SL_CHECKSUM_SHA512"] == listed["sl:checksum:sha512"]
    assert event["IL_DC_IDENTIFIER"] == LIST_ID


def test_it_is_told_again_with_its_identifier_until_it_is_taken(joined: Site):
    set_policy(joined, "accept")
    joined.publish("2", joined.image(1), joined.image(2))
    for _ in range(3):
        update(joined, handler=refusing(joined))
        joined.now += LONGEST_WAIT
    update(joined)
    update(joined)
    events = joined.noted()
    assert [event["ATTEMPT"] for event in events] == ["1", "2", "3", "4"]
    assert len({event["ID"] for event in events}) == 1


def test_it_is_given_up_after_five_attempts(joined: Site):
    set_policy(joined, "accept")
    joined.publish("2", joined.image(1), joined.image(2))
    for _ in range(7):
        update(joined, handler=refusing(joined))
        joined.now += LONGEST_WAIT
    assert [event["ATTEMPT"] for event in joined.noted()] == ["1", "2", "3", "4", "5"]
    (path,) = (joined.store / "events" / "failed").iterdir()
    document = json.loads(path.read_text())
    assert (document["kind"], document["attempts"]) == ("SubscriptionImageNew", 5)
    assert document["variables"]["VMCATCHER_EVENT_DC_IDENTIFIER"] == image_id(2)


def test_image_that_left_and_came_back_is_new_again(joined: Site):
    set_policy(joined, "accept")
    joined.publish("2", joined.image(1), joined.image(2))
    update(joined)
    first = joined.noted()[0]["ID"]
    joined.publish("3", joined.image(1))
    update(joined)
    joined.publish("4", joined.image(1), joined.image(2))
    update(joined)
    assert [event["DC_IDENTIFIER"] for event in joined.noted()] == [image_id(2), image_id(2)]
    assert joined.noted()[1]["ID"] != first


def test_image_that_left_before_it_was_taken_is_owed_no_more(joined: Site):
    set_policy(joined, "accept")
    joined.publish("2", joined.image(1), joined.image(2))
    update(joined, handler=refusing(joined))
    joined.told()
    joined.publish("3", joined.image(1))
    update(joined)
    assert joined.told() == []


def test_where_nobody_listens_what_is_new_counts_as_told(joined: Site):
    set_policy(joined, "accept")
    joined.publish("2", joined.image(1), joined.image(2))
    joined.expect(0, "subscribe", "-U")
    update(joined)
    assert joined.told() == []


def test_what_is_owed_is_told_although_the_list_cannot_be_fetched_just_now(joined: Site):
    set_policy(joined, "accept")
    joined.publish("2", joined.image(1), joined.image(2))
    update(joined, handler=refusing(joined))
    joined.told()
    joined.server.close()
    update(joined, code=10)
    assert joined.told() == ["SubscriptionImageNew 2"]


def test_what_is_owed_is_not_lost_while_the_list_cannot_be_read(joined: Site):
    set_policy(joined, "accept")
    joined.publish("2", joined.image(1), joined.image(2))
    update(joined, handler=refusing(joined))
    (evidence,) = joined.store.glob("subscriptions/*/lists/000002*.evidence")
    content = evidence.read_bytes()
    evidence.write_bytes(b"")
    joined.told()
    joined.server.close()
    joined.run("subscribe", "-U", "-x", f"cat >> {joined.events}")
    evidence.write_bytes(content)
    joined.run("subscribe", "-U", "-x", f"cat >> {joined.events}")
    assert "SubscriptionImageNew 2" in joined.told()


def test_bookkeeping_that_was_lost_tells_nothing_twice(joined: Site):
    (joined.store / "subscriptions" / LIST_ID / "fetch.json").unlink()
    update(joined)
    assert joined.told() == []


def test_handler_may_select_the_image_it_is_told_of(joined: Site):
    set_policy(joined, "accept")
    joined.publish("2", joined.image(1), joined.image(2))
    handler = f'{PROGRAMS}/vmcatcher_image -a -u "$VMCATCHER_EVENT_DC_IDENTIFIER"'
    joined.expect(0, "subscribe", "-U", "--event-timeout", "50", "-x", handler)
    assert joined.states()[image_id(2)] == 3


def test_handler_may_delete_the_subscription_it_is_told_of(joined: Site):
    set_policy(joined, "accept")
    joined.publish("2", joined.image(1), joined.image(2), joined.image(3))
    for code in (0, 1):
        handler = f"cat >> {joined.events}; {PROGRAMS}/vmcatcher_subscribe -D -u {LIST_ID}; exit {code}"
        result = joined.run("subscribe", "-U", "--event-timeout", "50", "-x", handler)
        assert result.code == 0, result
        assert not (joined.store / "subscriptions" / LIST_ID).exists()
        joined.expect(0, "subscribe", "-s", joined.server.url("/list"))
        joined.expect(0, "subscribe", "-U")
        set_policy(joined, "accept")
        joined.publish(str(3 + code), *(joined.image(number) for number in range(1, 5 + code)))


def test_update_inside_an_update_is_refused_at_once(joined: Site):
    set_policy(joined, "accept")
    joined.publish("2", joined.image(1), joined.image(2))
    seen = joined.root / "seen"
    handler = f"{PROGRAMS}/vmcatcher_subscribe -U > {seen} 2>&1; echo $? >> {seen}"
    joined.expect(0, "subscribe", "-U", "--event-timeout", "50", "-x", handler)
    assert seen.read_text().splitlines()[-1] == "75"


def test_one_subscription_whose_handler_fails_does_not_keep_others_from_being_told(joined: Site):
    other = "22222222-aaaa-4aaa-8aaa-000000000002"
    about = {"path": "/other", "dc__identifier": other, "hv__uri": joined.server.url("/other")}
    joined.publish("1", joined.image(5), **about)
    joined.expect(0, "subscribe", "-s", joined.server.url("/other"))
    joined.expect(0, "subscribe", "-U")
    for list_id in (LIST_ID, other):
        joined.expect(0, "subscribe", "--imagelist-newimage-accept", "-u", list_id)
    joined.publish("2", joined.image(1), joined.image(2))
    joined.publish("2", joined.image(5), joined.image(6), **about)
    update(joined, handler=refusing(joined))
    assert joined.told() == ["SubscriptionImageNew 2", "SubscriptionImageNew 6"]
