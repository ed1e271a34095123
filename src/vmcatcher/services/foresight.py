"""How every subscription stands when a run comes to its images, going by the lists that are there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vmcatcher.errors import VmcatcherError
from vmcatcher.model.identity import ListId
from vmcatcher.model.imagelist import parse_image_list
from vmcatcher.model.plan import Standing
from vmcatcher.services.context import Failure
from vmcatcher.services.judging import Judgement, judge_subscription, limited
from vmcatcher.services.list_steps import ListHead
from vmcatcher.services.memory import Memory
from vmcatcher.services.repairing import lost_subscriptions
from vmcatcher.store import snapshots

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vmcatcher.model.imagelist import ImageList
    from vmcatcher.model.subscription import Subscription
    from vmcatcher.services.context import Context
    from vmcatcher.store.snapshots import Snapshot
    from vmcatcher.trust.anchors import TrustAnchors
    from vmcatcher.trust.rules import TrustRules


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is known of the lists."""

    judged: Mapping[ListId, Judgement]
    """In the order in which the subscriptions were made."""
    unread: frozenset[ListId]
    """Subscriptions whose document cannot be read: nothing of theirs may expire for that."""
    failed: tuple[Failure, ...]

    @property
    def standings(self) -> dict[ListId, Standing]:
        """How each subscription stands."""
        return {list_id: one.standing for list_id, one in self.judged.items()}


def stand_now(
    context: Context, anchors: TrustAnchors | None, rules: TrustRules, memory: Memory | None = None
) -> Outlook:
    """Return how every subscription stands. Nothing is written.

    What `memory` knows of this run, with the same anchors and rules, is not found out again.

    Without `anchors` nothing is known of any list, as when the trust-anchor directory is not there; endorsers are not
    looked at then.

    Raises:
        DocumentDamaged, DocumentLost: an endorser cannot be read; leaving it out could expire images.
    """
    memory = memory or Memory(context.layout)
    judge = Judge(context, anchors, rules, memory)
    subscribed, unread = memory.subscriptions()
    failed = [Failure(name, error) for name, error in unread.items()] + lost_subscriptions(context)
    missing = frozenset(ListId(failure.subject) for failure in failed)
    judged = {one.identifier: judge.judge(one) for one in subscribed}
    return Outlook(judged, missing, (*failed, *judge.failed))


class Judge:
    """Says how subscriptions stand; one that cannot be judged is noted, and nothing is known of it."""

    def __init__(self, context: Context, anchors: TrustAnchors | None, rules: TrustRules, memory: Memory) -> None:
        self._context = context
        self._anchors = anchors
        self._rules = rules
        self._memory = memory
        self._known = () if anchors is None else memory.endorsers()
        self.failed: list[Failure] = []

    def judge(self, subscription: Subscription) -> Judgement:
        """Return how a subscription stands."""
        if self._anchors is None:
            return self._blind(subscription)
        seen = self._memory.look(subscription)
        judged = self._memory.judgement(subscription, seen, self._known)
        if judged is not None:
            return judged
        try:
            judged = judge_subscription(self._context, self._anchors, self._rules, subscription, self._known)
        except FileNotFoundError:
            return self._blind(subscription)  # deleted since it was read
        except VmcatcherError as error:
            self.failed.append(Failure(subscription.identifier, error))
            return self._blind(subscription)
        self._memory.keep(subscription, seen, self._known, judged)
        return judged

    def _blind(self, subscription: Subscription) -> Judgement:
        newest = snapshots.current_snapshot(self._context.layout, subscription.identifier)
        return Judgement(Standing(subscription), newest)


def admitted_list(context: Context, subscription: Subscription, snapshot: Snapshot | None = None) -> ImageList | None:
    """Return a list as it was admitted, trusted today or not; None where there is none that can be read.

    It is the current one, unless another `snapshot` is given, and ends where this site's limit lets it end.
    """
    snapshot = snapshot or snapshots.current_snapshot(context.layout, subscription.identifier)
    if snapshot is None:
        return None
    try:
        listed = parse_image_list(snapshots.read_evidence(snapshot).content).imagelist
    except (VmcatcherError, FileNotFoundError):
        return None
    return limited(context, subscription, listed)


def current_head(context: Context, judged: Judgement) -> ListHead | None:
    """Return what a report says of the current list, trusted or not, without its images; None where there is none."""
    listed = judged.standing.listed or admitted_list(context, judged.standing.subscription)
    return ListHead(listed.title, listed.version, listed.expires) if listed is not None else None
