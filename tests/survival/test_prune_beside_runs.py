"""Pruning beside runs that publish, expire, select and adopt: nothing that is needed is ever dropped."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from support.pruning import blobs, lapse, prune
from support.site import LIST_ID, Site, image_id
from support.tree import check_invariants
from vmcatcher.store import adoption, root
from vmcatcher.store import prune as planning

_LOOP = """
import os, subprocess, sys
program, stop = sys.argv[1:]
while not os.path.exists(stop):
    done = subprocess.run([program, "store", "prune", "--grace", "0", "--expired-retention", "0", "--wait", "20"],
                          capture_output=True, text=True)
    print(done.returncode, done.stdout.count("blob "), done.stderr.strip(), sep="|", flush=True)
"""


class Watcher:
    """Looks at the store all the time, as a consumer does, and notes what should not be."""

    def __init__(self, site: Site) -> None:
        self.seen: list[str] = []
        self.looks = 0
        self._site = site
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.002):
            self.looks += 1
            for link in (self._site.store / "endorsed").iterdir():
                if link.is_symlink() and not self._leads_to_bytes(link):
                    self.seen.append(f"{link.name} leads nowhere")
            for path in self._records():
                digest = self._needs(path)
                # What left meanwhile may go; what is still in use when it is looked at again may not.
                if digest and not self._blob(digest).exists() and self._needs(path) == digest:
                    self.seen.append(f"{path} lacks its bytes")

    def _records(self) -> list[Path]:
        found = []
        for directory in (self._site.store / "cache").iterdir():
            with contextlib.suppress(FileNotFoundError):  # its last record was dropped
                found += [directory / name for name in os.listdir(directory) if name.endswith(".json")]
        return [path for path in found if not path.name.startswith(".")]

    def _leads_to_bytes(self, link: Path) -> bool:
        try:
            target = os.readlink(link)
            return link.exists() or os.readlink(link) != target
        except FileNotFoundError:
            return True

    def _needs(self, path: Path) -> str | None:
        try:
            record = json.loads(path.read_text())
        except FileNotFoundError:
            return None
        return str(record["sha512"]) if record["state"] in ("staged", "endorsed", "expiring") else None

    def _blob(self, digest: str) -> Path:
        return self._site.store / "blobs" / "sha512" / digest[:2] / digest


def play(site: Site, rounds: int) -> None:
    """Publish, update, cache, deselect and select, with pruning going on all the time in a process of its own."""
    stop = site.root / "stop"
    program = str(Path(sys.executable).parent / "vmcatcher")
    environment = {**os.environ, **site.environment}
    loop = subprocess.Popen(
        [sys.executable, "-c", _LOOP, program, str(stop)], env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        with Watcher(site) as watcher:
            for version in range(2, rounds + 2):
                site.publish(str(version), site.image(1, str(version)), site.image(2, str(version)), site.image(3))
                assert site.call("vmcatcher_subscribe", "-U").code == 0
                option = "-r" if version % 2 else "-a"
                assert site.call("vmcatcher_image", option, "-u", image_id(2)).code == 0
                done = site.call("vmcatcher_cache", "--wait", "30")
                assert done.code == 0, done
    finally:
        stop.touch()
        told, _ = loop.communicate(timeout=50)
    turns = [line.split("|") for line in told.splitlines()]
    assert {code for code, _, _ in turns} == {"0"}, told
    assert sum(int(count) for _, count, _ in turns) >= rounds - 1, told
    assert watcher.seen == []
    assert watcher.looks > rounds


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_fault_31_pruning_without_grace_beside_runs_drops_nothing_that_is_needed(site: Site):
    rounds = 5
    site.join(site.image(1), site.image(2), site.image(3))
    site.select(1, 2, 3)
    site.cache()
    play(site, rounds)
    assert prune(site, "--grace", "0", "--expired-retention", "0").code == 0
    assert check_invariants(site.store) == []
    kept = {1, 3} if (rounds + 1) % 2 else {1, 2, 3}
    assert sorted(site.endorsed()) == [image_id(number) for number in sorted(kept)]
    assert len(blobs(site)) == len(kept)
    # Bytes that stayed wanted were fetched once.
    paths = ["/images/3-v1.raw", *(f"/images/1-v{version}.raw" for version in range(1, rounds + 2))]
    assert [site.server.gets(path) for path in paths] == [1] * len(paths)


@pytest.fixture
def unneeded(site: Site) -> Site:
    """A site with the bytes of image 1 stored and needed by nothing."""
    site.join(site.image(1))
    site.select(1)
    site.cache()
    site.expect(0, "image", "-r", "-u", image_id(1))
    site.cache()
    lapse(site, timedelta(days=10))
    return site


def prune_while(site: Site, monkeypatch: pytest.MonkeyPatch, action: Callable[[], object]) -> int:
    """Prune, with something else done after everything was looked at and before anything is dropped."""
    plan = planning.plan_prune

    def then(*arguments: object) -> planning.Plan:
        planned = plan(*arguments)  # type: ignore[arg-type]  # as they were given
        action()
        return planned

    monkeypatch.setattr(planning, "plan_prune", then)
    return prune(site, "--grace", "0", "--expired-retention", "0").code


def test_fault_31_bytes_that_nobody_came_to_need_are_dropped(unneeded: Site, monkeypatch: pytest.MonkeyPatch):
    assert prune_while(unneeded, monkeypatch, lambda: None) == 0
    assert blobs(unneeded) == set()


def test_fault_31_bytes_of_an_image_that_is_selected_meanwhile_stay(unneeded: Site, monkeypatch: pytest.MonkeyPatch):
    assert prune_while(unneeded, monkeypatch, lambda: unneeded.select(1)) == 0
    assert len(blobs(unneeded)) == 1
    unneeded.server.forget()
    unneeded.cache()
    assert unneeded.server.requests == []


def test_fault_31_bytes_that_a_list_names_meanwhile_stay(unneeded: Site, monkeypatch: pytest.MonkeyPatch):
    unneeded.publish("2", unneeded.image(1, "2"))
    unneeded.expect(0, "subscribe", "-U")
    unneeded.select(1)

    def publish() -> None:
        unneeded.publish("3", unneeded.image(1))
        unneeded.expect(0, "subscribe", "-U")

    assert prune_while(unneeded, monkeypatch, publish) == 0
    assert len(blobs(unneeded)) == 1


def test_fault_31_list_that_cannot_be_read_meanwhile_keeps_all_bytes(unneeded: Site, monkeypatch: pytest.MonkeyPatch):
    path = unneeded.store / "subscriptions" / LIST_ID / "subscription.json"
    assert prune_while(unneeded, monkeypatch, lambda: path.write_text("{")) == 1
    assert len(blobs(unneeded)) == 1


def test_fault_31_bytes_that_are_adopted_meanwhile_stay(unneeded: Site, monkeypatch: pytest.MonkeyPatch):
    layout = root.open_store(str(unneeded.store))
    file = unneeded.root / "image"
    file.write_bytes(b"image 1 version 1\n" * 100)

    def adopt() -> None:
        assert adoption.adopt(layout, adoption.look_at(str(file)), may_copy=True) == "there"

    assert prune_while(unneeded, monkeypatch, adopt) == 0
    assert len(blobs(unneeded)) == 1


@pytest.mark.parametrize("way", ["there", "linked"])
def test_fault_31_adopted_bytes_are_new_however_old_the_file_is(unneeded: Site, way: str):
    (digest,) = blobs(unneeded)
    layout = root.open_store(str(unneeded.store))
    stored = Path(layout.blob(digest))
    file = unneeded.root / "image"
    if way == "linked":
        os.rename(stored, file)
        os.utime(file, (1, 1))
    else:
        file.write_bytes(stored.read_bytes())
        os.utime(stored, (1, 1))
    assert adoption.adopt(layout, adoption.look_at(str(file)), may_copy=False) == way
    assert stored.stat().st_mtime > 1_700_000_000
    if way == "linked":
        assert stored.samefile(file)
