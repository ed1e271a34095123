"""Whatever the openssl command signs, in every way it can, is verified; openssl's own verdict is the second opinion."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from support import handmade, openssl
from support.handmade import Cms, multipart, opaque
from support.pki import Pki, Signer
from vmcatcher.errors.trust import WeakDigest
from vmcatcher.model.verified import VerifiedList
from vmcatcher.trust.anchors import TrustAnchors
from vmcatcher.trust.rules import TrustRules
from vmcatcher.trust.verify import verify

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
INPUTS = {
    "lf": b'{"hv:imagelist": {\n"dc:title": "Gr\xc3\xb6\xc3\x9fe"}}\n',
    "crlf": b'{"hv:imagelist": {\r\n"dc:title": "x"}}\r\n',
    "no-end": b'{"hv:imagelist": {\n}}',
    "blank-lines": b'\n\n{"hv:imagelist": {\n\n}}\n\n\n',
    "dash-lines": b'{"a": [\n"x",\n-1]}\n',
}
PSS = ("-keyopt", "rsa_padding_mode:pss")


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return Pki(tmp_path, now=NOW)


def accepted(message: bytes, pki: Pki, *, sha1: bool = False) -> VerifiedList:
    return verify(message, TrustAnchors.load(str(pki.certificates)), NOW, TrustRules(sha1=sha1))


def lines(content: bytes) -> bytes:
    """What two readings of one text must agree on: everything but the line ends."""
    return content.replace(b"\r\n", b"\n")


def second_opinion(message: bytes, pki: Pki, *options: str, tool: str = "cms") -> bytes:
    """The content as openssl sees it, without the MIME headers that -text put before it."""
    content = lines(openssl.verify(message, pki.certificates, NOW, *options, tool=tool))
    return content.removeprefix(b"Content-Type: text/plain\n\n")


DETACHED = [
    ("smime", ()),
    ("smime", ("-text",)),
    ("smime", ("-noattr",)),
    ("smime", ("-stream",)),
    ("smime", ("-crlfeol",)),
    ("smime", ("-md", "sha384")),
    ("smime", ("-md", "sha512")),
    ("cms", ()),
    ("cms", ("-text",)),
    ("cms", ("-noattr",)),
    ("cms", ("-stream",)),
    ("cms", ("-crlfeol",)),
    ("cms", ("-keyid",)),
    ("cms", ("-md", "sha384")),
    ("cms", ("-md", "sha512")),
    ("cms", ("-noattr", "-keyid", "-text", "-stream")),
]


@pytest.mark.parametrize("key", ["ec", "rsa"])
@pytest.mark.parametrize(
    ("tool", "options"), DETACHED, ids=lambda value: value if isinstance(value, str) else " ".join(value)
)
def test_detached_signature_verifies(tool: str, options: tuple[str, ...], key: str, pki: Pki) -> None:
    signer = pki.endorser(key=key)
    sign = openssl.smime_sign if tool == "smime" else openssl.cms_sign
    for name, content in INPUTS.items():
        message = sign(content, signer, *options)
        verified = accepted(message, pki)
        assert lines(verified.content) == lines(content), name
        assert second_opinion(message, pki) == lines(content), name
        assert verified.signed == message
        assert verified.digest == (options[1] if options[:1] == ("-md",) else "sha256")


@pytest.mark.parametrize("content", INPUTS.values(), ids=INPUTS)
@pytest.mark.parametrize("tool", ["smime", "cms"])
@pytest.mark.parametrize("options", [(), ("-stream",), ("-text",), ("-noattr",), ("-binary",)], ids=" ".join)
def test_signature_that_holds_its_content_verifies(
    tool: str, options: tuple[str, ...], content: bytes, pki: Pki
) -> None:
    sign = openssl.smime_sign if tool == "smime" else openssl.cms_sign
    message = sign(content, pki.endorser(), "-nodetach", *options)
    assert lines(accepted(message, pki).content) == lines(content)
    assert second_opinion(message, pki, tool=tool) == lines(content)


@pytest.mark.parametrize("name", ["lf", "crlf", "no-end"])
@pytest.mark.parametrize("tool", ["smime", "cms"])
def test_binary_detached_signature_verifies(tool: str, name: str, pki: Pki) -> None:
    """openssl smime never verifies what it signed so over LF; openssl cms does with -binary."""
    sign = openssl.smime_sign if tool == "smime" else openssl.cms_sign
    message = sign(INPUTS[name], pki.endorser(), "-binary")
    assert accepted(message, pki).content == INPUTS[name]
    assert openssl.verify(message, pki.certificates, NOW, "-binary") == INPUTS[name]


@pytest.mark.parametrize(
    "options", [PSS, (*PSS, "-md", "sha512"), (*PSS, "-keyopt", "rsa_pss_saltlen:20"), (*PSS, "-noattr")]
)
def test_rsa_pss_signature_verifies(options: tuple[str, ...], pki: Pki) -> None:
    message = openssl.cms_sign(INPUTS["lf"], pki.endorser(key="rsa"), *options)
    assert lines(accepted(message, pki).content) == INPUTS["lf"]
    assert second_opinion(message, pki) == INPUTS["lf"]


def test_certificates_and_crls_that_come_along_change_nothing(pki: Pki, tmp_path: Path) -> None:
    bob = pki.endorser("Bob Endorser")
    message = openssl.smime_sign(INPUTS["lf"], pki.endorser(), "-certfile", bob.certificate)
    assert str(accepted(message, pki).signer) == "/DC=test/DC=grid/CN=Alice Endorser"
    signer = pki.endorser("Carol")
    with_crl = Cms(signer.parsed, signer.private_key, b"{}\r\n", crls=(pki.crl_der(),)).der()
    assert accepted(multipart(b"{}\n", with_crl), pki).content == b"{}\r\n"


def test_unreadable_certificate_that_comes_along_changes_nothing(pki: Pki) -> None:
    alice = pki.endorser()
    rubbish = handmade.tlv(handmade.SEQUENCE, handmade.integer(1))
    both = (alice.der, rubbish)
    message = handmade.detached(alice.parsed, alice.private_key, b"{}\n", certificates=both)  # type: ignore[arg-type]  # EC
    assert accepted(message, pki).content == b"{}\r\n"


def test_one_certificate_twice_is_one(pki: Pki) -> None:
    alice = pki.endorser()
    message = openssl.smime_sign(INPUTS["lf"], alice, "-certfile", alice.certificate)
    assert lines(accepted(message, pki).content) == INPUTS["lf"]


@pytest.mark.parametrize("key", ["ec", "rsa"])
def test_sha1_is_refused_unless_let_in(key: str, pki: Pki) -> None:
    message = openssl.smime_sign(INPUTS["lf"], pki.endorser(key=key), "-md", "sha1")
    with pytest.raises(WeakDigest):
        accepted(message, pki)
    verified = accepted(message, pki, sha1=True)
    assert (lines(verified.content), verified.digest) == (INPUTS["lf"], "sha1")


def test_chain_over_two_intermediates_verifies(pki: Pki) -> None:
    signer = pki.intermediate().intermediate("Test Sub Sub CA", key="rsa").endorser(key="ec384")
    message = openssl.smime_sign(INPUTS["lf"], signer)
    verified = accepted(message, pki)
    assert (len(verified.chain), len(verified.crls)) == (4, 3)
    assert verified.chain[-1] == pki.parsed.public_bytes(Encoding.DER)
    assert second_opinion(message, pki) == INPUTS["lf"]


def test_message_with_crlf_on_the_wire_verifies(pki: Pki) -> None:
    message = openssl.smime_sign(INPUTS["lf"], pki.endorser())
    on_the_wire = lines(message).replace(b"\n", b"\r\n")
    assert lines(accepted(on_the_wire, pki).content) == INPUTS["lf"]
    assert lines(accepted(lines(message), pki).content) == INPUTS["lf"]


def test_carriage_returns_doubled_on_the_way_are_one_line_end(pki: Pki) -> None:
    message = openssl.smime_sign(INPUTS["lf"], pki.endorser())
    doubled = lines(message).replace(b"\n", b"\r\r\n")
    assert lines(accepted(doubled, pki).content) == INPUTS["lf"]


PYCA = [
    options
    for count in range(3)
    for options in itertools.combinations(
        (pkcs7.PKCS7Options.DetachedSignature, pkcs7.PKCS7Options.Text, pkcs7.PKCS7Options.NoCapabilities), count
    )
    if pkcs7.PKCS7Options.Text not in options or pkcs7.PKCS7Options.DetachedSignature in options
] + [
    (pkcs7.PKCS7Options.DetachedSignature, pkcs7.PKCS7Options.Binary),
    (pkcs7.PKCS7Options.DetachedSignature, pkcs7.PKCS7Options.NoAttributes),
]


@pytest.mark.parametrize("options", PYCA, ids=lambda options: "+".join(option.name for option in options) or "none")
@pytest.mark.parametrize("name", ["lf", "crlf", "no-end"])
def test_signature_of_the_cryptography_library_verifies(
    name: str, options: tuple[pkcs7.PKCS7Options, ...], pki: Pki
) -> None:
    """Without DetachedSignature it writes the content both beside the signature and inside."""
    signer = pki.endorser(key="rsa")
    assert isinstance(signer.private_key, rsa.RSAPrivateKey)
    builder = pkcs7.PKCS7SignatureBuilder().set_data(INPUTS[name])
    builder = builder.add_signer(signer.parsed, signer.private_key, hashes.SHA256())
    message = builder.sign(Encoding.SMIME, list(options))
    assert lines(accepted(message, pki).content) == lines(INPUTS[name])


def test_pss_of_the_cryptography_library_verifies(pki: Pki) -> None:
    signer = pki.endorser(key="rsa")
    assert isinstance(signer.private_key, rsa.RSAPrivateKey)
    pss = padding.PSS(padding.MGF1(hashes.SHA384()), padding.PSS.DIGEST_LENGTH)
    builder = pkcs7.PKCS7SignatureBuilder().set_data(INPUTS["lf"])
    builder = builder.add_signer(signer.parsed, signer.private_key, hashes.SHA384(), rsa_padding=pss)
    message = builder.sign(Encoding.SMIME, [pkcs7.PKCS7Options.DetachedSignature])
    assert lines(accepted(message, pki).content) == INPUTS["lf"]


@pytest.mark.parametrize("has_attributes", [True, False])
def test_ed25519_signature_verifies(has_attributes: bool, pki: Pki) -> None:
    """RFC 8419; openssl 3.0 can neither make nor verify one, openssl 3.2 can."""
    signer = pki.endorser(key="ed25519")
    attributes = () if has_attributes else None
    cms = Cms(signer.parsed, signer.private_key, b"{}\r\n", digest="sha512", attributes=attributes)
    assert accepted(multipart(b"{}\n", cms.der()), pki).content == b"{}\r\n"
    assert accepted(opaque(cms.but(encapsulated=cms.content).der()), pki).content == b"{}\r\n"


def test_ed25519_and_ed448_authorities_are_followed(pki: Pki) -> None:
    for kind in ("ed25519", "ed448"):
        signer = pki.intermediate(f"{kind} CA", key=kind).endorser()
        message = signer.sign(b"{}\n")
        assert accepted(message, pki).content == b"{}\r\n"
        assert second_opinion(message, pki) == b"{}\n"


@pytest.mark.parametrize("encoding", ["7bit", "8bit", "binary", "base64", "quoted-printable"])
def test_content_with_mime_headers_of_its_own_loses_them(encoding: str, pki: Pki) -> None:
    content = {"base64": b"eyJhIjog\nMX0=\n", "quoted-printable": b'{"a":=20=\n1}\n'}.get(encoding, b'{"a": 1}\n')
    part = f"Content-Type: application/json\nContent-Transfer-Encoding: {encoding}\n\n".encode() + content
    signer = pki.endorser()
    verified = accepted(handmade.detached(signer.parsed, signer.private_key, part), pki)
    assert verified.content.strip() == b'{"a": 1}'


def test_rsa_with_digest_in_the_algorithm_verifies(pki: Pki) -> None:
    signer: Signer = pki.endorser(key="rsa")
    named = handmade.algorithm(handmade.RSA_WITH["sha256"], handmade.tlv(handmade.NULL))
    message = handmade.detached(signer.parsed, signer.private_key, b"{}\n", signature_algorithm=named)
    assert accepted(message, pki).content == b"{}\r\n"
    assert second_opinion(message, pki) == b"{}\n"
