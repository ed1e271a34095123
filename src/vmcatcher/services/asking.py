"""What every subscription is asked for in a run: from where, as whom, and whether anything newer than what is here."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vmcatcher.errors import VmcatcherError
from vmcatcher.errors.store import DocumentDamaged, NotOurFile
from vmcatcher.light import replace
from vmcatcher.model.location import Location
from vmcatcher.model.subscription import TlsTrust
from vmcatcher.services.newest import is_outrun
from vmcatcher.store import index, snapshots, subscriptions
from vmcatcher.transport.access import Access
from vmcatcher.transport.results import Validators

if TYPE_CHECKING:
    from vmcatcher.model.identity import ListId, Sha512
    from vmcatcher.model.subscription import Subscription
    from vmcatcher.services.context import Context
    from vmcatcher.services.memory import Memory
    from vmcatcher.services.unchanged import Noted
    from vmcatcher.services.update import Tools
    from vmcatcher.store.snapshots import Snapshot

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Asking:
    """One subscription, and what its server is asked."""

    heading: Subscription
    """Without its images: a thousand lists of a hundred images would be held until the run ends."""
    location: Location
    access: Access
    known: Validators | None
    """The version that is here; None where "not modified" would be no answer that helps."""
    noted: Noted | None
    """What the last update noted, where as far as can be seen nothing has changed since."""

    @property
    def list_id(self) -> ListId:
        """The list that is asked for."""
        return self.heading.identifier


def access_for(context: Context, subscription: Subscription, trust_directory: str) -> Access:
    """Return how the servers of a subscription are spoken to."""
    secret = subscriptions.read_secret(context.layout, subscription.identifier)
    # Never simply the current URI: the list names that, and could have the user name sent anywhere.
    origin = (secret and secret.origin) or subscription.username_origin or subscription.uri_asked
    is_file = Location.parse(subscription.uri)[0].scheme == "file"
    return Access(
        tls="insecure" if subscription.insecure else "igtf" if subscription.tls is TlsTrust.IGTF else "system",
        trust_directory=trust_directory,
        username=subscription.username,
        password=secret.password if secret else None,
        origin=None if origin.startswith("file:") else Location.parse(origin)[0].origin,
        plain_password=subscription.password_over_http,
        # A list that comes from this machine may name files of this machine, as long as it comes from there.
        file_images=subscription.file_images or is_file,
    )


def headings(context: Context, memory: Memory | None = None) -> tuple[list[Subscription], dict[str, VmcatcherError]]:
    """Return the subscriptions without their images in the order they were made, and why others cannot be read."""
    if memory is not None:
        # Such a run holds them with their images until its end in any case.
        whole, failed = memory.subscriptions()
        return [replace(one, images=(), refused=()) for one in whole], failed
    found: list[Subscription] = []
    failed = {}
    for name in subscriptions.subscribed(context.layout):
        try:
            one = subscriptions.find_heading(context.layout, name)
        except VmcatcherError as error:
            failed[name] = error
        else:
            found.extend([one] if one else [])
    return sorted(found, key=lambda one: (one.added, one.identifier)), failed


def asking(context: Context, tools: Tools, heading: Subscription, noted: Noted | None) -> Asking:
    """Return what to ask the server of a subscription, of which that much is noted. Nothing is written.

    Raises:
        DocumentDamaged: its password cannot be read, or others may read it.
        BadLocation: its URI cannot be used.
    """
    location = Location.parse(heading.uri)[0]
    access = access_for(context, heading, tools.trust_directory)
    if noted is not None:
        return Asking(heading, location, access, noted.validators, noted)
    newest = snapshots.current_snapshot(context.layout, heading.identifier)
    whole = whole_digest(newest, heading.identifier) if newest else None
    if newest is None or whole is None or not is_unmodified_helpful(context, heading, newest, whole):
        return Asking(heading, location, access, None, None)
    # Only with the snapshot at hand is "not modified" an answer; what it names is verified again all the same.
    notes = subscriptions.read_fetch_notes(context.layout, heading.identifier)
    return Asking(heading, location, access, Validators(notes.etag, notes.last_modified), None)


def is_unmodified_helpful(context: Context, heading: Subscription, snapshot: Snapshot, digest: Sha512) -> bool:
    """Tell whether "not modified" would be an answer that helps, and is about this snapshot, of that digest."""
    if is_outrun(context, heading.identifier, snapshot, digest):
        return False
    known = index.fresh_index(context.layout, heading.identifier)
    # A list that is over is asked for without conditions: a server may have used its ETag twice, a cache may be stale.
    end = known.end(context.max_validity_s) if known is not None else None
    return end is None or end > context.now


def whole_digest(snapshot: Snapshot, list_id: str) -> Sha512 | None:
    """Return the digest of a snapshot's bytes if they are the ones that were admitted; a damaged one is fetched again.

    Raises:
        StoreInputOutput, StoreUnreadable: it cannot be read now, which says nothing about it.
    """
    try:
        digest = snapshots.signed_digest(snapshots.read_signed(snapshot))
        if snapshots.read_evidence(snapshot).sha512 == digest:
            return digest
    except (DocumentDamaged, NotOurFile, FileNotFoundError):
        pass
    logger.warning("snapshot %s of %s is damaged and is fetched again", snapshot.name, list_id)
    return None
