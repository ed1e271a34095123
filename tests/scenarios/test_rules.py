"""Rules, limits and vetoes where they meet the list, the cache and the classic commands."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from support.site import LIST_ID, Site, image_id
from vmcatcher.errors.requests import NoSuchImage
from vmcatcher.errors.rules import NoRule
from vmcatcher.model.identity import ImageId
from vmcatcher.services.context import Context
from vmcatcher.services.decisions import Decisions, decide
from vmcatcher.services.rules import choose_by_rule, why
from vmcatcher.store.layout import Layout
from vmcatcher.store.subscriptions import find_subscription

_RULE = "arch=x86_64 format=qcow2"


def _context(site: Site) -> Context:
    return Context(Layout(str(site.store), str(site.store / "blobs")), site.now, "test")


def _set(site: Site, **given: object) -> None:
    decide(_context(site), LIST_ID, Decisions(**given))  # type: ignore[arg-type]


def _why(site: Site, number: int) -> str:
    subscription = find_subscription(_context(site).layout, LIST_ID)
    assert subscription is not None
    return why(subscription, ImageId(image_id(number)), None)


def _qcow(site: Site, number: int, version: str = "1", **fields: object) -> dict[str, object]:
    return site.image(number, version, **{"hv__format": "qcow2", **fields})


# -- which images a rule selects


def test_rule_selects_at_once_and_without_the_network_what_matches(site: Site):
    site.join(_qcow(site, 1), site.image(2, hv__format="raw"), _qcow(site, 3, sl__arch="aarch64"))
    site.server.close()
    _set(site, where=_RULE)
    assert site.states() == {image_id(1): 3, image_id(2): 2, image_id(3): 2}
    site.now += timedelta(seconds=1)
    _set(site, where="format=raw")
    assert site.states() == {image_id(1): 2, image_id(2): 3, image_id(3): 2}


def test_rule_is_applied_to_every_list_that_comes_and_what_matches_no_longer_leaves_as_unsubscribed(site: Site):
    site.join(_qcow(site, 1), _qcow(site, 2))
    _set(site, where="size<10K")
    site.cache()
    assert sorted(site.endorsed()) == [image_id(1), image_id(2)]
    site.publish("2", _qcow(site, 1), _qcow(site, 2, "2", content=b"x" * 20_000), _qcow(site, 3))
    site.expect(0, "subscribe", "-U")
    assert site.states() == {image_id(1): 3, image_id(2): 2, image_id(3): 3}
    site.cache()
    assert sorted(site.endorsed()) == [image_id(1), image_id(3)]
    assert [entry["reason"] for entry in site.index("expired").values()] == ["unsubscribed"]


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["accept", "subscribe", "refuse"])
def test_with_a_rule_nobody_has_to_decide_about_new_images_whatever_the_policy(site: Site, policy: str):
    site.join(_qcow(site, 1))
    site.expect(0, "subscribe", f"--imagelist-newimage-{policy}", "-u", LIST_ID)
    _set(site, where=_RULE)
    site.publish("2", _qcow(site, 1), _qcow(site, 2), site.image(3, hv__format="raw"))
    site.expect(0, "subscribe", "-U")
    assert site.states() == {image_id(1): 3, image_id(2): 3, image_id(3): 2}


def test_rule_takes_in_images_that_were_undecided(site: Site):
    site.join(_qcow(site, 1))
    site.publish("2", _qcow(site, 1), _qcow(site, 2))
    site.expect(32, "subscribe", "-U")
    _set(site, where=_RULE)
    assert site.states() == {image_id(1): 3, image_id(2): 3}
    site.expect(0, "subscribe", "-U")


def test_image_that_was_refused_by_hand_stays_refused(site: Site):
    site.join(_qcow(site, 1), _qcow(site, 2))
    site.expect(0, "subscribe", "--image-refuse", image_id(2), "-u", LIST_ID)
    _set(site, where=_RULE)
    site.expect(0, "subscribe", "-U")
    assert site.states() == {image_id(1): 3}
    site.expect(0, "subscribe", "--image-accept", image_id(2), "-u", LIST_ID)
    assert site.states()[image_id(2)] == 3


def test_what_is_decided_by_hand_stays_until_it_is_left_to_the_rule_again(site: Site):
    site.join(_qcow(site, 1), site.image(2, hv__format="raw"))
    _set(site, where=_RULE)
    site.expect(0, "image", "-r", "-u", image_id(1))
    site.expect(0, "image", "-a", "-u", image_id(2))
    site.publish("2", _qcow(site, 1), site.image(2, hv__format="raw"))
    site.expect(0, "subscribe", "-U")
    assert site.states() == {image_id(1): 2, image_id(2): 3}
    assert (_why(site, 1), _why(site, 2)) == ("not selected, by hand", "selected by hand")
    both = [ImageId(image_id(number)) for number in (1, 2)]
    assert choose_by_rule(_context(site), both) == ((both[0], True), (both[1], False))
    assert site.states() == {image_id(1): 3, image_id(2): 2}


@pytest.mark.slow
def test_image_selected_before_there_was_a_rule_stays_selected(site: Site):
    site.join(site.image(1, hv__format="raw"), site.image(2, hv__format="raw"))
    site.select(1)
    _set(site, where=_RULE)
    assert site.states() == {image_id(1): 3, image_id(2): 2}


@pytest.mark.slow
def test_rule_that_is_taken_away_leaves_what_it_selected(site: Site):
    site.join(_qcow(site, 1), site.image(2, hv__format="raw"))
    _set(site, where=_RULE)
    _set(site, where="")
    site.publish("2", site.image(1, hv__format="raw"), _qcow(site, 2))
    site.expect(0, "subscribe", "-U")
    assert site.states() == {image_id(1): 3, image_id(2): 2}
    assert _why(site, 1) == "selected by hand"


def test_leaving_an_image_to_a_rule_that_is_not_there_is_refused(site: Site):
    site.join(site.image(1))
    before = site.tree()
    with pytest.raises(NoRule):
        choose_by_rule(_context(site), [ImageId(image_id(1))])
    with pytest.raises(NoSuchImage):
        choose_by_rule(_context(site), [ImageId("nobody")])
    assert site.tree() == before


def test_rule_of_a_document_that_cannot_be_read_changes_nothing_and_says_so(site: Site):
    site.join(_qcow(site, 1))
    _set(site, where=_RULE)
    path = site.store / "subscriptions" / LIST_ID / "subscription.json"
    document = json.loads(path.read_text())
    del document["~sha256"]
    path.write_text(json.dumps({**document, "where": "colour=red"}))
    site.publish("2", _qcow(site, 1), _qcow(site, 2))
    result = site.run("subscribe", "-U")
    assert result.code == 1
    assert "'colour' is no field" in result.err
    assert json.loads(path.read_text())["images"] == document["images"]


@pytest.mark.slow
def test_setting_the_same_rule_again_writes_nothing(site: Site):
    site.join(_qcow(site, 1))
    _set(site, where=_RULE)
    before = site.tree()
    _set(site, where=f"  {_RULE.replace(' ', '   ')} ", new_images=None, pin_uri=False)
    assert site.tree() == before


# -- a limit of the site


@pytest.fixture
def forever(site: Site) -> Site:
    """A site with a list that its endorser lets hold until 2499, with one image in the cache."""
    site.publish("1", site.image(1), dc__date__expires="2499-12-31T00:00:00Z")
    site.join()
    site.select(1)
    site.cache()
    site.told()
    return site


@pytest.mark.parametrize("how", ["own", "setting"])
def test_list_past_the_limit_is_over_everywhere_with_the_server_down(forever: Site, how: str):
    site = forever
    if how == "own":
        _set(site, max_validity_s=90 * 86400)
    else:
        site.environment["VMCATCHER_MAX_VALIDITY"] = "90d"
    site.server.close()
    site.now += timedelta(days=89)
    site.cache()
    assert site.states() == {image_id(1): 3}
    site.now += timedelta(days=1)
    assert site.states() == {image_id(1): 1}
    assert "imagelist.expired=True" in site.run("subscribe", "-i", "-u", LIST_ID).out
    result = site.cache()
    assert site.told() == ["ProcessPrefix", "ProcessPostfix", "ProcessPrefix", "ExpirePrefix 1", "ExpirePostfix 1",
                           "ProcessPostfix"]  # fmt: skip
    assert [entry["reason"] for entry in site.index("expired").values()] == ["list-expired"]
    assert "your limit of 90 days ended" in result.err


def test_own_limit_goes_before_the_setting(forever: Site):
    site = forever
    site.environment["VMCATCHER_MAX_VALIDITY"] = "90d"
    site.now += timedelta(days=100)
    assert site.states() == {image_id(1): 1}
    _set(site, max_validity_s=0)
    assert site.states() == {image_id(1): 3}
    _set(site, max_validity_s=99 * 86400)
    assert site.states() == {image_id(1): 1}


def test_setting_that_changes_between_two_queries_is_answered_at_once_from_the_same_files(forever: Site):
    site = forever
    site.now += timedelta(days=100)
    before = site.tree()
    assert site.states() == {image_id(1): 3}
    assert site.run("image", "-l", VMCATCHER_MAX_VALIDITY="90d").out.split("\t")[1] == "1"
    assert site.tree() == before


@pytest.mark.slow
@pytest.mark.parametrize("known", ["subscribed", "new"])
def test_list_past_the_limit_is_refused(site: Site, known: str):
    if known == "subscribed":
        site.join(site.image(1))
    else:
        site.expect(0, "endorser", "-C", "-e", "alice", "--dn", site.alice.subject, "-I", site.alice.issuer)
    site.publish("2", site.image(1), dc__date__created="2020-01-01T00:00:00Z", dc__date__expires="2499-12-31T00:00:00Z")
    before = site.tree() if known == "subscribed" else {}
    options = ["-U"] if known == "subscribed" else ["-s", site.server.url("/list")]
    result = site.run("subscribe", *options, VMCATCHER_MAX_VALIDITY="90d")
    assert result.code == (34 if known == "subscribed" else 1)
    assert "was created 2020-01-01T00:00:00Z, your limit of 90 days ended 2020-03-31T00:00:00Z, now is" in result.err
    if known == "subscribed":
        changed = {path for path, what in site.tree().items() if before.get(path) != what}
        assert changed <= {f"subscriptions/{LIST_ID}/fetch.json", f"subscriptions/{LIST_ID}"}
    site.expect(0, "subscribe", *options)


@pytest.mark.slow
def test_valid_until_follows_the_limit_in_the_manifest_and_in_the_index_of_the_view(forever: Site):
    site = forever
    end = (site.now - timedelta(minutes=1) + timedelta(days=90)).strftime("%Y-%m-%dT%H:%M:%SZ")
    _set(site, max_validity_s=90 * 86400)
    manifest = json.loads((site.store / "subscriptions" / LIST_ID / "manifest.json").read_text())
    assert [image["valid_until"] for image in manifest["images"]] == [end]
    assert (manifest["expires"], manifest["max_validity_s"]) == ("2499-12-31T00:00:00Z", 90 * 86400)
    site.cache()
    assert site.index()[image_id(1)]["valid_until"] == end
    _set(site, max_validity_s=-1)
    site.cache()
    assert site.index()[image_id(1)]["valid_until"] == "2499-12-31T00:00:00Z"


# -- what stays until it is replaced


@pytest.mark.slow
@pytest.mark.parametrize("action", ["--download", "--expire"])
def test_replaced_image_stays_where_its_subscription_says_so(site: Site, action: str):
    site.join(site.image(1), site.image(2))
    site.select(1, 2)
    site.cache()
    _set(site, keep_until_replaced=True)
    site.publish("2", site.image(1, "2"), site.image(2))
    site.expect(0, "subscribe", "-U")
    site.server.publish("/images/1-v2.raw", bytes(1800))
    site.cache(action, code=0 if action == "--expire" else 1)
    assert site.endorsed()[image_id(1)].startswith(b"image 1 version 1")
    _set(site, keep_until_replaced=False)
    site.cache(action, code=0 if action == "--expire" else 1)
    assert sorted(site.endorsed()) == [image_id(2)]
