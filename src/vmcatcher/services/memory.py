"""What one run has read and found out: each thing is looked at again, and believed as long as nobody wrote to it.

An update, a plan and a cache run in one go need the same documents, and the same judgements of the same lists. What is
believed was read by this run, at its time and with its anchors; nothing of it outlives the run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmcatcher.errors import VmcatcherError
from vmcatcher.store import endorsers, prints, snapshots, subscriptions
from vmcatcher.store.cache import RecordReader

if TYPE_CHECKING:
    from vmcatcher.model.endorser import Endorser
    from vmcatcher.model.subscription import Subscription
    from vmcatcher.services.judging import Judgement
    from vmcatcher.store.layout import Layout


class Memory:
    """What one run remembers of a store. For one thread, one time and one trust-anchor directory."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self.records = RecordReader(layout)
        self._subscriptions: dict[str, tuple[str, Subscription]] = {}
        self._judged: dict[str, tuple[Subscription, str, tuple[Endorser, ...], Judgement]] = {}
        self._endorsers: tuple[Endorser, ...] = ()

    def endorsers(self) -> tuple[Endorser, ...]:
        """Return every endorser; the same object as before as long as they are the same.

        Raises:
            DocumentDamaged, DocumentLost: one cannot be read; leaving it out could expire images.
        """
        for lost in endorsers.lost(self._layout):
            raise lost
        found = endorsers.all_endorsers(self._layout)
        if found != self._endorsers:
            self._endorsers = found
        return self._endorsers

    def subscriptions(self) -> tuple[tuple[Subscription, ...], dict[str, VmcatcherError]]:
        """Return the subscriptions that can be read, in the order they were made, and why others cannot, by name."""
        found: list[Subscription] = []
        failed: dict[str, VmcatcherError] = {}
        for name in subscriptions.subscribed(self._layout):
            try:
                one = self._subscription(name)
            except VmcatcherError as error:
                failed[name] = error
            else:
                found.extend([one] if one else [])
        return tuple(sorted(found, key=lambda one: (one.added, one.identifier))), failed

    def _subscription(self, name: str) -> Subscription | None:
        # Looked at before it is read: what is written in between is read again the next time.
        seen = prints.print_of(self._layout.subscription(name))
        known = self._subscriptions.get(name)
        if known is not None and known[0] == seen:
            return known[1]
        found = subscriptions.find_subscription(self._layout, name)
        if found is not None:
            self._subscriptions[name] = seen, found
        return found

    def look(self, subscription: Subscription) -> str:
        """Return what the file system says of everything that a judgement of a subscription is made from.

        To be asked before it is made. What it is signed with, and by whom, is the run's and does not change.
        """
        list_id = subscription.identifier
        # In that order: whatever comes to be the newest list after the look at its directory changes that.
        lists, mark = prints.print_of(self._layout.lists(list_id)), prints.print_of(self._layout.mark(list_id))
        newest = snapshots.current_snapshot(self._layout, list_id)
        own = (prints.print_of(newest.path), prints.print_of(snapshots.evidence_path(newest))) if newest else ()
        return " ".join((lists, mark, *own))

    def judgement(self, subscription: Subscription, seen: str, known: tuple[Endorser, ...]) -> Judgement | None:
        """Return how the subscription was judged before, if nothing that it depends on is another now."""
        found = self._judged.get(subscription.identifier)
        if found is None or found[0] is not subscription or found[1] != seen or found[2] is not known:
            return None
        return found[3]

    def keep(self, subscription: Subscription, seen: str, known: tuple[Endorser, ...], judged: Judgement) -> None:
        """Remember how a subscription was judged, by what `look` said before."""
        self._judged[subscription.identifier] = subscription, seen, known, judged
