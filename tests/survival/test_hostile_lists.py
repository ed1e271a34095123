"""Lists that are signed as they must be and mean harm, through the commands that an operator runs.

Every way of being refused outright is in tests/refusals; here is what a list may try beyond that: to bring back an old
state, to take what is another list's, to reach files, shells, terminals, logs and the environment of handlers.
"""

from __future__ import annotations

import json
import os
import re
import stat
import time
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import pytest

from support import handmade
from support.pki import Pki
from support.site import LIST_ID, Result, Site, image_id
from support.tree import check_invariants, tree
from vmcatcher.errors import printable

# A hundred lists through the commands; the quick tier has the refusals one by one.
pytestmark = pytest.mark.slow

OTHER = "22222222-aaaa-4aaa-8aaa-000000000002"
_DAY, _SECOND = timedelta(days=1), timedelta(seconds=1)
# A record of the log as the commands write it by default.
_RECORD = re.compile(r"(WARNING|ERROR|INFO|DEBUG):[a-z_.A-Z]+:.*")


def refused(result: Result, code: int, *says: str) -> None:
    """Demand the code, one line that says each of `says`, nothing on stdout, and nothing but printable records."""
    assert result.code == code, result
    assert result.out == ""
    lines = calm(result)
    assert any(all(re.search(one, line) for one in says) for line in lines), result.err


def calm(result: Result) -> list[str]:
    """Return the lines of stderr, each of which is a record and can be shown on any terminal."""
    lines = result.err.split("\n")
    assert lines.pop() == ""
    for line in lines:
        assert _RECORD.fullmatch(line), line
        assert line == printable(line)
    return lines


def sign(site: Site, content: bytes) -> None:
    site.server.publish("/list", site.alice.sign(content))


def decided(site: Site) -> dict[str, str]:
    """Return the store without the bookkeeping of attempts."""
    return {path: what for path, what in site.tree().items() if not path.endswith("/fetch.json")}


@pytest.fixture
def joined(site: Site) -> Site:
    """A site that subscribes to a list with one good image."""
    site.join(site.image(1))
    return site


@pytest.fixture
def cached(joined: Site) -> Site:
    """A site with that image in the cache."""
    joined.select(1)
    joined.cache()
    joined.told()
    return joined


# -- what was once so


def test_fault_56_older_list_is_refused_after_the_newest_one_expired_and_its_images_left(cached: Site):
    cached.publish("2", cached.image(1))
    cached.expect(0, "subscribe", "-U")
    cached.now += 21 * _DAY
    cached.cache()
    assert cached.endorsed() == {}
    cached.publish("1", cached.image(1))  # made good for another 20 days
    before = decided(cached)
    refused(cached.run("subscribe", "-U"), 17, LIST_ID, "version 1 is lower than version 2")
    assert decided(cached) == before
    cached.expect(0, "subscribe", "-D", "-u", LIST_ID)
    refused(cached.run("subscribe", "-s", cached.server.url("/list")), 1, "version 1 is lower than version 2")


def test_fault_59_list_that_is_over_lets_its_images_go_without_any_server(cached: Site):
    cached.server.close()
    cached.now += 19 * _DAY
    cached.cache()
    assert cached.told() == ["ProcessPrefix", "ProcessPostfix"]
    cached.now += 2 * _DAY
    cached.cache()
    left = [event for event in cached.noted() if event["TYPE"] == "ExpirePostfix"]
    assert [(event["DC_IDENTIFIER"], event["REASON"]) for event in left] == [(image_id(1), "list-expired")]
    assert cached.endorsed() == {}
    assert list(cached.expired().values()) == [b"image 1 version 1\n" * 100]


def test_fault_59_server_that_serves_the_same_list_for_ever_cannot_keep_it_alive(cached: Site):
    cached.now += 21 * _DAY
    for _ in range(2):
        refused(cached.run("subscribe", "-U"), 34, LIST_ID, "expired")
    cached.cache()
    assert cached.endorsed() == {}


# -- versions that ran away


def allow(site: Site, code: int = 0, list_id: str = LIST_ID) -> list[str]:
    result = site.run("vmcatcher", "subscription", "allow-older", list_id)
    assert result.code == code, result
    said = f"the next list of {list_id} may be older than the newest one ever admitted\n"
    assert result.out == (said if code == 0 else "")
    return calm(result)


@pytest.fixture
def run_away(cached: Site) -> Site:
    """A site that took a list of version 999999999, after which every sane one is refused."""
    cached.publish("999999999", cached.image(1))
    cached.expect(0, "subscribe", "-U")
    cached.publish("2", cached.image(1), cached.image(2))
    refused(cached.run("subscribe", "-U"), 17, "version 2 is lower than version 999999999")
    return cached


def test_fault_60_operator_lets_one_list_be_older_than_a_version_that_ran_away(run_away: Site):
    (said,) = allow(run_away)
    assert said.startswith("WARNING:vmcatcher.services.older_lists:")
    assert f"list {LIST_ID} may once be followed by one older than version 999999999" in said
    taken = run_away.run("subscribe", "-U")
    assert taken.code == 32  # image 2 is new and not decided
    assert any("version 2 is taken in place of version 999999999, as was allowed" in line for line in calm(taken))
    run_away.cache()
    assert run_away.told() == ["ProcessPrefix", "ProcessPostfix"]
    assert list(run_away.endorsed()) == [image_id(1)]
    run_away.publish("1", run_away.image(1))
    refused(run_away.run("subscribe", "-U"), 17, "version 1 is lower than version 2")
    assert check_invariants(run_away.store) == []


def test_fault_60_permission_waits_for_another_list_and_is_not_given_twice(run_away: Site):
    allow(run_away)
    before = decided(run_away)
    allow(run_away)
    assert decided(run_away) == before
    run_away.publish("999999999", run_away.image(1))
    run_away.now += _SECOND
    run_away.server.publish("/list", _newest_snapshot(run_away))  # the same list again is not what it waits for
    run_away.expect(0, "subscribe", "-U")
    run_away.publish("3", run_away.image(1))
    run_away.expect(0, "subscribe", "-U")
    run_away.publish("2", run_away.image(1))
    refused(run_away.run("subscribe", "-U"), 17, "version 2 is lower than version 3")


def test_fault_60_permission_is_used_up_by_a_newer_list_too(run_away: Site):
    allow(run_away)
    run_away.publish("1000000000", run_away.image(1))
    assert calm(run_away.expect(0, "subscribe", "-U")) == []
    run_away.publish("2", run_away.image(1))
    refused(run_away.run("subscribe", "-U"), 17, "version 2 is lower than version 1000000000")


def test_fault_60_permission_holds_for_a_subscription_that_is_made_again(run_away: Site):
    run_away.expect(0, "subscribe", "-D", "-u", LIST_ID)
    refused(run_away.run("subscribe", "-s", run_away.server.url("/list")), 1, "lower than version 999999999")
    allow(run_away)
    result = run_away.expect(0, "subscribe", "-s", run_away.server.url("/list"))
    assert any("version 2 is taken in place of version 999999999" in line for line in calm(result))
    run_away.publish("1", run_away.image(1))
    refused(run_away.run("subscribe", "-U"), 17, "version 1 is lower than version 2")


def test_fault_60_permission_lets_nothing_pass_but_an_older_version(run_away: Site):
    allow(run_away)
    before = decided(run_away)
    bob = run_away.pki.endorser("Bob Endorser")
    run_away.publish("2", run_away.image(1), signer=bob)
    refused(run_away.run("subscribe", "-U"), 13, "Bob Endorser")
    run_away.publish("2", run_away.image(1), dc__identifier=OTHER)
    refused(run_away.run("subscribe", "-U"), 31, OTHER)
    run_away.publish("2", run_away.image(1), dc__date__expires="2020-01-01T00:00:00Z")
    refused(run_away.run("subscribe", "-U"), 34, "expired")
    assert decided(run_away) == before


def test_fault_60_killed_update_does_not_leave_the_permission_for_a_second_list(run_away: Site):
    allow(run_away)
    mark = run_away.store / "marks" / f"{LIST_ID}.json"
    with_permission = mark.read_bytes()
    run_away.publish("2", run_away.image(1))
    run_away.expect(0, "subscribe", "-U")
    mark.write_bytes(with_permission)  # as a kill between the list and its mark leaves it
    run_away.publish("1", run_away.image(1))
    refused(run_away.run("subscribe", "-U"), 17, "version 1 is lower than version 2")
    run_away.cache()
    assert list(run_away.endorsed()) == [image_id(1)]


@pytest.mark.parametrize("list_id", [OTHER, "../marks/x", "", "x" * 300])
def test_fault_60_list_that_was_never_admitted_can_be_allowed_nothing(run_away: Site, list_id: str):
    before = run_away.tree()
    (said,) = allow(run_away, 1, list_id)
    assert "was ever admitted here" in said
    assert said.endswith("[nothing-admitted]")
    assert run_away.tree() == before


def _newest_snapshot(site: Site) -> bytes:
    return max((site.store / "subscriptions" / LIST_ID / "lists").glob("*.smime")).read_bytes()


# -- what is another list's


@pytest.fixture
def two_lists(cached: Site) -> Site:
    """A site with a second subscription, of the same endorser, with image 5."""
    publish_other(cached, "1", cached.image(5))
    cached.expect(0, "subscribe", "-s", cached.server.url("/other"))
    cached.expect(0, "subscribe", "-U")
    cached.select(5)
    cached.cache()
    cached.told()
    return cached


def publish_other(site: Site, version: str, *images: dict[str, object], path: str = "/other") -> None:
    site.publish(version, *images, path=path, dc__identifier=OTHER, hv__uri=site.server.url("/other"))


def test_fault_61_list_of_another_subscription_is_refused_and_the_other_goes_on(two_lists: Site):
    publish_other(two_lists, "2", two_lists.image(1, "9"), path="/list")
    publish_other(two_lists, "2", two_lists.image(5))
    refused(two_lists.run("subscribe", "-U"), 31, f"subscription {LIST_ID} was offered a list .* {OTHER}")
    two_lists.cache()
    assert two_lists.told() == ["ProcessPrefix", "ProcessPostfix"]
    assert two_lists.states() == {image_id(1): 3, image_id(5): 3}


def test_fault_63_second_list_cannot_take_an_image_or_have_it_replaced(two_lists: Site):
    before = two_lists.endorsed()
    publish_other(two_lists, "2", two_lists.image(1, "9"), two_lists.image(5))
    for _ in range(2):
        refused(two_lists.run("subscribe", "-U"), 36, OTHER, f"subscription {LIST_ID}: {image_id(1)}; left out")
        two_lists.cache()
        assert two_lists.told() == ["ProcessPrefix", "ProcessPostfix"]
        assert two_lists.endorsed() == before
    assert f"{image_id(1)}\t3\t{LIST_ID}" in two_lists.run("image", "-l").lines


def test_fault_63_first_owner_keeps_an_image_that_its_list_leaves_out_for_a_while(two_lists: Site):
    two_lists.publish("2", two_lists.image(2))
    publish_other(two_lists, "2", two_lists.image(1, "9"), two_lists.image(5))
    assert two_lists.run("subscribe", "-U").code == 36
    two_lists.cache()
    assert list(two_lists.endorsed()) == [image_id(5)]
    two_lists.publish("3", two_lists.image(1), two_lists.image(2))
    assert two_lists.run("subscribe", "-U").code == 36
    two_lists.cache()
    assert two_lists.endorsed()[image_id(1)] == b"image 1 version 1\n" * 100


# -- names, numbers and places

_NAMES = (
    "../escape",
    "../../../../tmp/escape",
    "/etc/passwd",
    "a/b",
    "a\\b",
    "..",
    ".",
    ".hidden",
    "-rf",
    "--store=/tmp",
    "",
    " ",
    "a b",
    "a\nb",
    "a\r",
    "a\tb",
    "a\x1b[2J",
    "\u0430" + image_id(1)[1:],  # a Cyrillic letter that looks like the Latin one
    image_id(1) + "\u200b",
    "a\u202eb",
    "~root",
    "$(touch${IFS}P)",
    "`id`",
    "a;b",
    "a|b",
    "a*",
    "%2e%2e%2fescape",
    "cache.index",
    "partial",
    "endorsed",
    "expired",
    "x.2026-11-23_04-23-39",
    "x" * 129,
    "x" * 10_240,
)


def test_fault_65_hostile_names_are_refused_one_by_one_and_are_never_a_path(joined: Site):
    outside = _outside(joined)
    joined.publish("2", *(joined.image(1, dc__identifier=name) for name in _NAMES), joined.image(2))
    joined.expect(0, "subscribe", "--imagelist-newimage-accept", "-u", LIST_ID)
    result = joined.run("subscribe", "-U")
    lines = [line for line in calm(result) if "'dc:identifier'" in line]
    assert len(lines) == len(_NAMES)
    assert joined.states().keys() == {image_id(1), image_id(2)}
    for name in _NAMES:
        if name:
            (said,) = calm(joined.run("image", "-a", f"--uuid={name}"))
            assert "does not match any known image" in said
    joined.select(2)
    joined.expect(0, "cache")
    assert list(joined.endorsed()) == [image_id(2)]
    assert _outside(joined) == outside
    stems = {part for path in joined.tree() for part in path.split("/")}
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._:+@=-]*", stem) for stem in stems), stems


def test_fault_65_list_with_a_hostile_name_is_refused(joined: Site):
    before = decided(joined)
    for name in _NAMES:
        joined.publish("2", joined.image(1), dc__identifier=name)
        refused(joined.run("subscribe", "-U"), 38, "'dc:identifier'")
    assert decided(joined) == before


def _outside(site: Site) -> dict[str, str]:
    """Return everything that the site has beside its store."""
    return {path: what for path, what in tree(site.root).items() if path.partition("/")[0] != "store"}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("allowed", [False, True])
@pytest.mark.parametrize("what", ["file", "link", "pipe", "device", "endless device"])
def test_fault_66_image_that_is_a_file_of_this_machine_is_not_read(site: Site, what: str, allowed: bool):
    secret = site.root / "secret"
    secret.write_bytes(b"CANARY of this machine\n")
    place = site.root / "place"
    match what:
        case "file":
            place = secret
        case "link":
            place.symlink_to(secret)
        case "pipe":
            os.mkfifo(place)
        case "device":
            place = Path("/dev/null")
        case "endless device":
            place = Path("/dev/zero")
    site.join(site.image(1, content=secret.read_bytes(), hv__uri=f"file://{place}"), site.image(2))
    if allowed:
        site.expect(0, "subscribe", "--allow-file-images", "-u", LIST_ID)
    site.select(1, 2)
    began = time.monotonic()
    result = site.run("cache")
    assert time.monotonic() - began < 10
    assert image_id(2) in site.endorsed(), "its neighbour is not affected"
    if allowed and what == "file":
        assert result.code == 0
        return
    assert result.code in (1, 75)
    assert any("file" in line or str(place) in line for line in calm(result))
    assert list(site.endorsed()) == [image_id(2)]
    assert not [path for path in (site.store / "partial").iterdir() if path.stat().st_size]


_SHELL = (
    "$(touch${IFS}PWNED)",
    "`touch${IFS}PWNED`",
    ";touch${IFS}PWNED;",
    "|touch${IFS}PWNED",
    "&touch${IFS}PWNED&",
    "'\"'\"",
    "--output-document=PWNED",
    ">PWNED",
)


def test_fault_67_location_with_shell_characters_is_asked_for_as_it_is(site: Site, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(site.root)
    images = [site.image(number, hv__uri=site.server.url(f"/{word}")) for number, word in enumerate(_SHELL, start=1)]
    for number, word in enumerate(_SHELL, start=1):
        # As RFC 3986 has it on the wire; what is told and shown is the list's own spelling.
        path = "/" + quote(word, safe="!#$&'()*+,/:;=?@[]~")
        site.server.publish(path, b"image %d version 1\n" % number * 100)
    site.join(*images)
    site.select(*range(1, len(_SHELL) + 1))
    handler = f'cat >> {site.events}; eval "echo $VMCATCHER_EVENT_DC_IDENTIFIER" > /dev/null'
    site.expect(0, "cache", "-x", handler)
    assert len(site.endorsed()) == len(_SHELL)
    told = {event.get("HV_URI") for event in site.noted()} - {None}
    assert told == {image["hv:uri"] for image in images}
    assert not (site.root / "PWNED").exists()


@pytest.mark.parametrize("tail", [" ", "\n", "\r\nX-Evil: 1", "\t", "\x7f", "\x1b[2J", "\u2028", "\\@evil.invalid/"])
def test_fault_67_location_with_a_character_that_ends_a_line_or_a_word_is_refused(joined: Site, tail: str):
    joined.publish("2", joined.image(1), joined.image(2, hv__uri=joined.server.url("/images/2") + tail))
    refused(joined.run("subscribe", "-U"), 1, "image 2", "'hv:uri'")
    assert joined.states() == {image_id(1): 2}


@pytest.mark.parametrize("userinfo", ["user:CANARY@", "CANARY@", ":CANARY@", "user%40CANARY:x@"])
def test_fault_68_location_with_a_password_is_refused_and_not_repeated(joined: Site, userinfo: str):
    joined.publish("2", joined.image(1), joined.image(2, hv__uri=joined.server.url("/i", userinfo=userinfo[:-1])))
    result = joined.run("subscribe", "-U", "-v", "-v")
    assert any("image 2" in line and "it holds a user name" in line for line in calm(result)), result
    assert "CANARY" not in result.err
    assert joined.states() == {image_id(1): 2}


_DIGEST = "0123456789abcdef" * 8
_SIZES = (0, -1, 2**50 + 1, 2**63, -(2**63), 10**400, 1.5, "1e3", "12x", "-5", " 5", "٣", True, False, None, [], {})
_DIGESTS = (
    _DIGEST[:-1],
    _DIGEST + "0",
    "g" * 128,
    _DIGEST + "\n",
    "",
    None,
    5,
    [_DIGEST],
    "٣" * 128,
    "0x" + _DIGEST[2:],
)


@pytest.mark.parametrize(
    ("field", "values"),
    [
        pytest.param("sl__checksum__sha512", _DIGESTS, id="fault_69_digests"),
        pytest.param("hv__size", _SIZES, id="fault_70_sizes"),
    ],
)
def test_images_with_a_digest_or_size_that_is_none_are_left_out(joined: Site, field: str, values: tuple[object, ...]):
    spoiled = [joined.image(number, **{field: value}) for number, value in enumerate(values, start=10)]
    joined.publish("2", *spoiled, joined.image(1))
    result = joined.run("subscribe", "-U")
    assert result.code == 1
    lines = [line for line in calm(result) if f"field '{field.replace('__', ':')}'" in line]
    assert len(lines) == len(values)
    assert all(len(line) < 1500 for line in lines)
    assert joined.states() == {image_id(1): 2}


def test_fault_69_digest_in_capitals_is_the_same_digest(site: Site):
    image = site.image(1)
    site.join({**image, "sl:checksum:sha512": str(image["sl:checksum:sha512"]).upper()})
    site.select(1)
    site.cache()
    assert list(site.endorsed()) == [image_id(1)]


def test_fault_71_image_larger_than_any_disk_is_one_line_and_the_others_come(site: Site):
    site.join(site.image(1, hv__size=2**50), site.image(2))
    site.select(1, 2)
    result = site.run("cache", "-x", f"cat >> {site.events}")
    assert result.code == 75
    (line,) = (line for line in calm(result) if line.startswith("ERROR"))
    assert image_id(1) in line
    assert str(2**50) in line
    assert list(site.endorsed()) == [image_id(2)]
    assert site.server.gets("/images/1-v1.raw") == 0
    assert list((site.store / "partial").iterdir()) == []


# -- documents


def _replaced(old: bytes, new: bytes) -> object:
    return lambda content: content.replace(old, new, 1)


_TITLE = b'"Test list title"'
_DOCUMENTS = {
    "fault_72_key_twice": (_replaced(_TITLE, b'"t", "hv:images": []'), 37, "'hv:images' twice"),
    "fault_72_key_twice_by_escapes": (_replaced(_TITLE, b'"t", "dc:titl\\u0065": "u"'), 37, "'dc:title' twice"),
    "fault_72_key_twice_deep_inside": (_replaced(_TITLE, b'[{"x": {"a": 1, "a": 1}}]'), 37, "'a' twice"),
    "fault_73_not_a_number": (_replaced(_TITLE, b"NaN"), 37, "NaN"),
    "fault_73_infinity": (_replaced(_TITLE, b"-Infinity"), 37, "-Infinity"),
    "fault_73_number_beyond_all": (_replaced(_TITLE, b"1e999"), 37, "1e999"),
    "fault_73_number_of_5000_digits": (_replaced(_TITLE, b"9" * 5000), 37, "5000 digits"),
    "fault_74_nested_without_end": (_replaced(_TITLE, b"[" * 200_000), 37, "more than 64 levels"),
    "fault_74_objects_in_objects": (_replaced(_TITLE, b'{"a":' * 100 + b"1" + b"}" * 100), 37, "more than 64 levels"),
    "fault_75_values_without_end": (_replaced(_TITLE, b"[" + b"0," * 600_000 + b"0]"), 37, "more than 500000 values"),
    "fault_75_images_without_end": (_replaced(b'"hv:images": [', b'"hv:images": [' + b"{}," * 10_001), 38, "10002"),
    "fault_76_no_utf_8": (_replaced(_TITLE, b'"\xff"'), 37, "not UTF-8"),
    "fault_76_overlong_utf_8": (_replaced(_TITLE, b'"\xc0\xaf"'), 37, "not UTF-8"),
    "fault_76_surrogate_as_utf_8": (_replaced(_TITLE, b'"\xed\xa0\x80"'), 37, "not UTF-8"),
    "fault_76_lone_surrogate": (_replaced(_TITLE, b'"\\ud800"'), 37, "half of a surrogate pair"),
    "fault_76_lone_surrogate_in_a_key": (_replaced(_TITLE, b'"t", "\\udfff": 1'), 37, "half of a surrogate pair"),
    "fault_76_nul": (_replaced(_TITLE, b'"a\\u0000b"'), 37, "a NUL character"),
    "fault_76_raw_nul": (_replaced(_TITLE, b'"a\0b"'), 37, "Invalid control character"),
    "fault_76_byte_order_mark": (lambda content: b"\xef\xbb\xbf" + content, 37, "byte order mark"),
    "fault_76_utf_16": (lambda content: content.decode().encode("utf-16"), 37, "not"),
    "fault_77_raw_escape": (_replaced(_TITLE, b'"\x1b[2J"'), 37, "Invalid control character"),
    "fault_79_text_behind_it": (lambda content: content + b'{"hv:imagelist": {}}', 37, "Extra data"),
    "fault_79_cut_off": (lambda content: content[: len(content) // 2], 37, "not JSON"),
}


@pytest.mark.parametrize("row", sorted({name[:8] for name in _DOCUMENTS}))
def test_document_that_can_be_read_in_two_ways_or_not_at_all_is_refused_at_once(joined: Site, row: str):
    before = decided(joined)
    for change, code, says in (case for name, case in _DOCUMENTS.items() if name.startswith(row)):
        sign(joined, change(joined.content("2", joined.image(1))))
        began = time.process_time()
        refused(joined.run("subscribe", "-U"), code, says)
        assert time.process_time() - began < 5
    assert decided(joined) == before
    joined.publish("2", joined.image(1))
    joined.expect(0, "subscribe", "-U")


def test_fault_75_list_larger_than_the_limit_is_not_read_to_its_end(joined: Site):
    before = decided(joined)
    joined.server.publish("/list", b"x" * (11 << 20))
    refused(joined.run("subscribe", "-U"), 10, "more than 10485760 bytes")
    assert decided(joined) == before


_FIELDS = (
    "dc:identifier",
    "dc:date:created",
    "dc:date:expires",
    "dc:title",
    "dc:description",
    "dc:source",
    "hv:version",
    "hv:uri",
    "hv:endorser",
    "hv:images",
    "ad:vo",
)
_OF_OTHER_TYPES = (None, True, 7, 1.5, "", "\u202e", [], [[]], {}, {"hv:x509": []}, [None], [{"hv:image": 5}])


@pytest.mark.parametrize("field", [pytest.param(field, id=f"fault_79-{field}") for field in _FIELDS])
def test_field_of_any_other_type_is_named_or_taken(joined: Site, field: str):
    codes = set()
    for number, value in enumerate(_OF_OTHER_TYPES, start=2):
        document = json.loads(joined.content(f"1.{number}", joined.image(1)))
        document["hv:imagelist"][field] = value
        sign(joined, json.dumps(document).encode())
        result = joined.run("subscribe", "-U")
        codes.add(result.code)
        assert result.code in {0, 1, 38}, (value, result)
        assert result.code != 38 or any(f"'{field}" in line for line in calm(result)), (value, result)
        if field == "hv:version" and result.code == 0:
            break  # a version that went up: nothing after it would be looked at
    assert codes & {1, 38} or field in {"dc:title", "dc:description", "dc:source", "ad:vo"}
    assert check_invariants(joined.store) == []


def test_fault_79_members_that_nobody_knows_are_kept_and_shown(site: Site):
    odd = {"ad:unknown": {"a": [1, None, "\u202e"]}, "": "", "PATH": "/tmp", "__proto__": {"x": 1}}
    site.join(site.image(1) | odd)
    manifest = json.loads((site.store / "subscriptions" / LIST_ID / "manifest.json").read_text())
    (image,) = manifest["images"]
    assert {name: image["fields"][name] for name in odd} == odd


# -- what is shown

_FORGED = (
    "x\nimage.sl:checksum:sha512=" + "0" * 128,
    "x\r\nendorser:hv:subject=/CN=Mallory",
    "x\u2028imagedef.cache=1\u2029y",
    "x\x85imagedef.cache=1\x0b\x0c\x1c\x1d\x1e",
    "\x1b[2J\x1b]0;owned\x07\x1bc",
    "\x9b2J\x9d0;owned\x9c",
    "\u202etxt.exe\u202c\u2066\u2069\u200f",
    "\x08\x08\x08\x7f",
)
_TEXTS = (
    "dc:title",
    "dc:description",
    "hv:version",
    "hv:hypervisor",
    "sl:arch",
    "sl:os",
    "sl:osversion",
    "sl:comments",
)


@pytest.mark.parametrize(
    "text", [pytest.param(text, id=f"fault_77_fault_78-{number}") for number, text in enumerate(_FORGED)]
)
def test_text_of_a_list_forges_no_line_and_reaches_no_terminal(site: Site, text: str):
    queries = (
        ("image", "-i", "-u", image_id(1)),
        ("image", "-l"),
        ("subscribe", "-i", "-u", LIST_ID),
        ("subscribe", "--image-list", "-u", LIST_ID),
        ("subscribe", "-l"),
        ("endorser", "-K"),
        ("endorser", "-i", "-e", "alice"),
    )
    site.join(site.image(1))
    usual = [_keys(site.expect(0, *query)) for query in queries]
    texts = {name.replace(":", "__"): text for name in _TEXTS}
    site.publish("2", site.image(1, **texts), dc__title=text, dc__description=text, dc__source=text, ad__vo=text)
    updated = site.expect(0, "subscribe", "-U", "-v", "-v")
    calm(updated)
    for query, keys in zip(queries, usual, strict=True):
        result = site.expect(0, *query)
        for line in result.out.split("\n")[:-1]:
            assert line.replace("\t", " ") == printable(line.replace("\t", " "))
        assert _keys(result) == keys
    (shown,) = _documents(site.expect(0, "image", "-i", "-u", image_id(1), "-f", "json").out)
    assert text in str(shown).encode().decode("unicode_escape") or text in _strings(shown)


def _keys(result: Result) -> list[str]:
    return [line.partition("=")[0].partition("\t")[0] for line in result.out.split("\n")]


def _documents(text: str) -> list[object]:
    decoder, at, found = json.JSONDecoder(), 0, []
    while text[at:].strip():
        at += len(text[at:]) - len(text[at:].lstrip())
        document, at = decoder.raw_decode(text, at)
        found.append(document)
    return found


def _strings(value: object) -> set[str]:
    if isinstance(value, dict):
        return {text for inner in value.values() for text in _strings(inner)}
    if isinstance(value, list):
        return {text for inner in value for text in _strings(inner)}
    return {value} if isinstance(value, str) else set()


@pytest.mark.parametrize("text", [pytest.param(text, id=f"fault_77-{n}") for n, text in enumerate(_FORGED)])
def test_error_about_a_hostile_value_is_one_printable_line(joined: Site, text: str):
    spoiled = ({"hv__size": text}, {"hv__uri": f"http://{text}/"}, {"dc__identifier": text}, {"sl__os": [text]})
    joined.publish("2", *(joined.image(9 + at, **one) for at, one in enumerate(spoiled)))
    lines = calm(joined.run("subscribe", "-U", "-v", "-v"))
    assert len([line for line in lines if line.startswith("ERROR") and "field" in line]) == len(spoiled)
    for field in ("dc__identifier", "dc__date__expires", "hv__uri"):
        joined.publish("2", joined.image(1), **{field: text})
        refused(joined.run("subscribe", "-U"), 38, field.replace("__", ":"))


def test_fault_78_list_forges_no_line_in_a_log_that_the_operator_configured(joined: Site):
    """Only our own formatter escapes; a file of the operator's gets each text as it was logged."""
    log, config = joined.root / "vmcatcher.log", joined.root / "log.json"
    handler = {"class": "logging.FileHandler", "filename": str(log), "formatter": "plain", "encoding": "utf-8"}
    plain = {"plain": {"format": "|%(levelname)s %(message)s"}}
    root = {"level": "DEBUG", "handlers": ["file"]}
    config.write_text(json.dumps({"version": 1, "formatters": plain, "handlers": {"file": handler}, "root": root}))
    joined.environment["VMCATCHER_LOG_CONF"] = str(config)
    text = "".join(_FORGED)[:190]
    fields = {"dc__title": text, "dc__description": text, "ad__vo": text}
    for seconds in (0, 1):
        created = (joined.now - _DAY * 0.5 + seconds * _SECOND).strftime("%Y-%m-%dT%H:%M:%SZ")
        images = (joined.image(1, dc__title=text, hv__version=text), joined.image(2, hv__size=text))
        joined.publish(f"2-{text}", *images, **fields, dc__date__created=created)
        assert joined.call("vmcatcher_subscribe", "-U").code == 1
    assert joined.call("vmcatcher_cache").code == 0
    lines = log.read_text(encoding="utf-8").split("\n")[:-1]
    assert [line for line in lines if not line.startswith("|") or line != printable(line)] == []
    for said in ("admitted", "newest of", "has other content", "'hv:size'"):
        assert any(said in line for line in lines), said


# -- envelopes


def _nested(site: Site) -> bytes:
    """Sign a part that is a signed message itself: the inner content is not what was asked for."""
    return site.alice.sign(site.alice.sign(site.content("2", site.image(1))))


def _two_signers(site: Site) -> bytes:
    content = site.content("2", site.image(1)) + b"\n"
    wire = content.replace(b"\n", b"\r\n")
    bob = site.pki.endorser("Bob Endorser")
    own = handmade.Cms(site.alice.parsed, site.alice.private_key, wire)
    both = [own.signer_info(), handmade.Cms(bob.parsed, bob.private_key, wire).signer_info()]
    return handmade.multipart(content, own.but(certificates=(site.alice.der, bob.der)).der(signers=both))


def _hand(site: Site, **changes: object) -> bytes:
    content = site.content("2", site.image(1)) + b"\n"
    return handmade.detached(site.alice.parsed, site.alice.private_key, content, **changes)


def _of_rsa(site: Site, digest: str) -> bytes:
    """Alice with an RSA key, who signs over a weak digest."""
    alice = site.pki.endorser("Alice Endorser", key="rsa")
    return handmade.detached(alice.parsed, alice.private_key, site.content("2") + b"\n", digest=digest)


def _swapped(site: Site) -> bytes:
    """Put another content beside the signature, which holds the signed one."""
    inside = (site.content("2", site.image(1)) + b"\n").replace(b"\n", b"\r\n")
    cms = handmade.Cms(site.alice.parsed, site.alice.private_key, inside, encapsulated=inside)
    return handmade.multipart(site.content("3") + b"\n", cms.der())


def _third_part(site: Site) -> bytes:
    signed = _hand(site)
    return signed.replace(b"\n--=_hand--", b"\n--=_hand\nContent-Type: text/plain\n\nmore\n--=_hand--")


def _without_content(site: Site) -> bytes:
    cms = handmade.Cms(site.alice.parsed, site.alice.private_key, site.content("2"))
    return handmade.opaque(cms.der())


def _stranger(site: Site) -> bytes:
    return Pki(site.root / "stranger").endorser("Alice Endorser").sign(site.content("2", site.image(1)))


def _brought_along(site: Site) -> bytes:
    brought = Pki(site.root / "stranger", name="Brought CA")
    return brought.endorser("Alice Endorser").sign(site.content("2"), extra=[brought.parsed])


_ENVELOPES = {
    "fault_80_nested": (_nested, ""),
    "fault_80_two_signers": (_two_signers, "expected exactly one"),
    "fault_80_sha1": (lambda site: _of_rsa(site, "sha1"), "sha1"),
    "fault_80_md5": (lambda site: _of_rsa(site, "md5"), "md5"),
    "fault_80_other_content_inside": (_swapped, ""),
    "fault_80_third_part": (_third_part, "part"),
    "fault_80_no_content": (_without_content, "content"),
    "fault_80_bare_json": (lambda site: site.content("2"), "not a signed list"),
    "fault_80_no_attributes_that_are_content": (lambda site: _hand(site, attributes=(), content_type="1.2.3"), ""),
    "fault_80_signature_of_another_key": (lambda site: _hand(site, signature=b"x" * 70), ""),
    "fault_80_content_changed": (lambda site: _hand(site).replace(b"Test image 1", b"Best image 1"), "changed"),
    "fault_80_certificate_only": (lambda site: _hand(site, certificates=()), "certificate"),
    "fault_81_own_authority": (_stranger, "not signed with the key"),
    "fault_81_authority_in_the_message": (_brought_along, "Brought CA"),
}


@pytest.mark.parametrize("row", ["fault_80", "fault_81"])
def test_envelope_that_could_hold_another_list_is_refused(joined: Site, row: str):
    before = decided(joined)
    for name, (make, says) in _ENVELOPES.items():
        if name.startswith(row):
            joined.server.publish("/list", make(joined))
            result = joined.run("subscribe", "-U")
            assert result.code == 11, (name, result)
            assert any(says in line for line in calm(result)), (name, result)
    assert decided(joined) == before


def test_fault_80_text_outside_the_signature_is_not_read(joined: Site):
    forged = joined.content("9", joined.image(7))
    head, body = _hand(joined).split(b"\n\n", 1)
    joined.server.publish("/list", head + b"\n\n" + forged + b"\n" + body + b"\n" + forged)
    result = joined.expect(0, "subscribe", "-U")
    assert calm(result) == []
    assert joined.states() == {image_id(1): 2}
    manifest = json.loads((joined.store / "subscriptions" / LIST_ID / "manifest.json").read_text())
    assert manifest["version"] == "2"


# -- trust that ends


def test_fault_81_signer_revoked_in_a_list_that_is_stale_by_now_loses_its_images_offline(cached: Site):
    cached.server.close()
    cached.pki.revoke(cached.alice)
    cached.pki.write_stale_crl()
    cached.cache()
    reasons = [event["REASON"] for event in cached.noted() if event["TYPE"] == "ExpirePostfix"]
    assert reasons == ["signer-revoked"]
    assert cached.endorsed() == {}
    cached.pki.write_crl()
    cached.cache()
    assert cached.endorsed() == {}, "revoked is revoked"


@pytest.mark.parametrize("what", ["signing_policy", "namespaces", "both"])
def test_fault_81_authority_whose_policy_went_missing_keeps_what_was_admitted_and_admits_nothing(
    cached: Site, what: str
):
    for name in ("signing_policy", "namespaces") if what == "both" else (what,):
        getattr(cached.pki, name).unlink()
    cached.publish("2", cached.image(1), cached.image(2))
    code = cached.run("subscribe", "-U").code
    assert code == (11 if what == "both" else 32)
    result = cached.cache()
    assert list(cached.endorsed()) == [image_id(1)]
    assert ("WARNING" in result.err) == (what == "both")


# -- what handlers are given


def test_fault_82_list_sets_no_variable_but_ours_and_no_value_is_run(site: Site, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(site.root)
    site.join(site.image(1))
    site.select(1)
    usual = _names_given(site)
    texts = {name.replace(":", "__"): "() { :;}; touch PWNED" for name in _TEXTS if name != "hv:version"}
    odd = {"PATH": "/tmp", "LD_PRELOAD": "/tmp/x.so", "IFS": "/", "BASH_ENV": "/tmp/x", "ad:PATH": "/tmp", "x=y": "z"}
    site.publish("2", site.image(1, "2", **texts) | odd | {"ad:mpuri": "$(touch PWNED)"}, ad__vo="`touch PWNED`")
    site.expect(0, "subscribe", "-U")
    given = _names_given(site)
    assert given - usual <= {"VMCATCHER_EVENT_AD_MPURI", "VMCATCHER_EVENT_REASON", "VMCATCHER_EVENT_FILENAME"}
    assert all(name.startswith("VMCATCHER_") or name in os.environ or name in _OF_SHELLS for name in given), given
    assert not (site.root / "PWNED").exists()


_OF_SHELLS = {"PWD", "SHLVL", "_", "OLDPWD"}


def _names_given(site: Site) -> set[str]:
    given = site.root / "given"
    site.expect(0, "cache", "-x", f"env -0 >> {given}")
    names = {entry.partition(b"=")[0].decode() for entry in given.read_bytes().split(b"\0") if entry}
    given.unlink()
    return names


def test_fault_82_text_of_200_kilobytes_is_cut_in_the_environment_and_whole_on_stdin(site: Site):
    text = "Größe " * 33_000
    site.join(site.image(1, dc__title=text, dc__description=text))
    site.select(1)
    given, told = site.root / "given", site.root / "told"
    handler = f"env -0 > {given}-$VMCATCHER_EVENT_TYPE; cat > {told}-$VMCATCHER_EVENT_TYPE"
    result = site.expect(0, "cache", "-x", handler)
    calm(result)
    variables = dict(
        entry.partition(b"=")[::2] for entry in (site.root / "given-AvailablePostfix").read_bytes().split(b"\0")
    )
    cut = variables[b"VMCATCHER_EVENT_DC_TITLE"].decode()
    assert 1000 < len(cut) < len(text)
    assert text.startswith(cut)
    assert text in _strings(json.loads((site.root / "told-AvailablePostfix").read_text()))
    assert site.endorsed().keys() == {image_id(1)}


def test_modes_of_what_a_list_leaves_behind_do_not_come_from_it(cached: Site):
    for path in cached.store.rglob("*"):
        assert not stat.S_IMODE(path.lstat().st_mode) & 0o6002 or path.is_symlink(), path
