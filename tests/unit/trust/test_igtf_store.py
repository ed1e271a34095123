"""The whole real IGTF store: everything in it is read, and every CA is permitted what its parent gave it."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509

from support import openssl
from support.pki import subject_hash
from vmcatcher.model.identity import normal_dn
from vmcatcher.trust.anchors import TrustAnchors
from vmcatcher.trust.certificates import Certificate, Link
from vmcatcher.trust.namespace import check_namespace
from vmcatcher.trust.occasion import Occasion
from vmcatcher.trust.rules import TrustRules

STORE = Path("/etc/grid-security/certificates")
pytestmark = pytest.mark.skipif(
    not any(STORE.glob("*.signing_policy")), reason="igtf-policy-classic is not installed: the real IGTF store"
)


@pytest.fixture(scope="module")
def store() -> TrustAnchors:
    return TrustAnchors.load(str(STORE))


def files(ending: str) -> Iterator[Path]:
    """Each file once, whatever links to it."""
    return iter({path.resolve() for path in STORE.glob(f"*{ending}")})


def decoded(path: Path) -> bytes:
    """The first certificate of a PEM file."""
    block = re.search("-----BEGIN CERTIFICATE-----(.+?)-----END", path.read_text("latin-1"), re.DOTALL)
    assert block is not None
    return base64.b64decode(block[1])


def authorities(store: TrustAnchors) -> list[Certificate]:
    return [ca for found in store.authorities.values() for ca in found]


def test_every_file_is_of_use(store: TrustAnchors) -> None:
    assert store.problems == ()
    assert store.unread_ca is None


def test_every_certificate_is_read_once(store: TrustAnchors) -> None:
    encoded = {
        "".join(block.split())
        for ending in (".pem", ".0", ".crt")
        for path in files(ending)
        for block in re.findall("-----BEGIN CERTIFICATE-----(.+?)-----END", path.read_text("latin-1"), re.DOTALL)
    }
    assert len(authorities(store)) == len(encoded) > 50


def test_every_policy_is_read_once(store: TrustAnchors) -> None:
    grants = [grant for found in store.grants.values() for grant in found]
    statements = sum(len(re.findall(r"(?m)^\s*TO\s+Issuer", path.read_text())) for path in files(".namespaces"))
    assert sum(grant.kind == "namespaces" for grant in grants) == statements > 0
    issuers = {
        path.name: set(re.findall(r"(?m)^\s*access_id_CA\s+\S+\s+'(.+?)'\s*$", path.read_text()))
        for path in files(".signing_policy")
    }
    granted = {(grant.file, grant.issuer) for grant in grants if grant.kind == "signing_policy"}
    assert len(granted) == sum(map(len, issuers.values())) > 0
    patterns = sum(
        len(re.findall(r'"[^"]+"', line)) or 1
        for path in files(".signing_policy")
        for line in path.read_text().splitlines()
        if line.lstrip().startswith("cond_subjects")
    )
    assert sum(grant.kind == "signing_policy" for grant in grants) == patterns


def test_every_authority_has_both_kinds_of_policy(store: TrustAnchors) -> None:
    kinds = {str(ca.subject): {grant.kind for grant in store.grants_of(ca)} for ca in authorities(store)}
    assert {name: found for name, found in kinds.items() if found != {"namespaces", "signing_policy"}} == {}


def test_every_policy_names_an_authority_that_is_there(store: TrustAnchors) -> None:
    """A name that our one-line form spelled in another way than the policies would show here."""
    known = {normal_dn(str(ca.subject)) for ca in authorities(store)}
    strangers = {issuer for issuer in store.grants if issuer not in known}
    named_by_own_file = {
        normal_dn(issuer)
        for path in files(".signing_policy")
        for issuer in re.findall(r"(?m)^\s*access_id_CA\s+\S+\s+'(.+?)'\s*$", path.read_text())
    }
    assert strangers & named_by_own_file == set()


@pytest.mark.parametrize("policy", ["both", "first"])
def test_every_intermediate_is_permitted_and_issued_by_its_parent(store: TrustAnchors, policy: str) -> None:
    rules = TrustRules(policy=policy)  # type: ignore[arg-type]  # one of the two
    intermediates = [ca for ca in authorities(store) if not ca.is_self_issued]
    assert len(intermediates) > 10
    for ca in intermediates:
        (parent,) = [candidate for candidate in store.issuers_of(ca) if ca.is_issued_by(candidate)]
        check_namespace(Link(ca, parent, is_signer=False), store, Occasion(ca.not_before, rules))


def test_every_root_signed_itself(store: TrustAnchors) -> None:
    roots = [ca for ca in authorities(store) if ca.is_self_issued]
    assert len(roots) > 30
    assert [str(ca.subject) for ca in roots if not ca.is_issued_by(ca)] == []


def test_no_authority_asks_for_what_is_not_understood(store: TrustAnchors) -> None:
    assert {str(ca.subject): ca.unknown_critical for ca in authorities(store) if ca.unknown_critical} == {}
    assert [str(ca.subject) for ca in authorities(store) if not ca.is_ca] == []


def test_names_are_those_that_openssl_prints(store: TrustAnchors) -> None:
    by_content = {ca.der: ca for ca in authorities(store)}
    differing = {
        path.name: (ca.subject.escaped, ca.issuer.escaped)
        for path in files(".pem")
        if (ca := by_content[decoded(path)]) and (ca.subject.escaped, ca.issuer.escaped) != openssl.names(path)
    }
    assert differing == {}


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
def test_hashes_of_the_test_grid_are_computed_as_openssl_does() -> None:
    """The file names of the store prove the function that names the files of every other test."""
    names = {path.name: x509.load_pem_x509_certificate(path.read_bytes()).subject for path in files(".pem")}
    assert [file for file, name in names.items() if not (STORE / f"{subject_hash(name)}.0").exists()] == []
