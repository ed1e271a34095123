"""Making and opening a store: the format marker, the directories, who may write."""

from __future__ import annotations

import os

from vmcatcher.errors.store import BlobsMissing, ForeignOwner, StoreMissing, UnknownFormat
from vmcatcher.store import documents, files, reading
from vmcatcher.store.layout import MARKER, Layout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final, Literal

    LockKind = Literal["kernel", "claim"]

FORMAT: Final = 1
LOCK_KINDS: Final[tuple[LockKind, ...]] = ("kernel", "claim")
_BLOBS_MARKER: Final = "vmcatcher-blobs.json"


def find_store(root: str) -> Layout | None:
    """Return the layout of the store at `root`, or None where there is none.

    Raises:
        UnknownFormat: another version of the program made it; it is never guessed at.
        DocumentDamaged: the marker cannot be read.
        BlobsMissing: its blobs lie elsewhere, and are not there.
    """
    path = os.path.join(root, MARKER)
    try:
        marker = documents.read_json(path)
    except FileNotFoundError:
        return None
    if marker.get("format") != FORMAT or marker.get("locks") not in LOCK_KINDS:
        raise UnknownFormat(path=path, found=f"{marker.get('format')} with {marker.get('locks')} locks")
    blobs = marker.get("blobs")
    if not isinstance(blobs, str):
        return Layout(root, os.path.join(root, "blobs"))
    if not os.path.exists(os.path.join(blobs, _BLOBS_MARKER)):
        # Below an empty mount point everything would be fetched once more, onto the wrong disk.
        raise BlobsMissing(path=blobs, store=root)
    return Layout(root, blobs)


def lock_kind(layout: Layout) -> LockKind:
    """Return what the locks of the store are, as its marker says; a store that is about to be made has kernel locks.

    Raises:
        UnknownFormat: it has locks of a kind that this program does not know. None is taken for another.
        DocumentDamaged: the marker cannot be read.
    """
    try:
        found = documents.read_json(layout.marker).get("locks")
    except FileNotFoundError:
        return "kernel"
    for kind in LOCK_KINDS:
        if kind == found:
            return kind
    raise UnknownFormat(path=layout.marker, found=f"1 with {found} locks")


def open_store(root: str) -> Layout:
    """Return the layout of the store at `root`.

    Raises:
        StoreMissing: there is none, which is what an unmounted disk looks like.
    """
    layout = find_store(root)
    if layout is None:
        raise StoreMissing(path=root)
    return layout


def make_store(
    root: str, *, blobs: str | None = None, locks: LockKind = "kernel", notes: Mapping[str, object] | None = None
) -> Layout:
    """Return the layout of the store at `root`, made new where there was none.

    Directories that somebody removed from an existing store are made again. The marker is written last: a store that
    was not made to the end is none yet, and making it again completes it. `locks` is the kind of locks of a new store,
    and `notes` are what its marker says besides; see `store.imports`.

    Raises:
        StrangersThere: `root` holds files, but no store; vmcatcher does not move in with strangers.
        ForeignOwner: `root` belongs to another user, whom directories of ours in it would lock out.
        UnknownFormat: a store of another version is there.
    """
    layout = find_store(root)
    if os.path.isdir(root):
        demand_owner(layout or Layout(root, root))
    if layout is None:
        _refuse_strangers(root)
        layout = Layout(root, os.path.abspath(blobs) if blobs else os.path.join(root, "blobs"))
        complete(layout)
        if not layout.has_own_blobs:
            files.put_json(
                os.path.join(layout.blobs, _BLOBS_MARKER), {"format": FORMAT, "store": os.path.abspath(root)}
            )
        marker = {"format": FORMAT, "locks": locks, "blobs": blobs and layout.blobs}
        documents.put_document(layout.marker, {**(notes or {}), **marker})
    else:
        complete(layout)
    return layout


def _refuse_strangers(root: str) -> None:
    try:
        entries = {name for name in os.listdir(root) if not name.startswith(reading.TEMPORARY)}
    except (FileNotFoundError, NotADirectoryError):
        return
    known = {
        os.path.relpath(path, root).split(os.sep)[0] for path in Layout(root, os.path.join(root, "blobs")).directories
    }
    # lost+found: the store may be a file system of its own.
    strangers = sorted(entries - known - {"lost+found"})
    if strangers:
        from vmcatcher.errors.demands import StrangersThere  # noqa: PLC0415 - queries make no store

        raise StrangersThere(path=os.path.join(root, strangers[0]), found="a file of somebody else")


def complete(layout: Layout) -> None:
    """Make the directories of the store that are missing."""
    for directory in (layout.root, *layout.directories):
        files.make_directory(directory)


def demand_owner(layout: Layout) -> None:
    """Refuse to write as another user than the store's owner, whose own next run would be locked out by our files.

    Raises:
        ForeignOwner: the store belongs to somebody else.
        StoreMissing: it is gone, as when a handler removed it or the disk was unmounted during a run.
    """
    with reading.reported(layout.root):
        try:
            owner = os.stat(layout.root).st_uid
        except FileNotFoundError as exc:
            raise StoreMissing(path=layout.root) from exc
    user = os.geteuid()
    if owner != user:
        raise ForeignOwner(path=layout.root, owner=_user_name(owner), user=_user_name(user))


def _user_name(uid: int) -> str:
    import pwd  # noqa: PLC0415 - likewise

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"#{uid}"
