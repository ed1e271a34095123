"""Putting aside what cannot be trusted: into quarantine, where it is kept and nobody reads it.

A decision of the operator follows from nothing else. Where one is put aside, a note stays in its place until the
decision is there again or is taken back, so that nothing expires because a file was damaged.
"""

from __future__ import annotations

import os
import stat

from vmcatcher.errors import VmcatcherError
from vmcatcher.errors.store import DocumentDamaged, DocumentLost, NotOurFile
from vmcatcher.store import documents, files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from vmcatcher.store.layout import Layout

LOST: Final = ".lost"
_LONGEST_NAME: Final = 200


def place_for(layout: Layout, path: str) -> str:
    """Return a free place in quarantine, on the file system of `path`; its name says where it came from."""
    from vmcatcher.store import blobs  # noqa: PLC0415 - queries only look for notes of a loss

    base = layout.root if layout.has_own_blobs or not _is_below(path, layout.blobs) else layout.blobs
    directory = layout.quarantine if base == layout.root else blobs.quarantine(layout)
    name = os.path.relpath(path, base).replace(os.sep, ".").lstrip(".")
    return os.path.join(directory, f"{name[:_LONGEST_NAME]}.{os.urandom(4).hex()}")


def _is_below(path: str, directory: str) -> bool:
    return os.path.commonpath((os.path.abspath(path), os.path.abspath(directory))) == os.path.abspath(directory)


def set_aside(layout: Layout, path: str, place: str | None = None) -> str:
    """Move whatever stands at `path` into quarantine; return where it is now.

    Raises:
        FileNotFoundError: nothing is there.
        StoreFull, StoreReadOnly, StoreInputOutput: it is where it was.
    """
    place = place or place_for(layout, path)
    files.make_directory(os.path.dirname(place))
    files.retire(path, place)
    return place


def lose(layout: Layout, path: str) -> str:
    """Put the damaged decision at `path` aside and leave a note of the loss in its place; return where it is now.

    The note goes first: were the document gone without it, the next run would take the decision for withdrawn.
    """
    place = place_for(layout, path)
    documents.put_document(path + LOST, {"format": documents.FORMAT, "kept": place})
    return set_aside(layout, path, place)


def loss(path: str) -> DocumentLost | None:
    """Return the error that says that the decision at `path` was damaged and is not there again; None where it is."""
    if os.path.lexists(path) or not os.path.lexists(path + LOST):
        return None
    try:
        kept = str(documents.read_json(path + LOST).get("kept"))
    except (VmcatcherError, FileNotFoundError):
        kept = "quarantine"
    return DocumentLost(path=path, kept=kept)


def forget_loss(path: str) -> None:
    """Note that the decision at `path` was made anew or taken back."""
    if os.path.lexists(path + LOST):
        files.drop(path + LOST)


def is_regular(path: str) -> bool:
    """Tell whether a regular file stands at `path`, or nothing does."""
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except FileNotFoundError:
        return True


def is_untrustworthy(error: Exception) -> bool:
    """Tell whether an error about a file says that what is there is none of ours any more, now and at the next look.

    A disk that cannot be read, and a file of a later version of the program, say nothing of the kind.
    """
    return isinstance(error, DocumentDamaged | NotOurFile)
