"""Subscriptions of a classic database: where the list is, who may sign it, which images the site wants."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from vmcatcher.errors.requests import BadPassword, ImageOfAnotherList
from vmcatcher.model.subscription import AcceptedImage, Decided, Subscription, TlsTrust
from vmcatcher.services.importing.lists import History, is_begun, keep_history, prove_history, report_history
from vmcatcher.services.subscriptions import demand_sendable
from vmcatcher.store import files, index, snapshots, subscriptions
from vmcatcher.store.subscriptions import FetchNotes, Secret

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vmcatcher.services.importing.promises import Promises
    from vmcatcher.services.importing.work import Work
    from vmcatcher.store.classic_contents import ClassicSubscription
    from vmcatcher.store.classic_db import ClassicDatabase


def import_subscriptions(
    work: Work, database: ClassicDatabase, rows: Iterable[ClassicSubscription], promises: Promises
) -> None:
    """Make the subscriptions that the store lacks, with their stored lists; those that it has stay as they are.

    The document of a subscription is put last of all that belongs to it, so that an interrupted import leaves it whole
    or not at all. One that has no current list gets its stored lists also when it was imported before.
    """
    for row in rows:
        known = subscriptions.find_subscription(work.context.layout, row.identifier)
        if known is None and work.is_repeated:
            text = f"subscription {row.identifier} was deleted after the import and is not made again"
            work.tally.warn(text)
        elif known is None:
            _make(work, database, row, promises)
        else:
            _complete(work, database, row, known, promises)


def _make(work: Work, database: ClassicDatabase, row: ClassicSubscription, promises: Promises) -> None:
    subscription, secret = _decided(work, row)
    history = prove_history(work, database, subscription, row.lists)
    report_history(work, subscription, history)
    _warn_of_access(work, subscription, secret)
    _warn_of_file_images(work, subscription, history)
    work.owners.update((image.identifier, row.identifier) for image in subscription.images)
    tally = work.tally
    tally.count("subscriptions imported")
    tally.count("images accepted", len(subscription.images))
    tally.count("images selected", len(subscription.selected))
    if not work.is_dry:
        _keep(work, row, subscription, secret, history)
    _promise(work, row, history, promises)


def _complete(
    work: Work, database: ClassicDatabase, row: ClassicSubscription, known: Subscription, promises: Promises
) -> None:
    work.tally.count("subscriptions there already")
    history = History()
    if snapshots.current_snapshot(work.context.layout, known.identifier) is None:
        history = prove_history(work, database, known, row.lists)
        report_history(work, known, history)
    if not work.is_dry:
        keep_history(work, known.identifier, history)
        with work.commit():
            index.refresh_projections(work.context.layout, known)
    _promise(work, row, history, promises)


def _promise(work: Work, row: ClassicSubscription, history: History, promises: Promises) -> None:
    promises.images.update(image.identifier for image in row.images)
    if work.is_dry:
        promises.take_history(history)
    promises.take_snapshots(work, row.identifier)
    if not history.snapshots and snapshots.current_snapshot(work.context.layout, row.identifier) is None:
        promises.claim(row.images)


def _decided(work: Work, row: ClassicSubscription) -> tuple[Subscription, Secret | None]:
    uri = str(row.location)
    subscription = Subscription(
        identifier=row.identifier,
        uri_asked=uri,
        uri=uri,
        added=work.next_instant(),
        description=row.description,
        endorsers=tuple(one for one in row.endorsers if one in work.endorsers),
        new_images=row.new_images,
        images=_accepted(work, row),
        tls=row.tls,
    )
    return _with_credentials(work, row, subscription)


def _accepted(work: Work, row: ClassicSubscription) -> tuple[AcceptedImage, ...]:
    found = []
    for image in row.images:
        owner = work.owners.get(image.identifier)
        if owner is not None and owner != row.identifier:
            why = f"subscription {owner} has it"
            taken = ImageOfAnotherList(image=image.identifier, list_id=row.identifier, why=why)
            work.tally.fail(f"ImageDefinition row {image.row}", taken)
        else:
            decided = Decided.BY_HAND if image.is_selected else None
            found.append(AcceptedImage(image.identifier, image.is_selected, decided))
    return tuple(found)


def _with_credentials(
    work: Work, row: ClassicSubscription, subscription: Subscription
) -> tuple[Subscription, Secret | None]:
    """Return the subscription with its user name, and its password bound to the place that it was set for."""
    if row.userinfo is None or row.location.scheme == "file":
        return subscription, None
    origin = str(row.location.origin)
    username, password = row.userinfo.username, row.userinfo.password
    try:
        if username:
            demand_sendable(username, "user name")
            subscription = replace(subscription, username=username, username_origin=origin)
        if not password:
            return subscription, None
        demand_sendable(password, "password")
    except BadPassword as error:
        work.tally.fail(f"subscription {row.identifier}", error)
        return subscription, None
    # It was sent so until now. To stop that without a word would stop the subscription.
    over_http = row.location.scheme == "http"
    return replace(subscription, password_over_http=over_http), Secret(password, origin)


def _warn_of_access(work: Work, subscription: Subscription, secret: Secret | None) -> None:
    subject = f"subscription {subscription.identifier}"
    if secret is not None and subscription.password_over_http:
        work.tally.warn(f"{subject} sends its password over plain http, as before: anybody on the way can read it")
    if subscription.uri.startswith("https:") and subscription.tls is TlsTrust.UNSET:
        work.tally.warn(
            f"{subject}: its https server is verified from now on, with the authorities of the system; "
            "--uri-trustanchor-set igtf chooses those of the trust-anchor directory"
        )


def _warn_of_file_images(work: Work, subscription: Subscription, history: History) -> None:
    if not history.snapshots or subscription.uri.startswith("file:"):
        return
    listed = history.snapshots[-1].listed
    wanted = [image for image in listed.images if image.identifier in subscription.selected]
    if any(image.uri.startswith("file:") for image in wanted):
        work.tally.warn(
            f"subscription {subscription.identifier} names images as files of this machine, which are no longer taken "
            "unless --allow-file-images says so"
        )


def _keep(
    work: Work, row: ClassicSubscription, subscription: Subscription, secret: Secret | None, history: History
) -> None:
    layout, list_id = work.context.layout, subscription.identifier
    if not is_begun(work, list_id, history):
        # What a deleted subscription left would otherwise become part of this one.
        with work.commit():
            subscriptions.clear_directory(layout, list_id)
    keep_history(work, list_id, history)
    newest = history.snapshots[-1].listed if history.snapshots else None
    told = tuple(image.identifier for image in newest.images) if newest else None
    with work.commit():
        files.make_directory(layout.subscription_directory(list_id))
        subscriptions.put_secret(layout, list_id, secret)
        subscriptions.put_fetch_notes(
            layout, list_id, FetchNotes(attempted=row.updated, succeeded=row.updated, told=told)
        )
        subscriptions.put_subscription(layout, subscription)
        index.write_projections(layout, subscription)
