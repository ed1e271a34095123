"""From a signer's certificate to a self-signed CA, through CAs of the trust-anchor directory only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from vmcatcher.errors.certificates import (
    CaExtendedUsage,
    CaMayNotIssue,
    ChainTooLong,
    NotACa,
    NotIssuedByCa,
    PathLengthExceeded,
    UnknownIssuer,
)
from vmcatcher.errors.trust import ListUntrusted, TrustDirectoryDamaged
from vmcatcher.trust.anchors import TrustAnchors
from vmcatcher.trust.certificates import Certificate
from vmcatcher.trust.checks import check_strength, has_usage, listed, untimely
from vmcatcher.trust.occasion import Occasion

# The longest chain of the IGTF has three; a limit keeps a directory full of cross-certificates from costing time.
_MOST_CAS: Final = 6

Chain = tuple[Certificate, ...]


def build_path(signer: Certificate, anchors: TrustAnchors, occasion: Occasion) -> Chain:
    """Return the signer's certificate, the CAs above it, and a self-signed root last.

    Every CA of a name is tried, those valid now first, so that a CA may have its old and new certificate in the
    directory at once. CA certificates in the message are never looked at.

    Raises:
        ListUntrusted: a subclass that says what is wrong with the chain that came closest.
        TrustDirectoryDamaged: at a later look, a CA is not found but a CA file cannot be read.
    """
    if signer.is_ca and _is_root(signer) and signer in anchors.issuers_of(signer):
        return (signer,)  # the rules let a CA sign, or the signer would have been refused before
    search = _Search(anchors, occasion)
    found = search.extended((signer,))
    if found is None:
        raise search.refusal()
    for ca in found[1:]:
        late = untimely(ca, occasion.now, is_signer=False)
        if late is not None:
            occasion.complain(late)
    return found


@dataclass(slots=True)
class _Search:
    """A walk upwards that remembers why it turned back."""

    anchors: TrustAnchors
    occasion: Occasion
    refusals: list[tuple[int, ListUntrusted]] = field(default_factory=list)

    def extended(self, chain: Chain) -> Chain | None:
        """Return `chain` with CAs up to a root; None where no CA leads to one."""
        last = chain[-1]
        candidates = [ca for ca in self.anchors.issuers_of(last) if ca not in chain]
        if not candidates:
            self._turn_back(chain, UnknownIssuer(**last.which, directory=self.anchors.directory))
        elif len(chain) > _MOST_CAS:
            self._turn_back(chain, ChainTooLong(**last.which, limit=_MOST_CAS))
            return None
        for ca in sorted(candidates, key=self._preference):
            try:
                self._check_link(ca, chain)
            except ListUntrusted as refusal:
                self._turn_back(chain, refusal)
                continue
            found = (*chain, ca) if _is_root(ca) else self.extended((*chain, ca))
            if found is not None:
                return found
        return None

    def refusal(self) -> ListUntrusted | TrustDirectoryDamaged:
        """Return what stopped the walk that came furthest; that some CA of the same name did not sign says least."""
        _, refusal = max(self.refusals, key=lambda entry: (entry[0], not isinstance(entry[1], NotIssuedByCa)))
        unread = self.anchors.unread_ca
        if self.occasion.is_first or unread is None or not isinstance(refusal, UnknownIssuer | NotIssuedByCa):
            return refusal
        return TrustDirectoryDamaged(
            directory=self.anchors.directory, issuer=refusal.issuer, file=unread.file, problem=unread.problem
        )

    def _turn_back(self, chain: Chain, refusal: ListUntrusted) -> None:
        self.refusals.append((len(chain), refusal))

    def _preference(self, ca: Certificate) -> tuple[bool, float]:
        return untimely(ca, self.occasion.now, is_signer=False) is not None, -ca.not_after.timestamp()

    def _check_link(self, ca: Certificate, below: Chain) -> None:
        """Check that `ca` issued the last certificate of `below`, and may have."""
        rules = self.occasion.rules
        if not below[-1].is_issued_by(ca):
            raise NotIssuedByCa(**below[-1].which)
        if not ca.is_ca:
            raise NotACa(**ca.which)
        if ca.usages is not None and "keyCertSign" not in ca.usages:
            raise CaMayNotIssue(**ca.which)
        # RFC 5280, section 4.2.1.9: a CA's certificate for its own next key is not one more CA.
        cas_below = sum(not certificate.is_self_issued for certificate in below[1:])
        if ca.path_length is not None and cas_below > ca.path_length:
            raise PathLengthExceeded(**ca.which, permitted=ca.path_length, found=cas_below)
        if not has_usage(ca, rules):
            found = listed(ca.extended_usages or ())
            raise CaExtendedUsage(**ca.which, found=found, expected=listed(rules.ekus))
        check_strength(ca, is_signer=False)
        late = untimely(ca, self.occasion.now, is_signer=False)
        if late is not None and self.occasion.is_first:
            raise late


def _is_root(ca: Certificate) -> bool:
    return ca.is_issued_by(ca)
