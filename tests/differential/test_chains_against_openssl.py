"""pyOpenSSL's X509Store and `openssl verify` judge the same chains; where one differs, the reason is written down."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from OpenSSL import crypto

from support import defects, handmade
from support.openssl import OpensslFailed, openssl
from support.pki import Pki, Signer
from vmcatcher.errors.trust import ListUntrusted
from vmcatcher.trust.anchors import TrustAnchors
from vmcatcher.trust.rules import TrustRules
from vmcatcher.trust.verify import verify

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def ours(signer: Signer, pki: Pki) -> bool:
    """Only about the chain: every message here is well signed, and openssl knows no namespaces."""
    message = handmade.detached(signer.parsed, signer.private_key, b"{}\n")  # type: ignore[arg-type]  # no Ed448 here
    try:
        verify(message, TrustAnchors.load(str(pki.certificates)), NOW, TrustRules(policy="off"))
    except ListUntrusted:
        return False
    return True


def pyopenssl(signer: Signer, pki: Pki) -> bool:
    """The chain and its CRLs, for any purpose."""
    store = crypto.X509Store()
    store.set_time(NOW.replace(tzinfo=None))
    store.set_flags(crypto.X509StoreFlags.CRL_CHECK | crypto.X509StoreFlags.CRL_CHECK_ALL)
    for file in sorted(pki.certificates.iterdir()):
        if file.suffix[1:].isdigit():
            store.add_cert(crypto.X509.from_cryptography(x509.load_pem_x509_certificate(file.read_bytes())))
        elif file.suffix.startswith(".r"):
            store.add_crl(x509.load_pem_x509_crl(file.read_bytes()))
    try:
        crypto.X509StoreContext(store, crypto.X509.from_cryptography(signer.parsed)).verify_certificate()
    except crypto.X509StoreContextError:
        return False
    return True


def openssl_verify(signer: Signer, pki: Pki) -> bool:
    """The same, for signing mail."""
    at = str(int(NOW.timestamp()))
    where = ("-CApath", pki.certificates, "-no-CAfile", "-no-CAstore")
    try:
        openssl("verify", *where, "-crl_check_all", "-attime", at, "-purpose", "smimesign", signer.certificate)
    except OpensslFailed:
        return False
    return True


Chain = Callable[[Pki], Signer]


def spoiled(spoil: Callable[[Pki], object]) -> Chain:
    """A signer of a CA that something was done to afterwards."""

    def chain(pki: Pki) -> Signer:
        signer = pki.endorser()
        spoil(pki)
        return signer

    return chain


def revoked_signer(pki: Pki) -> Signer:
    signer = pki.endorser()
    pki.revoke(signer)
    return signer


def revoked_then_expired_crl(pki: Pki) -> Signer:
    signer = revoked_signer(pki)
    pki.write_stale_crl()
    return signer


def revoked_ca(pki: Pki) -> Signer:
    sub = pki.intermediate()
    pki.revoke(sub)
    return sub.endorser()


def another_revoked(pki: Pki) -> Signer:
    pki.revoke(pki.endorser("Bob Endorser"))
    return pki.endorser()


def seven_cas(pki: Pki) -> Signer:
    for number in range(6):
        pki = pki.intermediate(f"CA {number}")
    return pki.endorser()


def unknown_ca(pki: Pki) -> Signer:
    return Pki(pki.root / "elsewhere", name="Other CA", now=NOW).endorser()


def stranger_of_the_same_name(pki: Pki) -> Signer:
    return Pki(pki.root / "elsewhere", now=NOW).endorser()


def ca_removed(pki: Pki) -> Signer:
    Pki(pki.root, name="Other CA", now=NOW)
    signer = pki.endorser()
    pki.remove()
    return signer


def old_key_after_rollover(pki: Pki) -> Signer:
    signer = pki.endorser()
    pki.rolled_over()
    return signer


def endless_crl(pki: Pki) -> Signer:
    def without_end(parts: list[bytes]) -> list[bytes]:
        return [part for at, part in enumerate(parts) if at != 4]

    assert isinstance(pki.private_key, handmade.type_of_key)
    pki.write_crl(handmade.resigned(pki.crl_der(), pki.private_key, edit=without_end))
    return pki.endorser()


ALIKE: dict[str, tuple[bool, Chain]] = {
    "good": (True, lambda pki: pki.endorser()),
    "good-rsa": (True, lambda pki: pki.endorser(key="rsa")),
    "good-intermediate": (True, lambda pki: pki.intermediate().endorser()),
    "good-two-intermediates": (True, lambda pki: pki.intermediate().intermediate("Sub Sub CA").endorser()),
    "good-last-ca": (True, lambda pki: pki.intermediate("Last CA", defects.no_ca_below).endorser()),
    "good-without-usages": (
        True,
        lambda pki: pki.endorser("A", defects.without_key_usage, defects.without_extended_usage),
    ),
    "good-crl-in-use": (True, another_revoked),
    "rollover-new": (True, lambda pki: pki.rolled_over().endorser()),
    "rollover-old": (True, old_key_after_rollover),
    "expired": (False, lambda pki: pki.endorser("A", defects.expired)),
    "not-yet-valid": (False, lambda pki: pki.endorser("A", defects.not_yet_valid)),
    "unknown-critical": (False, lambda pki: pki.endorser("A", defects.with_unknown_critical)),
    "unknown-ca": (False, unknown_ca),
    "stranger-of-the-same-name": (False, stranger_of_the_same_name),
    "ca-removed": (False, ca_removed),
    "ca-expired": (False, lambda pki: pki.intermediate("S", defects.expired).endorser()),
    "ca-not-yet-valid": (False, lambda pki: pki.intermediate("S", defects.not_yet_valid).endorser()),
    "ca-is-none": (False, lambda pki: pki.intermediate("S", defects.not_a_ca).endorser()),
    "ca-may-not-certify": (False, lambda pki: pki.intermediate("S", defects.may_not_sign_certificates).endorser()),
    "ca-unknown-critical": (False, lambda pki: pki.intermediate("S", defects.with_unknown_critical).endorser()),
    "ca-path-length": (False, lambda pki: pki.intermediate("L", defects.no_ca_below).intermediate("E").endorser()),
    "revoked": (False, revoked_signer),
    "revoked-in-expired-crl": (False, revoked_then_expired_crl),
    "revoked-ca": (False, revoked_ca),
    "crl-missing": (False, spoiled(Pki.remove_crl)),
    "crl-expired": (False, spoiled(Pki.write_stale_crl)),
    "crl-future": (False, spoiled(Pki.write_future_crl)),
    "crl-forged": (False, spoiled(Pki.write_forged_crl)),
    "crl-partial": (False, spoiled(Pki.write_partial_crl)),
    "crl-by-a-ca-that-may-not": (False, lambda pki: pki.intermediate("S", defects.may_not_sign_crls).endorser()),
}

# Name -> ours, pyOpenSSL's and openssl's verdict, the reason, the chain.
DIFFERENT: dict[str, tuple[tuple[bool, bool, bool], str, Chain]] = {
    "server": (
        (False, True, False),
        "pyOpenSSL cannot be told a purpose",
        lambda pki: pki.endorser("A", defects.for_servers_only),
    ),
    "encryption-only": (
        (False, True, False),
        "pyOpenSSL cannot be told a purpose",
        lambda pki: pki.endorser("A", defects.for_encryption_only),
    ),
    "ca-for-servers-only": (
        (False, True, False),
        "pyOpenSSL cannot be told a purpose",
        lambda pki: pki.intermediate("S", defects.for_servers_only).endorser(),
    ),
    "any-usage": (
        (True, True, False),
        "openssl wants emailProtection by name; RFC 5280 lets anyExtendedKeyUsage stand for it",
        lambda pki: pki.endorser("A", defects.for_any_usage),
    ),
    "ca-as-signer": (
        (False, True, True),
        "openssl lets a CA sign mail; a CA that endorses images is somebody's mistake",
        lambda pki: pki.endorser("A", defects.a_ca),
    ),
    "sha1": (
        (False, True, True),
        "openssl's default security level of a verification is 0",
        lambda pki: pki.endorser("A", defects.signed_with_sha1),
    ),
    "small-curve": (
        (False, True, True),
        "openssl's default security level of a verification is 0",
        lambda pki: pki.endorser("A", key="ec224"),
    ),
    "1024-bits": (
        (False, True, True),
        "openssl's default security level of a verification is 0",
        lambda pki: pki.endorser("A", key="rsa1024"),
    ),
    "seven-cas": ((False, True, True), "openssl follows up to 100", seven_cas),
    "crl-without-end": ((False, True, True), "openssl takes a CRL without nextUpdate for good for ever", endless_crl),
    "crl-a-minute-early": (
        (True, False, False),
        "five minutes of skew between two clocks are normal",
        spoiled(lambda pki: pki.write_crl(pki.crl_der(last_update=NOW + timedelta(minutes=1)))),
    ),
}


@pytest.mark.parametrize(("verdict", "chain"), ALIKE.values(), ids=ALIKE)
def test_three_verdicts_agree(verdict: bool, chain: Chain, tmp_path: Path) -> None:
    pki = Pki(tmp_path, now=NOW)
    signer = chain(pki)
    assert (ours(signer, pki), pyopenssl(signer, pki), openssl_verify(signer, pki)) == (verdict, verdict, verdict)


@pytest.mark.parametrize(("verdicts", "reason", "chain"), DIFFERENT.values(), ids=DIFFERENT)
def test_verdicts_differ_only_where_that_is_meant(
    verdicts: tuple[bool, bool, bool], reason: str, chain: Chain, tmp_path: Path
) -> None:
    pki = Pki(tmp_path, now=NOW)
    signer = chain(pki)
    assert (ours(signer, pki), pyopenssl(signer, pki), openssl_verify(signer, pki)) == verdicts, reason
