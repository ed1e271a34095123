"""vmcatcher event: what no handler has taken, having it told at once, and forgetting it."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from support.site import LIST_ID, Result, Site, image_id
from support.tree import check_invariants
from vmcatcher.model.instant import instant_text
from vmcatcher.store import documents

REFUSES = "exit 3"


def event(site: Site, *arguments: str, code: int = 0, **environment: str) -> Result:
    result = site.run("vmcatcher", "event", *arguments, **environment)
    assert result.code == code, result
    assert check_invariants(site.store) == []
    return result


def rows(site: Site, *arguments: str) -> list[list[str]]:
    return [line.split("\t") for line in event(site, "list", *arguments).lines]


def takes(site: Site) -> tuple[str, str]:
    return ("-x", f"cat >> {site.events}")


def refuse(site: Site, times: int = 1) -> None:
    """Have cache runs whose handler takes nothing, as far apart as it takes for each to tell what is owed."""
    for _ in range(times):
        site.expect(0, "cache", "-x", REFUSES)
        site.now += timedelta(hours=3)


@pytest.fixture
def owing(site: Site) -> Site:
    """A site whose handler did not take that image 1 came."""
    site.join(site.image(1), site.image(2))
    site.select(1)
    refuse(site)
    return site


@pytest.fixture
def failed(owing: Site) -> Site:
    """A site that gave up telling that image 1 came."""
    refuse(owing, 4)
    return owing


# -- list and show


def test_nothing_waits_in_a_store_where_all_was_taken(site: Site):
    site.join(site.image(1))
    site.select(1)
    site.cache()
    assert event(site, "list").out == ""
    assert event(site, "list", "--json").answer == {"events": []}


def test_no_store_has_no_events_and_is_not_made(site: Site):
    result = site.run("vmcatcher", "event", "list")
    assert (result.code, result.out) == (0, "")
    assert not site.store.exists()


def test_owed_event_is_listed_with_its_next_attempt(owing: Site):
    [(identifier, state, kind, image, attempts, following, why)] = rows(owing)
    assert (state, kind, image, attempts, why) == ("owed", "AvailablePostfix", image_id(1), "1", "-")
    assert following == "-"
    assert len(identifier) == 36


def test_given_up_event_is_listed_with_its_reason(failed: Site):
    [(_, state, kind, _, attempts, _, why)] = rows(failed)
    assert (state, kind, attempts) == ("failed", "AvailablePostfix", "5")
    assert why == "the handler never took it"


def test_list_can_be_narrowed(failed: Site):
    failed.select(2)
    refuse(failed)
    assert [row[1] for row in rows(failed)] == ["owed", "failed"]
    assert [row[1] for row in rows(failed, "--owed", "--failed")] == ["owed", "failed"]
    assert [row[1] for row in rows(failed, "--failed")] == ["failed"]
    assert [row[3] for row in rows(failed, "--owed")] == [image_id(2)]


def test_new_images_are_listed_with_their_subscription(site: Site):
    site.join(site.image(1))
    site.publish("2", site.image(1), site.image(2))
    site.run("subscribe", "-U", "-x", REFUSES)
    [found] = event(site, "list", "--json").answer["events"]
    assert (found["kind"], found["image"], found["list"]) == ("SubscriptionImageNew", image_id(2), LIST_ID)
    assert found["variables"]["VMCATCHER_EVENT_DC_TITLE"] == "Title of image 2"


def test_show_names_everything_about_one(owing: Site):
    [row] = rows(owing)
    lines = event(owing, "show", row[0][:5]).lines
    assert lines[:4] == [f"id\t{row[0]}", "state\towed", "kind\tAvailablePostfix", f"image\t{image_id(1)}"]
    assert f"VMCATCHER_EVENT_FILENAME\t{image_id(1)}" in lines
    assert event(owing, "show", row[0], "--json").answer["id"] == row[0]


def test_title_cannot_forge_a_line(site: Site):
    site.join(site.image(1, dc__title="a\nid=forged \x1b[2J"))
    site.select(1)
    refuse(site)
    [row] = rows(site)
    shown = event(site, "show", row[0]).out
    assert "\x1b" not in shown
    assert [line for line in shown.splitlines() if line.startswith("id\t")] == [f"id\t{row[0]}"]


def test_unknown_and_ambiguous_beginnings_are_refused(owing: Site):
    owing.select(2)
    refuse(owing)
    assert "no event 'zz' is owed" in event(owing, "show", "zz", code=1).err
    ids = [row[0] for row in rows(owing)]
    failed_path = owing.store / "events" / "failed" / f"{ids[0]}0.json"
    document = {"format": 1, "id": f"{ids[0]}0", "kind": "AvailablePostfix", "attempts": 5, "why": "x"}
    failed_path.write_text(json.dumps({**document, "given_up": "2026-01-01T00:00:00Z", "variables": {}}))
    assert "the beginning of 2 events" in event(owing, "show", ids[0][:-1], code=1).err
    assert event(owing, "show", ids[0]).lines[0] == f"id\t{ids[0]}"


@pytest.mark.parametrize("content", [b"", b"{}", b'{"format": 1, "id": "../x", "kind": "AvailablePostfix"}'])
def test_damaged_event_is_named_and_hides_no_other(failed: Site, content: bytes):
    damaged = failed.store / "events" / "failed" / "0.json"
    damaged.write_bytes(content)
    result = failed.run("vmcatcher", "event", "list")
    assert (result.code, len(result.lines)) == (1, 1)
    assert str(damaged) in result.err


def test_event_under_the_name_of_another_is_named(failed: Site):
    [path] = (failed.store / "events" / "failed").iterdir()
    path.rename(path.with_name("0.json"))
    result = failed.run("vmcatcher", "event", "list")
    assert (result.code, result.out) == (1, "")
    assert "0.json is damaged: it is the event" in result.err


# -- retry


def test_owed_event_waits_longer_after_each_refusal_and_is_told_at_once_when_asked_for(owing: Site):
    owing.expect(0, "cache", "-x", REFUSES)
    [row] = rows(owing)
    assert row[4] == "2"
    assert row[5] > instant_text(owing.now)
    owing.cache()
    assert owing.told() == ["ProcessPrefix", "ProcessPostfix"]
    result = event(owing, "retry", row[0], *takes(owing))
    assert result.lines == [f"told AvailablePostfix {row[0]} of image {image_id(1)}"]
    assert [(one["TYPE"], one["ID"], one["ATTEMPT"]) for one in owing.noted()] == [("AvailablePostfix", row[0], "3")]
    assert event(owing, "list").out == ""


def test_given_up_event_is_told_with_all_that_runs_tell(failed: Site):
    [row] = rows(failed)
    event(failed, "retry", "--failed", *takes(failed))
    [told] = failed.noted()
    assert (told["TYPE"], told["ID"], told["ATTEMPT"], told["FILENAME"]) == (row[2], row[0], "6", image_id(1))
    assert told["DC_TITLE"] == "Title of image 1"
    assert told["VMCATCHER_CACHE_DIR_CACHE"] == str(failed.store / "endorsed")
    assert told["VMCATCHER_STORE"] == str(failed.store)
    assert event(failed, "list").out == ""


def test_configured_handler_is_used(failed: Site):
    event(failed, "retry", "--failed", VMCATCHER_CACHE_EVENT=f"cat >> {failed.events}")
    assert failed.told() == ["AvailablePostfix 1"]


def test_new_image_is_told_to_the_handler_of_updates(site: Site):
    site.join(site.image(1))
    site.publish("2", site.image(1), site.image(2))
    site.run("subscribe", "-U", "-x", REFUSES)
    event(site, "retry", "--owed", VMCATCHER_CACHE_EVENT="exit 1", VMCATCHER_SUB_EVENT=f"cat >> {site.events}")
    assert site.told() == ["SubscriptionImageNew 2"]
    assert event(site, "list").out == ""


@pytest.mark.parametrize("which", ["--owed", "--failed"])
def test_refused_again_ends_with_1_and_counts(which: str, owing: Site):
    if which == "--failed":
        refuse(owing, 4)
    before = rows(owing)
    result = event(owing, "retry", which, "-x", REFUSES, code=1)
    assert "did not take AvailablePostfix" in result.err
    after = rows(owing)
    assert [row[:4] for row in after] == [row[:4] for row in before]
    assert int(after[0][4]) == int(before[0][4]) + 1


def test_new_image_refused_for_the_fifth_time_is_given_up(site: Site):
    site.join(site.image(1))
    site.publish("2", site.image(1), site.image(2))
    site.run("subscribe", "-U", "-x", REFUSES)
    for _ in range(4):
        event(site, "retry", "--owed", "-x", REFUSES, code=1)
    assert [row[1:3] for row in rows(site)] == [["failed", "SubscriptionImageNew"]]


def test_nobody_to_tell_is_said(owing: Site):
    assert "set VMCATCHER_CACHE_EVENT" in event(owing, "retry", "--owed", code=1).err


def test_later_event_of_an_image_waits_for_the_earlier_one(owing: Site):
    owing.publish("2", owing.image(1, "2"), owing.image(2))
    owing.expect(0, "subscribe", "-U")
    # The handler takes neither that the old version left nor that the new one came.
    owing.expect(0, "cache", "-x", REFUSES)
    owed = [row for row in rows(owing) if row[1] == "owed"]
    assert [row[2] for row in owed] == ["ExpirePostfix", "AvailablePostfix"]
    assert f"waits for {owed[0][0]}" in event(owing, "retry", owed[1][0], *takes(owing), code=1).err
    event(owing, "retry", "--owed", *takes(owing))
    assert owing.told() == ["ExpirePostfix 1", "AvailablePostfix 1"]


def test_news_that_the_image_came_is_out_of_date_once_it_left(failed: Site):
    failed.expect(0, "image", "-r", "-u", image_id(1))
    failed.expect(0, "cache")
    [row] = rows(failed)
    assert "out of date: image" in event(failed, "retry", row[0], *takes(failed), code=1).err
    assert failed.noted() == []
    event(failed, "retry", row[0], "--force", *takes(failed))
    assert failed.told() == ["AvailablePostfix 1"]


def test_news_that_the_image_left_is_out_of_date_once_it_is_back(site: Site):
    site.join(site.image(1))
    site.select(1)
    site.cache()
    site.expect(0, "image", "-r", "-u", image_id(1))
    refuse(site, 5)
    site.select(1)
    site.cache()
    site.told()
    [row] = rows(site, "--failed")
    assert row[2] == "ExpirePostfix"
    assert "is in the endorsed view again" in event(site, "retry", "--failed", *takes(site), code=1).err
    assert site.noted() == []


def test_event_of_a_step_that_was_broken_off_is_left_to_the_cache_run(owing: Site):
    [record] = (owing.store / "cache" / image_id(1)).iterdir()
    document = json.loads(record.read_text())
    del document[documents.SEAL]
    document.update(state="expiring", reason="withdrawn")
    document["owed"].append({"kind": "ExpirePrefix", "id": "abc", "attempts": 0})
    record.write_text(json.dumps(document))
    for identifier in (document["owed"][0]["id"], "abc"):
        result = owing.run("vmcatcher", "event", "retry", identifier, *takes(owing))
        assert result.code == 1
        assert "told by the cache run" in result.err
    assert owing.noted() == []


def test_running_cache_run_is_waited_for_by_nobody(owing: Site):
    program = "import sys; from vmcatcher.cli.app import main; main(sys.argv[1:])"
    inner = owing.root / "inner"
    handler = f"python3 -c '{program}' event retry --owed -x true > {inner} 2>&1; echo $? >> {inner}; exit 3"
    owing.now += timedelta(hours=3)
    owing.expect(0, "cache", "-x", handler.replace("python3", _python()))
    assert inner.read_text().splitlines()[-1] == "75"


def _python() -> str:
    import sys

    return sys.executable


def leave_aside(site: Site) -> Path:
    """Make it as a run leaves it that dies between keeping an event aside and striking it off."""
    [row] = rows(site, "--owed")
    path = site.store / "events" / "failed" / f"{row[0]}.json"
    document = {"format": 1, "id": row[0], "kind": row[2], "attempts": 5, "why": "x", "variables": {}}
    path.write_text(json.dumps({**document, "given_up": "2026-01-01T00:00:00Z"}))
    return path


@pytest.mark.parametrize("by", ["run", "retry", "drop"])
def test_event_that_was_kept_aside_and_is_owed_still_is_one(by: str, owing: Site):
    path = leave_aside(owing)
    [row] = rows(owing)
    assert row[1] == "owed"
    if by == "run":
        owing.cache()
    else:
        event(owing, by, row[0], *(takes(owing) if by == "retry" else ()))
    assert "AvailablePostfix 1" in owing.told() or by == "drop"
    assert not path.exists()
    assert event(owing, "list").out == ""


def test_event_that_is_dropped_while_it_is_told_stays_dropped(failed: Site):
    program = Path(_python()).with_name("vmcatcher")
    event(failed, "retry", "--failed", "-x", f"{program} event drop --failed; exit 1", code=1)
    assert event(failed, "list").out == ""


def test_nothing_is_told_unless_there_is_a_handler_for_each(owing: Site):
    owing.publish("2", owing.image(1), owing.image(2), owing.image(3))
    owing.run("subscribe", "-U", "-x", REFUSES)
    takes_images = f"cat >> {owing.events}"
    result = event(owing, "retry", "--owed", code=1, VMCATCHER_CACHE_EVENT=takes_images)
    assert "set VMCATCHER_SUB_EVENT" in result.err
    assert owing.noted() == []


@pytest.mark.parametrize("given_up", [False, True])
def test_news_of_an_image_that_its_list_no_longer_names_is_out_of_date(site: Site, given_up: bool):
    site.join(site.image(1))
    site.publish("2", site.image(1), site.image(2))
    site.run("subscribe", "-U", "-x", REFUSES)
    for _ in range(4 if given_up else 0):
        event(site, "retry", "--owed", "-x", REFUSES, code=1)
    site.publish("3", site.image(1))
    site.expect(0, "subscribe", "-U")
    if given_up:
        assert "is no longer in a list" in event(site, "retry", "--failed", *takes(site), code=1).err
    else:
        event(site, "retry", "--owed", *takes(site))  # the update has struck it off
    assert site.noted() == []


@pytest.mark.parametrize("which", ["--owed", "--failed"])
def test_image_that_the_handler_would_not_find_is_not_told_of(which: str, owing: Site):
    """Runs with -C show their images elsewhere; a run that died may not have shown it yet."""
    if which == "--failed":
        refuse(owing, 4)
    elsewhere = owing.root / "elsewhere"
    (elsewhere / "expired").mkdir(parents=True)
    result = event(owing, "retry", which, *takes(owing), code=1, VMCATCHER_CACHE_DIR_CACHE=str(elsewhere))
    assert f"is not in {elsewhere}" in result.err
    assert owing.noted() == []
    assert rows(owing)[0][1] == which.removeprefix("--")


def test_image_that_left_is_told_of_where_it_is_shown(site: Site):
    site.join(site.image(1))
    site.select(1)
    site.cache()
    site.expect(0, "image", "-r", "-u", image_id(1))
    refuse(site)
    [link] = [path for path in (site.store / "expired").iterdir() if path.name != "cache.index"]
    target = link.readlink()
    link.unlink()
    site.told()
    assert "is not in" in site.run("vmcatcher", "event", "retry", "--owed", *takes(site)).err
    link.symlink_to(target)
    event(site, "retry", "--owed", *takes(site))
    assert site.told() == ["ExpirePostfix 1"]


def test_handler_never_waits_for_its_own_run_however_long_it_would(owing: Site):
    program = Path(_python()).with_name("vmcatcher")
    owing.now += timedelta(hours=3)
    told = owing.root / "told"
    # The run that the handler belongs to is its parent: waiting for that would be for ever.
    inner = f"{program} event drop --owed --wait 30; echo $? >> {told}; exit 3"
    owing.expect(0, "cache", "--event-timeout", "50", "-x", inner)
    assert set(told.read_text().split()) <= {"75", "0"}
    assert "75" in told.read_text()


# -- drop


@pytest.mark.parametrize("which", ["--owed", "--failed"])
def test_dropped_event_is_never_told(which: str, owing: Site):
    if which == "--failed":
        refuse(owing, 4)
    [row] = rows(owing)
    assert event(owing, "drop", which).lines == [f"forgot AvailablePostfix {row[0]} of image {image_id(1)}"]
    assert event(owing, "list").out == ""
    owing.cache()
    assert owing.told() == ["ProcessPrefix", "ProcessPostfix"]
    assert owing.endorsed().keys() == {image_id(1)}


def test_dropped_new_image_counts_as_told(site: Site):
    site.join(site.image(1))
    site.publish("2", site.image(1), site.image(2))
    site.run("subscribe", "-U", "-x", REFUSES)
    [row] = rows(site)
    event(site, "drop", row[0])
    assert event(site, "list").out == ""
    site.run("subscribe", "-U", "-x", f"cat >> {site.events}")
    assert site.told() == []


@pytest.mark.parametrize("verb", ["retry", "drop"])
@pytest.mark.parametrize("arguments", [(), ("0", "--failed"), ("0", "--owed")])
def test_which_events_has_to_be_said_once(verb: str, arguments: tuple[str, ...], owing: Site):
    assert "give identifiers, or --failed, or --owed" in event(owing, verb, *arguments, code=2).err


@pytest.mark.parametrize("verb", ["retry", "drop"])
def test_nothing_is_changed_where_no_store_is(verb: str, site: Site):
    result = site.run("vmcatcher", "event", verb, "--failed", "-x", "true") if verb == "retry" else None
    result = result or site.run("vmcatcher", "event", verb, "--failed")
    assert result.code == 75
    assert not Path(site.store).exists()
