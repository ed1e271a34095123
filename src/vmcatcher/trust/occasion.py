"""One look at one signed list: when, by which rules, and what is to be told about it although it passes."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from vmcatcher.errors.trust import ListUntrusted
from vmcatcher.trust.rules import TrustRules


@dataclass(frozen=True, slots=True)
class Occasion:
    """The first look at a list, or a later one at a list that was admitted before.

    Only what proves that trust is gone refuses a list that was admitted: a certificate that was revoked, a CA that was
    taken out, a signature that does not hold. What merely got old or went missing is a warning then, for nothing may
    expire because a CRL was not fetched in time.
    """

    now: datetime
    rules: TrustRules
    admitted: datetime | None = None
    """When the list was admitted; None at the first look."""
    warnings: list[str] = field(default_factory=list)

    @property
    def is_first(self) -> bool:
        """Whether the list was never admitted before."""
        return self.admitted is None

    def complain(self, refusal: ListUntrusted, *, is_grave: bool | None = None) -> None:
        """Refuse at a first look, or note a warning at a later one; `is_grave` overrides which of the two.

        Raises:
            ListUntrusted: the `refusal` itself.
        """
        if self.is_first if is_grave is None else is_grave:
            raise refusal
        self.warnings.append(refusal.one_line())
