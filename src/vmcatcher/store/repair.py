"""What is done about each finding of a check, one file operation after the other.

Nothing is deleted: what cannot be trusted is moved into quarantine. Broken off anywhere and begun again, a repair comes
to the same end, because every step is found anew.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vmcatcher.model import record as life
from vmcatcher.model.identity import Sha512
from vmcatcher.model.record import CacheRecord, Reason, State
from vmcatcher.store import aside, blobs, cache, files, index, snapshots, subscriptions, view_indexes, views
from vmcatcher.store.findings import Finding, Remedy
from vmcatcher.store.recovery import Recovery, mark_from_snapshots

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from vmcatcher.store.layout import Layout
    from vmcatcher.store.views import Views


@dataclass(frozen=True, slots=True)
class Repaired:
    """One thing that a repair did."""

    finding: Finding
    text: str

    def __str__(self) -> str:
        return f"{self.finding.invariant} repaired: {self.finding.path}: {self.text}"


class Repairer:
    """Applies remedies. Call it under the update, the cache and the store lock."""

    def __init__(self, layout: Layout, shown: Views, now: datetime, new_id: Callable[[], str | None]) -> None:
        self._layout = layout
        self._shown = shown
        self._now = now
        self._new_id = new_id
        self._recovery = Recovery(layout, shown, now, new_id)
        self._steps: dict[Remedy, Callable[[Finding], str | None]] = {
            Remedy.ASIDE: self._put_aside,
            Remedy.LOSE: self._lose,
            Remedy.RECORD: self._replace_record,
            Remedy.SNAPSHOT: self._put_snapshot_aside,
            Remedy.CORRUPT: self._put_bytes_aside,
            Remedy.MODE: self._set_mode,
            Remedy.PROJECT: self._project,
            Remedy.MARK: self._mark,
            Remedy.SHOW: self._show,
            Remedy.INDEX: self._write_indexes,
            Remedy.DIRECTORY: self._make_directory,
        }

    def apply(self, finding: Finding) -> Repaired | None:
        """Do what there is to do about a finding; None where it has gone meanwhile.

        Raises:
            StoreFull, StoreReadOnly, StoreInputOutput, NotOurFile: it is as it was.
        """
        try:
            text = self._steps[finding.remedy](finding)
        except FileNotFoundError:
            return None
        return None if text is None else Repaired(finding, text)

    def _kept(self, place: str) -> str:
        return f"quarantined as {os.path.relpath(place, self._layout.root)}"

    def _put_aside(self, finding: Finding) -> str:
        kept = self._kept(aside.set_aside(self._layout, finding.path))
        if finding.path in self._layout.directories:
            files.make_directory(finding.path)
            return f"{kept}; the directory was made"
        return kept

    def _lose(self, finding: Finding) -> str:
        return f"{self._kept(aside.lose(self._layout, finding.path))}; only you can decide it again"

    def _replace_record(self, finding: Finding) -> str:
        number = int(os.path.basename(finding.path).removesuffix(".json"))
        place, record = self._recovery.replace_record(finding.about, number)
        made = f"made again as {record.state}" if record else "nothing of it is to be seen, so it is forgotten"
        return f"{self._kept(place)}; {made}"

    def _put_snapshot_aside(self, finding: Finding) -> str | None:
        for snapshot in snapshots.all_snapshots(self._layout, finding.about):
            if snapshot.path == finding.path:
                places = snapshots.set_aside(self._layout, snapshot)
                return f"{'; '.join(self._kept(place) for place in places)}; the next update fetches the current list"
        return None

    def _put_bytes_aside(self, finding: Finding) -> str | None:
        digest = Sha512(finding.about)
        place = blobs.place_aside(self._layout, digest, self._now)
        left = []
        for image in cache.cached_images(self._layout):
            for record in cache.readable_records(self._layout, image)[0]:
                if record.sha512 == digest and record.state is State.ENDORSED:
                    # As a cache run does it: the record first, so that the cloud is told why the image leaves.
                    marked = replace(record, set_aside=place)
                    cache.put_record(self._layout, life.expiring(marked, self._now, Reason.CORRUPT, self._new_id()))
                    left.append(image)
        if not blobs.set_aside(self._layout, digest, place):
            return None
        text = self._kept(os.path.join(self._layout.root, place))
        return f"{text}; the next cache run fetches image {', '.join(left)} again" if left else text

    def _set_mode(self, finding: Finding) -> str:
        files.set_mode(finding.path, finding.mode)
        return f"its mode is {finding.mode:04o} now"

    def _project(self, finding: Finding) -> str | None:
        one = subscriptions.find_subscription(self._layout, finding.about)
        if one is None:
            return self._kept(aside.set_aside(self._layout, finding.path))
        index.write_projections(self._layout, one)
        return "made again from the subscription and its current list"

    def _mark(self, finding: Finding) -> str | None:
        kept = []
        if os.path.lexists(finding.path):
            kept.append(self._kept(aside.set_aside(self._layout, finding.path)))
        mark = mark_from_snapshots(self._layout, finding.about)
        if mark is None:
            return "; ".join([*kept, "no list is left to say which one was the newest: look at the next one"])
        snapshots.put_mark(self._layout, finding.about, mark)
        return "; ".join([*kept, f"made again from the list of version {mark.version}"])

    def _show(self, finding: Finding) -> str | None:
        done = []
        for record in cache.readable_records(self._layout, finding.about)[0]:
            if record.state is State.ENDORSED and blobs.has_blob(self._layout, record.sha512, record.size_bytes):
                done += self._show_one(self._shown.cache, record.image, record)
            elif record.expired_name is not None and os.path.lexists(blobs.bytes_of(self._layout, record)):
                done += self._show_one(self._shown.expired, record.expired_name, record)
        return "; ".join(done) or None

    def _show_one(self, directory: str, name: str, record: CacheRecord) -> list[str]:
        path, done = blobs.bytes_of(self._layout, record), []
        if views.is_shown(self._layout, self._shown, directory, name, path):
            return []
        place = os.path.join(directory, name)
        if os.path.lexists(place) and not views.is_ours(directory, name, path):
            if os.path.realpath(directory) not in {os.path.realpath(one) for one in self._layout.directories}:
                return []  # a directory of the operator, where somebody else may put what he wants
            done.append(self._kept(aside.set_aside(self._layout, place)))
        views.show(self._layout, self._shown, directory, name, path)
        return [*done, f"{name} is linked"]

    def _write_indexes(self, _: Finding) -> str:
        records = [
            record
            for image in cache.cached_images(self._layout)
            for record in cache.readable_records(self._layout, image)[0]
        ]
        kept = view_indexes.write_indexes(self._layout, self._shown, records)
        return "; ".join([*map(self._kept, kept), "made again from the cache records"])

    def _make_directory(self, finding: Finding) -> str:
        files.make_directory(finding.path)
        return "the directory was made"
