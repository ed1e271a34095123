"""Events: which variables each kind has, when it is told again, and what the files look like meanwhile."""

from __future__ import annotations

import errno
import json
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from support.faults import Fail, Faults
from support.site import LIST_ID, Site, image_id

ALWAYS = {
    "TYPE", "ID", "ATTEMPT", "UUID_SESSION", "VMCATCHER_STORE", "VMCATCHER_CACHE_DIR_CACHE",
    "VMCATCHER_CACHE_DIR_DOWNLOAD", "VMCATCHER_CACHE_DIR_EXPIRE",
}  # fmt: skip
OF_IMAGE = {
    "DC_DESCRIPTION", "DC_IDENTIFIER", "DC_TITLE", "HV_HYPERVISOR", "HV_SIZE", "HV_URI", "HV_VERSION", "SL_ARCH",
    "SL_CHECKSUM_SHA512", "SL_COMMENTS", "SL_OS", "SL_OSVERSION", "IL_DC_IDENTIFIER", "VO",
}  # fmt: skip
LONGEST_WAIT = timedelta(hours=2)
PROGRAMS = Path(sys.executable).parent


def by_kind(site):
    return {event["TYPE"]: event for event in site.noted()}


def withdraw(site, version="2"):
    site.publish(version, site.image(2))
    site.expect(0, "subscribe", "-U")


def failed(site):
    """Return the events that were given up, by kind."""
    documents = (json.loads(path.read_text()) for path in (site.store / "events" / "failed").iterdir())
    return {document["kind"]: document for document in documents}


@pytest.fixture
def joined(site: Site) -> Site:
    site.join(site.image(1), site.image(2))
    site.select(1)
    return site


# -- variables


def test_each_kind_has_exactly_its_variables(joined: Site):
    joined.cache()
    withdraw(joined)
    joined.cache()
    events = by_kind(joined)
    assert set(events) == {
        "ProcessPrefix", "ExpirePrefix", "ExpirePostfix", "AvailablePrefix", "AvailablePostfix", "ProcessPostfix",
    }  # fmt: skip
    for kind, event in events.items():
        expected = ALWAYS if kind.startswith("Process") else ALWAYS | OF_IMAGE | {"FILENAME"}
        assert set(event) == (expected | {"REASON"} if kind.startswith("Expire") else expected), kind


def test_values_are_those_of_the_list(joined: Site):
    joined.cache()
    event = by_kind(joined)["AvailablePostfix"]
    listed = joined.image(1)
    assert event["DC_IDENTIFIER"] == event["FILENAME"] == image_id(1)
    assert event["HV_SIZE"] == str(listed["hv:size"])
    assert event["SL_CHECKSUM_SHA512"] == listed["sl:checksum:sha512"]
    assert event["HV_URI"] == listed["hv:uri"]
    assert event["DC_TITLE"] == "Title of image 1"
    assert event["DC_DESCRIPTION"] == "Test image 1"
    assert event["SL_COMMENTS"] == "No comment 1"
    assert (event["SL_OS"], event["SL_OSVERSION"], event["SL_ARCH"]) == ("Linux", "Debian 12", "x86_64")
    assert (event["HV_HYPERVISOR"], event["HV_VERSION"], event["VO"]) == ("kvm", "1", "test.vo")
    assert event["IL_DC_IDENTIFIER"] == LIST_ID
    assert event["ATTEMPT"] == "1"
    assert event["VMCATCHER_STORE"] == str(joined.store)


def test_optional_values_are_told_where_the_list_has_them(site: Site):
    site.join(site.image(1, hv__format="qcow2", ad__mpuri="https://appdb.test/1"))
    site.select(1)
    site.cache()
    for kind in ("AvailablePrefix", "AvailablePostfix"):
        assert by_kind(site)[kind]["HV_FORMAT"] == "qcow2"
        assert by_kind(site)[kind]["AD_MPURI"] == "https://appdb.test/1"


def test_empty_and_missing_values_have_no_variable(site: Site):
    site.publish("1", site.image(1, sl__comments="", dc__description=None, sl__os=None), ad__vo="")
    site.join()
    site.select(1)
    site.cache()
    event = by_kind(site)["AvailablePostfix"]
    assert not {"SL_COMMENTS", "DC_DESCRIPTION", "SL_OS", "VO", "HV_FORMAT", "AD_MPURI", "REASON"} & set(event)


def test_numbers_and_capitals_are_told_as_the_program_understands_them(site: Site):
    first = site.image(1)
    site.join(
        {
            **first,
            "hv:size": str(first["hv:size"]),
            "hv:version": 7,
            "sl:checksum:sha512": str(first["sl:checksum:sha512"]).upper(),
        }
    )
    site.select(1)
    site.cache()
    event = by_kind(site)["AvailablePostfix"]
    assert event["HV_VERSION"] == "7"
    assert event["HV_SIZE"] == str(first["hv:size"])
    assert event["SL_CHECKSUM_SHA512"] == first["sl:checksum:sha512"]


@pytest.mark.parametrize(
    "text", ["$(touch PWNED) `id` ;rm -rf .", "a\nb\tc", "'\"\\", "Ünïcödé 漢字", "-n x", "() { :;}; echo"]
)
def test_text_of_a_list_reaches_the_handler_unchanged_and_never_as_shell(site: Site, text: str, monkeypatch):
    monkeypatch.chdir(site.root)
    site.join(site.image(1, dc__title=text))
    site.select(1)
    seen = site.root / "seen"
    handler = f'cat >> {site.events}; printf %s "$VMCATCHER_EVENT_DC_TITLE" > {seen}-$VMCATCHER_EVENT_TYPE'
    site.expect(0, "cache", "-x", handler)
    assert by_kind(site)["AvailablePostfix"]["DC_TITLE"] == text
    assert (site.root / "seen-AvailablePostfix").read_text() == text
    assert not (site.root / "PWNED").exists()


def test_json_on_stdin_says_the_same_as_the_environment(joined: Site):
    seen = joined.root / "seen"
    handler = f"cat > {seen}/$VMCATCHER_EVENT_TYPE.json; env -0 > {seen}/$VMCATCHER_EVENT_TYPE.env"
    seen.mkdir()
    joined.expect(0, "cache", "-x", handler, VMCATCHER_RDBMS=f"sqlite:///{joined.root}/x.db")
    for path in seen.glob("*.json"):
        document = json.loads(path.read_text())
        pairs = (pair.partition("=") for pair in path.with_suffix(".env").read_text().split("\0") if pair)
        environment = {name: value for name, _, value in pairs if name.startswith("VMCATCHER_")}
        assert {name: environment[name] for name in document} == document
        told = {name for name in environment if name.startswith("VMCATCHER_EVENT_")}
        assert told == {name for name in document if name.startswith("VMCATCHER_EVENT_")}
        assert environment["VMCATCHER_RDBMS"] == document["VMCATCHER_RDBMS"] == f"sqlite:///{joined.root}/x.db"


def test_nothing_of_an_outer_event_leaks_into_an_inner_one(joined: Site):
    joined.cache(VMCATCHER_EVENT_REASON="corrupt", VMCATCHER_EVENT_AD_MPURI="x", VMCATCHER_EVENT_TYPE="Other")
    for event in joined.noted():
        assert event["TYPE"] != "Other"
        assert "REASON" not in event
        assert "AD_MPURI" not in event


def test_all_events_of_a_run_have_one_session_and_each_its_own_identifier(joined: Site):
    joined.cache()
    first = joined.noted()
    withdraw(joined)
    joined.cache()
    second = joined.noted()[len(first) :]
    assert len({event["UUID_SESSION"] for event in first}) == 1
    assert len({event["UUID_SESSION"] for event in second}) == 1
    assert first[0]["UUID_SESSION"] != second[0]["UUID_SESSION"]
    identifiers = [event["ID"] for event in first + second]
    assert len(set(identifiers)) == len(identifiers)


def test_expire_events_describe_the_old_version(joined: Site):
    joined.cache()
    old = by_kind(joined)["AvailablePostfix"]
    joined.told()
    joined.publish("2", joined.image(1, "2", dc__title="New title"), joined.image(2))
    joined.expect(0, "subscribe", "-U")
    joined.cache()
    for kind in ("ExpirePrefix", "ExpirePostfix"):
        event = by_kind(joined)[kind]
        assert {name: event[name] for name in OF_IMAGE} == {name: old[name] for name in OF_IMAGE}
    assert by_kind(joined)["AvailablePostfix"]["DC_TITLE"] == "New title"


def test_expire_events_describe_the_newest_list_that_named_the_version(joined: Site):
    joined.cache()
    joined.publish("2", joined.image(1, dc__title="Better title"), joined.image(2))
    joined.expect(0, "subscribe", "-U")
    joined.cache()
    withdraw(joined, "3")
    joined.cache()
    assert by_kind(joined)["ExpirePostfix"]["DC_TITLE"] == "Better title"


# -- files around each event


def test_file_states_around_each_event(joined: Site):
    """Prefix before the file changes its state, Postfix after."""
    store, seen = joined.store, joined.root / "seen"
    look = " ".join(
        f"$(test -e {path} && echo {name})"
        for name, path in (
            ("cache", f"{store}/endorsed/{image_id(1)}"),
            ("partial", f"{store}/partial/{image_id(1)}"),
            ("expired", f'"{store}/expired/$VMCATCHER_EVENT_FILENAME"'),
        )
    )
    handler = f"echo $VMCATCHER_EVENT_TYPE {look} >> {seen}"
    joined.expect(0, "cache", "-x", handler)
    withdraw(joined)
    joined.expect(0, "cache", "-x", handler)
    # "expired" is the directory itself where there is no file name.
    assert seen.read_text().splitlines() == [
        "ProcessPrefix expired",
        "AvailablePrefix partial",
        "AvailablePostfix cache",
        "ProcessPostfix cache expired",
        "ProcessPrefix cache expired",
        "ExpirePrefix cache",
        "ExpirePostfix expired",
        "ProcessPostfix expired",
    ]


def test_partial_name_holds_the_verified_bytes_while_available_prefix_runs(joined: Site):
    seen = joined.root / "seen"
    path = "$VMCATCHER_CACHE_DIR_DOWNLOAD/$VMCATCHER_EVENT_FILENAME"
    handler = f'[ $VMCATCHER_EVENT_TYPE != AvailablePrefix ] || cat "{path}" > {seen}'
    joined.expect(0, "cache", "-x", handler)
    assert seen.read_bytes() == b"image 1 version 1\n" * 100


def test_index_is_whole_before_process_postfix(joined: Site):
    seen = joined.root / "seen"
    handler = f'[ $VMCATCHER_EVENT_TYPE != ProcessPostfix ] || cat "$VMCATCHER_CACHE_DIR_CACHE/cache.index" > {seen}'
    joined.expect(0, "cache", "-x", handler)
    assert list(json.loads(seen.read_text())) == [image_id(1)]


# -- told again


def failing(site, kind, *, code=3):
    """A handler that notes every event and refuses one kind."""
    return f'cat >> {site.events}; [ "$VMCATCHER_EVENT_TYPE" != {kind} ] || exit {code}'


def test_fault_97_postfix_is_told_again_with_its_identifier_until_it_is_taken(joined: Site):
    for _ in range(3):
        joined.expect(0, "cache", "-x", failing(joined, "AvailablePostfix"))
        joined.now += LONGEST_WAIT
    joined.cache()
    joined.cache()
    events = [event for event in joined.noted() if event["TYPE"] == "AvailablePostfix"]
    assert [event["ATTEMPT"] for event in events] == ["1", "2", "3", "4"]
    assert len({event["ID"] for event in events}) == 1
    assert len({event["UUID_SESSION"] for event in events}) == 4
    assert [event["TYPE"] for event in joined.noted()].count("AvailablePrefix") == 1
    assert list(joined.endorsed()) == [image_id(1)], "state never waits for a handler"


def test_wait_grows_with_each_refusal(joined: Site):
    minutes = []
    for minute in range(0, 200, 5):
        joined.expect(0, "cache", "-x", failing(joined, "AvailablePostfix"))
        minutes += [minute] * joined.told().count("AvailablePostfix 1")
        joined.now += timedelta(minutes=5)
    assert minutes == [0, 5, 10, 40, 160]


def test_clock_that_was_wrong_holds_up_no_event(joined: Site):
    before = joined.now
    joined.now += timedelta(days=10)
    for _ in range(2):
        joined.expect(0, "cache", "-x", failing(joined, "AvailablePostfix"))
    joined.now = before
    joined.told()
    joined.cache()
    assert "AvailablePostfix 1" in joined.told()


@pytest.mark.parametrize("kind", ["AvailablePostfix", "ExpirePostfix"])
def test_fault_97_after_five_attempts_the_event_is_kept_aside_with_all_that_is_needed(joined: Site, kind: str):
    if kind == "ExpirePostfix":
        joined.cache()
        withdraw(joined)
    for attempt in range(1, 8):
        result = joined.expect(0, "cache", "-x", failing(joined, kind))
        assert ("given up" in result.err) is (attempt == 5)
        joined.now += LONGEST_WAIT
    events = [event for event in joined.noted() if event["TYPE"] == kind]
    assert [event["ATTEMPT"] for event in events] == ["1", "2", "3", "4", "5"]
    (document,) = failed(joined).values()
    assert (document["kind"], document["id"], document["attempts"]) == (kind, events[0]["ID"], 5)
    assert document["variables"]["VMCATCHER_EVENT_DC_IDENTIFIER"] == image_id(1)
    about = {
        "VMCATCHER_EVENT_" + name: events[0][name] for name in OF_IMAGE | {"FILENAME", "REASON"} if name in events[0]
    }
    assert document["variables"] == about
    joined.cache()
    assert [event["TYPE"] for event in joined.noted()].count(kind) == 5


@pytest.mark.parametrize("handler", ["exit 1", "kill -9 $$", "/no/such/handler", "/etc/hostname"])
def test_fault_97_prefix_is_told_once_whatever_becomes_of_the_handler(joined: Site, handler: str):
    joined.run("cache", "-x", f"cat >> {joined.events}; {handler}")
    joined.run("cache", "-x", f"cat >> {joined.events}; {handler}")
    told = joined.told()
    assert told.count("AvailablePrefix 1") == 1
    assert told.count("AvailablePostfix 1") == 2
    assert told.count("ProcessPrefix") == told.count("ProcessPostfix") == 2


def test_handler_that_fails_is_one_line_on_stderr_and_no_failure_of_the_run(joined: Site):
    result = joined.expect(0, "cache", "-x", "echo 'cloud is down'; exit 3")
    lines = result.err.splitlines()
    assert sum("ended with 3" in line for line in lines) == 4
    assert any("cloud is down" in line for line in lines)


def test_available_that_was_not_taken_is_told_once_more_before_the_image_leaves(joined: Site):
    joined.expect(0, "cache", "-x", failing(joined, "AvailablePostfix"))
    identifier = by_kind(joined)["AvailablePostfix"]["ID"]
    withdraw(joined)
    joined.told()
    joined.expect(0, "cache", "-x", failing(joined, "AvailablePostfix"))
    events = joined.noted()
    assert [event["TYPE"] for event in events] == [
        "ProcessPrefix", "AvailablePostfix", "AvailablePostfix", "ExpirePrefix", "ExpirePostfix", "ProcessPostfix",
    ]  # fmt: skip
    assert [(event["ID"], event["ATTEMPT"]) for event in events[1:3]] == [(identifier, "2"), (identifier, "3")]
    assert "REASON" not in events[2]
    assert failed(joined)["AvailablePostfix"]["attempts"] == 3
    assert "left before" in failed(joined)["AvailablePostfix"]["why"]
    joined.told()
    joined.cache()
    assert joined.told() == ["ProcessPrefix", "ProcessPostfix"]


def test_fault_98_new_version_is_told_after_the_old_one_is_known_to_have_left(joined: Site):
    # A cloud that takes an image out by its identifier would otherwise take the new version out.
    joined.cache()
    joined.publish("2", joined.image(1, "2"), joined.image(2))
    joined.expect(0, "subscribe", "-U")
    joined.told()
    joined.expect(0, "cache", "-x", failing(joined, "ExpirePostfix"))
    assert joined.told() == [
        "ProcessPrefix",
        "ExpirePrefix 1",
        "ExpirePostfix 1",
        "AvailablePrefix 1",
        "ProcessPostfix",
    ]
    assert joined.endorsed()[image_id(1)].startswith(b"image 1 version 2"), "state never waits for a handler"
    joined.expect(0, "cache", "-x", failing(joined, "ExpirePostfix"))
    assert joined.told() == ["ProcessPrefix", "ExpirePostfix 1", "ProcessPostfix"]
    joined.cache()
    assert joined.told() == ["ProcessPrefix", "ProcessPostfix"], "after two refusals it waits, and so does the next one"
    joined.now += LONGEST_WAIT
    joined.cache()
    events = joined.noted()
    assert joined.told() == ["ProcessPrefix", "ExpirePostfix 1", "AvailablePostfix 1", "ProcessPostfix"]
    assert [event["ATTEMPT"] for event in events[1:3]] == ["3", "1"]
    assert [event["HV_VERSION"] for event in events[1:3]] == ["1", "2"]


def test_new_version_is_told_once_the_old_event_is_given_up(joined: Site):
    joined.cache()
    joined.publish("2", joined.image(1, "2"), joined.image(2))
    joined.expect(0, "subscribe", "-U")
    for _ in range(5):
        joined.told()
        joined.now += LONGEST_WAIT
        joined.expect(0, "cache", "-x", failing(joined, "ExpirePostfix"))
    assert joined.told() == ["ProcessPrefix", "ExpirePostfix 1", "AvailablePostfix 1", "ProcessPostfix"]


def replaced_and_not_taken(site):
    """Have an image replaced whose ExpirePostfix was not taken, and nothing where it was shown as expired."""
    site.cache()
    site.publish("2", site.image(1, "2"), site.image(2))
    site.expect(0, "subscribe", "-U")
    site.expect(0, "cache", "-x", failing(site, "ExpirePostfix"))
    (link,) = (path for path in (site.store / "expired").iterdir() if path.name != "cache.index")
    link.unlink()
    site.told()
    return link


def test_expiry_that_cannot_be_shown_is_told_later_and_still_before_the_new_version(joined: Site):
    replaced_and_not_taken(joined)
    with Faults(Fail(0, errno.EIO)) as faults:
        result = joined.run("cache", "-x", f"cat >> {joined.events}")
    assert faults.calls[0] == "symlink"
    assert result.code == 75
    assert joined.told() == ["ProcessPrefix", "ProcessPostfix"]
    joined.cache()
    assert joined.told() == ["ProcessPrefix", "ExpirePostfix 1", "AvailablePostfix 1", "ProcessPostfix"]


def test_expired_name_that_somebody_took_meanwhile_is_left_to_them(joined: Site):
    link = replaced_and_not_taken(joined)
    link.write_text("mine")
    joined.cache()
    assert link.read_text() == "mine"
    assert joined.noted()[1]["FILENAME"] == f"{link.name}-1"
    assert joined.expired()[f"{link.name}-1"].startswith(b"image 1 version 1")
    assert list(joined.index("expired")) == [f"{link.name}-1"]
    assert joined.told() == ["ProcessPrefix", "ExpirePostfix 1", "AvailablePostfix 1", "ProcessPostfix"]


def test_events_of_other_images_do_not_wait(joined: Site):
    joined.select(2)
    joined.cache()
    joined.publish("2", joined.image(1, "2"), joined.image(2, "2"))
    joined.expect(0, "subscribe", "-U")
    about = '"$VMCATCHER_EVENT_TYPE$VMCATCHER_EVENT_DC_IDENTIFIER"'
    handler = f"cat >> {joined.events}; [ {about} != ExpirePostfix{image_id(1)} ]"
    joined.told()
    joined.expect(0, "cache", "-x", handler)
    assert "AvailablePostfix 2" in joined.told()


def test_where_nobody_listens_nothing_is_owed(joined: Site):
    joined.expect(0, "cache")
    joined.cache()
    assert joined.told() == ["ProcessPrefix", "ProcessPostfix"]
    assert list((joined.store / "events" / "log").iterdir()) == [], "nothing was told of any image"


def test_what_is_owed_survives_runs_in_which_nobody_listens(joined: Site):
    joined.expect(0, "cache", "-x", failing(joined, "AvailablePostfix"))
    joined.expect(0, "cache")
    joined.cache()
    events = [event for event in joined.noted() if event["TYPE"] == "AvailablePostfix"]
    assert [event["ATTEMPT"] for event in events] == ["1", "2"]


# -- handlers that misbehave


def test_hanging_handler_is_ended_and_the_run_goes_on(joined: Site):
    began = time.monotonic()
    result = joined.expect(0, "cache", "--event-timeout", "0.3", "-x", f"cat >> {joined.events}; sleep 60")
    assert time.monotonic() - began < 30
    assert "was ended after" in result.err
    assert joined.told() == ["ProcessPrefix", "AvailablePrefix 1", "AvailablePostfix 1", "ProcessPostfix"]
    joined.cache()
    assert joined.told() == ["ProcessPrefix", "AvailablePostfix 1", "ProcessPostfix"]


def test_handler_that_closes_stdin_or_floods_its_output_is_fine(joined: Site):
    result = joined.expect(0, "cache", "-x", "exec 0<&-; head -c 1000000 /dev/zero")
    assert "ERROR" not in result.err


def test_handler_that_takes_the_link_away_is_put_right_by_the_next_run(joined: Site):
    handler = f"[ $VMCATCHER_EVENT_TYPE != AvailablePostfix ] || rm {joined.store}/endorsed/$VMCATCHER_EVENT_FILENAME"
    joined.expect(0, "cache", "-x", handler)
    assert joined.endorsed() == {}
    joined.cache()
    assert list(joined.endorsed()) == [image_id(1)]


@pytest.mark.parametrize("what", ["endorsed", "partial", "expired", "blobs/sha512", "cache", "events", "locks"])
def test_handler_that_removes_whole_directories_costs_a_line_and_heals(joined: Site, what: str):
    handler = f"[ $VMCATCHER_EVENT_TYPE != AvailablePrefix ] || rm -rf {joined.store}/{what}"
    result = joined.run("cache", "-x", handler)
    assert result.code in (0, 1, 75)
    assert "internal error" not in result.err
    joined.run("cache")
    joined.cache()
    assert list(joined.endorsed()) == [image_id(1)]


def test_handler_may_query_and_select_and_is_told_at_once_that_a_run_is_going_on(joined: Site):
    seen = joined.root / "seen"
    handler = (
        f"[ $VMCATCHER_EVENT_TYPE = AvailablePrefix ] || exit 0; "
        f"{{ {PROGRAMS}/vmcatcher_image -l; echo list $?; "
        f"{PROGRAMS}/vmcatcher_image -a -u {image_id(2)}; echo select $?; "
        f"{PROGRAMS}/vmcatcher_cache; echo cache $?; }} > {seen} 2>&1"
    )
    began = time.monotonic()
    joined.expect(0, "cache", "--event-timeout", "50", "-x", handler)
    assert time.monotonic() - began < 40
    lines = seen.read_text().splitlines()
    assert f"{image_id(1)}\t3\t{LIST_ID}" in lines
    assert {"list 0", "select 0", "cache 75"} <= set(lines)
    assert any("called this handler" in line for line in lines)
    assert joined.states() == {image_id(1): 3, image_id(2): 3}
    joined.cache()
    assert sorted(joined.endorsed()) == [image_id(1), image_id(2)]


def test_second_run_is_refused_at_once_while_one_is_going_on(joined: Site):
    seen = joined.root / "seen"
    # Not told that its parent holds the lock: as another process of the machine would find it.
    other = f"env -u VMCATCHER_HELD_LOCKS {PROGRAMS}/vmcatcher_cache > {seen} 2>&1; echo $? >> {seen}"
    joined.server.forget()
    joined.expect(0, "cache", "--event-timeout", "50", "-x", f"[ -e {seen} ] || {{ {other}; }}")
    lines = seen.read_text().splitlines()
    assert lines[-1] == "75"
    assert "cache lock is held by vmcatcher_cache (pid" in lines[0]
    assert joined.server.gets("/images/1-v1.raw") == 1


# -- the log of events


def test_log_of_a_run_says_what_was_told_and_what_came_of_it(joined: Site):
    joined.expect(0, "cache", "-x", failing(joined, "AvailablePostfix"))
    (path,) = (joined.store / "events" / "log").iterdir()
    events = joined.noted()
    assert path.name == f"{joined.now.strftime('%Y%m%dT%H%M%SZ')}-{events[0]['UUID_SESSION']}.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["kind"] for row in rows] == [event["TYPE"] for event in events]
    assert [row["id"] for row in rows] == [event["ID"] for event in events]
    assert [row["delivered"] for row in rows] == [True, True, False, True]
    assert [row["exit_status"] for row in rows] == [0, 0, 3, 0]
    assert [row["attempt"] for row in rows] == [1, 1, 1, 1]
    assert [row["image"] for row in rows] == [None, image_id(1), image_id(1), None]
    assert all(row["seconds"] >= 0 and row["signal"] is None and not row["timed_out"] for row in rows)


def test_log_names_the_signal_and_the_time_limit(joined: Site):
    joined.run("cache", "-x", "kill -9 $$")
    joined.now += timedelta(seconds=1)
    joined.run("cache", "--event-timeout", "0.2", "-x", "sleep 60")
    first, second = sorted((joined.store / "events" / "log").iterdir())
    assert {row["signal"] for row in map(json.loads, first.read_text().splitlines())} == {9}
    assert {row["timed_out"] for row in map(json.loads, second.read_text().splitlines())} == {True}
