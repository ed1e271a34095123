"""Several CRLs of one CA: the newest that can be used decides, and no revocation is lost by age."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from cryptography import x509

from support import defects, handmade
from support.keys import new_key
from support.pki import DAY, Pki
from vmcatcher.errors.revocation import (
    CrlExpired,
    CrlFuture,
    CrlMissing,
    CrlNotSigned,
    CrlRefused,
    CrlUnreadable,
    SignerRevoked,
)
from vmcatcher.model.verified import VerifiedList
from vmcatcher.trust.anchors import TrustAnchors
from vmcatcher.trust.rules import TrustRules
from vmcatcher.trust.verify import judge, verify

CONTENT = b"{}\n"
Anchors = Callable[[], TrustAnchors]


@pytest.fixture
def message(pki: Pki) -> bytes:
    return pki.endorser().sign(CONTENT)


@pytest.fixture
def verified(anchors: Anchors, now: datetime, message: bytes) -> Callable[..., VerifiedList]:
    return lambda **rules: verify(message, anchors(), now, TrustRules(**rules))


def test_crl_of_the_overlay_stands_in_for_a_missing_one(pki: Pki, verified: Callable[..., VerifiedList]) -> None:
    pki.write_crl(path=pki.root / "fetched" / "any.r0", as_der=True)
    pki.remove_crl()
    assert verified().crls == ((pki.root / "fetched" / "any.r0").read_bytes(),)


@pytest.mark.parametrize("newer_is_fetched", [True, False])
def test_newest_crl_in_date_is_the_one_asked(
    newer_is_fetched: bool, pki: Pki, now: datetime, verified: Callable[..., VerifiedList]
) -> None:
    newer, older = pki.crl_der(last_update=now - timedelta(minutes=1)), pki.crl_der(last_update=now - DAY)
    pki.write_crl(older if newer_is_fetched else newer)
    pki.write_crl(newer if newer_is_fetched else older, path=pki.root / "fetched" / "x.r0")
    assert verified().crls == (newer,)


def test_certificate_that_was_taken_off_the_newer_crl_is_good(pki: Pki, anchors: Anchors, now: datetime) -> None:
    """A certificate on hold may come back (RFC 5280, removeFromCRL): what a newer complete list says counts."""
    clean = pki.crl_der()
    alice = pki.endorser()
    pki.revoke(alice)
    pki.write_crl(pki.crl_der(last_update=now - 2 * DAY))
    pki.write_crl(clean, path=pki.root / "fetched" / "x.r0")
    assert verify(alice.sign(CONTENT), anchors(), now).crls == (clean,)


def test_revocation_in_a_newer_crl_past_its_end_counts(pki: Pki, anchors: Anchors, now: datetime) -> None:
    alice = pki.endorser()
    pki.write_crl(pki.crl_der(last_update=now - 2 * DAY), path=pki.root / "fetched" / "x.r0")
    pki.revoke(alice)
    pki.write_crl(pki.crl_der(last_update=now - DAY, next_update=now - timedelta(hours=1)))
    with pytest.raises(SignerRevoked):
        verify(alice.sign(CONTENT), anchors(), now)


def test_older_crl_in_date_answers_when_the_newer_is_past_its_end(
    pki: Pki, now: datetime, verified: Callable[..., VerifiedList]
) -> None:
    older = pki.crl_der(last_update=now - 2 * DAY)
    pki.write_crl(pki.crl_der(last_update=now - DAY, next_update=now - timedelta(hours=1)))
    pki.write_crl(older, path=pki.root / "fetched" / "x.r0")
    assert verified().crls == (older,)


def test_forged_crl_cannot_revoke(pki: Pki, now: datetime, anchors: Anchors) -> None:
    alice = pki.endorser()
    good = pki.crl_der()
    pki.revoke(alice)
    pki.write_crl(pki.crl_der(key=new_key("ec", "forger"), last_update=now))
    pki.write_crl(good, path=pki.root / "fetched" / "x.r0")
    assert verify(alice.sign(CONTENT), anchors(), now).crls == (good,)


def test_crl_of_a_ca_of_the_same_name_with_another_key_is_not_asked(pki: Pki, now: datetime, anchors: Anchors) -> None:
    alice = pki.endorser()
    pki.rolled_over()
    verify(alice.sign(CONTENT), anchors(), now)
    pki.remove_crl()
    with pytest.raises(CrlNotSigned):
        verify(alice.sign(CONTENT), anchors(), now)


def test_crl_that_need_not_be_there_is_a_warning(pki: Pki, verified: Callable[..., VerifiedList]) -> None:
    pki.remove_crl()
    accepted = verified(crl="if-present")
    assert accepted.crls == ()
    assert ["no CRL of CA" in warning for warning in accepted.warnings] == [True]


def test_stale_crl_that_the_rules_allow_is_a_warning(pki: Pki, verified: Callable[..., VerifiedList]) -> None:
    pki.write_stale_crl()
    assert ["expired 2026-05-31" in warning for warning in verified(crl="if-present").warnings] == [True]
    with pytest.raises(CrlExpired):
        verified()


def test_crl_checks_that_are_off_ask_nothing(pki: Pki, now: datetime, anchors: Anchors) -> None:
    alice = pki.endorser()
    pki.revoke(alice)
    accepted = verify(alice.sign(CONTENT), anchors(), now, TrustRules(crl="off"))
    assert (accepted.crls, accepted.warnings) == ((), ())


def scope(**limits: object) -> x509.IssuingDistributionPoint:
    wide: dict[str, object] = {
        "full_name": None,
        "relative_name": None,
        "only_contains_user_certs": False,
        "only_contains_ca_certs": False,
        "only_some_reasons": None,
        "indirect_crl": False,
        "only_contains_attribute_certs": False,
    }
    return x509.IssuingDistributionPoint(**{**wide, **limits})  # type: ignore[arg-type]  # checked when called


def test_serial_number_on_an_indirect_crl_says_nothing(pki: Pki, now: datetime, anchors: Anchors) -> None:
    """Its entries may be about other CAs' certificates."""
    alice = pki.endorser()
    good = pki.crl_der(last_update=now - DAY)
    pki.revoke(alice)
    pki.write_crl(pki.crl_der(extensions=[(scope(indirect_crl=True), True)]))
    pki.write_crl(good, path=pki.root / "fetched" / "x.r0")
    assert verify(alice.sign(CONTENT), anchors(), now).crls == (good,)


def test_revocation_on_a_partial_crl_counts(pki: Pki, now: datetime, anchors: Anchors) -> None:
    alice = pki.endorser()
    pki.write_crl(pki.crl_der(last_update=now - DAY), path=pki.root / "fetched" / "x.r0")
    pki.revoke(alice)
    pki.write_crl(pki.crl_der(extensions=[(scope(only_contains_ca_certs=True), True)]))
    with pytest.raises(SignerRevoked):
        verify(alice.sign(CONTENT), anchors(), now)


def test_crl_of_the_certificates_own_distribution_point_is_asked(pki: Pki, now: datetime, anchors: Anchors) -> None:
    here = [x509.UniformResourceIdentifier("http://ca.invalid/1.crl")]
    points = x509.CRLDistributionPoints([x509.DistributionPoint(here, None, None, None)])
    alice = pki.endorser("Alice Endorser", lambda profile: profile.having(points))
    pki.write_crl(pki.crl_der(extensions=[(scope(full_name=here), True)]))
    assert len(verify(alice.sign(CONTENT), anchors(), now).crls) == 1


def test_good_crl_in_the_overlay_makes_up_for_an_unreadable_one(
    pki: Pki, verified: Callable[..., VerifiedList]
) -> None:
    pki.write_crl(path=pki.root / "fetched" / "x.r0")
    pki.crl.write_bytes(b"rubbish")
    assert len(verified().crls) == 1


def test_reason_and_instant_of_a_revocation_are_told(pki: Pki, now: datetime, anchors: Anchors) -> None:
    alice = pki.endorser()
    entry = x509.RevokedCertificateBuilder(alice.parsed.serial_number, now - 3 * DAY)
    entry = entry.add_extension(x509.CRLReason(x509.ReasonFlags.key_compromise), critical=False)
    builder = x509.CertificateRevocationListBuilder(pki.parsed.subject, now - DAY, now + DAY)
    builder = builder.add_revoked_certificate(entry.build())
    pki.write_crl(builder.sign(pki.private_key, x509_sha256()).public_bytes(handmade.Encoding.DER))  # type: ignore[arg-type]  # EC
    with pytest.raises(SignerRevoked) as caught:
        verify(alice.sign(CONTENT), anchors(), now)
    assert (caught.value.since, caught.value.reason) == (now - 3 * DAY, "keyCompromise")


def x509_sha256() -> handmade.hashes.HashAlgorithm:
    return handmade.HASHES["sha256"]()


def test_revocation_with_an_unreadable_reason_counts(pki: Pki, now: datetime, anchors: Anchors) -> None:
    alice = pki.endorser()
    entry = x509.RevokedCertificateBuilder(alice.parsed.serial_number, now - 3 * DAY)
    entry = entry.add_extension(x509.UnrecognizedExtension(x509.CRLReason.oid, b"\5\0"), critical=False)
    builder = x509.CertificateRevocationListBuilder(pki.parsed.subject, now - DAY, now + DAY)
    builder = builder.add_revoked_certificate(entry.build())
    pki.write_crl(builder.sign(pki.private_key, x509_sha256()).public_bytes(handmade.Encoding.DER))  # type: ignore[arg-type]  # EC
    with pytest.raises(SignerRevoked) as caught:
        verify(alice.sign(CONTENT), anchors(), now)
    assert caught.value.reason == "unreadable entry"


def test_missing_crl_of_the_root_is_told_before_anything_about_the_signer(
    pki: Pki, now: datetime, anchors: Anchors
) -> None:
    sub = pki.intermediate()
    alice = sub.endorser()
    sub.revoke(alice)
    pki.remove_crl()
    with pytest.raises(CrlMissing):
        verify(alice.sign(CONTENT), anchors(), now)


def test_many_lists_of_one_ca_verify_its_crl_once(pki: Pki, now: datetime, anchors: Anchors) -> None:
    held = anchors()
    verify(pki.endorser().sign(CONTENT), held, now)
    verify(pki.endorser("Bob Endorser").sign(CONTENT), held, now)
    (crl,) = next(iter(held.crls.values()))
    assert len(crl._verdicts) == 1


def test_crl_signed_with_another_kind_of_key_is_not_believed(pki: Pki, verified: Callable[..., VerifiedList]) -> None:
    pki.write_crl(pki.crl_der(key=new_key("rsa", "forger")))
    with pytest.raises(CrlNotSigned):
        verified()


def test_problem_of_the_newest_crl_is_the_one_told(
    pki: Pki, now: datetime, verified: Callable[..., VerifiedList]
) -> None:
    pki.write_stale_crl()
    pki.write_crl(pki.crl_der(last_update=now + DAY), path=pki.root / "fetched" / "x.r0")
    with pytest.raises(CrlFuture):
        verified()


def test_ca_that_may_not_sign_crls_is_told_apart_from_a_forger(pki: Pki, now: datetime, anchors: Anchors) -> None:
    message = pki.intermediate("Crl-less CA", defects.may_not_sign_crls).endorser().sign(CONTENT)
    with pytest.raises(CrlNotSigned, match=r"may not sign CRLs \(keyUsage\)"):
        verify(message, anchors(), now)
    pki.write_forged_crl()
    with pytest.raises(CrlNotSigned, match="not signed with the key of that CA"):
        verify(message, anchors(), now)


def test_ca_without_key_usage_may_sign_crls(pki: Pki, now: datetime, anchors: Anchors) -> None:
    sub = pki.intermediate("Old-fashioned CA", defects.without_key_usage)
    assert len(verify(sub.endorser().sign(CONTENT), anchors(), now).crls) == 2


@pytest.mark.parametrize(
    ("made", "ends", "error"),
    [
        (timedelta(minutes=5), DAY, None),
        (timedelta(minutes=5, seconds=1), DAY, CrlFuture),
        (-DAY, timedelta(seconds=1), None),
        (-DAY, timedelta(0), CrlExpired),
    ],
)
def test_crl_is_good_from_five_minutes_early_to_just_before_its_end(
    made: timedelta,
    ends: timedelta,
    error: type[CrlRefused] | None,
    pki: Pki,
    now: datetime,
    verified: Callable[..., VerifiedList],
) -> None:
    pki.write_crl(pki.crl_der(last_update=now + made, next_update=now + ends))
    with pytest.raises(error) if error else contextlib.nullcontext():
        verified()


@pytest.mark.parametrize("how", ["a bit", "half", "nothing", "another CA's", "no file"])
def test_fault_112_fetched_crl_that_rotted_is_not_made_up_for_by_one_that_may_be_older(
    how: str, pki: Pki, now: datetime, anchors: Anchors, message: bytes, verified: Callable[..., VerifiedList]
) -> None:
    fetched = pki.root / "fetched" / pki.crl.name
    pki.write_crl(path=fetched)
    assert len(verified().crls) == 1
    content = fetched.read_bytes()
    fetched.unlink()
    if how == "no file":
        fetched.mkdir()
    elif how == "another CA's":
        pki.write_crl(pki.crl_der(key=new_key("ec", "forger")), path=fetched)
    else:
        rotten = {"a bit": content[:200] + bytes([content[200] ^ 1]) + content[201:], "half": content[:99]}
        fetched.write_bytes(rotten.get(how, b""))
    with pytest.raises(CrlUnreadable) as caught:
        verified()
    assert caught.value.file == fetched.name
    # What was admitted before stays in use, with a warning.
    kept = judge(message, anchors(), admitted=now, now=now)
    assert len(kept.crls) == 1
    assert any(fetched.name in warning for warning in kept.warnings)
