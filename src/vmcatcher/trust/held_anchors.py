"""Trust anchors that come with a proof, and not from a directory; what of a directory belongs into a proof."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from vmcatcher.errors.certificates import PolicyUnreadable
from vmcatcher.errors.proof import ProofMalformed
from vmcatcher.model.identity import normal_dn
from vmcatcher.model.proof import Policy
from vmcatcher.trust.anchor_files import AnchorFile, FileKind, read_files
from vmcatcher.trust.anchors import TrustAnchors
from vmcatcher.trust.certificates import Certificate, read_certificate
from vmcatcher.trust.crl import Crl, read_crl
from vmcatcher.trust.policy import Grant, Kind, PolicyProblem, parse_policy
from vmcatcher.trust.shield import Undecodable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from vmcatcher.model.proof import Authority

_ORIGIN: Final = "the proof"
_POLICIES: Final[frozenset[FileKind]] = frozenset({"signing_policy", "namespaces"})


def held_anchors(authorities: Iterable[Authority], crls: Iterable[bytes]) -> TrustAnchors:
    """Return anchors of just these CAs with their policies, and of these CRLs (DER).

    What is verified with them is consistent, and no more than that: whoever made the CAs up can make up the rest.

    Raises:
        ProofMalformed: a certificate, a policy or a CRL cannot be read.
    """
    found: dict[str, list[Certificate]] = {}
    grants: dict[str, list[Grant]] = {}
    for authority in authorities:
        ca = _certificate(authority.certificate)
        found.setdefault(ca.subject.escaped, []).append(ca)
        for grant in (grant for policy in authority.policies for grant in _grants(policy)):
            issuer = ca.subject.escaped if grant.issuer is None else grant.issuer
            grants.setdefault(normal_dn(issuer), []).append(grant)
    anchors = TrustAnchors(
        directory=_ORIGIN,
        problems=(),
        unread_ca=None,
        authorities={name: tuple(cas) for name, cas in found.items()},
        crls={},
        grants={name: tuple(own) for name, own in grants.items()},
        broken_policies={},
        broken_crls={},
    )
    return with_crls(anchors, crls)


def with_crls(anchors: TrustAnchors, crls: Iterable[bytes]) -> TrustAnchors:
    """Return the same CAs and policies with these CRLs (DER) in place of their own.

    Raises:
        ProofMalformed: one of them cannot be read.
    """
    found: dict[str, list[Crl]] = {}
    for der in crls:
        try:
            crl = read_crl(der)
        except Undecodable as exc:
            raise ProofMalformed(part="crls", expected=f"an X.509 CRL ({exc})") from exc
        found.setdefault(crl.issuer.escaped, []).append(crl)
    # What was found out with other CRLs does not count with these.
    crls_by_name = {name: tuple(own) for name, own in found.items()}
    return replace(anchors, crls=crls_by_name, broken_crls={}, overlaid={}, vouched={})


def subject_of(der: bytes) -> str:
    """Return the name of a certificate.

    Raises:
        ProofMalformed: it cannot be read.
    """
    return str(_certificate(der).subject)


def policies_of(anchors: TrustAnchors, authorities: Sequence[bytes]) -> tuple[tuple[Policy, ...], ...]:
    """Return the policy files of a trust-anchor directory that say what these CAs (DER) may sign, for each CA its own.

    A file that says SELF is of the CA that it means; any other one that is needed is of the first CA that needs it.

    Raises:
        PolicyUnreadable: a CA has a file that is of no use, or one that would mean something else in a proof: what it
            forbids would be permitted there.
        ProofMalformed: a certificate cannot be read.
    """
    cas = [_certificate(der) for der in authorities]
    for ca in cas:
        broken = anchors.broken_policy_of(ca)
        if broken is not None:
            raise PolicyUnreadable(**ca.which, file=broken.file, problem=broken.problem)
    try:
        files = read_files(anchors.directory, _POLICIES, [])
    except OSError:
        files = []  # it was there a moment ago; a proof without policies is not made
    found: list[list[Policy]] = [[] for _ in cas]
    # In the order of their names: a proof is the same whenever it is made.
    for file in files:
        for at in _owners(anchors, cas, file):
            found[at].append(Policy(file.kind, file.content.decode()))
    return tuple(map(tuple, found))


def _owners(anchors: TrustAnchors, cas: Sequence[Certificate], file: AnchorFile) -> list[int]:
    """Return which of the CAs a policy file goes with; none where none of them needs it."""
    own = [[grant for grant in anchors.grants_of(ca) if grant.file == file.name] for ca in cas]
    users = [at for at, grants in enumerate(own) if grants]
    owners = [at for at in users if any(grant.issuer is None for grant in own[at])]
    if not owners and users:
        grants = _grants(Policy(file.kind, file.content.decode()))
        if any(grant.issuer is None for grant in grants):
            problem = "it says SELF of a CA that is not in the chain"
            raise PolicyUnreadable(**cas[users[0]].which, file=file.name, problem=problem)
    return owners or users[:1]


def _certificate(der: bytes) -> Certificate:
    try:
        return read_certificate(der, is_anchor=True)
    except Undecodable as exc:
        raise ProofMalformed(part="certificate", expected=f"an X.509 certificate ({exc})") from exc


def _grants(policy: Policy) -> Sequence[Grant]:
    kind: Kind = "namespaces" if policy.kind == "namespaces" else "signing_policy"
    try:
        return parse_policy(kind, policy.text.encode("utf-8", "surrogatepass"), f"{policy.kind} in {_ORIGIN}")
    except PolicyProblem as exc:
        raise ProofMalformed(part="authorities.policies", expected=f"a {kind} file ({exc})") from exc
