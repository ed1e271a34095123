"""Where everything lies: the only place that knows the names of files and directories in a store."""

from __future__ import annotations

import os

from vmcatcher.light import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from vmcatcher.model.identity import ImageId, Sha512

MARKER: Final = "vmcatcher.json"
# Everything but these is quoted in the file name of an endorser, so that any printable identifier has exactly one.
_PLAIN: Final = "-._~@+=:"
_LONGEST_NAME: Final = 200


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of one store. `blobs` may lie on another file system; the partial downloads then lie beside it."""

    root: str
    blobs: str

    @property
    def marker(self) -> str:
        """The format marker: a directory without it is no store."""
        return os.path.join(self.root, MARKER)

    @property
    def partial(self) -> str:
        """Downloads in flight, on the file system of the blobs."""
        return os.path.join(self.root if self.has_own_blobs else self.blobs, "partial")

    @property
    def has_own_blobs(self) -> bool:
        """Tell whether the blobs lie inside the store, and not where `store init --blobs` put them."""
        return self.blobs == os.path.join(self.root, "blobs")

    @property
    def directories(self) -> tuple[str, ...]:
        """Every directory that a whole store has."""
        own = ("endorsers", "vetoes", "marks", "subscriptions", "cache", "endorsed", "expired", "quarantine", "trust")
        return (
            *(os.path.join(self.root, name) for name in own),
            os.path.join(self.blobs, "sha512"),
            self.partial,
            self.failed_events,
            self.event_log,
            self.locks,
        )

    @property
    def endorsers(self) -> str:
        """Directory of the endorser documents."""
        return os.path.join(self.root, "endorsers")

    def endorser(self, identifier: str) -> str:
        """Document of one endorser; its identifier is percent-quoted, a leading dot too.

        One that is too long for a file name when quoted is cut, and its digest makes it unique again.
        """
        from urllib.parse import quote  # noqa: PLC0415 - listing endorsers goes by what is there

        name = quote(identifier, safe=_PLAIN)
        if name.startswith("."):
            name = "%2E" + name[1:]
        if len(name) > _LONGEST_NAME:
            import hashlib  # noqa: PLC0415 - hardly any identifier is that long

            digest = hashlib.sha256(identifier.encode()).hexdigest()
            name = f"{name[: _LONGEST_NAME - len(digest) - 1]}%{digest}"
        return os.path.join(self.endorsers, name + ".json")

    @property
    def subscriptions(self) -> str:
        """Directory with one directory per subscription."""
        return os.path.join(self.root, "subscriptions")

    def subscription_directory(self, list_id: str) -> str:
        """Directory of one subscription."""
        # Joined by hand here and below: a listing names six files of each subscription.
        return f"{self.root}/subscriptions/{list_id}"

    def subscription(self, list_id: str) -> str:
        """Document of one subscription; while it is there, the subscription is."""
        return f"{self.root}/subscriptions/{list_id}/subscription.json"

    def secret(self, list_id: str) -> str:
        """Password of one subscription, mode 0600."""
        return f"{self.root}/subscriptions/{list_id}/secret.json"

    def fetch(self, list_id: str) -> str:
        """Bookkeeping of fetching one list."""
        return f"{self.root}/subscriptions/{list_id}/fetch.json"

    def lists(self, list_id: str) -> str:
        """Directory of the snapshots of one list."""
        return f"{self.root}/subscriptions/{list_id}/lists"

    def manifest(self, list_id: str) -> str:
        """The current list as plain JSON."""
        return f"{self.root}/subscriptions/{list_id}/manifest.json"

    def index(self, list_id: str) -> str:
        """The lines that listing images needs."""
        return f"{self.root}/subscriptions/{list_id}/index.tsv"

    def verdict(self, list_id: str) -> str:
        """What the last cache run found when it judged the current list again."""
        return f"{self.root}/subscriptions/{list_id}/verdict.json"

    @property
    def marks(self) -> str:
        """Directory of the marks."""
        return os.path.join(self.root, "marks")

    def mark(self, list_id: str) -> str:
        """Newest list ever admitted under that identifier; survives the subscription."""
        return os.path.join(self.marks, list_id + ".json")

    @property
    def vetoes(self) -> str:
        """Directory of the vetoes."""
        return os.path.join(self.root, "vetoes")

    @property
    def cache(self) -> str:
        """Directory with one directory of records per image."""
        return os.path.join(self.root, "cache")

    def records(self, image: str) -> str:
        """Directory of the records of one image."""
        return os.path.join(self.cache, image)

    def record(self, image: ImageId, number: int) -> str:
        """Record of one cached version."""
        return os.path.join(self.records(image), f"{number}.json")

    def blob(self, sha512: Sha512) -> str:
        """Image bytes by their digest."""
        return os.path.join(self.blobs, "sha512", sha512[:2], sha512)

    @property
    def endorsed(self) -> str:
        """The view of what may be used."""
        return os.path.join(self.root, "endorsed")

    @property
    def expired(self) -> str:
        """The view of what left."""
        return os.path.join(self.root, "expired")

    @property
    def quarantine(self) -> str:
        """Bytes and documents that are not what their name says."""
        return os.path.join(self.root, "quarantine")

    @property
    def failed_events(self) -> str:
        """Events that were given up, one file each."""
        return os.path.join(self.root, "events", "failed")

    @property
    def event_log(self) -> str:
        """What each run told, one file per run."""
        return os.path.join(self.root, "events", "log")

    @property
    def trust(self) -> str:
        """Revocation lists that lie over the trust-anchor directory."""
        return os.path.join(self.root, "trust")

    @property
    def locks(self) -> str:
        """Lock files; they are never removed."""
        return os.path.join(self.root, "locks")
