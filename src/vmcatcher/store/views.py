"""The two views: what may be used and what left. Both follow from the records and can be made again at any time."""

from __future__ import annotations

import contextlib
import filecmp
import logging
import os
import re
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from vmcatcher.errors.cache import HardLinksImpossible
from vmcatcher.errors.store import NotOurFile
from vmcatcher.model.instant import view_stamp
from vmcatcher.store import blobs, files, reading, view_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from vmcatcher.store.layout import Layout

logger = logging.getLogger(__name__)
LinkKind = Literal["symlink", "hardlink", "copy"]
INDEX: Final = "cache.index"
# Where a link of ours leads, also one that was made when the store lay or was mounted elsewhere: to a blob, or to bytes
# that were put aside.
_OWN_TARGET: Final = re.compile(r"(?:.*/)?(?:sha512/([0-9a-f]{2})/\1[0-9a-f]{126}|quarantine/[0-9a-f]{128}\.[^/]+)")
_STAMP: Final = re.compile(r"\.\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d(-\d+)?\Z")


@dataclass(frozen=True, slots=True)
class Views:
    """Where the views lie: inside the store, or in directories that the operator named."""

    cache: str
    partial: str
    expired: str
    links: LinkKind = "symlink"
    _ways: dict[tuple[str, str, str], str] = field(default_factory=dict, init=False, repr=False, compare=False)

    def target(self, layout: Layout, directory: str, path: str) -> str:
        """Return `link_target`; where a directory really is, is looked up once in the life of these views.

        Ten thousand links lead into a few hundred directories, and each look-up asks for every part of a path.
        """
        folder, name = os.path.split(path)
        key = (layout.root, directory, folder)
        if key not in self._ways:
            self._ways[key] = _way(layout, directory, folder)
        return os.path.join(self._ways[key], name)

    @classmethod
    def inside(cls, layout: Layout, links: LinkKind = "symlink") -> Views:
        """Return the views of a store that nobody asked to lie elsewhere."""
        return cls(layout.endorsed, layout.partial, layout.expired, links)


def demand_linkable(layout: Layout, views: Views) -> None:
    """Return if the views can be made of what the operator asked for.

    Raises:
        HardLinksImpossible: better once and before anything is done than for each image after its download.
    """
    if views.links != "hardlink":
        return
    for directory in (views.cache, views.partial, views.expired):
        with contextlib.suppress(FileNotFoundError), reading.reported(directory):
            if os.stat(directory).st_dev != os.stat(layout.blobs).st_dev:
                raise HardLinksImpossible(path=directory, blobs=layout.blobs)


def link_target(layout: Layout, directory: str, path: str) -> str:
    """Return what a link in `directory` has to say to lead to `path` in the store.

    Relative where both lie inside the store, so that a copied or moved tree still holds together; else absolute.
    """
    folder, name = os.path.split(path)
    # The last part is not resolved: a link planted in place of a blob must not lead the view elsewhere.
    return os.path.join(_way(layout, directory, folder), name)


def _way(layout: Layout, directory: str, folder: str) -> str:
    root, here, there = (os.path.realpath(one) for one in (layout.root, directory, folder))
    inside = all(os.path.commonpath((root, end)) == root for end in (here, there))
    return os.path.relpath(there, here) if inside else there


def show(layout: Layout, views: Views, directory: str, name: str, path: str) -> None:
    """Make `name` in a view stand for the stored file `path`, as a link or as the operator asked.

    Raises:
        NotOurFile: a file of somebody else has that name; it is left alone.
    """
    if is_shown(layout, views, directory, name, path):
        return
    place = os.path.join(directory, name)
    demand_free(directory, name, path)
    if views.links == "symlink":
        files.link(views.target(layout, directory, path), place)
    elif directory != views.cache or not _has_moved_on(layout, views, name, path):
        files.copy_in(path, place, hard=views.links == "hardlink")


def _has_moved_on(layout: Layout, views: Views, name: str, path: str) -> bool:
    """Move the copy that the partial view has of `path` into the endorsed view, if it is there and can be moved.

    A second copy would need the space and the time twice, and on a full disk the first would keep it out for ever.
    """
    if views.links != "copy" or not is_shown(layout, views, views.partial, name, path):
        return False
    with reading.reported(views.partial):
        if os.stat(views.partial).st_dev != os.stat(views.cache).st_dev:
            return False
    with contextlib.suppress(FileNotFoundError):
        files.retire(os.path.join(views.partial, name), os.path.join(views.cache, name))
        return True
    return False


def demand_free(directory: str, name: str, path: str) -> None:
    """Return if `name` in a view is free, or is ours and may come to stand for the stored file `path`.

    Raises:
        NotOurFile: a file or link of somebody else has it; vmcatcher never replaces that.
    """
    place = os.path.join(directory, name)
    try:
        found = os.lstat(place)
    except FileNotFoundError:
        return
    if not _is_own_link(place, found) and not _is_own_file(place, found, path):
        raise NotOurFile(path=place, found="something that vmcatcher did not put there")


def is_ours(directory: str, name: str, path: str) -> bool:
    """Tell whether `name` in a view is free, or stands for the stored file `path` or for other bytes of ours."""
    try:
        demand_free(directory, name, path)
    except NotOurFile:
        return False
    return True


def _is_own_link(place: str, found: os.stat_result) -> bool:
    if not stat.S_ISLNK(found.st_mode):
        return False
    with reading.reported(place):
        return _OWN_TARGET.fullmatch(os.readlink(place)) is not None


def _is_own_file(place: str, found: os.stat_result, path: str, *, is_copied: bool = False) -> bool:
    """Tell whether a file in a view is a hard link to, or a copy of, the stored file `path`."""
    try:
        stored = os.lstat(path)
    except OSError:
        return False
    if not stat.S_ISREG(found.st_mode) or not stat.S_ISREG(stored.st_mode):
        return False
    if (found.st_dev, found.st_ino) == (stored.st_dev, stored.st_ino):
        return True
    if found.st_mode & 0o222 or found.st_size != stored.st_size:
        return False
    # Read to the last byte where no copies are made: it happens only when the operator has changed that.
    with reading.reported(place):
        return is_copied or filecmp.cmp(place, path, shallow=False)


def is_shown(layout: Layout, views: Views, directory: str, name: str, path: str) -> bool:
    """Tell whether `name` in a view stands for the stored file `path` already."""
    place = os.path.join(directory, name)
    try:
        if views.links == "symlink":
            return os.readlink(place) == views.target(layout, directory, path)
        shown, stored = os.lstat(place), os.lstat(path)
    except OSError:
        return False
    if views.links == "hardlink":
        return (shown.st_dev, shown.st_ino) == (stored.st_dev, stored.st_ino)
    # Our copies carry the mode of a blob; whatever may be written to was put there by somebody else.
    return stat.S_ISREG(shown.st_mode) and not shown.st_mode & 0o222 and shown.st_size == stored.st_size


def hide(views: Views, directory: str, name: str, path: str) -> bool:
    """Take `name`, which stands for `path`, out of a view; return False where it is not there or not ours.

    Ours is a link to a blob, a file with the bytes of `path`, and, where these are gone, in a view of files one that
    nobody may write to: what was revoked must not stay in use because its blob is missing.
    """
    place = os.path.join(directory, name)
    try:
        found = os.lstat(place)
    except FileNotFoundError:
        return False
    is_read_only = stat.S_ISREG(found.st_mode) and not found.st_mode & 0o222
    is_left_alone = views.links != "symlink" and is_read_only and not os.path.lexists(path)
    is_file = is_left_alone or _is_own_file(place, found, path, is_copied=views.links == "copy")
    if is_file or _is_own_link(place, found):
        return files.drop(place)
    logger.warning("%s is not ours and stays", place)
    return False


def leads_into(layout: Layout, place: str) -> bool:
    """Tell whether the symbolic link `place` leads to a blob or a quarantined file of this store."""
    return _leads_into(_own_roots(layout), os.path.realpath(os.path.dirname(place)), os.readlink(place))


def _own_roots(layout: Layout) -> tuple[str, ...]:
    real = (os.path.realpath(path) for path in (os.path.join(layout.blobs, "sha512"), blobs.quarantine(layout)))
    return tuple(path + os.sep for path in real)


def _leads_into(roots: tuple[str, ...], directory: str, target: str) -> bool:
    return os.path.normpath(os.path.join(directory, target)).startswith(roots)


def own_links(layout: Layout, directory: str) -> list[tuple[str, str]]:
    """Return the links in a view that lead into this store, as name and last part of where they lead."""
    found = []
    roots, here = _own_roots(layout), os.path.realpath(directory)
    for name in reading.names(directory):
        try:
            target = os.readlink(os.path.join(directory, name))
        except OSError:
            continue  # no link, or gone meanwhile
        if _leads_into(roots, here, target):
            found.append((name, os.path.basename(target)))
    return found


def expired_name(views: Views, image: str, now: datetime) -> str:
    """Return the free name `<image>.<time>` in the expired view; `-1`, `-2`, … is appended where it is taken."""
    name = f"{image}.{view_stamp(now)}"
    candidate, count = name, 0
    while os.path.lexists(os.path.join(views.expired, candidate)):
        count += 1
        candidate = f"{name}-{count}"
    return candidate


def image_of(name: str) -> str:
    """Return the image whose version has that name in the expired view."""
    return _STAMP.sub("", name)


def put_index(directory: str, entries: Iterable[tuple[str, Mapping[str, object]]]) -> None:
    """Write the `cache.index` of a view, unless it says just that already."""
    put_index_text(directory, view_text.spelled(sorted(dict(entries).items())))


def put_index_text(directory: str, content: bytes) -> None:
    """Write the `cache.index` of a view as it was spelled, unless it is there like that."""
    path = os.path.join(directory, INDEX)
    with contextlib.suppress(FileNotFoundError, NotOurFile):
        if reading.read(path) == content:
            return
    files.put(path, content)
