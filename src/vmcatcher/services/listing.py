"""Which images, subscriptions and endorsers there are: what `-l` answers, from as few files as it takes."""

from __future__ import annotations

import os

from vmcatcher.light import dataclass
from vmcatcher.services.context import Failure
from vmcatcher.store import aside, endorsers, index_lines, index_text, reading, subscriptions
from vmcatcher.store.vetoes import vetoed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from vmcatcher.errors import VmcatcherError
    from vmcatcher.model.endorser import Endorser
    from vmcatcher.model.identity import ImageId, ListId, Sha512
    from vmcatcher.model.subscription import Subscription
    from vmcatcher.services.context import Context
    from vmcatcher.store.index_text import SubscriptionIndex, SubscriptionStates

SELECTED = 1
AVAILABLE = 2


@dataclass(frozen=True, slots=True)
class ImageLine:
    """One image with its state: 1 selected for the cache, 2 available in a current valid list, 3 both, 0 neither.

    An image whose bytes have a veto is not available: scripts and handlers take 3 for "is, or will be, in the cache".
    """

    image: ImageId
    state: int
    list_id: ListId
    sha512: Sha512 | None


@dataclass(frozen=True, slots=True)
class ListedStates:
    """The images of one subscription with their states, and nothing else about them."""

    list_id: ListId
    runs: tuple[tuple[int, bytes], ...]
    """A state and the identifiers of the images that follow each other and have it, with a space between each two."""


@dataclass(frozen=True, slots=True)
class ListedImages(ListedStates):
    """The images of one subscription with their states; `lines` has them as objects."""

    digests: bytes
    """As in the index: one for each image, in the same order."""

    @property
    def columns(self) -> Columns:
        """The identifiers and the digests, each by themselves."""
        names = (one for _, run in self.runs for one in index_text.identifiers_of(run))
        return Columns(tuple(names), tuple(index_text.digests_of(self.digests)))

    @property
    def lines(self) -> tuple[ImageLine, ...]:
        """The images one by one, in the order of the subscription."""
        columns, states = self.columns, (state for state, run in self.runs for _ in range(run.count(b" ") + 1))
        rows = zip(columns.identifiers, states, columns.sha512, strict=True)
        return tuple(ImageLine(image, state, self.list_id, digest) for image, state, digest in rows)


@dataclass(frozen=True, slots=True)
class Columns:
    """The images of a subscription, column by column."""

    identifiers: tuple[ImageId, ...]
    sha512: tuple[Sha512 | None, ...]
    """None where the current list does not name the image."""


@dataclass(frozen=True, slots=True)
class StateListing:
    """The states of the images of the subscriptions that can be read, and what is wrong with the others."""

    found: tuple[ListedStates, ...]
    failed: tuple[Failure, ...]


@dataclass(frozen=True, slots=True)
class ImageListing:
    """The images of the subscriptions that can be read, and what is wrong with the others."""

    found: tuple[ListedImages, ...]
    failed: tuple[Failure, ...]

    @property
    def lines(self) -> tuple[ImageLine, ...]:
        """Every image, in the order of the subscriptions and of their lists."""
        return tuple(line for one in self.found for line in one.lines)


def list_states(context: Context) -> StateListing:
    """Return the state of every accepted image: `list_images` without the digests, in half of the time.

    Raises:
        DocumentDamaged: as for `list_images`.
    """
    if vetoed(context.layout):
        # Only the digest of an image tells whether it has a veto.
        whole = list_images(context)
        return StateListing(whole.found, whole.failed)
    lists = _CurrentLists(context, endorsers.all_endorsers(context.layout))
    found, unread = index_lines.readable(context.layout, index_lines.read_states)
    return StateListing(
        tuple(ListedStates(one.identifier, lists.states(one)) for one in found),
        _failures(context, found, unread),
    )


def list_images(context: Context) -> ImageListing:
    """Return every accepted image, in the order of the subscriptions and of their lists.

    One subscription that is damaged hides no image of another.

    Raises:
        DocumentDamaged: an endorser cannot be read, so that nobody can say what is available.
    """
    lists = _CurrentLists(context, endorsers.all_endorsers(context.layout))
    unwanted = vetoed(context.layout)
    found, unread = index_lines.readable(context.layout, index_lines.read_index)
    return ImageListing(
        tuple(ListedImages(one.identifier, _vetoed(lists.states(one), one, unwanted), one.digests) for one in found),
        _failures(context, found, unread),
    )


def _failures(
    context: Context, found: Iterable[SubscriptionStates], unread: Mapping[str, VmcatcherError]
) -> tuple[Failure, ...]:
    """Return what is wrong with the subscriptions that were not found: unreadable, or lost and not there again."""
    layout, known = context.layout, {one.identifier for one in found}
    others = (name for name in reading.directories(layout.subscriptions) if name not in known)
    losses = ((name, aside.loss(layout.subscription(name))) for name in others)
    failed = {**unread, **{name: loss for name, loss in losses if loss is not None}}
    return tuple(Failure(name, error) for name, error in failed.items())


def _vetoed(
    states: tuple[tuple[int, bytes], ...], one: SubscriptionIndex, unwanted: frozenset[Sha512]
) -> tuple[tuple[int, bytes], ...]:
    """Return the states with those images as not available whose bytes have a veto."""
    digests = index_text.digests_of(one.digests) if unwanted else []
    if unwanted.isdisjoint(digests):
        return states
    each = ((state, image) for state, names in states for image in names.split(b" "))
    return tuple(
        (state & SELECTED if digest in unwanted else state, image)
        for (state, image), digest in zip(each, digests, strict=True)
    )


def is_available(context: Context, one: SubscriptionStates, known: Sequence[Endorser]) -> bool:
    """Tell whether the current list of a subscription may be used now.

    It must not have expired, a linked endorser must own the credential that signed it, and the last cache run must
    not have found its signer or a CA of its chain revoked or gone.
    """
    return _CurrentLists(context, known).is_available(one)


class _CurrentLists:
    """Answers `is_available` for many lists; who may sign for whom is looked at once for each case."""

    def __init__(self, context: Context, known: Sequence[Endorser]) -> None:
        self._context = context
        self._known = known
        self._may_sign: dict[tuple[object, ...], bool] = {}

    def states(self, one: SubscriptionStates) -> tuple[tuple[int, bytes], ...]:
        """Return the states of the images of a subscription, as if there were no vetoes."""
        now = self._context.now
        available = AVAILABLE if self.is_available(one) else 0
        return tuple(
            (
                (available if run.valid_until is not None and run.valid_until > now else 0)
                | run.selected,  # SELECTED is 1, as is True
                run.names,
            )
            for run in one.runs
        )

    def is_available(self, one: SubscriptionStates) -> bool:
        end = one.end(self._context.max_validity_s)
        if one.snapshot is None or end is None or end <= self._context.now:
            return False
        case = (one.endorsers, one.signer, one.issuer)
        if case not in self._may_sign:
            self._may_sign[case] = self._is_linked(one)
        return self._may_sign[case] and not self._is_condemned(one)

    def _is_linked(self, one: SubscriptionStates) -> bool:
        signer, issuer = one.signer, one.issuer
        if signer is None or issuer is None:
            return False
        return any(endorser.identifier in one.endorsers and endorser.owns(signer, issuer) for endorser in self._known)

    def _is_condemned(self, one: SubscriptionStates) -> bool:
        layout = self._context.layout
        # Next to no list has a verdict, and that is said soonest by its name not being there.
        if not os.path.lexists(layout.verdict(one.identifier)):
            return False
        verdict = subscriptions.read_verdict(layout, one.identifier)
        if verdict is None or verdict.snapshot != one.snapshot or verdict.reason is None:
            return False
        from vmcatcher.model.record import Reason  # noqa: PLC0415 - almost no query comes this far

        # Whether the endorser is linked is known here; it may have been linked again since that cache run.
        return verdict.reason != Reason.ENDORSER_UNLINKED.value


@dataclass(frozen=True, slots=True)
class SubscriptionListing:
    """The subscriptions that can be read, in the order they were made, and what is wrong with the others."""

    found: tuple[Subscription, ...]
    failed: tuple[Failure, ...]


def list_subscriptions(context: Context) -> SubscriptionListing:
    """Return every subscription that can be read; one that is damaged hides no other."""
    found, unread = subscriptions.readable_subscriptions(context.layout)
    failed = {**unread, **subscriptions.lost(context.layout)}
    return SubscriptionListing(found, tuple(Failure(name, error) for name, error in failed.items()))


def list_endorsers(context: Context) -> tuple[Endorser, ...]:
    """Return every endorser in the order they were added."""
    return endorsers.all_endorsers(context.layout)
