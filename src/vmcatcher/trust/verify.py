"""The verdict on a signed list: the only place where a `VerifiedList` is made."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from vmcatcher.errors.trust import ListTooLarge
from vmcatcher.model.verified import VerifiedList
from vmcatcher.trust.anchors import TrustAnchors
from vmcatcher.trust.certificates import Certificate, Link
from vmcatcher.trust.checks import check_signer
from vmcatcher.trust.cms import read_signature_block
from vmcatcher.trust.crl import Crl
from vmcatcher.trust.mime import inner_content, unwrap
from vmcatcher.trust.namespace import check_namespace
from vmcatcher.trust.occasion import Occasion
from vmcatcher.trust.path import Chain, build_path
from vmcatcher.trust.revocation import check_revocation
from vmcatcher.trust.rules import TrustRules
from vmcatcher.trust.signature import hold_signature

_DEFAULT_RULES: Final = TrustRules()


def verify(signed: bytes, anchors: TrustAnchors, now: datetime, rules: TrustRules = _DEFAULT_RULES) -> VerifiedList:
    """Return the content of a signed list with who signed it, if everything about it can be trusted at `now`.

    The content is not parsed here, and whether the signer is the one that the list names is not looked at.

    Raises:
        ListUntrusted: a subclass that says what is wrong, whatever the bytes are.
    """
    return _examined(signed, anchors, Occasion(now, rules))


def judge(
    signed: bytes, anchors: TrustAnchors, *, admitted: datetime, now: datetime, rules: TrustRules = _DEFAULT_RULES
) -> VerifiedList:
    """Return a list that `verify` accepted at `admitted`, if nothing proves since then that trust is gone.

    The same examination again with the CAs, policies and CRLs as they are now. What merely got old or went missing (the
    signer's or a CA's certificate, a CRL, a policy file) is a warning; its size does not matter any more.

    Raises:
        ListUntrusted: a certificate of its chain was revoked, a CA is trusted no longer, or it was damaged.
        TrustDirectoryDamaged: a CA is not found, but a CA file cannot be read, so nothing may follow from that.
    """
    return _examined(signed, anchors, Occasion(now, rules, admitted))


def _examined(signed: bytes, anchors: TrustAnchors, occasion: Occasion) -> VerifiedList:
    rules = occasion.rules
    if occasion.is_first and len(signed) > rules.max_bytes:
        raise ListTooLarge(size_bytes=len(signed), limit_bytes=rules.max_bytes)
    wrapped = unwrap(signed)
    signature = hold_signature(read_signature_block(wrapped.block), wrapped.part, sha1=rules.sha1)
    check_signer(signature.certificate, occasion)
    chain, crls = _vouched_for(signature.certificate, anchors, occasion)
    return VerifiedList(
        signed=signed,
        content=inner_content(signature.content),
        signer=signature.certificate.subject,
        issuer=signature.certificate.issuer,
        digest=signature.digest,
        chain=tuple(certificate.der for certificate in chain),
        crls=tuple(crl.der for crl in crls),
        verified_at=occasion.now,
        warnings=tuple(occasion.warnings),
    )


def _vouched_for(signer: Certificate, anchors: TrustAnchors, occasion: Occasion) -> tuple[Chain, tuple[Crl, ...]]:
    """Return the chain above a signer's certificate and the CRLs that were asked.

    It depends on the certificate, the anchors and the occasion, and is therefore found out once for all lists of a
    signer. Who is refused is refused anew each time.
    """
    matter = (signer.der, occasion.now, occasion.rules, occasion.is_first)
    known = anchors.vouched.get(matter)
    if known is None:
        said = len(occasion.warnings)
        chain = build_path(signer, anchors, occasion)
        links = [Link(chain[at], chain[at + 1], is_signer=at == 0) for at in range(len(chain) - 1)]
        if occasion.rules.policy != "off":
            for link in links:
                check_namespace(link, anchors, occasion)
        crls = () if occasion.rules.crl == "off" else tuple(_asked(links, anchors, occasion))
        anchors.vouched[matter] = chain, crls, tuple(occasion.warnings[said:])
        return chain, crls
    chain, crls, warnings = known
    occasion.warnings.extend(warnings)
    return chain, crls


def _asked(links: list[Link], anchors: TrustAnchors, occasion: Occasion) -> list[Crl]:
    """Return the CRLs that answered, from the root down: a revoked CA says more than what its own CRL lists."""
    answers = [check_revocation(link, anchors, occasion) for link in reversed(links)]
    return [crl for crl in reversed(answers) if crl is not None]
