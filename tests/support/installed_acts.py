"""The use cases that change a store, as installed commands in processes of their own that strace may disturb.

    stage = InstalledStage(site, INSTALLED["replacing cache run"])  # prepared, played once undisturbed, remembered
    calls = stage.calls()                       # the system calls that touch the store, in order
    stage.reset(); stage.play(("strace", …))    # again, from the same beginning, disturbed
    stage.heal()                                # the next plain run, in this process
    assert stage.differences() == {}

As `support.acts`, but with the real clock, which a process of its own goes by. So the instants of a run differ from
play to play, and what is compared is without them.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from unittest import mock

from support import acts
from support.classic_database import ClassicSite
from support.site import LIST_ID, Result, Site, image_id
from vmcatcher.store import root
from vmcatcher.store.check import check_store

# Everything that can change a tree, and every way in which the program is known to look at one by descriptor.
TRACED = (
    "openat", "write", "pwrite64", "ftruncate", "fallocate", "fsync", "fdatasync", "sync_file_range", "syncfs",
    "rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat", "unlink", "unlinkat", "rmdir",
    "mkdir", "mkdirat", "mknod", "mknodat", "chmod", "fchmod", "fchmodat", "chown", "fchown", "lchown", "fchownat",
    "utimensat", "copy_file_range", "sendfile",
)  # fmt: skip
STRACE = ("strace", "-qq", "-e", "signal=none")
# Three times as fast: a filter in the kernel lets calls pass that nobody asked for. It wants children followed, too;
# strace counts their calls apart. It cannot send signals at a call.
FAST_STRACE = (*STRACE, "-f", "--seccomp-bpf")
_REPEATABLE = {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
_CALL = re.compile(r"(?P<pid>\d+) +(?P<name>\w+)\((?P<rest>.*)")
_FOR_WRITING = re.compile(r"\bO_(CREAT|TRUNC)\b")
_INSTANTS = (
    ("%Y-%m-%dT%H:%M:%SZ", re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")),
    ("%Y%m%dT%H%M%SZ", re.compile(r"\d{8}T\d{6}Z")),
    ("%Y-%m-%d_%H-%M-%S", re.compile(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d")),
)
_RULE = "format=qcow2"
_LONGEST_SWEEP = timedelta(hours=12)


@dataclass(frozen=True)
class InstalledAct:
    """One use case: what is there before, and the command line that is run."""

    prepare: Callable[[Site], None]
    words: Callable[[Site], tuple[str, ...]]
    is_update_next: bool = False
    """Whether the next plain run is the same command and an update, which an operator runs in any case."""
    is_rotten: bool = False
    """Whether bytes are wrong before the act begins, about which it complains."""


@dataclass(frozen=True)
class Call:
    """One system call of the undisturbed command that touches the store."""

    name: str
    number: int
    """How many of that name the process has made by then, this one counted."""
    changes: bool
    """Whether it changed the store; reading does not, nor does what failed."""
    text: str = field(compare=False)


class InstalledStage:
    """An act on a site, as often as wanted from the same beginning."""

    def __init__(self, site: Site, act: InstalledAct) -> None:
        self.site = site
        self.act = act
        # One download after the other: strace counts the calls of other threads apart.
        site.environment["VMCATCHER_JOBS"] = "1"
        self._since = site.now - timedelta(hours=2)
        act.prepare(site)
        site.told()
        self._before = site.root / "before"
        if site.store.exists():
            shutil.copytree(site.store, self._before, symlinks=True)
        first = self.play()
        assert first.code == int(act.is_rotten), first
        self.code = first.code
        self.told_at_once = self.portrait()
        last = self.heal()
        assert last.code == 0, last
        self.whole = self.portrait()
        self.whole_story = self.story()
        self.whole_findings = self.findings()

    def reset(self) -> None:
        """Have the store as it was before the act, and nothing told or asked for."""
        shutil.rmtree(self.site.store, ignore_errors=True)
        if self._before.exists():
            shutil.copytree(self._before, self.site.store, symlinks=True)
        self.site.events.unlink(missing_ok=True)
        self.site.server.forget()

    def play(self, prefix: tuple[str, ...] = ()) -> Result:
        """Run the installed command in a process of its own."""
        with mock.patch.dict(os.environ, _REPEATABLE):
            return self.site.call(*self.act.words(self.site), prefix=prefix)

    def heal(self) -> Result:
        """Do what is done next in any case, in this process: the same command, and perhaps an update."""
        self.site.now = datetime.now(UTC).replace(microsecond=0)
        program, *words = self.act.words(self.site)
        done = self.site.run(program.removeprefix("vmcatcher_"), *words)
        return self.site.run("subscribe", "-U") if self.act.is_update_next and done.code == 0 else done

    def calls(self) -> list[Call]:
        """Return the system calls of the undisturbed command that touch the store, in order."""
        self.reset()
        log = self.site.root / "calls.strace"
        done = self.play((*FAST_STRACE, "-y", "-s", "16", "-o", str(log), "-e", f"trace={','.join(TRACED)}"))
        assert done.code == self.code, done
        return _touching(log.read_text(errors="replace").splitlines(), str(self.site.store))

    def differences(self) -> dict[str, tuple[Any, Any]]:
        """Return what is not as it is after the undisturbed act and the run that follows: path -> there, here."""
        return _differences(self.whole, self.portrait())

    def lacks(self) -> dict[str, tuple[Any, Any]]:
        """Return what is not as it is right after the undisturbed act: path -> there, here."""
        return _differences(self.told_at_once, self.portrait())

    def portrait(self) -> dict[str, Any]:
        """Return what the store holds, without the instants of this run; nothing where there is no store."""
        found = acts.portrait(self.site.store) if self.site.store.exists() else {}
        timeless: dict[str, Any] = self._timeless(found)
        return timeless

    def findings(self, *, read_bytes: bool = True) -> list[str]:
        """Return what a check of the store finds, without the instants of this run."""
        found = check_store(root.open_store(str(self.site.store)), read_bytes=read_bytes)
        findings: list[str] = self._timeless([str(one) for one in found])
        return findings

    def story(self) -> dict[str, list[tuple[str, ...]]]:
        """Return what was told of each image, in order, each event once, without the instants of this run."""
        story: dict[str, list[tuple[str, ...]]] = self._timeless(acts.story(self.site))
        return story

    def _timeless(self, found: Any) -> Any:
        if isinstance(found, dict):
            return {self._timeless(key): self._timeless(value) for key, value in found.items()}
        if isinstance(found, list | tuple):
            return [self._timeless(one) for one in found]
        if isinstance(found, str):
            for shape, pattern in _INSTANTS:
                found = pattern.sub(partial(self._instant, shape), found)
        return found

    def _instant(self, shape: str, match: re.Match[str]) -> str:
        whole = re.sub(r"\.\d+", "", match[0])
        instant = datetime.strptime(whole, shape).replace(tzinfo=UTC)
        return "(now)" if self._since <= instant < self._since + _LONGEST_SWEEP else match[0]


def _differences(whole: dict[str, Any], here: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    paths = sorted(set(whole) | set(here))
    return {path: (whole.get(path), here.get(path)) for path in paths if whole.get(path) != here.get(path)}


def _touching(lines: list[str], store: str) -> list[Call]:
    seen: Counter[str] = Counter()
    found: list[Call] = []
    main = lines[0].split()[0]
    for line in lines:
        match = _CALL.match(line)
        # What the handler and other threads call is counted apart, by strace as here.
        if match is None or match["pid"] != main:
            continue
        name, rest = match["name"], match["rest"]
        seen[name] += 1
        if store not in rest:
            continue
        failed = " = -1 " in rest
        changes = not failed and (name != "openat" or _FOR_WRITING.search(rest) is not None)
        found.append(Call(name, seen[name], changes, rest.replace(store, "STORE")[:200]))
    return found


# -- what is there before


def _two(site: Site) -> None:
    site.join(site.image(1), site.image(2))
    site.select(1, 2)


def _with_partial(site: Site) -> None:
    """Half an image came in a run that is over."""
    _two(site)
    site.server.fault("/images/1-v1.raw", "truncate", after=300)
    # A process of its own: this one is alive, and what it left would be copied rather than gone on with.
    assert site.call(*_cache(site)).code == 75
    site.server.heal("/images/1-v1.raw")
    sizes = [path.stat().st_size for path in (site.store / "partial").glob("*[!n]")]
    assert len(sizes) == 1
    assert 0 < sizes[0] < 1800


def _over(site: Site) -> None:
    """Two images are cached, and their list came to its end ten minutes ago."""
    real = site.now
    site.now = real - timedelta(minutes=30)
    end = (real - timedelta(minutes=10)).strftime("%Y-%m-%dT%H:%M:%SZ")
    site.publish("1", site.image(1), site.image(2), dc__date__expires=end)
    site.join()
    site.select(1, 2)
    site.cache()
    site.now = real


def _rotten(site: Site) -> None:
    """The bytes of one of two cached images have changed."""
    _two(site)
    site.cache()
    blob = (site.store / "endorsed" / image_id(1)).resolve()
    blob.chmod(0o644)
    blob.write_bytes(b"x" * blob.stat().st_size)
    blob.chmod(0o444)


def _classic(site: Site) -> None:
    """A classic site with a cached image, one to be fetched and an expired one."""
    old = ClassicSite(site.root / "old")
    site.store = old.root / "vmcatcher"
    del site.environment["VMCATCHER_STORE"]
    site.environment["VMCATCHER_RDBMS"] = old.url
    old.endorser("alice", (site.alice.subject, site.alice.issuer))
    old.subscription(LIST_ID, site.server.url("/list"), endorsers=["alice"])
    for number in (1, 2):
        old.image(LIST_ID, image_id(number), cached=True)
    signed = site.publish("1", site.image(1), site.image(2))
    old.take(LIST_ID, signed, imported=site.now)
    old.cache(image_id(1), b"image 1 version 1\n" * 100, signed)
    old.expire(image_id(2), b"image 2 version 1\n" * 100, "2024-03-01_10-00-00", signed)
    old.close()


def cached_with_news(site: Site) -> None:
    """Three images are cached; a list that nobody has seen yet replaces one, withdraws one and names a new one."""
    acts.with_news(site)
    site.cache()


def _mirrored(site: Site) -> None:
    """A mirror has the beginning of one of two images: it is dropped in the middle of a run, and of a download."""
    _two(site)
    site.environment["VMCATCHER_MIRRORS"] = site.server.url("/mirror")
    content = b"image 1 version 1\n" * 100
    digest = hashlib.sha512(content).hexdigest()
    site.server.publish(f"/mirror/sha512/{digest[:2]}/{digest}", content[:700])


def _with_crl(site: Site) -> None:
    """A revocation list was fetched, and the CA has a newer one, which revokes somebody else."""
    site.join(site.image(1))
    site.pki.certificate.with_suffix(".crl_url").write_text(site.server.url("/crl"))
    site.pki.remove_crl()
    now = datetime.now(UTC).replace(microsecond=0)
    site.server.publish("/crl", site.pki.crl_der(last_update=now - timedelta(days=2)))
    site.expect(0, "vmcatcher", "trust", "fetch-crls")
    site.pki.revoke(site.pki.endorser("Mallory Endorser"))
    site.pki.remove_crl()
    site.server.publish("/crl", site.pki.crl_der(last_update=now - timedelta(hours=1)))


def _with_formats(site: Site) -> None:
    """Two images of one format are cached, and a third of another one is not selected."""
    site.join(site.image(1, hv__format="qcow2"), site.image(2), site.image(3, hv__format="qcow2"))
    site.select(1, 2)


# -- the commands


def _subscribe(site: Site) -> tuple[str, ...]:
    return ("vmcatcher_subscribe", "-s", site.server.url("/list"))


def _update(site: Site) -> tuple[str, ...]:
    return ("vmcatcher_subscribe", "-U", "-x", f"cat >> {site.events}")


def _cache(site: Site) -> tuple[str, ...]:
    return ("vmcatcher_cache", "-x", f"cat >> {site.events}")


def _unselect(site: Site) -> tuple[str, ...]:
    return ("vmcatcher_image", "-r", "-u", image_id(2))


def _sync(site: Site) -> tuple[str, ...]:
    return ("vmcatcher", "sync", "-x", f"cat >> {site.events}")


def _import(site: Site) -> tuple[str, ...]:
    old = site.root / "old"
    places = ("--cache-dir", str(old / "endorsed"), "--expired-dir", str(old / "expired"))
    return ("vmcatcher", "store", "import-db", *places, f"sqlite:///{old}/vmcatcher.db")


INSTALLED = {
    "first subscribe": InstalledAct(acts.known_endorser, _subscribe, is_update_next=True),
    "update": InstalledAct(acts.with_news, _update),
    "fresh cache run": InstalledAct(_two, _cache),
    "resuming cache run": InstalledAct(_with_partial, _cache),
    "replacing cache run": InstalledAct(acts.with_replacement, _cache),
    "expiring cache run": InstalledAct(_over, _cache),
    "cache run that finds rot": InstalledAct(_rotten, _cache, is_rotten=True),
    "select": InstalledAct(_two, _unselect, is_update_next=True),
    "import": InstalledAct(_classic, _import),
    "sync": InstalledAct(cached_with_news, _sync),
    "cache run that drops a mirror": InstalledAct(_mirrored, _cache),
    "rule": InstalledAct(
        _with_formats, lambda _: ("vmcatcher", "subscription", "set", LIST_ID, "--where", _RULE), is_update_next=True
    ),
    "veto": InstalledAct(_two, lambda _: ("vmcatcher", "image", "veto", image_id(1), "--reason", "why")),
    "unsubscribe from an image": InstalledAct(
        _two, lambda _: ("vmcatcher", "image", "unsubscribe", image_id(2)), is_update_next=True
    ),
    "fetch of a revocation list": InstalledAct(_with_crl, lambda _: ("vmcatcher", "trust", "fetch-crls")),
}
