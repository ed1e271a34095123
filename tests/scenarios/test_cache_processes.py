"""Cache runs as processes of their own: killed, running twice, and not in the way of other commands."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.site import Site, image_id
from support.tree import check_invariants

PROGRAMS = Path(sys.executable).parent
CONTENT = os.urandom(1 << 20) * 3


@contextlib.contextmanager
def running(site: Site, *arguments: str):
    """A cache run as a process of its own, which is gone at the end of the block."""
    environment = {**os.environ, **site.environment}
    with subprocess.Popen(
        [PROGRAMS / "vmcatcher_cache", *arguments], env=environment, cwd=site.root, stderr=subprocess.PIPE
    ) as run:
        try:
            yield run
        finally:
            with contextlib.suppress(ProcessLookupError):
                run.kill()


def wait_until(condition, *, within_s=30.0):
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def held(site) -> int:
    """Return how many bytes have come of the download in flight."""
    sizes = [path.stat().st_size for path in (site.store / "partial").iterdir() if not path.name.endswith(".json")]
    return max(sizes, default=0)


@pytest.fixture
def slow(site: Site) -> Site:
    """A site whose image comes in two pieces, the second one after a minute."""
    site.join(site.image(1, content=CONTENT), site.image(2))
    site.select(1)
    site.server.fault("/images/1-v1.raw", "hang", times=1, seconds=60.0, after=2_000_000)
    site.server.forget()
    return site


def test_run_killed_in_a_download_is_gone_on_with_by_the_next_one(slow: Site):
    with running(slow) as run:
        wait_until(lambda: held(slow) > 1_000_000)
        os.kill(run.pid, signal.SIGKILL)
        run.wait()
    came = held(slow)
    assert check_invariants(slow.store) == []
    began = time.monotonic()
    slow.cache()
    assert time.monotonic() - began < 20, "the lock of a dead process holds nobody up"
    assert slow.endorsed() == {image_id(1): CONTENT}
    ranges = [request.headers.get("range") for request in slow.server.requests if "1-v1" in request.path]
    assert ranges == [None, f"bytes={came}-"]
    assert list((slow.store / "partial").iterdir()) == []


def test_second_run_ends_at_once_and_asks_the_server_for_nothing(slow: Site):
    with running(slow) as run:
        wait_until(lambda: held(slow) > 0)
        asked = len(slow.server.requests)
        began = time.monotonic()
        result = slow.run("cache", "-x", f"cat >> {slow.events}")
        assert time.monotonic() - began < 5
        assert result.code == 75
        assert f"pid {run.pid}" in result.err
        assert len(slow.server.requests) == asked
        assert slow.told() == []


def test_images_can_be_listed_and_selected_during_a_download(slow: Site):
    with running(slow):
        wait_until(lambda: held(slow) > 0)
        began = time.monotonic()
        assert slow.states() == {image_id(1): 3, image_id(2): 2}
        slow.select(2)
        slow.expect(0, "subscribe", "-U")
        assert time.monotonic() - began < 5
    slow.cache()
    assert sorted(slow.endorsed()) == [image_id(1), image_id(2)]


@pytest.mark.slow
def test_run_that_is_stopped_for_a_while_goes_on_where_it_was(site: Site):
    site.join(site.image(1, content=CONTENT))
    site.select(1)
    site.server.fault("/images/1-v1.raw", "hang", times=1, seconds=2.0, after=2_000_000)
    with running(site) as run:
        wait_until(lambda: held(site) > 0)
        os.kill(run.pid, signal.SIGSTOP)
        assert site.run("cache").code == 75
        os.kill(run.pid, signal.SIGCONT)
        run.communicate(timeout=40)
    assert run.returncode in (0, 75)
    site.cache()
    assert site.endorsed() == {image_id(1): CONTENT}


def test_interrupted_run_ends_with_130_and_tells_that_it_ended(slow: Site):
    with running(slow, "-x", f"cat >> {slow.events}") as run:
        wait_until(lambda: held(slow) > 0)
        os.kill(run.pid, signal.SIGINT)
        _, errors = run.communicate(timeout=20)
    assert run.returncode == 130
    assert b"Traceback" not in errors
    assert slow.told() == ["ProcessPrefix", "ProcessPostfix"]
    slow.cache()
    assert slow.endorsed() == {image_id(1): CONTENT}
