"""Every way in which a signed list can be refused by the trust room: one function per way, one table for all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509

from support import defects, handmade
from support.handmade import Cms, algorithm, attribute, integer, oid, tlv
from support.openssl import smime_sign
from support.pki import Pki, Signer
from vmcatcher.errors import PublisherError
from vmcatcher.errors.trust import ListUntrusted
from vmcatcher.model.explanation import Outcome
from vmcatcher.trust.anchors import TrustAnchors
from vmcatcher.trust.explain import examine
from vmcatcher.trust.rules import TrustRules
from vmcatcher.trust.verify import verify

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
CONTENT = b'{"hv:imagelist": {}}\n'
WIRE = CONTENT.replace(b"\n", b"\r\n")


@dataclass
class Site:
    """A site and an endorser in good order, until a case spoils something."""

    root: Path
    rules: TrustRules = field(default_factory=TrustRules)

    def __post_init__(self) -> None:
        self.pki = Pki(self.root, now=NOW)
        self.alice = self.pki.endorser()

    def good(self) -> bytes:
        return self.alice.sign(CONTENT)

    def hand(self, **changes: object) -> bytes:
        """A message by Alice with some things about the signature changed."""
        return detached(self.alice, **changes)

    def accepts(self, message: bytes) -> bool:
        return verify(message, TrustAnchors.load(str(self.pki.certificates)), NOW, self.rules).content == WIRE

    def cms(self, **changes: object) -> Cms:
        return Cms(self.alice.parsed, self.alice.private_key, WIRE).but(**changes)


def detached(signer: Signer, **changes: object) -> bytes:
    return handmade.detached(signer.parsed, signer.private_key, CONTENT, **changes)


Case = Callable[[Site], bytes]
CASES: list[tuple[str, Case]] = []


def refused(identifier: str) -> Callable[[Case], Case]:
    """Note that what the decorated function makes is refused with this id."""

    def note(case: Case) -> Case:
        CASES.append((identifier, case))
        return case

    return note


@pytest.mark.parametrize(("identifier", "case"), CASES, ids=[case.__name__ for _, case in CASES])
def test_what_must_be_refused_is_refused_with_its_own_error(identifier: str, case: Case, tmp_path: Path) -> None:
    site = Site(tmp_path)
    message = case(site)
    with pytest.raises(ListUntrusted) as caught:
        verify(message, TrustAnchors.load(str(site.pki.certificates)), NOW, site.rules)
    error = caught.value
    assert error.id == identifier
    assert (error.exit_code, error.classic_exit) == (1, 11)
    assert isinstance(error, PublisherError)
    assert error.hint
    assert error.one_line().isprintable()
    assert all(isinstance(fact, str | int) for fact in error.facts().values())
    explained = examine(message, TrustAnchors.load(str(site.pki.certificates)), NOW, site.rules)
    stopped = next(step.error for step in explained.steps if step.outcome is Outcome.FAILED)
    assert stopped is not None
    assert explained.verified is None
    assert stopped.one_line() == error.one_line(), "what `trust explain` says is what an update says"
    assert all(step.said.isprintable() for step in explained.steps)


def test_site_in_good_order_accepts(tmp_path: Path) -> None:
    site = Site(tmp_path)
    anchors = TrustAnchors.load(str(site.pki.certificates))
    message = site.good()
    assert verify(message, anchors, NOW, TrustRules(max_bytes=len(message))).content == WIRE
    assert verify(site.hand(), anchors, NOW).content == WIRE


def test_every_refusal_stands_in_the_table() -> None:
    def leaves(above: type[ListUntrusted]) -> set[type[ListUntrusted]]:
        below = above.__subclasses__()
        return {above} if not below else {leaf for kind in below for leaf in leaves(kind)}

    assert {kind.id for kind in leaves(ListUntrusted)} == {identifier for identifier, _ in CASES}


# --- the wrapper ---


@refused("list-too-large")
def fault_80_one_byte_too_many(site: Site) -> bytes:
    message = site.good()
    site.rules = TrustRules(max_bytes=len(message) - 1)
    return message


@refused("list-not-signed")
def fault_80_nothing(_: Site) -> bytes:
    return b""


@refused("list-not-signed")
def fault_80_blank_lines(_: Site) -> bytes:
    return b"\r\n\n  \n"


@refused("list-not-signed")
def fault_80_bare_json(_: Site) -> bytes:
    return CONTENT


@refused("list-not-signed")
def fault_80_bare_json_after_a_byte_order_mark(_: Site) -> bytes:
    return b"\xef\xbb\xbf" + CONTENT


@refused("list-not-signed")
def fault_80_login_page(_: Site) -> bytes:
    return b"<!DOCTYPE html>\n<html><body>Please log in</body></html>"


@refused("list-not-signed")
def fault_80_xml(_: Site) -> bytes:
    return b'<?xml version="1.0"?><Error/>'


@refused("list-not-signed")
def fault_80_pem(site: Site) -> bytes:
    return site.alice.certificate.read_bytes()


@refused("list-not-signed")
def fault_80_no_mime(_: Site) -> bytes:
    return bytes(range(256))


@refused("list-not-signed")
def fault_80_plain_mail(_: Site) -> bytes:
    return b"Content-Type: text/plain\n\n" + CONTENT


@refused("list-not-signed")
def fault_80_mail_without_type(_: Site) -> bytes:
    return b"Subject: list\n\n" + CONTENT


@refused("list-mime-header")
def fault_80_header_without_end(site: Site) -> bytes:
    return b"X-Padding: " + b"x" * 70_000 + b"\n" + site.good()


@refused("list-mime-header")
def fault_80_nul_in_header(site: Site) -> bytes:
    return b"X-Nul: \0\n" + site.good()


@refused("list-mime-header")
def fault_80_header_beyond_ascii(site: Site) -> bytes:
    return "Subject: Größe\n".encode() + site.good()


@refused("list-mime-header")
def fault_80_header_without_colon(site: Site) -> bytes:
    return b"MIME: yes\nno colon here\n" + site.good()


@refused("list-mime-header")
def fault_80_carriage_return_inside_header(site: Site) -> bytes:
    return b"X-Two: lines\rin: one\n" + site.good()


@refused("list-mime-header")
def fault_80_two_content_types(site: Site) -> bytes:
    return b"content-type: text/plain\n" + site.good()


@refused("list-mime-header")
def fault_80_content_type_without_slash(_: Site) -> bytes:
    return b"Content-Type: signed\n\n"


@refused("list-mime-header")
def fault_80_open_quote_in_content_type(_: Site) -> bytes:
    return b'Content-Type: multipart/signed; boundary="x\n\n'


@refused("list-mime-header")
def fault_80_two_boundaries(_: Site) -> bytes:
    return b"Content-Type: multipart/signed; boundary=x; boundary=y\n\n"


@refused("list-mime-type")
def fault_80_encrypted(site: Site) -> bytes:
    return handmade.opaque(site.cms(encapsulated=WIRE).der(), "enveloped-data")


@refused("list-mime-type")
def fault_80_openpgp(site: Site) -> bytes:
    return site.hand().replace(b"application/pkcs7-signature", b"application/pgp-signature", 1)


@refused("list-mime-type")
def fault_80_second_part_is_text(site: Site) -> bytes:
    return site.hand().replace(b"Content-Type: application/pkcs7-signature", b"Content-Type: text/plain")


@refused("list-mime-boundary")
def fault_80_no_boundary(_: Site) -> bytes:
    return b"Content-Type: multipart/signed\n\n"


@refused("list-mime-boundary")
def fault_80_boundary_that_no_mailer_writes(_: Site) -> bytes:
    return b'Content-Type: multipart/signed; boundary="a*b"\n\n'


@refused("list-mime-parts")
def fault_80_one_part(site: Site) -> bytes:
    return site.hand().replace(b"\n--=_hand\nContent-Type: application/pkcs7", b"\nContent-Type: application/pkcs7")


@refused("list-mime-parts")
def fault_80_three_parts(site: Site) -> bytes:
    return site.hand().replace(b"\n--=_hand--", b"\n--=_hand\n\nmore\n--=_hand--")


@refused("list-mime-parts")
def fault_80_parts_without_end(site: Site) -> bytes:
    return site.hand().replace(b"\n--=_hand--", b"\n--=_hand" * 100)


@refused("list-truncated")
def fault_80_cut_short(site: Site) -> bytes:
    return site.hand()[:-8]


@refused("list-truncated")
def fault_80_boundary_that_never_comes(site: Site) -> bytes:
    return site.hand().replace(b'boundary="=_hand"', b'boundary="other"')


@refused("list-mime-encoding")
def fault_80_signature_as_quoted_printable(site: Site) -> bytes:
    return site.hand().replace(b"Encoding: base64", b"Encoding: quoted-printable")


@refused("list-mime-encoding")
def fault_80_content_as_uuencode(site: Site) -> bytes:
    part = b"Content-Type: text/plain\nContent-Transfer-Encoding: x-uuencode\n\n#86%A\n"
    return handmade.detached(site.alice.parsed, site.alice.private_key, part)


@refused("list-base64")
def fault_80_signature_with_a_stray_character(site: Site) -> bytes:
    return site.hand().replace(b"\nMI", b"\nM*I")


@refused("list-base64")
def fault_80_no_signature_text(_: Site) -> bytes:
    return handmade.multipart(CONTENT, b"")


@refused("list-base64")
def fault_80_content_is_no_base64(site: Site) -> bytes:
    part = b"Content-Type: text/plain\nContent-Transfer-Encoding: base64\n\n!!!!\n"
    return handmade.detached(site.alice.parsed, site.alice.private_key, part)


@refused("list-inner-type")
def fault_80_signed_html(site: Site) -> bytes:
    part = b"Content-Type: text/html\n\n<html/>\n"
    return handmade.detached(site.alice.parsed, site.alice.private_key, part)


@refused("list-mime-header")
def fault_80_signed_header_without_end(site: Site) -> bytes:
    return handmade.detached(site.alice.parsed, site.alice.private_key, b"Content-Type: text/plain")


# --- the signature block ---


@refused("list-asn1")
def fault_80_no_asn1(_: Site) -> bytes:
    return handmade.multipart(CONTENT, b"these are no signatures")


@refused("list-asn1")
def fault_80_bytes_after_the_signature(site: Site) -> bytes:
    return handmade.multipart(CONTENT, site.cms().der() + b"\5\0")


@refused("list-asn1")
def fault_80_nested_without_end(_: Site) -> bytes:
    return handmade.multipart(CONTENT, b"\x30\x80" * 100_000)


@refused("list-asn1")
def fault_80_chunks_without_end(_: Site) -> bytes:
    return handmade.multipart(CONTENT, b"\x30\x80\x24\x80" + b"\4\0" * 200_000 + b"\0\0\0\0")


@refused("list-asn1")
def fault_80_signers_in_a_sequence(site: Site) -> bytes:
    return handmade.multipart(CONTENT, _as_sequence(site.cms().der(), -1))


@refused("list-asn1")
def fault_80_digests_in_a_sequence(site: Site) -> bytes:
    return handmade.multipart(CONTENT, _as_sequence(site.cms().der(), 1))


def _as_sequence(der: bytes, at: int) -> bytes:
    """Make a SEQUENCE of a SET of the message."""
    content_type, explicit = handmade.children(der)
    parts = handmade.children(handmade.body(explicit))
    parts[at] = tlv(handmade.SEQUENCE, handmade.body(parts[at]))
    return tlv(handmade.SEQUENCE, content_type, tlv(0xA0, tlv(handmade.SEQUENCE, *parts)))


@refused("list-asn1")
def fault_80_signer_is_no_sequence(site: Site) -> bytes:
    return handmade.multipart(CONTENT, site.cms().der(signers=[integer(1)]))


@refused("list-asn1")
def fault_80_attribute_without_values(site: Site) -> bytes:
    return site.hand(attributes=(tlv(handmade.SEQUENCE, oid(handmade.CONTENT_TYPE)),), signature=b"x")


@refused("list-asn1")
def fault_80_algorithm_without_identifier(site: Site) -> bytes:
    return site.hand(signature_algorithm=tlv(handmade.SEQUENCE))


@refused("list-asn1")
def fault_80_algorithm_of_three_parts(site: Site) -> bytes:
    return site.hand(signature_algorithm=algorithm(handmade.ECDSA["sha256"], tlv(handmade.NULL), tlv(handmade.NULL)))


@refused("list-asn1")
def fault_80_algorithm_that_begins_with_no_identifier(site: Site) -> bytes:
    return site.hand(signature_algorithm=tlv(handmade.SEQUENCE, tlv(handmade.OCTETS, b"\x2a\3")))


@refused("list-structure")
def fault_80_signature_of_a_hundred_kilobytes(site: Site) -> bytes:
    extra = attribute("1.2.3", tlv(handmade.OCTETS, b"x" * 100_000))
    return site.hand(attributes=(*site.cms().standard_attributes(), extra))


@refused("list-structure")
def fault_80_block_is_only_data(_: Site) -> bytes:
    der = tlv(handmade.SEQUENCE, oid(handmade.DATA), tlv(0xA0, tlv(handmade.OCTETS, WIRE)))
    return handmade.multipart(CONTENT, der)


@refused("list-structure")
def fault_80_signed_content_is_no_data(site: Site) -> bytes:
    return site.hand(content_type="1.2.840.113549.1.9.16.1.4")


@refused("list-structure")
def fault_80_opaque_without_content(site: Site) -> bytes:
    return handmade.opaque(site.cms().der())


@refused("list-structure")
def fault_80_other_content_inside_than_beside(site: Site) -> bytes:
    return handmade.multipart(b'{"other": 1}\n', site.cms(encapsulated=WIRE).der())


@refused("list-structure")
def fault_80_too_many_certificates(site: Site) -> bytes:
    assert site.accepts(site.hand(certificates=(site.alice.der,) * 64))
    return site.hand(certificates=(site.alice.der,) * 65)


@refused("list-signers")
def fault_80_no_signer(site: Site) -> bytes:
    return handmade.multipart(CONTENT, site.cms().der(signers=[]))


@refused("list-signers")
def fault_80_two_signers(site: Site) -> bytes:
    bob = site.pki.endorser("Bob Endorser")
    both = (site.alice.der, bob.der)
    infos = [site.cms().signer_info(), Cms(bob.parsed, bob.private_key, WIRE).signer_info()]
    return handmade.multipart(CONTENT, site.cms(certificates=both).der(signers=infos))


@refused("list-weak-digest")
def fault_80_signed_over_sha1(site: Site) -> bytes:
    return smime_sign(CONTENT, site.alice, "-md", "sha1")


@refused("list-weak-digest")
def fault_80_signed_over_md5_although_sha1_is_let_in(site: Site) -> bytes:
    site.rules = TrustRules(sha1=True)
    signer = site.pki.endorser("Rsa Endorser", key="rsa")
    return detached(signer, digest="md5")


@refused("list-signature-algorithm")
def fault_80_algorithm_of_another_digest(site: Site) -> bytes:
    return site.hand(signature_algorithm=algorithm(handmade.ECDSA["sha512"]))


@refused("list-signature-algorithm")
def fault_80_algorithm_of_another_key(site: Site) -> bytes:
    return site.hand(signature_algorithm=algorithm("1.2.840.113549.1.1.1", tlv(handmade.NULL)))


@refused("list-signature-algorithm")
def fault_80_pss_without_parameters(site: Site) -> bytes:
    signer = site.pki.endorser("Rsa Endorser", key="rsa")
    return detached(signer, signature_algorithm=algorithm("1.2.840.113549.1.1.10"))


@refused("list-signature-algorithm")
def fault_80_ed25519_over_another_digest(site: Site) -> bytes:
    signer = site.pki.endorser("Ed Endorser", key="ed25519")
    return detached(signer, digest="sha256")


@refused("list-no-signer-certificate")
def fault_80_no_certificate(site: Site) -> bytes:
    return smime_sign(CONTENT, site.alice, "-nocerts")


@refused("list-no-signer-certificate")
def fault_80_only_another_certificate(site: Site) -> bytes:
    return site.hand(certificates=(site.pki.endorser("Bob Endorser").der,))


@refused("list-no-signer-certificate")
def fault_80_two_certificates_of_one_number(site: Site) -> bytes:
    twin = site.pki.endorser("Twin Endorser", defects.numbered(site.alice.parsed.serial_number))
    return site.hand(certificates=(site.alice.der, twin.der))


@refused("list-bad-attributes")
def fault_80_digest_twice_in_attributes(site: Site) -> bytes:
    attributes = site.cms().standard_attributes()
    return site.hand(attributes=(*attributes, attributes[1]))


@refused("list-bad-attributes")
def fault_80_no_digest_in_attributes(site: Site) -> bytes:
    return site.hand(attributes=(attribute(handmade.CONTENT_TYPE, oid(handmade.DATA)),))


@refused("list-bad-attributes")
def fault_80_digest_is_no_octet_string(site: Site) -> bytes:
    first, digest = site.cms().standard_attributes()
    value = handmade.body(handmade.children(handmade.children(digest)[1])[0])
    return site.hand(attributes=(first, attribute(handmade.MESSAGE_DIGEST, tlv(0x16, value))))


@refused("list-bad-attributes")
def fault_80_two_digests_in_one_attribute(site: Site) -> bytes:
    digest = tlv(handmade.OCTETS, b"x" * 32)
    both = attribute(handmade.MESSAGE_DIGEST, digest, digest)
    return site.hand(attributes=(attribute(handmade.CONTENT_TYPE, oid(handmade.DATA)), both))


@refused("list-bad-attributes")
def fault_80_attributes_of_other_content_type(site: Site) -> bytes:
    other = attribute(handmade.CONTENT_TYPE, oid(handmade.SIGNED_DATA))
    return site.hand(attributes=(other, site.cms().standard_attributes()[1]))


@refused("list-digest-mismatch")
def fault_80_content_changed(site: Site) -> bytes:
    return site.good().replace(b"imagelist", b"imagelisT")


@refused("list-digest-mismatch")
def fault_80_line_added(site: Site) -> bytes:
    return site.hand().replace(b"{}}\n", b"{}}\n\n")


@refused("list-bad-signature")
def fault_80_signature_of_another_key(site: Site) -> bytes:
    other = Cms(site.alice.parsed, site.pki.endorser("Mallory").private_key, WIRE)
    return handmade.multipart(CONTENT, other.der())


@refused("list-bad-signature")
def fault_80_content_changed_without_attributes(site: Site) -> bytes:
    return site.hand(attributes=None).replace(b"imagelist", b"imagelisT")


@refused("list-bad-signature")
def fault_80_empty_signature(site: Site) -> bytes:
    return site.hand(signature=b"")


@refused("list-attributes-as-content")
def fault_80_attributes_of_a_signature_as_content(site: Site) -> bytes:
    info = site.cms()
    attributes = tlv(handmade.SET, *info.standard_attributes())
    signature = handmade.raw_signature(site.alice.private_key, attributes, "sha256")  # as in a message of Alice's
    return handmade.opaque(info.but(encapsulated=attributes, attributes=None, signature=signature).der())


# --- the signer's certificate ---


@refused("signer-unreadable")
def fault_81_certificate_with_a_damaged_key(site: Site) -> bytes:
    damaged = site.alice.der.replace(bytes.fromhex("06072a8648ce3d0201"), bytes.fromhex("06072a8648ce3d0202"))
    return site.hand(certificates=(damaged,))


@refused("signer-unreadable")
def fault_81_certificate_that_is_none(site: Site) -> bytes:
    return site.hand(certificates=(tlv(handmade.SEQUENCE, integer(1)),))


@refused("signer-unreadable")
def fault_81_certificate_with_serial_number_zero(site: Site) -> bytes:
    def numbered_zero(parts: list[bytes]) -> list[bytes]:
        return [parts[0], integer(0), *parts[2:]]

    der = handmade.resigned(site.alice.der, site.pki.private_key, edit=numbered_zero)
    sid = tlv(handmade.SEQUENCE, site.alice.parsed.issuer.public_bytes(), integer(0))
    return site.hand(certificates=(der,), sid=sid)


@refused("signer-unreadable")
def fault_81_certificate_with_a_nul_in_its_name(site: Site) -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Alice\0.evil")])
    return site.pki.endorser("Nul", defects.named(name)).sign(CONTENT)


@refused("signer-unreadable")
def fault_81_certificate_with_two_algorithms(site: Site) -> bytes:
    tbs, _, signature = handmade.children(site.alice.der)
    der = tlv(handmade.SEQUENCE, tbs, algorithm(handmade.ECDSA["sha512"]), signature)
    return site.hand(certificates=(der,))


@refused("signer-is-ca")
def fault_81_signer_is_a_ca(site: Site) -> bytes:
    return site.pki.endorser("Ca Endorser", defects.a_ca).sign(CONTENT)


@refused("signer-key-usage")
def fault_81_signer_may_only_encrypt(site: Site) -> bytes:
    return site.pki.endorser("Encrypting Endorser", defects.for_encryption_only).sign(CONTENT)


@refused("signer-extended-key-usage")
def fault_81_signer_is_a_server(site: Site) -> bytes:
    return site.pki.endorser("server.example.org", defects.for_servers_only).sign(CONTENT)


@refused("signer-expired")
def fault_81_signer_expired(site: Site) -> bytes:
    return site.pki.endorser("Late Endorser", defects.expired).sign(CONTENT)


@refused("signer-not-yet-valid")
def fault_81_signer_not_yet_valid(site: Site) -> bytes:
    return site.pki.endorser("Early Endorser", defects.not_yet_valid).sign(CONTENT)


@refused("signer-weak-key")
def fault_81_signer_with_a_small_curve(site: Site) -> bytes:
    return detached(site.pki.endorser("Small Endorser", key="ec224"))


@refused("signer-weak-key")
def fault_81_signer_with_1024_bits(site: Site) -> bytes:
    return detached(site.pki.endorser("Small Endorser", key="rsa1024"))


@refused("signer-weak-digest")
def fault_81_signer_certified_with_sha1(site: Site) -> bytes:
    return site.pki.endorser("Old Endorser", defects.signed_with_sha1).sign(CONTENT)


@refused("signer-weak-digest")
def fault_81_signer_certified_with_md5(site: Site) -> bytes:
    ca = Pki(site.root, name="Rsa CA", key="rsa", now=NOW)
    return ca.endorser("Older Endorser", defects.signed_with_md5).sign(CONTENT)


@refused("certificate-critical-extension")
def fault_81_signer_with_unknown_critical_extension(site: Site) -> bytes:
    return site.pki.endorser("Odd Endorser", defects.with_unknown_critical).sign(CONTENT)


# --- the chain ---


@refused("unknown-issuer")
def fault_81_ca_is_not_there(site: Site) -> bytes:
    return Pki(site.root / "elsewhere", name="Other CA", now=NOW).endorser().sign(CONTENT)


@refused("unknown-issuer")
def fault_81_intermediate_only_in_the_message(site: Site) -> bytes:
    sub = site.pki.intermediate()
    sub.remove()
    return sub.endorser().sign(CONTENT, extra=[sub.parsed])


@refused("unknown-issuer")
def fault_81_root_of_intermediate_is_not_there(site: Site) -> bytes:
    message = site.pki.intermediate().endorser().sign(CONTENT)
    site.pki.remove()
    return message


@refused("unknown-issuer")
def fault_81_self_signed_signer(site: Site) -> bytes:
    return Pki(site.root / "elsewhere", defects.not_a_ca, name="Me", now=NOW).endorser().sign(CONTENT)


@refused("chain-signature")
def fault_81_ca_of_the_same_name_with_another_key(site: Site) -> bytes:
    return Pki(site.root / "elsewhere", now=NOW).endorser().sign(CONTENT)


@refused("ca-not-a-ca")
def fault_81_endorser_certifies_another(site: Site) -> bytes:
    return site.pki.intermediate("Not A CA", defects.not_a_ca).endorser().sign(CONTENT)


@refused("ca-key-usage")
def fault_81_ca_may_not_certify(site: Site) -> bytes:
    return site.pki.intermediate("Idle CA", defects.may_not_sign_certificates).endorser().sign(CONTENT)


@refused("ca-extended-key-usage")
def fault_81_ca_for_servers_only(site: Site) -> bytes:
    return site.pki.intermediate("Server CA", defects.for_servers_only).endorser().sign(CONTENT)


@refused("ca-expired")
def fault_81_ca_expired(site: Site) -> bytes:
    return site.pki.intermediate("Late CA", defects.expired).endorser().sign(CONTENT)


@refused("ca-not-yet-valid")
def fault_81_ca_not_yet_valid(site: Site) -> bytes:
    return site.pki.intermediate("Early CA", defects.not_yet_valid).endorser().sign(CONTENT)


@refused("ca-weak-key")
def fault_81_ca_with_1024_bits(site: Site) -> bytes:
    return site.pki.intermediate("Small CA", key="rsa1024").endorser().sign(CONTENT)


@refused("ca-weak-digest")
def fault_81_ca_certified_with_sha1(site: Site) -> bytes:
    return site.pki.intermediate("Old CA", defects.signed_with_sha1).endorser().sign(CONTENT)


@refused("certificate-critical-extension")
def fault_81_ca_with_unknown_critical_extension(site: Site) -> bytes:
    return site.pki.intermediate("Odd CA", defects.with_unknown_critical).endorser().sign(CONTENT)


@refused("ca-path-length")
def fault_81_ca_below_a_ca_that_may_have_none(site: Site) -> bytes:
    return site.pki.intermediate("Last CA", defects.no_ca_below).intermediate("Extra CA").endorser().sign(CONTENT)


@refused("chain-too-long")
def fault_81_seven_cas(site: Site) -> bytes:
    ca = site.pki
    for number in range(6):
        ca = ca.intermediate(f"CA {number}")
    return ca.endorser().sign(CONTENT)


# --- namespaces ---


@refused("policy-missing")
def fault_81_no_policy(site: Site) -> bytes:
    site.pki.write_policies(signing_policy=False, namespaces=False)
    return site.good()


@refused("policy-unreadable")
def fault_81_damaged_policy(site: Site) -> bytes:
    site.pki.namespaces.write_text('TO Issuer "x" PERMIT\n')
    return site.good()


@refused("signer-outside-namespace")
def fault_81_signer_outside_namespace(site: Site) -> bytes:
    return site.pki.endorser("Foreigner", namespace="/DC=org/DC=elsewhere").sign(CONTENT)


@refused("signer-outside-namespace")
def fault_81_signer_outside_one_of_two_policies(site: Site) -> bytes:
    site.pki.write_policies("/DC=test/DC=grid/CN=Bob*", signing_policy=False)
    site.pki.signing_policy.write_text(
        f"access_id_CA X509 '{site.pki.subject}'\npos_rights globus CA:sign\ncond_subjects globus '\"/DC=test/*\"'\n"
    )
    return site.good()


@refused("signer-outside-namespace")
def fault_81_slashes_in_a_value_look_like_a_namespace(site: Site) -> bytes:
    forged = x509.Name([x509.NameAttribute(x509.NameOID.DOMAIN_COMPONENT, "test/DC=grid/CN=Alice Endorser")])
    return site.pki.endorser("Forger", defects.named(forged)).sign(CONTENT)


@refused("signer-outside-namespace")
def fault_81_backslash_makes_a_value_look_like_a_namespace(site: Site) -> bytes:
    site.pki.write_policies("/DC=test/CN=x\\/DC=grid*", namespaces=False)
    pairs = ((x509.NameOID.DOMAIN_COMPONENT, "test"), (x509.NameOID.COMMON_NAME, "x\\"))
    last = (x509.NameOID.DOMAIN_COMPONENT, "grid")
    forged = x509.Name([x509.NameAttribute(kind, value) for kind, value in (*pairs, last)])
    return site.pki.endorser("Forger", defects.named(forged)).sign(CONTENT)


@refused("ca-outside-namespace")
def fault_81_ca_outside_namespace(site: Site) -> bytes:
    sub = site.pki.intermediate()
    site.pki.write_policies("/DC=test/DC=grid/CN=Other*")
    return sub.endorser().sign(CONTENT)


# --- revocation ---


@refused("signer-revoked")
def fault_81_signer_revoked(site: Site) -> bytes:
    site.pki.revoke(site.alice)
    return site.good()


@refused("signer-revoked")
def fault_81_signer_revoked_by_a_crl_in_der(site: Site) -> bytes:
    site.pki.revoke(site.alice)
    site.pki.write_crl(as_der=True)
    return site.good()


@refused("signer-revoked")
def fault_81_signer_revoked_by_an_expired_crl(site: Site) -> bytes:
    site.pki.revoke(site.alice)
    site.pki.write_stale_crl()
    return site.good()


@refused("signer-revoked")
def fault_81_signer_revoked_although_crls_need_not_be_there(site: Site) -> bytes:
    site.pki.revoke(site.alice)
    site.rules = TrustRules(crl="if-present")
    return site.good()


@refused("ca-revoked")
def fault_81_intermediate_revoked_by_its_root(site: Site) -> bytes:
    sub = site.pki.intermediate()
    site.pki.revoke(sub)
    return sub.endorser().sign(CONTENT)


@refused("crl-missing")
def fault_81_no_crl(site: Site) -> bytes:
    site.pki.remove_crl()
    return site.good()


@refused("crl-missing")
def fault_81_no_crl_of_the_root(site: Site) -> bytes:
    sub = site.pki.intermediate()
    site.pki.remove_crl()
    return sub.endorser().sign(CONTENT)


@refused("crl-missing")
def fault_81_crl_only_in_the_message(site: Site) -> bytes:
    crl = site.pki.crl_der()
    site.pki.remove_crl()
    return site.hand(crls=(crl,))


@refused("crl-unreadable")
def fault_81_crl_cut_short(site: Site) -> bytes:
    site.pki.crl.write_bytes(site.pki.crl.read_bytes()[:200])
    return site.good()


@refused("crl-unreadable")
def fault_81_crl_with_a_damaged_extension(site: Site) -> bytes:
    damaged = x509.UnrecognizedExtension(x509.IssuingDistributionPoint.oid, tlv(handmade.SEQUENCE))
    site.pki.write_crl(site.pki.crl_der(extensions=[(damaged, True)]))
    return site.good()


@refused("crl-signature")
def fault_81_crl_forged(site: Site) -> bytes:
    site.pki.write_forged_crl()
    return site.good()


@refused("crl-signature")
def fault_81_crl_of_a_ca_that_may_not_sign_any(site: Site) -> bytes:
    return site.pki.intermediate("Crl-less CA", defects.may_not_sign_crls).endorser().sign(CONTENT)


@refused("crl-signature")
def fault_81_crl_signed_over_md5(site: Site) -> bytes:
    ca = Pki(site.root, name="Rsa CA", key="rsa", now=NOW)
    ca.write_crl(handmade.resigned(ca.crl_der(), ca.private_key, "md5"))
    return ca.endorser().sign(CONTENT)


@refused("crl-scope")
def fault_81_crl_for_cas_only(site: Site) -> bytes:
    site.pki.write_partial_crl()
    return site.good()


@refused("crl-scope")
def fault_81_crl_of_changes_only(site: Site) -> bytes:
    site.pki.write_crl(site.pki.crl_der(extensions=[(x509.DeltaCRLIndicator(1), True)]))
    return site.good()


@refused("crl-scope")
def fault_81_crl_with_unknown_critical_extension(site: Site) -> bytes:
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.2"), b"\5\0")
    site.pki.write_crl(site.pki.crl_der(extensions=[(unknown, True)]))
    return site.good()


@refused("crl-scope")
def fault_81_crl_of_another_distribution_point(site: Site) -> bytes:
    point = x509.IssuingDistributionPoint(
        full_name=[x509.UniformResourceIdentifier("http://ca.invalid/2.crl")],
        relative_name=None,
        only_contains_user_certs=False,
        only_contains_ca_certs=False,
        only_some_reasons=None,
        indirect_crl=False,
        only_contains_attribute_certs=False,
    )
    site.pki.write_crl(site.pki.crl_der(extensions=[(point, True)]))
    return site.good()


@refused("crl-future")
def fault_81_crl_made_tomorrow(site: Site) -> bytes:
    site.pki.write_future_crl()
    return site.good()


@refused("crl-expired")
def fault_81_crl_expired(site: Site) -> bytes:
    site.pki.write_stale_crl()
    return site.good()


@refused("crl-without-end")
def fault_81_crl_without_end(site: Site) -> bytes:
    def endless(parts: list[bytes]) -> list[bytes]:
        return [part for at, part in enumerate(parts) if at != 4]

    site.pki.write_crl(handmade.resigned(site.pki.crl_der(), site.pki.private_key, edit=endless))
    return site.good()


def test_sentences_say_what_where_and_when(tmp_path: Path) -> None:
    site = Site(tmp_path)
    late = site.pki.endorser("Late Endorser", defects.expired, defects.numbered(0x4F2A))
    with pytest.raises(ListUntrusted) as caught:
        verify(late.sign(CONTENT), TrustAnchors.load(str(site.pki.certificates)), NOW)
    assert caught.value.one_line() == (
        "the signer's certificate /DC=test/DC=grid/CN=Late Endorser (serial 4F2A, issued by"
        " /DC=test/DC=grid/CN=Test Grid CA) expired 2026-05-31T12:00:00Z, it is now 2026-06-01T12:00:00Z;"
        " the endorser has to renew the certificate and sign the list anew"
    )
