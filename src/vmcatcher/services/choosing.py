"""What an operator means by a name: an identifier, the beginning of one, or a title that fits one thing only."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from vmcatcher.errors import VmcatcherError
from vmcatcher.errors.choosing import NameAmbiguous, NameMisspelled, NameUnknown
from vmcatcher.errors.requests import NoSuchSubscription
from vmcatcher.services.images import current_list
from vmcatcher.services.listing import list_endorsers, list_images, list_subscriptions
from vmcatcher.store import cache

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from vmcatcher.model.endorser import Endorser
    from vmcatcher.model.subscription import Subscription
    from vmcatcher.services.context import Context
    from vmcatcher.services.listing import ImageListing

_SHOWN: Final = 5
_DIGEST_BEGINNING: Final = 12
"""How much of a SHA-512 has to be given; less is taken for an identifier."""


def choose(kind: str, given: str, names: Collection[str], titles: Callable[[], Mapping[str, str]] = dict) -> str:
    """Return the one of `names` that is meant: itself, the only one that begins so, or the only one with that title.

    An identifier goes before a title, and what fits whole before what only begins so. Titles, by name, are asked for
    where no identifier fits; their case does not matter.

    Raises:
        NameAmbiguous: several fit equally well.
        NameUnknown, NameMisspelled: none fits.
    """
    if given in names:
        return given
    found = [name for name in names if given and name.startswith(given)]
    titled = titles() if not found else {}
    wanted = given.casefold()
    if not found and wanted:
        found = [name for name, title in titled.items() if title.casefold() == wanted]
    if not found and wanted:
        found = [name for name, title in titled.items() if title.casefold().startswith(wanted)]
    if len(found) == 1:
        return found[0]
    if found:
        raise NameAmbiguous(kind=kind, given=given, candidates=_listed(sorted(found)))
    raise _unknown(kind, given, names, titled)


def _unknown(kind: str, given: str, names: Collection[str], titled: Mapping[str, str]) -> VmcatcherError:
    near = difflib.get_close_matches(given, names, n=3, cutoff=0.75)
    by_title = {title.casefold(): name for name, title in titled.items()}
    similar = difflib.get_close_matches(given.casefold(), by_title, n=3, cutoff=0.6)
    near += [by_title[title] for title in similar if by_title[title] not in near]
    if near:
        return NameMisspelled(kind=kind, given=given, near=_listed(near, titled))
    return NameUnknown(kind=kind, given=given)


def _listed(names: Collection[str], titled: Mapping[str, str] | None = None) -> str:
    shown = [f"{name} ({titled[name]})" if titled and titled.get(name) else name for name in names]
    more = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    return ", ".join(shown[:_SHOWN]) + more


def choose_endorser(context: Context, given: str) -> Endorser:
    """Return the endorser that is meant by an identifier or its beginning.

    Raises:
        NameUnknown, NameMisspelled, NameAmbiguous: as `choose`.
    """
    known = {one.identifier: one for one in list_endorsers(context)}
    found = choose("endorser", given, known)
    return next(one for name, one in known.items() if name == found)


def choose_subscription(context: Context, given: str) -> Subscription:
    """Return the subscription that is meant by an identifier, its beginning, the list's title, or its URI.

    Raises:
        NameUnknown, NameMisspelled, NameAmbiguous: as `choose`.
        DocumentDamaged, DocumentLost: it may be one that cannot be read.
    """
    listing = list_subscriptions(context)
    known = {str(one.identifier): one for one in listing.found}
    by_uri = [one for one in listing.found if one.answers_to(given)]
    if len(by_uri) == 1:
        return by_uri[0]
    for failure in listing.failed:
        if failure.subject == given:
            raise failure.error
    try:
        return known[choose("subscription", given, known, lambda: _list_titles(context, known))]
    except VmcatcherError:
        for failure in listing.failed:
            raise failure.error from None
        raise


def _list_titles(context: Context, known: Mapping[str, Subscription]) -> dict[str, str]:
    titles: dict[str, str] = {}
    for name, subscription in known.items():
        try:
            current = current_list(context, subscription)
        except VmcatcherError:
            continue
        if current is not None:
            titles[name] = current.listed.title
    return titles


@dataclass(frozen=True, slots=True)
class ChosenImage:
    """An image that is meant, and the subscription that has it; None where only the cache remembers it."""

    identifier: str
    subscription: Subscription | None


def choose_image(context: Context, given: str, *, in_cache: bool = False) -> ChosenImage:
    """Return the image that is meant by an identifier, its beginning, its title, or the beginning of its SHA-512.

    Images of the current subscriptions are looked at, and with `in_cache` also those that the cache remembers.

    Raises:
        NameUnknown, NameMisspelled, NameAmbiguous: as `choose`.
        DocumentDamaged, StoreInputOutput: it is, or may be, one of a subscription that cannot be read.
        NoSuchSubscription: the subscription that has it was deleted meanwhile.
    """
    listing = list_images(context)
    owners = {str(image): str(one.list_id) for one in listing.found for image in one.columns.identifiers}
    names = set(owners) | (set(cache.cached_images(context.layout)) if in_cache else set())
    try:
        # A whole identifier goes first: any publisher may claim a digest that begins like the identifier of another.
        digest = None if given in names else _by_digest(listing, given)
        found = digest or choose("image", given, names, lambda: _image_titles(context))
    except VmcatcherError:
        for failure in listing.failed:
            raise failure.error from None
        raise
    if found not in owners:
        return ChosenImage(found, None)
    subscribed = list_subscriptions(context)
    owner = next((one for one in subscribed.found if str(one.identifier) == owners[found]), None)
    if owner is None:
        # Its index could be read, its decisions cannot: that is not the same as being gone.
        for failure in subscribed.failed:
            if failure.subject == owners[found]:
                raise failure.error
        raise NoSuchSubscription(subscription=owners[found])
    return ChosenImage(found, owner)


def _by_digest(listing: ImageListing, given: str) -> str | None:
    wanted = given.lower()
    if len(wanted) < _DIGEST_BEGINNING or set(wanted) - set("0123456789abcdef"):
        return None
    found = sorted({line.image for line in listing.lines if (line.sha512 or "").startswith(wanted)})
    if len(found) > 1:
        raise NameAmbiguous(kind="image", given=given, candidates=_listed(found))
    return found[0] if found else None


def _image_titles(context: Context) -> dict[str, str]:
    titles: dict[str, str] = {}
    for subscription in list_subscriptions(context).found:
        try:
            current = current_list(context, subscription)
        except VmcatcherError:
            continue
        for image in current.listed.images if current else ():
            titles[image.identifier] = str(image.fields.get("dc:title", ""))
    return titles
