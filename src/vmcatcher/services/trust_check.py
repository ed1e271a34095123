"""What somebody should look after in the trust-anchor directory, and which lists depend on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vmcatcher.model.upkeep import Weight
from vmcatcher.services.trust_use import lists_by_authority
from vmcatcher.trust.filing import filing_findings
from vmcatcher.trust.upkeep import Look, authorities

if TYPE_CHECKING:
    from datetime import timedelta

    from vmcatcher.model.upkeep import Authority, Finding
    from vmcatcher.services.context import Context
    from vmcatcher.services.trust_ground import Ground


@dataclass(frozen=True, slots=True)
class Checked:
    """One authority, or `ca` None for files that are of none, with what was found and the lists it vouches for."""

    ca: Authority | None
    findings: tuple[Finding, ...]
    lists: tuple[str, ...]
    is_needed: bool
    """Whether a list of this store depends on it, or nobody can tell because there is none yet."""

    @property
    def refuses(self) -> bool:
        """Whether a list that is needed here is refused for what was found."""
        return self.is_needed and any(finding.weight is Weight.REFUSES for finding in self.findings)


@dataclass(frozen=True, slots=True)
class TrustReport:
    """Everything that was found."""

    directory: str
    overlay: str | None
    files: int
    """How many files were looked at, those of the overlay included."""
    checked: tuple[Checked, ...]

    @property
    def refuses(self) -> bool:
        """Whether lists that are needed here are refused for what was found."""
        return any(one.refuses for one in self.checked)


def check_trust(context: Context | None, ground: Ground, warn_within: timedelta, *, every_ca: bool) -> TrustReport:
    """Look at every file of the trust-anchor directory and at the revocation lists that the store fetched.

    Nothing is written and no lock is taken. With `every_ca` an authority counts as needed whether lists depend on it
    or not. An end that is nearer than `warn_within` is warned of.
    """
    inventory = ground.inventory()
    used = lists_by_authority(context, ground)
    look = Look(ground.anchors, inventory, ground.rules, ground.now, warn_within)
    checked = []
    for certificate, authority, findings in authorities(look):
        lists = used.get(certificate.der, ()) if used is not None else ()
        # Below a CA that is over no list can come any more; the IGTF keeps some for a year.
        might_be = used is None and authority.not_after > ground.now
        is_needed = every_ca or might_be or bool(lists)
        checked.append(Checked(authority, findings, lists, is_needed))
    of_files = tuple(filing_findings(inventory))
    checked.append(Checked(None, of_files, (), is_needed=True))
    return TrustReport(ground.directory, ground.overlay, len(inventory.entries), tuple(checked))
