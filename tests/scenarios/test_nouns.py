"""vmcatcher endorser, subscription, image and cache: the daily work in the noun-verb command."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from support.site import LIST_ID, Result, Site, image_id
from support.tree import tree

UNKNOWN = "ffffffff-ffff-4fff-8fff-ffffffffffff"


def vmcatcher(site: Site, *arguments: str, code: int = 0) -> Result:
    result = site.run("vmcatcher", *arguments)
    assert result.code == code, result
    return result


@pytest.fixture
def published(site: Site) -> Site:
    """A list of two images, signed by somebody whom nobody here knows."""
    site.publish("1", site.image(1), site.image(2))
    return site


@pytest.fixture
def joined(published: Site) -> Site:
    published.join()
    return published


# -- the way of a newcomer


def test_newcomer_gets_an_image_with_four_commands(published: Site):
    added = vmcatcher(published, "subscription", "add", "--auto-endorse", published.server.url("/list"))
    assert added.lines[0] == f"subscribed to {LIST_ID}"
    assert added.lines[1].endswith(f": {published.alice.subject}")
    published.expect(0, "subscribe", "-U")
    assert vmcatcher(published, "image", "subscribe", "Title of image 1").lines == [f"selected {image_id(1)}"]
    published.cache()
    assert vmcatcher(published, "image", "list", "--cached").lines[0].split("\t")[:2] == [image_id(1), "cached"]
    [version] = vmcatcher(published, "cache", "list", "--json").answer["versions"]
    assert (version["image"], version["state"], version["has_bytes"]) == (image_id(1), "endorsed", True)


@pytest.mark.parametrize(
    "query",
    [("endorser", "list"), ("subscription", "list"), ("image", "list"), ("cache", "list"), ("event", "list")],
    ids=" ".join,
)
def test_query_without_a_store_is_empty_and_makes_none(site: Site, query: tuple[str, str]):
    result = vmcatcher(site, *query)
    assert (result.out, "there is no store at" in result.err) == ("", True)
    assert [one for one in vmcatcher(site, *query, "--json").answer.values() if one] == []
    assert not site.store.exists()


# -- endorsers


def test_endorser_is_added_shown_and_removed(joined: Site):
    bob = ("--subject", "/CN=Bob", "--subject", "/CN=Bob 2", "--issuer", "/CN=CA")
    assert vmcatcher(joined, "endorser", "add", "bob", *bob).lines == ["2 credentials added to bob"]
    assert vmcatcher(joined, "endorser", "add", "bob", *bob[:2], *bob[4:]).lines == ["bob had this credential already"]
    assert [line.split("\t")[0] for line in vmcatcher(joined, "endorser", "list").lines] == ["alice", "bob", "bob"]
    listed = {one["endorser"]: one for one in vmcatcher(joined, "endorser", "list", "--json").answer["endorsers"]}
    assert [listed[name]["subscriptions"] for name in ("alice", "bob")] == [1, 0]
    assert f"subscription\t{LIST_ID}" in vmcatcher(joined, "endorser", "show", "ali").lines
    assert vmcatcher(joined, "endorser", "remove", "-y", "bob").lines == ["removed the endorser bob"]
    assert vmcatcher(joined, "endorser", "remove", "-y", "alice", "--json").answer["unlinked"] == [LIST_ID]
    assert vmcatcher(joined, "endorser", "list").out == ""


def test_link_can_be_taken_away_and_given_back_as_often_as_a_script_likes(joined: Site):
    for changed in (True, False):
        answer = vmcatcher(joined, "endorser", "unlink", "alice", LIST_ID[:4], "--json").answer
        assert (answer["linked"], answer["changed"]) == (False, changed)
    assert [line.split("\t")[1] for line in vmcatcher(joined, "subscription", "list").lines] == ["untrusted"]
    for changed in (True, False):
        answer = vmcatcher(joined, "endorser", "link", "alice", LIST_ID[:4], "--json").answer
        assert (answer["linked"], answer["changed"]) == (True, changed)
    assert [line.split("\t")[1] for line in vmcatcher(joined, "subscription", "list").lines] == ["current"]


# -- subscriptions


def test_subscription_stands_as_its_list_does(published: Site):
    site = published
    site.join(update=False)
    [one] = vmcatcher(site, "subscription", "list", "--json").answer["subscriptions"]
    assert (one["standing"], one["images"], one["selected"]) == ("none yet", 2, 0)
    site.expect(0, "subscribe", "-U")
    site.select(2)
    [one] = vmcatcher(site, "subscription", "list", "--json").answer["subscriptions"]
    assert (one["standing"], one["images"], one["selected"], one["error"]) == ("current", 2, 1, None)
    site.server.withdraw("/list")
    site.expect(10, "subscribe", "-U")
    [one] = vmcatcher(site, "subscription", "list", "--json").answer["subscriptions"]
    assert (one["standing"], "404" in one["error"]) == ("current", True)
    site.now = site.now.replace(year=site.now.year + 1)
    assert [line.split("\t")[1] for line in vmcatcher(site, "subscription", "list").lines] == ["expired"]


def test_password_is_never_shown(published: Site, tmp_path: Path):
    (tmp_path / "password").write_text("s3cret\n")
    arguments = ("--auto-endorse", "--username", "me", "--password-file", str(tmp_path / "password"))
    vmcatcher(published, "subscription", "add", *arguments, published.server.url("/list"))
    for form in ((), ("--json",)):
        shown = vmcatcher(published, "subscription", "show", LIST_ID, *form)
        assert "s3cret" not in shown.out + shown.err
        assert "me" in shown.out
    assert vmcatcher(published, "subscription", "show", LIST_ID, "--json").answer["has_password"] is True


def test_all_images_can_be_selected_at_once_and_for_good(published: Site):
    site = published
    vmcatcher(site, "subscription", "add", "--auto-endorse", "--new-images", "subscribe", site.server.url("/list"))
    site.expect(0, "subscribe", "-U")
    site.publish("2", site.image(1), site.image(2), site.image(3))
    site.expect(0, "subscribe", "-U")
    assert site.states() == {image_id(number): 3 for number in (1, 2, 3)}


def test_signer_whom_nobody_knows_is_refused(published: Site):
    result = vmcatcher(published, "subscription", "add", published.server.url("/list"), "--json", code=1)
    assert [one["id"] for one in result.errors] == ["endorser-unknown"]
    assert vmcatcher(published, "subscription", "list").out == ""


def test_new_images_are_accepted_and_refused_one_by_one(joined: Site):
    joined.publish("2", *(joined.image(number) for number in (1, 2, 3, 4)))
    joined.expect(32, "subscribe", "-U")
    done = vmcatcher(joined, "subscription", "accept", LIST_ID, image_id(3), UNKNOWN, "--json", code=1)
    assert (done.answer["accepted"], [one["subject"] for one in done.errors]) == ([image_id(3)], [UNKNOWN])
    assert vmcatcher(joined, "subscription", "refuse", LIST_ID, image_id(4)).lines == [f"refused {image_id(4)}"]
    joined.expect(0, "subscribe", "-U")
    assert set(joined.states()) == {image_id(number) for number in (1, 2, 3)}


def test_what_cannot_be_taken_back_is_not_done_where_nobody_can_be_asked(joined: Site):
    before = tree(joined.store)
    for words in (("subscription", "remove", LIST_ID), ("endorser", "remove", "alice")):
        result = vmcatcher(joined, *words, code=1)
        assert "nothing was done: nobody is there to ask" in result.err
        assert result.err.count("\n") == 1
    assert tree(joined.store) == before
    vmcatcher(joined, "subscription", "remove", "--yes", LIST_ID)
    assert vmcatcher(joined, "subscription", "list").out == ""


# -- images and the cache


def test_image_goes_through_its_standings(joined: Site):
    def standing() -> str:
        return vmcatcher(joined, "image", "list").lines[0].split("\t")[1]

    found = [standing()]
    vmcatcher(joined, "image", "subscribe", image_id(1))
    found.append(standing())
    joined.cache()
    found.append(standing())
    joined.publish("2", joined.image(2))
    joined.expect(0, "subscribe", "-U")
    found.append(standing())
    vmcatcher(joined, "image", "unsubscribe", image_id(1))
    found.append(standing())
    assert found == ["available", "wanted", "cached", "unavailable", "gone"]


def test_images_that_are_unknown_keep_no_other_from_being_selected(joined: Site):
    done = vmcatcher(joined, "image", "subscribe", UNKNOWN, image_id(2), image_id(2), "--json", code=1)
    assert done.answer == {"selected": [image_id(2)]}
    assert [(one["subject"], one["id"]) for one in done.errors] == [(UNKNOWN, "name-unknown")]


def test_list_of_images_is_narrowed(joined: Site):
    vmcatcher(joined, "image", "subscribe", image_id(2))
    assert len(vmcatcher(joined, "image", "list", "--available").lines) == 2
    assert len(vmcatcher(joined, "image", "list", "--selected").lines) == 1
    assert len(vmcatcher(joined, "image", "list", "--selected", "--cached").lines) == 0
    assert len(vmcatcher(joined, "image", "list", "--list", LIST_ID[:8]).lines) == 2


def test_corrupt_bytes_are_found_and_fetched_again(joined: Site):
    joined.select(1)
    joined.cache()
    assert vmcatcher(joined, "cache", "verify").out == ""
    blob = (joined.store / "endorsed" / image_id(1)).resolve()
    blob.chmod(0o644)
    blob.write_bytes(b"x" * blob.stat().st_size)
    done = vmcatcher(joined, "cache", "verify", "--json", code=1)
    assert done.answer == {"corrupt": [image_id(1)], "fetched_again": [image_id(1)]}
    [left] = vmcatcher(joined, "cache", "list", "--expired", "--json").answer["versions"]
    assert (left["image"], left["reason"]) == (image_id(1), "corrupt")
    assert vmcatcher(joined, "cache", "verify").out == ""


def test_image_whose_bytes_are_wrong_is_listed_as_failing(joined: Site):
    joined.select(1)
    joined.server.publish("/images/1-v1.raw", b"y" * 1800)
    joined.cache(code=1)
    [failing] = vmcatcher(joined, "cache", "list", "--failing", "--json").answer["versions"]
    assert (failing["image"], failing["tries"]) == (image_id(1), 1)
    assert vmcatcher(joined, "cache", "list").out == ""


# -- what all commands share


def test_quiet_says_nothing_of_what_was_done_and_a_query_still_answers(joined: Site):
    assert vmcatcher(joined, "image", "subscribe", "-q", image_id(1)).out == ""
    assert vmcatcher(joined, "image", "list", "-q").out != ""


def test_refused_command_is_a_document_too(joined: Site):
    result = vmcatcher(joined, "image", "show", UNKNOWN, "--json", code=1)
    assert result.json["result"] is None
    assert [one["id"] for one in result.errors] == ["name-unknown"]
    assert result.err.count("\n") == 1


def test_settings_file_can_be_named(joined: Site, tmp_path: Path):
    (tmp_path / "own.toml").write_text(f'store = "{tmp_path / "elsewhere"}"\n')
    result = joined.run("vmcatcher", "image", "list", "--config", str(tmp_path / "own.toml"), VMCATCHER_STORE="")
    assert (result.code, f"there is no store at {tmp_path / 'elsewhere'}" in result.err) == (0, True)


def on_terminal(site: Site, *arguments: str, answer: str = "") -> tuple[int, str]:
    """Run the installed command on a terminal of its own; type `answer` when it asks."""
    parent, child = pty.openpty()
    program = str(Path(sys.executable).parent / "vmcatcher")
    environment = {**os.environ, **site.environment, "TERM": "xterm", "COLUMNS": "200"}
    environment.pop("NO_COLOR", None)
    running = subprocess.Popen(
        [program, *arguments], stdin=child, stdout=child, stderr=child, env=environment, start_new_session=True
    )
    os.close(child)
    shown = b""
    while select.select([parent], [], [], 20)[0]:
        try:
            got = os.read(parent, 65536)
        except OSError:  # the terminal was hung up: nobody writes to it any more
            break
        shown += got
        if b"?" in got and answer:
            os.write(parent, answer.encode() + b"\n")
            answer = ""
    os.close(parent)
    return running.wait(20), shown.decode()


@pytest.mark.slow
def test_terminal_shows_a_table_in_colour(joined: Site):
    code, shown = on_terminal(joined, "image", "list")
    assert code == 0
    assert "IMAGE" in shown
    assert "1.8 KiB" in shown
    assert "in 19 d" in shown or "in 20 d" in shown
    assert "\x1b[" in shown


@pytest.mark.slow
@pytest.mark.parametrize(("answer", "code", "left"), [("n", 1, 1), ("y", 0, 0)])
def test_question_on_a_terminal_decides(joined: Site, answer: str, code: int, left: int):
    done, shown = on_terminal(joined, "subscription", "remove", LIST_ID, answer=answer)
    assert done == code, shown
    assert f"Remove the subscription {LIST_ID}" in shown
    assert len(vmcatcher(joined, "subscription", "list").lines) == left


@pytest.mark.slow
def test_progress_is_shown_on_a_terminal_and_leaves_no_trace(joined: Site):
    joined.select(1)
    joined.cache()
    code, shown = on_terminal(joined, "cache", "verify")
    assert code == 0, shown


def test_list_at_an_earlier_time_says_what_was_endorsed_and_cached_then(joined: Site):
    begin = joined.now
    joined.select(1)
    joined.cache()
    joined.now += timedelta(days=2)
    joined.publish("2", joined.image(2))
    joined.expect(0, "subscribe", "-U")
    joined.cache()

    def at(when: str) -> dict[str, tuple[str, object]]:
        answer = vmcatcher(joined, "image", "list", "--json", "--at", when).answer
        return {one["image"]: (one["standing"], one["selected"]) for one in answer["images"]}

    assert at("1d") == {image_id(1): ("cached", None), image_id(2): ("available", None)}
    assert at("0s") == {image_id(2): ("available", None)}
    assert at((begin - timedelta(days=1)).isoformat()) == {}
    assert "[bad-moment]" in vmcatcher(joined, "image", "list", "--at", "yesterday", code=2).err


def test_update_fetches_all_lists_or_those_that_are_named(joined: Site):
    joined.publish("2", joined.image(1), joined.image(2), joined.image(3))
    first = vmcatcher(joined, "subscription", "update", "Test list", "--json", code=1)
    assert [one["id"] for one in first.errors] == ["images-undecided"]
    [one] = first.answer["lists"]
    assert (one["list"], one["admitted"], one["version_before"], one["version"]) == (LIST_ID, True, "1", "2")
    assert one["new_images"] == [image_id(3)]
    vmcatcher(joined, "subscription", "refuse", LIST_ID, image_id(3))
    assert vmcatcher(joined, "subscription", "update").lines == [f"{LIST_ID}\tunchanged\t2\t2\t0"]
    assert vmcatcher(joined, "subscription", "update", "-q").out == ""
    assert "[name-unknown]" in vmcatcher(joined, "subscription", "update", "nonesuch", code=1).err


def test_image_of_which_an_earlier_version_is_there_is_outdated(joined: Site):
    joined.select(1)
    joined.cache()
    joined.publish("2", joined.image(1, content=b"another"), joined.image(2))
    joined.expect(0, "subscribe", "-U")
    [row, _] = vmcatcher(joined, "image", "list", "--json").answer["images"]
    assert (row["standing"], row["cached"]) == ("outdated", True)
