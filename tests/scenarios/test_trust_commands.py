"""`vmcatcher trust …` as commands: what they print, what they end with, what they leave in the store."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from support import defects
from support.pki import Pki
from support.schemas import check_envelope
from support.site import LIST_ID, Site
from support.tree import check_invariants

pytestmark = pytest.mark.slow


@pytest.fixture
def joined(site: Site) -> Site:
    """A site with one list, whose CA says where its revocation list is."""
    site.pki.certificate.with_suffix(".crl_url").write_text(site.server.url("/crl") + "\n")
    site.server.publish("/crl", site.pki.crl_der())
    site.publish("1", site.image(1))
    site.join()
    return site


def _json(site: Site, code: int, *words: str) -> dict:
    result = site.run("vmcatcher", *words, "--json")
    assert result.code == code, result
    document = check_envelope(result.out)
    assert document["exit_code"] == code
    return document["result"]


# -- check


def test_check_of_a_site_in_good_order_finds_nothing(joined: Site):
    result = joined.expect(0, "vmcatcher", "trust", "check")
    assert (result.out, result.err) == ("", "")
    found = _json(joined, 0, "trust", "check")
    (ca,) = found["authorities"]
    assert (ca["subject"], ca["lists"], ca["needed"], ca["findings"]) == (joined.pki.subject, [LIST_ID], True, [])
    assert (found["directory"], found["refuses"]) == (str(joined.pki.certificates), False)


def test_check_ends_with_1_where_a_list_is_refused_and_names_why(joined: Site):
    joined.pki.remove_crl()
    row = joined.expect(1, "vmcatcher", "trust", "check").lines[0].split("\t")
    assert row[:4] == ["needed", "refuses", "crl-missing", joined.pki.subject]
    assert _json(joined, 1, "trust", "check")["authorities"][0]["findings"][0]["id"] == "crl-missing"


def test_check_counts_what_no_list_needs_only_where_asked_to(joined: Site):
    Pki(joined.pki.root, name="Other CA", now=joined.pki.now).remove_crl()
    assert joined.expect(0, "vmcatcher", "trust", "check").out.startswith("unneeded\trefuses\tcrl-missing\t")
    assert joined.expect(1, "vmcatcher", "trust", "check", "--every-ca").out.startswith(
        "needed\trefuses\tcrl-missing\t"
    )


def test_check_warns_of_ends_that_are_near(joined: Site):
    assert "ca-ends-soon" in joined.expect(0, "vmcatcher", "trust", "check", "--warn-within", "4000d").out
    result = joined.expect(1, "vmcatcher", "trust", "check", "--warn-within", "soon")
    assert "--warn-within is 'soon', expected a time" in result.err


def test_check_needs_no_store_and_another_directory_can_be_named(site: Site, tmp_path: Path):
    other = Pki(tmp_path / "other")
    assert site.expect(0, "vmcatcher", "trust", "check", "-c", str(other.certificates)).err == ""
    assert not site.store.exists()
    assert "Invalid x509 trust store directory" in site.expect(1, "vmcatcher", "trust", "check", "-c", "/nowhere").err


# -- fetch-crls


def test_fetched_crl_lets_an_update_go_on_and_revokes(joined: Site):
    joined.pki.remove_crl()
    joined.publish("2", joined.image(1))
    joined.expect(11, "subscribe", "-U")
    joined.expect(0, "vmcatcher", "trust", "fetch-crls")
    joined.expect(0, "subscribe", "-U")
    assert check_invariants(joined.store) == []
    joined.pki.revoke(joined.alice)
    joined.pki.remove_crl()
    joined.server.publish("/crl", joined.pki.crl_der(last_update=joined.pki.now - timedelta(minutes=30)))
    row = joined.expect(0, "vmcatcher", "trust", "fetch-crls").lines[0].split("\t")
    assert (row[0], row[1], row[4]) == (joined.pki.certificate.stem, "new", joined.server.url("/crl"))
    joined.publish("3", joined.image(1))
    assert "was revoked" in joined.expect(11, "subscribe", "-U").err


def test_fetch_says_what_became_of_each_list(joined: Site):
    (first,) = _json(joined, 0, "trust", "fetch-crls")["crls"]
    assert (first["outcome"], first["needed"], first["problems"]) == ("unchanged", True, [])
    joined.server.withdraw("/crl")
    result = joined.expect(0, "vmcatcher", "trust", "fetch-crls", "-q")
    assert (result.out, result.err) == ("", "")
    assert "not found (404)" in joined.expect(0, "vmcatcher", "trust", "fetch-crls").err
    (kept,) = _json(joined, 0, "trust", "fetch-crls")["crls"]
    assert (kept["outcome"], [one["id"] for one in kept["problems"]]) == ("kept", ["http-not-found"])


@pytest.mark.parametrize(("serve", "code"), [("nothing", 75), ("rubbish", 1)])
def test_fetch_that_leaves_a_needed_ca_without_a_list_fails(serve: str, code: int, joined: Site):
    joined.pki.remove_crl()
    joined.server.publish("/crl", b"rubbish") if serve == "rubbish" else joined.server.withdraw("/crl")
    result = joined.expect(code, "vmcatcher", "trust", "fetch-crls")
    assert "\tfailed\t" in result.out
    assert result.err.count("ERROR:") == 1
    assert joined.pki.subject in result.err
    document = check_envelope(joined.run("vmcatcher", "trust", "fetch-crls", "--json").out)
    assert [one["subject"] for one in document["errors"]] == [joined.pki.subject]


def test_fetch_that_fails_for_what_no_list_needs_is_a_warning(joined: Site):
    other = Pki(joined.pki.root, name="Other CA", now=joined.pki.now)
    other.remove_crl()
    other.certificate.with_suffix(".crl_url").write_text(joined.server.url("/nothing"))
    result = joined.expect(0, "vmcatcher", "trust", "fetch-crls")
    assert "no list depends on it" in result.err
    joined.expect(75, "vmcatcher", "trust", "fetch-crls", "--every-ca")


def test_fetch_makes_the_store_that_it_fetches_into(site: Site):
    site.pki.certificate.with_suffix(".crl_url").write_text(site.server.url("/crl"))
    site.server.publish("/crl", site.pki.crl_der(last_update=site.pki.now - timedelta(minutes=1)))
    assert "\tnew\t" in site.expect(0, "vmcatcher", "trust", "fetch-crls").out
    assert sorted(path.suffix for path in (site.store / "trust").iterdir()) == [".json", ".r0"]


def test_fetch_where_no_ca_says_where_is_refused(site: Site):
    assert "no *.crl_url file" in site.expect(1, "vmcatcher", "trust", "fetch-crls").err


# -- explain


def test_explain_shows_each_step_of_a_list_that_would_be_taken(joined: Site):
    lines = joined.expect(0, "vmcatcher", "trust", "explain", LIST_ID).lines
    steps = [line.split("\t")[:2] for line in lines if not line.startswith(".")]
    assert [name for name, _ in steps] == [
        "size", "wrapper", "block", "signature", "signer", "chain", "namespace", "revocation", "content", "list",
        "named-signer", "endorser", "identifier", "version", "dates", "standing",
    ]  # fmt: skip
    assert {verdict for _, verdict in steps} == {"ok"}
    said = "\n".join(lines)
    assert str(joined.pki.certificate) in said
    assert f"{joined.pki.crl}, used: of {joined.pki.subject}" in said
    assert f"{joined.pki.signing_policy.name}, line 4: PERMIT /DC=test/DC=grid/*" in said


def test_explain_goes_on_behind_what_stops_the_list(joined: Site):
    late = joined.pki.endorser("Late Endorser", defects.expired)
    joined.publish("0.5", joined.image(1), signer=late)
    joined.pki.remove_crl()
    result = joined.expect(1, "vmcatcher", "trust", "explain", LIST_ID, "--fetch")
    failed = [line.split("\t")[0] for line in result.lines if line.split("\t")[1] == "failed"]
    assert failed == ["signer", "revocation", "endorser", "version"]
    found = _json(joined, 1, "trust", "explain", LIST_ID, "--fetch")
    assert found["refusal"]["id"] == "signer-expired"
    assert found["list"]["version"] == "0.5"
    errors = [step["error"]["id"] for step in found["steps"] if step["error"]]
    assert errors == ["signer-expired", "crl-missing", "endorser-not-linked", "list-rollback"]


def test_explain_tells_what_stays_in_use_although_it_would_not_be_taken_now(joined: Site):
    joined.pki.remove_crl()
    steps = {one["name"]: one for one in _json(joined, 1, "trust", "explain", LIST_ID)["steps"]}
    assert (steps["revocation"]["outcome"], steps["standing"]["outcome"]) == ("failed", "warning")
    joined.pki.revoke(joined.alice)
    steps = {one["name"]: one for one in _json(joined, 1, "trust", "explain", LIST_ID)["steps"]}
    assert (steps["standing"]["outcome"], steps["standing"]["error"]["id"]) == ("failed", "signer-revoked")


def test_explain_of_a_file_needs_no_store(site: Site, tmp_path: Path):
    path = tmp_path / "a.list"
    path.write_bytes(site.publish("1", site.image(1)))
    result = site.expect(0, "vmcatcher", "trust", "explain", str(path))
    assert "endorser\tskipped\tthere is no store here" in result.out
    path.write_text("<html>")
    assert _json(site, 1, "trust", "explain", str(path))["refusal"]["id"] == "list-not-signed"
    assert not site.store.exists()


def test_explain_takes_a_name_for_a_subscription_first_and_for_a_file_then(
    joined: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    for name in (LIST_ID, "other"):
        (tmp_path / name).write_text("<html>")
    assert _json(joined, 0, "trust", "explain", LIST_ID)["subscription"] == LIST_ID
    assert _json(joined, 0, "trust", "explain", LIST_ID[:8])["subscription"] == LIST_ID
    for name in (f"./{LIST_ID}", "other"):
        assert _json(joined, 1, "trust", "explain", name)["refusal"]["id"] == "list-not-signed"
    assert "nobody" in joined.expect(1, "vmcatcher", "trust", "explain", "nobody").err


def test_explain_of_a_url_is_held_against_its_subscription(joined: Site):
    joined.publish("2", joined.image(1))
    found = _json(joined, 0, "trust", "explain", joined.server.url("/list"))
    assert (found["subscription"], found["list"]["version"]) == (LIST_ID, "2")
    joined.server.withdraw("/list")
    assert _json(joined, 75, "trust", "explain", joined.server.url("/list"))["refusal"]["id"] == "http-not-found"


def test_explain_of_a_list_that_nobody_here_endorsed_says_who_signed(joined: Site, tmp_path: Path):
    path = tmp_path / "a.list"
    bob = joined.pki.endorser("Bob Endorser")
    path.write_bytes(bob.sign(joined.content("1", signer=bob, dc__identifier="other-list")))
    result = joined.expect(1, "vmcatcher", "trust", "explain", str(path))
    assert "Bob Endorser" in next(line for line in result.lines if line.startswith("endorser\tfailed"))


def test_explain_before_the_first_update_says_how_to_go_on(site: Site):
    site.publish("1", site.image(1))
    site.join(update=False)
    assert "--fetch" in site.expect(1, "vmcatcher", "trust", "explain", LIST_ID).err
    site.expect(0, "vmcatcher", "trust", "explain", LIST_ID, "--fetch")


def test_explain_writes_nothing(joined: Site):
    before = joined.tree()
    for words in ((LIST_ID,), (LIST_ID, "--fetch"), (joined.server.url("/list"),)):
        joined.expect(0, "vmcatcher", "trust", "explain", *words)
    assert joined.tree() == before
