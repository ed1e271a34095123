"""The directory of trust anchors: everything that is good is read, everything that is not is named."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from support.defects import named
from support.pki import Pki, x509_name
from vmcatcher.errors.certificates import PolicyUnreadable
from vmcatcher.errors.trust import TrustDirectoryEmpty, TrustDirectoryMissing
from vmcatcher.trust.anchors import TrustAnchors
from vmcatcher.trust.rules import TrustRules
from vmcatcher.trust.verify import verify

Anchors = Callable[[], TrustAnchors]
CONTENT = b"{}\n"


def problems(anchors: TrustAnchors) -> dict[str, str]:
    return {problem.file: problem.problem for problem in anchors.problems}


def test_directory_that_is_not_there_is_the_operators_mistake(tmp_path: Path) -> None:
    with pytest.raises(TrustDirectoryMissing) as caught:
        TrustAnchors.load(str(tmp_path / "x"))
    assert str(caught.value) == f"Invalid x509 trust store directory: {tmp_path}/x."
    assert (caught.value.exit_code, caught.value.classic_exit) == (1, 1)


def test_file_in_place_of_the_directory_is_the_operators_mistake(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    with pytest.raises(TrustDirectoryMissing):
        TrustAnchors.load(str(tmp_path / "x"))


def test_empty_directory_asks_to_be_run_again(tmp_path: Path) -> None:
    with pytest.raises(TrustDirectoryEmpty) as caught:
        TrustAnchors.load(str(tmp_path))
    assert str(caught.value) == f"no CA certificate could be read from {tmp_path}: none is there"
    assert (caught.value.exit_code, caught.value.classic_exit) == (75, 75)


def test_directory_of_rubbish_names_the_first_of_it(tmp_path: Path) -> None:
    (tmp_path / "0badf00d.0").write_bytes(b"rubbish")
    with pytest.raises(TrustDirectoryEmpty, match=r"0badf00d.0: no CERTIFICATE in it"):
        TrustAnchors.load(str(tmp_path))


def test_directory_that_may_not_be_listed_asks_to_be_run_again(tmp_path: Path) -> None:
    """A path that is too long fails like one without permission, also for root."""
    with pytest.raises(TrustDirectoryEmpty, match="File name too long"):
        TrustAnchors.load(str(tmp_path / ("x" * 300)))


def test_good_directory_has_no_problems(pki: Pki, anchors: Anchors) -> None:
    pki.intermediate()
    (pki.certificates / "README").write_text("not looked at")
    (pki.certificates / "x.crl_url").write_text("not looked at")
    assert anchors().problems == ()


BAD_FILES: dict[str, tuple[str, bytes, str]] = {
    "empty-certificate": ("a.pem", b"", "no CERTIFICATE in it"),
    "private-key": ("a.pem", b"-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n", "no CERTIFICATE in it"),
    "cut-certificate": ("a.crt", b"-----BEGIN CERTIFICATE-----\nAAAA", "a CERTIFICATE in it has no end"),
    "no-base64": (
        "0badf00d.0",
        b"-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----",
        "a CERTIFICATE in it is no base64: Only base64 data is allowed",
    ),
    "no-certificate": (
        "0badf00d.1",
        b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----",
        "not an X.509 certificate",
    ),
    "der-rubbish": ("a.pem", b"\x30\x03abc", "not an X.509 certificate"),
    "crl": ("0badf00d.r0", b"x", "no X509 CRL in it"),
    "crl-der-rubbish": ("0badf00d.r1", b"\x30\x00", "not an X.509 CRL"),
    "policy": ("a.signing_policy", b"access_id_CA X509\n", "line 1: 2 words, expected 3"),
    "policy-not-text": ("a.signing_policy", b"# \xff\n", "not UTF-8 at byte 2"),
    "namespaces": ("a.namespaces", b"\nTO nobody", "line 2: not understood: TO nobody"),
    "self-of-nobody": (
        "a.namespaces",
        b'TO Issuer SELF PERMIT Subject "/DC=.*"',
        "SELF, but there is no CA certificate of that file name",
    ),
}


@pytest.mark.parametrize(("name", "content", "words"), BAD_FILES.values(), ids=BAD_FILES)
def test_one_bad_file_is_named_and_spoils_nothing(
    name: str, content: bytes, words: str, pki: Pki, anchors: Anchors, now: datetime
) -> None:
    message = pki.endorser().sign(CONTENT)
    (pki.certificates / name).write_bytes(content)
    held = anchors()
    assert problems(held) == {name: words}
    assert verify(message, held, now).warnings == ()
    assert (held.unread_ca is not None) == (name.rpartition(".")[2] in {"pem", "crt", "0", "1"})


def test_good_certificate_beside_a_bad_one_in_one_file_is_read(pki: Pki, anchors: Anchors, now: datetime) -> None:
    message = pki.endorser().sign(CONTENT)
    bad = b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"
    pki.certificate.write_bytes(b"some text\n" + bad + pki.certificate.read_bytes() + b"more text")
    verify(message, anchors(), now)
    assert list(problems(anchors())) == [pki.certificate.name]


def test_certificate_in_der_is_read(pki: Pki, anchors: Anchors, now: datetime) -> None:
    pki.certificate.write_bytes(pki.parsed.public_bytes(Encoding.DER))
    verify(pki.endorser().sign(CONTENT), anchors(), now)


@pytest.mark.parametrize("name", ["ca.pem", "ca.crt"])
def test_certificate_under_another_name_is_read(name: str, pki: Pki, anchors: Anchors, now: datetime) -> None:
    pki.certificate.rename(pki.certificates / name)
    verify(pki.endorser().sign(CONTENT), anchors(), now)


def test_named_pipe_is_not_opened(pki: Pki, anchors: Anchors) -> None:
    os.mkfifo(pki.certificates / "a.pem")
    assert problems(anchors()) == {"a.pem": "not a regular file"}


def test_huge_file_is_not_read(pki: Pki, anchors: Anchors) -> None:
    for name, size in (("a.pem", 1 << 20), ("b.pem", (1 << 20) + 1)):
        with (pki.certificates / name).open("wb") as file:
            file.truncate(size)
    assert problems(anchors()) == {"a.pem": "no CERTIFICATE in it", "b.pem": "larger than 1048576 bytes"}


def test_dangling_link_is_named_but_leaves_no_doubt_about_cas(pki: Pki, anchors: Anchors) -> None:
    (pki.certificates / "a.pem").symlink_to("nowhere")
    assert problems(anchors()) == {"a.pem": "No such file or directory"}
    assert anchors().unread_ca is None


def test_one_file_under_four_names_is_one(pki: Pki, anchors: Anchors) -> None:
    for name in ("a.pem", "0badf00d.0", "0badf00e.0"):
        (pki.certificates / name).symlink_to(pki.certificate)
    (pki.certificates / "copy.pem").write_bytes(pki.certificate.read_bytes())
    (found,) = anchors().authorities.values()
    assert len(found) == 1


def test_overlay_that_is_no_directory_is_named(pki: Pki, anchors: Anchors) -> None:
    overlay = pki.root / "fetched"
    overlay.write_text("")
    assert problems(anchors()) == {str(overlay): "Not a directory"}


def test_certificates_and_policies_of_the_overlay_are_not_looked_at(pki: Pki, anchors: Anchors) -> None:
    (pki.root / "fetched").mkdir()
    (pki.root / "fetched" / "a.pem").write_bytes(b"rubbish")
    (pki.root / "fetched" / "a.namespaces").write_bytes(b"rubbish")
    assert anchors().problems == ()


def test_policy_that_may_not_be_read_is_not_passed_over(pki: Pki, anchors: Anchors, now: datetime) -> None:
    """What it forbids would be permitted then."""
    message = pki.endorser().sign(CONTENT)
    pki.namespaces.unlink()
    pki.namespaces.mkdir()
    with pytest.raises(PolicyUnreadable, match="not a regular file"):
        verify(message, anchors(), now)


def test_self_is_the_ca_of_the_same_file_name(pki: Pki, anchors: Anchors, now: datetime) -> None:
    message = pki.endorser().sign(CONTENT)
    (pki.certificates / "alias.pem").symlink_to(pki.certificate)
    pki.write_policies(signing_policy=False, namespaces=False)
    (pki.certificates / "alias.namespaces").write_text('TO Issuer SELF PERMIT Subject "/DC=test/.*"\n')
    verify(message, anchors(), now, TrustRules())


def test_files_that_belong_to_nobody_else_do_not_matter(pki: Pki, anchors: Anchors, now: datetime) -> None:
    other = Pki(pki.root, name="Other CA", now=now)
    other.namespaces.write_text("rubbish")
    other.crl.write_text("rubbish")
    verify(pki.endorser().sign(CONTENT), anchors(), now)


def test_policies_may_spell_the_ca_with_or_without_escapes(pki: Pki, anchors: Anchors) -> None:
    name = x509.Name([*x509_name("/DC=test/DC=grid"), x509.NameAttribute(x509.NameOID.COMMON_NAME, "CA/1")])
    ca = pki.intermediate("CA 1", named(name))
    ca.signing_policy.write_text(pki.signing_policy.read_text().replace(pki.subject, "/DC=test/DC=grid/CN=CA/1"))
    ca.namespaces.write_text('TO Issuer "/DC=test/DC=grid/CN=CA\\/1" PERMIT Subject "/DC=test/DC=grid/.*"')
    held = anchors()
    (found,) = held.authorities["/DC=test/DC=grid/CN=CA\\/1"]
    assert sorted(grant.kind for grant in held.grants_of(found)) == ["namespaces", "signing_policy"]
