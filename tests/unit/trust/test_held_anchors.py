"""Anchors that come with a proof."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from support.pki import Pki
from vmcatcher.errors.proof import ProofMalformed
from vmcatcher.errors.revocation import CrlMissing, SignerRevoked
from vmcatcher.model.proof import Authority, Policy
from vmcatcher.trust.anchors import TrustAnchors
from vmcatcher.trust.held_anchors import held_anchors, policies_of, subject_of, with_crls
from vmcatcher.trust.rules import TrustRules
from vmcatcher.trust.verify import verify

RULES = TrustRules()


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    """A CA with policies and a CRL."""
    return Pki(tmp_path)


def _authority(pki: Pki, *policies: Policy) -> Authority:
    der = pki.parsed.public_bytes(Encoding.DER)
    return Authority(der, pki.subject, policies or policies_of(TrustAnchors.load(str(pki.certificates)), [der])[0])


def test_anchors_of_a_proof_judge_as_the_directory_does(pki: Pki) -> None:
    signed = pki.endorser().sign(b"{}")
    own = TrustAnchors.load(str(pki.certificates))
    held = held_anchors([_authority(pki)], [pki.crl_der()])
    assert verify(signed, held, pki.now, RULES).chain == verify(signed, own, pki.now, RULES).chain
    assert held.directory == "the proof"


def test_self_is_the_ca_that_the_policy_came_with(pki: Pki) -> None:
    policy = Policy("namespaces", 'TO Issuer SELF PERMIT Subject "/DC=test/.*"\n')
    held = held_anchors([_authority(pki, policy)], [pki.crl_der()])
    assert verify(pki.endorser().sign(b"{}"), held, pki.now, RULES).warnings == ()


def test_crls_take_the_place_of_those_that_were_asked_before(pki: Pki) -> None:
    """Also where the same list was found good at the same time with the others a moment ago."""
    alice = pki.endorser()
    signed = alice.sign(b"{}")
    own = TrustAnchors.load(str(pki.certificates))
    verify(signed, own, pki.now, RULES)
    pki.revoke(alice)
    revoking = with_crls(own, [pki.crl_der()])
    with pytest.raises(SignerRevoked):
        verify(signed, revoking, pki.now, RULES)
    with pytest.raises(CrlMissing):
        verify(signed, with_crls(own, []), pki.now, RULES)
    verify(signed, own, pki.now + timedelta(seconds=1), RULES)


@pytest.mark.parametrize(
    "call",
    [
        lambda: held_anchors([Authority(b"x", "", ())], []),
        lambda: held_anchors([], [b"x"]),
        lambda: subject_of(b""),
        lambda: subject_of(b"\x30\x00"),
    ],
    ids=range(4),
)
def test_part_that_cannot_be_read_is_refused(call: Callable[[], object]) -> None:
    with pytest.raises(ProofMalformed):
        call()


def test_policy_that_cannot_be_read_is_refused(pki: Pki) -> None:
    with pytest.raises(ProofMalformed, match="signing_policy"):
        held_anchors([_authority(pki, Policy("signing_policy", "nonsense"))], [])


def test_directory_that_vanished_has_no_policies(pki: Pki) -> None:
    own = TrustAnchors.load(str(pki.certificates))
    for path in pki.certificates.iterdir():
        path.unlink()
    pki.certificates.rmdir()
    assert policies_of(own, [pki.parsed.public_bytes(Encoding.DER)]) == ((),)
