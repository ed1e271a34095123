"""How every subscription would stand after an update: the lists that are served now, admitted in memory.

Whatever an update would write is worked out here and kept nowhere; `services.admitting.take` is what does it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vmcatcher.errors import VmcatcherError
from vmcatcher.errors.admission import ImagesUndecided
from vmcatcher.model.identity import ListId
from vmcatcher.model.location import Location, move_refusal
from vmcatcher.model.matching import follow_rule
from vmcatcher.model.plan import Standing
from vmcatcher.model.steps import ListFate, ListStep
from vmcatcher.model.subscription import register_images
from vmcatcher.services.context import Failure
from vmcatcher.services.foresight import Judge, Outlook, admitted_list, current_head
from vmcatcher.services.judging import Judgement, limited
from vmcatcher.services.list_steps import ListHead, ListState, head_of, list_step
from vmcatcher.services.memory import Memory
from vmcatcher.services.newest import is_same_proof
from vmcatcher.services.repairing import lost_subscriptions
from vmcatcher.services.settling import clash
from vmcatcher.services.update import look_ahead_all
from vmcatcher.store import snapshots, subscriptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vmcatcher.model.identity import ImageId
    from vmcatcher.model.imagelist import ImageList
    from vmcatcher.model.subscription import Subscription
    from vmcatcher.services.context import Context
    from vmcatcher.services.update import LookedAhead, Tools
    from vmcatcher.store.snapshots import Snapshot


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What an update would bring."""

    outlook: Outlook
    lists: tuple[ListStep, ...]


def stand_then(context: Context, tools: Tools, *, is_listening: bool) -> Foreseen:
    """Return how every subscription would stand after an update, and what would become of each list.

    A list that would be refused leaves its subscription as it stands now. Nothing is written, and no lock is taken.

    Raises:
        DocumentDamaged, DocumentLost: an endorser cannot be read; leaving it out could expire images.
    """
    memory = Memory(context.layout)
    subscribed, unread = memory.subscriptions()
    failed = [Failure(name, error) for name, error in unread.items()] + lost_subscriptions(context)
    seer = _Seer(context, Judge(context, tools.anchors, tools.rules, memory), subscribed, is_listening=is_listening)
    for list_id, found in look_ahead_all(context, tools, subscribed, whole=False):
        seer.see(list_id, found)
    missing = frozenset(ListId(failure.subject) for failure in failed)
    return Foreseen(Outlook(seer.judged, missing, (*failed, *seer.failed)), tuple(seer.lists))


class _Seer:
    def __init__(
        self, context: Context, judge: Judge, subscribed: Sequence[Subscription], *, is_listening: bool
    ) -> None:
        self._context = context
        self._judge = judge
        self._is_listening = is_listening
        self._subscribed = {one.identifier: one for one in subscribed}
        # In the order in which they were made, in which images go to whoever names them first.
        self.judged = {one.identifier: Judgement(Standing(one)) for one in subscribed}
        self._refused: list[Failure] = []
        self.lists: list[ListStep] = []
        self._owners: dict[ImageId, ListId] = {
            image.identifier: one.identifier for one in subscribed for image in one.images
        }

    @property
    def failed(self) -> tuple[Failure, ...]:
        """What an update would say of the lists, and those of which nothing is known."""
        return (*self._refused, *self._judge.failed)

    def see(self, list_id: ListId, found: LookedAhead | VmcatcherError | None) -> None:
        """Take in what was found about one list; None of one that is what it was."""
        subscription = self._subscribed[list_id]
        if found is None:
            self._leave(subscription, ListFate.UNCHANGED)
            return
        if isinstance(found, VmcatcherError):
            self._refuse(subscription, found)
            return
        try:
            after, problems = self._settled(subscription, found.parsed.imagelist)
        except VmcatcherError as error:  # its rule cannot be read
            self._refuse(subscription, error)
            return
        problems = (*found.parsed.refused, *problems)
        self._refused.extend(Failure(list_id, problem) for problem in problems)
        self._take(subscription, after, found, problems)

    def _refuse(self, subscription: Subscription, error: VmcatcherError) -> None:
        self._refused.append(Failure(subscription.identifier, error))
        self._leave(subscription, ListFate.REFUSED, error)

    def _leave(self, subscription: Subscription, fate: ListFate, *problems: VmcatcherError) -> None:
        """Leave a subscription as it stands now."""
        judged = self._judge.judge(subscription)
        self.judged[subscription.identifier] = judged
        state = ListState(subscription, current_head(self._context, judged))
        self.lists.append(list_step(state, state, fate, problems))

    def _take(
        self,
        subscription: Subscription,
        after: Subscription,
        found: LookedAhead,
        problems: tuple[VmcatcherError, ...],
    ) -> None:
        list_id, listed = subscription.identifier, limited(self._context, after, found.parsed.imagelist)
        current = snapshots.current_snapshot(self._context.layout, list_id)
        kept = current if current is not None and _is_proved_by(current, found) else None
        # What is around the signature may differ: the bytes that are kept are those that were kept before.
        signed = found.verified.signed if kept is None else snapshots.read_signed(kept)
        selected = after.selected
        wanted = replace(listed, images=tuple(one for one in listed.images if one.identifier in selected))
        standing = Standing(after, wanted, kept.name if kept else "", snapshots.signed_digest(signed))
        self.judged[list_id] = Judgement(standing, current, found.verified.chain)
        head = head_of(listed)
        old = head if kept is not None else self._head_now(subscription)
        fate = ListFate.UNCHANGED if kept is not None else ListFate.NEW
        step = list_step(ListState(subscription, old), ListState(after, head), fate, problems)
        self.lists.append(replace(step, announced=self._announced(list_id, listed)))

    def _head_now(self, subscription: Subscription) -> ListHead | None:
        listed = admitted_list(self._context, subscription)
        return head_of(listed) if listed is not None else None

    def _settled(
        self, subscription: Subscription, listed: ImageList
    ) -> tuple[Subscription, tuple[VmcatcherError, ...]]:
        """Return the subscription as `settling.settle` would leave it, and what would need the operator."""
        named = [image.identifier for image in listed.images]
        others = {
            image for image in named if self._owners.get(image, subscription.identifier) != subscription.identifier
        }
        registered = register_images(subscription, named, owned_elsewhere=others)
        after = replace(follow_rule(registered.subscription, listed), uri=_followed(subscription, listed.uri))
        for image in after.images:
            self._owners.setdefault(image.identifier, subscription.identifier)
        problems: list[VmcatcherError] = []
        if registered.owned_elsewhere:
            problems.append(clash(self._context, subscription.identifier, registered.owned_elsewhere))
        if registered.undecided:
            images = ", ".join(registered.undecided)
            problems.append(ImagesUndecided(list_id=subscription.identifier, images=images))
        return after, tuple(problems)

    def _announced(self, list_id: ListId, listed: ImageList) -> tuple[str, ...]:
        """Return the images that SubscriptionImageNew would be owed for; see `settling.note_success`."""
        notes = subscriptions.read_fetch_notes(self._context.layout, list_id)
        if notes.told is None or not self._is_listening:
            return ()
        known = {*notes.told, *(image for image, _ in notes.owed)}
        return tuple(image.identifier for image in listed.images if image.identifier not in known)


def _is_proved_by(current: Snapshot, found: LookedAhead) -> bool:
    """Tell whether the list is the current one, so that no other snapshot would be put."""
    try:
        return is_same_proof(current, found.verified)
    except (VmcatcherError, FileNotFoundError):
        return False


def _followed(subscription: Subscription, named: str) -> str:
    if subscription.pin_uri or named == subscription.uri:
        return subscription.uri
    try:
        old, new = Location.parse(subscription.uri)[0], Location.from_list(named)
    except VmcatcherError:
        return subscription.uri
    return subscription.uri if move_refusal(old, new) is not None else str(new)
