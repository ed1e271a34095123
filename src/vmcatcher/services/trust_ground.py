"""What trust is judged on: the trust-anchor directory, what the store fetched to lie over it, and the site's rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vmcatcher.trust.inventory import take_inventory

if TYPE_CHECKING:
    from datetime import datetime

    from vmcatcher.trust.anchors import TrustAnchors
    from vmcatcher.trust.inventory import Inventory
    from vmcatcher.trust.rules import TrustRules


@dataclass(frozen=True, slots=True)
class Ground:
    """The anchors as verification reads them, with where they were read from."""

    directory: str
    overlay: str | None
    """Where the store keeps the CRLs that it fetched; None without a store."""
    anchors: TrustAnchors
    rules: TrustRules
    now: datetime
    """The one time of the run."""

    def inventory(self) -> Inventory:
        """Return every file of the two directories. Raises as `TrustAnchors.load`."""
        return take_inventory(self.directory, overlay=self.overlay)
