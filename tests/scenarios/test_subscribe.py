"""vmcatcher_subscribe: the first contact with a list, and what the operator decides about it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.pki import Signer
from support.site import LIST_ID, Site, image_id

OTHER = "other-list"


def _known(site: Site) -> None:
    site.expect(0, "endorser", "-C", "-e", "alice", "--dn", site.alice.subject, "-I", site.alice.issuer)


def _publish_other(site: Site, *images: dict[str, object], version: str = "1", **fields: object) -> str:
    uri = site.server.url("/other")
    site.publish(version, *images, path="/other", dc__identifier=OTHER, hv__uri=uri, **fields)
    return uri


def _details(site: Site, selector: str = LIST_ID) -> dict[str, str]:
    lines = site.expect(0, "subscribe", "-i", "-u", selector).lines
    return dict(line.split("=", 1) for line in lines)


def _decision(site: Site, list_id: str = LIST_ID) -> dict[str, object]:
    document: dict[str, object] = json.loads((site.store / "subscriptions" / list_id / "subscription.json").read_text())
    return document


# -- where a list can be


@pytest.mark.parametrize(
    "spelling", ["{path}", "file:{path}", "file://{path}", "file:////{path}", "./list.smime", "list.smime"]
)
def test_list_in_a_file_is_found_however_its_path_is_written(
    site: Site, spelling: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(site.root)
    path = site.root / "list.smime"
    uri = f"file://{path}"
    path.write_bytes(site.alice.sign(site.content("1", site.image(1), hv__uri=uri)))
    _known(site)
    given = spelling.format(path=path)
    site.expect(0, "subscribe", "-s", given)
    site.expect(0, "subscribe", "-U")
    shown = site.expect(0, "subscribe", "-l").out.rstrip("\n").split("\t")
    assert shown[:3] == [LIST_ID, "True", "None"]
    assert Path(shown[3].removeprefix("file://")).resolve() == path
    assert site.states() == {image_id(1): 2}
    for selector in (given, shown[3]):
        assert site.expect(0, "subscribe", "-i", "-r", selector).out


def test_list_with_an_odd_file_name_is_found(site: Site, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(site.root)
    path = site.root / "été %41?#.smime"
    path.write_bytes(site.alice.sign(site.content("1", site.image(1))))
    _known(site)
    site.expect(0, "subscribe", "-s", path.name)
    assert site.expect(0, "subscribe", "-i", "-r", path.name).out


def test_subscription_takes_the_uri_that_the_list_names(site: Site):
    site.publish("1", site.image(1))
    site.server.publish("/mirror", site.publish("1", site.image(1)))
    _known(site)
    result = site.expect(0, "subscribe", "-s", site.server.url("/mirror"))
    assert f"moves from {site.server.url('/mirror')} to {site.server.url('/list')}" in result.err
    assert _decision(site)["uri"] == site.server.url("/list")
    for uri in ("/mirror", "/list"):
        assert LIST_ID in site.expect(0, "subscribe", "-i", "-r", site.server.url(uri)).out


def test_pinned_subscription_keeps_the_uri_it_was_made_with(site: Site):
    site.server.publish("/mirror", site.publish("1", site.image(1)))
    _known(site)
    site.expect(0, "subscribe", "-s", site.server.url("/mirror"), "--pin-uri")
    site.server.forget()
    site.expect(0, "subscribe", "-U")
    assert _decision(site)["uri"] == site.server.url("/mirror")
    assert [request.path for request in site.server.requests] == ["/mirror"]


def test_list_may_not_move_to_a_file_of_this_machine(site: Site):
    site.publish("1", site.image(1), hv__uri="file:///etc/passwd")
    _known(site)
    result = site.expect(0, "subscribe", "-s", site.server.url("/list"))
    assert "WARNING" in result.err
    assert "not followed: a list may move to http and https only" in result.err
    assert _decision(site)["uri"] == site.server.url("/list")
    site.expect(0, "subscribe", "-U")


def test_query_of_a_uri_is_asked_for_and_kept(site: Site):
    uri = site.server.url("/list?vo=test&x=%20")
    site.publish("1", site.image(1), hv__uri=uri)
    _known(site)
    site.expect(0, "subscribe", "-s", uri)
    site.expect(0, "subscribe", "-U")
    assert {request.target for request in site.server.requests} == {"/list?vo=test&x=%20"}


# -- what is registered


def test_first_subscription_selects_nothing_and_keeps_no_list(site: Site):
    site.publish("1", site.image(1), site.image(2))
    _known(site)
    site.expect(0, "subscribe", "-s", site.server.url("/list"))
    assert site.states() == {image_id(1): 0, image_id(2): 0}
    assert not (site.store / "subscriptions" / LIST_ID / "lists").exists()
    assert _details(site)["subscription.dc:date:updated"] == "False"


@pytest.mark.parametrize(
    ("words", "mode", "states"),
    [
        (["--imagelist-newimage-refuse"], "0", [0, 2]),
        (["--imagelist-newimage-accept"], "1", [0, 2]),
        (["--imagelist-newimage-subscribe"], "3", [1, 3]),
        (["--imagelist-newimage-accept", "--imagelist-newimage-subscribe"], "3", [1, 3]),
        (["--imagelist-newimage-subscribe", "--imagelist-newimage-refuse"], "0", [0, 2]),
        (["--imagelist-newimage-refuse", "--imagelist-newimage-subscribe"], "0", [0, 2]),
    ],
)
def test_policy_holds_for_the_images_of_a_first_subscription(
    site: Site, words: list[str], mode: str, states: list[int]
):
    site.publish("1", site.image(1))
    _known(site)
    site.expect(0, "subscribe", "-s", site.server.url("/list"), *words)
    assert site.states() == {image_id(1): states[0]}
    assert _details(site)["subscription.updateMode"] == mode
    site.expect(0, "subscribe", "-U")
    assert site.states() == {image_id(1): states[1]}


def test_policy_before_the_first_update_selects_what_was_registered(site: Site):
    site.join(site.image(1), update=False)
    site.expect(0, "subscribe", "--imagelist-newimage-subscribe", "-u", LIST_ID)
    assert site.states() == {image_id(1): 1}


def test_policy_selects_nothing_where_the_current_list_cannot_be_read(site: Site):
    site.join(site.image(1))
    (evidence,) = (site.store / "subscriptions" / LIST_ID / "lists").glob("*.evidence")
    evidence.write_text("{}")
    site.expect(0, "subscribe", "--imagelist-newimage-subscribe", "-u", LIST_ID)
    assert _decision(site)["images"] == [{"identifier": image_id(1), "selected": False}]
    assert _decision(site)["new_images"] == "subscribe"


def test_unknown_signer_is_added_with_auto_endorse_and_linked(site: Site):
    site.publish("1", site.image(1))
    result = site.expect(0, "subscribe", "-e", "-s", site.server.url("/list"))
    assert site.alice.subject in result.err
    ((identifier, subject, issuer),) = (line.split("\t") for line in site.expect(0, "endorser", "-l").lines)
    assert (subject, issuer) == (f"'{site.alice.subject}'", f"'{site.alice.issuer}'")
    assert site.expect(0, "endorser", "-K").out == f"{identifier}\t'{LIST_ID}'\t'True'\n"


def test_auto_endorse_uses_the_endorser_that_is_known(site: Site):
    site.publish("1", site.image(1))
    _known(site)
    assert site.expect(0, "subscribe", "-e", "-s", site.server.url("/list")).err == ""
    assert len(site.expect(0, "endorser", "-l").lines) == 1


def test_subscribing_again_changes_nothing(site: Site):
    site.join(site.image(1))
    site.select(1)
    before = site.tree()
    for words in ([], ["-e"], ["--imagelist-newimage-refuse"]):
        site.expect(0, "subscribe", "-s", site.server.url("/list"), *words)
    assert site.tree() == before


def test_subscribing_again_makes_the_changes_that_are_asked_for(site: Site):
    site.join(site.image(1))
    site.expect(0, "subscribe", "-s", site.server.url("/list"), "--uri-trustanchor-set", "igtf", "--pin-uri")
    assert _details(site)["subscription.hv:uri.trustAnchor"] == "IGTF"
    assert _decision(site)["pin_uri"] is True


def test_stranger_cannot_change_a_subscription_by_signing_its_identifier(site: Site):
    """Whoever is known for another list may not touch this one; nothing that is asked for beside it is done."""
    site.join(site.image(1))
    mallory: Signer = site.pki.endorser("Mallory Endorser")
    site.expect(0, "endorser", "-C", "-e", "mallory", "--dn", mallory.subject, "-I", mallory.issuer)
    site.publish("9", site.image(9), path="/evil", signer=mallory, hv__uri=site.server.url("/evil"))
    site.run("subscribe", "-s", site.server.url("/evil"))
    assert _decision(site)["uri"] == site.server.url("/list")
    assert site.states() == {image_id(1): 2}
    site.publish("2", site.image(1))
    site.expect(0, "subscribe", "-U")


def test_several_lists_are_subscribed_to_although_one_fails(site: Site):
    site.publish("1", site.image(1))
    other = _publish_other(site, site.image(2))
    _known(site)
    words = ("-s", site.server.url("/missing"), "-s", site.server.url("/list"), "-s", "ftp://x/y", "-s", other)
    result = site.run("subscribe", *words)
    assert result.code == 10
    assert {line.split("\t")[0] for line in site.expect(0, "subscribe", "-l").lines} == {LIST_ID, OTHER}


def test_image_of_another_subscription_is_left_out_and_said(site: Site):
    site.join(site.image(1))
    other = _publish_other(site, site.image(1), site.image(2))
    result = site.run("subscribe", "-s", other)
    assert result.code == 36
    (line,) = (line for line in result.err.splitlines() if line.startswith("ERROR"))
    for fact in (OTHER, LIST_ID, image_id(1)):
        assert fact in line
    assert image_id(2) not in line
    assert site.run("subscribe", "-U").code == 36
    assert site.states() == {image_id(1): 2, image_id(2): 2}
    owners = {line.split("\t")[0]: line.split("\t")[2] for line in site.expect(0, "image", "-l").lines}
    assert owners == {image_id(1): LIST_ID, image_id(2): OTHER}


def test_image_of_a_deleted_subscription_is_free(site: Site):
    site.join(site.image(1))
    site.run("subscribe", "-s", _publish_other(site, site.image(1)))
    site.expect(0, "subscribe", "-D", "-u", LIST_ID)
    assert site.run("subscribe", "-U").code == 32
    site.expect(0, "subscribe", "--image-accept", image_id(1), "-u", OTHER)
    site.expect(0, "subscribe", "-U")
    assert site.states() == {image_id(1): 2}


def test_list_without_title_description_and_source_is_taken_with_warnings(site: Site):
    site.publish("1", site.image(1), dc__title=None, dc__description=None, dc__source=None)
    _known(site)
    result = site.expect(0, "subscribe", "-s", site.server.url("/list"))
    for field in ("dc:title", "dc:description", "dc:source"):
        assert any(line.startswith("WARNING") and field in line for line in result.err.splitlines())
    site.expect(0, "subscribe", "-U")
    assert _details(site)["subscription.dc:description"] == ""


def test_old_form_without_the_wrapper_is_read_with_a_warning(site: Site):
    content = json.loads(site.content("1", site.image(1)))["hv:imagelist"]
    site.server.publish("/list", site.alice.sign(json.dumps(content).encode()))
    _known(site)
    assert "hv:imagelist" in site.expect(0, "subscribe", "-s", site.server.url("/list")).err
    site.expect(0, "subscribe", "-U")
    assert site.states() == {image_id(1): 2}


def test_list_without_images_is_a_list(site: Site):
    site.publish("1")
    _known(site)
    site.expect(0, "subscribe", "-s", site.server.url("/list"))
    site.expect(0, "subscribe", "-U")
    assert site.states() == {}
    assert _details(site)["imagelist.expired"] == "False"


# -- deleting


def test_deleted_subscription_leaves_its_mark_its_endorser_and_nothing_else(site: Site):
    site.join(site.image(1))
    site.expect(0, "subscribe", "--uri-password-set", "secret", "-u", LIST_ID)
    site.expect(0, "subscribe", "-D", "-u", LIST_ID)
    assert list((site.store / "subscriptions").iterdir()) == []
    assert [path.name for path in (site.store / "marks").iterdir()] == [f"{LIST_ID}.json"]
    assert len(site.expect(0, "endorser", "-l").lines) == 1


def test_deleting_goes_on_after_a_selection_that_is_unknown(site: Site):
    site.join(site.image(1))
    result = site.run("subscribe", "-D", "-u", "nosuch", "-u", LIST_ID, "-u", LIST_ID)
    assert result.code == 1
    assert "nosuch" in result.err
    assert site.expect(0, "subscribe", "-l").out == ""


def test_file_of_somebody_else_survives_the_deletion(site: Site):
    site.join(site.image(1))
    foreign = site.store / "subscriptions" / LIST_ID / "notes.txt"
    foreign.write_text("mine")
    site.expect(0, "subscribe", "-D", "-u", LIST_ID)
    assert foreign.read_text() == "mine"
    assert site.expect(0, "subscribe", "-l").out == ""
    site.expect(0, "subscribe", "-s", site.server.url("/list"))


# -- details


@pytest.mark.parametrize(
    "selector", ["nosuch", "../../escape", "/etc", "", "\0", "\udcff", "a" * 300, "a\nb", ".", ".."]
)
@pytest.mark.parametrize("option", ["-u", "-r"])
def test_selection_that_is_unknown_is_one_warning(site: Site, selector: str, option: str):
    site.join(site.image(1))
    before = site.tree()
    for words in (["-i"], ["--uri-trustanchor-set", "igtf"], ["--image-accept", image_id(1)]):
        result = site.expect(0, "subscribe", *words, option, selector)
        assert result.out == ""
        assert result.err.startswith("WARNING:")
        assert result.err.count("\n") == 1
    assert site.tree() == before


def test_details_of_an_expired_list_say_so(site: Site):
    site.join(site.image(1))
    site.now = site.now.replace(year=site.now.year + 1)
    assert _details(site)["imagelist.expired"] == "True"
    assert site.expect(0, "subscribe", "-i", "-u", LIST_ID, "-f", "json").json["ImageListInstance"]["expired"] is True


def test_message_is_verified_again_when_it_is_shown(site: Site):
    site.join(site.image(1))
    (signed,) = (site.store / "subscriptions" / LIST_ID / "lists").glob("*.smime")
    signed.chmod(0o644)
    signed.write_bytes(signed.read_bytes().replace(b"Test image 1", b"Best image 1"))
    result = site.run("subscribe", "-i", "-u", LIST_ID, "-f", "message")
    assert result.code == 11
    assert result.out == ""
    assert "changed after it was signed" in result.err


def test_images_of_a_subscription_are_listed_with_it(site: Site):
    site.join(site.image(1), site.image(2))
    site.select(2)
    lines = site.expect(0, "subscribe", "--image-list", "-u", LIST_ID).lines
    shown = [line for line in lines if line.startswith("imagedef.")]
    assert shown == [
        f"imagedef.dc:identifier={image_id(1)}",
        "imagedef.cache=0",
        f"imagedef.dc:identifier={image_id(2)}",
        "imagedef.cache=1",
    ]


def test_damaged_subscription_is_an_error_and_not_a_missing_one(site: Site):
    site.join(site.image(1))
    (site.store / "subscriptions" / LIST_ID / "subscription.json").write_text("{")
    for command, words in (("subscribe", ["-l"]), ("image", ["-l"]), ("endorser", ["-K"]), ("subscribe", ["-U"])):
        result = site.run(command, *words)
        assert result.code == 1
        assert "subscription.json is damaged" in result.err


def test_output_file_that_cannot_be_written_is_one_line(site: Site):
    site.join(site.image(1))
    for path in (str(site.root / "missing" / "x"), str(site.root)):
        result = site.run("subscribe", "-i", "-u", LIST_ID, "-o", path)
        assert result.code == 1
        assert result.err.startswith("ERROR:main:cannot write output file")
        assert result.err.count("\n") == 1
    assert not Path(site.root / "missing").exists()
