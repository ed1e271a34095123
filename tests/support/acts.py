"""The use cases that change a store, each as something that can be begun, broken off and done again.

    stage = Stage(site, ACTS["fresh cache run"])  # prepared, played once undisturbed, and remembered
    stage.reset(); stage.play()                   # again, from the same beginning
    assert stage.differences() == {}              # the store is what it became when nothing disturbed the act

What is compared is everything below the store but locks, the log of events, left-over temporary names and random
identifiers.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from support.site import LIST_ID, Result, Site, image_id
from vmcatcher.store.check import check_store
from vmcatcher.store.root import open_store

_SEAL = "~sha256"
"""The digest of a document's text, which differs where its instants do."""
_RANDOM = {"~sha256", "settled", "checked", "id", "set_aside", "etag", "attempted", "succeeded"}


@dataclass(frozen=True)
class Act:
    """One use case: what is there before, and the command that is run."""

    prepare: Callable[[Site], None]
    command: Callable[[Site], Result]
    is_update_next: bool = False
    """Whether the next plain run is the same command and an update, which an operator runs in any case."""
    is_rotten: bool = False
    """Whether bytes are wrong before the act begins."""
    code_after: int = 0
    """What the next run ends with where something is wrong that no run can mend: a server that is away, a refusal."""


def known_endorser(site: Site) -> None:
    """Alice is known, and there is a list of hers to subscribe to."""
    site.publish("1", site.image(1), site.image(2))
    site.expect(0, "endorser", "-C", "-e", "alice", "--dn", site.alice.subject, "-I", site.alice.issuer)


def joined(site: Site) -> None:
    """Subscribed to a list of three images, all selected, none cached."""
    site.join(site.image(1), site.image(2), site.image(3))
    site.select(1, 2, 3)


def cached(site: Site) -> None:
    """Three images are cached."""
    joined(site)
    site.cache()


def with_news(site: Site) -> None:
    """A new list replaces an image, withdraws one and names another one."""
    joined(site)
    site.expect(0, "subscribe", "--imagelist-newimage-subscribe", "-u", LIST_ID)
    site.publish("2", site.image(1, "2"), site.image(2), site.image(4))


def with_replacement(site: Site) -> None:
    """Three images are cached; the current list replaces one and withdraws one."""
    cached(site)
    site.publish("2", site.image(1, "2"), site.image(2))
    site.expect(0, "subscribe", "-U")


def _over(site: Site) -> None:
    cached(site)
    site.now += timedelta(days=21)


def _rotten(site: Site) -> None:
    # Two identifiers share the bytes: both have to leave, the bytes are fetched once.
    shared = site.image(1)
    site.join(shared, {**site.image(2), **{key: shared[key] for key in ("hv:size", "hv:uri", "sl:checksum:sha512")}})
    site.select(1, 2)
    site.cache()
    blob = Path(os.path.realpath(site.store / "endorsed" / image_id(1)))
    blob.chmod(0o644)
    blob.write_bytes(b"x" * blob.stat().st_size)
    blob.chmod(0o444)


def _cache(site: Site) -> Result:
    return site.run("cache", "-x", f"cat >> {site.events}")


def _update(site: Site) -> Result:
    return site.run("subscribe", "-U", "-x", f"cat >> {site.events}")


ACTS = {
    "subscribe": Act(
        known_endorser, lambda site: site.run("subscribe", "-s", site.server.url("/list")), is_update_next=True
    ),
    "update": Act(with_news, _update),
    "select": Act(joined, lambda site: site.run("image", "-r", "-u", image_id(2)), is_update_next=True),
    "fresh cache run": Act(joined, _cache),
    "replacing cache run": Act(with_replacement, _cache),
    "expiring cache run": Act(_over, _cache),
    "cache run that finds rot": Act(_rotten, _cache, is_rotten=True),
}


class Stage:
    """An act on a site, as often as wanted from the same beginning."""

    def __init__(self, site: Site, act: Act) -> None:
        self.site = site
        self.act = act
        # One download after the other: calls are counted, and those of one play have to be those of the next.
        site.environment["VMCATCHER_JOBS"] = "1"
        act.prepare(site)
        site.told()
        self._before = site.root / "before"
        shutil.copytree(site.store, self._before, symlinks=True)
        first = self.play()
        assert first.code != 70, first
        self.code = first.code
        last = self.again()
        assert last.code == act.code_after, last
        self.whole = portrait(site.store)
        self.whole_story = self.story()
        self.whole_findings = self.findings()

    def reset(self) -> None:
        """Have the store as it was before the act, and nothing told or asked for."""
        shutil.rmtree(self.site.store)
        shutil.copytree(self._before, self.site.store, symlinks=True)
        self.site.events.unlink(missing_ok=True)
        self.site.server.forget()

    def play(self) -> Result:
        """Run the command of the act."""
        return self.act.command(self.site)

    def again(self) -> Result:
        """Do what is done next in any case, which finishes what is left to do."""
        done = self.act.command(self.site)
        return _update(self.site) if self.act.is_update_next and done.code == 0 else done

    def differences(self) -> dict[str, tuple[Any, Any]]:
        """Return what is not as it is after the undisturbed act: path -> there, here."""
        here = portrait(self.site.store)
        paths = sorted(set(self.whole) | set(here))
        return {
            path: (self.whole.get(path), here.get(path)) for path in paths if self.whole.get(path) != here.get(path)
        }

    def story(self) -> dict[str, list[tuple[str, ...]]]:
        """Return what was told of each image, in order, each event once however often it was told."""
        return story(self.site)

    def findings(self) -> list[str]:
        """Return what a check of the store finds, with its bytes."""
        return [str(one) for one in check_store(open_store(str(self.site.store)), read_bytes=True)]


def story(site: Site) -> dict[str, list[tuple[str, ...]]]:
    """Return what was told of each image, in order, each event once however often it was told.

    That a list names an image is told by the update, and by the next one where this one fails: no event of the image in
    the cache waits for it.
    """
    told: dict[str, list[tuple[str, ...]]] = {}
    seen: set[str] = set()
    for event in site.noted():
        if event["ID"] in seen or "DC_IDENTIFIER" not in event:
            continue
        seen.add(event["ID"])
        facts = tuple(event.get(name, "") for name in ("TYPE", "HV_VERSION", "REASON", "FILENAME"))
        told.setdefault(stream(event), []).append(facts)
    return told


def stream(event: dict[str, str]) -> str:
    """Return what an event is in order with: all others of the image in the cache, or of its list."""
    return f"{event['DC_IDENTIFIER']}{' as listed' if event['TYPE'] == 'SubscriptionImageNew' else ''}"


def left_overs(store: Path) -> list[str]:
    """Return what only a crash leaves: temporary names, downloads and notes about downloads."""
    found = []
    for directory, _, names in os.walk(store):
        path = os.path.relpath(directory, store)
        found += [os.path.join(path, name) for name in names if name.startswith(".tmp-") or path == "partial"]
    return sorted(found)


def portrait(store: Path) -> dict[str, Any]:
    """Return what a store holds, without what differs from run to run: path -> content."""
    found: dict[str, Any] = {}
    for directory, _, names in os.walk(store):
        relative = os.path.relpath(directory, store)
        if relative.split("/")[0] in ("locks", "partial") or relative == "events/log":
            continue
        for name in names:
            if not name.startswith(".tmp-"):
                path = os.path.normpath(os.path.join(relative, name))
                found[re.sub(r"\.[0-9a-f]{8}$", "", path)] = _content(Path(directory, name))
    return found


def _content(path: Path) -> Any:
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        return re.sub(r"(quarantine/.*)\.[0-9a-f]{8}$", r"\1", f"-> {os.readlink(path)}")
    content = path.read_bytes()
    if path.suffix in (".json", ".evidence") or path.name == "cache.index":
        return _scrubbed(json.loads(content))
    if path.name == "index.tsv":
        # The first line says from which file, by its time, the index was made.
        return content.partition(b"\n")[2].decode()
    return f"{stat.S_IMODE(status.st_mode):04o} {hashlib.sha256(content).hexdigest()[:16]} {len(content)}"


def _scrubbed(document: Any) -> Any:
    if isinstance(document, dict):
        kept = {key: value for key, value in document.items() if key != _SEAL}
        return {key: bool(value) if key in _RANDOM else _scrubbed(value) for key, value in kept.items()}
    if isinstance(document, list):
        return [_scrubbed(one) for one in document]
    return document


def sampled(acts: Iterable[str], *quick: str) -> list[object]:
    """Return acts as parameters of a test, of which all but the `quick` ones are slow."""
    return [act if act in quick else pytest.param(act, marks=pytest.mark.slow) for act in acts]
