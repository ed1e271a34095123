"""Paths through several CAs of one name, and the rules that let more in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from support import defects, handmade
from support.pki import DAY, Pki, Signer, x509_name
from vmcatcher.errors.certificates import CaExpired, CertificateRefused, SignerIsCa, UnknownIssuer
from vmcatcher.trust.anchors import TrustAnchors
from vmcatcher.trust.rules import TrustRules
from vmcatcher.trust.verify import verify

Anchors = Callable[[], TrustAnchors]
CONTENT = b"{}\n"


def test_both_keys_of_a_ca_that_rolled_over_are_followed(pki: Pki, anchors: Anchors, now: datetime) -> None:
    before = pki.endorser("Before")
    new = pki.rolled_over()
    after = new.endorser("After")
    assert verify(before.sign(CONTENT), anchors(), now).chain[-1] == pki.parsed.public_bytes(Encoding.DER)
    assert verify(after.sign(CONTENT), anchors(), now).chain[-1] == new.parsed.public_bytes(Encoding.DER)


def test_certificate_in_date_is_preferred_to_an_expired_one_of_the_same_key(
    pki: Pki, anchors: Anchors, now: datetime
) -> None:
    sub = pki.intermediate("Renewed CA", defects.expired)
    profile = defects.Profile(
        sub.parsed.subject,
        now,
        now - DAY,
        now + DAY,
        tuple((extension.value, extension.critical) for extension in sub.parsed.extensions),
    )
    renewed = pki.issue(profile, sub.private_key)
    sub.certificate.with_suffix(".1").write_bytes(renewed.public_bytes(Encoding.PEM))
    verified = verify(sub.endorser().sign(CONTENT), anchors(), now)
    assert verified.chain[1] == renewed.public_bytes(Encoding.DER)


def test_error_of_the_right_ca_is_told_not_that_of_its_namesake(pki: Pki, anchors: Anchors, now: datetime) -> None:
    late = pki.rolled_over(defects.expired)
    with pytest.raises(CaExpired):
        verify(late.endorser().sign(CONTENT), anchors(), now)


def test_error_of_the_chain_that_came_furthest_is_told(pki: Pki, anchors: Anchors, now: datetime) -> None:
    sub = pki.intermediate()
    Pki(pki.root, name="Test Sub CA", key="ec384", parent=pki)
    pki.remove()
    Pki(pki.root, name="Other CA", now=now)
    with pytest.raises(UnknownIssuer) as caught:
        verify(sub.endorser().sign(CONTENT), anchors(), now)
    assert (caught.value.subject, caught.value.issuer) == (sub.subject, pki.subject)


def test_certificate_of_a_ca_for_its_own_next_key_is_no_step_of_the_path_length(
    tmp_path_factory: pytest.TempPathFactory, now: datetime
) -> None:
    """RFC 5280, section 4.2.1.9: self-issued certificates do not count."""
    pki = Pki(tmp_path_factory.mktemp("x"), defects.no_ca_below, now=now)
    new = Pki(pki.root, name="Test Grid CA", parent=pki)
    new.signing_policy.write_bytes(pki.signing_policy.read_bytes())
    message = new.endorser().sign(CONTENT)
    assert len(verify(message, TrustAnchors.load(str(pki.certificates)), now, TrustRules(crl="if-present")).chain) == 3


def test_circle_of_cas_is_left(pki: Pki, anchors: Anchors, now: datetime) -> None:
    """Two CAs that certified each other, and no root."""
    one = pki.intermediate("One CA")
    two = Pki(pki.root, name="Two CA", parent=one)
    extensions = tuple((extension.value, extension.critical) for extension in one.parsed.extensions)
    back = two.issue(defects.Profile(one.parsed.subject, now, now - DAY, now + DAY, extensions), one.private_key)
    one.certificate.write_bytes(back.public_bytes(Encoding.PEM))
    with pytest.raises(CertificateRefused):
        verify(two.endorser().sign(CONTENT), anchors(), now)


def test_ca_may_sign_where_the_rules_let_it(pki: Pki, anchors: Anchors, now: datetime) -> None:
    sub = pki.intermediate("Signing CA", defects.a_ca)
    signer = as_signer(sub)
    assert len(verify(signed_by(signer), anchors(), now, TrustRules(ca_signer=True)).chain) == 2
    with pytest.raises(SignerIsCa):
        verify(signed_by(signer), anchors(), now)


def test_root_may_sign_where_the_rules_let_it(tmp_path_factory: pytest.TempPathFactory, now: datetime) -> None:
    pki = Pki(tmp_path_factory.mktemp("x"), defects.a_ca, now=now)
    verified = verify(
        signed_by(as_signer(pki)), TrustAnchors.load(str(pki.certificates)), now, TrustRules(ca_signer=True)
    )
    assert (len(verified.chain), verified.crls) == (1, ())
    assert verified.signer == verified.issuer


def test_root_that_is_not_there_may_not_sign(pki: Pki, anchors: Anchors, now: datetime) -> None:
    stranger = as_signer(Pki(pki.root / "elsewhere", defects.a_ca, name="Stranger", now=now))
    with pytest.raises(UnknownIssuer):
        verify(signed_by(stranger), anchors(), now, TrustRules(ca_signer=True))


def as_signer(ca: Pki) -> Signer:
    return Signer(ca.certificate, ca.certificate, ca.subject, ca.subject, ca.parsed, ca.private_key)


def signed_by(signer: Signer) -> bytes:
    return handmade.detached(signer.parsed, signer.private_key, CONTENT)  # type: ignore[arg-type]  # EC


def test_usage_that_the_rules_name_is_let_in(pki: Pki, anchors: Anchors, now: datetime) -> None:
    robot = pki.endorser("Robot", defects.for_servers_only)
    rules = TrustRules(ekus=frozenset({"1.3.6.1.5.5.7.3.1"}))
    assert verify(robot.sign(CONTENT), anchors(), now, rules).content == b"{}\r\n"


@pytest.mark.parametrize("defect", [defects.without_key_usage, defects.without_extended_usage, defects.for_any_usage])
def test_certificate_without_limits_may_sign(defect: defects.Defect, pki: Pki, anchors: Anchors, now: datetime) -> None:
    assert verify(pki.endorser("Alice", defect).sign(CONTENT), anchors(), now).content == b"{}\r\n"


def test_self_signed_root_over_sha1_is_trusted(tmp_path_factory: pytest.TempPathFactory, now: datetime) -> None:
    """Its own signature proves nothing; a fifth of the IGTF roots are like this."""
    pki = Pki(tmp_path_factory.mktemp("x"), defects.signed_with_sha1, now=now)
    assert verify(pki.endorser().sign(CONTENT), TrustAnchors.load(str(pki.certificates)), now).digest == "sha256"


def test_root_with_serial_number_zero_is_trusted(pki: Pki, anchors: Anchors, now: datetime) -> None:
    """Ten CAs of the IGTF have it; the library warns, and a warning here would be an error."""
    der = handmade.resigned(
        pki.parsed.public_bytes(Encoding.DER),
        pki.private_key,  # type: ignore[arg-type]  # EC
        edit=lambda parts: [parts[0], handmade.integer(0), *parts[2:]],
    )
    pki.certificate.write_bytes(
        x509.load_der_x509_certificate(pki.parsed.public_bytes(Encoding.DER)).public_bytes(Encoding.DER)
    )
    pki.certificate.write_bytes(der)
    assert verify(pki.endorser().sign(CONTENT), anchors(), now).chain[-1] == der


def test_certificate_is_valid_up_to_its_last_second(pki: Pki, anchors: Anchors, now: datetime) -> None:
    alice = pki.endorser("Alice", lambda profile: replace(profile, not_before=now, not_after=now))
    assert verify(alice.sign(CONTENT), anchors(), now).warnings == ()


def test_names_of_the_signer_are_told_in_both_forms(pki: Pki, anchors: Anchors, now: datetime) -> None:
    robot = pki.endorser("x", defects.named(x509_name_with("host/vm.example.org")))
    verified = verify(robot.sign(CONTENT), anchors(), now)
    assert verified.signer.escaped == "/DC=test/DC=grid/CN=host\\/vm.example.org"
    assert verified.signer.is_named("/DC=test/DC=grid/CN=host/vm.example.org")
    assert str(verified.issuer) == pki.subject


def x509_name_with(common_name: str) -> x509.Name:
    return x509.Name([*x509_name("/DC=test/DC=grid"), x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])


@pytest.mark.parametrize("ca_signer", [True, False])
def test_endorser_that_certified_itself_is_refused_even_if_it_is_in_the_directory(
    ca_signer: bool, pki: Pki, anchors: Anchors, now: datetime
) -> None:
    own = Pki(pki.root, defects.not_a_ca, defects.without_key_usage, name="Me", now=now)
    with pytest.raises(UnknownIssuer):
        verify(signed_by(as_signer(own)), anchors(), now, TrustRules(ca_signer=ca_signer))


def test_other_certificate_of_a_ca_is_tried_when_the_first_leads_to_an_expired_root(
    pki: Pki, anchors: Anchors, now: datetime
) -> None:
    """One CA key certified by two roots; the certificate that holds longer is tried first."""
    old_root = Pki(pki.root, defects.expired, name="Old Root", now=now)
    sub = Pki(pki.root, name="Cross CA", parent=old_root)
    extensions = tuple((extension.value, extension.critical) for extension in sub.parsed.extensions)
    cross = pki.issue(defects.Profile(sub.parsed.subject, now, now - DAY, now + DAY, extensions), sub.private_key)
    sub.certificate.with_suffix(".1").write_bytes(cross.public_bytes(Encoding.PEM))
    verified = verify(sub.endorser().sign(CONTENT), anchors(), now)
    assert verified.chain[1:] == (cross.public_bytes(Encoding.DER), pki.parsed.public_bytes(Encoding.DER))


def test_six_cas_are_followed(pki: Pki, anchors: Anchors, now: datetime) -> None:
    ca = pki
    for number in range(5):
        ca = ca.intermediate(f"CA {number}")
    assert len(verify(ca.endorser().sign(CONTENT), anchors(), now).chain) == 7
