"""A list that was admitted is looked at again: only proof that trust is gone refuses it, age and loss are warnings."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from support import defects, handmade
from support.pki import DAY, Pki
from vmcatcher.errors.certificates import (
    CaOutsideNamespace,
    NotIssuedByCa,
    PathLengthExceeded,
    SignerExpired,
    SignerOutsideNamespace,
    UnknownIssuer,
)
from vmcatcher.errors.revocation import CaRevoked, SignerRevoked
from vmcatcher.errors.trust import DigestMismatch, ListUntrusted, TrustDirectoryDamaged, WeakDigest
from vmcatcher.model.verified import VerifiedList
from vmcatcher.trust.anchors import TrustAnchors
from vmcatcher.trust.rules import TrustRules
from vmcatcher.trust.verify import judge, verify

CONTENT = b'{"hv:imagelist": {}}\n'
Anchors = Callable[[], TrustAnchors]


class Later:
    """A list of an endorser below an intermediate CA, admitted at `now`, and looked at again some days later."""

    def __init__(self, pki: Pki, anchors: Anchors, now: datetime) -> None:
        self.pki, self.anchors, self.now = pki, anchors, now
        self.sub = pki.intermediate()
        self.alice = self.sub.endorser()
        self.message = self.alice.sign(CONTENT)
        self.admitted = verify(self.message, anchors(), now)

    def judged(self, *, days: int = 1, message: bytes | None = None, rules: TrustRules | None = None) -> VerifiedList:
        at = self.now + days * DAY
        return judge(message or self.message, self.anchors(), admitted=self.now, now=at, rules=rules or TrustRules())

    def refused(self, *, days: int = 1, **others: object) -> ListUntrusted:
        with pytest.raises(ListUntrusted) as caught:
            self.judged(days=days, **others)  # type: ignore[arg-type]  # passed on as they are
        return caught.value


@pytest.fixture
def later(pki: Pki, anchors: Anchors, now: datetime) -> Later:
    return Later(pki, anchors, now)


def test_list_in_good_order_is_kept_without_a_warning(later: Later) -> None:
    kept = later.judged()
    assert kept.content == later.admitted.content
    assert kept.warnings == ()
    assert kept.verified_at == later.now + DAY
    assert (len(kept.chain), len(kept.crls)) == (3, 2)


def test_verify_and_judge_agree_at_the_instant_of_admission(later: Later) -> None:
    assert later.judged(days=0) == later.admitted


def test_signer_past_its_end_keeps_the_list_with_a_warning(later: Later) -> None:
    for ca in (later.pki, later.sub):
        ca.write_crl(ca.crl_der(next_update=later.now + 90 * DAY))
    kept = later.judged(days=60)
    assert [warning[:50] for warning in kept.warnings] == ["the signer's certificate /DC=test/DC=grid/CN=Alice"]
    assert "expired 2026-07-01T12:00:00Z, it is now 2026-07-31T12:00:00Z" in kept.warnings[0]


def test_signer_that_was_not_valid_at_admission_is_refused(later: Later) -> None:
    late = later.sub.endorser("Late Endorser", defects.expired)
    assert isinstance(later.refused(message=late.sign(CONTENT)), SignerExpired)


def test_ca_past_its_end_keeps_the_list_with_a_warning(pki: Pki, anchors: Anchors, now: datetime) -> None:
    short = pki.intermediate("Short CA", lambda profile: defects.replace(profile, not_after=now + 2 * DAY))
    message = short.endorser().sign(CONTENT)
    verify(message, anchors(), now)
    kept = judge(message, anchors(), admitted=now, now=now + 3 * DAY)
    assert len(kept.warnings) == 1
    assert "CA certificate /DC=test/DC=grid/CN=Short CA" in kept.warnings[0]


def test_renewed_ca_certificate_keeps_the_list_without_a_warning(later: Later) -> None:
    """The same key in a new certificate, valid only from after the admission on."""
    renewed = defects.Profile(
        later.sub.parsed.subject,
        later.now,
        later.now + DAY,
        later.now + 90 * DAY,
        tuple((extension.value, extension.critical) for extension in later.sub.parsed.extensions),
    )
    certificate = later.pki.issue(renewed, later.sub.private_key)
    later.sub.certificate.write_bytes(certificate.public_bytes(handmade.Encoding.PEM))
    assert later.judged(days=2).warnings == ()


def test_revoked_signer_is_refused(later: Later) -> None:
    later.sub.revoke(later.alice)
    error = later.refused()
    assert isinstance(error, SignerRevoked)
    assert error.reason == "none given"


def test_signer_revoked_in_an_expired_crl_is_refused(later: Later) -> None:
    later.sub.revoke(later.alice)
    assert isinstance(later.refused(days=90), SignerRevoked)


def test_revoked_intermediate_is_refused(later: Later) -> None:
    later.pki.revoke(later.sub)
    assert isinstance(later.refused(), CaRevoked)


def test_ca_that_was_taken_out_is_refused(later: Later) -> None:
    later.sub.remove()
    error = later.refused()
    assert isinstance(error, UnknownIssuer)
    assert error.issuer == later.sub.subject


def test_dangling_link_to_a_ca_is_a_ca_that_was_taken_out(later: Later) -> None:
    later.sub.remove()
    later.sub.certificate.symlink_to("nowhere.pem")
    assert isinstance(later.refused(), UnknownIssuer)


def test_ca_that_cannot_be_read_proves_nothing(later: Later) -> None:
    later.sub.certificate.write_text("-----BEGIN CERTIFICATE-----\nMIIB")
    with pytest.raises(TrustDirectoryDamaged) as caught:
        later.judged()
    error = caught.value
    assert (error.exit_code, error.file, error.issuer) == (75, later.sub.certificate.name, later.sub.subject)
    assert not isinstance(error, ListUntrusted)


def test_first_look_at_a_list_of_an_unreadable_ca_is_a_plain_refusal(later: Later) -> None:
    later.sub.certificate.write_text("-----BEGIN CERTIFICATE-----\nMIIB")
    with pytest.raises(UnknownIssuer):
        verify(later.message, later.anchors(), later.now)


def test_ca_with_a_new_key_only_is_refused(later: Later) -> None:
    later.sub.remove()
    Pki(later.pki.root, name="Test Sub CA", key="ec384", parent=later.pki)
    assert isinstance(later.refused(), NotIssuedByCa)


def test_ca_that_may_not_be_in_the_chain_any_more_is_refused(later: Later) -> None:
    strict = defects.no_ca_below(
        defects.Profile(
            later.pki.parsed.subject,
            later.now,
            later.now - DAY,
            later.now + 90 * DAY,
            tuple((extension.value, extension.critical) for extension in later.pki.parsed.extensions),
        )
    )
    certificate = later.pki.issue(strict, later.pki.private_key)
    later.pki.certificate.write_bytes(certificate.public_bytes(handmade.Encoding.PEM))
    assert isinstance(later.refused(), PathLengthExceeded)
    # That another file cannot be read raises no doubt about this.
    (later.pki.certificates / "other.pem").write_bytes(b"rubbish")
    assert isinstance(later.refused(), PathLengthExceeded)


@pytest.mark.parametrize(
    ("pattern", "error"),
    [("/DC=test/DC=grid/CN=Bob*", SignerOutsideNamespace), ("/DC=elsewhere/*", CaOutsideNamespace)],
)
def test_name_outside_the_namespace_as_it_is_now_is_refused(
    pattern: str, error: type[ListUntrusted], later: Later
) -> None:
    ca = later.sub if error is SignerOutsideNamespace else later.pki
    ca.write_policies(pattern)
    assert isinstance(later.refused(), error)


def test_damaged_message_is_refused(later: Later) -> None:
    assert isinstance(later.refused(message=later.message.replace(b"hv:", b"vh:")), DigestMismatch)


SOFT: dict[str, tuple[Callable[[Later], object], str]] = {
    "crl-missing": (lambda later: later.sub.remove_crl(), "no CRL of CA"),
    "crl-stale": (lambda later: later.sub.write_stale_crl(), "expired 2026-05-31"),
    "crl-future": (
        lambda later: later.sub.write_crl(later.sub.crl_der(last_update=later.now + 5 * DAY)),
        "was made on 2026-06-06",
    ),
    "crl-forged": (lambda later: later.sub.write_forged_crl(), "cannot be trusted"),
    "crl-partial": (lambda later: later.sub.write_partial_crl(), "does not speak of"),
    "crl-unreadable": (lambda later: later.sub.crl.write_text("-----BEGIN X509 CRL-----"), "has no end"),
    "policy-missing": (
        lambda later: later.sub.write_policies(signing_policy=False, namespaces=False),
        "no signing_policy or namespaces file",
    ),
    "policy-unreadable": (lambda later: later.sub.namespaces.write_text("TO Issuer"), "cannot be used"),
}


@pytest.mark.parametrize(("spoil", "words"), SOFT.values(), ids=SOFT)
def test_what_is_missing_or_old_keeps_the_list_with_a_warning(
    spoil: Callable[[Later], object], words: str, later: Later
) -> None:
    spoil(later)
    kept = later.judged()
    assert kept.content == later.admitted.content
    assert len(kept.warnings) == 1
    assert words in kept.warnings[0]
    with pytest.raises(ListUntrusted):
        verify(later.message, later.anchors(), later.now)


def test_rules_that_are_off_are_off_later_too(later: Later) -> None:
    later.sub.revoke(later.alice)
    later.sub.write_policies("/DC=elsewhere/*")
    kept = later.judged(rules=TrustRules(crl="off", policy="off"))
    assert (kept.crls, kept.warnings) == ((), ())


def test_size_does_not_matter_any_more(later: Later) -> None:
    assert later.judged(rules=TrustRules(max_bytes=1)).content == later.admitted.content


def test_digest_that_is_not_let_in_any_more_is_refused(later: Later) -> None:
    rsa = later.sub.endorser("Rsa Endorser", key="rsa")
    old = handmade.detached(rsa.parsed, rsa.private_key, CONTENT, digest="sha1")  # type: ignore[arg-type]  # RSA
    assert later.judged(message=old, rules=TrustRules(sha1=True)).digest == "sha1"
    assert isinstance(later.refused(message=old), WeakDigest)


def test_clock_that_went_back_a_little_keeps_the_list(later: Later) -> None:
    kept = judge(later.message, later.anchors(), admitted=later.now, now=later.now - timedelta(minutes=30))
    assert kept.warnings == ()
