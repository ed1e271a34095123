"""Who signed lists in this run: each certificate judged once, and whom a subscription takes lists from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vmcatcher.errors import VmcatcherError
from vmcatcher.store import endorsers, prints
from vmcatcher.trust.verify import verify

if TYPE_CHECKING:
    from vmcatcher.model.endorser import Endorser
    from vmcatcher.model.identity import EndorserId, OneLineName
    from vmcatcher.model.subscription import Subscription
    from vmcatcher.model.verified import VerifiedList
    from vmcatcher.services.context import Context
    from vmcatcher.services.update import Tools
    from vmcatcher.trust.rules import TrustRules


@dataclass(frozen=True, slots=True)
class Signer:
    """A certificate that is trusted at this run's time, with its whole chain; `warnings` are about that."""

    subject: OneLineName
    issuer: OneLineName
    warnings: tuple[str, ...]


class Signers:
    """The certificates that were judged in this run, by the SHA-256 of each.

    Chain, namespaces, usages, validity and revocation depend on the certificate, the trust directory and the time of
    the run, none of which changes before it ends.
    """

    def __init__(self, context: Context, tools: Tools) -> None:
        self._context = context
        self._tools = tools
        self._judged: dict[str, Signer] = {}
        self._endorsers: dict[EndorserId, tuple[str, Endorser | None]] = {}

    @property
    def rules(self) -> TrustRules:
        """How strictly they are judged."""
        return self._tools.rules

    def verified(self, signed: bytes) -> VerifiedList:
        """Return what `trust.verify` makes of a list. Raises as that does."""
        verified = verify(signed, self._tools.anchors, self._context.now, self._tools.rules)
        name = hashlib.sha256(verified.chain[0]).hexdigest()
        self._judged[name] = Signer(verified.signer, verified.issuer, verified.warnings)
        return verified

    def judged(self, certificate: str, signed: bytes) -> Signer | None:
        """Return the signer with that certificate, judged in this run; by the list if by no other one before.

        None where somebody else signed the list. Raises as `trust.verify`.
        """
        if certificate not in self._judged:
            self.verified(signed)
        return self._judged.get(certificate)

    def known(self, certificate: str) -> Signer:
        """Return a signer that was judged in this run."""
        return self._judged[certificate]

    def is_linked(self, signer: Signer, heading: Subscription) -> bool:
        """Tell whether an endorser that is linked to the subscription now owns the credential.

        False also where that cannot be told.
        """
        return any(self._owns(identifier, signer) for identifier in heading.endorsers)

    def _owns(self, identifier: EndorserId, signer: Signer) -> bool:
        # Read again as soon as anybody wrote to it: one that is deleted during the run counts no longer.
        found = prints.print_of(self._context.layout.endorser(identifier))
        known = self._endorsers.get(identifier)
        if known is None or known[0] != found:
            try:
                endorser = endorsers.find_endorser(self._context.layout, identifier)
            except VmcatcherError:
                endorser = None
            known = self._endorsers[identifier] = (found, endorser)
        endorser = known[1]
        # Somebody's copy of a document counts for whom it names, and that is for others to sort out.
        return (
            endorser is not None and endorser.identifier == identifier and endorser.owns(signer.subject, signer.issuer)
        )
