"""vmcatcher subscription history and diff, image history, image proof and verify-proof, as commands."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from support.openssl import openssl, smime_sign
from support.proofs import context, proof_of
from support.schemas import SCHEMAS, check_envelope
from support.server import Server
from support.site import LIST_ID, Result, Site, image_id
from support.tree import tree
from vmcatcher.cli.output import history, proof
from vmcatcher.cli.output.screen import Screen
from vmcatcher.services.history import list_difference, subscription_history
from vmcatcher.services.image_history import image_history


def _rows(result: Result, first: str) -> list[list[str]]:
    rows = [line.split("\t") for line in result.lines]
    return [row[1:] for row in rows if row[0] == first]


def _json(site: Site, *words: str, code: int = 0) -> dict[str, Any]:
    document = check_envelope(site.expect(code, "vmcatcher", *words, "--json").out)
    assert document["exit_code"] == code
    return document


# -- history


def test_history_is_lists_then_changes(past: Site) -> None:
    before = tree(past.store)
    shown = past.expect(0, "vmcatcher", "subscription", "history", LIST_ID[:8])
    rows = _rows(shown, "list")
    assert [(row[0], row[1], row[5], row[6:11]) for row in rows] == [
        ("2", "2", "current", ["2", "1", "1", "1", "0"]),
        ("1", "1", "kept", ["2", "2", "0", "0", "0"]),
    ]
    assert [row[:3] for row in _rows(shown, "change")] == [
        ["2", "withdrawn", image_id(2)],
        ["2", "replaced", image_id(1)],
        ["2", "added", image_id(3)],
    ]
    assert tree(past.store) == before


def test_history_as_json_keeps_to_its_schema(past: Site) -> None:
    result = _json(past, "subscription", "history", LIST_ID)["result"]
    assert [one["version"] for one in result["lists"]] == ["2", "1"]
    assert [one["what"] for one in result["lists"][0]["changes"]] == ["withdrawn", "replaced", "added"]


def test_damaged_and_missing_lists_are_told_and_end_with_1(past: Site, tmp_path: Path) -> None:
    site = Site(tmp_path, past.server, pki=past.pki)
    shutil.copytree(past.store, site.store, symlinks=True)
    site.now = past.now
    old, new = sorted((site.store / "subscriptions" / LIST_ID / "lists").glob("*.smime"))
    new.chmod(0o644)
    new.write_bytes(b"rot")
    shown = site.expect(1, "vmcatcher", "subscription", "history", LIST_ID)
    assert [row[5] for row in _rows(shown, "list")] == ["damaged", "kept"]
    assert "[admitted-list-damaged]" in shown.err
    document = _json(site, "subscription", "history", LIST_ID, code=1)
    assert document["result"]["lists"][0]["damaged"]["id"] == "admitted-list-damaged"
    old.unlink()
    assert _rows(site.expect(1, "vmcatcher", "subscription", "history", LIST_ID), "gone") == [["1", "1"]]
    assert site.run("vmcatcher", "subscription", "diff", LIST_ID).code == 1


def test_difference_tells_fields_old_and_new(past: Site) -> None:
    shown = past.expect(0, "vmcatcher", "subscription", "diff", LIST_ID, "1")
    assert ["hv:version", "1", "2"] in _rows(shown, "list")
    assert [image_id(1), "hv:version", "1", "2"] in _rows(shown, "field")
    result = _json(past, "subscription", "diff", LIST_ID)["result"]
    assert (result["older"]["version"], result["newer"]["version"]) == ("1", "2")


@pytest.mark.parametrize(("words", "code"), [((), 1), (("current",), 0)])
def test_difference_is_in_the_exit_code_where_that_is_asked_for(past: Site, words: tuple[str, ...], code: int) -> None:
    past.expect(code, "vmcatcher", "subscription", "diff", LIST_ID, *words, "--exit-code")
    _json(past, "subscription", "diff", LIST_ID, *words, "--exit-code", code=code)


def test_version_that_was_never_admitted_is_refused(past: Site) -> None:
    refused = past.expect(1, "vmcatcher", "subscription", "diff", LIST_ID, "9")
    assert "subscription history" in refused.err


def test_image_history_tells_endorsed_and_cached(past: Site) -> None:
    shown = past.expect(0, "vmcatcher", "image", "history", "Title of image 1")
    assert [(row[0], row[2], row[7]) for row in _rows(shown, "endorsed")] == [
        ("2", "2", "list-expired"),
        ("1", "1", "replaced"),
    ]
    assert [(row[0], row[4], row[5]) for row in _rows(shown, "cached")] == [
        ("2", "endorsed", "-"),
        ("1", "expired", "replaced"),
    ]
    for number in (1, 2, 3):
        _json(past, "image", "history", image_id(number))


def _screen(past: Site) -> Screen:
    return Screen(is_terminal=True, has_colour=False, now=past.now)


def test_terminal_has_headings_and_marks(past: Site, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    history.show_history(_screen(past), subscription_history(context(past), LIST_ID))
    history.show_difference(_screen(past), list_difference(context(past), LIST_ID))
    history.show_difference(_screen(past), list_difference(context(past), LIST_ID, "current"))
    history.show_versions(_screen(past), image_history(context(past), image_id(1)))
    shown = capsysbinary.readouterr().out.decode()
    for words in ("NUMBER", "+1 -1 !1", f"- withdrawn {image_id(2)}", "    hv:version: 1 → 2", "they say the same"):
        assert words in shown
    assert "CACHED VERSION" in shown


# -- proof


@pytest.fixture
def proved(past: Site, tmp_path: Path) -> Path:
    """A file with the proof of image 1."""
    path = tmp_path / "image.proof"
    past.expect(0, "vmcatcher", "image", "proof", image_id(1), "-o", str(path))
    return path


def test_proof_is_written_without_a_change_of_the_store(past: Site, tmp_path: Path) -> None:
    before = tree(past.store)
    path = tmp_path / "a proof"
    result = _json(past, "image", "proof", "Title of image 1", "-o", str(path))["result"]
    assert path.read_bytes() == proof_of(past)
    assert (result["bytes"], result["version"], result["list"]["version"]) == (path.stat().st_size, "2", "2")
    assert tree(past.store) == before


def test_proof_goes_to_stdout_and_nothing_else_does(past: Site) -> None:
    assert past.expect(0, "vmcatcher", "image", "proof", image_id(1), "-o", "-").raw == proof_of(past)
    assert (
        past.expect(2, "vmcatcher", "image", "proof", image_id(1), "-o", "-", "--json").out.count("stdout-taken") == 1
    )


def test_proof_by_digest_is_of_the_version_that_has_it(past: Site) -> None:
    digest = image_history(context(past), image_id(1)).versions[1].sha512
    shown = past.expect(0, "vmcatcher", "image", "proof", digest[:20], "-o", "-")
    assert shown.json["image"]["version"] == "1"
    assert past.expect(0, "vmcatcher", "image", "proof", image_id(1), "--version", "1", "-o", "-").raw == shown.raw


def test_output_that_cannot_be_written_is_refused(past: Site) -> None:
    refused = past.expect(1, "vmcatcher", "image", "proof", image_id(1), "-o", "/nowhere/x")
    assert "/nowhere/x" in refused.err


def test_proof_keeps_to_its_schema(proved: Path) -> None:
    schema = json.loads((SCHEMAS.parent / "proof-format.schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(json.loads(proved.read_text()))


@pytest.fixture
def elsewhere(past: Site, server: Server, tmp_path: Path) -> Site:
    """Another machine: no store, other settings; the same CAs in a directory of its own."""
    there = Site(tmp_path / "elsewhere", server)
    there.environment = {}
    there.now = past.now
    shutil.copytree(past.pki.certificates, tmp_path / "trusted")
    return there


def test_other_machine_says_that_all_holds(past: Site, elsewhere: Site, proved: Path, tmp_path: Path) -> None:
    image = tmp_path / "image"
    shutil.copy(past.store / "endorsed" / image_id(1), image)
    words = (str(proved), str(image), "-c", str(tmp_path / "trusted"), "--signer", past.alice.subject)
    shown = elsewhere.expect(0, "vmcatcher", "image", "verify-proof", *words)
    assert shown.err == ""
    answers = dict(line.split("\t") for line in shown.lines if "\t" in line)
    asked = ["consistent", "trusted then", f"endorsed {past.now:%Y-%m-%dT%H:%M:%SZ}", "signer", "image file"]
    assert [answers[one] for one in asked] == ["yes"] * 5
    result = _json(elsewhere, "image", "verify-proof", *words)["result"]
    assert result["holds"]
    assert not elsewhere.store.exists()


def test_other_machine_is_told_that_consistent_is_not_trusted(elsewhere: Site, proved: Path) -> None:
    shown = elsewhere.expect(0, "vmcatcher", "image", "verify-proof", str(proved))
    assert "by the proof's own CA" in shown.out
    assert "This proves only that the file fits together" in shown.out
    assert _json(elsewhere, "image", "verify-proof", str(proved))["result"]["anchor"]["directory"] is None


def test_everything_that_does_not_hold_has_a_line(past: Site, elsewhere: Site, proved: Path, tmp_path: Path) -> None:
    elsewhere.now += timedelta(days=30)
    other = tmp_path / "wrong"
    other.write_bytes(b"something else")
    words = (str(proved), str(other), "-c", str(elsewhere.pki.certificates), "--signer", "/CN=Bob")
    refused = elsewhere.expect(1, "vmcatcher", "image", "verify-proof", *words)
    ids = ["chain-signature", "list-expired", "proof-signer", "image-not-proved"]
    assert [line.rpartition("[")[2].rstrip("]") for line in refused.err.splitlines()] == ids
    document = _json(elsewhere, "image", "verify-proof", *words, code=1)
    assert [error["id"] for error in document["errors"]] == ids
    assert [one["error"] for one in document["result"]["findings"]] == ids


def test_expired_proof_holds_at_its_admission_and_at_a_time_before_its_end(elsewhere: Site, proved: Path) -> None:
    elsewhere.now += timedelta(days=30)
    verify = ("vmcatcher", "image", "verify-proof", str(proved))
    assert "[list-expired]" in elsewhere.expect(1, *verify).err
    elsewhere.expect(0, *verify, "--at", "admission")
    elsewhere.expect(0, *verify, "--at", "11d")
    assert "[proof-before-admission]" in elsewhere.expect(1, *verify, "--at", "2020-01-01").err
    elsewhere.expect(2, *verify, "--at", "whenever")


def test_altered_proof_is_refused_in_one_line(elsewhere: Site, proved: Path) -> None:
    proved.write_bytes(proved.read_bytes().replace(b"x86_64", b"x86_46"))
    refused = elsewhere.expect(1, "vmcatcher", "image", "verify-proof", str(proved))
    assert (refused.out, refused.err.count("\n")) == ("", 1)
    document = _json(elsewhere, "image", "verify-proof", str(proved), code=1)
    assert [error["id"] for error in document["errors"]] == ["proof-altered"]


@pytest.mark.parametrize("name", ["missing", "."])
def test_proof_that_cannot_be_read_is_refused(elsewhere: Site, tmp_path: Path, name: str) -> None:
    refused = elsewhere.expect(1, "vmcatcher", "image", "verify-proof", f"{tmp_path}/{name}")
    assert "cannot read" in refused.err


def test_terminal_shows_each_answer(past: Site, proved: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    from support.proofs import RULES
    from vmcatcher.services.proof_check import ProofQuestions, check_proof

    report = check_proof(proved.read_bytes(), RULES, ProofQuestions(past.now, signer="/CN=Bob"))
    proof.show_report(_screen(past), report, None)
    shown = capsysbinary.readouterr().out.decode()
    assert "signer:" in shown
    assert "no: the list was signed by" in shown


@pytest.mark.slow
@pytest.mark.parametrize("tool", ["detached", "opaque"])
def test_list_that_openssl_signed_is_proved_by_installed_commands(site: Site, tmp_path: Path, tool: str) -> None:
    """As an endorser and two sites do it: nothing but files passes between them."""
    site.join(site.image(1), update=False)
    signed = smime_sign(site.content("1", site.image(1)), site.alice, *(() if tool == "detached" else ("-nodetach",)))
    site.server.publish("/list", signed)
    site.expect(0, "subscribe", "-U")
    site.select(1)
    site.cache()
    path = tmp_path / "image.proof"
    piped = site.call("vmcatcher", "image", "proof", image_id(1), "-o", "-")
    path.write_bytes(piped.raw)
    other = Site(tmp_path / "elsewhere", site.server)
    other.environment = {}
    image = str(site.store / "endorsed" / image_id(1))
    done = other.call("vmcatcher", "image", "verify-proof", str(path), image, "-c", str(site.pki.certificates))
    assert (done.code, done.err) == (0, "")
    # A second opinion, by hand.
    document = json.loads(piped.out)
    (tmp_path / "cas.pem").write_text("".join(one["certificate"] for one in document["authorities"]))
    (tmp_path / "crls.pem").write_text("".join(document["crls"]))
    openssl("verify", "-CAfile", tmp_path / "cas.pem", "-CRLfile", tmp_path / "crls.pem", "-crl_check_all",
            stdin=document["signer"]["certificate"].encode())  # fmt: skip
