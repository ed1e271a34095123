"""Why a signed list is taken or refused, step by step: what `vmcatcher trust explain` shows."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from vmcatcher.errors import VmcatcherError


class Outcome(StrEnum):
    """How one step of the judgement ended."""

    OK = "ok"
    WARNING = "warning"
    """It does not stop the list, but somebody should look."""
    FAILED = "failed"
    """This alone refuses the list."""
    SKIPPED = "skipped"
    """It was not looked at: the settings do not ask for it, or an earlier step left nothing to look at."""


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """A certificate of the chain as people compare it with what `openssl x509` prints."""

    subject: str
    issuer: str
    serial: str
    """Hexadecimal."""
    not_before: datetime
    not_after: datetime
    key: str
    digest: str
    """Of the signature on it; empty where the algorithm brings its own."""
    usages: tuple[str, ...]
    """Names of the key usage bits; empty where it does not limit them."""
    extended_usages: tuple[str, ...]
    file: str | None
    """Where in the trust-anchor directory it is; None for the signer's, which came with the list."""


@dataclass(frozen=True, slots=True)
class CrlFacts:
    """A revocation list that was asked about a certificate."""

    issuer: str
    file: str
    this_update: datetime
    next_update: datetime | None
    is_usable: bool
    """Whether it answered; one that did not may be too old, forged, or of another key."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step with what came of it. `said` is one line; `error` is there where it failed or warned of an error."""

    name: str
    """Stable, for scripts: `size`, `wrapper`, `block`, `signature`, `signer`, `chain`, `namespace`, …"""
    outcome: Outcome
    said: str
    error: VmcatcherError | None = None
    certificates: tuple[CertificateFacts, ...] = ()
    crls: tuple[CrlFacts, ...] = ()
    details: tuple[str, ...] = ()
    """Further lines: the policy lines that permit a name, CAs that were tried."""
