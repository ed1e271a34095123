"""Every reason for which an image leaves the cache: told, shown, listed and remembered as that reason."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from support.pki import Pki
from support.site import LIST_ID, Site, image_id
from vmcatcher.store import cache, root

STAMP = "%Y-%m-%d_%H-%M-%S"


def blob(site, number=1):
    """Where the bytes of an image are that is in the view."""
    return Path(os.path.realpath(site.store / "endorsed" / image_id(number)))


def spoil(site, number=1):
    path = blob(site, number)
    path.chmod(0o644)
    path.write_bytes(b"x" * path.stat().st_size)
    path.chmod(0o444)


def republish(site, version, *images):
    site.publish(version, *images)
    site.expect(0, "subscribe", "-U")


def veto(site):
    digest = hashlib.sha512(b"image 1 version 1\n" * 100).hexdigest()
    (site.store / "vetoes" / f"{digest}.json").write_text('{"format": 1}\n')


def pass_days(days):
    def change(site):
        site.now += timedelta(days=days)

    return change


def other_ca(site):
    """Another authority, so that taking the list's out does not leave the directory empty."""
    Pki(site.root / "pki", name="Other Grid CA")


@dataclass(frozen=True)
class Departure:
    reason: str
    change: object
    state: int
    code: int = 0
    comes_again: bool = False
    arguments: tuple[str, ...] = field(default=())


DEPARTURES = {
    "withdrawn": Departure("withdrawn", lambda site: republish(site, "2", site.image(2)), 1),
    "replaced, and the new bytes are not to be had": Departure(
        "replaced",
        lambda site: (
            republish(site, "2", site.image(1, "2"), site.image(2)),
            site.server.withdraw("/images/1-v2.raw"),
        ),
        3,
        code=75,
    ),
    "unsubscribed": Departure("unsubscribed", lambda site: site.expect(0, "image", "-r", "-u", image_id(1)), 2),
    "refused": Departure(
        "refused",
        lambda site: site.expect(0, "subscribe", "--image-refuse", image_id(1), "-u", LIST_ID),
        -1,
    ),
    "vetoed": Departure("vetoed", veto, 1),
    "subscription deleted": Departure(
        "subscription-deleted", lambda site: site.expect(0, "subscribe", "-D", "-u", LIST_ID), -1
    ),
    "endorser unlinked": Departure(
        "endorser-unlinked", lambda site: site.expect(0, "endorser", "-u", "-e", "alice", "-s", LIST_ID), 1
    ),
    "endorser deleted": Departure("endorser-unlinked", lambda site: site.expect(0, "endorser", "-D", "-e", "alice"), 1),
    "signer revoked": Departure("signer-revoked", lambda site: site.pki.revoke(site.alice), 1),
    "authority revoked": Departure("ca-revoked", lambda site: site.pki.parent.revoke(site.pki), 1),
    "authority taken out": Departure("trust-lost", lambda site: (other_ca(site), site.pki.remove()), 1),
    "namespace taken away": Departure("trust-lost", lambda site: site.pki.write_policies("/DC=other/*"), 1),
    "list expired": Departure("list-expired", pass_days(21), 1),
    "image expired": Departure("image-expired", pass_days(4), 1),
    "corrupt": Departure("corrupt", spoil, 3, code=1, comes_again=True, arguments=("-s", "-D", "-E")),
}


@pytest.fixture
def cached(site: Site, request) -> Site:
    """A site with image 1 in the cache, and image 2 selected but not told about."""
    if request.node.callspec.params["how"] == "authority revoked":
        site.pki = site.pki.intermediate()
        site.alice = site.pki.endorser("Alice Below")
    until = (site.now + timedelta(days=3)).strftime("%Y-%m-%dT%H:%M:%SZ")
    expires = until if request.node.callspec.params["how"] == "image expired" else None
    site.join(site.image(1, dc__date__expires=expires), site.image(2))
    site.select(1)
    site.cache()
    site.told()
    site.server.forget()
    return site


@pytest.mark.parametrize("how", DEPARTURES)
def test_image_leaves_with_its_reason(cached: Site, how: str):
    departure = DEPARTURES[how]
    departure.change(cached)
    cached.now += timedelta(seconds=7)
    cached.cache(*departure.arguments, code=departure.code)
    left = f"{image_id(1)}.{cached.now.strftime(STAMP)}"

    events = [event for event in cached.noted() if event["TYPE"].startswith("Expire")]
    assert [event["TYPE"] for event in events] == ["ExpirePrefix", "ExpirePostfix"]
    assert [event["FILENAME"] for event in events] == [image_id(1), left]
    for event in events:
        assert event["REASON"] == departure.reason
        assert event["HV_VERSION"] == "1"
        assert event["DC_TITLE"] == "Title of image 1"
        assert event["IL_DC_IDENTIFIER"] == LIST_ID
    again = ["AvailablePrefix 1", "AvailablePostfix 1"] if departure.comes_again else []
    assert cached.told() == ["ProcessPrefix", "ExpirePrefix 1", "ExpirePostfix 1", *again, "ProcessPostfix"]

    there = [image_id(1)] if departure.comes_again else []
    assert list(cached.endorsed()) == there
    assert list(cached.index()) == there
    assert list(cached.expired()) == [left]
    assert cached.index("expired")[left]["reason"] == departure.reason
    assert cached.index("expired")[left]["hv:version"] == "1"
    assert cached.states().get(image_id(1), -1) == departure.state

    layout = root.open_store(str(cached.store))
    records = list(cache.image_records(layout, image_id(1)))
    assert (records[0].state.value, records[0].reason.value, records[0].owed) == ("expired", departure.reason, ())

    cached.server.forget()
    cached.cache(code=75 if departure.code == 75 else 0)
    assert cached.told() == ["ProcessPrefix", "ProcessPostfix"]
    assert list(cached.expired()) == [left]


@pytest.mark.parametrize(
    "how", [how for how in DEPARTURES if how not in ("corrupt", "replaced, and the new bytes are not to be had")]
)
def test_image_leaves_without_network_and_by_expire_alone(cached: Site, how: str):
    DEPARTURES[how].change(cached)
    cached.server.close()
    cached.cache("-E")
    assert [event["REASON"] for event in cached.noted() if event["TYPE"] == "ExpirePostfix"] == [DEPARTURES[how].reason]
    assert cached.endorsed() == {}


@pytest.mark.parametrize("how", [how for how in DEPARTURES if not DEPARTURES[how].comes_again])
def test_check_alone_expires_nothing_but_what_is_corrupt(cached: Site, how: str):
    DEPARTURES[how].change(cached)
    cached.cache("-s")
    assert cached.told() == ["ProcessPrefix", "ProcessPostfix"]
    assert list(cached.endorsed()) == [image_id(1)]


@pytest.mark.parametrize(
    "how", ["withdrawn", "unsubscribed", "subscription deleted", "endorser unlinked", "signer revoked"]
)
def test_image_leaves_in_silence_where_nobody_listens_and_nothing_is_told_later(cached: Site, how: str):
    DEPARTURES[how].change(cached)
    assert cached.run("cache").code == 0
    assert cached.endorsed() == {}
    assert len(cached.expired()) == 1
    cached.cache()
    assert cached.told() == ["ProcessPrefix", "ProcessPostfix"]


# -- what is no reason


@pytest.fixture
def kept(site: Site) -> Site:
    site.join(site.image(1))
    site.select(1)
    site.cache()
    site.told()
    return site


@pytest.mark.parametrize("how", ["missing", "stale", "forged", "unreadable"])
def test_revocation_list_that_is_no_use_keeps_what_was_admitted_and_warns(kept: Site, how: str):
    match how:
        case "missing":
            kept.pki.remove_crl()
        case "stale":
            kept.pki.write_stale_crl()
        case "forged":
            kept.pki.write_forged_crl()
        case "unreadable":
            kept.pki.crl.write_bytes(b"\x00\xff")
    result = kept.cache()
    assert kept.told() == ["ProcessPrefix", "ProcessPostfix"]
    assert list(kept.endorsed()) == [image_id(1)]
    assert kept.states() == {image_id(1): 3}
    assert "WARNING" in result.err


def test_signer_past_its_end_keeps_what_was_admitted_until_the_list_ends(site: Site):
    site.publish("1", site.image(1), dc__date__expires="2499-12-31T22:00:00Z")
    site.join()
    site.select(1)
    site.cache()
    site.now += timedelta(days=60)
    result = site.cache()
    assert list(site.endorsed()) == [image_id(1)]
    assert "WARNING" in result.err


@pytest.mark.parametrize("how", ["empty", "missing", "garbage", "a file"])
def test_trust_directory_that_is_no_use_changes_nothing(kept: Site, how: str):
    directory = kept.pki.certificates
    before = kept.tree()
    kept.expect(0, "image", "-r", "-u", image_id(1))
    after_edit = {path: what for path, what in kept.tree().items() if before.get(path) != what}
    if how == "garbage":
        kept.pki.certificate.write_bytes(b"no certificate")
    else:
        directory.rename(directory.parent / "elsewhere")
        if how == "empty":
            directory.mkdir()
        elif how == "a file":
            directory.write_text("x")
    result = kept.run("cache", "-x", f"cat >> {kept.events}")
    assert result.code in ((1,) if how in ("missing", "a file") else (75,)), result
    assert len(result.err.splitlines()) == 1
    assert kept.tree() == {**before, **after_edit}
    assert kept.told() == []


def test_snapshot_that_rotted_expires_nothing_and_says_so(kept: Site):
    (path,) = kept.store.glob("subscriptions/*/lists/*.smime")
    path.write_bytes(path.read_bytes().replace(b"image 1", b"image 9"))
    result = kept.run("cache", "-x", f"cat >> {kept.events}")
    assert result.code == 1
    assert LIST_ID in result.err
    assert list(kept.endorsed()) == [image_id(1)]
    assert kept.told() == ["ProcessPrefix", "ProcessPostfix"]


def test_damaged_subscription_expires_nothing_of_its_own_and_stops_no_other(kept: Site):
    other = "22222222-aaaa-4aaa-8aaa-000000000002"
    kept.publish("1", kept.image(5), path="/other", dc__identifier=other, hv__uri=kept.server.url("/other"))
    kept.expect(0, "subscribe", "-s", kept.server.url("/other"))
    kept.expect(0, "subscribe", "-U")
    kept.select(5)
    (kept.store / "subscriptions" / LIST_ID / "subscription.json").write_bytes(b"")
    result = kept.run("cache", "-x", f"cat >> {kept.events}")
    assert result.code == 1
    assert [line for line in result.err.splitlines() if line.startswith("ERROR")] == [
        line for line in result.err.splitlines() if "subscription.json is damaged" in line
    ]
    assert sorted(kept.endorsed()) == [image_id(1), image_id(5)]
    assert kept.told() == ["ProcessPrefix", "AvailablePrefix 5", "AvailablePostfix 5", "ProcessPostfix"]


def test_list_that_nobody_can_read_still_ends_when_it_said_it_would(kept: Site):
    (kept.store / "subscriptions" / LIST_ID / "subscription.json").write_bytes(b"")
    kept.now += timedelta(days=21)
    assert kept.run("cache").code == 1
    assert kept.endorsed() == {}


def test_lists_that_are_gone_from_an_interrupted_copy_expire_nothing(kept: Site):
    for path in kept.store.glob("subscriptions/*/lists/*"):
        path.unlink()
    kept.cache()
    assert list(kept.endorsed()) == [image_id(1)]
    kept.expect(0, "subscribe", "-U")
    kept.cache()
    assert kept.told() == ["ProcessPrefix", "ProcessPostfix"] * 2


def test_unreachable_server_expires_nothing(kept: Site):
    kept.server.close()
    kept.run("subscribe", "-U")
    kept.cache()
    assert list(kept.endorsed()) == [image_id(1)]


def test_several_images_leave_each_with_its_own_reason(site: Site):
    site.join(*(site.image(number) for number in range(1, 7)))
    site.select(1, 2, 3, 4, 5, 6)
    site.cache()
    site.told()
    site.expect(0, "image", "-r", "-u", image_id(2))
    republish(site, "2", site.image(2), site.image(3, "2"), *(site.image(number) for number in (4, 5, 6)))
    veto_of_4 = hashlib.sha512(b"image 4 version 1\n" * 100).hexdigest()
    (site.store / "vetoes" / f"{veto_of_4}.json").write_text("{}")
    spoil(site, 5)
    site.cache("-s", "-D", code=1)
    reasons = {event["DC_IDENTIFIER"]: event["REASON"] for event in site.noted() if event["TYPE"] == "ExpirePostfix"}
    assert reasons == {
        image_id(1): "withdrawn",
        image_id(2): "unsubscribed",
        image_id(3): "replaced",
        image_id(4): "vetoed",
        image_id(5): "corrupt",
    }
    assert sorted(site.endorsed()) == [image_id(3), image_id(5), image_id(6)]


def test_image_that_moves_to_another_subscription_leaves_and_comes_without_being_fetched(kept: Site):
    other = "22222222-aaaa-4aaa-8aaa-000000000002"
    kept.expect(0, "subscribe", "-D", "-u", LIST_ID)
    kept.publish("1", kept.image(1), path="/other", dc__identifier=other, hv__uri=kept.server.url("/other"))
    kept.expect(0, "subscribe", "-s", kept.server.url("/other"))
    kept.expect(0, "subscribe", "-U")
    kept.select(1)
    kept.server.forget()
    kept.cache()
    events = kept.noted()[1:-1]
    assert kept.told() == [
        "ProcessPrefix",
        "ExpirePrefix 1",
        "ExpirePostfix 1",
        "AvailablePrefix 1",
        "AvailablePostfix 1",
        "ProcessPostfix",
    ]
    assert [event["IL_DC_IDENTIFIER"] for event in events] == [LIST_ID, LIST_ID, other, other]
    assert kept.server.requests == []


@pytest.mark.parametrize("years", [1, 20, 50])
def test_clock_that_jumps_back_expires_nothing_and_fetches_nothing(kept: Site, years: int):
    kept.now -= timedelta(days=365 * years)
    kept.server.forget()
    kept.cache()
    assert kept.told() == ["ProcessPrefix", "ProcessPostfix"]
    assert list(kept.endorsed()) == [image_id(1)]
    assert kept.server.requests == []


@pytest.mark.parametrize("how", ["signer revoked"])
def test_revocation_that_was_found_holds_where_its_list_is_lost(cached: Site, how: str):
    DEPARTURES[how].change(cached)
    cached.cache()
    assert cached.endorsed() == {}
    cached.told()
    cached.pki.remove_crl()
    result = cached.run("cache", "-x", f"cat >> {cached.events}")
    assert (result.code, "an earlier run found" in result.err) == (0, True), result
    assert cached.told() == ["ProcessPrefix", "ProcessPostfix"]
    assert cached.states()[image_id(1)] == 1
    planned = cached.run("vmcatcher", "plan", "--offline", "--json").answer
    assert planned["images"] == []
