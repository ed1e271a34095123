"""What somebody else decides while a run waits for a server: nothing is lost, and nothing is done that no longer holds.

The other command is run at the moment at which an answer has come and nothing was made of it yet.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from support.site import LIST_ID, Site, image_id
from support.tree import check_invariants
from vmcatcher.transport.transport import Transport

pytestmark = pytest.mark.slow
OTHER_ID = "22222222-aaaa-4aaa-8aaa-000000000002"
JOBS = [pytest.param("1", id="one"), pytest.param("4", id="four")]


@contextlib.contextmanager
def meanwhile(kind: str, act: Callable[[], object], *, path: str = "") -> Iterator[list[str]]:
    """Have `act` happen once, when the first answer (from that path) has come; yield what was asked for."""
    fetch, asked = getattr(Transport, kind), []

    def around(transport: Transport, location: object, *args: object, **named: object) -> object:
        asked.append(str(location))
        try:
            return fetch(transport, location, *args, **named)
        finally:
            if str(location).endswith(path) and "done" not in asked:
                asked.append("done")
                act()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Transport, kind, around)
        yield asked
    assert "done" in asked


@pytest.fixture
def joined(site: Site) -> Site:
    """Two lists of one endorser, each with images that are selected and cached; all is settled."""
    site.join(site.image(1, hv__format="qcow2"), site.image(2))
    add_other(site)
    site.expect(0, "subscribe", "-u", LIST_ID, "--imagelist-newimage-accept")
    site.select(1, 2, 5)
    site.cache()
    site.expect(0, "subscribe", "-U")
    site.told()
    site.server.forget()
    return site


def add_other(site: Site, version: str = "1", *images: dict[str, object]) -> None:
    listed = images or (site.image(5),)
    site.publish(version, *listed, path="/other", dc__identifier=OTHER_ID, hv__uri=site.server.url("/other"))
    if version == "1":
        site.expect(0, "subscribe", "-s", site.server.url("/other"))
        site.expect(0, "subscribe", "-U")


def news(site: Site) -> None:
    site.publish("2", site.image(1, "2", hv__format="qcow2"), site.image(2), site.image(3, hv__format="qcow2"))


def versions(site: Site, list_id: str = LIST_ID) -> int:
    return len(list((site.store / "subscriptions" / list_id / "lists").glob("*.smime")))


def vmcatcher(site: Site, *words: str) -> Callable[[], object]:
    return lambda: site.expect(0, "vmcatcher", *words)


# -- lists


@pytest.mark.parametrize("jobs", JOBS)
@pytest.mark.parametrize("is_news", [True, False])
def test_fault_109_endorser_that_is_unlinked_meanwhile_signs_no_list_of_this_run(
    joined: Site, jobs: str, is_news: bool
):
    if is_news:
        news(joined)
    with meanwhile("fetch_list", lambda: joined.expect(0, "endorser", "-u", "-e", "alice", "-s", LIST_ID)):
        result = joined.run("vmcatcher", "sync", "-x", f"cat >> {joined.events}", VMCATCHER_LIST_JOBS=jobs)
    assert result.code == 1, result
    assert LIST_ID in result.err
    assert versions(joined) == 1
    # The same run takes out what nobody endorses any more, and leaves the other list alone.
    assert list(joined.endorsed()) == [image_id(5)]


@pytest.mark.parametrize("jobs", JOBS)
def test_fault_109_rule_that_is_set_meanwhile_holds_for_the_list_that_is_on_its_way(joined: Site, jobs: str):
    news(joined)
    rule = ("subscription", "set", LIST_ID, "--where", "format=qcow2")
    with meanwhile("fetch_list", vmcatcher(joined, *rule), path="/other"):
        joined.expect(0, "subscribe", "-U", VMCATCHER_LIST_JOBS=jobs)
    joined.expect(0, "subscribe", "-U")
    assert joined.states()[image_id(3)] == 3
    # What was selected by hand stays as it was decided.
    assert joined.states()[image_id(2)] == 3


@pytest.mark.parametrize("is_news", [True, False])
@pytest.mark.parametrize("path", ["/list", "/other"])
def test_fault_109_selection_that_is_changed_meanwhile_is_not_lost(joined: Site, is_news: bool, path: str):
    if is_news:
        news(joined)
    with meanwhile("fetch_list", vmcatcher(joined, "image", "unsubscribe", image_id(2)), path=path):
        joined.run("subscribe", "-U")
    assert joined.states()[image_id(2)] == 2
    joined.run("subscribe", "-U")
    assert joined.states()[image_id(2)] == 2
    assert check_invariants(joined.store) == []


@pytest.mark.parametrize("how", ["news", "unchanged", "away"])
@pytest.mark.parametrize("jobs", JOBS)
def test_fault_109_subscription_that_is_deleted_meanwhile_is_passed_over(joined: Site, how: str, jobs: str):
    if how == "news":
        news(joined)
    elif how == "away":
        joined.server.fault("/list", "status", status=404)
    with meanwhile("fetch_list", lambda: joined.expect(0, "subscribe", "-D", "-u", LIST_ID), path="/list"):
        result = joined.run("subscribe", "-U", VMCATCHER_LIST_JOBS=jobs)
    assert not (joined.store / "subscriptions" / LIST_ID).exists()
    assert (result.code, result.err) == (0, "")
    assert check_invariants(joined.store) == []


def test_fault_109_subscription_that_is_made_anew_meanwhile_takes_nothing_of_the_old_one(joined: Site):
    news(joined)
    signed = joined.server.published()["/list"].content

    def again() -> None:
        joined.expect(0, "subscribe", "-D", "-u", LIST_ID)
        joined.expect(0, "subscribe", "-s", joined.server.url("/list"))

    with meanwhile("fetch_list", again, path="/list"):
        joined.expect(0, "subscribe", "-U")
    joined.expect(0, "subscribe", "-U")
    assert versions(joined) == 1
    (kept,) = (joined.store / "subscriptions" / LIST_ID / "lists").glob("*.smime")
    assert kept.read_bytes() == signed
    # Nothing was selected in the new one.
    assert joined.states() == {image_id(1): 2, image_id(2): 2, image_id(3): 2, image_id(5): 3}


@pytest.mark.parametrize("jobs", JOBS)
def test_fault_109_two_subscriptions_that_swap_their_places_meanwhile_stay_two(joined: Site, jobs: str):
    news(joined)
    add_other(joined, "2", joined.image(5, "2"))

    def swap() -> None:
        joined.expect(0, "vmcatcher", "subscription", "set", LIST_ID, "--pin-uri", "--uri", joined.server.url("/other"))
        joined.expect(0, "vmcatcher", "subscription", "set", OTHER_ID, "--pin-uri", "--uri", joined.server.url("/list"))

    with meanwhile("fetch_list", swap):
        joined.run("subscribe", "-U", VMCATCHER_LIST_JOBS=jobs)
    # What was on its way is still what it says that it is; at the places that were exchanged are lists of others.
    assert joined.run("subscribe", "-U").code not in (0, 70, 75)
    assert set(joined.states()) - {image_id(3)} == {image_id(1), image_id(2), image_id(5)}
    for own, uri in ((LIST_ID, "/list"), (OTHER_ID, "/other")):
        joined.expect(0, "vmcatcher", "subscription", "set", own, "--uri", joined.server.url(uri))
    joined.expect(0, "subscribe", "-U")
    assert (versions(joined), versions(joined, OTHER_ID)) == (2, 2)
    assert check_invariants(joined.store) == []


# -- trust


@pytest.mark.parametrize("is_news", [True, False])
def test_fault_111_revocation_that_is_fetched_meanwhile_counts_from_the_next_run_on(joined: Site, is_news: bool):
    if is_news:
        news(joined)
    joined.pki.certificate.with_suffix(".crl_url").write_text(joined.server.url("/crl"))
    joined.pki.write_crl(joined.pki.crl_der(last_update=joined.now - timedelta(days=1)))
    old = joined.pki.crl.read_bytes()
    joined.pki.revoke(joined.alice)
    joined.pki.write_crl()
    joined.server.publish("/crl", joined.pki.crl.read_bytes())
    joined.pki.crl.write_bytes(old)

    def fetch() -> None:
        # In a process of its own: the CRL is fetched by the same transport.
        assert joined.call("vmcatcher", "trust", "fetch-crls").code == 0

    with meanwhile("fetch_list", fetch, path="/list"):
        joined.expect(0, "vmcatcher", "sync")
    assert len(joined.endorsed()) == 3
    joined.expect(1, "vmcatcher", "sync", "-x", f"cat >> {joined.events}")
    assert joined.endorsed() == {}
    assert {event["REASON"] for event in joined.noted() if event["TYPE"] == "ExpirePostfix"} == {"signer-revoked"}


# -- images


@pytest.mark.parametrize("jobs", JOBS)
@pytest.mark.parametrize(
    "words", [("veto", "--reason", "late", image_id(3)), ("unsubscribe", image_id(3))], ids=["veto", "unsubscribe"]
)
def test_fault_110_image_that_is_unwanted_meanwhile_is_not_published_by_a_sync(
    joined: Site, jobs: str, words: tuple[str, ...]
):
    joined.expect(0, "subscribe", "-U", "-u", LIST_ID, "--imagelist-newimage-subscribe")
    news(joined)
    with meanwhile("fetch_image", vmcatcher(joined, "image", *words), path="/images/3-v1.raw"):
        joined.expect(0, "vmcatcher", "sync", "--jobs", jobs, "-x", f"cat >> {joined.events}")
    assert sorted(joined.endorsed()) == [image_id(1), image_id(2), image_id(5)]
    assert "AvailablePostfix 3" not in joined.told()
    assert check_invariants(joined.store) == []


def test_list_that_comes_while_a_sync_fetches_images_waits_for_the_next_one(joined: Site):
    news(joined)

    def newer() -> None:
        joined.publish("3", joined.image(2))
        assert joined.run("subscribe", "-U").code == 75, "the sync has that lock"

    with meanwhile("fetch_image", newer):
        joined.expect(0, "vmcatcher", "sync")
    assert joined.endorsed()[image_id(1)].startswith(b"image 1 version 2")
    joined.expect(0, "vmcatcher", "sync")
    assert sorted(joined.endorsed()) == [image_id(2), image_id(5)]


def test_bytes_that_somebody_changes_behind_the_hashing_are_found_and_fetched_again(joined: Site):
    """What came was right and was hashed as it came; that the disk has something else shows when it is read."""
    content = bytes(range(256)) * 20_000
    joined.expect(0, "subscribe", "-U", "-u", LIST_ID, "--imagelist-newimage-subscribe")
    joined.publish("2", joined.image(1), joined.image(2), joined.image(3, content=content))

    def spoil() -> None:
        (path,) = (one for one in Path(joined.store, "partial").iterdir() if one.suffix != ".json")
        with path.open("r+b") as file:
            file.seek(100_000)
            file.write(b"spoilt")

    with meanwhile("fetch_image", spoil):
        joined.expect(0, "vmcatcher", "sync")
    assert joined.run("vmcatcher", "store", "check", "--data").code == 1
    joined.run("cache", "-s")
    joined.expect(0, "vmcatcher", "sync")
    assert joined.endorsed()[image_id(3)] == content
    assert joined.run("vmcatcher", "store", "check", "--data").code == 0
