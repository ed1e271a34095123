"""Which images, subscriptions and endorsers there are: what `-l` answers, from as few files as it takes."""

from __future__ import annotations

from vmcatcher.light import dataclass
from vmcatcher.services.context import Failure
from vmcatcher.store import endorsers, index_lines, subscriptions
from vmcatcher.store.vetoes import vetoed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from vmcatcher.model.endorser import Endorser
    from vmcatcher.model.identity import ImageId, ListId, Sha512
    from vmcatcher.model.subscription import Subscription
    from vmcatcher.services.context import Context
    from vmcatcher.store.index_lines import Columns, SubscriptionIndex

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
class ListedImages:
    """The images of one subscription with their states, column by column; `lines` has them as objects."""

    list_id: ListId
    columns: Columns
    states: tuple[int, ...]

    @property
    def lines(self) -> tuple[ImageLine, ...]:
        """The images one by one, in the order of the subscription."""
        rows = zip(self.columns.identifiers, self.states, self.columns.sha512, strict=True)
        return tuple(
            ImageLine(image, state, self.list_id, None if digest == index_lines.NONE else digest)
            for image, state, digest in rows
        )


@dataclass(frozen=True, slots=True)
class ImageListing:
    """The images of the subscriptions that can be read, and what is wrong with the others."""

    found: tuple[ListedImages, ...]
    failed: tuple[Failure, ...]

    @property
    def lines(self) -> tuple[ImageLine, ...]:
        """Every image, in the order of the subscriptions and of their lists."""
        return tuple(line for one in self.found for line in one.lines)


def list_images(context: Context) -> ImageListing:
    """Return every accepted image, in the order of the subscriptions and of their lists.

    One subscription that is damaged hides no image of another.

    Raises:
        DocumentDamaged: an endorser cannot be read, so that nobody can say what is available.
    """
    known = endorsers.all_endorsers(context.layout)
    unwanted = vetoed(context.layout)
    found, unread = index_lines.readable_indexes(context.layout)
    failed = {**unread, **subscriptions.lost(context.layout)}
    return ImageListing(
        tuple(ListedImages(one.identifier, one.columns, _states(context, one, unwanted, known)) for one in found),
        tuple(Failure(name, error) for name, error in failed.items()),
    )


def _states(
    context: Context, one: SubscriptionIndex, unwanted: frozenset[Sha512], known: Sequence[Endorser]
) -> tuple[int, ...]:
    usable = is_available(context, one, known)
    columns = one.columns
    # Thousands of images end at a few instants: each of them is looked at once.
    ends = {text: index_lines.instant(text) for text in set(columns.valid_until)}
    available = {
        text: AVAILABLE if usable and until is not None and until > context.now else 0 for text, until in ends.items()
    }
    states = [
        available[until] | (selected == "1")  # SELECTED is 1, as is True
        for selected, until in zip(columns.selected, columns.valid_until, strict=True)
    ]
    if unwanted.isdisjoint(columns.sha512):
        return tuple(states)
    return tuple(
        state & SELECTED if digest in unwanted else state for state, digest in zip(states, columns.sha512, strict=True)
    )


def is_available(context: Context, one: SubscriptionIndex, known: Sequence[Endorser]) -> bool:
    """Tell whether the current list of a subscription may be used now.

    It must not have expired, a linked endorser must own the credential that signed it, and the last cache run must
    not have found its signer or a CA of its chain revoked or gone.
    """
    if one.snapshot is None or one.expires is None or one.signer is None or one.issuer is None:
        return False
    signer, issuer = one.signer, one.issuer
    linked = (endorser for endorser in known if endorser.identifier in one.endorsers)
    if one.expires <= context.now or not any(endorser.owns(signer, issuer) for endorser in linked):
        return False
    verdict = subscriptions.read_verdict(context.layout, one.identifier)
    if verdict is None or verdict.snapshot != one.snapshot or verdict.reason is None:
        return True
    from vmcatcher.model.record import Reason  # noqa: PLC0415 - almost no query comes this far

    # Whether the endorser is linked is known here; it may have been linked again since that cache run.
    return verdict.reason == Reason.ENDORSER_UNLINKED.value


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
