"""The examination of a signed list again, one step at a time, going on where `verify` stops.

Each step calls the very function that `verify` calls, in the same order, so that the first one that fails is what
`verify` refuses with. What it says of the steps behind that one is for people; nothing is ever accepted by it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeVar

from vmcatcher.errors import VmcatcherError
from vmcatcher.errors.certificates import CertificateExpired, CertificateNotYetValid
from vmcatcher.errors.trust import ListTooLarge, ListUntrusted
from vmcatcher.model.explanation import CertificateFacts, CrlFacts, Outcome, Step
from vmcatcher.model.identity import OneLineName
from vmcatcher.model.verified import VerifiedList
from vmcatcher.trust.algorithms import described
from vmcatcher.trust.anchors import TrustAnchors
from vmcatcher.trust.certificates import Certificate, Link
from vmcatcher.trust.checks import check_signer, listed
from vmcatcher.trust.cms import SignatureBlock, read_signature_block
from vmcatcher.trust.inventory import Inventory
from vmcatcher.trust.mime import Wrapped, inner_content, unwrap
from vmcatcher.trust.namespace import check_namespace
from vmcatcher.trust.occasion import Occasion
from vmcatcher.trust.path import build_path
from vmcatcher.trust.revocation import check_revocation
from vmcatcher.trust.rules import TrustRules
from vmcatcher.trust.signature import Signature, hold_signature, signer_certificate
from vmcatcher.trust.verify import verify

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a message says and who signed it, although it cannot be trusted: to be shown, never to be used."""

    signed: bytes
    content: bytes
    signer: OneLineName
    issuer: OneLineName


@dataclass(frozen=True, slots=True)
class Examined:
    """Every step of the examination, and what `verify` itself made of the list."""

    steps: tuple[Step, ...]
    verified: VerifiedList | None
    refusal: VmcatcherError | None
    """What `verify` raised; None where it accepted."""
    claimed: Claimed | None
    """What the signature covers, where one holds."""


def examine(
    signed: bytes, anchors: TrustAnchors, now: datetime, rules: TrustRules, inventory: Inventory | None = None
) -> Examined:
    """Return each step of verifying a signed list at `now`; `inventory` tells in which files things are.

    Never raises for what the list holds.
    """
    verified, refusal = None, None
    try:
        verified = verify(signed, anchors, now, rules)
    except VmcatcherError as error:
        refusal = error
    examiner = _Examiner(anchors, now, rules, inventory)
    examiner.look_at_size(signed, refusal)
    claimed = examiner.look_at(signed)
    return Examined(tuple(examiner.steps), verified, refusal, claimed)


@dataclass(slots=True)
class _Examiner:
    """One examination: the steps so far."""

    anchors: TrustAnchors
    now: datetime
    rules: TrustRules
    inventory: Inventory | None
    steps: list[Step] = field(default_factory=list)

    def look_at_size(self, signed: bytes, refusal: VmcatcherError | None) -> None:
        """Note whether the list is small enough, which `verify` alone decides."""
        if isinstance(refusal, ListTooLarge):
            self._note("size", Outcome.FAILED, str(refusal), error=refusal)
        else:
            self._note("size", Outcome.OK, f"{len(signed)} bytes, at most {self.rules.max_bytes} are allowed")

    def look_at(self, signed: bytes) -> Claimed | None:
        """Note every step; return what the signature covers."""
        wrapped = self._try("wrapper", lambda _: unwrap(signed))
        if wrapped is None:
            return None
        kind = "the signature block holds the list" if wrapped.part is None else "the list, and its signature beside it"
        self._note("wrapper", Outcome.OK, f"S/MIME: {kind}")
        block = self._try("block", lambda _: read_signature_block(wrapped.block))
        if block is None:
            return None
        more = f"{len(block.certificates)} certificates with it, of which only the signer's is used"
        self._note("block", Outcome.OK, f"one signature; {more}")
        signature = self._look_at_signature(block, wrapped)
        certificate = signature.certificate if signature else self._certificate(block)
        if certificate is not None:
            self._look_at_certificates(certificate)
        if signature is None:
            return None
        content = self._try("content", lambda _: inner_content(signature.content))
        if content is None:
            return None
        self._note("content", Outcome.OK, f"{len(content)} bytes are signed")
        return Claimed(signed, content, signature.certificate.subject, signature.certificate.issuer)

    def _look_at_signature(self, block: SignatureBlock, wrapped: Wrapped) -> Signature | None:
        found = self._try("signature", lambda _: hold_signature(block, wrapped.part, sha1=self.rules.sha1))
        if found is not None:
            key = described(found.certificate.key)
            self._note("signature", Outcome.OK, f"holds, over the {found.digest} digest of the list, by a key of {key}")
        return found

    def _certificate(self, block: SignatureBlock) -> Certificate | None:
        """Return the signer's certificate of a signature that does not hold; why there is none was said already."""
        try:
            return signer_certificate(block)
        except ListUntrusted:
            return None

    def _look_at_certificates(self, certificate: Certificate) -> None:
        facts = (self._facts(certificate),)
        said = f"{certificate.subject} may sign lists, until {certificate.not_after:%Y-%m-%d}"
        self._run("signer", lambda occasion: check_signer(certificate, occasion), said, certificates=facts)
        chain = self._look_at_chain(certificate)
        if chain is None:
            for name in ("namespace", "revocation"):
                self._note(name, Outcome.SKIPPED, "there is no chain of certificates to look at")
            return
        links = [Link(chain[at], chain[at + 1], is_signer=at == 0) for at in range(len(chain) - 1)]
        for link in links:
            self._look_at_namespace(link)
        # From the root down, as `verify` does: a revoked CA says more than what its own CRL lists.
        for link in reversed(links):
            self._look_at_revocation(link)

    def _look_at_chain(self, certificate: Certificate) -> tuple[Certificate, ...] | None:
        """Return the chain that `verify` takes, or the one that it would take if no CA were past its end."""
        chain = self._try("chain", lambda occasion: build_path(certificate, self.anchors, occasion))
        if chain is not None:
            above = " <- ".join(str(one.subject) for one in chain[1:]) or "itself, a root"
            facts = tuple(self._facts(one) for one in chain[1:])
            self._note("chain", Outcome.OK, f"issued by {above}", certificates=facts)
            return chain
        tried = self.anchors.issuers_of(certificate)
        facts = tuple(self._facts(ca) for ca in tried)
        self.steps[-1] = _with(self.steps[-1], certificates=facts)
        if not isinstance(self.steps[-1].error, CertificateExpired | CertificateNotYetValid):
            return None
        try:
            return build_path(certificate, self.anchors, Occasion(self.now, self.rules, admitted=self.now))
        except VmcatcherError:
            return None

    def _look_at_namespace(self, link: Link) -> None:
        if self.rules.policy == "off":
            self._note("namespace", Outcome.SKIPPED, "the settings ask for no policy (trust.policy is off)")
            return
        grants = self.anchors.grants_of(link.issuer)
        subject = link.certificate.subject
        details = tuple(
            f"{grant.file}, line {grant.line}: {grant.verdict} {grant.pattern}"
            + ("" if grant.covers(subject) else " (another name)")
            for grant in grants
        )
        said = f"{link.issuer.subject} may issue {subject}"
        self._run("namespace", lambda it: check_namespace(link, self.anchors, it), said, details=details)

    def _look_at_revocation(self, link: Link) -> None:
        if self.rules.crl == "off":
            self._note("revocation", Outcome.SKIPPED, "the settings ask for no CRL (trust.crl is off)")
            return
        facts: list[CrlFacts] = []

        def ask(occasion: Occasion) -> None:
            answer = None
            try:
                answer = check_revocation(link, self.anchors, occasion)
            finally:
                facts.extend(self._crl_facts(link, answer.der if answer else b""))

        said = f"{link.certificate.subject} is not revoked, says {link.issuer.subject}"
        self._run("revocation", ask, said)
        self.steps[-1] = _with(self.steps[-1], crls=tuple(facts))

    def _crl_facts(self, link: Link, answered: bytes) -> Iterator[CrlFacts]:
        for crl in self.anchors.crls_of(link.issuer):
            yield CrlFacts(
                issuer=str(crl.issuer),
                file=self._place(crl.der) or self.anchors.directory,
                this_update=crl.last_update,
                next_update=crl.next_update,
                is_usable=crl.der == answered,
            )

    def _facts(self, one: Certificate) -> CertificateFacts:
        return certificate_facts(one, self._place(one.der))

    def _place(self, der: bytes) -> str | None:
        return None if self.inventory is None else self.inventory.place_of(der)

    def _try(self, name: str, step: Callable[[Occasion], _T]) -> _T | None:
        """Return what a step returns; None, and its refusal noted, where it refuses."""
        try:
            return step(Occasion(self.now, self.rules))
        except VmcatcherError as error:
            self._note(name, Outcome.FAILED, str(error), error=error)
            return None

    def _run(
        self,
        name: str,
        step: Callable[[Occasion], None],
        said: str,
        *,
        certificates: tuple[CertificateFacts, ...] = (),
        details: tuple[str, ...] = (),
    ) -> None:
        """Note a step that returns nothing: `said` where it passes, its warnings and its refusal otherwise."""
        occasion = Occasion(self.now, self.rules)
        error: VmcatcherError | None = None
        outcome = Outcome.OK
        try:
            step(occasion)
        except VmcatcherError as refusal:
            error, outcome, said = refusal, Outcome.FAILED, str(refusal)
        if occasion.warnings and error is None:
            outcome, said = Outcome.WARNING, occasion.warnings[0]
        self.steps.append(Step(name, outcome, said, error, certificates=certificates, details=details))

    def _note(
        self,
        name: str,
        outcome: Outcome,
        said: str,
        *,
        error: VmcatcherError | None = None,
        certificates: tuple[CertificateFacts, ...] = (),
    ) -> None:
        self.steps.append(Step(name, outcome, said, error, certificates=certificates))


def _with(step: Step, **changes: object) -> Step:
    return replace(step, **changes)  # type: ignore[arg-type]  # fields of Step, given in this module alone


def certificate_facts(one: Certificate, file: str | None) -> CertificateFacts:
    """Return what people compare of a certificate; `file` is where it is."""
    return CertificateFacts(
        subject=str(one.subject),
        issuer=str(one.issuer),
        serial=f"{one.serial:X}",
        not_before=one.not_before,
        not_after=one.not_after,
        key=described(one.key),
        digest=one.scheme.digest.name if one.scheme.digest else "",
        usages=tuple(sorted(one.usages or ())),
        extended_usages=() if one.extended_usages is None else tuple(listed(one.extended_usages).split(", ")),
        file=file,
    )
