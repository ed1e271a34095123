"""May this CA give this name? Each step of a chain is held against the policy files of the site."""

from __future__ import annotations

from vmcatcher.errors.certificates import (
    CaOutsideNamespace,
    PolicyMissing,
    PolicyUnreadable,
    SignerOutsideNamespace,
)
from vmcatcher.trust.anchors import TrustAnchors
from vmcatcher.trust.certificates import Link
from vmcatcher.trust.occasion import Occasion
from vmcatcher.trust.policy import is_permitted


def check_namespace(link: Link, anchors: TrustAnchors, occasion: Occasion) -> None:
    """Check that the policies of the issuer permit the subject.

    Raises:
        SignerOutsideNamespace, CaOutsideNamespace: they do not.
        PolicyMissing, PolicyUnreadable: at a first look, nobody says what the issuer may sign. A file that cannot be
            understood is not passed over, since what it forbids would be permitted then.
    """
    which = link.certificate.which
    grants = anchors.grants_of(link.issuer)
    broken = anchors.broken_policy_of(link.issuer)
    if broken is not None:
        occasion.complain(PolicyUnreadable(**which, file=broken.file, problem=broken.problem))
    elif not grants:
        occasion.complain(PolicyMissing(**which, directory=anchors.directory))
    kinds = sorted({grant.kind for grant in grants})
    for kind in kinds[:1] if occasion.rules.policy == "first" else kinds:
        of_kind = [grant for grant in grants if grant.kind == kind]
        if not is_permitted(of_kind, link.certificate.subject):
            outside = SignerOutsideNamespace if link.is_signer else CaOutsideNamespace
            raise outside(**which, policy=", ".join(sorted({grant.file for grant in of_kind})))
