"""Where a cache run works: views that collide, blobs on a disk that is not mounted, disks that are full, signals."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from support.site import LIST_ID, Site, image_id
from vmcatcher.errors.store import StoreFull
from vmcatcher.services import stores
from vmcatcher.store import subscriptions

COMMANDS = Path(sys.executable).parent


@pytest.mark.parametrize(
    "places",
    [("V", "V", "E"), ("V", "P", "V"), ("V", "P", "P"), ("store/cache", "P", "E"), ("V", "P", "store/quarantine")],
)
def test_views_that_would_take_from_each_other_are_refused(site: Site, places: tuple[str, str, str]):
    site.join(site.image(1))
    site.select(1)
    for place in places:
        (site.root / place).mkdir(exist_ok=True)
    before = site.tree()
    words = [
        word for flag, place in zip(("-C", "-p", "-e"), places, strict=True) for word in (flag, str(site.root / place))
    ]
    result = site.cache(*words, code=1)
    assert "is in use already" in result.err
    assert site.told() == []
    assert site.tree() == before


def test_blobs_on_a_disk_that_is_not_mounted_stop_every_command(site: Site):
    blobs = site.root / "blobs"
    stores.init_store(str(site.store), blobs=str(blobs))
    site.join(site.image(1))
    site.select(1)
    site.cache()
    away = blobs.rename(site.root / "unmounted")
    blobs.mkdir()
    for command in (("image", "-l"), ("subscribe", "-U"), ("cache",)):
        result = site.run(*command)
        assert (result.code, result.out) == (75, "")
        assert "is it mounted?" in result.err
    assert list(blobs.iterdir()) == []
    blobs.rmdir()
    away.rename(blobs)
    site.server.forget()
    site.cache()
    assert site.server.requests == []


def test_revoked_image_leaves_although_the_verdict_cannot_be_kept(site: Site, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object) -> None:
        raise StoreFull(path="verdict.json", needed_bytes=100, free_bytes=0)

    site.join(site.image(1))
    site.select(1)
    site.cache()
    site.told()
    site.pki.revoke(site.alice)
    monkeypatch.setattr(subscriptions, "put_verdict", full)
    result = site.cache()
    assert "cannot be kept" in result.err
    assert site.told() == ["ProcessPrefix", "ExpirePrefix 1", "ExpirePostfix 1", "ProcessPostfix"]
    assert site.endorsed() == {}


def test_events_that_were_given_up_are_for_the_owner_alone(site: Site):
    site.join(site.image(1))
    site.select(1)
    secret = "mysql://user:CANARY@host/db"
    for _ in range(5):
        site.run("cache", "-x", "exit 3", VMCATCHER_RDBMS=secret)
        site.now += timedelta(hours=2)
    failed = list((site.store / "events" / "failed").iterdir())
    assert [stat.S_IMODE(path.stat().st_mode) for path in failed] == [0o600]
    assert all("CANARY" not in path.read_text() for path in failed)
    assert all(image_id(1) in path.read_text() for path in failed)


def test_command_that_a_handler_left_running_is_not_locked_out_for_ever(site: Site):
    site.join(site.image(1))
    site.select(1)
    noted = site.root / "held"
    site.run("cache", "-x", f'printf %s "$VMCATCHER_HELD_LOCKS" > {noted}')
    held = noted.read_text()
    assert held.startswith(f"{os.getpid()}:cache:")
    assert site.run("cache", VMCATCHER_HELD_LOCKS=held).code == 75
    ended = subprocess.run(["sh", "-c", "echo $$"], capture_output=True, text=True, check=True).stdout.strip()
    late = held.replace(str(os.getpid()), ended, 1)
    assert site.run("cache", VMCATCHER_HELD_LOCKS=late).code == 0


def test_run_that_is_terminated_ends_in_order(site: Site):
    site.join(site.image(1))
    site.select(1)
    begun = site.root / "begun"
    handler = f'echo "$VMCATCHER_EVENT_TYPE" >> {site.root}/told; [ "$VMCATCHER_EVENT_TYPE" != AvailablePrefix ] || '
    run = subprocess.Popen(
        [COMMANDS / "vmcatcher_cache", "-x", handler + f"{{ touch {begun}; sleep 30; }}"],
        env={**os.environ, **site.environment},
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 20
    while not begun.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    run.send_signal(signal.SIGTERM)
    _, said = run.communicate(timeout=20)
    assert (run.returncode, said) == (143, "ERROR:main:terminated\n")
    assert (site.root / "told").read_text().split() == ["ProcessPrefix", "AvailablePrefix", "ProcessPostfix"]
    site.cache()
    assert site.told() == ["ProcessPrefix", "AvailablePrefix 1", "AvailablePostfix 1", "ProcessPostfix"]


def test_copy_of_a_subscription_by_hand_is_not_taken_for_one(site: Site):
    site.join(site.image(1))
    original = site.store / "subscriptions" / LIST_ID
    shutil.copytree(original, original.with_name("copy"))
    result = site.run("subscribe", "-U")
    assert (result.code, f"it is the one of {LIST_ID}" in result.err) == (1, True)


def test_damaged_snapshot_is_fetched_again_and_put_aside(site: Site):
    site.join(site.image(1))
    snapshot = next((site.store / "subscriptions" / LIST_ID / "lists").glob("*.smime"))
    snapshot.write_bytes(snapshot.read_bytes() + b"x")
    result = site.expect(0, "subscribe", "-U")
    assert "is damaged and is fetched again" in result.err
    kept = sorted(path.stem for path in (site.store / "quarantine").iterdir())
    stem = f"subscriptions.{LIST_ID}.lists.{snapshot.stem}"
    assert kept == [f"{stem}.evidence", f"{stem}.smime"]
    site.cache()
