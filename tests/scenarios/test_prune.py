"""What `vmcatcher store prune` drops, what it keeps, and what it says."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from support.disks import second_file_system
from support.pruning import CacheHeld, age, blob, blobs, lapse, prune, snapshot_of, stranger_names, vmcatcher
from support.site import LIST_ID, Result, Site, image_id
from support.tree import check_invariants
from vmcatcher.store import aside, files, reading, root

# Dozens of whole sites.
pytestmark = pytest.mark.slow

DAY = timedelta(days=1)
MANY_DAYS = timedelta(days=1000)


@pytest.fixture
def left(site: Site) -> Site:
    """A site whose image 1 is in use, whose image 2 left 100 days ago, and whose image 3 was replaced then."""
    site.join(site.image(1), site.image(2), site.image(3))
    site.select(1, 2, 3)
    site.cache()
    site.publish("2", site.image(1), site.image(3, "2"))
    site.expect(0, "subscribe", "-U")
    site.cache()
    lapse(site, 100 * DAY)
    return site


def kinds(result: Result) -> list[str]:
    return [line.partition(" ")[0] for line in result.lines if not line.startswith(("total:", "nothing is changed"))]


def notes(site: Site) -> list[str]:
    return vmcatcher(site, "store", "check", "--data").lines


def test_expired_image_is_dropped_with_record_link_index_entry_and_bytes(left: Site):
    gone = [one["sha512"] for one in left.index("expired").values()]
    assert len(gone) == 2
    result = prune(left)
    assert result.code == 0, result
    assert kinds(result) == ["expired", "expired", "blob", "blob"]
    assert left.expired() == {}
    assert left.index("expired") == {}
    assert not blobs(left) & set(gone)
    assert not (left.store / "cache" / image_id(2)).exists()
    assert [path.name for path in (left.store / "cache" / image_id(3)).iterdir()] == ["2.json"]
    assert sorted(left.endorsed()) == [image_id(1), image_id(3)]
    assert check_invariants(left.store) == []
    assert notes(left) == []


def test_cache_run_after_pruning_fetches_and_tells_nothing(left: Site):
    prune(left)
    left.told()
    left.server.forget()
    left.now -= 100 * DAY  # the list would be over
    left.cache()
    assert left.told() == ["ProcessPrefix", "ProcessPostfix"]
    assert left.server.requests == []


def test_expired_image_younger_than_the_retention_keeps_everything(left: Site):
    before = left.tree()
    result = prune(left, "--expired-retention", "101d")
    assert (result.code, result.lines) == (0, ["total: 0 things, 0 bytes"])
    assert left.tree() == before


def test_bytes_younger_than_the_grace_stay_when_their_entry_goes(left: Site):
    result = prune(left, "--grace", "101d")
    assert kinds(result) == ["expired", "expired"]
    assert len(blobs(left)) == 4
    assert kinds(prune(left, "--grace", "99d")) == ["blob", "blob"]


def test_keep_stands_for_ever(left: Site):
    lapse(left, MANY_DAYS)
    assert kinds(prune(left, "--expired-retention", "keep", "--grace", "keep")) == []


def test_bytes_that_another_image_uses_stay(site: Site):
    shared = site.image(1)
    site.join(shared, {**site.image(2), **{key: shared[key] for key in ("hv:size", "hv:uri", "sl:checksum:sha512")}})
    site.select(1, 2)
    site.cache()
    site.expect(0, "image", "-r", "-u", image_id(2))
    site.cache()
    lapse(site, 100 * DAY)
    assert kinds(prune(site)) == ["expired"]
    assert list(site.endorsed()) == [image_id(1)]


def test_bytes_that_a_current_list_names_and_the_operator_selected_stay_without_any_record(site: Site):
    site.join(site.image(1), site.image(2))
    site.select(1, 2)
    site.cache()
    shutil.rmtree(site.store / "cache")
    shutil.rmtree(site.store / "endorsed")
    site.expect(0, "image", "-r", "-u", image_id(2))
    lapse(site, 100 * DAY)
    assert kinds(prune(site)) == ["blob"]
    site.server.forget()
    site.now -= 100 * DAY
    site.cache()
    assert site.server.requests == []
    assert list(site.endorsed()) == [image_id(1)]


def test_link_in_the_endorsed_view_keeps_its_bytes_without_any_record(site: Site):
    site.join(site.image(1))
    site.select(1)
    site.cache()
    shutil.rmtree(site.store / "cache")
    site.expect(0, "image", "-r", "-u", image_id(1))
    lapse(site, 100 * DAY)
    assert kinds(prune(site)) == []


def test_old_lists_keep_no_bytes(site: Site):
    site.join(site.image(1))
    site.select(1)
    site.cache()
    site.publish("2", site.image(1, "2"))
    site.expect(0, "subscribe", "-U")
    site.cache()
    lapse(site, 100 * DAY)
    assert kinds(prune(site)) == ["expired", "blob"]
    assert sorted(path.name[:6] for path in lists(site)) == ["000001", "000001", "000002", "000002"]


def test_image_whose_leaving_was_not_told_keeps_its_record_and_its_bytes(site: Site):
    site.join(site.image(1))
    site.select(1)
    site.cache()
    site.expect(0, "image", "-r", "-u", image_id(1))
    assert site.run("cache", "-x", "exit 1").code in (0, 1)
    lapse(site, 100 * DAY)
    assert kinds(prune(site)) == []
    site.cache()
    assert "ExpirePostfix 1" in site.told()
    assert kinds(prune(site)) == ["expired", "blob"]


def test_version_that_was_given_up_is_dropped_with_its_record(site: Site):
    wrong = site.image(1)
    site.server.publish("/images/1-v1.raw", b"x" * int(str(wrong["hv:size"])))
    site.join(wrong)
    site.select(1)
    site.run("cache")
    site.expect(0, "image", "-r", "-u", image_id(1))
    site.cache()
    lapse(site, 100 * DAY)
    result = prune(site)
    assert kinds(result) == ["expired"]
    assert "given up" in result.out
    assert not (site.store / "cache" / image_id(1)).exists()


def test_expired_link_without_a_record_is_dropped_when_its_name_says_that_it_is_old(left: Site):
    names = sorted(left.expired())
    for image in (2, 3):
        (left.store / "cache" / image_id(image) / "1.json").unlink()
    fresh = f"{image_id(2)}.{(left.now - DAY):%Y-%m-%d_%H-%M-%S}"
    os.rename(left.store / "expired" / names[0], left.store / "expired" / fresh)
    result = prune(left)
    assert kinds(result) == ["expired", "blob"]
    assert "no record stands behind it" in result.out
    assert sorted(left.expired()) == [fresh]


def test_pruning_again_drops_nothing_more(left: Site):
    prune(left, "--snapshots", "0", "--event-log", "0")
    before = left.tree()
    assert prune(left, "--snapshots", "0", "--event-log", "0").lines == ["total: 0 things, 0 bytes"]
    assert left.tree() == before


# -- what it says


def test_dry_run_says_what_the_run_does_and_changes_nothing(left: Site):
    options = ("--snapshots", "0", "--event-log", "0", "--grace", "1d")
    before = everything(left.store)
    planned = prune(left, "--dry-run", *options)
    assert planned.code == 0
    assert everything(left.store) == before
    done = prune(left, *options)
    assert planned.lines[0] == "nothing is changed; this is what would be dropped:"
    assert planned.lines[1:] == done.lines
    assert {"expired", "blob", "snapshot", "event-log"} <= set(kinds(done))


def everything(store: Path) -> dict[str, tuple[int, ...]]:
    found = {}
    for directory, _, names in os.walk(store):
        for path in (Path(directory), *(Path(directory, name) for name in names)):
            status = path.lstat()
            found[str(path)] = (status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_size)
    return found


def test_dry_run_takes_no_lock(left: Site):
    with CacheHeld(left):
        assert kinds(prune(left, "--dry-run")) == ["expired", "expired", "blob", "blob"]


def test_freed_bytes_are_what_the_disk_had_given(left: Site):
    (doomed,) = (one["sha512"] for name, one in left.index("expired").items() if name.startswith(image_id(2)))
    given = blob(left, doomed).lstat().st_blocks * 512
    lines = prune(left).lines
    assert any(line.startswith("blob ") and doomed in line and line.endswith(f"; {given} bytes") for line in lines)
    counted = sum(int(line.rpartition("; ")[2].split()[0]) for line in lines[:-1])
    assert lines[-1] == f"total: 4 things, {counted} bytes"


def test_bytes_with_another_name_free_nothing_and_are_said_to_stay(left: Site):
    subprocess.run(["cp", "-al", left.store, left.root / "backup"], check=True)
    result = prune(left, "--json")
    dropped = [one for one in result.answer["dropped"] if one["kind"] == "blob"]
    assert [(one["freed"], one["shared"]) for one in dropped] == [(0, True)] * 2
    assert len(list((left.root / "backup" / "blobs" / "sha512").glob("*/*"))) == 4
    shutil.rmtree(left.root / "backup")


def test_line_of_bytes_with_another_name_says_so(left: Site):
    subprocess.run(["cp", "-al", left.store, left.root / "backup"], check=True)
    lines = [line for line in prune(left, "--dry-run").lines if line.startswith("blob ")]
    assert all(line.endswith("; 0 bytes (the bytes have another name and stay)") for line in lines)
    assert len(lines) == 2


def test_json_is_one_document_with_every_thing_and_the_total(left: Site):
    planned = prune(left, "--json", "--dry-run")
    document = planned.answer
    assert document["dry_run"] is True
    assert planned.errors == []
    assert document["freed"] == sum(one["freed"] for one in document["dropped"])
    assert [one["kind"] for one in document["dropped"]] == ["expired", "expired", "blob", "blob"]
    assert set(document["dropped"][0]) == {"kind", "path", "reason", "size", "freed", "shared"}
    done = prune(left, "--json").answer
    assert {**document, "dry_run": False} == done


# -- other kinds


def lists(site: Site) -> list[Path]:
    return list((site.store / "subscriptions" / LIST_ID / "lists").iterdir())


def test_replaced_lists_are_dropped_when_asked_for_but_those_that_a_kept_image_came_with(site: Site):
    site.join(site.image(1), site.image(2))
    site.select(1)
    site.cache()
    kept = snapshot_of(site, 1)
    for version in ("2", "3", "4"):
        site.now += DAY
        site.publish(version, site.image(1), site.image(2))
        site.expect(0, "subscribe", "-U")
    assert kinds(prune(site)) == []
    assert kinds(prune(site, "--snapshots", "2d")) == []
    assert kinds(prune(site, "--snapshots", "1d")) == ["snapshot"]
    assert kinds(prune(site, "--snapshots", "0")) == ["snapshot"]
    names = sorted(path.name for path in lists(site))
    assert len(names) == 4
    assert names[0].startswith(kept)
    assert check_invariants(site.store) == []
    site.expect(0, "subscribe", "-U")


def test_current_list_stays_however_old_it_is(site: Site):
    site.join(site.image(1))
    lapse(site, MANY_DAYS)
    assert kinds(prune(site, "--snapshots", "0", "--grace", "0")) == []


@pytest.mark.parametrize(("option", "kind"), [("--event-log", "event-log"), ("--failed-events", "failed-event")])
def test_log_and_events_given_up_go_when_asked_for(site: Site, option: str, kind: str):
    site.join(site.image(1))
    site.select(1)
    site.cache()
    site.told()
    failed = site.store / "events" / "failed" / "0a1b2c3d-0000-4000-8000-000000000001.json"
    failed.write_text('{"format": 1}')
    lapse(site, 30 * DAY)
    assert kinds(prune(site)) == []
    assert kinds(prune(site, option, "31d")) == []
    assert kinds(prune(site, option, "29d")) == [kind]
    assert kinds(prune(site, option, "0")) == []


def rotten(site: Site) -> None:
    site.join(site.image(1))
    site.select(1)
    site.cache()
    path = Path(os.path.realpath(site.store / "endorsed" / image_id(1)))
    path.chmod(0o644)
    path.write_bytes(b"x" * path.stat().st_size)
    path.chmod(0o444)
    site.cache("-s", code=1)


def test_quarantine_goes_when_asked_for_and_no_entry_leads_there(site: Site):
    rotten(site)
    lapse(site, 60 * DAY)
    assert kinds(prune(site, "--quarantine", "30d")) == []
    assert kinds(prune(site, "--expired-retention", "30d")) == ["expired"]
    assert kinds(prune(site)) == []
    assert kinds(prune(site, "--quarantine", "30d")) == ["quarantine"]
    assert list((site.store / "quarantine").iterdir()) == []
    assert list(site.endorsed()) == [image_id(1)]


def test_what_interrupted_runs_left_goes_after_the_grace_whichever_host_they_ran_on(site: Site):
    site.join(site.image(1))
    digest = str(site.image(1)["sl:checksum:sha512"])
    partial = site.store / "partial"
    for pid, host in ((1, "elsewhere.example.org"), (2, None)):
        path = partial / f"{digest}.{pid}-{pid:012x}"
        path.write_bytes(b"half")
        if host:
            note = {"uri": "http://x/", "validator": None, "host": host, "pid": pid}
            Path(f"{path}.json").write_text(json.dumps(note))
    for directory in ("partial", "cache", "endorsed", "subscriptions/" + LIST_ID):
        (site.store / directory / f".tmp-77-{'ab' * 8}").write_bytes(b"half a document")
    lapse(site, timedelta(minutes=30))
    assert kinds(prune(site, "--grace", "0")) == []  # somebody on another host may be writing to them
    lapse(site, 13 * DAY)
    assert kinds(prune(site)) == []
    lapse(site, 1 * DAY)
    assert sorted(kinds(prune(site))) == ["partial"] * 2 + ["temporary"] * 4
    assert list(partial.iterdir()) == []


def test_download_of_a_run_that_is_dead_needs_no_other_grace_than_the_one_given(site: Site):
    site.join(site.image(1))
    done = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    pid = int(done.stdout)
    path = site.store / "partial" / f"{site.image(1)['sl:checksum:sha512']}.{pid}-{pid:012x}"
    path.write_bytes(b"half")
    note = {"uri": "http://x/", "validator": None, "host": os.uname().nodename, "pid": pid}
    Path(f"{path}.json").write_text(json.dumps(note))
    lapse(site, timedelta(minutes=2))
    assert kinds(prune(site, "--grace", "5m")) == []
    assert kinds(prune(site, "--grace", "1m")) == ["partial"]


def test_download_in_flight_keeps_the_blob_that_it_is_of(site: Site):
    site.join(site.image(1))
    site.select(1)
    site.cache()
    digest = str(site.image(1)["sl:checksum:sha512"])
    site.expect(0, "image", "-r", "-u", image_id(1))
    site.cache()
    lapse(site, 100 * DAY)
    path = site.store / "partial" / f"{digest}.4-{4:012x}"
    path.write_bytes(b"half")
    os.utime(path, (site.now.timestamp(), site.now.timestamp()))
    assert kinds(prune(site)) == ["expired"]
    path.unlink()
    assert kinds(prune(site)) == ["blob"]


# -- what it never touches


def test_files_of_somebody_else_stay_whatever_they_look_like(left: Site):
    there = []
    for directory, names in stranger_names().items():
        for name in names:
            path = left.store / directory / name
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(b"somebody's")
                age(path, MANY_DAYS)
            there.append(path)
    victim = left.root / "victim"
    victim.write_bytes(b"somebody's")
    for directory in (
        "blobs/sha512/aa/" + "aa" * 64,
        "events/failed/abc.json",
        "partial/" + "b" * 128 + ".1-" + "c" * 12,
    ):
        link = left.store / directory
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(victim)
        os.utime(link, (1, 1), follow_symlinks=False)
        there.append(link)
    (left.store / "blobs/sha512/ab" / ("ab" * 64)).mkdir(parents=True)
    before = {path: path.lstat().st_mtime_ns for path in there}
    everything_off = (
        "--snapshots",
        "0",
        "--event-log",
        "0",
        "--failed-events",
        "0",
        "--quarantine",
        "0",
        "--grace",
        "0",
    )
    lapse(left, timedelta(hours=2))
    result = prune(left, *everything_off, "--expired-retention", "0")
    assert result.code == 0, result
    assert {path: path.lstat().st_mtime_ns for path in there if path.exists() or path.is_symlink()} == before
    assert victim.read_bytes() == b"somebody's"
    assert (left.store / "blobs/sha512/ab" / ("ab" * 64)).is_dir()


def test_file_of_somebody_else_in_the_place_of_an_expired_link_stays(left: Site):
    name = next(name for name in sorted(left.expired()) if name.startswith(image_id(2)))
    place = left.store / "expired" / name
    place.unlink()
    place.write_bytes(b"somebody's")
    assert kinds(prune(left)) == ["expired", "expired", "blob", "blob"]
    assert place.read_bytes() == b"somebody's"


# -- what cannot be


def test_run_that_is_going_on_is_named_and_nothing_is_dropped(left: Site):
    before = left.tree()
    with CacheHeld(left):
        result = prune(left)
    assert result.code == 75
    assert "the cache lock is held by" in result.err
    assert left.tree() == before


def test_store_that_is_not_there_is_said_so(site: Site):
    for options in ((), ("--dry-run",)):
        result = prune(site, *options)
        assert result.code == 75
        assert "there is no store" in result.err


@pytest.mark.parametrize("option", ["--expired-retention", "--grace", "--snapshots", "--quarantine"])
def test_retention_that_is_none_is_refused_by_its_option(left: Site, option: str):
    result = prune(left, option, "90")
    assert result.code == 1
    assert f"{option} is '90'" in result.err


def test_retention_is_taken_from_the_variable_and_from_the_settings_file(left: Site):
    assert kinds(prune(left, "--dry-run", VMCATCHER_RETENTION_EXPIRED="200d")) == []
    config = left.root / "vmcatcher.toml"
    config.write_text('[retention]\nexpired = "200d"\n')
    assert kinds(prune(left, "--dry-run", VMCATCHER_CONFIG=str(config))) == []
    config.write_text('[retention]\nexpired = "soon"\n')
    assert f"retention.expired in {config} is 'soon'" in prune(left, VMCATCHER_CONFIG=str(config)).err
    assert "VMCATCHER_RETENTION_GRACE is 'x'" in prune(left, VMCATCHER_RETENTION_GRACE="x").err


def test_record_that_cannot_be_read_keeps_all_bytes_lists_and_quarantine(left: Site):
    (left.store / "cache" / image_id(1) / "1.json").write_text("{")
    result = prune(left, "--snapshots", "0", "--quarantine", "0", "--event-log", "0")
    assert result.code == 1
    assert set(kinds(result)) == {"expired", "event-log"}
    assert len(blobs(left)) == 4
    assert "1.json is damaged" in result.err


@pytest.mark.parametrize("damaged", ["subscription.json", "evidence"])
def test_list_that_cannot_be_read_keeps_all_bytes(left: Site, damaged: str):
    directory = left.store / "subscriptions" / LIST_ID
    path = max((directory / "lists").glob("*.evidence")) if damaged == "evidence" else directory / damaged
    path.write_text("{")
    result = prune(left)
    assert result.code == 1
    assert kinds(result) == ["expired", "expired"]
    assert len(blobs(left)) == 4
    assert "is damaged" in result.err


def test_subscription_that_was_damaged_and_put_aside_keeps_all_bytes_and_stays_in_quarantine(left: Site):
    path = left.store / "subscriptions" / LIST_ID / "subscription.json"
    layout = root.open_store(str(left.store))
    place = aside.lose(layout, str(path))
    result = prune(left, "--quarantine", "0", "--expired-retention", "keep")
    assert result.code == 1
    assert kinds(result) == []
    assert "subscription.json" in result.err
    assert os.path.exists(place)
    os.rename(place, path)
    assert prune(left, "--quarantine", "0").code == 0


def test_note_of_a_loss_that_cannot_be_read_keeps_all_of_quarantine(site: Site):
    rotten(site)
    endorser = site.store / "endorsers" / "alice.json"
    aside.lose(root.open_store(str(site.store)), str(endorser))
    lapse(site, 100 * DAY)
    Path(f"{endorser}.lost").write_text("{")
    assert "quarantine" not in kinds(prune(site, "--quarantine", "0"))
    Path(f"{endorser}.lost").unlink()
    assert kinds(prune(site, "--quarantine", "0")).count("quarantine") == 2


def test_thing_that_cannot_be_dropped_never_stops_the_others(left: Site, monkeypatch: pytest.MonkeyPatch):
    stuck = next(name for name in sorted(left.expired()) if name.startswith(image_id(2)))
    real = files.drop

    def drop(path: str) -> bool:
        if os.path.basename(path) == stuck:
            with reading.reported(path):
                raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(files, "drop", drop)
    result = prune(left)
    assert result.code == 1
    assert kinds(result) == ["expired", "blob"]
    assert f"{stuck}: cannot write" in result.err
    # Its bytes stay, or the link that is still there would lead nowhere.
    assert list(left.expired()) == [stuck]
    assert list(left.index("expired")) == [stuck]


# -- views of other kinds, and in other places


@pytest.mark.parametrize("links", ["hardlink", "copy"])
def test_views_of_files_lose_their_entries_and_the_bytes_are_counted_once(site: Site, links: str):
    site.environment["VMCATCHER_VIEW_LINKS"] = links
    # Too long for a file system that keeps small files in their inodes, and in one block with all of them.
    site.join(site.image(1), site.image(2, content=b"x" * 4096))
    site.select(1, 2)
    site.cache()
    site.expect(0, "image", "-r", "-u", image_id(2))
    site.cache()
    lapse(site, 100 * DAY)
    result = prune(site, "--json")
    assert [one["kind"] for one in result.answer["dropped"]] == ["expired", "blob"]
    entry, stored = result.answer["dropped"]
    # A record and, where the view has a copy, its bytes; hard links give the bytes back with the blob, which goes last.
    assert entry["freed"] // 4096 == (2 if links == "copy" else 1)
    assert entry["shared"] == (links == "hardlink")
    assert (stored["freed"], stored["shared"]) == (4096, False)
    assert site.expired() == {}
    assert list(site.endorsed()) == [image_id(1)]


def test_views_outside_the_store_are_pruned_too(site: Site):
    outside = site.root / "outside"
    for name in ("cache", "partial", "expired"):
        (outside / name).mkdir(parents=True)
        variable = {"cache": "CACHE", "partial": "DOWNLOAD", "expired": "EXPIRE"}[name]
        site.environment[f"VMCATCHER_CACHE_DIR_{variable}"] = str(outside / name)
    site.join(site.image(1))
    site.select(1)
    site.cache()
    site.expect(0, "image", "-r", "-u", image_id(1))
    site.cache()
    lapse(site, 100 * DAY)
    assert [path.name for path in (outside / "expired").iterdir() if path.name != "cache.index"] != []
    assert kinds(prune(site)) == ["expired", "blob"]
    assert [path.name for path in (outside / "expired").iterdir()] == ["cache.index"]
    assert json.loads((outside / "expired" / "cache.index").read_text()) == {}


def test_blobs_on_another_file_system_are_pruned_there(site: Site):
    with second_file_system(site.root) as other:
        site.call("vmcatcher", "store", "init", str(site.store), "--blobs", str(other / "blobs"))
        rotten(site)
        site.expect(0, "image", "-r", "-u", image_id(1))
        site.cache()
        lapse(site, 100 * DAY)
        result = prune(site, "--quarantine", "1d")
        assert result.code == 0, result
        assert sorted(kinds(result)) == ["blob", "expired", "expired", "quarantine"]
        assert list((other / "blobs" / "quarantine").iterdir()) == []
