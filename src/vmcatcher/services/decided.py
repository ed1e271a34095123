"""Whether the operator still wants what a run, which may have downloaded for hours, is about to publish."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmcatcher.store import endorsers, snapshots, subscriptions
from vmcatcher.store.vetoes import vetoed

if TYPE_CHECKING:
    from vmcatcher.model.record import CacheRecord
    from vmcatcher.services.context import Context


def is_still_wanted(context: Context, record: CacheRecord) -> bool:
    """Tell whether the version is still selected, from the list that was judged, by a linked endorser, without a veto.

    Call it under the store lock, together with the commit that depends on it. What is not wanted any more is left to
    the next run, which judges everything anew.

    Raises:
        VmcatcherError: a document cannot be read, so nobody can tell.
    """
    try:
        subscription = subscriptions.find_subscription(context.layout, record.list_id)
        if subscription is None or record.image not in subscription.selected:
            return False
        if record.sha512 in vetoed(context.layout):
            return False
        snapshot = snapshots.current_snapshot(context.layout, record.list_id)
        if snapshot is None or snapshot.name != record.snapshot:
            return False
        evidence = snapshots.read_evidence(snapshot)
        linked = (endorsers.find_endorser(context.layout, one) for one in subscription.endorsers)
        return any(one is not None and one.owns(evidence.signer, evidence.issuer) for one in linked)
    except FileNotFoundError:
        return False
