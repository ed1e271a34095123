"""What is found in a trust-anchor directory: its authorities, and what somebody should look after."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


class Weight(StrEnum):
    """What follows from a finding."""

    REFUSES = "refuses"
    """Lists that this authority vouches for are refused."""
    WARNS = "warns"
    """Nothing yet; it will be one day, or only others trip over it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be, in one line."""

    weight: Weight
    id: str
    """Stable, for scripts; the id of the error with which lists are refused, where there is one."""
    said: str
    file: str | None = None
    ca: str | None = None
    """Subject of the authority that it is about; None for a file that belongs to none."""


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA of the directory with what stands beside it."""

    subject: str
    file: str
    not_after: datetime
    key: str
    policies: tuple[str, ...]
    """Files that say what it may sign."""
    crl: str | None
    """The file of the revocation list that is asked; None where none can be."""
    crl_made: datetime | None = None
    crl_ends: datetime | None = None
