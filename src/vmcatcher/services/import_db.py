"""The way over from the database of the classic program to a store.

The database is read and never written; its directories keep every file unless the operator wants links in their
place. Each step can be done again, so an import that was interrupted is finished by starting it once more, and until
then every command that would use the store stops: a store that was filled by half must not look like a whole one.
"""

from __future__ import annotations

import contextlib
import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vmcatcher.errors.cache import ViewDirectoryMissing
from vmcatcher.services.importing.directories import Adoption
from vmcatcher.services.importing.endorsers import import_endorsers
from vmcatcher.services.importing.promises import Promises
from vmcatcher.services.importing.subscriptions import import_subscriptions
from vmcatcher.services.importing.work import Work
from vmcatcher.store import imports, root
from vmcatcher.store.classic_contents import read_contents
from vmcatcher.store.classic_db import ClassicDatabase

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from vmcatcher.model.identity import Sha512
    from vmcatcher.services.context import Context, Failure
    from vmcatcher.store.classic_contents import ClassicContents
    from vmcatcher.trust.anchors import TrustAnchors
    from vmcatcher.trust.rules import TrustRules

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """What is to be imported, and how."""

    database: str
    cache_directory: str | None = None
    expired_directory: str | None = None
    move: bool = False
    """Put links in the place of the files that were taken over."""
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What was done, or in a dry run would be. Everything that was left out is in `failed`."""

    database: str
    version: str
    sha512: Sha512
    store: str
    dry_run: bool
    counts: Mapping[str, int]
    """What was counted -> how often, in the order in which it was done."""
    warnings: tuple[str, ...]
    failed: tuple[Failure, ...]


def import_database(context: Context, request: ImportRequest, anchors: TrustAnchors, rules: TrustRules) -> ImportReport:
    """Fill the store of the context, which is made if it is not there, from a classic database and its directories.

    What the store has already stays as it is. With `dry_run` nothing at all is changed, no lock taken.

    Raises:
        NoSuchDatabase, NotAClassicDatabase, DatabaseUnreadable, ViewDirectoryMissing: nothing was changed.
        StrangersThere, ForeignOwner: the store cannot be there; nothing was changed.
        StoreHeld: an update or cache run is going on.
        StoreFull, StoreReadOnly, StoreInputOutput: the import goes on from there when it is started again.
    """
    for kind, path in (("Cache", request.cache_directory), ("Expired", request.expired_directory)):
        if path is not None and not os.path.isdir(path):
            raise ViewDirectoryMissing(kind=kind, path=path)
    with ClassicDatabase(request.database) as database:
        digest = database.sha512()
        contents = read_contents(database)
        logger.info("%s: version %s, %d subscriptions", request.database, contents.version, len(contents.subscriptions))
        if not request.dry_run:
            # From its first moment on a new store says that an import into it is under way.
            root.make_store(context.layout.root, notes=imports.begun(request.database))
        with _alone(context, request):
            work = Work(context, anchors, rules, request.dry_run, _is_repeated(context, request, digest))
            _import(work, request, database, contents)
            if not (work.is_dry or work.is_repeated):
                with work.commit():
                    done = imports.Import(os.path.realpath(request.database), digest, context.now)
                    imports.finish(context.layout, done)
    return ImportReport(
        request.database,
        contents.version,
        digest,
        context.layout.root,
        request.dry_run,
        {what: count for what, count in work.tally.counts.items() if count},
        tuple(dict.fromkeys(work.tally.warnings)),
        tuple(work.tally.failed),
    )


@contextlib.contextmanager
def _alone(context: Context, request: ImportRequest) -> Iterator[None]:
    """Keep updates and cache runs out for the length of the block; a dry run is a reader and locks nothing."""
    if request.dry_run:
        yield
        return
    with context.lock("update"), context.lock("cache"):
        yield


def _is_repeated(context: Context, request: ImportRequest, digest: Sha512) -> bool:
    if root.find_store(context.layout.root) is None:
        return False
    path = os.path.realpath(request.database)
    return any((one.database, one.sha512) == (path, digest) for one in imports.imports(context.layout))


def _import(work: Work, request: ImportRequest, database: ClassicDatabase, contents: ClassicContents) -> None:
    for broken in contents.broken:
        work.tally.fail(request.database, broken)
    work.look_around()
    if not work.is_dry and not work.is_repeated:
        with work.commit():
            imports.begin(work.context.layout, request.database)
    promises = Promises()
    import_endorsers(work, contents.endorsers)
    import_subscriptions(work, database, contents.subscriptions, promises)
    # Reading images may take hours, and nothing more is wanted from the database.
    database.close()
    adoption = Adoption(work, promises, move=request.move)
    # What has left first: of the records of an image the newest has the highest number.
    if request.expired_directory is not None:
        adoption.take_expired(request.expired_directory)
    if request.cache_directory is not None:
        adoption.take_cached(request.cache_directory)
