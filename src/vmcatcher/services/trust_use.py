"""Which authorities the lists of this store depend on: what is wrong with others can wait."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from vmcatcher.errors import VmcatcherError
from vmcatcher.store import snapshots, subscriptions
from vmcatcher.trust.use import authorities_above

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vmcatcher.services.context import Context
    from vmcatcher.services.trust_ground import Ground


def lists_by_authority(context: Context | None, ground: Ground) -> Mapping[bytes, tuple[str, ...]] | None:
    """Return the lists that each CA, named by its DER certificate, vouches for.

    It goes by the certificates with which the current lists were signed. None where no list was admitted yet, or one
    cannot be read: then any CA may be needed.
    """
    if context is None:
        return None
    found: dict[bytes, list[str]] = {}
    for name in subscriptions.subscribed(context.layout):
        snapshot = snapshots.current_snapshot(context.layout, name)
        if snapshot is None:
            continue
        try:
            signer = base64.b64decode(snapshots.read_evidence(snapshot).certificate)
        except (VmcatcherError, FileNotFoundError, binascii.Error):
            return None
        for ca in authorities_above(signer, ground.anchors, ground.now):
            found.setdefault(ca.der, []).append(name)
    return {der: tuple(lists) for der, lists in found.items()} or None
