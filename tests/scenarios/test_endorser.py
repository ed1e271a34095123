"""vmcatcher_endorser: who may sign what, and what becomes of the images when that changes."""

from __future__ import annotations

import json

import pytest

from support.site import LIST_ID, Site, image_id

CA = "/DC=test/DC=grid/CN=Test Grid CA"
OTHER = "other-list"


def _create(site: Site, identifier: str, *words: str) -> None:
    site.expect(0, "endorser", "-C", "-e", identifier, *words)


def _rows(site: Site, action: str = "-l") -> list[list[str]]:
    return [[cell.strip("'") for cell in line.split("\t")] for line in site.expect(0, "endorser", action).lines]


def _two_lists(site: Site) -> None:
    site.publish("1", site.image(1))
    site.publish("1", site.image(2), path="/other", dc__identifier=OTHER, hv__uri=site.server.url("/other"))
    site.join()
    site.expect(0, "subscribe", "-s", site.server.url("/other"))
    site.expect(0, "subscribe", "-U")


@pytest.mark.parametrize(
    "identifier", ["Predrag Buncic", "/DC=test/CN=a", "été/☃", ".hidden", "..", "%2F", "a" * 200, "é" * 200]
)
def test_endorser_may_have_any_printable_name(site: Site, identifier: str):
    _create(site, identifier, "--dn", "/CN=a", "-I", CA)
    _create(site, identifier, "--dn", "/CN=b", "-I", CA)
    assert _rows(site) == [[identifier, "/CN=a", CA], [identifier, "/CN=b", CA]]
    assert f"endorser.dc:identifier={identifier}" in site.expect(0, "endorser", "-i", "-e", identifier).lines
    site.expect(0, "endorser", "-D", "-e", identifier)
    assert _rows(site) == []


@pytest.mark.parametrize("identifier", ["", " ", "a\tb", "a\nb", "a" * 201, "\udcff"])
def test_endorser_with_a_name_that_cannot_be_printed_is_refused(site: Site, identifier: str):
    result = site.run("endorser", "-C", "-e", identifier, "--dn", "/CN=a", "-I", CA)
    assert result.code == 1
    assert "printable" in result.err
    assert site.expect(0, "endorser", "-l").out == ""


@pytest.mark.parametrize("name", ["", " ", "/CN=a\nb", "/CN=\udcff", "/CN=\x1b[2J"])
@pytest.mark.parametrize("option", ["--dn", "--issuer"])
def test_credential_that_no_certificate_can_have_is_refused(site: Site, option: str, name: str):
    words = {"--dn": "/CN=a", "--issuer": CA, option: name}
    result = site.run("endorser", "-C", "-e", "x", *(word for pair in words.items() for word in pair))
    assert result.code == 1
    assert "a certificate's name" in result.err
    assert result.err.count("\n") == 1
    assert site.run("endorser", "-l").out == ""


def test_subjects_pair_up_with_issuers_in_order(site: Site):
    _create(site, "pairs", "-S", "/CN=a", "-I", "/CN=ca1", "-S", "/CN=b", "-I", "/CN=ca2")
    _create(site, "one", "-S", "/CN=c", "-S", "/CN=d", "-I", "/CN=ca1")
    assert _rows(site) == [
        ["one", "/CN=c", "/CN=ca1"],
        ["one", "/CN=d", "/CN=ca1"],
        ["pairs", "/CN=a", "/CN=ca1"],
        ["pairs", "/CN=b", "/CN=ca2"],
    ]


@pytest.mark.parametrize("words", [["-Sa", "-Ib", "-Ic"], ["-Sa", "-Sb", "-Sc", "-Id", "-Ie"]])
def test_subjects_and_issuers_that_do_not_pair_up_are_refused(site: Site, words: list[str]):
    result = site.run("endorser", "-C", "-e", "x", *words)
    assert result.code == 12
    assert "do not pair up" in result.err


def test_credential_of_one_endorser_is_not_another_ones(site: Site):
    _create(site, "alice", "--dn", "/CN=a", "-I", CA)
    before = site.tree()
    result = site.run("endorser", "-C", "-e", "mallory", "--dn", "/CN=new", "-I", CA, "--dn", "/CN=a", "-I", CA)
    assert result.code == 12
    assert "'/CN=a'" in result.err
    assert "'alice'" in result.err
    assert site.tree() == before


def test_other_spelling_of_a_credential_is_the_same_credential(site: Site):
    _create(site, "alice", "--dn", "/CN=a/Email=a@test", "-I", CA)
    assert site.run("endorser", "-C", "-e", "bob", "--dn", "/CN=a/emailAddress=a@test", "-I", CA).code == 12


def test_same_subject_under_two_issuers_is_two_credentials(site: Site):
    _create(site, "alice", "--dn", "/CN=a", "-I", "/CN=ca1")
    _create(site, "bob", "--dn", "/CN=a", "-I", "/CN=ca2")
    assert len(_rows(site)) == 2


def test_known_credential_changes_nothing(site: Site):
    _create(site, "alice", "--dn", "/CN=a", "-I", CA)
    before = site.tree()
    result = site.expect(0, "endorser", "-C", "-e", "alice", "--dn", "/CN=a", "-I", CA)
    assert result.err.startswith("ERROR:")
    assert site.tree() == before


def test_endorsers_are_listed_in_the_order_they_were_made(site: Site):
    for identifier in ("zoe", "adam"):
        _create(site, identifier, "--dn", f"/CN={identifier}", "-I", CA)
        site.now = site.now.replace(microsecond=site.now.microsecond + 1)
    assert [row[0] for row in _rows(site)] == ["zoe", "adam"]


def test_unlinked_endorser_takes_its_images_away_and_brings_them_back(site: Site):
    site.join(site.image(1))
    site.select(1)
    site.cache()
    site.server.close()
    link = ("-e", "alice", "-s", LIST_ID)
    site.expect(0, "endorser", "-u", *link)
    assert site.states() == {image_id(1): 1}
    site.cache()
    assert site.endorsed() == {}
    site.expect(0, "endorser", "-k", *link)
    assert site.states() == {image_id(1): 3}


def test_deleted_endorser_is_unlinked_everywhere(site: Site):
    _two_lists(site)
    site.expect(0, "endorser", "-D", "-e", "alice")
    assert _rows(site, "-K") == []
    assert site.states() == {image_id(1): 0, image_id(2): 0}
    assert len(site.expect(0, "subscribe", "-l").lines) == 2


def test_endorser_made_anew_is_trusted_for_nothing_that_the_old_one_was(site: Site):
    site.join(site.image(1))
    mallory = site.pki.endorser("Mallory Endorser")
    # As an interrupted deletion leaves it: the endorser is gone, the link is not.
    (site.store / "endorsers" / "alice.json").unlink()
    assert _rows(site, "-K") == [["alice", LIST_ID, "True"]]
    _create(site, "alice", "--dn", mallory.subject, "-I", mallory.issuer)
    assert _rows(site, "-K") == []
    site.publish("2", site.image(1), signer=mallory)
    assert site.run("subscribe", "-U").code == 13


def test_links_pair_up_in_order(site: Site):
    _two_lists(site)
    for identifier in ("bob", "carol"):
        _create(site, identifier, "--dn", f"/CN={identifier}", "-I", CA)
    pairs = ("-e", "bob", "-s", LIST_ID, "-e", "carol", "-s", OTHER)
    site.expect(0, "endorser", "-k", *pairs)
    links = [["alice", LIST_ID, "True"], ["alice", OTHER, "True"]]
    assert sorted(_rows(site, "-K")) == sorted([*links, ["bob", LIST_ID, "True"], ["carol", OTHER, "True"]])
    site.expect(0, "endorser", "-u", *pairs)
    assert sorted(_rows(site, "-K")) == sorted(links)


@pytest.mark.parametrize(
    ("words", "linked"),
    [
        (("-e", "bob", "-s", LIST_ID, "-s", OTHER), {("bob", LIST_ID), ("bob", OTHER)}),
        (("-e", "bob", "-e", "carol", "-s", OTHER), {("bob", OTHER), ("carol", OTHER)}),
    ],
)
def test_single_endorser_or_subscription_goes_with_all(
    site: Site, words: tuple[str, ...], linked: set[tuple[str, str]]
):
    _two_lists(site)
    for identifier in ("bob", "carol"):
        _create(site, identifier, "--dn", f"/CN={identifier}", "-I", CA)
    site.expect(0, "endorser", "-k", *words)
    assert {(row[0], row[1]) for row in _rows(site, "-K")} - {("alice", LIST_ID), ("alice", OTHER)} == linked


def test_links_that_do_not_pair_up_link_nobody(site: Site):
    _two_lists(site)
    before = site.tree()
    words = ("-e", "alice", "-e", "bob", "-e", "carol", "-s", LIST_ID, "-s", OTHER)
    result = site.run("endorser", "-k", *words)
    assert result.code == 1
    assert "do not pair up" in result.err
    assert site.tree() == before


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("-k", "-e", "nobody", "-s", LIST_ID), "'nobody' not found"),
        (("-k", "-e", "alice", "-s", "nosuch"), "'nosuch' does not match"),
        (("-k", "-e", "alice", "-s", "../../escape"), "'../../escape' does not match"),
        (("-k", "-e", "alice", "-s", "a" * 5000), "does not match"),
        (("-k", "-e", "alice", "-s", "\0"), r"'\x00' does not match"),
        (("-k", "-e", "a" * 5000, "-s", LIST_ID), "not found"),
        (("-k", "-e", "alice", "-s", LIST_ID), "linked already"),
        (("-u", "-e", "nobody", "-s", LIST_ID), "are not linked"),
        (("-D", "-e", "nobody"), "'nobody' not found"),
        (("-D", "-e", "/../.."), "'/../..' not found"),
    ],
)
def test_what_is_not_there_is_a_warning_and_changes_nothing(site: Site, words: tuple[str, ...], says: str):
    site.join(site.image(1))
    before = site.tree()
    result = site.expect(0, "endorser", *words)
    assert result.err.startswith("WARNING:")
    assert says in result.err
    assert result.err.count("\n") == 1
    assert site.tree() == before


def test_unknown_endorser_does_not_keep_the_others_from_being_shown(site: Site):
    _create(site, "alice", "--dn", "/CN=a", "-I", CA)
    result = site.expect(0, "endorser", "-i", "-e", "nobody", "-e", "alice", "-f", "json")
    assert result.json["Endorser"] == {"identifier": "alice"}
    assert result.err.startswith("ERROR:")


def test_details_show_the_subscriptions_an_endorser_is_linked_to(site: Site):
    _two_lists(site)
    details = site.expect(0, "endorser", "-i", "-e", "alice", "-f", "json").json
    assert {one["identifier"] for one in details["Subscription"]} == {LIST_ID, OTHER}
    lines = site.expect(0, "endorser", "-i", "-e", "alice").lines
    assert lines.count("subscription.sl:authorised=True") == 2


def test_damaged_endorser_is_an_error_and_not_a_missing_one(site: Site):
    site.join(site.image(1))
    path = site.store / "endorsers" / "alice.json"
    path.write_text(json.dumps({"format": 1, "identifier": "alice"}))
    for command, words in (("endorser", ["-l"]), ("image", ["-l"]), ("subscribe", ["-U"])):
        result = site.run(command, *words)
        assert result.code == 1
        assert "alice.json is damaged" in result.err
