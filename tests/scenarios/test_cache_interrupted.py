"""Ctrl-C and SIGTERM with several downloads on their way: all stop at once, what came is kept, the next run goes on."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.site import Site, image_id
from support.tree import check_invariants

pytestmark = pytest.mark.slow

PROGRAM = Path(sys.executable).parent / "vmcatcher_cache"
NUMBERS = (1, 2, 3, 4)
SIZE = 3_000_000
HELD = 1_200_000
# It takes a tenth of that on a quiet machine; the servers would keep it for a minute.
AT_ONCE_S = 4.0


@contextlib.contextmanager
def running(site: Site, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [PROGRAM, "-x", f"cat >> {site.events}", "--jobs", "4", "--jobs-per-host", "4", *words]
    environment = {**os.environ, **site.environment}
    with subprocess.Popen(command, env=environment, cwd=site.root, stderr=subprocess.PIPE) as run:
        try:
            yield run
        finally:
            with contextlib.suppress(ProcessLookupError):
                run.kill()


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def partials(site: Site) -> dict[Path, int]:
    return {path: path.stat().st_size for path in (site.store / "partial").iterdir() if not path.name.endswith(".json")}


def all_hold(site: Site) -> bool:
    """Tell whether a first piece of every image is on disk."""
    return sum(size >= 1 << 20 for size in partials(site).values()) == len(NUMBERS)


def ended(run: subprocess.Popen[bytes], number: signal.Signals) -> tuple[int, float, str]:
    """Send a signal; return the exit code, how long it took, and what was said."""
    began = time.monotonic()
    run.send_signal(number)
    code = run.wait(30)
    assert run.stderr is not None
    return code, time.monotonic() - began, run.stderr.read().decode()


def content(number: int) -> bytes:
    return bytes([number]) * SIZE


@pytest.fixture
def many(site: Site) -> Site:
    site.join(*(site.image(number, content=content(number)) for number in NUMBERS))
    site.select(*NUMBERS)
    site.server.forget()
    return site


def hold(site: Site, **how: object) -> None:
    for number in NUMBERS:
        site.server.fault(f"/images/{number}-v1.raw", "hang", times=1, seconds=60.0, **how)


@pytest.mark.parametrize(
    ("number", "code", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_all_downloads_stop_at_once_and_the_next_run_goes_on_with_each(
    many: Site, number: signal.Signals, code: int, word: str
):
    hold(many, after=HELD)
    with running(many) as run:
        until(lambda: all_hold(many))
        time.sleep(0.2)  # for what is on its way from the server into the memory of the run
        found, took, said = ended(run, number)
    assert found == code
    assert took < AT_ONCE_S, "waited for a server"
    assert said.splitlines()[-1].endswith(word)
    assert "Traceback" not in said
    assert many.told() == ["ProcessPrefix", "ProcessPostfix"]
    assert check_invariants(many.store) == []
    left = partials(many)
    assert sorted(left.values()) == [HELD] * len(NUMBERS), "what had come is kept to the last byte"
    many.server.forget()
    many.cache()
    ranges = [one.headers.get("range") for one in many.server.requests if one.path.startswith("/images/")]
    assert ranges == [f"bytes={HELD}-"] * len(NUMBERS)
    assert many.endorsed() == {image_id(number): content(number) for number in NUMBERS}
    assert partials(many) == {}


@pytest.mark.parametrize("how", [{}, {"mode": "dripheader"}, {"mode": "drip"}])
def test_downloads_that_have_hardly_begun_stop_at_once(many: Site, how: dict[str, str]):
    if how:
        for number in NUMBERS:
            many.server.fault(f"/images/{number}-v1.raw", how["mode"])
    else:
        hold(many)
    with running(many) as run:
        until(lambda: len([one for one in many.server.requests if one.path.startswith("/images/")]) == len(NUMBERS))
        found, took, _ = ended(run, signal.SIGINT)
    assert (found, took < AT_ONCE_S) == (130, True)
    for number in NUMBERS:
        many.server.heal(f"/images/{number}-v1.raw")
    many.told()
    many.cache()
    assert len(many.endorsed()) == len(NUMBERS)


def test_waits_for_the_rate_stop_at_once(many: Site):
    with running(many, "--limit-rate", "1000") as run:
        until(lambda: len(partials(many)) == len(NUMBERS))
        found, took, _ = ended(run, signal.SIGTERM)
    assert (found, took < AT_ONCE_S) == (143, True)


def test_interrupt_while_a_handler_is_told_stops_the_downloads_too(many: Site):
    hold(many, after=HELD)
    many.server.heal("/images/1-v1.raw")
    slow = f"cat >> {many.events}; if test $VMCATCHER_EVENT_TYPE = AvailablePrefix; then sleep 30; fi"
    with running(many, "-x", slow, "--event-timeout", "40") as run:
        until(lambda: "AvailablePrefix 1" in many.told(forget=False))
        found, took, _ = ended(run, signal.SIGINT)
    assert (found, took < AT_ONCE_S) == (130, True)
    assert many.told()[-1] == "ProcessPostfix"
    assert check_invariants(many.store) == []
    many.cache()
    assert len(many.endorsed()) == len(NUMBERS)


def test_killed_run_leaves_every_download_to_be_gone_on_with(many: Site):
    hold(many, after=HELD)
    with running(many) as run:
        until(lambda: all_hold(many))
        run.kill()
        run.wait()
    left = partials(many)
    many.server.forget()
    many.cache()
    ranges = [one.headers.get("range") for one in many.server.requests if one.path.startswith("/images/")]
    assert sorted(map(str, ranges)) == sorted(f"bytes={size}-" for size in left.values())
