"""Many downloads at once: no host is flooded, nobody waits for a server that hangs, and events stay one at a time."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import threading
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest

from support.server import Server
from support.site import LIST_ID, Site, image_id
from support.tree import check_invariants
from vmcatcher import wiring
from vmcatcher.model.record import Reason
from vmcatcher.services.cache import CacheReport, CacheRequest, run_cache
from vmcatcher.services.context import Context
from vmcatcher.settings import load_settings
from vmcatcher.store import reading, root
from vmcatcher.store.views import Views

pytestmark = pytest.mark.slow

MIB = 1 << 20
NUMBERS = (1, 2, 3, 4, 5)
SIZES = {number: 60_000 - 10_000 * number for number in NUMBERS}


@pytest.fixture
def other() -> Iterator[Server]:
    with Server() as running:
        yield running


@pytest.fixture
def many(site: Site) -> Site:
    """Five of seven images are selected, none is there; the larger their number, the smaller they are."""
    selected = [site.image(number, content=bytes([number]) * SIZES[number]) for number in NUMBERS]
    site.join(*selected, site.image(6), site.image(7))
    site.select(*NUMBERS)
    return site


def run(site: Site, progress=None, **request) -> CacheReport:
    settings = load_settings({"cache_event": f"cat >> {site.events}"}, environment=site.environment)
    context = Context(root.open_store(str(site.store)), site.now, "test", progress=progress)
    with wiring.tools(settings, context) as tools:
        teller = wiring.teller(settings, context, "cache_event", {}, locks=("cache",))
        return run_cache(context, tools, teller, CacheRequest(Views.inside(context.layout), **request))


class AtOnce:
    """How many answers for images are on their way at the same time; each takes a moment."""

    def __init__(self, *servers: Server) -> None:
        self.most = 0
        self._now = 0
        self._lock = threading.Lock()
        for server in servers:
            self._watch(server)

    def _watch(self, server: Server) -> None:
        answer = server._answer

        def slow(sock, request):
            if not request.path.startswith("/images/"):
                return answer(sock, request)
            with self._lock:
                self._now += 1
                self.most = max(self.most, self._now)
            try:
                time.sleep(0.1)
                return answer(sock, request)
            finally:
                with self._lock:
                    self._now -= 1

        server._answer = slow


def on(site: Site, server: Server, number: int, **fields: object) -> dict[str, object]:
    """Return an image whose bytes come from another server."""
    image = site.image(number, **fields)
    path = f"/images/{number}-v1.raw"
    server.publish(path, site.server.published()[path].content)
    return {**image, "hv:uri": server.url(path)}


@pytest.mark.parametrize(("jobs", "per_host", "most"), [(1, 2, 1), (4, 1, 1), (4, 2, 2), (4, 4, 4), (2, 4, 2)])
def test_as_many_come_at_once_as_may(many: Site, jobs: int, per_host: int, most: int):
    seen = AtOnce(many.server)
    many.cache("--jobs", str(jobs), "--jobs-per-host", str(per_host))
    assert seen.most == most
    assert len(many.endorsed()) == len(NUMBERS)


def test_default_is_two_from_each_host(site: Site, other: Server):
    site.join(*(site.image(number) for number in (1, 2, 3)), *(on(site, other, number) for number in (4, 5, 6)))
    site.select(1, 2, 3, 4, 5, 6)
    apart, together = AtOnce(site.server), AtOnce(other)
    site.cache()
    assert (apart.most, together.most) == (2, 2)
    assert len(site.endorsed()) == 6


def test_smallest_comes_first(many: Site):
    many.cache("--jobs", "1")
    asked = [request.path for request in many.server.requests if request.path.startswith("/images/")]
    assert asked == [f"/images/{number}-v1.raw" for number in (5, 4, 3, 2, 1)]
    assert many.told()[1::2] == [f"AvailablePrefix {number}" for number in (5, 4, 3, 2, 1)] + ["ProcessPostfix"]


def test_one_after_the_other_is_asked_for_by_the_variable_too(many: Site):
    seen = AtOnce(many.server)
    many.cache(VMCATCHER_JOBS="1")
    assert seen.most == 1


@pytest.mark.parametrize("words", [("--jobs", "0"), ("--jobs", "-1"), ("--jobs-per-host", "0")])
def test_no_job_at_all_is_refused(many: Site, words: tuple[str, ...]):
    result = many.run("cache", *words)
    assert result.code not in (0, 70)
    assert words[1] in result.err
    assert many.endorsed() == {}


def test_bytes_that_two_images_share_are_fetched_once(site: Site):
    shared = site.image(1, content=os.urandom(200_000))
    same = {key: shared[key] for key in ("hv:size", "hv:uri", "sl:checksum:sha512")}
    site.join(shared, {**site.image(2), **same}, {**site.image(3), **same}, site.image(4))
    site.select(1, 2, 3, 4)
    site.cache("--jobs-per-host", "4")
    assert site.server.gets("/images/1-v1.raw") == 1
    assert len(site.endorsed()) == 4


def test_other_place_of_the_same_bytes_is_asked_where_the_first_has_none(site: Site, other: Server):
    image = site.image(1)
    twin = {**on(site, other, 2, content=site.server.published()["/images/1-v1.raw"].content)}
    site.server.withdraw("/images/1-v1.raw")
    site.join(image, twin)
    site.select(1, 2)
    site.cache(code=75)
    assert list(site.endorsed()) == [image_id(2)]
    site.cache()
    assert sorted(site.endorsed()) == [image_id(1), image_id(2)]
    assert other.gets("/images/2-v1.raw") == 1


def test_events_of_an_image_come_one_after_the_other_and_never_at_once(many: Site):
    # A handler that takes its time, and would be seen to run beside another one.
    handler = f"echo begin >> {many.root}/turns; sleep 0.02; cat >> {many.events}; echo end >> {many.root}/turns"
    result = many.run("cache", "-x", handler, "--jobs-per-host", "4")
    assert result.code == 0, result
    turns = (many.root / "turns").read_text().split()
    assert turns == ["begin", "end"] * (len(turns) // 2)
    told = many.told()
    assert (told[0], told[-1]) == ("ProcessPrefix", "ProcessPostfix")
    for before, after in pairwise(told):
        if before.startswith("AvailablePrefix"):
            assert after == before.replace("Prefix", "Postfix")
    assert len(told) == 2 + 2 * len(NUMBERS)


def test_what_has_to_leave_leaves_before_anything_is_fetched(many: Site):
    many.cache()
    many.told()
    many.publish("2", many.image(1, "2"), many.image(3), many.image(6))
    many.expect(0, "subscribe", "-U")
    many.select(6)
    many.cache()
    told = many.told()
    last_out = max(told.index(f"ExpirePostfix {number}") for number in (2, 4, 5))
    assert last_out < min(at for at, one in enumerate(told) if one.startswith("Available"))
    assert told.index("ExpirePrefix 1") > last_out, "a replaced image stays until its bytes are there"
    assert told[told.index("ExpirePostfix 1") + 1] == "AvailablePrefix 1"


def test_server_that_hangs_holds_up_no_image_of_another(site: Site, other: Server):
    site.join(*(on(site, other, number) for number in (1, 2, 3)), *(site.image(number) for number in (4, 5, 6, 7)))
    site.select(1, 2, 3, 4, 5, 6, 7)
    for number in (1, 2, 3):
        other.fault(f"/images/{number}-v1.raw", "hang", seconds=30.0)
    began: dict[str, float] = {}

    class Watch:
        def expect(self, *_: object) -> None: ...

        def begin(self, *words: object, **_: object) -> None:
            began[str(words[1])] = time.monotonic()

        def advance(self, *_: object) -> None: ...

        def end(self, name: str, *, is_done: bool) -> None:
            began[name] = (time.monotonic() - began[name]) if is_done else -1.0

    done = threading.Thread(target=lambda: run(site, Watch()), daemon=True)
    done.start()
    end = time.monotonic() + 10
    while len(site.endorsed()) < 4:
        assert time.monotonic() < end, "the images of the good server wait for the bad one"
        time.sleep(0.02)
    assert sorted(site.endorsed()) == [image_id(number) for number in (4, 5, 6, 7)]
    other.close()
    done.join(20)
    assert not done.is_alive()
    assert [began[image_id(number)] for number in (1, 2, 3)] == [-1.0] * 3


def test_failure_of_some_is_said_of_each_and_the_others_are_there(many: Site):
    many.server.withdraw("/images/2-v1.raw")
    many.server.withdraw("/images/4-v1.raw")
    result = many.cache(code=75)
    assert sorted(many.endorsed()) == [image_id(number) for number in (1, 3, 5)]
    errors = [line for line in result.err.splitlines() if line.startswith("ERROR")]
    assert len(errors) == 2
    assert {image_id(number) for number in (2, 4)} == {
        image_id(number) for number in NUMBERS for line in errors if image_id(number) in line
    }


def test_wrong_bytes_are_counted_for_each(many: Site):
    for number in (1, 2):
        content = many.server.published()[f"/images/{number}-v1.raw"].content
        many.server.publish(f"/images/{number}-v1.raw", content[::-1].replace(content[:1], b"!"))
    for _ in range(5):
        many.cache(code=1)
    asked = many.server.gets("/images/1-v1.raw")
    many.cache(code=1)
    assert many.server.gets("/images/1-v1.raw") == asked == 5


def used(site: Site) -> int:
    """Return how many bytes the images and what is on its way take, while a run renames the one to the other."""
    sizes: dict[int, int] = {}
    for place in ("partial", "blobs"):
        for path in (site.store / place).rglob("*"):
            with contextlib.suppress(FileNotFoundError):
                status = path.lstat()
                if stat.S_ISREG(status.st_mode):
                    sizes[status.st_ino] = status.st_size
    return sum(sizes.values())


def test_disk_is_not_promised_twice(many: Site, monkeypatch: pytest.MonkeyPatch):
    sizes = {number: 4 * MIB - number * MIB // 4 for number in (1, 2, 3)}
    many.publish("2", *(many.image(number, "2", content=os.urandom(size)) for number, size in sizes.items()))
    many.expect(0, "subscribe", "-U")
    before = used(many)
    # A disk that has room for two of the three, and takes what is written from what is free.
    room = sizes[2] + sizes[3] + MIB + MIB // 2

    monkeypatch.setattr(reading, "free_bytes", lambda _: max(0, room + before - used(many)))
    result = many.cache("--jobs-per-host", "4", code=75)
    assert sorted(many.endorsed()) == [image_id(2), image_id(3)]
    assert [line for line in result.err.splitlines() if line.startswith("ERROR")] == [
        line for line in result.err.splitlines() if image_id(1) in line
    ]
    assert many.server.gets("/images/1-v2.raw") == 0


def test_report_says_of_each_image_what_was_done(many: Site):
    run(many)
    same = many.image(2, content=bytes([2]) * SIZES[2])
    other = many.image(3, content=bytes([3]) * SIZES[3])
    many.publish("2", many.image(1, "2", content=b"new" * 1000), same, other, many.image(6))
    many.expect(0, "subscribe", "-U")
    many.expect(0, "image", "-r", "-u", image_id(3))
    many.select(6)
    many.server.withdraw("/images/6-v1.raw")
    found = {one.image: one for one in run(many).images}
    assert sorted(found) == [image_id(number) for number in (1, 2, 3, 4, 5, 6)]
    new = found[image_id(1)]
    assert new.is_replaced
    assert new.is_published
    assert not new.is_kept
    assert new.fetched is not None
    assert (new.fetched.received_bytes, new.fetched.source, new.fetched.resumed_at) == (3000, "list", 0)
    assert new.fetched.place == many.server.url("/images/1-v2.raw")
    assert found[image_id(3)].expired == (Reason.UNSUBSCRIBED,)
    assert found[image_id(4)].expired == (Reason.WITHDRAWN,)
    assert [error.id for error in found[image_id(6)].errors] == ["http-not-found"]
    assert [number for number in (1, 2, 3, 4, 5, 6) if found[image_id(number)].is_kept] == [2]
    assert {one.list_id for one in found.values()} == {LIST_ID}


def test_report_says_that_a_download_went_on(many: Site):
    content = os.urandom(500_000)
    many.publish("2", many.image(1, "2", content=content))
    many.expect(0, "subscribe", "-U")
    many.server.fault("/images/1-v2.raw", "truncate", after=50_000)
    many.cache(code=75)
    many.server.heal("/images/1-v2.raw")
    (one,) = (one for one in run(many).images if one.image == image_id(1))
    assert one.fetched is not None
    assert one.fetched.resumed_at > 0
    assert one.fetched.resumed_at + one.fetched.received_bytes == len(content)


class Seen:
    """Progress as somebody sees it who adds up."""

    def __init__(self) -> None:
        self.expected: tuple[object, ...] = ()
        self.done: dict[str, int] = {}
        self.ended: dict[str, bool] = {}
        self._lock = threading.Lock()

    def expect(self, *words: object) -> None:
        self.expected = words

    def begin(self, doing: str, name: str, size_bytes: int, *, done_bytes: int = 0) -> None:
        assert doing == self.expected[0]
        assert 0 <= done_bytes <= size_bytes
        with self._lock:
            self.done[name] = done_bytes

    def advance(self, name: str, count: int) -> None:
        with self._lock:
            self.done[name] += count

    def end(self, name: str, *, is_done: bool) -> None:
        self.ended[name] = is_done


def test_progress_adds_up_to_every_byte(many: Site):
    shared = many.image(6, content=b"shared" * 5000)
    same = {key: shared[key] for key in ("hv:size", "hv:uri", "sl:checksum:sha512")}
    images = [many.image(number, content=bytes([number]) * SIZES[number]) for number in NUMBERS]
    many.publish("2", *images, shared, {**many.image(7), **same})
    many.expect(0, "subscribe", "-U")
    many.select(6, 7)
    seen = Seen()
    run(many, seen, check=False)
    sizes = {image_id(number): size for number, size in SIZES.items()}
    assert seen.expected == ("download", 6, sum(sizes.values()) + 30_000)
    shown = {name: count for name, count in seen.done.items() if name in sizes}
    assert shown == sizes
    assert sum(seen.done.values()) == sum(sizes.values()) + 30_000
    assert all(seen.ended.values())
    assert set(seen.ended) == set(seen.done)


def test_progress_of_a_check_adds_up_to_every_byte(many: Site):
    big = os.urandom(9 * MIB + 5)
    many.publish("2", *(many.image(number, "2", content=big if number == 1 else None) for number in NUMBERS))
    many.expect(0, "subscribe", "-U")
    run(many)
    seen = Seen()
    run(many, seen, check_everything=True, download=False)
    size = len(b"image 2 version 2\n" * 100)
    assert seen.expected == ("check", 5, len(big) + 4 * size)
    assert seen.done == {image_id(number): len(big) if number == 1 else size for number in NUMBERS}
    assert set(seen.ended) == set(seen.done)
    assert all(seen.ended.values())
    idle = Seen()
    run(many, idle)
    assert (idle.expected, idle.done) == (("check", 0, 0), {})


def test_progress_of_what_fails_and_goes_on_counts_what_was_there(many: Site):
    content = os.urandom(400_000)
    many.publish("2", many.image(1, "2", content=content))
    many.expect(0, "subscribe", "-U")
    many.server.fault("/images/1-v2.raw", "truncate", after=50_000)
    broken, whole = Seen(), Seen()
    run(many, broken, check=False)
    many.server.heal("/images/1-v2.raw")
    held = max(path.stat().st_size for path in (many.store / "partial").iterdir())
    run(many, whole, check=False)
    assert broken.ended == {image_id(1): False}
    assert 0 < broken.done[image_id(1)] == held < len(content)
    assert whole.done == {image_id(1): len(content)}
    assert whole.ended == {image_id(1): True}


def test_rate_holds_for_all_together(many: Site):
    began = time.monotonic()
    many.cache("--limit-rate", "200K", "--jobs-per-host", "4")
    # 150,000 bytes at 204,800 a second, less what may come at once in the beginning.
    assert time.monotonic() - began > 0.4


@pytest.mark.parametrize("given", ["fast", "-1", "1.5.5M"])
def test_rate_that_is_none_is_refused(many: Site, given: str):
    result = many.run("cache", f"--limit-rate={given}")
    assert result.code not in (0, 70)
    assert many.endorsed() == {}


def test_store_is_sound_and_nothing_is_left_of_downloads(many: Site):
    many.cache("--jobs", "5", "--jobs-per-host", "5")
    assert check_invariants(many.store) == []
    assert list((many.store / "partial").iterdir()) == []
    for number in NUMBERS:
        content = bytes([number]) * SIZES[number]
        assert hashlib.sha512(many.endorsed()[image_id(number)]).digest() == hashlib.sha512(content).digest()
