"""The one type that says: these bytes were signed by this certificate, and the certificate is trusted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from vmcatcher.model.identity import OneLineName


@dataclass(frozen=True, slots=True)
class VerifiedList:
    """A signed image list whose signature, chain, namespaces and revocation have been checked.

    Only `vmcatcher.trust.verify` builds one (tests/architecture keeps it so); whoever holds one need not check again.
    """

    signed: bytes
    """The whole message as received; kept byte for byte as evidence."""
    content: bytes
    """Exactly the bytes that the signature covers, with any inner MIME headers taken off."""
    signer: OneLineName
    issuer: OneLineName
    digest: str
    """Name of the digest the signature used, such as `sha256`."""
    chain: tuple[bytes, ...]
    """DER certificates, the signer's first, the self-signed anchor last."""
    crls: tuple[bytes, ...]
    """DER revocation lists that were asked, one for each issuer of the chain that had one."""
    verified_at: datetime
    warnings: tuple[str, ...] = ()
    """What the operator should know although the list was accepted (a stale CRL that the settings allow, …)."""
