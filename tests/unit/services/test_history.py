"""What was admitted and endorsed when, as the kept lists and records tell."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from support.pki import Pki
from support.proofs import context
from support.site import LIST_ID, Site, image_id
from vmcatcher.errors.choosing import NameAmbiguous, NameUnknown
from vmcatcher.errors.history import NoSuchAdmittedList
from vmcatcher.errors.requests import NoSuchImage, NoSuchSubscription
from vmcatcher.services.history import list_difference, subscription_history
from vmcatcher.services.image_history import choose_past_image, image_history
from vmcatcher.services.images_then import ImageThen, images_at


@pytest.fixture
def copied(past: Site, tmp_path: Path) -> Site:
    """The same site with a store that a test may spoil."""
    site = Site(tmp_path, past.server, pki=Pki(tmp_path / "other"))
    shutil.copytree(past.store, site.store, symlinks=True)
    site.now = past.now
    return site


def _list_file(site: Site, number: int, ending: str = "smime") -> Path:
    return next((site.store / "subscriptions" / LIST_ID / "lists").glob(f"{number:06d}-*.{ending}"))


def _drop(site: Site, number: int) -> None:
    for ending in ("evidence", "smime"):
        _list_file(site, number, ending).unlink()


def _spoil(site: Site, number: int) -> None:
    path = _list_file(site, number)
    path.chmod(0o644)
    path.write_bytes(path.read_bytes() + b"\n")


# -- lists


def test_history_is_newest_first_with_what_changed(past: Site) -> None:
    found = subscription_history(context(past), LIST_ID)
    assert (found.begins, found.gone) == (None, ())
    told = [
        (one.sequence, one.found.listed.version, str(one.found.signer), one.endorser, one.admitted, one.compared_with)
        for one in found.entries
        if one.found
    ]
    yesterday = past.now - timedelta(days=1)
    assert told == [
        (2, "2", past.alice.subject, "alice", past.now, 1),
        (1, "1", past.alice.subject, "alice", yesterday, None),
    ]
    changes = [(change.kind.value, change.identifier) for change in found.entries[0].changes]
    assert changes == [("withdrawn", image_id(2)), ("replaced", image_id(1)), ("added", image_id(3))]
    assert [change.kind.value for change in found.entries[1].changes] == ["added", "added"]


@pytest.mark.parametrize("name", ["nobody", "../..", "", "a" * 300])
def test_list_that_is_not_here_has_no_history(past: Site, name: str) -> None:
    with pytest.raises(NoSuchSubscription):
        subscription_history(context(past), name)


def test_damaged_list_is_shown_as_damaged_and_passed_over(copied: Site) -> None:
    _spoil(copied, 1)
    newest, oldest = subscription_history(context(copied), LIST_ID).entries
    assert oldest.damage is not None
    assert (oldest.damage.id, oldest.found, oldest.sequence) == ("admitted-list-damaged", None, 1)
    # What the list before said is not known, so that nothing can be said to be new.
    assert (newest.compared_with, newest.changes) == (None, ())


def test_list_without_its_evidence_is_damaged(copied: Site) -> None:
    _list_file(copied, 2, "evidence").unlink()
    newest, oldest = subscription_history(context(copied), LIST_ID).entries
    assert newest.damage is not None
    assert oldest.found is not None


def test_history_says_where_it_begins(copied: Site) -> None:
    _drop(copied, 1)
    found = subscription_history(context(copied), LIST_ID)
    assert (found.begins, found.gone) == (copied.now, ((1, 1),))
    assert found.entries[0].changes == ()


def test_history_outlives_its_endorser_and_its_subscription_document(copied: Site) -> None:
    (copied.store / "endorsers" / "alice.json").unlink()
    (copied.store / "subscriptions" / LIST_ID / "subscription.json").write_bytes(b"rot")
    found = subscription_history(context(copied), LIST_ID)
    assert [(one.endorser, one.damage) for one in found.entries] == [(None, None), (None, None)]


# -- differences


@pytest.mark.parametrize(
    ("names", "versions"),
    [
        ((), ("1", "2")),
        (("1",), ("1", "2")),
        (("2", "1"), ("2", "1")),
        (("#1", "#2"), ("1", "2")),
        (("current", "previous"), ("2", "1")),
    ],
)
def test_difference_is_between_the_lists_that_are_named(
    past: Site, names: tuple[str, ...], versions: tuple[str, str]
) -> None:
    found = list_difference(context(past), LIST_ID, *names)
    assert (found.older.listed.version, found.newer.listed.version) == versions
    assert "hv:version" in [field.field for field in found.fields]
    assert len(found.images) == 3


def test_list_does_not_differ_from_itself(past: Site) -> None:
    assert list_difference(context(past), LIST_ID, "current").is_empty


@pytest.mark.parametrize("name", ["3", "#0", "#", "", "²", "9" * 30, "-1"])
def test_list_that_was_never_admitted_differs_from_nothing(past: Site, name: str) -> None:
    with pytest.raises(NoSuchAdmittedList):
        list_difference(context(past), LIST_ID, name)


def test_first_list_has_no_previous_one(copied: Site) -> None:
    _drop(copied, 1)
    with pytest.raises(NoSuchAdmittedList):
        list_difference(context(copied), LIST_ID)


def test_version_goes_before_number(site: Site) -> None:
    for version in ("2", "3"):
        site.join(site.image(1), version=version) if version == "2" else site.publish(version, site.image(1))
        site.expect(0, "subscribe", "-U")
    found = list_difference(context(site), LIST_ID, "2", "#2")
    assert (found.older.snapshot.sequence, found.newer.snapshot.sequence) == (1, 2)


# -- images


def test_image_has_a_version_for_each_content(past: Site) -> None:
    found = image_history(context(past), image_id(1))
    assert (found.begins, found.failed) == ((), ())
    new, old = found.versions
    assert (new.version, old.version) == ("2", "1")
    assert [(one.until, one.why.value) for one in old.endorsed] == [(past.now, "replaced")]
    assert [(one.until, one.why.value) for one in new.endorsed] == [(past.now + timedelta(days=20), "list-expired")]
    assert [(one.number, one.state.value, one.reason and one.reason.value) for one in old.cached] == [
        (1, "expired", "replaced")
    ]
    assert [(one.published, one.expired) for one in new.cached] == [(past.now, None)]


def test_withdrawn_image_was_endorsed_until_the_list_without_it(past: Site) -> None:
    (version,) = image_history(context(past), image_id(2)).versions
    (endorsed,) = version.endorsed
    assert (endorsed.until, endorsed.why.value) == (past.now, "withdrawn")
    assert (endorsed.first.listed.version, endorsed.last.listed.version) == ("1", "1")


def test_image_that_nobody_decided_about_has_a_history(past: Site) -> None:
    (version,) = image_history(context(past), image_id(3)).versions
    assert (len(version.endorsed), version.cached, version.veto) == (1, (), None)


def test_lists_with_the_same_content_are_one_endorsement_and_a_return_is_another(site: Site) -> None:
    site.join(site.image(1))
    for version, image in (("2", "1"), ("3", "2"), ("4", "1"), ("5", None), ("6", "1")):
        site.now += timedelta(hours=1)
        site.publish(version, *([site.image(1, image)] if image else []))
        site.expect(0, "subscribe", "-U")
    versions = image_history(context(site), image_id(1)).versions
    runs = [
        [(one.first.listed.version, one.last.listed.version, one.why.value) for one in version.endorsed]
        for version in versions
    ]
    assert runs == [
        [("6", "6", "list-expired"), ("4", "4", "withdrawn"), ("1", "2", "replaced")],
        [("3", "3", "replaced")],
    ]


def test_veto_is_told_with_the_version_it_is_on(copied: Site) -> None:
    digest = image_history(context(copied), image_id(1)).versions[1].sha512
    (copied.store / "vetoes" / f"{digest}.json").write_text('{"format": 1, "reason": "rootkit"}')
    new, old = image_history(context(copied), image_id(1)).versions
    assert new.veto is None
    assert old.veto is not None
    assert old.veto.reason == "rootkit"


def test_version_of_a_pruned_list_is_known_from_its_record(copied: Site) -> None:
    _drop(copied, 1)
    found = image_history(context(copied), image_id(1))
    assert [(one.version, len(one.endorsed), len(one.cached)) for one in found.versions] == [("2", 1, 1), ("1", 0, 1)]
    assert found.begins == ((LIST_ID, copied.now),)


def test_what_cannot_be_read_of_an_image_is_said(copied: Site) -> None:
    _spoil(copied, 1)
    (copied.store / "cache" / image_id(1) / "1.json").write_bytes(b"rot")
    found = image_history(context(copied), image_id(1))
    assert [one.version for one in found.versions] == ["2"]
    assert [failure.error.id for failure in found.failed] == ["document-damaged", "admitted-list-damaged"]


@pytest.mark.parametrize("name", [image_id(9), "../x", ""])
def test_image_that_nobody_knows_has_no_history(past: Site, name: str) -> None:
    with pytest.raises(NoSuchImage):
        image_history(context(past), name)


def test_past_image_is_meant_by_identifier_title_and_old_digest(past: Site) -> None:
    digest = image_history(context(past), image_id(1)).versions[1].sha512
    known = context(past)
    assert choose_past_image(known, image_id(3)) == image_id(3)
    assert choose_past_image(known, "title of image 1") == image_id(1)
    assert choose_past_image(known, digest[:16].upper()) == image_id(1)
    with pytest.raises(NameUnknown):
        choose_past_image(known, digest[:8])


def test_old_digest_of_two_images_is_ambiguous(site: Site) -> None:
    same = b"the same bytes"
    site.join(site.image(1, content=same), site.image(2, content=same))
    site.publish("2")
    site.expect(0, "subscribe", "-U")
    digest = image_history(context(site), image_id(1)).versions[0].sha512
    with pytest.raises(NameAmbiguous):
        choose_past_image(context(site), digest)


# -- at some time


def _then(images: tuple[ImageThen, ...]) -> list[tuple[str, str | None, bool]]:
    """Return number, endorsed version, and whether a version was in the cache."""
    return [(one.identifier[-1], one.image and one.image.version, one.cached is not None) for one in images]


@pytest.mark.parametrize(
    ("ago", "expected"),
    [
        (timedelta(days=2), []),
        (timedelta(days=1), [("1", "1", True), ("2", "1", True)]),
        (timedelta(seconds=1), [("1", "1", True), ("2", "1", True)]),
        (timedelta(0), [("1", "2", True), ("3", "1", False)]),
        (timedelta(days=-19), [("1", "2", True), ("3", "1", False)]),
        (timedelta(days=-20), [("1", None, True)]),
    ],
)
def test_images_are_those_of_that_time(past: Site, ago: timedelta, expected: list[tuple[str, str, bool]]) -> None:
    found = images_at(context(past), past.now - ago)
    assert _then(found.images) == expected
    assert found.failed == ()


def test_cached_version_of_then_is_told_with_its_own_digest(past: Site) -> None:
    one = images_at(context(past), past.now - timedelta(hours=1)).images[0]
    assert one.image is not None
    assert one.cached is not None
    assert (one.cached.sha512, one.cached.number) == (one.image.sha512, 1)
    assert one.until == past.now + timedelta(days=19)


@pytest.mark.parametrize("ago", [timedelta(days=1), timedelta(seconds=1)])
def test_time_whose_lists_are_gone_is_not_known(copied: Site, ago: timedelta) -> None:
    _drop(copied, 1)
    found = images_at(context(copied), copied.now - ago)
    assert [failure.error.id for failure in found.failed] == ["history-gap"]
    assert _then(found.images) == [("1", None, True), ("2", None, True)]


def test_time_of_a_damaged_list_is_not_known(copied: Site) -> None:
    _spoil(copied, 1)
    found = images_at(context(copied), copied.now - timedelta(hours=1))
    assert [failure.error.id for failure in found.failed] == ["admitted-list-damaged"]


def test_time_between_lists_of_which_one_is_gone_is_not_known(copied: Site) -> None:
    old, new = _list_file(copied, 2), _list_file(copied, 2, "evidence")
    for path in (old, new):
        path.rename(path.with_name(path.name.replace("000002", "000003")))
    found = images_at(context(copied), copied.now - timedelta(hours=1))
    assert [failure.error.id for failure in found.failed] == ["history-gap"]
    assert images_at(context(copied), copied.now).failed == ()


def test_image_that_ends_before_its_list_was_endorsed_until_then(site: Site) -> None:
    ends = site.now + timedelta(days=2)
    site.join(site.image(1, dc__date__expires=ends.strftime("%Y-%m-%dT%H:%M:%SZ")))
    (version,) = image_history(context(site), image_id(1)).versions
    assert [(one.until, one.why.value) for one in version.endorsed] == [(ends, "image-expired")]
    assert len(images_at(context(site), ends - timedelta(seconds=1)).images) == 1
    assert images_at(context(site), ends).images == ()


def test_image_of_two_lists_is_cached_for_its_owner_only(site: Site) -> None:
    site.join(site.image(1))
    site.select(1)
    site.cache()
    site.publish("1", site.image(1), path="/other", dc__identifier="000", hv__uri=site.server.url("/other"))
    site.run("subscribe", "-s", site.server.url("/other"))
    site.run("subscribe", "-U")
    found = images_at(context(site), site.now).images
    assert [(one.list_id, one.cached is not None) for one in found] == [("000", False), (LIST_ID, True)]
