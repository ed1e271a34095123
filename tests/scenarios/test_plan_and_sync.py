"""`vmcatcher plan` shows what `vmcatcher sync` then does: lists, images, bytes, events."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from support.changes import (
    DELETED,
    OVER,
    REVOKED,
    ROLLED_BACK,
    UNLINKED,
    UNREACHABLE,
    add_list,
    events_of,
    every_change,
)
from support.faults import Faults, out_of_space
from support.schemas import check_envelope
from support.site import LIST_ID, Site, image_id
from support.tree import check_invariants
from vmcatcher.store.locks import Holder, hold
from vmcatcher.store.root import open_store

_COMMANDS = Path(sys.executable).parent


def _ask(site: Site, command: str, *arguments: str, code: int) -> dict[str, Any]:
    result = site.run("vmcatcher", command, "--json", "-x", f"cat >> {site.events}", *arguments)
    assert result.code == code, result
    found: dict[str, Any] = check_envelope(result.out)["result"]
    return found


def _steps(result: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(one["action"], one["image"][-12:].lstrip("0"), one["reason"]) for one in result["images"]]


@pytest.mark.slow
def test_sync_does_what_plan_printed_over_every_kind_of_change(site: Site):
    every_change(site)
    before = site.tree()
    plan = _ask(site, "plan", code=1)
    assert site.tree() == before
    assert Counter(_steps(plan)) == Counter(
        [
            ("expire", "25", "subscription-deleted"),
            ("unlink", "99", None),
            ("expire", "2", "withdrawn"),
            ("expire", "3", "unsubscribed"),
            ("expire", "7", "vetoed"),
            ("expire", "10", "image-expired"),
            ("expire", "22", "endorser-unlinked"),
            ("expire", "23", "signer-revoked"),
            ("expire", "24", "list-expired"),
            ("restore", "8", None),
            ("restore", "9", None),
            ("replace", "1", "replaced"),
            ("publish", "14", None),
            ("publish", "4", None),
            ("publish", "6", None),
            ("publish", "5", None),
        ]
    )
    _demand_reasons(site, plan)
    report = _ask(site, "sync", code=1)
    told = Counter(site.told())
    assert _steps(report) == _steps(plan)
    assert {one["outcome"] for one in report["images"]} == {"done"}
    without = {"outcome", "errors", "fetched"}
    assert [{k: v for k, v in one.items() if k not in without} for one in report["images"]] == plan["images"]
    assert report["lists"] == plan["lists"]
    assert told == events_of(plan)
    assert sum(one["fetched"]["bytes"] for one in report["images"] if one["fetched"]) == plan["fetch_bytes"]
    assert check_invariants(site.store) == []
    again = _ask(site, "plan", code=1)
    assert not again["has_changes"]


def _demand_reasons(site: Site, plan: dict[str, Any]) -> None:
    """Return if the plan of every change says why each is made, and where its bytes come from."""
    steps = {one["image"][-12:].lstrip("0"): one for one in plan["images"]}
    assert steps["14"]["source"]["resumed_bytes"] == 5000
    assert steps["14"]["source"]["fetch_bytes"] == steps["14"]["bytes"] - 5000
    assert steps["14"]["source"]["uri"] == site.server.url("/images/14-v1.raw")
    assert steps["5"]["source"]["origin"] == "store"
    assert {steps[one]["source"]["origin"] for one in ("4", "6")} == {"server", "together"}
    assert plan["fetch_bytes"] == sum((one["source"] or {}).get("fetch_bytes", 0) for one in plan["images"])
    assert plan["space"]["needed_bytes"] == plan["fetch_bytes"]
    assert steps["4"]["why"] == "new images of its subscription are selected"
    assert "revoked by /DC=test/DC=grid/CN=Test Grid CA" in steps["23"]["why"]
    assert "is no endorser of subscription" in steps["22"]["why"]
    assert steps["25"]["why"].startswith("an earlier run began with it")
    lists = {one["list"]: one for one in plan["lists"]}
    assert (lists[LIST_ID]["fate"], lists[LIST_ID]["version"], lists[LIST_ID]["offered"]) == ("new", "1", "2")
    assert lists[LIST_ID]["moves_to"] == site.server.url("/moved")
    assert lists[LIST_ID]["gone_images"] == [image_id(2)]
    assert {one[-2:] for one in lists[LIST_ID]["selected"]} == {"04", "05", "06", "14"}
    fates = {name: (lists[name]["fate"], lists[name]["error_id"]) for name in lists if name != LIST_ID}
    assert fates == {
        ROLLED_BACK: ("refused", "list-rollback"),
        UNREACHABLE: ("refused", "server-busy"),
        UNLINKED: ("refused", "endorser-not-linked"),
        REVOKED: ("refused", "signer-revoked"),
        OVER: ("refused", "list-expired"),
    }
    assert DELETED not in lists
    assert [one["kind"] for one in plan["events"]] == ["AvailablePostfix"]


def test_plan_check_ends_with_3_until_a_sync_has_done_it(site: Site):
    site.join(site.image(1))
    site.select(1)
    quietly = site.run("vmcatcher", "plan", "--check", "-q")
    assert (quietly.code, quietly.out, quietly.err) == (3, "", "")
    assert site.run("vmcatcher", "plan").code == 0
    done = site.run("vmcatcher", "sync")
    assert done.code == 0, done
    assert [line.split("\t")[:4] for line in done.lines] == [
        ["list", "unchanged", LIST_ID, "1"],
        ["image", "publish", "done", image_id(1)],
    ]
    assert site.run("vmcatcher", "plan", "--check").code == 0
    # A list that is news is a change, though no image follows from it.
    site.publish("2", site.image(1))
    assert site.run("vmcatcher", "plan", "--check").code == 3


def test_plan_offline_asks_no_server_and_shows_what_follows_from_the_lists_that_are_there(site: Site):
    site.join(site.image(1))
    site.select(1)
    site.publish("2", site.image(2))
    site.server.close()
    plan = _ask(site, "plan", "--offline", "--check", code=3)
    assert [(one["fate"], one["version"], one["offered"]) for one in plan["lists"]] == [("not-asked", "1", None)]
    assert _steps(plan) == [("publish", "1", None)]
    assert site.run("vmcatcher", "plan", "--check").code == 75


def test_plan_without_space_says_for_which_image_and_ends_with_75(site: Site):
    site.join(site.image(1, hv__size=2**49), site.image(2))
    site.select(1, 2)
    plan = _ask(site, "plan", code=75)
    assert _steps(plan) == [("publish", "2", None)]
    assert plan["space"]["missing"] == [image_id(1)]
    assert plan["space"]["needed_bytes"] > 2**49


def test_plan_shows_a_rule_and_a_decision_by_hand(site: Site):
    site.join(site.image(1), site.image(2))
    site.select(2)
    assert site.run("vmcatcher", "subscription", "set", LIST_ID, "--where", 'title~"image 1"').code == 0
    why = {one["image"]: one["why"] for one in _ask(site, "plan", code=0)["images"]}
    assert why == {
        image_id(1): 'the rule of its subscription chooses it: title~"image 1"',
        image_id(2): "selected by hand",
    }


def test_sync_goes_on_with_images_where_a_list_cannot_be_had(site: Site):
    site.join(site.image(1))
    site.select(1)
    site.server.withdraw("/list")
    report = _ask(site, "sync", code=75)
    assert [(one["fate"], one["error_id"]) for one in report["lists"]] == [("refused", "http-not-found")]
    assert [(one["action"], one["outcome"]) for one in report["images"]] == [("publish", "done")]
    assert list(site.endorsed()) == [image_id(1)]


def test_sync_says_what_failed_and_why_and_the_rest_is_done(site: Site):
    site.join(site.image(1), site.image(2))
    site.select(1, 2)
    site.server.withdraw("/images/1-v1.raw")
    report = _ask(site, "sync", code=75)
    outcomes = {one["image"]: (one["outcome"], [error["id"] for error in one["errors"]]) for one in report["images"]}
    assert outcomes == {image_id(1): ("failed", ["http-not-found"]), image_id(2): ("done", [])}
    result = site.run("vmcatcher", "sync", "--quiet")
    assert (result.code, result.out) == (75, "")
    assert result.err.count("not found (404)") == 1


def test_sync_tells_what_is_owed_from_earlier_runs(site: Site):
    site.join(site.image(1))
    site.select(1)
    site.expect(0, "cache", "-x", "false")
    plan = _ask(site, "plan", "--check", code=3)
    assert [(one["kind"], one["attempts"]) for one in plan["events"]] == [("AvailablePostfix", 1)]
    report = _ask(site, "sync", code=0)
    assert [(one["kind"], one["told"]) for one in report["events"]] == [("AvailablePostfix", True)]
    assert site.told() == ["ProcessPrefix", "AvailablePostfix 1", "ProcessPostfix"]


def test_sync_beside_another_run_ends_with_75_and_does_nothing(site: Site):
    site.join(site.image(1))
    site.select(1)
    for lock in ("update", "cache"):
        with hold(open_store(str(site.store)), lock, Holder("another one", site.now), wait_s=0):
            result = site.run("vmcatcher", "sync", "--json")
        assert result.code == 75
        document = check_envelope(result.out)
        assert (document["result"], document["errors"][0]["id"]) == (None, "store-held")
    assert site.endorsed() == {}


def test_sync_dry_run_shows_the_plan_and_changes_nothing(site: Site):
    site.join(site.image(1))
    site.select(1)
    before = site.tree()
    dry = site.run("vmcatcher", "sync", "--dry-run", "--json")
    check_envelope(dry.out)
    plan = _ask(site, "plan", code=0)
    assert {**dry.json["result"], "space": None} == {**plan, "space": None}
    assert site.tree() == before


def test_sync_into_a_view_that_is_not_there_does_nothing(site: Site):
    site.join(site.image(1))
    site.select(1)
    before = site.tree()
    result = site.run("vmcatcher", "sync", VMCATCHER_CACHE_DIR_CACHE=str(site.root / "unmounted"))
    assert result.code == 1
    assert "[view-directory-missing]" in result.err
    result = site.run("vmcatcher", "sync", VMCATCHER_CACHE_DIR_CACHE=str(site.store / "quarantine"))
    assert "[views-collide]" in result.err or "[view-directory-missing]" in result.err
    assert site.tree() == before


def test_sync_finds_corrupt_bytes_that_no_plan_can_foresee(site: Site):
    site.join(site.image(1))
    site.select(1)
    site.expect(0, "cache")
    blob = (site.store / "endorsed" / image_id(1)).resolve()
    blob.chmod(0o644)
    blob.write_bytes(b"y" * blob.stat().st_size)
    assert _ask(site, "plan", "--check", code=0)["images"] == []
    report = _ask(site, "sync", code=1)
    assert [(one["action"], one["reason"], one["outcome"]) for one in report["images"]] == [
        ("replace", "corrupt", "done")
    ]
    assert site.endorsed()[image_id(1)].startswith(b"image 1 version 1")


def test_plan_goes_on_with_what_an_earlier_run_left_half_done(site: Site):
    site.join(site.image(1))
    site.select(1)
    stranger = site.store / "endorsed" / image_id(1)
    stranger.write_text("somebody's")
    assert site.run("vmcatcher", "sync").code == 1
    stranger.unlink()
    plan = _ask(site, "plan", code=0)
    assert [(one["action"], one["why"], one["source"]["origin"]) for one in plan["images"]] == [
        ("publish", "an earlier run verified its bytes and did not get further", "store")
    ]
    assert [one["outcome"] for one in _ask(site, "sync", code=0)["images"]] == ["done"]
    assert list(site.endorsed()) == [image_id(1)]


def test_plan_asks_no_more_for_an_image_that_was_given_up(site: Site):
    site.join(site.image(1))
    site.select(1)
    site.server.publish("/images/1-v1.raw", b"x" * 1800)
    for _ in range(5):
        site.run("vmcatcher", "sync")
    result = site.run("vmcatcher", "plan", "--json")
    assert (result.code, result.json["errors"][0]["id"]) == (1, "image-given-up")
    assert result.json["result"]["images"] == []
    # Another list is another chance.
    site.publish("2", site.image(1))
    assert _steps(_ask(site, "plan", code=0)) == [("publish", "1", None)]


def test_plan_with_a_replacement_that_was_given_up_shows_that_the_old_version_leaves(site: Site):
    site.join(site.image(1))
    site.select(1)
    site.expect(0, "cache")
    site.publish("2", site.image(1, "2", hv__size=2**49))
    assert _steps(_ask(site, "plan", code=75)) == [("expire", "1", "replaced")]
    assert _steps(_ask(site, "plan", "--keep-until-replaced", code=75)) == []


@pytest.mark.slow
def test_handler_of_a_sync_may_ask_vmcatcher_but_not_start_another_run(site: Site):
    site.join(site.image(1))
    site.select(1)
    noted = site.root / "noted"
    again = f"vmcatcher sync -q; echo $? >>{noted}; vmcatcher status -q"
    ask = f'[ "$VMCATCHER_EVENT_TYPE" != ProcessPrefix ] || {{ {again}; }}'
    result = site.call("vmcatcher", "sync", "-x", ask, PATH=f"{_COMMANDS}:/usr/bin:/bin", VMCATCHER_EVENT_TIMEOUT="40")
    assert result.code == 0, result
    assert noted.read_text() == "75\n"


def test_plan_names_mirrors_first_and_where_the_bytes_are_asked_for_next(site: Site):
    site.join(site.image(1))
    site.select(1)
    mirror = site.root / "mirror"
    mirror.mkdir()
    site.environment["VMCATCHER_MIRRORS"] = str(mirror)
    source = _ask(site, "plan", code=0)["images"][0]["source"]
    assert (source["origin"], source["others"]) == ("mirror", [site.server.url("/images/1-v1.raw")])
    assert source["uri"].startswith(f"file://{mirror}/sha512/")
    del site.environment["VMCATCHER_MIRRORS"]
    only = site.run("vmcatcher", "plan", "--json", VMCATCHER_MIRRORS_ONLY="1")
    assert (only.code, only.json["errors"][0]["id"]) == (75, "not-mirrored")


def test_sync_on_a_full_disk_takes_what_is_revoked_out_of_the_view_all_the_same(site: Site):
    carol = site.pki.endorser("Carol Endorser")
    site.join(site.image(1))
    site.expect(0, "subscribe", "--imagelist-newimage-accept", "-u", LIST_ID)
    add_list(site, REVOKED, site.image(23), signer=carol)
    site.publish("2", site.image(1), site.image(2))
    # Owed is an event that the update tells, and then cannot note that it did.
    site.expect(0, "subscribe", "-U", "-x", "false")
    site.select(1, 23)
    site.cache()
    site.pki.revoke(carol)
    with Faults(out_of_space(0)):
        result = site.run("vmcatcher", "sync", "--json", "-x", f"cat >> {site.events}")
    assert result.code == 75, result
    assert ("store-full", "the update of the lists") in {
        (one["id"], one["subject"]) for one in check_envelope(result.out)["errors"]
    }
    assert {(one["fate"], one["error_id"]) for one in result.json["result"]["lists"]} == {("refused", "store-full")}
    assert list(site.endorsed()) == [image_id(1)]
    assert _ask(site, "sync", code=1)["images"][0]["reason"] == "signer-revoked"
    assert check_invariants(site.store) == []
