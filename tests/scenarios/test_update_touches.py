"""What an update touches grows with what changed: nothing where nothing did, one list's own files where one did."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest

from support.site import Site, image_id
from support.tree import check_invariants
from vmcatcher import wiring
from vmcatcher.errors import VmcatcherError
from vmcatcher.errors.admission import EndorserNotLinked
from vmcatcher.errors.trust import DigestMismatch
from vmcatcher.light import replace
from vmcatcher.model.identity import ListId
from vmcatcher.services import unchanged
from vmcatcher.services.context import Context
from vmcatcher.services.events import Teller
from vmcatcher.services.update import LookedAhead, Tools, look_ahead, look_ahead_all, update_all
from vmcatcher.settings import load_settings
from vmcatcher.store import root, snapshots, subscriptions
from vmcatcher.store.layout import Layout
from vmcatcher.trust.rules import TrustRules

LISTS = [f"list-{number}" for number in range(4)]


def _publish(site: Site, number: int, version: str = "1", *others: int, host: str = "127.0.0.1") -> str:
    """Publish a list with its own image and these others; return where."""
    path = f"/{LISTS[number]}"
    where = site.server.url(path, host=host)
    images = [site.image(number, version), *map(site.image, others)]
    site.publish(version, *images, path=path, dc__identifier=LISTS[number], hv__uri=where)
    return where


@pytest.fixture
def four(site: Site) -> Site:
    """A site with four lists, brought up to date so that nothing is left to be noted."""
    site.expect(0, "endorser", "-C", "-e", "alice", "--dn", site.alice.subject, "-I", site.alice.issuer)
    for number in range(4):
        site.expect(0, "subscribe", "-s", _publish(site, number), "--imagelist-newimage-accept")
    site.expect(0, "subscribe", "-U")
    site.server.forget()
    return site


def _prints(store: Path) -> dict[str, tuple[int, ...]]:
    """Return of every file and directory of a store, by path, what changes when anybody writes to it."""
    found = {}
    for path in (store, *store.rglob("*")):
        one = path.lstat()
        found[str(path.relative_to(store))] = (one.st_ino, one.st_size, one.st_mtime_ns, one.st_ctime_ns)
    return found


def _touched(before: dict[str, tuple[int, ...]], after: dict[str, tuple[int, ...]]) -> set[str]:
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    # Who holds a lock is noted in its file.
    return {name for name in changed if not name.startswith("locks")}


def _run(site: Site, work, **environment: str):
    """Call `work` with a context and the tools, as a command does."""
    variables = {**site.environment, **environment}
    settings = load_settings({}, environment={**os.environ, **variables})
    layout = root.find_store(str(site.store))
    assert layout is not None
    context = Context(layout, site.now, "test")
    with wiring.tools(settings, context) as tools:
        return work(context, tools)


def test_update_without_news_touches_nothing(four: Site):
    before = _prints(four.store)
    four.expect(0, "subscribe", "-U")
    assert [request.headers.get("if-none-match") is not None for request in four.server.requests] == [True] * 4
    assert _touched(before, _prints(four.store)) == set()


def test_success_is_all_that_is_noted_where_nothing_changed(four: Site):
    four.now += timedelta(minutes=61)
    before = _prints(four.store)
    four.expect(0, "subscribe", "-U")
    expected = {f"subscriptions/{name}{file}" for name in LISTS for file in ("", "/fetch.json")}
    assert _touched(before, _prints(four.store)) == expected
    before = _prints(four.store)
    four.expect(0, "subscribe", "-U")
    assert _touched(before, _prints(four.store)) == set()


def test_change_of_one_list_touches_no_file_of_another(four: Site):
    before = _prints(four.store)
    _publish(four, 2, "2")
    four.expect(0, "subscribe", "-U")
    touched = _touched(before, _prints(four.store))
    own = f"subscriptions/{LISTS[2]}"
    assert {name for name in touched if not name.startswith(own)} == {"marks", f"marks/{LISTS[2]}.json"}
    assert {f"{own}/{name}" for name in ("lists", "fetch.json", "index.tsv", "manifest.json")} <= touched
    assert f"{own}/subscription.json" not in touched
    assert check_invariants(four.store) == []


def test_report_says_of_each_list_what_became_of_it(four: Site):
    _publish(four, 1, "2")
    _publish(four, 3, "3", 7)
    four.server.publish(f"/{LISTS[0]}", b"gone", etag='"x"')
    report = _run(four, lambda context, tools: update_all(context, tools, Teller(context, None, {})))
    assert [(one.list_id, one.is_news, one.version_before, one.version) for one in report.done] == [
        (LISTS[1], True, "1", "2"),
        (LISTS[2], False, "1", "1"),
        (LISTS[3], True, "1", "3"),
    ]
    assert [one.list_id for one in report.admitted] == [LISTS[1], LISTS[3]]
    assert [one.list_id for one in report.unchanged] == [LISTS[2]]
    assert [one.appeared for one in report.done] == [(), (), (image_id(7),)]
    assert [(one.subject, one.error.id) for one in report.failed] == [(LISTS[0], "list-not-signed")]


# -- what an unchanged list is still asked


def test_files_beside_a_list_are_read_again_after_a_day(four: Site):
    manifest = four.store / "subscriptions" / LISTS[0] / "manifest.json"

    def noted() -> str:
        document = json.loads((four.store / "subscriptions" / LISTS[0] / "fetch.json").read_text())
        looked: str = document["settled"]["looked"]
        return looked

    first = noted()
    assert manifest.exists()
    four.now += timedelta(hours=23)
    four.expect(0, "subscribe", "-U")
    assert noted() == first
    four.now += timedelta(hours=2)
    four.expect(0, "subscribe", "-U")
    assert noted() > first


def _rot(four: Site, name: str, pattern: str, sound: bytes, rotten: bytes) -> Path:
    """Change bytes of a file of a list, and have the note say that its files are what they are now; return which."""
    layout = Layout(str(four.store), str(four.store / "blobs"))
    (path,) = four.store.glob(pattern.format(name))
    content = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(content.replace(sound, rotten))
    assert path.read_bytes() != content
    notes = subscriptions.read_fetch_notes(layout, name)
    assert notes.settled is not None
    snapshot = snapshots.current_snapshot(layout, name)
    assert snapshot is not None
    context = Context(layout, four.now, "test")
    files = unchanged._files(context, TrustRules(), ListId(name), snapshot)
    subscriptions.put_fetch_notes(layout, name, replace(notes, settled=replace(notes.settled, files=files)))
    return path


def test_bytes_of_a_list_that_rotted_unseen_are_fetched_again(four: Site):
    """As a sector does that went bad: nothing that the file system says of the file has changed."""
    _rot(four, LISTS[1], "subscriptions/{}/lists/*.smime", b"A test list", b"A best list")
    result = four.expect(0, "subscribe", "-U")
    assert f"{LISTS[1]} is damaged and is fetched again" in result.err
    asked = [request.headers.get("if-none-match") is None for request in four.server.requests]
    assert sorted(request.path for request in four.server.requests).count(f"/{LISTS[1]}") == 2
    assert asked.count(True) == 1
    assert four.states()[image_id(1)] == 2
    assert four.expect(0, "subscribe", "-U").err == ""


@pytest.mark.parametrize(
    ("pattern", "sound", "rotten"),
    [
        ("subscriptions/{}/manifest.json", b"Title of image", b"Tutle of image"),
        ("subscriptions/{}/index.tsv", b"a0000000-bbbb", b"a0000001-bbbb"),
        ("subscriptions/{}/lists/*.evidence", b"Title of image", b"Tutle of image"),
        ("marks/{}.json", b'"version": "1"', b'"version": "7"'),
    ],
    ids=["manifest", "index", "evidence", "mark"],
)
def test_what_rotted_unseen_beside_a_list_is_found_within_a_day(four: Site, pattern: str, sound: bytes, rotten: bytes):
    path = _rot(four, LISTS[1], pattern, sound, rotten)
    four.expect(0, "subscribe", "-U")
    four.now += timedelta(hours=25)
    four.environment["VMCATCHER_TRUST_CRL"] = "if-present"
    four.run("subscribe", "-U")
    found = [one for one in four.store.glob(pattern.format(LISTS[1])) if rotten in one.read_bytes()]
    assert found == [], path
    assert four.expect(0, "subscribe", "-U").code == 0
    assert four.states()[image_id(1)] == 2
    assert check_invariants(four.store) == []


def test_endorser_that_a_handler_unlinks_counts_no_longer_for_the_lists_behind(four: Site):
    _publish(four, 0, "2", 9)
    command = f"{Path(sys.executable).parent / 'vmcatcher_endorser'} -u -e alice -s {LISTS[2]}"
    result = four.run("subscribe", "-U", "-x", command)
    assert result.code == 13
    (line,) = [line for line in result.err.splitlines() if "ERROR" in line]
    assert LISTS[2] in line


def test_deleted_subscription_of_a_handler_is_passed_over(four: Site):
    _publish(four, 0, "2", 9)
    command = f"{Path(sys.executable).parent / 'vmcatcher_subscribe'} -D -u {LISTS[2]}"
    four.expect(0, "subscribe", "-U", "-x", command)
    assert not (four.store / "subscriptions" / LISTS[2]).exists()


@pytest.mark.parametrize("forbids", ["revoked", "sha1", "small"])
def test_rules_and_revocation_of_today_are_what_counts(four: Site, forbids: str):
    environment: dict[str, str] = {}
    if forbids == "revoked":
        four.pki.revoke(four.alice)
    elif forbids == "small":
        environment["VMCATCHER_LIST_BYTES"] = "500"
    else:
        environment["VMCATCHER_TRUST_SHA1"] = "1"  # laxer than before: nothing is refused, but looked at anew
    before = _prints(four.store)
    result = four.run("subscribe", "-U", **environment)
    assert result.code == (0 if forbids == "sha1" else 11)
    assert (_touched(before, _prints(four.store)) != set()) is True
    assert four.run("subscribe", "-U", **environment).code == result.code


def test_limit_that_was_lowered_holds_for_each_list_of_a_signer(four: Site):
    """The signer is judged by the first list, which is small enough; the second one is not."""
    _publish(four, 1, "2", *range(10, 30))
    four.expect(0, "subscribe", "-U")
    sizes = [len(four.server.published()[f"/{name}"].content) for name in LISTS]
    result = four.run("subscribe", "-U", VMCATCHER_LIST_BYTES=str(sizes[0] + 100))
    assert result.code == 11
    (line,) = [line for line in result.err.splitlines() if "ERROR" in line]
    assert str(sizes[1]) in line


def test_other_bytes_under_the_same_names_are_looked_at(four: Site):
    """A server that ignores conditions, and whose ETag does not change with what it serves."""
    name = f"/{LISTS[1]}"
    for version in ("2", "3"):
        _publish(four, 1, version)
        four.server.publish(name, four.server.published()[name].content, etag="", last_modified="")
        four.expect(0, "subscribe", "-U")
    assert len(list((four.store / "subscriptions" / LISTS[1] / "lists").glob("*.smime"))) == 3


# -- looking ahead


def test_looking_ahead_says_what_an_update_would_admit_and_writes_nothing(four: Site):
    _publish(four, 1, "2")
    before = _prints(four.store)

    def look(context: Context, tools: Tools) -> dict[str, LookedAhead | VmcatcherError]:
        found, _ = subscriptions.readable_subscriptions(context.layout)
        return dict(look_ahead_all(context, tools, found))

    found = _run(four, look)
    assert _touched(before, _prints(four.store)) == set()
    assert list(found) == LISTS
    seen = [(one.parsed.imagelist.version, one.version_before, one.is_news) for one in found.values()]
    assert seen == [("1", "1", False), ("2", "1", True), ("1", "1", False), ("1", "1", False)]
    report = _run(four, lambda context, tools: update_all(context, tools, Teller(context, None, {})))
    assert [one.list_id for one in report.admitted] == [LISTS[1]]


def test_looking_ahead_says_why_nothing_would_be_admitted(four: Site):
    signed = four.server.published()[f"/{LISTS[1]}"].content
    four.server.publish(f"/{LISTS[1]}", signed.replace(b"A test list", b"A best list"))
    four.expect(0, "endorser", "-u", "-e", "alice", "-s", LISTS[2])
    before = _prints(four.store)

    def look(context: Context, tools: Tools) -> list[type[BaseException]]:
        found: list[type[BaseException]] = []
        for name in LISTS:
            one = subscriptions.find_subscription(context.layout, name)
            assert one is not None
            try:
                found.append(type(look_ahead(context, tools, one)))
            except VmcatcherError as error:
                found.append(type(error))
        return found

    assert _run(four, look) == [LookedAhead, DigestMismatch, EndorserNotLinked, LookedAhead]
    assert _touched(before, _prints(four.store)) == set()


# -- several at a time


@pytest.mark.slow
def test_output_and_store_do_not_depend_on_how_many_are_fetched_at_a_time(four: Site):
    """The first list is the slowest to come; what is said of it still comes first."""
    for number in range(4):
        _publish(four, number, "2")
    four.server.publish(f"/{LISTS[3]}", b"none")
    four.server.fault(f"/{LISTS[0]}", "hang", times=1, seconds=0.3)
    said = four.run("subscribe", "-U", "-v", VMCATCHER_LIST_JOBS="4").err
    order = [line.rpartition(" ")[2] for line in said.splitlines() if "updating" in line]
    assert order == LISTS
    places = [said.index(f"admitted {name}") for name in LISTS[:3]]
    assert places == sorted(places)
    assert check_invariants(four.store) == []


def _slow_host(four: Site) -> str:
    """Move the first list to a host that never answers."""
    uri = _publish(four, 0, "2", host="localhost")
    four.server.publish("/none", b"")
    path = four.store / "subscriptions" / LISTS[0] / "subscription.json"
    document = json.loads(path.read_text()) | {"uri": uri}
    del document["~sha256"]
    path.write_text(json.dumps(document))
    four.server.fault(f"/{LISTS[0]}", "hang")
    return uri


@pytest.mark.slow
def test_server_that_hangs_is_waited_for_while_the_others_are_asked(four: Site):
    _slow_host(four)
    for number in (1, 2, 3):
        _publish(four, number, "2")
    asked: list[float] = []

    def watch() -> None:
        while len({request.path for request in four.server.requests}) < 4 and len(asked) < 400:
            asked.append(time.monotonic())
            time.sleep(0.01)

    watcher = threading.Thread(target=watch)
    watcher.start()
    began = time.monotonic()
    result = four.run("subscribe", "-U", VMCATCHER_LIST_TIMEOUT="1.5")
    watcher.join()
    assert result.code == 10
    assert asked[-1] - began < 1.2
    assert LISTS[0] in result.err
    for name in LISTS[1:]:
        assert len(list((four.store / "subscriptions" / name / "lists").glob("*.smime"))) == 2


@pytest.mark.slow
def test_interrupt_ends_an_update_that_waits_within_a_second(four: Site):
    _slow_host(four)
    for number in (1, 2, 3):
        _publish(four, number, "2")
        four.server.fault(f"/{LISTS[number]}", "hang")
    before = _prints(four.store)
    words = [str(Path(sys.executable).parent / "vmcatcher_subscribe"), "-U"]
    with subprocess.Popen(words, env={**os.environ, **four.environment}, stderr=subprocess.PIPE, text=True) as run:
        ends = time.monotonic() + 30
        while len(four.server.requests) < 3:
            assert time.monotonic() < ends
            time.sleep(0.02)
        time.sleep(0.2)
        began = time.monotonic()
        run.send_signal(signal.SIGINT)
        _, said = run.communicate(timeout=20)
        took = time.monotonic() - began
    assert run.returncode == 130
    assert took < 1
    assert "Traceback" not in said
    assert _touched(before, _prints(four.store)) == set()
