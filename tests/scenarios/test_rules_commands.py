"""vmcatcher subscription set, image reset, image veto, unveto, vetoes, as they are typed."""

from __future__ import annotations

import hashlib
import json
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from support.schemas import check_envelope
from support.server import Server
from support.site import LIST_ID, Result, Site, image_id

_RULE = "arch=x86_64 format=qcow2"


@pytest.fixture
def joined(site: Site) -> Site:
    """A site with a list of a qcow2 and a raw image, none of them selected."""
    site.join(site.image(1, hv__format="qcow2"), site.image(2, hv__format="raw"))
    return site


def _set(site: Site, *options: str, code: int = 0, **environment: str) -> Result:
    return site.expect(code, "vmcatcher", "subscription", "set", LIST_ID, *options, **environment)


def _decision(site: Site) -> dict[str, object]:
    document: dict[str, object] = json.loads((site.store / "subscriptions" / LIST_ID / "subscription.json").read_text())
    return document


def _sha512(number: int, version: str = "1") -> str:
    return hashlib.sha512(f"image {number} version {version}\n".encode() * 100).hexdigest()


# -- subscription set


def test_rule_is_set_applied_and_what_it_selects_is_counted(joined: Site):
    result = _set(joined, "--where", f" {_RULE} ")
    assert result.lines == [f"set\twhere\tnone\t{_RULE}", "rule\t1\t2"]
    assert joined.states() == {image_id(1): 3, image_id(2): 2}
    again = _set(joined, "--where", _RULE)
    assert again.lines == ["rule\t1\t2"]


def test_dry_run_lists_the_images_and_changes_nothing(joined: Site):
    joined.select(2)
    before = joined.tree()
    result = _set(joined, "--where", _RULE, "--dry-run")
    assert [line.split("\t")[:3] for line in result.lines if line.startswith("image")] == [
        ["image", image_id(1), "comes"],
        ["image", image_id(2), "selected"],
    ]
    assert "selected by hand" in result.lines[2]
    assert joined.tree() == before


def test_rule_goes_and_what_it_selected_stays(joined: Site):
    for off in (["--no-where"], ["--where", ""]):
        _set(joined, "--where", _RULE)
        assert _set(joined, *off).lines[0] == f"set\twhere\t{_RULE}\tnone"
        assert joined.states() == {image_id(1): 3, image_id(2): 2}


@pytest.mark.slow
def test_everything_that_can_be_set_is_shown_as_it_was_and_is(joined: Site, tmp_path: Path):
    secret = tmp_path / "secret"
    secret.write_text("hush\n")
    options = (
        "--new-images", "subscribe", "--max-validity", "90d", "--keep-until-replaced", "--pin-uri", "--tls", "igtf",
        "--insecure", "--file-images", "--password-over-http", "--username", "alice", "--password-file", str(secret),
        "--mirror", "http://mirror.test/blobs", "--uri", "http://other.test/list",
    )  # fmt: skip
    result = _set(joined, *options)
    assert {tuple(line.split("\t")[1:]) for line in result.lines if line.startswith("set")} == {
        ("uri", joined.server.url("/list"), "http://other.test/list"),
        ("new_images", "refuse", "subscribe"),
        ("max_validity", "as the setting says", "90 days"),
        ("keep_until_replaced", "no", "yes"),
        ("pin_uri", "no", "yes"),
        ("tls", "system", "igtf"),
        ("insecure", "no", "yes"),
        ("file_images", "no", "yes"),
        ("password_over_http", "no", "yes"),
        ("username", "none", "alice"),
        ("mirrors", "none", "http://mirror.test/blobs"),
        ("password", "none", "***"),
    }
    assert "hush" not in result.out + result.err
    kept = json.loads((joined.store / "subscriptions" / LIST_ID / "secret.json").read_text())
    assert (kept["password"], kept["origin"]) == ("hush", "http://other.test:80")
    off = (
        "--new-images", "refuse", "--no-max-validity", "--no-keep-until-replaced", "--no-pin-uri", "--tls", "system",
        "--no-insecure", "--no-file-images", "--no-password-over-http", "--no-username", "--no-password",
        "--no-mirrors", "--uri", joined.server.url("/list"),
    )  # fmt: skip
    assert len([line for line in _set(joined, *off).lines if line.startswith("set")]) == 12
    assert not (joined.store / "subscriptions" / LIST_ID / "secret.json").exists()
    assert [line for line in _set(joined, *off).lines if line.startswith("set")] == []


def test_another_uri_is_fetched_from_and_nothing_of_the_old_one_is_sent_there(joined: Site, server: Server):
    joined.server.publish("/moved", joined.alice.sign(joined.content("2", hv__uri=server.url("/moved"))))
    joined.server.forget()
    result = _set(joined, "--uri", server.url("/moved"))
    assert [line.split("\t")[0] for line in result.lines] == ["set", "note"]
    joined.expect(0, "subscribe", "-U")
    assert [request.path for request in server.requests] == ["/moved"]
    assert "If-None-Match" not in server.requests[0].headers
    assert _decision(joined)["uri"] == server.url("/moved")


def test_limit_that_is_over_already_says_so(joined: Site):
    joined.publish("2", dc__date__created="2020-01-01T00:00:00Z", dc__date__expires="2499-01-01T00:00:00Z")
    joined.expect(0, "subscribe", "-U")
    (note,) = [line for line in _set(joined, "--max-validity", "30d").lines if line.startswith("note")]
    assert "your limit of 30 days ended 2020-01-31T00:00:00Z" in note
    assert _set(joined, "--max-validity", "0").lines == ["set\tmax_validity\t30 days\tno limit"]


def test_key_that_no_image_has_is_named(joined: Site):
    result = _set(joined, "--where", "sl:archh=x86_64")
    assert "note\tno image of the current list has 'sl:archh'" in result.lines


def test_rule_before_the_first_update_waits_for_it(site: Site):
    site.join(site.image(1, hv__format="qcow2"), site.image(2), update=False)
    result = _set(site, "--where", _RULE)
    assert result.lines[-1] == "note\tits list is not here yet: the rule is applied at the next update"
    site.expect(0, "subscribe", "-U")
    assert site.states() == {image_id(1): 3, image_id(2): 2}


def test_document_of_set_keeps_to_its_schema(joined: Site):
    for options in (["--where", _RULE], ["--where", _RULE, "--dry-run"], ["--pin-uri"], ["--where", ""]):
        document = check_envelope(_set(joined, *options, "--json").out)
        assert document["result"]["subscription"] == LIST_ID
    document = check_envelope(_set(joined, "--where", "colour=red", "--json", code=2).out)
    assert [error["id"] for error in document["errors"]] == ["bad-rule"]


_SET_REFUSALS: tuple[tuple[tuple[str, ...], int, str], ...] = (
    (("--where", "arch=x86_64 colour=red"), 2, "at character 13, 'colour=red': 'colour' is no field"),
    (("--where", "size<big"), 2, "at 'size<big': 'big' is not a number of bytes"),
    (("--where", "os=a", "--no-where"), 2, "--where and --no-where contradict each other"),
    (("--max-validity", "1d", "--no-max-validity"), 2, "--max-validity and --no-max-validity contradict"),
    (("--username", "u", "--no-username"), 2, "--username and --no-username contradict"),
    (("--password-file", "/x", "--no-password"), 2, "--password-file and --no-password contradict"),
    (("--mirror", "http://m.test/", "--no-mirrors"), 2, "--mirror and --no-mirrors contradict"),
    (("--max-validity", "soon"), 1, "--max-validity is 'soon', expected a time in seconds"),
    (("--max-validity", "11000d"), 1, "1s to 3650d"),
    (("--max-validity", "0.1"), 1, "1s to 3650d"),
    (("--username", "a:b"), 1, "a user name with a colon"),
    (("--password-file", "/nowhere/secret"), 1, "cannot be read from /nowhere/secret"),
    (("--password-file", "/dev/null"), 1, "the first line of /dev/null is empty"),
    (("--uri", "ftp://host/"), 1, "cannot use location 'ftp://host/'"),
    (("--uri", "http://u:p@host.test/l"), 1, "'http://host.test/l': user name and password are set by themselves"),
    (("--uri", "relative/list"), 1, "cannot use location 'relative/list'"),
    (("--mirror", "http://u:p@m.test/"), 1, "a user name or password belongs into the settings"),
    (("--mirror", "ftp://m.test/"), 1, "mirror"),
    ((), 2, f"nothing was given that could be set for subscription {LIST_ID}"),
    (("--dry-run",), 2, "nothing was given that could be set"),
)


def test_set_refuses_in_one_line_and_changes_nothing(joined: Site):
    before = joined.tree()
    for options, code, said in _SET_REFUSALS:
        result = _set(joined, *options, code=code)
        assert said in result.err, options
        assert (result.out, len(result.err.splitlines())) == ("", 1), options
    assert joined.tree() == before


def test_set_for_a_subscription_that_is_not_there_is_refused(joined: Site):
    result = joined.expect(1, "vmcatcher", "subscription", "set", "nobody", "--pin-uri")
    assert "there is no subscription 'nobody'" in result.err


def test_empty_rule_that_was_never_there_changes_nothing(joined: Site):
    before = joined.tree()
    assert _set(joined, "--no-where", "--no-username", "--no-password", "--no-mirrors").out == ""
    assert joined.tree() == before


# -- image reset


def test_image_is_left_to_its_rule_again(joined: Site):
    _set(joined, "--where", _RULE)
    joined.expect(0, "image", "-r", "-u", image_id(1))
    result = joined.expect(0, "vmcatcher", "image", "reset", image_id(1), image_id(2))
    assert result.lines == [f"{image_id(1)} is selected by rule", f"{image_id(2)} is not selected by rule"]
    assert joined.states() == {image_id(1): 3, image_id(2): 2}
    document = check_envelope(joined.expect(0, "vmcatcher", "image", "reset", image_id(1), "--json").out)
    assert document["result"]["images"] == [{"image": image_id(1), "selected": True}]


def test_reset_without_a_rule_or_of_no_image_is_refused(joined: Site):
    before = joined.tree()
    assert "subscription" in joined.expect(1, "vmcatcher", "image", "reset", image_id(1)).err
    assert "there is no image 'zzz'" in joined.expect(1, "vmcatcher", "image", "reset", "zzz").err
    assert joined.tree() == before


# -- vetoes


def test_vetoed_bytes_leave_at_the_next_run_and_come_back_when_the_veto_goes(joined: Site):
    joined.select(1, 2)
    joined.cache()
    joined.told()
    result = joined.expect(0, "vmcatcher", "image", "veto", image_id(1), "--reason", "CVE-2026-1", SUDO_USER="eve")
    assert result.lines == [f"vetoed {_sha512(1)}: the bytes of {image_id(1)}"]
    assert joined.states() == {image_id(1): 1, image_id(2): 3}
    joined.cache()
    assert "ExpirePostfix 1" in joined.told()
    assert [entry["reason"] for entry in joined.index("expired").values()] == ["vetoed"]
    (line,) = joined.expect(0, "vmcatcher", "image", "vetoes").lines
    digest, when, who, images, reason = line.split("\t")
    assert (digest, when, images, reason) == (
        _sha512(1), joined.now.strftime("%Y-%m-%dT%H:%M:%SZ"), image_id(1), "CVE-2026-1",
    )  # fmt: skip
    assert who.startswith("eve as ")
    assert joined.expect(0, "vmcatcher", "image", "unveto", _sha512(1)[:12]).lines == [f"no longer vetoed {_sha512(1)}"]
    joined.cache()
    assert sorted(joined.endorsed()) == [image_id(1), image_id(2)]
    assert joined.expect(0, "vmcatcher", "image", "vetoes").out == ""


def test_veto_twice_changes_nothing_and_another_reason_takes_the_place(joined: Site):
    digest = "AB" * 64
    joined.expect(0, "vmcatcher", "image", "veto", digest, "--reason", "first")
    before = joined.tree()
    again = joined.expect(0, "vmcatcher", "image", "veto", digest, "--reason", " first ")
    assert again.lines == [f"vetoed already {digest.lower()}: no image of a current list has these bytes"]
    assert joined.tree() == before
    joined.expect(0, "vmcatcher", "image", "veto", digest, "--reason", "second")
    document = check_envelope(joined.expect(0, "vmcatcher", "image", "vetoes", "--json").out)
    assert [one["reason"] for one in document["result"]["vetoes"]] == ["second"]


@pytest.mark.slow
def test_documents_of_vetoes_keep_to_their_schemas(joined: Site):
    for command in (["veto", image_id(1), "--reason", "why", "-n"], ["veto", image_id(1), "--reason", "why"],
                    ["vetoes"], ["unveto", image_id(1)], ["vetoes"]):  # fmt: skip
        document = check_envelope(joined.expect(0, "vmcatcher", "image", *command, "--json").out)
        assert len(document["result"]["vetoes"]) == (0 if command == ["vetoes"] and not _vetoes(joined) else 1)


def _vetoes(site: Site) -> list[str]:
    return [path.name for path in (site.store / "vetoes").iterdir()]


@pytest.mark.slow
def test_veto_made_by_hand_or_damaged_is_listed_and_can_be_taken_back(joined: Site):
    (joined.store / "vetoes" / f"{'a' * 128}.json").write_text("{}")
    (joined.store / "vetoes" / f"{'B' * 128}.json").write_text("no JSON")
    result = joined.expect(1, "vmcatcher", "image", "vetoes")
    assert [line.split("\t")[0] for line in result.lines] == ["a" * 128, "b" * 128]
    assert f"{'B' * 128}.json" in result.err
    joined.expect(0, "vmcatcher", "image", "unveto", "a" * 20, "b" * 128)
    assert _vetoes(joined) == []


def test_damaged_veto_is_written_anew(joined: Site):
    (joined.store / "vetoes" / f"{'a' * 128}.json").write_text("no JSON")
    joined.expect(0, "vmcatcher", "image", "veto", "a" * 128, "--reason", "again")
    assert "again" in joined.expect(0, "vmcatcher", "image", "vetoes").out


_VETO_REFUSALS: tuple[tuple[tuple[str, ...], int, str], ...] = (
    (("veto", "nobody", "--reason", "x"), 1, "there is no image 'nobody'"),
    (("veto", "a0000000", "--reason", "x"), 1, "may be any of several images"),
    (("veto", image_id(1), "--reason", " "), 1, "the reason of a veto cannot be used: it is empty"),
    (("veto", image_id(1), "--reason", "a\nb"), 1, "a character that cannot be printed"),
    (("veto", image_id(1), "--reason", "x" * 501), 1, "it has 501 characters, at most 500 are kept"),
    (("veto", image_id(1)), 2, "--reason"),
    (("unveto", image_id(1)), 1, f"there is no veto on '{image_id(1)}'"),
    (("unveto", "c" * 128), 1, "there is no veto on"),
    (("unveto", "d" * 12), 1, "may be any of several vetos"),
)


def test_veto_commands_refuse_and_change_nothing(joined: Site):
    for last in "ef":
        (joined.store / "vetoes" / f"{'d' * 127}{last}.json").write_text("{}")
    before = joined.tree()
    for arguments, code, said in _VETO_REFUSALS:
        result = joined.expect(code, "vmcatcher", "image", *arguments)
        assert said in result.err, arguments
    assert joined.tree() == before


def test_image_that_no_list_names_now_has_no_bytes_to_veto(joined: Site):
    joined.publish("2", joined.image(2, hv__format="raw"))
    joined.expect(0, "subscribe", "-U")
    result = joined.expect(1, "vmcatcher", "image", "veto", image_id(1), "--reason", "x")
    assert f"no current list names image '{image_id(1)}'" in result.err


def test_one_of_several_that_cannot_be_vetoed_stops_no_other(joined: Site):
    result = joined.expect(1, "vmcatcher", "image", "veto", "nobody", image_id(1), "--reason", "x")
    assert result.lines == [f"vetoed {_sha512(1)}: the bytes of {image_id(1)}"]
    assert "nobody" in result.err


@pytest.mark.slow
def test_veto_that_comes_while_a_run_goes_on_keeps_the_image_out(joined: Site):
    joined.select(1, 2)
    program = Path(sys.executable).parent / "vmcatcher"
    one, other = image_id(1), image_id(2)
    handler = joined.root / "handler"
    # While the first of the two is about to be published, the other one gets a veto.
    handler.write_text(
        f'[ "$VMCATCHER_EVENT_TYPE" = AvailablePrefix ] && mkdir {joined.root}/once 2>/dev/null || exit 0\n'
        f'[ "$VMCATCHER_EVENT_DC_IDENTIFIER" = {one} ] && other={other} || other={one}\n'
        f'{program} image veto "$other" --reason late\n'
    )
    joined.run("cache", "-x", f"sh {handler}", VMCATCHER_EVENT_TIMEOUT="30")
    assert len(_vetoes(joined)) == 1
    assert len(joined.endorsed()) == 1


@pytest.mark.slow
def test_rules_and_vetoes_as_installed_commands(joined: Site):
    done = joined.call("vmcatcher", "subscription", "set", LIST_ID, "--where", _RULE)
    assert (done.code, done.lines[0]) == (0, f"set\twhere\tnone\t{_RULE}")
    assert joined.call("vmcatcher", "subscription", "set", LIST_ID, "--where", "size<").code == 2
    assert joined.call("vmcatcher", "image", "veto", image_id(1), "--reason", "x").code == 0
    assert joined.call("vmcatcher", "image", "vetoes").out.count("\n") == 1


@pytest.mark.slow
def test_overviews_go_by_the_limit(joined: Site):
    joined.publish("2", joined.image(1), dc__date__expires="2499-01-01T00:00:00Z")
    joined.expect(0, "subscribe", "-U")
    assert "\tcurrent\t" in joined.expect(0, "vmcatcher", "subscription", "list").out
    joined.now += timedelta(days=30)
    limit = {"VMCATCHER_MAX_VALIDITY": "30d"}
    assert "\texpired\t" in joined.expect(0, "vmcatcher", "subscription", "list", **limit).out
    shown = dict(
        line.split("\t") for line in joined.expect(0, "vmcatcher", "subscription", "show", LIST_ID, **limit).lines
    )
    assert shown["available"] == "no"
    assert (shown["expires"], shown["held until"][:4]) == ("2499-01-01T00:00:00Z", joined.now.strftime("%Y"))
    image = joined.expect(0, "vmcatcher", "image", "show", image_id(1), "--json", **limit).json["result"]
    assert image["expires"] == shown["held until"]
