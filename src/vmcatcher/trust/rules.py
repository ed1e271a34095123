"""What a site asks of a signed list, with safe defaults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

EMAIL_PROTECTION: Final = "1.3.6.1.5.5.7.3.4"
ANY_EXTENDED_USAGE: Final = "2.5.29.37.0"


@dataclass(frozen=True, slots=True)
class TrustRules:
    """How strictly lists are judged; the defaults are what a grid site should use."""

    sha1: bool = False
    """Let in lists signed over SHA-1. Certificates issued with SHA-1 stay refused."""
    crl: Literal["require", "if-present", "off"] = "require"
    """`if-present` turns a CRL that is missing or no use into a warning; `off` lets revoked certificates pass."""
    policy: Literal["both", "first", "off"] = "both"
    """`both`: each kind of policy file that a CA has must permit the name; `first`: namespaces, else signing_policy."""
    ekus: frozenset[str] = frozenset({EMAIL_PROTECTION, ANY_EXTENDED_USAGE})
    """Dotted OIDs; a certificate with an extended key usage must have one of them."""
    ca_signer: bool = False
    """Let a CA certificate sign lists itself."""
    max_bytes: int = 10 * 1024 * 1024
    """Largest message that is looked at, in bytes; a 10,000-image list has about 8 MiB."""
