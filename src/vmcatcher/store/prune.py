"""What has been kept long enough: the plan of pruning. Nothing is changed here.

Only names that vmcatcher gives are ever planned for; files of somebody else stay for ever.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import stat
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal

from vmcatcher.errors.store import NotOurFile
from vmcatcher.model.instant import instant_text, parse_instant
from vmcatcher.model.record import CacheRecord, State
from vmcatcher.model.retention import is_over
from vmcatcher.store import blobs, downloads, files, reading, roots, snapshots, subscriptions, views
from vmcatcher.store.doomed import Doomed, Kind, Ledger

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vmcatcher.errors import VmcatcherError
    from vmcatcher.model.retention import Retentions
    from vmcatcher.store.layout import Layout
    from vmcatcher.store.roots import Listed
    from vmcatcher.store.views import Views

_TEMPORARY: Final = re.compile(re.escape(reading.TEMPORARY) + r"[0-9]+-[0-9a-f]{16}")
_LOG: Final = re.compile(r"([0-9]{8}T[0-9]{6}Z)-[^/]+\.jsonl")
_FAILED: Final = re.compile(r"[0-9A-Za-z-]+\.json")
_EVIDENCE: Final = re.compile(r"[0-9]{6,18}-[0-9]{8}T[0-9]{6}Z\.evidence")
# `<digest>.<time>.<random>`, `<path with dots>.<random>`, and what an import of a classic database puts there.
_ASIDE: Final = re.compile(r"[^.].*\.(?:[0-9a-f]{8}|[0-9]{6}\.[0-9a-f]{16}\.(?:json|smime))")
_STAMP: Final = re.compile(r".+\.([0-9]{4}-[0-9]{2}-[0-9]{2})_([0-9]{2})-([0-9]{2})-([0-9]{2})(-[0-9]+)?")
_LAST_S: Final = 253_402_300_799  # 9999-12-31T23:59:59Z, the last second that a datetime can name


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be dropped, in this order, and what could not be read and therefore keeps everything it may name."""

    entries: tuple[Doomed, ...]
    others: tuple[Doomed, ...]
    blobs: tuple[Doomed, ...]
    listed: Listed
    errors: tuple[VmcatcherError, ...]

    @property
    def doomed(self) -> tuple[Doomed, ...]:
        """Everything, in the order in which it is dropped."""
        return (*self.entries, *self.others, *self.blobs)


def plan_prune(layout: Layout, shown: Views, retentions: Retentions, now: datetime) -> Plan:
    """Return what `retentions` allow to drop from the store, and from the views in `shown`. Nothing is changed.

    Raises:
        StoreReadOnly, StoreInputOutput: a directory cannot be read.
    """
    listed = roots.listed_bytes(layout)
    records, damaged = roots.all_records(layout)
    planner = _Planner(layout, shown, retentions, now, records)
    entries = [*planner.entries(), *(planner.strays() if not damaged else ())]
    others = [*planner.partials(), *planner.temporaries(), *planner.event_log(), *planner.failed_events()]
    unneeded: list[Doomed] = []
    if not damaged:
        # A record that cannot be read may name any bytes, any list, and anything in quarantine.
        others += [*planner.snapshots(), *planner.quarantine()]
        unneeded += planner.blobs(listed.digests) if not listed.errors else ()
    return Plan(tuple(entries), tuple(others), tuple(unneeded), listed, (*damaged, *listed.errors))


class _Planner:
    def __init__(
        self, layout: Layout, shown: Views, retentions: Retentions, now: datetime, records: list[CacheRecord]
    ) -> None:
        self._layout = layout
        self._shown = shown
        self._retentions = retentions
        self._now = now
        self._records = records
        self._kept = [one for one in records if roots.is_needed(one, retentions.expired, now)]
        # The one in use, and the one inside the store, which may have been in use before.
        self._views = roots.each_once((shown.expired, layout.expired))
        self._links = {directory: dict(views.own_links(layout, directory)) for directory in self._views}
        self._needed: set[str] = {one.sha512 for one in self._kept}
        self._ledger = Ledger()

    # -- kinds, in the order in which they are dropped: what is planned first may free the bytes of what comes later

    def entries(self) -> Iterator[Doomed]:
        kept = {id(one) for one in self._kept}
        for record in self._records:
            if id(record) in kept:
                continue
            links = [*self._links_of(record)]
            at, why = roots.left_at(record), record.reason.value if record.reason else "reason unknown"
            word = "left" if record.expired_name else "given up"
            path = self._layout.record(record.image, record.number)
            yield from self._ledger.doom("expired", [*links, path], f"{word} {instant_text(at)}, {why}", record.sha512)

    def _links_of(self, record: CacheRecord) -> Iterator[str]:
        name = record.expired_name
        if name is None:
            return
        path = self._layout.blob(record.sha512)
        if record.set_aside is not None:
            path = os.path.join(self._layout.root, record.set_aside)
        for directory in self._views:
            if name in self._links[directory] or self._is_own_file(directory, name, path):
                yield os.path.join(directory, name)

    def _is_own_file(self, directory: str, name: str, path: str) -> bool:
        """Tell whether a view of files shows the bytes of `path` under that name, also where these are gone."""
        if self._shown.links == "symlink":
            return False
        if views.is_shown(self._layout, self._shown, directory, name, path):
            return True
        found = roots.look(os.path.join(directory, name))
        is_read_only = found is not None and stat.S_ISREG(found.st_mode) and not found.st_mode & 0o222
        return is_read_only and not os.path.lexists(path)

    def strays(self) -> Iterator[Doomed]:
        """Yield the links of the expired view that no record stands behind, as an interrupted copy has."""
        known = {one.expired_name for one in self._records if one.state is State.EXPIRED}
        for directory, links in self._links.items():
            for name, target in links.items():
                if name in known:
                    continue
                left = _stamped(name)
                if left is None or not is_over(left, self._retentions.expired, self._now):
                    self._needed.add(target)
                    continue
                reason = f"left {instant_text(left)}, no record stands behind it"
                yield from self._ledger.doom("expired", [os.path.join(directory, name)], reason)

    def partials(self) -> Iterator[Doomed]:
        """Yield downloads that nobody goes on with. Those that stay keep their blob, too: it may be about to come."""
        dead = {os.path.basename(left.path) for left in downloads.lefts(self._layout) if left.is_abandoned}
        found: dict[str, list[str]] = {}
        for name in reading.names(self._layout.partial):
            match = roots.DOWNLOAD.fullmatch(name)
            status = roots.look(os.path.join(self._layout.partial, name))
            if match and status and stat.S_ISREG(status.st_mode):
                found.setdefault(match["download"], []).append(os.path.join(self._layout.partial, name))
        for download, paths in sorted(found.items()):
            written = max(_changed(paths, "st_mtime"), default=self._now)
            if self._is_abandoned(written, is_dead=download in dead):
                yield from self._ledger.doom(
                    "partial", sorted(paths), f"interrupted, last written {instant_text(written)}"
                )
            else:
                self._needed.add(download.partition(".")[0])

    def temporaries(self) -> Iterator[Doomed]:
        for path in temporary_files(self._layout, self._shown):
            yield from self._left_over(path, "left by an interrupted run")

    def blobs(self, listed: frozenset[str]) -> Iterator[Doomed]:
        # Downloads that stay have to be known by now: `partials` comes first.
        needed = self._needed | listed | roots.shown_bytes(self._layout, self._shown)
        for digest, path in roots.blob_files(self._layout):
            if digest not in needed:
                yield from self._if_old("blob", path, self._retentions.grace, "needed by nothing, there since", digest)

    def snapshots(self) -> Iterator[Doomed]:
        named = {(one.list_id, one.snapshot) for one in self._kept}
        for list_id in subscriptions.subscribed(self._layout):
            every = snapshots.all_snapshots(self._layout, list_id)
            for older, newer in itertools.pairwise(every):
                if (list_id, older.name) in named or not is_over(newer.kept, self._retentions.snapshots, self._now):
                    continue
                paths = [older.path, older.path.removesuffix(".smime") + ".evidence"]
                yield from self._ledger.doom("snapshot", paths, f"replaced {instant_text(newer.kept)}")
            yield from self._evidence_alone(list_id)

    def _evidence_alone(self, list_id: str) -> Iterator[Doomed]:
        directory = self._layout.lists(list_id)
        names = set(reading.names(directory))
        for name in sorted(names):
            if _EVIDENCE.fullmatch(name) and name.removesuffix(".evidence") + ".smime" not in names:
                yield from self._left_over(os.path.join(directory, name), "its list was never kept, or is gone,")

    def event_log(self) -> Iterator[Doomed]:
        for name in reading.names(self._layout.event_log):
            match = _LOG.fullmatch(name)
            at = _instant(match[1]) if match else None
            if at is not None and is_over(at, self._retentions.event_log, self._now):
                path = os.path.join(self._layout.event_log, name)
                yield from self._ledger.doom("event-log", [path], f"written {instant_text(at)}")

    def failed_events(self) -> Iterator[Doomed]:
        for name in reading.names(self._layout.failed_events):
            if _FAILED.fullmatch(name):
                path = os.path.join(self._layout.failed_events, name)
                yield from self._if_old("failed-event", path, self._retentions.failed_events, "given up")

    def quarantine(self) -> Iterator[Doomed]:
        lost = roots.decisions_aside(self._layout)
        if lost is None:
            return
        # A link in the expired view leads there while its record is kept.
        kept = {os.path.join(self._layout.root, one.set_aside) for one in self._kept if one.set_aside} | lost
        for directory in roots.each_once((self._layout.quarantine, blobs.quarantine(self._layout))):
            for name in reading.names(directory):
                path = os.path.join(directory, name)
                # The time of the inode, not of the bytes: they were put here by a rename.
                put = max(_changed([path], "st_ctime"), default=self._now)
                if not _ASIDE.fullmatch(name) or path in kept:
                    continue
                if is_over(put, self._retentions.quarantine, self._now):
                    yield from self._ledger.doom("quarantine", [path], f"put aside {instant_text(put)}")

    # -- what they share

    def _is_abandoned(self, written: datetime, *, is_dead: bool) -> bool:
        grace = self._retentions.grace
        if grace is None:
            return False
        # Whoever writes it may run on a host whose processes cannot be seen from here.
        return is_over(written, grace if is_dead else max(grace, timedelta(seconds=files.LEFT_OVER_S)), self._now)

    def _left_over(self, path: str, why: str) -> Iterator[Doomed]:
        for written in _changed([path], "st_mtime"):
            if self._is_abandoned(written, is_dead=False):
                yield from self._ledger.doom("temporary", [path], f"{why} {instant_text(written)}")

    def _if_old(
        self, kind: Kind, path: str, kept: timedelta | None, why: str, sha512: str | None = None
    ) -> Iterator[Doomed]:
        for since in _changed([path], "st_mtime"):
            if is_over(since, kept, self._now):
                yield from self._ledger.doom(kind, [path], f"{why} {instant_text(since)}", sha512)


def temporary_files(layout: Layout, shown: Views) -> Iterator[str]:
    """Yield the path of everything that is named as a run names what it is just writing."""
    for directory in roots.with_temporaries(layout, shown):
        yield from (os.path.join(directory, name) for name in _all_names(directory) if _TEMPORARY.fullmatch(name))


def _all_names(directory: str) -> list[str]:
    with reading.reported(directory):
        try:
            return sorted(os.listdir(directory))
        except FileNotFoundError:
            return []


def _changed(paths: Iterable[str], field: Literal["st_mtime", "st_ctime"]) -> list[datetime]:
    """Return when each of the regular files or links at `paths` that are there was changed last."""
    found = [status for path in paths if (status := roots.look(path)) is not None]
    seconds = [getattr(one, field) for one in found if not stat.S_ISDIR(one.st_mode)]
    return [instant_of(one) for one in seconds]


def instant_of(seconds: float) -> datetime:
    """Return the time of a file; one that no calendar has counts as the first or last that it has."""
    return datetime.fromtimestamp(min(max(seconds, 0), _LAST_S), UTC)


def _instant(text: str) -> datetime | None:
    try:
        return parse_instant(text)
    except ValueError:
        return None


def _stamped(name: str) -> datetime | None:
    match = _STAMP.fullmatch(name)
    return _instant(f"{match[1]}T{match[2]}:{match[3]}:{match[4]}Z") if match else None


def indexed_names(directory: str) -> frozenset[str]:
    """Return the names that the `cache.index` of a view lists; none where it is missing or damaged."""
    try:
        return frozenset(json.loads(reading.read(os.path.join(directory, views.INDEX))))
    except (FileNotFoundError, NotOurFile, ValueError, TypeError, RecursionError):
        return frozenset()
