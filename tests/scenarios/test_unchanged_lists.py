"""A list that did not change is fetched, verified and compared at every run, and not read again for nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from support.site import LIST_ID, Site, image_id
from support.tree import check_invariants
from vmcatcher.services import admitting

SUBSCRIPTION = Path("subscriptions") / LIST_ID


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Every content whose images an update read."""
    contents: list[bytes] = []
    parse = admitting.parse_image_list

    def noting(content: bytes):
        contents.append(content)
        return parse(content)

    monkeypatch.setattr(admitting, "parse_image_list", noting)
    return contents


@pytest.fixture
def joined(site: Site, read: list[bytes]) -> Site:
    site.join(site.image(1), site.image(2))
    read.clear()
    return site


def _update(site: Site, code: int = 0, **environment: str) -> str:
    return site.expect(code, "subscribe", "-U", **environment).err


def _files(site: Site) -> dict[str, str]:
    return {path: what for path, what in site.tree().items() if not path.startswith("lock")}


def test_unchanged_list_is_asked_for_and_verified_and_its_images_are_not_read(joined: Site, read: list[bytes]):
    before = _files(joined)
    joined.server.forget()
    _update(joined)
    assert ["if-none-match" in request.headers for request in joined.server.requests] == [True]
    assert (_files(joined), read) == (before, [])
    joined.pki.revoke(joined.alice)
    _update(joined, 11)
    assert read == []


def test_same_bytes_without_304_are_not_read_either(site: Site, read: list[bytes]):
    site.server.publish("/list", site.publish("1", site.image(1)), etag="", last_modified="")
    site.join()
    read.clear()
    _update(site)
    assert read == []


def test_success_is_noted_once_an_hour(joined: Site, read: list[bytes]):
    notes = joined.store / SUBSCRIPTION / "fetch.json"
    first = notes.read_bytes()
    joined.now += timedelta(minutes=50)
    _update(joined)
    assert notes.read_bytes() == first
    joined.now += timedelta(minutes=20)
    _update(joined)
    later = json.loads(notes.read_text())
    assert later["attempted"] == later["succeeded"] > json.loads(first)["succeeded"]
    assert (later["settled"], read) == (json.loads(first)["settled"], [])


@pytest.mark.parametrize(
    "gone",
    [
        SUBSCRIPTION / "index.tsv",
        SUBSCRIPTION / "manifest.json",
        SUBSCRIPTION / "fetch.json",
        Path("marks") / f"{LIST_ID}.json",
    ],
    ids=lambda path: path.name,
)
def test_what_is_missing_is_made_again(joined: Site, read: list[bytes], gone: Path):
    (joined.store / gone).unlink()
    _update(joined)
    assert (joined.store / gone).exists()
    assert len(read) == 1
    _update(joined)
    assert len(read) == 1


@pytest.mark.parametrize("name", ["index.tsv", "manifest.json", "fetch.json"])
def test_what_rotted_is_made_again(joined: Site, read: list[bytes], name: str):
    path = joined.store / SUBSCRIPTION / name
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"a0000000", b"a0000001") if name != "fetch.json" else whole[:-9] + b"}")
    joined.run("subscribe", "-U")
    assert len(read) >= 1
    assert b"a0000001" not in path.read_bytes()
    assert check_invariants(joined.store) == []


def test_list_is_read_after_an_edit_of_the_subscription(joined: Site, read: list[bytes]):
    joined.select(1)
    _update(joined)
    assert len(read) == 1
    _update(joined)
    assert len(read) == 1


def _over(site: Site) -> None:
    site.now += timedelta(days=21)


@pytest.mark.parametrize(
    ("befalls", "code"),
    [
        (lambda site: site.expect(0, "endorser", "-u", "-e", "alice", "-s", LIST_ID), 13),
        (lambda site: site.expect(0, "endorser", "-D", "-e", "alice"), 13),
        (lambda site: (site.store / "endorsers" / "alice.json").unlink(), 13),
        (lambda site: site.pki.revoke(site.alice), 11),
        (lambda site: site.pki.remove_crl(), 11),
        (_over, 34),
    ],
    ids=["unlinked", "endorser-deleted", "endorser-lost", "revoked", "no-crl", "over"],
)
def test_list_that_would_be_refused_now_is_refused_at_every_run(
    joined: Site, befalls: Callable[[Site], object], code: int
):
    _update(joined)
    if befalls is _over:
        # Past the next update of the CRLs too: what is to be seen is the end of the list alone.
        joined.environment["VMCATCHER_TRUST_CRL"] = "off"
    befalls(joined)
    _update(joined, code)
    _update(joined, code)


def test_undecided_images_are_said_at_every_run(site: Site, read: list[bytes]):
    site.join(site.image(1))
    site.expect(0, "subscribe", "-u", LIST_ID, "--imagelist-newimage-refuse")
    site.publish("2", site.image(1), site.image(2))
    read.clear()
    for _ in range(3):
        assert image_id(2) in _update(site, 32)
    assert len(read) == 3


def test_image_that_cannot_be_used_is_said_at_every_run(site: Site, read: list[bytes]):
    site.join(site.image(1), site.image(2, hv__size="much"), update=False)
    read.clear()
    codes = [site.run("subscribe", "-U") for _ in range(3)]
    assert {one.code for one in codes} == {codes[0].code}
    assert codes[0].code != 0
    assert all("hv:size" in one.err for one in codes)
    assert len(read) == 3


def test_event_that_is_owed_is_told_by_a_later_run(site: Site):
    site.join(site.image(1))
    site.expect(0, "subscribe", "-u", LIST_ID, "--imagelist-newimage-accept")
    site.publish("2", site.image(1), site.image(2))
    site.run("subscribe", "-U", "-x", "exit 1")
    site.now += timedelta(days=1)
    site.run("subscribe", "-U", "-x", f"cat >> {site.events}")
    assert site.told() == ["SubscriptionImageNew 2"]


def test_run_without_a_handler_counts_what_is_owed_as_told(site: Site):
    site.join(site.image(1))
    site.expect(0, "subscribe", "-u", LIST_ID, "--imagelist-newimage-accept")
    site.publish("2", site.image(1), site.image(2))
    site.run("subscribe", "-U", "-x", "exit 1")
    notes = site.store / SUBSCRIPTION / "fetch.json"
    assert json.loads(notes.read_text())["told"] == [image_id(1)]
    _update(site)
    assert json.loads(notes.read_text())["told"] == [image_id(1), image_id(2)]
