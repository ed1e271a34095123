"""A full store that is damaged by lot, again and again from the same beginning.

    ruins = Ruins(site)                   # one of everything that a store can hold, and files of somebody else
    damage = ruins.draw("flip", "seed 7") # the store is as it was at the beginning, but for this damage
    damage.kind, damage.path              # what kind of file was hit, and which

`is_beyond_finding` says which damages leave nothing that anybody could find.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from support.site import LIST_ID, Site, image_id
from vmcatcher.model.event import EventKind, OwedEvent
from vmcatcher.store import events, root, subscriptions

OTHER_ID = "22222222-aaaa-4aaa-8aaa-000000000002"
HOWS = (
    "flip", "truncate", "empty", "random", "swap", "delete", "chmod", "to symlink", "to FIFO", "to directory",
    "plant symlink", "plant FIFO", "plant directory", "plant file",
)  # fmt: skip
_KINDS = (
    ("vmcatcher.json", "marker"), ("endorsers/*.json", "endorser"),
    ("subscriptions/*/subscription.json", "subscription"),
    ("subscriptions/*/secret.json", "secret"), ("subscriptions/*/fetch.json", "fetch"),
    ("subscriptions/*/verdict.json", "verdict"), ("subscriptions/*/manifest.json", "manifest"),
    ("subscriptions/*/index.tsv", "index"), ("subscriptions/*/lists/*.smime", "list"),
    ("subscriptions/*/lists/*.evidence", "evidence"), ("marks/*.json", "mark"), ("vetoes/*.json", "veto"),
    ("cache/*/*.json", "record"), ("blobs/sha512/*/*", "blob"), ("endorsed/*", "link"), ("expired/*", "link"),
    ("events/failed/*.json", "failed event"), ("events/log/*Z-*.jsonl", "log"), ("locks/*.lock", "lock"),
    ("events/log/not-done.jsonl", "not done"), ("trust/*.r0", "fetched CRL"), ("trust/*.fetch.json", "CRL note"),
)  # fmt: skip
_LOGS = frozenset({"log", "not done"})
"""What has lines and no seal."""
FOREIGN = "README.somebody"


@dataclass(frozen=True)
class Damage:
    """What was done to which file."""

    how: str
    kind: str
    path: Path
    other: str = ""
    """The kind of the file that it was swapped with."""
    changed: bool = True
    """Whether anything is different from before: a swap of equal files is no damage."""


class Ruins:
    """The full store, and what can be done to it."""

    def __init__(self, site: Site) -> None:
        self.site = site
        _fill(site)
        self._before = site.root / "before"
        self._events = site.events.read_bytes() if site.events.exists() else b""
        shutil.copytree(site.store, self._before, symlinks=True)
        self.files = list(self._files())
        self.foreign = {path: _print(path) for path in sorted(site.store.rglob(FOREIGN))}
        self.endorsed = site.endorsed()

    def _files(self) -> Iterator[tuple[str, Path]]:
        for pattern, kind in _KINDS:
            found = sorted(path for path in self.site.store.glob(pattern) if path.name != FOREIGN)
            assert found, pattern
            for path in found:
                yield ("view index" if path.name == "cache.index" else kind), path

    def reset(self) -> None:
        """Have the store as it was at the beginning."""
        shutil.rmtree(self.site.store)
        shutil.copytree(self._before, self.site.store, symlinks=True)
        self.site.events.unlink(missing_ok=True)
        shutil.rmtree(self.site.root / "victim", ignore_errors=True)

    def draw(self, how: str, seed: str, *, reset: bool = True) -> Damage:
        """Do one damage of that sort to a file that the seed chooses."""
        if reset:
            self.reset()
        dice = random.Random(f"{how} {seed}")
        if how.startswith("plant"):
            return self._plant(how, dice)
        kinds = sorted({kind for kind, _ in self.files if how not in (*_CONTENT, "chmod") or kind != "link"})
        kind = dice.choice(kinds)
        path = dice.choice([one for of, one in self.files if of == kind])
        return self.spoil(how, kind, path, dice)

    def spoil(self, how: str, kind: str, path: Path, dice: random.Random) -> Damage:
        """Do that damage to that file."""
        if how == "swap":
            return self._swap(kind, path, dice)
        before = None if path.is_symlink() else (path.read_bytes(), path.stat().st_mode)
        match how:
            case "flip" | "truncate" | "empty" | "random":
                _rewrite(path, _CONTENT[how](path.read_bytes(), dice))
            case "delete":
                path.unlink()
            case "chmod":
                path.chmod(dice.choice((0o666, 0o777, 0o622, 0o000)))
            case "to symlink":
                elsewhere = self.site.root / "victim"
                elsewhere.mkdir(exist_ok=True)
                path.rename(elsewhere / path.name)
                path.symlink_to(elsewhere / path.name)
            case "to FIFO":
                path.unlink()
                os.mkfifo(path)
            case "to directory":
                path.unlink()
                path.mkdir()
        is_file = before is not None and path.is_file() and not path.is_symlink()
        return Damage(how, kind, path, changed=not is_file or (path.read_bytes(), path.stat().st_mode) != before)

    def _swap(self, kind: str, path: Path, dice: random.Random) -> Damage:
        # More often than not with a file of the same kind: that is the swap that is hard to find.
        same = [one for of, one in self.files if of == kind and one != path]
        other = dice.choice(same if same and dice.random() < 0.6 else [one for _, one in self.files if one != path])
        of = next(known for known, one in self.files if one == other)
        aside = path.with_name(".swapped")
        changed = path.is_symlink() or other.is_symlink() or path.read_bytes() != other.read_bytes()
        path.rename(aside)
        other.rename(path)
        aside.rename(other)
        return Damage("swap", kind, path, of, changed)

    def _plant(self, how: str, dice: random.Random) -> Damage:
        places = [
            path
            for path in sorted((self.site.store, *self.site.store.rglob("*")))
            if path.is_dir() and not path.is_symlink() and path.name not in ("quarantine", "trust")
        ]
        path = dice.choice(places) / dice.choice(("x", "a.json", "1.jsonx", "f" * 128 + "0", "core"))
        match how:
            case "plant symlink":
                path.symlink_to("/etc/hostname")
            case "plant FIFO":
                os.mkfifo(path)
            case "plant directory":
                path.mkdir()
            case "plant file":
                path.write_text("mine")
        return Damage(how, "planted", path)

    def shown(self) -> dict[str, bytes]:
        """Return what the endorsed view shows of what it showed at the beginning."""
        paths = (self.site.store / "endorsed" / name for name in self.endorsed)
        return {path.name: path.read_bytes() for path in paths if path.is_file()}

    def are_foreign_files_untouched(self) -> bool:
        """Tell whether every file of somebody else has the bytes and the time that it had."""
        return {path: _print(path) for path in self.foreign} == self.foreign


def is_beyond_finding(damage: Damage) -> bool:
    """Tell whether a damage leaves a store that could have come about by itself, so that nobody can find it."""
    kinds = {damage.kind, damage.other} - {""}
    match damage.how:
        case "flip":
            # Text of a log, which has no seal; what a marker says beside format, locks and place; what a lock and a
            # veto say, whose names alone count.
            return damage.kind in (*_LOGS, "marker", "veto", "lock")
        case "truncate" | "empty" | "random":
            return damage.kind in ("veto", "lock") or (damage.kind in _LOGS and damage.how != "random")
        case "swap":
            return kinds <= _LOGS | {"veto"} or kinds <= {"lock"} or kinds == {"veto", "lock"}
        case "delete":
            # As if it had never been, which is an ordinary state: nothing was noted, given up, vetoed, or secret, and
            # nobody missed the endorser whom no subscription links.
            ordinary = ("fetch", "verdict", "veto", *_LOGS, "failed event", "secret", "lock", "CRL note")
            return damage.path.name == "bob.json" or damage.kind in ordinary
        case "plant directory":
            # A run that is killed leaves the empty directory of a version or a subscription.
            return damage.path.parent.name in ("cache", "subscriptions")
        case _:
            return False


def _flip(content: bytes, dice: random.Random) -> bytes:
    at = dice.randrange(len(content))
    return content[:at] + bytes([content[at] ^ 1 << dice.randrange(8)]) + content[at + 1 :]


_CONTENT: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "flip": _flip,
    "truncate": lambda content, dice: content[: dice.randrange(len(content))],
    "empty": lambda content, dice: b"",
    "random": lambda content, dice: dice.randbytes(dice.randrange(1, 400)),
}


def _rewrite(path: Path, content: bytes) -> None:
    mode = path.stat().st_mode
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(mode)


def _print(path: Path) -> tuple[bytes, int]:
    return path.read_bytes(), path.stat().st_mtime_ns


def _miss(site: Site) -> None:
    """Have a run note of an image why it could not be had."""
    site.expect(0, "image", "-a", "-u", image_id(6))
    site.server.fault("/images/6-v1.raw", "status", status=404)
    site.expect(75, "vmcatcher", "sync")
    site.expect(0, "image", "-r", "-u", image_id(6))


def _fetch_crl(site: Site) -> None:
    """Have the CA's revocation list in the store; the one in the trust-anchor directory is older."""
    site.pki.certificate.with_suffix(".crl_url").write_text(site.server.url("/crl"))
    site.server.publish("/crl", site.pki.crl_der(last_update=site.now - timedelta(minutes=30)))
    site.pki.write_crl(site.pki.crl_der(last_update=site.now - timedelta(days=1)))
    site.expect(0, "vmcatcher", "trust", "fetch-crls")


def _fill(site: Site) -> None:
    """Two subscriptions, versions in and out of the views, a password, a veto, an event given up, and strangers."""
    site.join(site.image(1), site.image(2), site.image(3))
    uri = site.server.url("/other")
    site.publish("1", site.image(5), site.image(6), path="/other", dc__identifier=OTHER_ID, hv__uri=uri)
    site.expect(0, "subscribe", "-s", site.server.url("/other"))
    site.expect(0, "subscribe", "-U")
    site.expect(0, "endorser", "-C", "-e", "bob", "--dn", "/DC=test/CN=Bob", "-I", "/DC=test/CN=CA")
    site.select(1, 2, 3, 5)
    site.cache()
    site.now += timedelta(minutes=5)
    site.publish("2", site.image(1, "2"), site.image(2))
    site.expect(0, "subscribe", "-U")
    site.cache()
    _miss(site)
    _fetch_crl(site)
    layout = root.open_store(str(site.store))
    for list_id in (LIST_ID, OTHER_ID):
        subscriptions.put_secret(layout, list_id, subscriptions.Secret(f"hush {list_id}", "https://grid.test"))
        current = next(Path(layout.lists(list_id)).glob("*.smime")).stem
        subscriptions.put_verdict(layout, list_id, subscriptions.Verdict(current, None))
    for number in (1, 2):
        owed = OwedEvent(EventKind.EXPIRE_POSTFIX, f"0000000{number}-aaaa-4aaa-8aaa-000000000001", 5)
        about = {"VMCATCHER_EVENT_DC_IDENTIFIER": image_id(number)}
        events.put_failed(layout, owed, about, why="the handler never took it", now=site.now)
        digest = str(number) * 128
        (site.store / "vetoes" / f"{digest}.json").write_text("{}\n")
    for place in ("", "endorsers", "marks", f"subscriptions/{LIST_ID}", f"subscriptions/{LIST_ID}/lists", "endorsed",
                  "expired", "events/log", "partial", f"cache/{image_id(1)}", "blobs", "trust", "vetoes"):  # fmt: skip
        path = site.store / place / FOREIGN
        path.write_text("this is mine\n")
        os.utime(path, (1_000_000_000, 1_000_000_000))
