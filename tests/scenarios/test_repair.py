"""`store check --repair` and the runs around it: what is made again, what is kept, what only the operator can do."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from support.acts import portrait
from support.checked import check
from support.faults import Fail, Faults, Kill, Killed
from support.site import LIST_ID, Site, image_id
from vmcatcher.services.context import Context
from vmcatcher.services.repairing import repair_store
from vmcatcher.store import locks, root
from vmcatcher.store.check import check_store
from vmcatcher.store.views import Views

OTHER_ID = "22222222-aaaa-4aaa-8aaa-000000000002"


@pytest.fixture
def cached(site: Site) -> Site:
    """Two subscriptions, images of both in the cache, one version that left."""
    site.join(site.image(1), site.image(2), site.image(3))
    other = {"dc__identifier": OTHER_ID, "hv__uri": site.server.url("/other")}
    site.publish("1", site.image(5), path="/other", **other)
    site.expect(0, "subscribe", "-s", site.server.url("/other"))
    site.expect(0, "subscribe", "-U")
    site.select(1, 2, 3, 5)
    site.cache()
    site.publish("2", site.image(1), site.image(2))
    site.expect(0, "subscribe", "-U")
    site.cache()
    site.told()
    site.server.forget()
    return site


def own(site: Site, name: str, list_id: str = LIST_ID) -> Path:
    return site.store / "subscriptions" / list_id / name


def record(site: Site, number: int) -> Path:
    return site.store / "cache" / image_id(number) / "1.json"


def kept(site: Site) -> list[str]:
    paths = (site.store / "quarantine").iterdir()
    return sorted(path.name.rpartition(".")[0] for path in paths if not path.name.startswith(".tmp-"))


# -- the command


def test_repair_says_what_it_did_and_ends_by_what_is_left(cached: Site):
    own(cached, "manifest.json").write_text("{")
    (cached.store / "marks" / f"{LIST_ID}.json").write_bytes(b"\xff")
    record(cached, 1).write_bytes(b"")
    found = cached.call("vmcatcher", "store", "check")
    assert found.code == 1
    done = cached.call("vmcatcher", "store", "check", "--repair")
    assert done.code == 0, done
    assert sorted(line.split(": ")[0] for line in done.lines) == ["I1 repaired"] * 3
    assert f"cache.{image_id(1)}.1.json" in done.out
    assert "made again as endorsed" in done.out
    assert cached.call("vmcatcher", "store", "check", "--data").code == 0
    assert kept(cached) == [f"cache.{image_id(1)}.1.json", f"marks.{LIST_ID}.json"]


def test_repair_of_a_sound_store_does_nothing(cached: Site):
    before = cached.tree()
    done = check(cached, "--data", "--repair")
    assert (done.code, done.out) == (0, "")
    assert cached.tree() == before


def test_repair_in_json_names_what_was_done_and_what_is_left(cached: Site):
    own(cached, "subscription.json").write_text("{")
    own(cached, "index.tsv", OTHER_ID).write_text("torn")
    done = check(cached, "--repair", "--json")
    assert done.code == 1
    assert {(one["invariant"], os.path.basename(one["path"])) for one in done.answer["repaired"]} == {
        ("I1", "subscription.json"),
        ("I10", "index.tsv"),
    }
    assert [one["path"] for one in done.answer["findings"] if one["damage"]] == [str(own(cached, "subscription.json"))]
    assert done.answer["damaged"] == 1


@pytest.mark.parametrize("name", ["update", "cache"])
def test_repair_waits_for_no_run_but_says_who_is_at_it(cached: Site, name):
    layout = root.open_store(str(cached.store))
    context = Context(layout, cached.now, "vmcatcher_cache")
    with context.lock(name):
        done = check(cached, "--repair")
    assert done.code == 75
    assert "vmcatcher_cache" in done.err
    assert locks.__name__  # the check itself needs no lock
    assert check(cached).code == 0


def test_repair_that_cannot_write_says_so_and_keeps_the_finding(cached: Site):
    own(cached, "index.tsv").write_text("torn")
    with Faults(Fail(3, 28, sticky=True)):
        done = check(cached, "--repair")
    assert done.code == 1
    assert "no space for" in done.err
    assert "I10 damage" in done.out
    assert check(cached, "--repair").code == 0


# -- decisions


def test_damaged_subscription_hides_no_other_one(cached: Site):
    own(cached, "subscription.json").write_text("{")
    listed = cached.run("image", "-l")
    assert listed.code == 1
    assert listed.out == f"{image_id(5)}\t3\t{OTHER_ID}\n"
    assert f"subscription {LIST_ID}: " in listed.err
    assert "is damaged" in listed.err
    subscribed = cached.run("subscribe", "-l")
    assert subscribed.code == 1
    assert subscribed.out.startswith(OTHER_ID)
    assert LIST_ID in subscribed.err
    assert LIST_ID not in subscribed.out
    assert json.loads(cached.run("image", "-l", "-f", "json").out)
    cached.expect(0, "image", "-r", "-u", image_id(5))
    cached.expect(0, "image", "-i", "-u", image_id(5))
    for words in (("-a", "-u", image_id(1)), ("-i", "-u", image_id(1))):
        result = cached.run("image", *words)
        assert (result.code, "is damaged" in result.err) == (1, True)


def test_subscription_that_was_put_aside_expires_nothing_until_it_is_decided_anew(cached: Site):
    before = own(cached, "subscription.json").read_bytes()
    own(cached, "subscription.json").write_bytes(before[:100])
    done = check(cached, "--repair")
    assert done.code == 1
    assert f"vmcatcher_subscribe -s {cached.server.url('/list')}" in done.out
    assert kept(cached) == [f"subscriptions.{LIST_ID}.subscription.json"]
    for _ in range(2):
        assert cached.run("cache", "-x", f"cat >> {cached.events}").code == 1
        assert cached.run("subscribe", "-U").code == 1
    assert sorted(cached.endorsed()) == [image_id(number) for number in (1, 2, 5)]
    assert set(cached.told()) == {"ProcessPrefix", "ProcessPostfix"}
    assert cached.run("image", "-l").code == 1
    assert cached.run("subscribe", "-i", "-u", LIST_ID).code == 1
    # From a backup:
    own(cached, "subscription.json").write_bytes(before)
    assert check(cached, "--repair").code in (0, 4)
    cached.expect(0, "subscribe", "-U")
    cached.cache()
    assert check(cached, "--data").code == 0


def test_subscription_that_was_put_aside_can_be_subscribed_to_again(cached: Site):
    own(cached, "subscription.json").write_bytes(b"")
    assert check(cached, "--repair").code == 1
    cached.expect(0, "subscribe", "-s", cached.server.url("/list"))
    cached.select(1, 2)
    cached.expect(0, "subscribe", "-U")
    cached.cache()
    assert cached.told() == ["ProcessPrefix", "ProcessPostfix"]
    assert check(cached, "--data").code == 0
    cached.expect(0, "subscribe", "-D", "-u", LIST_ID)
    cached.expect(0, "image", "-l")


def test_endorser_that_was_put_aside_stops_cache_runs_until_it_is_made_again(cached: Site):
    document = cached.store / "endorsers" / "alice.json"
    document.write_bytes(b"{")
    done = check(cached, "--repair")
    assert done.code == 1
    assert "no cache run changes anything" in done.out
    result = cached.run("cache", "-x", f"cat >> {cached.events}")
    assert (result.code, "alice.json is lost" in result.err) == (1, True)
    assert cached.told() == ["ProcessPrefix", "ProcessPostfix"]
    assert len(cached.endorsed()) == 3
    cached.expect(0, "endorser", "-C", "-e", "alice", "--dn", cached.alice.subject, "-I", cached.alice.issuer)
    cached.cache()
    assert check(cached).code == 0
    cached.expect(0, "endorser", "-D", "-e", "alice")
    cached.cache()
    assert cached.endorsed() == {}


def test_password_that_was_put_aside_is_damage_until_it_is_set_again(cached: Site):
    password = cached.root / "password"
    password.write_text("hush")
    words = ("subscribe", "-u", LIST_ID, "--uri-password-file", str(password), "--uri-username-set", "me")
    cached.expect(0, *words)
    own(cached, "secret.json").write_text("{")
    assert check(cached).code == 1
    done = check(cached, "--repair")
    assert (done.code, "--uri-password-file" in done.out) == (1, True)
    (aside,) = (cached.store / "quarantine").iterdir()
    assert aside.stat().st_mode & 0o777 == 0o600
    cached.expect(0, *words)
    assert check(cached).code == 0


# -- what a run mends


def test_run_puts_aside_what_it_can_do_without(cached: Site):
    for name in ("fetch.json", "manifest.json", "index.tsv", "verdict.json"):
        own(cached, name).unlink(missing_ok=True)
        own(cached, name).mkdir()
    result = cached.run("subscribe", "-U")
    assert result.code == 1
    assert "kept aside as quarantine/" in result.err
    cached.expect(0, "subscribe", "-U")
    cached.cache()
    assert check(cached, "--data").code == 0
    assert len(kept(cached)) == 4


def test_damaged_mark_is_made_again_and_no_older_list_gets_in(cached: Site):
    (cached.store / "marks" / f"{LIST_ID}.json").write_bytes(b"")
    cached.publish("1", cached.image(1))
    result = cached.run("subscribe", "-U")
    assert result.code == 17, result
    assert f"marks.{LIST_ID}.json" in result.err
    assert check(cached).code == 0


def test_list_that_was_put_aside_is_no_reason_to_go_back_to_an_older_one(cached: Site):
    newest = max(own(cached, "lists").glob("*.smime"))
    newest.write_bytes(b"rotten")
    done = check(cached, "--repair")
    assert done.code == 4
    cached.cache()
    assert sorted(cached.endorsed()) == [image_id(number) for number in (1, 2, 5)]
    assert cached.told() == ["ProcessPrefix", "ProcessPostfix"]
    # The server may say that nothing has changed: that would be about the list that is not here.
    cached.expect(0, "subscribe", "-U")
    assert check(cached, "--data").code == 0
    assert own(cached, "lists").joinpath(newest.name).exists() or len(list(own(cached, "lists").glob("*.smime"))) == 2


def test_record_of_an_image_that_left_meanwhile_still_tells_that_it_left(cached: Site):
    record(cached, 1).write_bytes(b"")
    cached.expect(0, "subscribe", "-D", "-u", LIST_ID)
    cached.cache(code=1)
    assert cached.told() == [
        "ProcessPrefix",
        "AvailablePostfix 1",
        "ExpirePrefix 1",
        "ExpirePostfix 1",
        "ExpirePrefix 2",
        "ExpirePostfix 2",
        "ProcessPostfix",
    ]
    assert sorted(cached.endorsed()) == [image_id(5)]
    assert check(cached, "--data").code == 0


def test_record_without_its_link_is_told_to_leave_and_comes_again(cached: Site):
    record(cached, 1).write_bytes(b"")
    (cached.store / "endorsed" / image_id(1)).unlink()
    cached.cache(code=1)
    assert cached.told()[1:-1] == ["ExpirePrefix 1", "ExpirePostfix 1", "AvailablePrefix 1", "AvailablePostfix 1"]
    assert cached.server.gets("/images/1-v1.raw") == 0


def test_record_of_an_expired_version_is_made_again_with_its_name_and_reason(cached: Site):
    before = json.loads(record(cached, 3).read_text())
    record(cached, 3).write_bytes(b"[]")
    assert check(cached, "--repair").code == 0
    after = json.loads(record(cached, 3).read_text())
    for member in ("image", "sha512", "size", "uri", "list", "state", "reason", "expired_name", "expired", "fields"):
        assert after[member] == before[member], member
    assert [own["kind"] for own in after["owed"]] == ["ExpirePostfix"]


def test_index_that_rotted_is_not_believed(cached: Site):
    path = own(cached, "index.tsv")
    path.write_bytes(path.read_bytes().replace(b"\n1\t", b"\n0\t", 1))
    assert cached.states()[image_id(1)] == 3
    assert "I10 damage" in check(cached).out


def test_document_changed_by_hand_is_taken_once_its_seal_is_out(cached: Site):
    path = own(cached, "subscription.json")
    changed = path.read_text().replace('"A test list"', '"My list"')
    path.write_text(changed)
    result = cached.run("subscribe", "-l")
    assert (result.code, "take out the line" in result.err) == (1, True)
    lines = changed.splitlines()
    path.write_text("\n".join([*lines[:-3], lines[-3].rstrip(","), lines[-1]]) + "\n")
    assert cached.run("subscribe", "-l").code == 0
    assert check(cached).code == 4


# -- a repair that is killed


def ruin(site: Site) -> None:
    own(site, "subscription.json", OTHER_ID).write_text("{")
    own(site, "manifest.json").write_text("{")
    own(site, "fetch.json").unlink()
    own(site, "fetch.json").mkdir()
    (site.store / "marks" / f"{LIST_ID}.json").write_bytes(b"")
    record(site, 1).write_bytes(b"")
    record(site, 3).write_bytes(b"")
    (site.store / "endorsed" / image_id(2)).unlink()
    (site.store / "endorsed" / "cache.index").write_text("[")
    (site.store / "trust").rmdir()
    min(own(site, "lists").glob("*.smime")).write_bytes(b"x")
    rotten = Path(os.path.realpath(site.store / "endorsed" / image_id(5)))
    rotten.chmod(0o644)
    rotten.write_bytes(b"x" * rotten.stat().st_size)


def mended(site: Site) -> dict[str, object]:
    """Return the store without what carries a random name or a time of its own."""
    random = ("quarantine/", ".lost")
    found = {path: what for path, what in portrait(site.store).items() if not any(word in path for word in random)}
    return found | {"quarantine": sorted(set(kept(site)))}


@pytest.mark.slow
def test_repair_killed_at_any_call_is_finished_by_the_next_one(cached: Site):
    ruin(cached)
    before = cached.root / "before"
    shutil.copytree(cached.store, before, symlinks=True)
    layout = root.open_store(str(cached.store))

    def repair() -> None:
        repair_store(Context(layout, cached.now, "test"), read_bytes=True, shown=Views.inside(layout))

    with Faults() as counted:
        repair()
    whole = mended(cached)
    most = len(kept(cached))
    assert [one.path for one in check_store(layout) if one.is_damage] == [
        str(own(cached, "subscription.json", OTHER_ID))
    ]
    assert counted.count > 40
    for number in range(0, counted.count, 3):
        shutil.rmtree(cached.store)
        shutil.copytree(before, cached.store, symlinks=True)
        with Faults(Kill(number)), pytest.raises(Killed):
            repair()
        repair()
        assert mended(cached)["quarantine"] == whole["quarantine"], number
        assert len(kept(cached)) >= most, number
        different = {
            path for path in mended(cached).keys() | whole.keys() if mended(cached).get(path) != whole.get(path)
        }
        assert different == set(), (number, counted.calls[number])
