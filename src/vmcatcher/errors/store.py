"""Trouble with the store: disk, permissions, locks, damaged documents, unknown formats."""

from __future__ import annotations

from vmcatcher.errors.base import MachineError, OperatorError
from vmcatcher.light import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import ClassVar


@dataclass(eq=False)
class StoreFull(MachineError):
    """No space or quota is left for what has to be written."""

    path: str
    needed_bytes: int | None
    free_bytes: int | None
    id: ClassVar[str] = "store-full"
    exit_code: ClassVar[int] = 75
    classic_exit: ClassVar[int] = 75
    message: ClassVar[str] = "no space for {path}: {needed_bytes} bytes needed, {free_bytes} free"
    hint: ClassVar[str] = "free some space or raise the quota; the next run goes on where this one stopped"


@dataclass(eq=False)
class StoreReadOnly(MachineError):
    """The file system or its permissions do not allow the change."""

    path: str
    why: str
    id: ClassVar[str] = "store-read-only"
    message: ClassVar[str] = "cannot write {path}: {why}"
    hint: ClassVar[str] = "check mount options and permissions of the store"


@dataclass(eq=False)
class StoreUnreadable(StoreReadOnly):
    """The permissions do not even allow to read what is there."""

    id: ClassVar[str] = "store-unreadable"
    message: ClassVar[str] = "cannot read {path}: {why}"
    hint: ClassVar[str] = "check its permissions and those of the directories above it, or run as its owner"


@dataclass(eq=False)
class NoDirectoryThere(MachineError):
    """The file system takes no new directories at that place, as /proc and automounted directories do."""

    path: str
    above: str
    id: ClassVar[str] = "no-directory-there"
    message: ClassVar[str] = "cannot make the directory {path}: {above} is there, but takes no new ones"
    hint: ClassVar[str] = "name a directory of a disk, or see that the one it belongs on is mounted"


@dataclass(eq=False)
class StoreInputOutput(MachineError):
    """The operating system refused a file operation for a reason that may pass."""

    path: str
    why: str
    id: ClassVar[str] = "store-io"
    exit_code: ClassVar[int] = 75
    classic_exit: ClassVar[int] = 75
    message: ClassVar[str] = "input/output trouble at {path}: {why}"
    hint: ClassVar[str] = "look at the disk (dmesg), then run the command again"


@dataclass(eq=False)
class DocumentDamaged(MachineError):
    """A file of the store does not hold what its place says."""

    path: str
    why: str
    id: ClassVar[str] = "document-damaged"
    message: ClassVar[str] = "{path} is damaged: {why}"
    hint: ClassVar[str] = "restore it from a backup of the store, or move it aside and run again"


@dataclass(eq=False)
class NotOurFile(MachineError):
    """Something else than a regular file stands where the store keeps one."""

    path: str
    found: str
    id: ClassVar[str] = "not-our-file"
    message: ClassVar[str] = "{path} should be a regular file, found {found}"
    hint: ClassVar[str] = "vmcatcher does not touch it; find out who put it there and move it away"


@dataclass(eq=False)
class UnknownFormat(MachineError):
    """The store was made by another version of the program, or is no store."""

    path: str
    found: str
    id: ClassVar[str] = "unknown-format"
    message: ClassVar[str] = "{path} has format {found}, this program knows format 1"
    hint: ClassVar[str] = "use the version of vmcatcher that made the store"


@dataclass(eq=False)
class StoreMissing(MachineError):
    """There is no store where one is needed; an unmounted disk looks just so."""

    path: str
    id: ClassVar[str] = "store-missing"
    exit_code: ClassVar[int] = 75
    classic_exit: ClassVar[int] = 75
    message: ClassVar[str] = "there is no store at {path}"
    hint: ClassVar[str] = "is it mounted? A new one is made by `vmcatcher store init` or the first subscription"


@dataclass(eq=False)
class BlobsMissing(MachineError):
    """The blobs of the store lie in another place, and nothing of them is there: a disk that is not mounted."""

    path: str
    store: str
    id: ClassVar[str] = "blobs-missing"
    exit_code: ClassVar[int] = 75
    classic_exit: ClassVar[int] = 75
    message: ClassVar[str] = "the blobs of {store} should be at {path}, but are not there"
    hint: ClassVar[str] = "is it mounted?"


@dataclass(eq=False)
class DatabaseNotImported(OperatorError):
    """A classic database is there whose content the store does not have yet."""

    database: str
    store: str
    id: ClassVar[str] = "database-not-imported"
    message: ClassVar[str] = "{database} is a classic vmcatcher database and was not imported into {store} yet"
    hint: ClassVar[str] = (
        "import it with `vmcatcher store import-db --store {store} {database}`, "
        "or name another store with --store or VMCATCHER_STORE"
    )


@dataclass(eq=False)
class ForeignOwner(OperatorError):
    """The store belongs to another user, whose next run would be locked out by files of this one."""

    path: str
    owner: str
    user: str
    id: ClassVar[str] = "foreign-owner"
    message: ClassVar[str] = "{path} belongs to user {owner}; {user} may read it but not change it"
    hint: ClassVar[str] = "run the command as its owner: sudo -u {owner} …"


@dataclass(eq=False)
class StoreHeld(MachineError):
    """Another process is changing the same thing right now."""

    lock: str
    holder: str
    id: ClassVar[str] = "store-held"
    exit_code: ClassVar[int] = 75
    classic_exit: ClassVar[int] = 75
    message: ClassVar[str] = "the {lock} lock is held by {holder}"
    hint: ClassVar[str] = "try again when it is done, or wait for it with --wait SECONDS"


@dataclass(eq=False)
class BadStoreLocation(OperatorError):
    """The store option or variable names something that cannot hold a store."""

    given: str
    why: str
    id: ClassVar[str] = "bad-store-location"
    message: ClassVar[str] = "'{given}' cannot name a store: {why}"
    hint: ClassVar[str] = "give a directory, file:///DIR or sqlite:////DIR/NAME.db"


@dataclass(eq=False)
class WrongBytes(MachineError):
    """The bytes of a download are not the ones the signed list promises."""

    uri: str
    what: str
    expected: str
    found: str
    id: ClassVar[str] = "wrong-bytes"
    message: ClassVar[str] = "{uri} delivered wrong bytes: {what} {expected} expected, {found} found"
    hint: ClassVar[str] = "the mirror or the list is wrong; ask the endorser if it stays so"


@dataclass(eq=False)
class DocumentSetAside(MachineError):
    """A damaged file of the store was moved into quarantine; what follows from other files was made again."""

    path: str
    why: str
    kept: str
    id: ClassVar[str] = "document-set-aside"
    message: ClassVar[str] = "{path} was damaged ({why}); it is kept aside as {kept}"
    hint: ClassVar[str] = "check the disk; what follows from other files was made again"


@dataclass(eq=False)
class DocumentLost(MachineError):
    """A decision of the operator was damaged and put aside; nothing it was about expires until it is made again."""

    path: str
    kept: str
    id: ClassVar[str] = "document-lost"
    message: ClassVar[str] = "{path} is lost: it was damaged and is kept aside as {kept}"
    hint: ClassVar[str] = "restore it from a backup of the store, or decide anew; see how-to/verify-and-repair"
