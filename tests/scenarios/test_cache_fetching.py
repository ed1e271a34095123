"""Fetching images: order, tries, resuming, sharing, sizes, and what may be a file of this machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from support.site import LIST_ID, Site, image_id
from vmcatcher.transport.transport import Transport

LARGE = os.urandom(1 << 18) * 8


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    """Repeats within one run come at once."""
    monkeypatch.setitem(Transport.__init__.__kwdefaults__, "sleep", lambda _: None)


@pytest.fixture
def joined(site: Site) -> Site:
    site.join(site.image(1), site.image(2), site.image(3))
    site.select(1, 2, 3)
    return site


def republish(site, version, *images, **fields):
    site.publish(version, *images, **fields)
    site.expect(0, "subscribe", "-U")


def partials(site):
    return sorted(path for path in (site.store / "partial").iterdir() if not path.name.endswith(".json"))


def ranges(site, path):
    return [request.headers.get("range") for request in site.server.requests if request.path == path]


# -- order


def test_what_was_withdrawn_leaves_before_anything_is_fetched(joined: Site):
    joined.cache()
    joined.told()
    joined.expect(0, "subscribe", "--imagelist-newimage-subscribe", "-u", LIST_ID)
    republish(joined, "2", joined.image(1), joined.image(2, "2"), joined.image(4))
    joined.cache("--jobs", "1")
    assert joined.told() == [
        "ProcessPrefix",
        "ExpirePrefix 3", "ExpirePostfix 3",
        "ExpirePrefix 2", "ExpirePostfix 2", "AvailablePrefix 2", "AvailablePostfix 2",
        "AvailablePrefix 4", "AvailablePostfix 4",
        "ProcessPostfix",
    ]  # fmt: skip


def test_replacement_is_fetched_before_the_old_version_leaves(joined: Site):
    joined.cache()
    republish(joined, "2", joined.image(1, "2"), joined.image(2), joined.image(3))
    joined.told()
    # The handler sees, at the first event about the old version, that the new bytes are there.
    seen = joined.root / "seen"
    look = f'[ "$VMCATCHER_EVENT_TYPE" = ExpirePrefix ] && ls {joined.store}/blobs/sha512/* >> {seen}'
    handler = f"cat >> {joined.events}; {look}; true"
    joined.expect(0, "cache", "-x", handler)
    assert joined.told() == [
        "ProcessPrefix",
        "ExpirePrefix 1",
        "ExpirePostfix 1",
        "AvailablePrefix 1",
        "AvailablePostfix 1",
        "ProcessPostfix",
    ]
    new = Path(os.path.realpath(joined.store / "endorsed" / image_id(1))).name
    assert new in seen.read_text()


def test_replacement_that_cannot_be_had_lets_the_old_version_leave_at_the_end(joined: Site):
    joined.cache()
    republish(joined, "2", joined.image(1, "2"), joined.image(2), joined.image(3, "2"))
    joined.server.withdraw("/images/1-v2.raw")
    joined.told()
    joined.cache("--jobs", "1", code=75)
    assert joined.told() == [
        "ProcessPrefix",
        "ExpirePrefix 1", "ExpirePostfix 1",
        "ExpirePrefix 3", "ExpirePostfix 3", "AvailablePrefix 3", "AvailablePostfix 3",
        "ProcessPostfix",
    ]  # fmt: skip
    assert sorted(joined.endorsed()) == [image_id(2), image_id(3)]
    joined.image(1, "2")
    joined.cache()
    assert joined.told() == ["ProcessPrefix", "AvailablePrefix 1", "AvailablePostfix 1", "ProcessPostfix"]


def test_old_version_is_kept_until_it_can_be_replaced_where_the_operator_says_so(joined: Site):
    joined.cache()
    republish(joined, "2", joined.image(1, "2"), joined.image(2), joined.image(3))
    joined.server.withdraw("/images/1-v2.raw")
    joined.told()
    for _ in range(2):
        joined.cache("--keep-until-replaced", code=75)
        assert joined.told() == ["ProcessPrefix", "ProcessPostfix"]
        assert joined.endorsed()[image_id(1)].startswith(b"image 1 version 1")
    joined.image(1, "2")
    joined.cache("--keep-until-replaced")
    assert joined.told() == [
        "ProcessPrefix",
        "ExpirePrefix 1",
        "ExpirePostfix 1",
        "AvailablePrefix 1",
        "AvailablePostfix 1",
        "ProcessPostfix",
    ]
    assert joined.endorsed()[image_id(1)].startswith(b"image 1 version 2")


def test_kept_version_leaves_when_nobody_wants_it_any_more(joined: Site):
    joined.cache()
    republish(joined, "2", joined.image(1, "2"), joined.image(2), joined.image(3))
    joined.server.withdraw("/images/1-v2.raw")
    joined.cache("--keep-until-replaced", code=75)
    joined.told()
    joined.expect(0, "image", "-r", "-u", image_id(1))
    joined.cache("--keep-until-replaced")
    assert joined.told() == ["ProcessPrefix", "ExpirePrefix 1", "ExpirePostfix 1", "ProcessPostfix"]


def test_expire_alone_lets_replaced_versions_leave_and_fetches_nothing(joined: Site):
    joined.cache()
    republish(joined, "2", joined.image(1, "2"), joined.image(2))
    joined.server.forget()
    joined.told()
    joined.cache("-E")
    assert sorted(joined.told()) == sorted(
        ["ProcessPrefix", "ExpirePrefix 1", "ExpirePostfix 1", "ExpirePrefix 3", "ExpirePostfix 3", "ProcessPostfix"]
    )
    assert joined.server.requests == []
    assert list(joined.endorsed()) == [image_id(2)]


def test_expire_alone_keeps_what_is_to_be_kept_until_it_is_replaced(joined: Site):
    joined.cache()
    republish(joined, "2", joined.image(1, "2"), joined.image(2))
    joined.cache("-E", "--keep-until-replaced")
    assert sorted(joined.endorsed()) == [image_id(1), image_id(2)]


def test_download_expires_too(joined: Site):
    joined.cache()
    republish(joined, "2", joined.image(1), joined.image(2))
    joined.told()
    joined.cache("-D")
    assert joined.told() == ["ProcessPrefix", "ExpirePrefix 3", "ExpirePostfix 3", "ProcessPostfix"]


@pytest.mark.parametrize(
    ("variables", "downloads", "expires"),
    [
        ({"VMCATCHER_CACHE_ACTION_DOWNLOAD": "1"}, True, True),
        ({"VMCATCHER_CACHE_ACTION_EXPIRE": "1"}, False, True),
        ({"VMCATCHER_CACHE_ACTION_CHECK": "1"}, False, False),
        ({"VMCATCHER_CACHE_ACTION_DOWNLOAD": "yes", "VMCATCHER_CACHE_ACTION_EXPIRE": "true"}, True, True),
        ({"VMCATCHER_CACHE_ACTION_DOWNLOAD": "0"}, True, True),
        ({"VMCATCHER_CACHE_ACTION_DOWNLOAD": "0", "VMCATCHER_CACHE_ACTION_CHECK": "1"}, False, False),
        ({}, True, True),
    ],
)
def test_variables_choose_the_actions_by_the_exact_value_1(joined: Site, variables, downloads, expires):
    joined.expect(0, "image", "-r", "-u", image_id(2))
    joined.cache()
    joined.told()
    republish(joined, "2", joined.image(1), joined.image(2), joined.image(3))
    joined.expect(0, "image", "-r", "-u", image_id(1))
    joined.expect(0, "image", "-a", "-u", image_id(2))
    joined.cache(**variables)
    told = joined.told()
    assert ("AvailablePostfix 2" in told) is downloads
    assert ("ExpirePostfix 1" in told) is expires


# -- wrong bytes


def wrong(site, number=1):
    """Serve other bytes of the right size."""
    content = f"image {number} version 1\n".encode() * 100
    site.server.publish(f"/images/{number}-v1.raw", bytes(len(content)))


def test_wrong_bytes_five_times_are_given_up_until_the_list_changes(joined: Site):
    wrong(joined)
    for attempt in range(1, 6):
        result = joined.cache(code=1)
        assert "wrong bytes" in result.err, attempt
        assert joined.server.gets("/images/1-v1.raw") == attempt
    for _ in range(2):
        result = joined.cache(code=1)
        assert "given up until the list changes" in result.err
        assert joined.server.gets("/images/1-v1.raw") == 5
    assert sorted(joined.endorsed()) == [image_id(2), image_id(3)]
    assert not any("1" in one.split() for one in joined.told())

    republish(joined, "2", joined.image(1), joined.image(2), joined.image(3))
    joined.cache()
    assert joined.server.gets("/images/1-v1.raw") == 6
    assert image_id(1) in joined.endorsed()
    assert joined.told() == ["ProcessPrefix", "AvailablePrefix 1", "AvailablePostfix 1", "ProcessPostfix"]


def test_tries_begin_anew_when_the_list_changes_and_the_bytes_do_not(joined: Site):
    wrong(joined)
    for _ in range(3):
        joined.cache(code=1)
    republish(joined, "2", joined.image(1), joined.image(2), joined.image(3))
    wrong(joined)
    for _ in range(7):
        joined.cache(code=1)
    assert joined.server.gets("/images/1-v1.raw") == 8


def test_new_version_of_an_image_that_was_given_up_is_tried_anew(joined: Site):
    wrong(joined)
    for _ in range(6):
        joined.cache(code=1)
    joined.told()
    republish(joined, "2", joined.image(1, "2"), joined.image(2), joined.image(3))
    joined.cache()
    assert joined.told() == ["ProcessPrefix", "AvailablePrefix 1", "AvailablePostfix 1", "ProcessPostfix"]
    assert [path.name for path in (joined.store / "cache" / image_id(1)).iterdir()] == ["1.json"]


def test_bytes_that_are_right_at_last_are_taken(joined: Site):
    wrong(joined)
    for _ in range(4):
        joined.cache(code=1)
    joined.image(1)
    joined.cache()
    assert image_id(1) in joined.endorsed()


def test_missing_bytes_that_come_wrong_are_given_up_too(joined: Site):
    joined.cache()
    Path(os.path.realpath(joined.store / "endorsed" / image_id(1))).unlink()
    wrong(joined)
    joined.server.forget()
    for _ in range(7):
        joined.cache(code=1)
    assert joined.server.gets("/images/1-v1.raw") == 5
    joined.told()
    joined.image(1)
    republish(joined, "2", joined.image(1), joined.image(2), joined.image(3))
    joined.cache()
    assert joined.told() == ["ProcessPrefix", "ProcessPostfix"]
    assert joined.endorsed()[image_id(1)].startswith(b"image 1 version 1")


def test_given_up_image_that_nobody_wants_any_more_is_forgotten(joined: Site):
    wrong(joined)
    for _ in range(6):
        joined.cache(code=1)
    joined.told()
    joined.expect(0, "image", "-r", "-u", image_id(1))
    joined.cache()
    assert joined.told() == ["ProcessPrefix", "ProcessPostfix"]
    joined.expect(0, "image", "-a", "-u", image_id(1))
    joined.image(1)
    joined.cache()
    assert joined.told() == ["ProcessPrefix", "AvailablePrefix 1", "AvailablePostfix 1", "ProcessPostfix"]


@pytest.mark.parametrize("fault", [{"mode": "503"}, {"mode": "close"}, {"mode": "status", "status": 404}])
def test_network_failures_are_no_tries(joined: Site, fault):
    joined.server.fault(
        "/images/1-v1.raw", fault["mode"], **{key: value for key, value in fault.items() if key != "mode"}
    )
    for _ in range(7):
        joined.cache(code=75)
    joined.server.heal("/images/1-v1.raw")
    joined.cache()
    assert image_id(1) in joined.endorsed()


@pytest.mark.parametrize("announced", [True, False])
def test_file_longer_than_the_image_is_wrong_and_never_stored(joined: Site, announced: bool):
    joined.server.fault("/images/1-v1.raw", "longer", extra=1 << 20, announced=announced)
    for attempt in range(1, 8):
        result = joined.cache(code=1)
        assert ("given up" if attempt > 5 else "size") in result.err
        assert all(path.stat().st_size <= len(b"image 1 version 1\n" * 100) for path in partials(joined))
    assert image_id(1) not in joined.endorsed()


def test_file_shorter_than_the_image_is_refused_before_it_is_fetched(joined: Site):
    joined.server.publish("/images/1-v1.raw", b"short")
    result = joined.cache(code=75)
    assert "5 bytes" in result.err
    assert partials(joined) == []
    assert image_id(1) not in joined.endorsed()


def test_one_image_that_fails_never_stops_the_others(joined: Site):
    wrong(joined, 1)
    joined.server.withdraw("/images/2-v1.raw")
    result = joined.cache(code=1)
    assert list(joined.endorsed()) == [image_id(3)]
    assert sum(line.startswith("ERROR") for line in result.err.splitlines()) == 2


# -- resuming


@pytest.fixture
def large(site: Site) -> Site:
    site.join(site.image(1, content=LARGE))
    site.select(1)
    return site


def test_next_run_goes_on_where_the_connection_broke(large: Site):
    large.server.fault("/images/1-v1.raw", "truncate", times=3, after=600_000)
    large.cache(code=75)
    (left,) = partials(large)
    held = left.stat().st_size
    assert 600_000 <= held < len(LARGE)
    large.server.forget()
    large.cache()
    assert ranges(large, "/images/1-v1.raw") == [f"bytes={held}-"]
    assert large.endorsed()[image_id(1)] == LARGE
    assert partials(large) == []


def test_file_that_changed_meanwhile_is_fetched_from_the_beginning(large: Site):
    large.server.publish("/images/1-v1.raw", bytes(len(LARGE)))
    large.server.fault("/images/1-v1.raw", "truncate", times=3, after=600_000)
    large.cache(code=75)
    large.server.publish("/images/1-v1.raw", LARGE)
    large.cache()
    assert large.endorsed()[image_id(1)] == LARGE


def test_resumed_bytes_that_do_not_match_are_fetched_once_more_from_the_beginning(large: Site):
    # The server says that the rest is of the same version; it is not, and only the digest shows it.
    large.server.publish("/images/1-v1.raw", bytes(len(LARGE)), etag='"same"')
    large.server.fault("/images/1-v1.raw", "truncate", times=3, after=600_000)
    large.cache(code=75)
    large.server.publish("/images/1-v1.raw", LARGE, etag='"same"')
    large.server.forget()
    large.cache()
    assert [wanted is None for wanted in ranges(large, "/images/1-v1.raw")] == [False, True]
    assert large.endorsed()[image_id(1)] == LARGE


def test_two_left_overs_that_are_no_use_cost_one_full_download(large: Site):
    large.server.publish("/images/1-v1.raw", bytes(len(LARGE)), etag='"same"')
    large.server.fault("/images/1-v1.raw", "truncate", times=3, after=600_000)
    large.cache(code=75)
    (left,) = partials(large)
    twin = left.with_name(left.name.rpartition("-")[0] + "-0123456789ab")
    twin.write_bytes(left.read_bytes()[:-1])
    Path(f"{twin}.json").write_bytes(Path(f"{left}.json").read_bytes())
    large.server.publish("/images/1-v1.raw", LARGE, etag='"same"')
    large.server.forget()
    large.cache()
    assert large.server.gets("/images/1-v1.raw") == 2
    assert partials(large) == []


def test_wrong_rest_counts_as_one_try(large: Site):
    large.server.fault("/images/1-v1.raw", "truncate", times=3, after=600_000)
    large.cache(code=75)
    content = bytearray(LARGE)
    content[-1] ^= 1
    tag = next(d.etag for p, d in large.server._plan.documents.items() if p == "/images/1-v1.raw")
    large.server.publish("/images/1-v1.raw", bytes(content), etag=tag)
    for _ in range(5):
        assert "wrong bytes" in large.cache(code=1).err
    assert "given up" in large.cache(code=1).err


# -- shared and missing bytes


def shared_images(site):
    first = site.image(1)
    same = ("hv:size", "hv:uri", "sl:checksum:sha512")
    return first, {**site.image(2), **{key: first[key] for key in same}}


def test_bytes_that_two_images_share_are_fetched_and_kept_once(site: Site):
    site.join(*shared_images(site))
    site.select(1, 2)
    site.cache()
    assert site.server.gets("/images/1-v1.raw") == 1
    assert len(list(site.store.glob("blobs/sha512/*/*"))) == 1
    assert sorted(site.endorsed()) == [image_id(1), image_id(2)]


def test_bytes_stay_while_one_of_the_images_that_share_them_stays(site: Site):
    site.join(*shared_images(site))
    site.select(1, 2)
    site.cache()
    site.expect(0, "image", "-r", "-u", image_id(1))
    site.cache()
    assert site.endorsed()[image_id(2)].startswith(b"image 1")


def test_corrupt_bytes_let_every_image_that_shares_them_leave_and_are_fetched_once(site: Site):
    site.join(*shared_images(site))
    site.select(1, 2)
    site.cache()
    site.told()
    path = Path(os.path.realpath(site.store / "endorsed" / image_id(1)))
    path.chmod(0o644)
    path.write_bytes(b"x" * path.stat().st_size)
    path.chmod(0o444)
    site.server.forget()
    site.cache("-s", code=1)
    assert site.told() == [
        "ProcessPrefix",
        "ExpirePrefix 1", "ExpirePostfix 1", "ExpirePrefix 2", "ExpirePostfix 2",
        "AvailablePrefix 1", "AvailablePostfix 1", "AvailablePrefix 2", "AvailablePostfix 2",
        "ProcessPostfix",
    ]  # fmt: skip
    assert site.server.gets("/images/1-v1.raw") == 1
    assert {entry["reason"] for entry in site.index("expired").values()} == {"corrupt"}
    assert len(list((site.store / "quarantine").iterdir())) == 1
    assert all(content.startswith(b"xxx") for content in site.expired().values())


def test_missing_bytes_are_fetched_again_without_a_word_to_the_cloud(joined: Site):
    joined.cache()
    before = joined.index()
    joined.told()
    Path(os.path.realpath(joined.store / "endorsed" / image_id(2))).unlink()
    joined.server.forget()
    joined.cache()
    assert joined.told() == ["ProcessPrefix", "ProcessPostfix"]
    assert joined.server.gets("/images/2-v1.raw") == 1
    assert joined.endorsed()[image_id(2)].startswith(b"image 2")
    assert joined.index() == before


def test_missing_bytes_that_cannot_be_had_expire_nothing(joined: Site):
    joined.cache()
    joined.told()
    Path(os.path.realpath(joined.store / "endorsed" / image_id(2))).unlink()
    joined.server.withdraw("/images/2-v1.raw")
    joined.cache(code=75)
    assert joined.told() == ["ProcessPrefix", "ProcessPostfix"]
    assert sorted(joined.index()) == [image_id(number) for number in (1, 2, 3)]


def test_bytes_that_were_fetched_again_are_not_checked_again(joined: Site, reads):
    joined.cache()
    Path(os.path.realpath(joined.store / "endorsed" / image_id(2))).unlink()
    joined.cache()
    reads.clear()
    joined.expect(0, "cache")
    assert reads == []


@pytest.fixture
def reads(monkeypatch):
    """The blobs whose bytes were read for a check."""
    from vmcatcher.store import blobs

    found: list[str] = []
    is_intact = blobs.is_intact

    def counted(layout, sha512, size_bytes, *goes_on):
        found.append(sha512)
        return is_intact(layout, sha512, size_bytes, *goes_on)

    monkeypatch.setattr(blobs, "is_intact", counted)
    return found


def test_image_that_left_a_list_and_comes_back_is_published_again_without_being_fetched(joined: Site):
    joined.cache()
    republish(joined, "2", joined.image(1), joined.image(2))
    joined.cache()
    republish(joined, "3", joined.image(1), joined.image(2), joined.image(3))
    joined.server.forget()
    joined.told()
    joined.cache()
    assert joined.told() == ["ProcessPrefix", "AvailablePrefix 3", "AvailablePostfix 3", "ProcessPostfix"]
    assert [path for path in (request.path for request in joined.server.requests) if path.startswith("/images")] == []
    assert len(joined.expired()) == 1


# -- files of this machine


def test_file_image_of_a_list_from_the_web_is_refused(site: Site):
    secret = site.root / "secret"
    secret.write_bytes(b"s" * 100)
    site.join(site.image(1, content=b"s" * 100, hv__uri=f"file://{secret}"))
    site.select(1)
    result = site.run("cache", "-x", f"cat >> {site.events}")
    assert result.code in (1, 75)
    assert site.endorsed() == {}
    assert partials(site) == []


def test_file_image_of_a_list_from_a_file_is_taken(site: Site):
    image = site.root / "image.raw"
    image.write_bytes(b"s" * 100)
    listed = site.root / "list.smime"
    listed.write_bytes(site.publish("1", site.image(1, content=b"s" * 100, hv__uri=f"file://{image}")))
    site.expect(0, "endorser", "-C", "-e", "alice", "--dn", site.alice.subject, "-I", site.alice.issuer)
    site.expect(0, "subscribe", "--pin-uri", "-s", str(listed))
    site.expect(0, "subscribe", "-U")
    site.select(1)
    site.cache()
    assert site.endorsed() == {image_id(1): b"s" * 100}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("what", ["link", "fifo", "device", "directory"])
def test_file_image_that_is_no_regular_file_is_refused(site: Site, what: str):
    path = site.root / "image.raw"
    (site.root / "secret").write_bytes(b"s" * 100)
    {
        "link": lambda: path.symlink_to(site.root / "secret"),
        "fifo": lambda: os.mkfifo(path),
        "device": lambda: None,
        "directory": path.mkdir,
    }[what]()
    uri = "file:///dev/zero" if what == "device" else f"file://{path}"
    listed = site.root / "list.smime"
    listed.write_bytes(site.publish("1", site.image(1, content=b"s" * 100, hv__uri=uri)))
    site.expect(0, "endorser", "-C", "-e", "alice", "--dn", site.alice.subject, "-I", site.alice.issuer)
    site.expect(0, "subscribe", "--pin-uri", "-s", str(listed))
    site.expect(0, "subscribe", "-U")
    site.select(1)
    assert site.run("cache").code in (1, 75)
    assert site.endorsed() == {}
