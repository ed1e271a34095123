"""What `trust check` finds in a trust-anchor directory, one defect at a time, and in the real one of the IGTF."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from support import defects
from support.openssl import openssl
from support.pki import Pki
from vmcatcher.model.upkeep import Weight
from vmcatcher.services.trust_check import TrustReport, check_trust
from vmcatcher.services.trust_ground import Ground
from vmcatcher.trust.anchors import TrustAnchors
from vmcatcher.trust.certificates import outline
from vmcatcher.trust.hashes import name_hashes
from vmcatcher.trust.rules import TrustRules

IGTF = Path("/etc/grid-security/certificates")
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
Found = set[tuple[str, str]]


@dataclass
class Directory:
    """A trust-anchor directory in good order, until something is spoilt."""

    root: Path
    rules: TrustRules = field(default_factory=TrustRules)
    warn_within: timedelta = 5 * DAY

    def __post_init__(self) -> None:
        self.pki = Pki(self.root, now=NOW)
        self.path = self.pki.certificates

    def report(self, now: datetime = NOW) -> TrustReport:
        anchors = TrustAnchors.load(str(self.path), overlay=str(self.root / "overlay"))
        ground = Ground(str(self.path), str(self.root / "overlay"), anchors, self.rules, now)
        return check_trust(None, ground, self.warn_within, every_ca=False)

    def found(self) -> Found:
        findings = [finding for one in self.report().checked for finding in one.findings]
        assert all(finding.said.isprintable() for finding in findings)
        return {(finding.id, finding.weight.value) for finding in findings}


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    return Directory(tmp_path)


CASES: dict[str, tuple[Callable[[Directory], object], Found]] = {}


def finds(*found: str) -> Callable[[Callable[[Directory], object]], Callable[[Directory], object]]:
    """Note what is found of what the decorated function spoils: ids, with `!` where lists are refused."""

    def note(spoil: Callable[[Directory], object]) -> Callable[[Directory], object]:
        CASES[spoil.__name__] = (
            spoil,
            {(one.rstrip("!"), "refuses" if one.endswith("!") else "warns") for one in found},
        )
        return spoil

    return note


@finds()
def nothing(_: Directory):
    pass


@finds("crl-missing!")
def no_crl(it: Directory):
    it.pki.remove_crl()


@finds("crl-missing")
def no_crl_where_none_is_required(it: Directory):
    it.pki.remove_crl()
    it.rules = replace(it.rules, crl="if-present")


@finds()
def no_crl_where_none_is_asked(it: Directory):
    it.pki.remove_crl()
    it.rules = replace(it.rules, crl="off")


@finds("crl-expired!")
def crl_over(it: Directory):
    it.pki.write_stale_crl()


@finds("crl-future!")
def crl_from_the_future(it: Directory):
    it.pki.write_future_crl()


@finds("crl-signature!", "crl-signature")
def crl_forged(it: Directory):
    it.pki.write_forged_crl()


@finds("crl-scope!")
def crl_partial(it: Directory):
    it.pki.write_partial_crl()


@finds("crl-unreadable!", "crl-file")
def crl_of_no_use(it: Directory):
    it.pki.crl.write_bytes(b"rubbish")


@finds("crl-ends-soon")
def crl_late(it: Directory):
    it.pki.write_crl(it.pki.crl_der(last_update=NOW - 30 * DAY, next_update=NOW + 4 * DAY))


@finds()
def crl_of_a_ca_that_signs_one_each_day(it: Directory):
    it.pki.write_crl(it.pki.crl_der(last_update=NOW - DAY / 2, next_update=NOW + DAY))


@finds()
def crl_over_beside_a_fresh_one_in_the_overlay(it: Directory):
    it.pki.write_crl(path=it.root / "overlay" / "any.r0")
    it.pki.write_stale_crl()


@finds("crl-without-ca")
def crl_of_a_stranger(it: Directory):
    stranger = Pki(it.root / "elsewhere", name="Strange CA", now=NOW)
    it.pki.write_crl(stranger.crl_der(), path=it.path / "strange.r0")


@finds("ca-expired!")
def ca_over(it: Directory):
    Pki(it.root, defects.expired, name="Old CA", now=NOW).remove_crl()


@finds("ca-not-yet-valid!")
def ca_before_its_time(it: Directory):
    Pki(it.root, defects.not_yet_valid, name="New CA", now=NOW)


@finds("ca-ends-soon")
def ca_that_ends(it: Directory):
    it.warn_within = 4000 * DAY


@finds("ca-weak-key!")
def ca_with_a_weak_key(it: Directory):
    Pki(it.root, name="Weak CA", key="rsa1024", now=NOW)


@finds("ca-not-a-ca!")
def certificate_that_is_no_ca(it: Directory):
    Pki(it.root, defects.not_a_ca, name="No CA", now=NOW)


@finds("ca-weak-digest!")
def intermediate_with_a_weak_digest(it: Directory):
    it.pki.intermediate("Sub CA", defects.signed_with_sha1)


@finds("unknown-issuer!", "policy-without-ca", "crl-without-ca")
def intermediate_without_its_root(it: Directory):
    it.pki.intermediate()
    it.pki.remove()


@finds("ca-revoked!")
def intermediate_revoked(it: Directory):
    it.pki.revoke(it.pki.intermediate())


@finds("ca-outside-namespace!")
def intermediate_outside_the_namespace(it: Directory):
    it.pki.intermediate()
    it.pki.write_policies("/DC=test/DC=elsewhere/*")


@finds("policy-missing!")
def no_policy(it: Directory):
    it.pki.write_policies(signing_policy=False, namespaces=False)


@finds()
def no_policy_where_none_is_asked(it: Directory):
    it.pki.write_policies(signing_policy=False, namespaces=False)
    it.rules = replace(it.rules, policy="off")


@finds("policy-unreadable!", "signing-policy-file")
def policy_of_no_use(it: Directory):
    it.pki.signing_policy.write_text("access_id_CA X509\n")


@finds("policy-without-ca")
def policy_of_a_stranger(it: Directory):
    text = it.pki.signing_policy.read_text().replace("Test Grid CA", "Strange CA")
    (it.path / "strange.signing_policy").write_text(text)


@finds("wrong-hash", "no-hash")
def ca_under_another_hash(it: Directory):
    it.pki.certificate.rename(it.path / "deadbeef.0")


@finds("no-hash")
def ca_without_a_hash(it: Directory):
    it.pki.certificate.rename(it.path / "Test.pem")


@finds()
def ca_with_a_link_by_hash(it: Directory):
    (it.path / "Test.pem").symlink_to(it.pki.certificate.name)


@finds("wrong-hash")
def crl_under_another_hash(it: Directory):
    it.pki.crl.rename(it.path / "deadbeef.r0")


@finds("duplicate-ca", "no-hash")
def ca_twice(it: Directory):
    shutil.copy(it.pki.certificate, it.path / "copy.pem")


@finds("ca-file!")
def ca_of_no_use(it: Directory):
    (it.path / "broken.pem").write_bytes(b"rubbish")


@finds("ca-file!")
def ca_that_is_a_pipe(it: Directory):
    os.mkfifo(it.path / "pipe.pem")


@finds("ca-file")
def ca_that_is_a_link_to_nowhere(it: Directory):
    (it.path / "gone.pem").symlink_to("nowhere")


@finds("crl-url")
def url_that_cannot_be_fetched(it: Directory):
    it.pki.certificate.with_suffix(".crl_url").write_text("ftp://127.0.0.1/\n")


@finds("crl-url-without-ca")
def url_of_a_stranger(it: Directory):
    (it.path / "strange.crl_url").write_text("http://127.0.0.1/\n")


@finds("info-differs")
def info_of_another_certificate(it: Directory):
    it.pki.certificate.with_suffix(".info").write_text("alias = x\nsha1fp.0 = 00:11:22\n")


@finds("open-to-all")
def directory_that_anybody_may_write_to(it: Directory):
    it.path.chmod(0o777)


@pytest.mark.parametrize("name", CASES)
def test_defect_is_found_and_nothing_else(name: str, directory: Directory):
    spoil, expected = CASES[name]
    spoil(directory)
    assert directory.found() == expected
    refusing = {one.ca.subject for one in directory.report().checked if one.refuses and one.ca is not None}
    files = any(one.refuses for one in directory.report().checked if one.ca is None)
    # A CA that is over is needed by nobody as long as no list depends on it.
    assert bool(refusing or files) is (name != "ca_over" and any(weight == "refuses" for _, weight in expected))


def test_expired_ca_is_needed_by_nobody_as_long_as_no_list_says_so(directory: Directory):
    ca_over(directory)
    assert not directory.report().refuses
    assert [one.is_needed for one in directory.report().checked if one.ca and "Old CA" in one.ca.subject] == [False]


def test_authorities_are_described(directory: Directory):
    found = directory.report().checked[0].ca
    assert found is not None
    assert found.file == str(directory.pki.certificate)
    assert found.crl == str(directory.pki.crl)
    assert (found.crl_made, found.crl_ends) == (NOW - timedelta(hours=1), NOW + 30 * DAY)
    assert found.policies == (directory.pki.namespaces.name, directory.pki.signing_policy.name)


@pytest.mark.skipif(not any(IGTF.glob("*.signing_policy")), reason="igtf-policy-classic is not installed")
def test_real_igtf_store_has_only_cas_that_are_over():
    rules = TrustRules(crl="off")
    ground = Ground(str(IGTF), None, TrustAnchors.load(str(IGTF)), rules, NOW)
    report = check_trust(None, ground, 30 * DAY, every_ca=True)
    found = {finding.id for one in report.checked for finding in one.findings}
    assert found <= {"ca-expired", "ca-ends-soon"}
    assert len(report.checked) > 50
    strict = replace(ground, rules=TrustRules())
    missing = [
        finding.id
        for one in check_trust(None, strict, 30 * DAY, every_ca=True).checked
        for finding in one.findings
        if finding.weight is Weight.REFUSES
    ]
    if not any(IGTF.glob("*.r0")):
        assert missing.count("crl-missing") + missing.count("ca-expired") == len(report.checked) - 1


@pytest.mark.parametrize("name", ["Test Grid CA", "Ünïted  Grid   CA", "  MiXed case\tCA "])
def test_hashes_are_those_of_openssl(name: str, tmp_path: Path):
    pki = Pki(tmp_path, name=name, now=NOW)
    expected = [
        openssl("x509", "-noout", flag, "-in", pki.certificate) for flag in ("-subject_hash", "-subject_hash_old")
    ]
    der = openssl("x509", "-in", pki.certificate, "-outform", "DER")
    assert list(name_hashes(outline(der).subject)) == [text.decode().strip() for text in expected]
