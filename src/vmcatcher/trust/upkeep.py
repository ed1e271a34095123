"""What is wrong with the CAs of a trust-anchor directory, told by the functions that would refuse a list for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from cryptography.x509 import GeneralName

from vmcatcher.errors import VmcatcherError
from vmcatcher.errors.certificates import CaMayNotIssue, CertificateExpired, NotACa, PolicyMissing, PolicyUnreadable
from vmcatcher.errors.revocation import CrlMissing, CrlScope
from vmcatcher.model.instant import instant_text
from vmcatcher.model.upkeep import Authority, Finding, Weight
from vmcatcher.trust.algorithms import described
from vmcatcher.trust.anchors import TrustAnchors
from vmcatcher.trust.certificates import Certificate, Link
from vmcatcher.trust.checks import check_strength, untimely
from vmcatcher.trust.crl import Crl
from vmcatcher.trust.inventory import Inventory
from vmcatcher.trust.namespace import check_namespace
from vmcatcher.trust.occasion import Occasion
from vmcatcher.trust.path import build_path
from vmcatcher.trust.revocation import check_revocation
from vmcatcher.trust.rules import TrustRules

# Longer than a serial number may be (RFC 5280, section 4.1.2.2), so that no CRL lists it.
_UNLISTED: Final = 1 << 400
_SHARE_LEFT: Final = 4


@dataclass(frozen=True, slots=True)
class Look:
    """One look at the authorities: the anchors, by which rules, when, and how long before an end to warn."""

    anchors: TrustAnchors
    inventory: Inventory
    rules: TrustRules
    now: datetime
    warn_within: timedelta

    @property
    def occasion(self) -> Occasion:
        """A first look at a list, which is the strict one."""
        return Occasion(self.now, self.rules)


def authorities(look: Look) -> Iterator[tuple[Certificate, Authority, tuple[Finding, ...]]]:
    """Yield every CA with what is wrong with it, by the file that it is in."""
    known = [ca for found in look.anchors.authorities.values() for ca in found]
    for ca in sorted(known, key=lambda one: look.inventory.place_of(one.der) or ""):
        findings = tuple(_findings(ca, look))
        crl = current_crl(ca, look)
        yield ca, _authority(ca, crl, look), findings


def _authority(ca: Certificate, crl: Crl | None, look: Look) -> Authority:
    return Authority(
        subject=str(ca.subject),
        file=look.inventory.place_of(ca.der) or "",
        not_after=ca.not_after,
        key=described(ca.key),
        policies=tuple(sorted({grant.file for grant in look.anchors.grants_of(ca)})),
        crl=look.inventory.place_of(crl.der) if crl is not None else None,
        crl_made=crl.last_update if crl is not None else None,
        crl_ends=crl.next_update if crl is not None else None,
    )


def current_crl(ca: Certificate, look: Look) -> Crl | None:
    """Return the CRL by which the certificates of a CA are judged now; None where none can be."""
    try:
        return check_revocation(_any_of(ca, look), look.anchors, look.occasion)
    except VmcatcherError:
        return None


def _any_of(ca: Certificate, look: Look) -> Link:
    """Return a certificate of the CA that no CRL lists, to ask what its CRLs are good for."""
    points: set[GeneralName] = set()
    for crl in look.anchors.crls_of(ca):
        points |= crl.distribution_points or set()
    return Link(replace(ca, serial=_UNLISTED, distribution_points=frozenset(points)), ca, is_signer=False)


def _findings(ca: Certificate, look: Look) -> Iterator[Finding]:
    file = look.inventory.place_of(ca.der)

    def finding(weight: Weight, identifier: str, said: str) -> Finding:
        return Finding(weight, identifier, said, file, str(ca.subject))

    late = untimely(ca, look.now, is_signer=False)
    if late is not None:
        yield finding(Weight.REFUSES, late.id, str(late))
        if isinstance(late, CertificateExpired):
            return  # nothing else about it matters any more
    elif ca.not_after - look.now < look.warn_within:
        yield finding(
            Weight.WARNS, "ca-ends-soon", f"the CA certificate {ca.subject} ends {instant_text(ca.not_after)}"
        )
    for check in (_check_itself, _check_above, _check_policy):
        error = _refusal(lambda check=check: check(ca, look))  # type: ignore[misc]  # mypy does not see the default
        if error is not None:
            yield finding(Weight.REFUSES, error.id, str(error))
    if look.rules.crl != "off":
        yield from _crl_findings(ca, look, finding)


def _refusal(check: Callable[[], None]) -> VmcatcherError | None:
    try:
        check()
    except VmcatcherError as error:
        return error
    return None


def _check_itself(ca: Certificate, _: Look) -> None:
    check_strength(ca, is_signer=False)
    if not ca.is_ca:
        raise NotACa(**ca.which)
    if ca.usages is not None and "keyCertSign" not in ca.usages:
        raise CaMayNotIssue(**ca.which)


def _check_above(ca: Certificate, look: Look) -> None:
    """Check that an intermediate CA leads to a root, which let it have its name and did not revoke it."""
    if ca.is_issued_by(ca):
        return
    chain = build_path(ca, look.anchors, look.occasion)
    link = Link(ca, chain[1], is_signer=False)
    if look.rules.policy != "off":
        check_namespace(link, look.anchors, look.occasion)
    for crl in look.anchors.crls_of(chain[1]):
        if crl.is_signed_by(chain[1]) and crl.entry(ca) is not None:
            # That the parent has no CRL is said of the parent.
            check_revocation(link, look.anchors, look.occasion)


def _check_policy(ca: Certificate, look: Look) -> None:
    if look.rules.policy == "off":
        return
    broken = look.anchors.broken_policy_of(ca)
    if broken is not None:
        raise PolicyUnreadable(str(ca.subject), "", str(ca.subject), file=broken.file, problem=broken.problem)
    if not look.anchors.grants_of(ca):
        raise PolicyMissing(str(ca.subject), "", str(ca.subject), directory=look.anchors.directory)


def _crl_findings(ca: Certificate, look: Look, finding: Callable[[Weight, str, str], Finding]) -> Iterator[Finding]:
    strictly = Occasion(look.now, replace(look.rules, crl="require"))
    try:
        crl = check_revocation(_any_of(ca, look), look.anchors, strictly)
    except VmcatcherError as error:
        weight = Weight.REFUSES if look.rules.crl == "require" else Weight.WARNS
        yield finding(weight, error.id, _crl_words(error, ca))
        return
    if crl is None or crl.next_update is None:
        return
    # Some CAs sign a new list each week and some twice a year; neither is late as long as three quarters are left.
    margin = min(look.warn_within, (crl.next_update - crl.last_update) / _SHARE_LEFT)
    if crl.next_update - look.now < margin:
        said = f"the CRL of {ca.subject} ends {instant_text(crl.next_update)}, and no newer one came"
        yield finding(Weight.WARNS, "crl-ends-soon", said)


def _crl_words(error: VmcatcherError, ca: Certificate) -> str:
    match error:
        case CrlMissing():
            return f"no CRL of {ca.subject} in {error.directory}"
        case CrlScope():
            return f"the CRL of {ca.subject} is not a whole one: {error.problem}"
        case _:
            return str(error)
