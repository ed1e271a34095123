"""Our commands print and answer what the classic ones did: the recorded steps, played again on a site of ours."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from classic.recording import Player, covers, documents, sequences
from support.server import Server

EXPECTED = Path(__file__).parent / "expected"
SEQUENCES = sequences(EXPECTED.glob("*.txt"))

_NO_STORE = "a query does not make a store, and says that there is none"
_NO_TRACEBACK = "one line instead of a traceback"
_SAID = "what was asked for and not done is said"
_HIDDEN = "passwords are shown only with --show-secrets"
_ARCH = "the classic program printed the hypervisor as sl:arch"
_OFFLINE = "changing the policy fetches nothing: it holds for the list that is there"
_SAME_SUBJECT = "the same subject under two issuers is two credentials"
_PAIRS = "a single subscription is linked to each of the endorsers"
_UPPER = "a digest is the same one in upper case"
_DELETE = "-D was documented and never there; now it deletes the subscription that owns the image"
_CHECKED = "by default the bytes are checked, too, as the manual always said"

DIFFERENCES = {
    "endorser.list-empty": _NO_STORE,
    "endorser.list-empty-json": _NO_STORE,
    "endorser.create-three-subjects-two-issuers": "a refusal is an error",
    "endorser.create-two-issuers-one-subject": "a refusal is an error",
    "endorser.create-partial-dup": _SAME_SUBJECT,
    "endorser.list-many": _SAME_SUBJECT,
    "endorser.list-many-json": _SAME_SUBJECT,
    "endorser.list-after-delete": _SAME_SUBJECT,
    "endorser.extra-args": _SAME_SUBJECT,
    "endorser.links2": _PAIRS,
    "endorser.links3": _PAIRS,
    "endorser.links-after-delete": _PAIRS,
    "endorser.version": "our own version",
    "endorser.db-bad": _NO_TRACEBACK,
    "endorser.db-option": _NO_STORE,
    "endorser.sql-echo": "there is no SQL to show",
    "subscribe.list-empty": _NO_STORE,
    "subscribe.list-empty-json": _NO_STORE,
    "subscribe.unknown-endorser-v": "the advice is in the error line, also without -v",
    "subscribe.info-noupdate-message": _SAID,
    "subscribe.image-list-noupdate": "it crashed; now it lists the images",
    "subscribe.image-list": "it crashed; now it lists the images",
    "subscribe.image-list-json": "it crashed; now it lists the images",
    "subscribe.info-out-baddir": _NO_TRACEBACK,
    "subscribe.certdir-empty": "without any CA nothing can be judged: try again later",
    "subscribe.password-set": "every user of the machine sees a password on the command line",
    "subscribe.three-decorators": "every user of the machine sees a password on the command line",
    "subscribe.info-cred": _HIDDEN,
    "subscribe.info-cred-json": _HIDDEN,
    "subscribe.info-browser-json": _HIDDEN,
    "subscribe.delete-unknown": "which of the selections is unknown is said, too",
    "newimage-accept.set": _OFFLINE,
    "newimage-refuse.set": _OFFLINE,
    "newimage-subscribe.set": _OFFLINE,
    "newimage-refuse.set-accept-now": _OFFLINE,
    "newimage-refuse.update": _SAID,
    "newimage-refuse.update-again": "images that nobody decided about stay a thing to decide",
    "image.add-unknown": _SAID,
    "image.remove-unknown": _SAID,
    "image.add-unknown-sha": _SAID,
    "image.add-sha-upper": _UPPER,
    "image.remove-sha-upper": _UPPER,
    "image.info-lines": _ARCH,
    "image.info-sha-lines": _ARCH,
    "image.info-json": _ARCH,
    "image.info-sha-json": _ARCH,
    "image.info-two": _ARCH,
    "image.info-two-json": _ARCH,
    "image.info-oldsha": _ARCH,
    "image.info-message-env-certdir": "VMCATCHER_DIR_CERT counts for vmcatcher_image, too",
    "image.L-option": "-L is --log-config, as its documentation always said",
    "image.delete-option": _DELETE,
    "image.list-deleted": _DELETE,
    "cache.nothing-subscribed": _CHECKED,
    "cache.first": _CHECKED,
    "cache.second": _CHECKED,
    "cache.changed": _CHECKED,
    "cache.changed-second": _CHECKED,
    "cache.removed": _CHECKED,
    "cache.unsubscribed": _CHECKED,
    "cache.list-deleted": _CHECKED,
    "cache-env.check-yes": _CHECKED,
    "cache-env.dirs": _CHECKED,
    "cache-env.dirs-ok": _CHECKED,
    "comeback.back": _CHECKED,
}


@pytest.fixture
def player(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> Player:
    monkeypatch.chdir(tmp_path)
    return Player(tmp_path, server)


@pytest.mark.parametrize("name", SEQUENCES)
def test_recorded_steps_do_what_they_did(name: str, player: Player):
    differences = [what for step in SEQUENCES[name] for what in player.play(step)]
    assert not differences, "\n\n".join(differences)


def test_every_difference_has_a_reason_and_every_reason_a_difference():
    marked = {step.name for steps in SEQUENCES.values() for step in steps if step.was}
    assert marked == set(DIFFERENCES)


def test_recordings_are_whole():
    steps = [step for steps in SEQUENCES.values() for step in steps]
    assert len(steps) == 274
    assert [step.name for step in steps if not step.command or step.code < 0] == []


@pytest.mark.parametrize(
    ("expected", "found", "is_covered"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, True),
        ({"a": 1}, {"b": 2}, False),
        ({"a": True}, {"a": 1}, False),
        ([{"a": 1}], [{"a": 1}, {"a": 1}], False),
        ([1, 2], [2, 1], False),
    ],
)
def test_comparison_allows_more_keys_and_nothing_else(expected: object, found: object, is_covered: bool):
    assert covers(expected, found) is is_covered


def test_index_of_the_cache_has_the_recorded_keys_and_values(player: Player):
    for step in SEQUENCES["cache"][:3]:
        player.play(step)
    digest = hashlib.sha512(player.published).hexdigest()
    text = (EXPECTED / "cache.index.json").read_text().replace("MESSAGE-SHA512", digest)
    recorded = json.loads(player.told(text))[player.token("IMAGE-1")]
    # A copy of the whole list in every entry: `msgHash` names it instead.
    assert recorded.pop("message") == "MESSAGE"
    entry = json.loads((player.site.root / "cache/cache.index").read_text())[player.token("IMAGE-1")]
    assert {name: entry.get(name) for name in recorded} == recorded
    assert entry.keys() - recorded.keys() == {"valid_until"}


def test_output_files_take_the_selections_in_order(player: Player):
    player.prepare('fresh site (copy of base "v1")')
    site, (out, err) = player.site, ("first", "second")
    shown = site.expect(0, "image", "-i", "-u", player.token("IMAGE-2"))
    first = ("-u", player.token("IMAGE-1"), "-o", out)
    second = ("-u", player.token("IMAGE-2"), "-o", err)
    result = site.expect(0, "image", "-i", *first, *second, "-u", player.token("IMAGE-3"))
    assert (site.root / err).read_text() == shown.out
    assert "imagedef.dc:identifier=" + player.token("IMAGE-3") in result.out
    assert player.token("IMAGE-2") not in result.out


def test_selection_that_is_unknown_keeps_its_output_file_to_itself(player: Player):
    player.prepare('fresh site (copy of base "v1")')
    site = player.site
    (site.root / "first").write_text("from yesterday")
    for command, known in (("image", player.token("IMAGE-2")), ("subscribe", player.token("LIST"))):
        result = site.expect(0, command, "-i", "-u", "nosuch", "-o", "first", "-u", known, "-o", "second")
        assert (site.root / "first").read_text() == "from yesterday"
        assert known in (site.root / "second").read_text()
        assert result.out == ""


def test_json_of_two_selections_is_a_stream_that_can_be_read(player: Player):
    player.prepare('fresh site (copy of base "v1")')
    both = ("-u", player.token("IMAGE-1"), "-u", player.token("IMAGE-2"))
    result = player.site.expect(0, "image", "-i", "-f", "json", *both)
    assert len(list(documents(result.out))) == 2
    assert "}{" not in result.out
    assert result.out.endswith("\n")
