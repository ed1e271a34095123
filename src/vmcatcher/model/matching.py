"""Which images a rule chooses: its terms, compiled once, asked of each image of a list."""

from __future__ import annotations

import operator
import re
from typing import TYPE_CHECKING, Final

from vmcatcher.light import replace
from vmcatcher.model.quantities import SIZES, bytes_in
from vmcatcher.model.rule import MULTIPLE, parse_rule, refusal
from vmcatcher.model.strictjson import plain_text
from vmcatcher.model.subscription import Decided
from vmcatcher.model.version import version_key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeAlias

    from vmcatcher.model.identity import ImageId
    from vmcatcher.model.image import Image
    from vmcatcher.model.imagelist import ImageList
    from vmcatcher.model.rule import Rule, Term
    from vmcatcher.model.subscription import Subscription

    _Test: TypeAlias = Callable[[Image, str | None], bool]

_VO: Final = "ad:vo"
_DIGEST: Final = "sl:checksum:sha512"
_SIZE: Final = "hv:size"
_NUMBERS: Final = frozenset({_SIZE, "hv:ram_minimum", "hv:core_minimum"})
_VERSIONS: Final = frozenset({"hv:version", "sl:osversion"})
_NUMBER: Final = re.compile(r"[0-9]{1,18}(\.[0-9]{1,6})?")
_ORDERS: Final[Mapping[str, Callable[[object, object], bool]]] = {
    "<": operator.lt,  # type: ignore[dict-item]  # both sides come from one reading, as numbers or as version keys
    "<=": operator.le,  # type: ignore[dict-item]  # likewise
    ">": operator.gt,  # type: ignore[dict-item]  # likewise
    ">=": operator.ge,  # type: ignore[dict-item]  # likewise
}


class Matcher:
    """A rule, ready to be asked about many images.

    An image that lacks a field, or has nothing in it, does not match a term about it; `!=` and `!~` are the opposites
    of `=` and `~`, and therefore hold for it.
    """

    def __init__(self, rule: Rule) -> None:
        """Compile the rule.

        Raises:
            BadRule: a value makes no sense for its field, such as a size that is no number.
        """
        self.rule = rule
        self._tests = tuple((term, _test(rule, term)) for term in rule.terms)

    def failing(self, image: Image, vo: str | None) -> Term | None:
        """Return the first term that does not hold for an image of a list of that VO; None where all hold."""
        return next((term for term, holds in self._tests if not holds(image, vo)), None)

    def chooses(self, image: Image, vo: str | None) -> bool:
        """Tell whether all terms hold for an image of a list of that VO."""
        return all(holds(image, vo) for _, holds in self._tests)


def matcher(text: str) -> Matcher:
    """Return what `text` spells, ready to be asked.

    Raises:
        BadRule: it cannot be read, or makes no sense.
    """
    return Matcher(parse_rule(text))


def _test(rule: Rule, term: Term) -> _Test:
    plain = _plain_test(rule, term)
    if term.operator in ("!=", "!~"):
        return lambda image, vo: not plain(image, vo)
    return plain


def _plain_test(rule: Rule, term: Term) -> _Test:
    """Return the test of a term, that of its opposite for `!=` and `!~`."""
    key = term.key
    if term.operator.endswith("~"):
        parts = tuple(value.casefold() for value in term.values)

        def holds_part(image: Image, vo: str | None) -> bool:
            found = text_of(image, vo, key)
            folded = None if found is None else found.casefold()
            return folded is not None and any(part in folded for part in parts)

        return holds_part
    if key in _NUMBERS:
        return _compare(term, lambda image, vo: _number_of(image, vo, key), _numbers(rule, term))
    if key in _VERSIONS or term.operator not in MULTIPLE:
        keys = tuple(version_key(value) for value in term.values)
        return _compare(term, lambda image, vo: _version_of(image, vo, key), keys)
    values = tuple(value.lower() for value in term.values) if key == _DIGEST else term.values
    return _compare(term, lambda image, vo: text_of(image, vo, key), values)


def _compare(term: Term, read: Callable[[Image, str | None], object], wanted: tuple[object, ...]) -> _Test:
    order = _ORDERS.get(term.operator)
    if order is None:
        return lambda image, vo: (found := read(image, vo)) is not None and found in wanted
    limit = wanted[0]
    return lambda image, vo: (found := read(image, vo)) is not None and order(found, limit)


def _numbers(rule: Rule, term: Term) -> tuple[float, ...]:
    numbers = []
    for value in term.values:
        number = bytes_in(value) if term.key == _SIZE else None
        if number is None and not _NUMBER.fullmatch(value):
            expected = SIZES if term.key == _SIZE else "a number, as the list has it"
            raise refusal(rule, term, f"'{value}' is not {expected}")
        numbers.append(float(value) if number is None else number)
    return tuple(numbers)


def text_of(image: Image, vo: str | None, key: str) -> str | None:
    """Return what an image has under a key of the list, as text; None where that is nothing. The VO is its list's."""
    found = vo if key == _VO else plain_text(image.fields.get(key))
    if not found:
        return None
    return found.lower() if key == _DIGEST else found


def _number_of(image: Image, vo: str | None, key: str) -> float | None:
    if key == _SIZE:
        return image.size_bytes
    found = text_of(image, vo, key)
    return float(found) if found is not None and _NUMBER.fullmatch(found) else None


def _version_of(image: Image, vo: str | None, key: str) -> object:
    found = text_of(image, vo, key)
    return None if found is None else version_key(found)


def follow_rule(subscription: Subscription, listed: ImageList) -> Subscription:
    """Return the subscription with the images of its current list chosen as its rule says.

    Images that were decided by hand stay as they are, and so do those that the list does not name. Doing it twice
    changes nothing, and without a rule nothing changes.

    Raises:
        BadRule: the rule in the subscription's document cannot be read.
    """
    if subscription.where is None:
        return subscription
    chosen = choices(matcher(subscription.where), listed)
    images = tuple(
        one
        if one.decided is Decided.BY_HAND or one.identifier not in chosen
        else replace(one, selected=chosen[one.identifier], decided=Decided.BY_RULE)
        for one in subscription.images
    )
    return subscription if images == subscription.images else replace(subscription, images=images)


def choices(rule: Matcher, listed: ImageList) -> Mapping[ImageId, bool]:
    """Return for each image of a list whether the rule chooses it."""
    return {image.identifier: rule.chooses(image, listed.vo) for image in listed.images}
