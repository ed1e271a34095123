"""Looking at subscriptions: decision, password, bookkeeping, signed lists, what is made from them."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from vmcatcher.errors import VmcatcherError
from vmcatcher.errors.document import BadDocument
from vmcatcher.errors.store import StoreInputOutput
from vmcatcher.model.imagelist import parse_image_list
from vmcatcher.model.subscription import parse_subscription
from vmcatcher.model.version import version_key
from vmcatcher.store import aside, index, reading, snapshots
from vmcatcher.store.findings import Finding, Remedy, damage, mode_of, note, read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeAlias

    from vmcatcher.model.document import Document
    from vmcatcher.model.imagelist import ImageList
    from vmcatcher.model.subscription import Subscription
    from vmcatcher.store.index import SubscriptionIndex
    from vmcatcher.store.layout import Layout

    _Made: TypeAlias = tuple[SubscriptionIndex, ImageList | None]

_EVIDENCE: Final = re.compile(r"[0-9]{6,18}-[0-9]{8}T[0-9]{6}Z\.evidence")


def check_subscriptions(layout: Layout, found: list[Finding]) -> list[Subscription]:
    """Add what is wrong with the subscriptions; return those whose document can be read."""
    subscribed = []
    for name in reading.directories(layout.subscriptions):
        if os.path.lexists(layout.subscription(name)):
            one = read(found, layout.subscription(name), _owned_by("identifier", name), Remedy.LOSE, name)
            if one is not None:
                subscribed.append(one)
        else:
            found.extend(_without_decision(layout, name))
            if aside.loss(layout.subscription(name)) is None:
                continue
        _beside(layout, found, name)
        found.extend(_snapshots(layout, name))
    for one in subscribed:
        made = _made(layout, one)
        found.extend(_mark(layout, one, made))
        found.extend(_references(layout, one))
        found.extend(_projections(layout, one, made))
    return subscribed


def _made(layout: Layout, one: Subscription) -> _Made | None:
    """Return what follows from a subscription and its list: reading that is most of a check, so it is read once."""
    try:
        return index.build_index(layout, one)
    except StoreInputOutput:
        return None  # said by I6 already


def _owned_by(field: str, name: str) -> Callable[[Document], Subscription]:
    def parse(document: Document) -> Subscription:
        if document.get(field) != name:
            raise BadDocument(field=field, expected=f"'{name}'")
        return parse_subscription(document)

    return parse


def _without_decision(layout: Layout, name: str) -> Iterator[Finding]:
    path = layout.subscription(name)
    lost = aside.loss(path)
    if lost is not None:
        uri = _uri(layout, name)
        again = f"`vmcatcher_subscribe -s {uri}` and select its images again" if uri else "subscribe again"
        yield damage(
            "I1", path, f"{lost}; nothing of it expires until it is there. Restore it from a backup, or {again}"
        )
    elif any(os.path.lexists(one) for one in (layout.fetch(name), layout.lists(name), layout.index(name))):
        text = "it is missing, what belongs to it is there: a deletion was broken off, or somebody removed it"
        yield note("I1", path, text)


def _uri(layout: Layout, name: str) -> str | None:
    """Return where the newest list that can be read says that it is."""
    for snapshot in reversed(snapshots.all_snapshots(layout, name)):
        try:
            return parse_image_list(snapshots.read_evidence(snapshot).content).imagelist.uri
        except (VmcatcherError, FileNotFoundError):
            continue
    return None


def _beside(layout: Layout, found: list[Finding], name: str) -> None:
    def having(member: str) -> Callable[[Document], Document]:
        def parse(document: Document) -> Document:
            if document.get("list", name) != name:
                raise BadDocument(field="list", expected=f"'{name}'")
            if member not in document:
                raise BadDocument(field=member, expected="there")
            return document

        return parse

    read(found, layout.fetch(name), having("told"), Remedy.ASIDE, name)
    read(found, layout.verdict(name), having("snapshot"), Remedy.ASIDE, name)
    read(found, layout.manifest(name), having("images"), Remedy.PROJECT, name)
    found.extend(mode_of(layout.index(name)))
    secret = layout.secret(name)
    before = len(found)
    read(found, secret, having("password"), Remedy.LOSE, name)
    # A password that others may only read is damage, too: the mode of a document is judged less strictly.
    found[before:] = [one for one in found[before:] if one.invariant != "I12"]
    found.extend(mode_of(secret, is_secret=True))
    lost = aside.loss(secret)
    if lost is not None:
        text = f"{lost}; set the password again: `vmcatcher_subscribe -u {name} --uri-password-file FILE`"
        found.append(damage("I1", secret, text))


def _snapshots(layout: Layout, name: str) -> Iterator[Finding]:
    seen: set[int] = set()
    stems: set[str] = set()
    for snapshot in snapshots.all_snapshots(layout, name):
        stems.add(snapshot.name)
        evidence = snapshot.path.removesuffix(".smime") + ".evidence"
        yield from (*mode_of(snapshot.path), *mode_of(evidence))
        if snapshot.sequence in seen:
            yield damage("I6", snapshot.path, "its sequence number is there twice")
        seen.add(snapshot.sequence)
        try:
            digest = snapshots.signed_digest(snapshots.read_signed(snapshot))
            if snapshots.read_evidence(snapshot).sha512 != digest:
                text = "its bytes are not the ones that its evidence names"
                yield damage("I6", snapshot.path, text, Remedy.SNAPSHOT, name)
        except FileNotFoundError:
            continue
        except VmcatcherError as error:
            remedy = Remedy.SNAPSHOT if aside.is_untrustworthy(error) else Remedy.NONE
            yield damage("I6", snapshot.path, str(error), remedy, name)
    for one in reading.names(layout.lists(name)):
        if _EVIDENCE.fullmatch(one) and one.removesuffix(".evidence") not in stems:
            path = os.path.join(layout.lists(name), one)
            yield note("I6", path, "its list is not there: an update was broken off, or somebody removed it")


def _mark(layout: Layout, one: Subscription, made: _Made | None) -> Iterator[Finding]:
    listed = made[1] if made else None
    if listed is None:
        return
    path = layout.mark(one.identifier)
    try:
        mark = snapshots.read_mark(layout, one.identifier)
    except VmcatcherError:
        return  # said by I1 already
    if mark is None:
        yield note("I7", path, "it is missing: the next update makes it", Remedy.MARK, one.identifier)
    elif version_key(mark.version) < version_key(listed.version):
        text = f"it says {mark.version}, the current list is {listed.version}: the next update raises it"
        yield note("I7", path, text)
    elif version_key(mark.version) > version_key(listed.version):
        text = f"it says {mark.version}, the newest list here is {listed.version}: the next update fetches it"
        yield note("I7", path, text)


def _references(layout: Layout, one: Subscription) -> Iterator[Finding]:
    for endorser in one.endorsers:
        if not os.path.lexists(layout.endorser(endorser)) and aside.loss(layout.endorser(endorser)) is None:
            text = f"it is linked to the endorser '{endorser}', who is not there"
            yield note("I8", layout.subscription(one.identifier), text)


def _projections(layout: Layout, one: Subscription, made: _Made | None) -> Iterator[Finding]:
    """I10: what is made from a subscription and its current list."""
    path, name = layout.index(one.identifier), one.identifier
    if index.is_torn(layout, name):
        yield damage("I10", path, "its bytes are not the ones that were written", Remedy.PROJECT, name)
    elif index.fresh_index(layout, name) is None:
        text = "it is older than what it is made from: readers make it anew"
        yield note("I10", path, text, Remedy.PROJECT, name)
    elif index.read_index(layout, name) != (made or index.build_index(layout, one))[0]:
        yield damage("I10", path, "it differs from what it is made from", Remedy.PROJECT, name)
    if not index.is_manifest_sound(layout, name):
        text = "it is not made from the current list: the next update makes it anew"
        yield note("I10", layout.manifest(name), text, Remedy.PROJECT, name)


def check_owners(layout: Layout, subscribed: list[Subscription]) -> Iterator[Finding]:
    """Yield the images that several subscriptions accepted (I9)."""
    owner: dict[str, str] = {}
    for one in subscribed:
        for image in one.images:
            first = owner.setdefault(image.identifier, one.identifier)
            if first != one.identifier:
                text = f"image {image.identifier} is accepted here and by subscription {first}"
                yield damage("I9", layout.subscription(one.identifier), text)
