"""Proofs are made, are checked on another machine, and no part of them can be changed."""

from __future__ import annotations

import base64
import json
import shutil
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from support.pki import Pki
from support.proofs import RULES, Change, anchors, context, forged, proof_of, sealed, site_with_a_past
from support.server import Server
from support.site import LIST_ID, Site, image_id
from vmcatcher.errors import VmcatcherError
from vmcatcher.errors.history import NotEndorsedVersion
from vmcatcher.errors.proof import ProofImpossible
from vmcatcher.errors.requests import NoSuchImage
from vmcatcher.model.instant import instant_text, parse_instant
from vmcatcher.model.proof import LARGEST_BYTES, parse_proof
from vmcatcher.services.proof_check import ProofQuestions, ProofReport, check_proof, hold_together
from vmcatcher.services.proofs import ProofRequest, make_proof
from vmcatcher.store.outside import digest_outside
from vmcatcher.trust.anchors import TrustAnchors


@pytest.fixture(scope="session")
def proof(past: Site) -> bytes:
    """The proof of image 1 as it is now."""
    return proof_of(past)


@pytest.fixture
def copied(past: Site, tmp_path: Path) -> Site:
    """The same site with a store and a trust-anchor directory that a test may spoil."""
    site = Site(tmp_path, past.server, pki=Pki(tmp_path / "other"))
    shutil.copytree(past.store, site.store, symlinks=True)
    shutil.rmtree(site.pki.certificates)
    shutil.copytree(past.pki.certificates, site.pki.certificates)
    site.now = past.now
    return site


def _refusal(content: bytes) -> VmcatcherError:
    with pytest.raises(VmcatcherError) as refused:
        hold_together(content, RULES)
    return refused.value


def _check(content: bytes, **asked: Any) -> ProofReport:
    return check_proof(content, RULES, ProofQuestions(**asked))


def _ids(report: ProofReport) -> list[str]:
    return [refusal.id for refusal in report.refusals]


# -- making


def test_same_state_makes_the_same_bytes(past: Site, proof: bytes) -> None:
    assert proof_of(past) == proof
    assert proof.isascii()


def test_proof_holds_list_chain_crl_and_image(past: Site, proof: bytes) -> None:
    held = hold_together(proof, RULES)
    assert held.proof.signed == past.server.published()["/list"].content
    assert held.proof.signer == past.alice.der
    assert (held.image.version, held.listed.version) == ("2", "2")
    assert held.proof.admitted == past.now
    assert len(held.proof.crls) == 1
    assert {policy.kind for policy in held.proof.anchor.policies} == {"namespaces", "signing_policy"}


@pytest.mark.parametrize("which", ["version", "sha512"])
def test_version_that_left_the_cache_is_proved_by_its_own_list(past: Site, which: str) -> None:
    digest = json.loads((past.store / "cache" / image_id(1) / "1.json").read_text())["sha512"]
    content = proof_of(past, **{which: "1" if which == "version" else digest[:20].upper()})
    held = hold_together(content, RULES)
    assert (held.image.version, held.listed.version, held.image.sha512) == ("1", "1", digest)


def test_withdrawn_image_is_proved_by_the_last_list_that_named_it(past: Site) -> None:
    assert hold_together(proof_of(past, 2), RULES).listed.version == "1"


@pytest.mark.parametrize("image", [image_id(9), "../../etc/passwd", ""])
def test_image_that_nobody_knows_has_no_proof(past: Site, image: str) -> None:
    with pytest.raises(NoSuchImage):
        make_proof(context(past), anchors(past), RULES, ProofRequest(image))


def test_version_that_no_list_names_has_no_proof(past: Site) -> None:
    with pytest.raises(NotEndorsedVersion, match="version '7'"):
        proof_of(past, version="7")


def _lists(site: Site) -> Path:
    return site.store / "subscriptions" / LIST_ID / "lists"


def test_damaged_newest_list_is_said_and_the_one_before_is_proved(copied: Site) -> None:
    newest = max(_lists(copied).glob("*.smime"))
    newest.chmod(0o644)
    newest.write_bytes(newest.read_bytes().replace(b"hv:", b"HV:", 1))
    made = make_proof(context(copied), anchors(copied), RULES, ProofRequest(image_id(1)))
    assert made.admitted.listed.version == "1"
    assert [failure.error.id for failure in made.failed] == ["admitted-list-damaged"]


def test_image_of_a_damaged_list_alone_is_no_image_that_nobody_knows(copied: Site) -> None:
    newest = max(_lists(copied).glob("*.evidence"))
    newest.unlink()
    with pytest.raises(VmcatcherError) as refused:
        proof_of(copied, 3)
    assert refused.value.id == "document-damaged"


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda path: [one.unlink() for one in (*path.glob("*.signing_policy"), *path.glob("*.namespaces"))], "policy"),
        (lambda path: [one.write_text("nonsense\n") for one in path.glob("*.namespaces")], "namespaces"),
        (lambda path: [one.write_text('TO Issuer SELF PERMIT Subject "/CN=x"') for one in path.glob("*.namespaces")],
         "namespace"),
    ],
    ids=["gone", "unreadable", "narrowed"],
)  # fmt: skip
def test_proof_that_would_not_hold_elsewhere_is_not_made(copied: Site, spoil: Any, why: str) -> None:
    spoil(copied.pki.certificates)
    with pytest.raises(ProofImpossible, match=why):
        proof_of(copied)


def test_evidence_without_revocation_lists_makes_no_proof(copied: Site) -> None:
    path = max(_lists(copied).glob("*.evidence"))
    document = json.loads(path.read_text())
    del document["~sha256"]
    path.write_text(json.dumps(document | {"crls": []}))
    with pytest.raises(ProofImpossible, match="CRL"):
        proof_of(copied)


def test_evidence_with_rotten_certificates_makes_no_proof(copied: Site) -> None:
    path = max(_lists(copied).glob("*.evidence"))
    document = json.loads(path.read_text())
    del document["~sha256"]
    path.write_text(json.dumps(document | {"crls": [document["crls"][0][:8] + "*" + document["crls"][0][8:]]}))
    with pytest.raises(ProofImpossible, match="base64"):
        proof_of(copied)


def test_chain_of_three_has_the_policies_of_its_cas_wherever_they_are_written(tmp_path: Path, server: Server) -> None:
    """The root's file says SELF, and speaks for the CA below it, too; files of other CAs stay at home."""
    root = Pki(tmp_path / "pki")
    sub = root.intermediate()
    Pki(tmp_path / "pki", name="Other CA")
    for path in (sub.namespaces, sub.signing_policy, root.signing_policy):
        path.unlink()
    permit = 'PERMIT Subject "/DC=test/DC=grid/.*"'
    root.namespaces.write_text(f'TO Issuer SELF {permit}\nTO Issuer "{sub.subject}" {permit}\n')
    site = Site(tmp_path, server, pki=sub)
    site.join(site.image(1))
    content = proof_of(site)
    held = hold_together(content, RULES)
    assert [one.subject for one in held.proof.authorities] == [sub.subject, root.subject]
    assert [len(one.policies) for one in held.proof.authorities] == [0, 1]
    assert len(held.proof.crls) == 2
    assert b"Other CA" not in content
    assert _ids(_check(content, at=site.now, own=anchors(site))) == []


def test_policy_that_means_another_ca_by_self_makes_no_proof(copied: Site) -> None:
    """Beside the signer's CA it would mean that one, and permit more than it does here."""
    other = Pki(copied.root / "more", name="Other CA")
    for path in (*copied.pki.certificates.glob("*.namespaces"), *copied.pki.certificates.glob("*.signing_policy")):
        path.unlink()
    shutil.copy(other.certificate, copied.pki.certificates)
    permit = 'PERMIT Subject "/DC=test/DC=grid/.*"'
    text = f'TO Issuer "/DC=test/DC=grid/CN=Test Grid CA" {permit}\nTO Issuer SELF PERMIT Subject ".*"\n'
    (copied.pki.certificates / other.namespaces.name).write_text(text)
    with pytest.raises(ProofImpossible, match="SELF"):
        proof_of(copied)


def test_newest_of_several_lists_that_name_an_image_proves_it(site: Site) -> None:
    """Nobody owns the image, since nobody decided about it; the order of the lists' identifiers does not matter."""
    places = {"aaa": "/a", "zzz": "/z"}

    def publish(name: str, version: str, *images: dict[str, object]) -> None:
        fields = {"dc__identifier": name, "hv__uri": site.server.url(places[name])}
        site.publish(version, *images, path=places[name], **fields)

    site.expect(0, "endorser", "-C", "-e", "alice", "--dn", site.alice.subject, "-I", site.alice.issuer)
    for name, path in places.items():
        publish(name, "1")
        site.expect(0, "subscribe", "-s", site.server.url(path))
    for order in (("aaa", "zzz"), ("zzz", "aaa")):
        for name in order:
            site.now += timedelta(minutes=10)
            publish(name, str(site.now.timestamp()), site.image(1))
            site.expect(32, "subscribe", "-U")
        assert hold_together(proof_of(site), RULES).listed.identifier == order[-1]


# -- the file


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", "proof-none"),
        (b"[]", "proof-none"),
        (b"{}", "proof-none"),
        (b"\x7fELF\0\0", "proof-none"),
        (b'{"a":' * 5000, "proof-none"),
        (b'{"kind": "vmcatcher-image-proof"}', "proof-format"),
        (b'{"kind": "vmcatcher-image-proof", "format": 2}', "proof-format"),
        (b'{"kind": "vmcatcher-image-proof", "format": true}', "proof-format"),
        (b'{"kind": "vmcatcher-image-proof", "format": 1}', "proof-altered"),
        (b'{"kind": "vmcatcher-image-proof", "format": 1, "format": 1}', "proof-none"),
        (sealed({"kind": "vmcatcher-image-proof", "format": 1}), "proof-malformed"),
        (b" " * (LARGEST_BYTES + 1), "proof-too-large"),
    ],
    ids=range(12),
)
def test_file_that_is_no_proof_is_refused(content: bytes, error: str) -> None:
    assert _refusal(content).id == error


def test_proof_that_was_written_anew_is_refused(proof: bytes) -> None:
    assert _refusal(json.dumps(json.loads(proof), indent=2).encode()).id == "proof-altered"
    assert _refusal(proof.replace(b"\n", b"\r\n")).id == "proof-altered"
    assert _refusal(proof[:-1]).id == "proof-altered"


# -- each of its parts, with a digest that holds


def _set(path: str, value: Any) -> Change:
    """Return what puts `value`, or what it makes of the old one, at `path`."""

    def change(document: dict[str, Any]) -> None:
        *above, last = [int(word) if word.isdigit() else word for word in path.split(".", 2)]
        inner: Any = document
        for word in above:
            inner = inner[word]
        inner[last] = value(inner[last]) if callable(value) else value

    return change


def _moved(**by: float) -> Change:
    def change(document: dict[str, Any]) -> None:
        for name in ("admitted", "verified"):
            document[name] = instant_text(parse_instant(document[name]) + timedelta(**by))

    return change


def _without(path: str) -> Change:
    def change(document: dict[str, Any]) -> None:
        inner: Any = document
        *above, last = path.split(".")
        for word in above:
            inner = inner[int(word) if word.isdigit() else word]
        del inner[last]

    return change


def _in_signed(old: bytes, new: bytes) -> Change:
    def swap(text: str) -> str:
        signed = base64.b64decode(text)
        assert old in signed
        return base64.b64encode(signed.replace(old, new, 1)).decode()

    return _set("list.signed", swap)


_PEM = "-----BEGIN {0}-----\nMAA=\n-----END {0}-----\n"
_TAMPERED: dict[str, tuple[Change, str]] = {
    "admitted before it was created": (_moved(minutes=-10), "list-from-the-future"),
    "admitted before the revocation list": (_moved(days=-1, hours=-2), "crl-future"),
    "admitted after its end": (_moved(days=21), "list-expired"),
    "verified after the signer's end": (_moved(days=40), "signer-expired"),
    "verified before admission": (_set("verified", "2026-01-01T00:00:00Z"), "proof-contradicts"),
    "admitted in no year": (_set("admitted", "9999-12-31T23:59:59Z"), "proof-malformed"),
    "admitted at no time": (_set("admitted", "today"), "proof-malformed"),
    "admitted missing": (_without("admitted"), "proof-malformed"),
    "another zone": (_set("admitted", lambda text: text.replace("Z", "+00:00")), "proof-contradicts"),
    "another image of the list": (_set("image.identifier", image_id(3)), "proof-contradicts"),
    "an image of no list": (_set("image.identifier", image_id(2)), "proof-image-not-listed"),
    "an image that is a path": (_set("image.identifier", "../../etc/passwd"), "proof-malformed"),
    "digest": (_set("image.sha512", "0" * 128), "proof-contradicts"),
    "size": (_set("image.size", 1), "proof-contradicts"),
    "size as a fraction": (_set("image.size", float), "proof-contradicts"),
    "version": (_set("image.version", "9"), "proof-contradicts"),
    "entry": (_set("image.entry", lambda entry: entry | {"hv:uri": "https://evil.test/"}), "proof-contradicts"),
    "image missing": (_without("image"), "proof-malformed"),
    "image no object": (_set("image", 7), "proof-malformed"),
    "list identifier": (_set("list.identifier", "other"), "proof-contradicts"),
    "list version": (_set("list.version", "9"), "proof-contradicts"),
    "list created": (_set("list.created", "2020-01-01T00:00:00Z"), "proof-contradicts"),
    "list expires": (_set("list.expires", "2499-01-01T00:00:00Z"), "proof-contradicts"),
    "list digest": (_set("list.sha512", "0" * 128), "proof-contradicts"),
    "signed content": (_in_signed(b"kvm", b"xen"), "list-digest-mismatch"),
    "signed for longer": (_in_signed(b'expires": "20', b'expires": "30'), "list-digest-mismatch"),
    "a line before the list": (_in_signed(b"MIME-Version", b"X-Other: 1\r\nMIME-Version"), "proof-contradicts"),
    "list no base64": (_set("list.signed", "***"), "proof-malformed"),
    "list other characters": (_set("list.signed", "é"), "proof-malformed"),
    "list empty": (_set("list.signed", ""), "list-not-signed"),
    "list missing": (_without("list.signed"), "proof-malformed"),
    "signer subject": (_set("signer.subject", "/CN=Somebody"), "proof-contradicts"),
    "signer issuer": (_set("signer.issuer", "/CN=Somebody"), "proof-contradicts"),
    "signer fingerprint": (_set("signer.fingerprint", "00"), "proof-contradicts"),
    "signer certificate": (_set("signer.certificate", _PEM.format("CERTIFICATE")), "proof-contradicts"),
    "signer certificate no PEM": (_set("signer.certificate", "x"), "proof-malformed"),
    "no authority": (_set("authorities", []), "proof-malformed"),
    "authorities no list": (_set("authorities", {}), "proof-malformed"),
    "many authorities": (_set("authorities", lambda found: found * 9), "proof-malformed"),
    "authority twice": (_set("authorities", lambda found: found * 2), "proof-contradicts"),
    "authority unreadable": (_set("authorities.0.certificate", _PEM.format("CERTIFICATE")), "proof-malformed"),
    "authority a CRL": (_set("authorities.0.certificate", _PEM.format("X509 CRL")), "proof-malformed"),
    "authority subject": (_set("authorities.0.subject", "/CN=Trusty"), "proof-contradicts"),
    "authority fingerprint": (_set("authorities.0.fingerprint", "00"), "proof-contradicts"),
    "no policies": (_set("authorities.0.policies", []), "policy-missing"),
    "policy of nothing": (_set("authorities.0.policies", [{"kind": "namespaces", "text": ""}]), "policy-missing"),
    "policy for others": (
        _set("authorities.0.policies", lambda found: [
            {"kind": one["kind"], "text": one["text"].replace("/DC=test/DC=grid/.*", "/DC=other/.*")} for one in found
        ]),
        "signer-outside-namespace",
    ),
    "policy nonsense": (_set("authorities.0.policies", [{"kind": "namespaces", "text": "x"}]), "proof-malformed"),
    "policy of another kind": (_set("authorities.0.policies", [{"kind": "x", "text": ""}]), "proof-malformed"),
    "policy no text": (_set("authorities.0.policies", [{"kind": "namespaces", "text": 1}]), "proof-malformed"),
    "no revocation list": (_set("crls", []), "crl-missing"),
    "revocation list twice": (_set("crls", lambda found: found * 2), "proof-contradicts"),
    "revocation list unreadable": (_set("crls", [_PEM.format("X509 CRL")]), "proof-malformed"),
    "revocation list no text": (_set("crls", [1]), "proof-malformed"),
    "one member more": (_set("more", 1), "proof-contradicts"),
    "format as a fraction": (_set("format", 1.0), "proof-contradicts"),
}  # fmt: skip


@pytest.mark.parametrize("what", _TAMPERED)
def test_part_that_was_changed_is_refused(proof: bytes, what: str) -> None:
    change, error = _TAMPERED[what]
    assert _refusal(forged(proof, change)).id == error


def test_forging_nothing_makes_the_same_file(proof: bytes) -> None:
    assert forged(proof, lambda _: None) == proof


def _pem(der: bytes, label: str) -> str:
    text = base64.encodebytes(der).decode().replace("\n", "")
    lines = "\n".join(text[at : at + 64] for at in range(0, len(text), 64))
    return f"-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n"


def _revoking(past: Site, serial: int) -> bytes:
    """Return a revocation list of the site's CA, an hour old at the last admission, with this certificate in it."""
    past.pki._revoked = [serial]
    try:
        return past.pki.crl_der(last_update=past.now - timedelta(hours=1))
    finally:
        past.pki._revoked = []


def test_revocation_list_that_names_the_signer_is_held_against_the_list(past: Site, proof: bytes) -> None:
    der = _revoking(past, past.alice.parsed.serial_number)
    error = _refusal(forged(proof, lambda document: document.update(crls=[_pem(der, "X509 CRL")])))
    assert error.id == "signer-revoked"


def test_revocation_list_of_another_key_is_none(past: Site, proof: bytes, tmp_path: Path) -> None:
    der = Pki(tmp_path, now=past.pki.now).crl_der()
    error = _refusal(forged(proof, lambda document: document.update(crls=[_pem(der, "X509 CRL")])))
    assert error.id == "crl-signature"


def test_ca_of_the_same_name_with_another_key_is_not_the_one_that_signed(
    past: Site, proof: bytes, tmp_path: Path
) -> None:
    other = Pki(tmp_path, now=past.pki.now)
    pem = other.certificate.read_text()
    assert _refusal(forged(proof, _set("authorities.0.certificate", pem))).id == "chain-signature"


# -- another machine


def _elsewhere(past: Site, tmp_path: Path) -> TrustAnchors:
    """The CAs of another machine, which has got them from the same authority."""
    there = tmp_path / "there"
    shutil.copytree(past.pki.certificates, there)
    return TrustAnchors.load(str(there))


def test_machine_that_trusts_the_ca_takes_it_then_and_now(past: Site, proof: bytes, tmp_path: Path) -> None:
    report = _check(proof, at=past.now, own=_elsewhere(past, tmp_path), signer=past.alice.subject)
    assert [(one.question, one.refusal, one.notes) for one in report.findings] == [
        ("trusted-then", None, ()),
        ("endorsed", None, ()),
        ("signer", None, ()),
    ]
    assert report.is_own_anchor


def test_machine_that_trusts_other_cas_takes_it_neither_then_nor_now(past: Site, proof: bytes, tmp_path: Path) -> None:
    other = TrustAnchors.load(str(Pki(tmp_path, name="Other CA").certificates))
    assert _ids(_check(proof, at=past.now, own=other)) == ["unknown-issuer", "unknown-issuer"]


def test_proof_of_a_made_up_ca_is_consistent_and_not_trusted(past: Site, tmp_path: Path, server: Server) -> None:
    """Everything in it fits together: only one's own CAs tell that it is worth nothing."""
    liar = site_with_a_past(tmp_path, server)
    content = proof_of(liar)
    own = _check(content, at=liar.now)
    assert own.refusals == ()
    assert not own.is_own_anchor
    assert _ids(_check(content, at=liar.now, own=anchors(past))) == ["chain-signature", "chain-signature"]


def test_signer_revoked_since_was_trusted_then_and_is_not_endorsed_now(
    past: Site, proof: bytes, tmp_path: Path
) -> None:
    there = tmp_path / "there"
    shutil.copytree(past.pki.certificates, there)
    (there / past.pki.crl.name).write_bytes(_revoking(past, past.alice.parsed.serial_number))
    report = _check(proof, at=past.now, own=TrustAnchors.load(str(there)))
    assert [(one.question, one.refusal and one.refusal.id) for one in report.findings] == [
        ("trusted-then", None),
        ("endorsed", "signer-revoked"),
    ]


def test_revocation_list_that_grew_old_is_a_note(past: Site, proof: bytes) -> None:
    """The list of the site holds for 20 days, this machine's revocation list for 30 from a day before."""
    report = _check(proof, at=past.now + timedelta(days=19, hours=23))
    assert report.refusals == ()
    assert report.findings[0].notes == ()
    stale = past.pki.crl_der(last_update=past.now - timedelta(days=3), next_update=past.now + timedelta(hours=1))
    old = forged(proof, lambda document: document.update(crls=[_pem(stale, "X509 CRL")]))
    (note,) = _check(old, at=past.now + timedelta(days=2)).findings[0].notes
    assert "the CRL of CA" in note


@pytest.mark.parametrize(
    ("after", "refusals"),
    [
        (timedelta(seconds=-1), ["proof-before-admission"]),
        (timedelta(0), []),
        (timedelta(days=20, seconds=-1), []),
        (timedelta(days=20), ["list-expired"]),
        (timedelta(days=40000), ["list-expired"]),
    ],
)
def test_time_decides_whether_it_is_endorsed(past: Site, proof: bytes, after: timedelta, refusals: list[str]) -> None:
    assert _ids(_check(proof, at=past.now + after)) == refusals


def test_expired_proof_was_endorsed_at_admission(past: Site) -> None:
    report = _check(proof_of(past, version="1"), at=None)
    assert report.refusals == ()
    assert report.at == past.now - timedelta(days=1)


def test_image_may_end_before_its_list(site: Site) -> None:
    ends = site.now + timedelta(days=2)
    site.join(site.image(1, dc__date__expires=instant_text(ends)))
    content = proof_of(site)
    assert _ids(_check(content, at=ends - timedelta(seconds=1))) == []
    assert _ids(_check(content, at=ends)) == ["proof-image-expired"]


def test_another_signer_than_expected_is_refused(past: Site, proof: bytes) -> None:
    assert _ids(_check(proof, at=past.now, signer="/DC=test/DC=grid/CN=Bob")) == ["proof-signer"]


def test_signed_list_of_another_signer_does_not_prove_what_it_names(past: Site, proof: bytes) -> None:
    """Mallory has a certificate of the same CA, and says that Alice endorsed."""
    mallory = past.pki.endorser("Mallory")
    signed = mallory.sign(past.content("2", past.image(1, "2"), past.image(3)))
    error = _refusal(forged(proof, _set("list.signed", base64.b64encode(signed).decode())))
    assert error.id == "signer-not-named"


def test_trust_is_that_of_when_the_list_was_verified_also_where_it_was_admitted_before(
    past: Site, proof: bytes
) -> None:
    """As with a list of an older store, whose revocation lists are those of the import."""
    made = _pem(past.pki.crl_der(last_update=past.now), "X509 CRL")

    def change(document: dict[str, Any]) -> None:
        document["admitted"] = instant_text(past.now - timedelta(minutes=6))
        document["crls"] = [made]

    assert _ids(_check(forged(proof, change), at=past.now, own=anchors(past))) == []


# -- the image itself


def test_image_file_is_the_one_that_was_endorsed(past: Site, proof: bytes) -> None:
    """The view has links, which are followed."""
    assert _ids(_check(proof, at=past.now, image_file=str(past.store / "endorsed" / image_id(1)))) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda content: content[:-1] + b"!", "SHA-512"),
        (lambda content: content[:-1], "bytes"),
        (lambda content: content + b"\0", "more than"),
        (lambda content: content + b"\0" * 1_000_000, "more than"),
        (lambda content: b"", "0 bytes"),
    ],
    ids=["bit", "short", "long", "very long", "empty"],
)
def test_other_bytes_are_refused(past: Site, proof: bytes, tmp_path: Path, change: Any, said: str) -> None:
    path = tmp_path / "image"
    path.write_bytes(change((past.store / "endorsed" / image_id(1)).read_bytes()))
    (refusal,) = _check(proof, at=past.now, image_file=str(path)).refusals
    assert refusal.id == "image-not-proved"
    assert said in str(refusal)


@pytest.mark.parametrize("name", ["nothing", ".", "a\0b"])
def test_image_file_that_cannot_be_read_is_refused(past: Site, proof: bytes, tmp_path: Path, name: str) -> None:
    assert _ids(_check(proof, at=past.now, image_file=f"{tmp_path}/{name}")) == ["input-unreadable"]


def test_no_more_is_read_of_a_file_than_there_should_be(tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(bytes(1_000_000))
    seen: list[int] = []
    size, _ = digest_outside(str(path), most_bytes=1000, seen=seen.append)
    assert 1000 < size == sum(seen) <= 2000


def test_parts_are_what_the_file_says(proof: bytes) -> None:
    parts = parse_proof(proof)
    assert parts.image == image_id(1)
    assert isinstance(parts.admitted, datetime)
    assert parts.anchor.subject == "/DC=test/DC=grid/CN=Test Grid CA"
