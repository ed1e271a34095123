"""The same list in another message, and a list that is over: what is no news, and what is asked for anew."""

from __future__ import annotations

from datetime import timedelta

import pytest

from support.site import LIST_ID, Site, image_id


@pytest.fixture
def current(site: Site) -> tuple[Site, bytes]:
    """A site with version 2 of the list, and that list as it was signed."""
    site.join(site.image(1))
    signed = site.publish("2", site.image(1))
    site.expect(0, "subscribe", "-U")
    return site, signed


def kept(site: Site) -> list[str]:
    return sorted(path.name for path in (site.store / "subscriptions" / LIST_ID / "lists").glob("*.smime"))


def test_fault_57_what_the_network_adds_behind_a_list_is_no_news(current):
    site, signed = current
    before = kept(site)
    for junk in (b"junk\n", b"\r\n-- \r\nmore\r\n"):
        site.server.publish("/list", signed + junk)
        result = site.expect(0, "subscribe", "-U", "-v")
        assert "unchanged" in result.err
    assert kept(site) == before


def test_fault_57_what_the_network_added_does_not_shut_out_the_list_itself(site: Site):
    site.join(site.image(1))
    signed = site.publish("2", site.image(1))
    site.server.publish("/list", signed + b"junk\n")
    site.expect(0, "subscribe", "-U")
    site.server.publish("/list", signed)
    site.expect(0, "subscribe", "-U")
    assert len(kept(site)) == 2


def test_list_that_was_only_signed_again_is_no_news(current):
    site, signed = current
    before = kept(site)
    assert site.publish("2", site.image(1)) != signed
    site.expect(0, "subscribe", "-U")
    assert kept(site) == before


def test_list_signed_again_is_taken_after_the_subscription_was_made_anew(current):
    site, _ = current
    site.expect(0, "subscribe", "-D", "-u", LIST_ID)
    site.publish("2", site.image(1))
    site.expect(0, "subscribe", "-s", site.server.url("/list"))
    site.expect(0, "subscribe", "-U")
    assert site.states() == {image_id(1): 2}


def test_same_content_signed_with_another_certificate_takes_the_place_of_the_first(current):
    site, _ = current
    before = kept(site)
    renewed = site.pki.endorser("Alice Endorser")
    site.publish("2", site.image(1), signer=renewed)
    site.expect(0, "subscribe", "-U")
    assert len(kept(site)) == len(before) + 1
    # A revocation of the first one's certificate costs nothing any more.
    site.select(1)
    site.cache()
    site.pki.revoke(site.alice)
    site.cache()
    assert list(site.endorsed()) == [image_id(1)]


def test_other_content_of_the_same_version_and_time_is_refused_as_before(current):
    site, _ = current
    site.publish("2", site.image(1), site.image(2))
    site.expect(16, "subscribe", "-U")


def test_fault_44_list_that_is_over_is_asked_for_without_conditions(site: Site):
    site.join(site.image(1))
    site.server.publish("/list", site.publish("2", site.image(1)), etag='"same"')
    site.expect(0, "subscribe", "-U")
    site.now += timedelta(days=21)
    site.server.publish("/list", site.publish("3", site.image(1)), etag='"same"')
    site.expect(0, "subscribe", "-U")
    assert site.states() == {image_id(1): 2}
