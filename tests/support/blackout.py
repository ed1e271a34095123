"""An act of the installed commands whose power may go at any call, and what has to hold when it comes back.

blackout = Blackout(site, INSTALLED["fresh cache run"])   # played once undisturbed, then recorded
for cut in blackout.cuts(seed=1, extra=2):                # distinct trees, with what had been told by then
    assert blackout.problems(cut) == []
"""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from support.installed_acts import InstalledAct, InstalledStage
from support.powerloss import Disk, Image
from support.recorder import Recording, record
from support.site import Site
from vmcatcher.errors import VmcatcherError
from vmcatcher.model.record import CacheRecord, State
from vmcatcher.store import cache, root, snapshots
from vmcatcher.store.check import Finding, check_store
from vmcatcher.store.layout import Layout

# What a record may say once a handler was told: that, or what comes after it.
_AFTER: Final[dict[str, frozenset[State]]] = {
    "AvailablePrefix": frozenset({State.STAGED, State.ENDORSED, State.EXPIRING, State.EXPIRED}),
    "AvailablePostfix": frozenset({State.ENDORSED, State.EXPIRING, State.EXPIRED}),
    "ExpirePrefix": frozenset({State.EXPIRING, State.EXPIRED}),
    "ExpirePostfix": frozenset({State.EXPIRED}),
}


@dataclass(frozen=True)
class Cut:
    """The power went after that many calls: what is on the disk, and what a handler had been told."""

    number: int
    last: str
    image: Image
    told: bytes

    def __str__(self) -> str:
        return f"cut after call {self.number}, {self.last}: {self.image.kept}"


class Judge:
    """What has to hold for a stage's store when the power comes back, and after the next plain run."""

    def __init__(self, stage: InstalledStage) -> None:
        """Look at what the undisturbed act left: it is there."""
        self._stage = stage
        self._is_rotten = stage.act.is_rotten
        # An import leaves the views to the next cache run.
        self._normal = frozenset(map(str, self._findings()))

    def _findings(self) -> list[Finding]:
        return check_store(root.open_store(str(self._stage.site.store)), read_bytes=True)

    def _differences(self) -> list[str]:
        try:
            return [f"{path}: {what}" for path, what in self._stage.differences().items()]
        except ValueError as error:
            return [f"a document is no JSON ({error})"]

    def problems(self) -> list[str]:
        """Return what is wrong with the store as it is found now, and after the next plain run."""
        stage, site = self._stage, self._stage.site
        problems: list[str] = []
        kept: set[str] = set()
        layout = root.find_store(str(site.store))
        if layout is not None:
            problems += [f"found: {text}" for text in damage(layout, read_bytes=not self._is_rotten)]
            problems += [f"told, but not so: {text}" for text in broken_promises(site, layout)]
            kept = {path for path, digest in _served(site).items() if _is_blob(layout, digest)}
        site.server.forget()
        done = stage.heal()
        if done.code != 0 and self._is_rotten:
            done = stage.heal()  # the run that finds the rot says so with its code
        if done.code != 0 or "Traceback" in done.err:
            return [*problems, f"the next run: {done.code} {done.err.strip()[-300:]}"]
        problems += [f"fetched again: {path}" for path in sorted(kept) if site.server.gets(path)]
        problems += [f"after the next run: {text}" for text in self._differences()]
        if stage.story() != stage.whole_story:
            problems.append(f"events: {stage.story()}, not {stage.whole_story}")
        left = [str(one) for one in self._findings()]
        return problems + [f"after the next run: {text}" for text in left if text not in self._normal]


class Blackout:
    """An act on a site, recorded, as often as wanted with another cut."""

    def __init__(self, site: Site, act: InstalledAct, **environment: str) -> None:
        """Play `act` undisturbed, then record it once more; `environment` is for the recorded process alone."""
        self.site = site
        self._before = Image({}, "")
        self.stage = InstalledStage(site, replace(act, prepare=lambda site: self._prepare(act, site)))
        self.judge = Judge(self.stage)
        self.reset()
        disk = Disk(self.root)
        self.recording: Recording = record(site, act.words(site), root=self.root, **environment)
        assert self.recording.result.code == int(act.is_rotten), self.recording.result
        for call in self.recording.calls:
            disk.apply(call)
        # Whatever the recorder or the disk got wrong, it ends in another tree.
        followed, real = _without_locks(disk.live()), _without_locks(Disk(self.root).live())
        assert followed.digest == real.digest, "the calls do not explain the tree"
        self._times = disk.times(self.root)

    def _prepare(self, act: InstalledAct, site: Site) -> None:
        act.prepare(site)
        # What an import takes its files from is part of the tree: they come to share their bytes with the store.
        self.root: Path = site.store if site.store.exists() else site.store.parent
        self._before = Disk(self.root).live()

    def reset(self) -> None:
        """Have everything as it was before the act."""
        self.stage.reset()
        self._before.build(self.root)

    def cuts(self, *, seed: int, extra: int) -> Iterator[Cut]:
        """Yield the distinct trees that a power cut may leave, of every call the extremes and `extra` random ones."""
        self.reset()
        rng = random.Random(seed)
        disk, told, seen = Disk(self.root, times=self._times), b"", set()
        for number, call in enumerate(self.recording.calls, start=1):
            disk.apply(call)
            told += call.content if call.kind == "told" else b""
            for image in disk.images(rng, extra=extra):
                key = (_without_locks(image).digest, len(told))
                if key not in seen:
                    seen.add(key)
                    yield Cut(number, f"{call.kind} {call.path}", image, told)

    def problems(self, cut: Cut) -> list[str]:
        """Return what is not as it has to be with the power back, and after the next plain run."""
        self.stage.reset()
        cut.image.build(self.root)
        self.site.events.write_bytes(cut.told)
        lost = [f"lost: {path}" for path, one in self._outside() if _digest(str(self.root / path)) != one]
        return lost + self.judge.problems()

    def _outside(self) -> Iterator[tuple[str, str]]:
        """Yield the files beside the store, with the digest of what they held before the act."""
        if self.root == self.site.store:
            return
        for path, found in self._before.found.items():
            if found.kind == "file":
                yield path, hashlib.sha512(found.content).hexdigest()


def damage(layout: Layout, *, read_bytes: bool) -> list[str]:
    """Return what no crash may leave: damage, a link that no record stands behind, a name that nobody knows."""
    found = check_store(layout, read_bytes=read_bytes)
    return [str(one) for one in found if one.is_damage or one.invariant in ("I3", "I13")]


def broken_promises(site: Site, layout: Layout) -> list[str]:
    """Return what a handler was told that is not true, or true no longer."""
    last: dict[tuple[str, str], dict[str, str]] = {}
    broken = []
    for event in site.noted():
        image = event.get("DC_IDENTIFIER")
        if event["TYPE"] in _AFTER:
            last[event["DC_IDENTIFIER"], event["SL_CHECKSUM_SHA512"]] = event
        elif image is not None and not _is_listed(layout, event):
            broken.append(f"{event['TYPE']} {image}: no list that is kept names it")
    for (image, digest), event in last.items():
        broken += [f"{event['TYPE']} {image}: {text}" for text in _untrue(layout, image, digest, event)]
    return broken


def _is_listed(layout: Layout, event: dict[str, str]) -> bool:
    found = snapshots.all_snapshots(layout, event["IL_DC_IDENTIFIER"])
    try:
        return any(event["DC_IDENTIFIER"].encode() in snapshots.read_evidence(one).content for one in found)
    except (VmcatcherError, OSError):
        return False


def _untrue(layout: Layout, image: str, digest: str, event: dict[str, str]) -> Iterator[str]:
    kind = event["TYPE"]
    records: list[CacheRecord] = [one for one in cache.readable_records(layout, image)[0] if one.sha512 == digest]
    if not any(one.state in _AFTER[kind] for one in records):
        yield f"its records say {[one.state.value for one in records]}"
    place = os.path.join(layout.endorsed, image)
    if kind == "AvailablePostfix" and _digest(place) != digest:
        yield "its bytes are not in the endorsed view"
    if kind == "ExpirePostfix":
        # What was corrupt is fetched again: the same bytes, another record.
        if _digest(place) == digest and not any(one.state is State.ENDORSED for one in records):
            yield "its bytes are in the endorsed view"
        if event["REASON"] != "corrupt" and _digest(os.path.join(layout.expired, event["FILENAME"])) != digest:
            yield "its bytes are not in the expired view"


def _digest(path: str) -> str | None:
    try:
        return hashlib.sha512(Path(path).read_bytes()).hexdigest()
    except OSError:
        return None


def _served(site: Site) -> dict[str, str]:
    documents = site.server._plan.documents.items()
    return {path: hashlib.sha512(one.content).hexdigest() for path, one in documents if path.startswith("/images/")}


def _is_blob(layout: Layout, digest: str) -> bool:
    return _digest(os.path.join(layout.blobs, "sha512", digest[:2], digest)) == digest


def _without_locks(image: Image) -> Image:
    # Who holds a lock is written in place and never synced: a torn note costs a vague message, no more.
    return replace(image, found={path: one for path, one in image.found.items() if "locks" not in path.split("/")})
