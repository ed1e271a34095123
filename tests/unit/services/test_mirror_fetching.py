"""Fetching one image from mirrors and from where its list says: who is asked, what is believed, what goes on."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pytest

from support.server import Server
from support.server_client import limits, some_bytes, transport
from support.server_tls import Authority
from vmcatcher.errors import VmcatcherError
from vmcatcher.errors.answer import BodyTruncated, NotFound
from vmcatcher.errors.cache import GivenUp
from vmcatcher.errors.mirrors import NotMirrored
from vmcatcher.errors.store import StoreFull, WrongBytes
from vmcatcher.model.identity import ListId, Sha512
from vmcatcher.model.image import Image, image_from_json
from vmcatcher.model.mirror import Mirror
from vmcatcher.model.plan import Wanted
from vmcatcher.model.record import MOST_TRIES
from vmcatcher.model.subscription import Subscription
from vmcatcher.services.bringing import Brought, Follower
from vmcatcher.services.context import Context
from vmcatcher.services.fetching import Fetcher
from vmcatcher.services.passage import new_record
from vmcatcher.services.sources import Mirrors, Place, places
from vmcatcher.services.update import Tools
from vmcatcher.store import cache, downloads, reading, root, subscriptions
from vmcatcher.store.subscriptions import Secret
from vmcatcher.transport import Transport

SIZE = 200_000
CONTENT = some_bytes(SIZE)
OTHER = some_bytes(SIZE, "other")
NOW = datetime(2026, 11, 23, 4, 23, 39, tzinfo=UTC)
LIST = ListId("list")


def digest_of(content: bytes) -> Sha512:
    return Sha512(hashlib.sha512(content).hexdigest())


def blob_path(content: bytes) -> str:
    digest = digest_of(content)
    return f"/blobs/sha512/{digest[:2]}/{digest}"


PATH = blob_path(CONTENT)


class Errands:
    """A store, the publisher's server, a mirror, and a subscription whose images are wanted."""

    def __init__(self, directory: Path, origin: Server, mirror: Server) -> None:
        self.directory = directory
        self.origin = origin
        self.mirror = mirror
        self.layout = root.make_store(str(directory / "store"))
        self.context = Context(self.layout, NOW, "test")
        self.subscription = Subscription(LIST, origin.url("/list"), origin.url("/list"), NOW)
        self.options: dict[str, object] = {}
        self.anchors = "/nowhere"

    @property
    def base(self) -> str:
        return self.mirror.url("/blobs")

    def wanted(self, content: bytes = CONTENT, path: str = "/image") -> Wanted:
        """Return an image of the list; the publisher has its bytes, the mirror not yet."""
        if path not in self.origin.published():
            self.origin.publish(path, content)
        image: Image = image_from_json(
            {
                "dc:identifier": path.strip("/"),
                "hv:size": len(content),
                "sl:checksum:sha512": digest_of(content),
                "hv:uri": self.origin.url(path),
            }
        )
        return Wanted(image, LIST, "000001-20261123T042339Z", digest_of(b"list"), None, NOW)

    def fetch(
        self,
        *mirrors: str,
        wanted: Wanted | None = None,
        only: bool = False,
        tries: int = 0,
        follower: Follower | None = None,
    ) -> Brought:
        """Fetch one image in a run of its own."""
        with self.run(*mirrors, only=only, follower=follower) as run:
            return run.fetch(wanted or self.wanted(), tries=tries)

    def run(
        self,
        *mirrors: str,
        only: bool = False,
        tls: Literal["system", "igtf"] = "system",
        follower: Follower | None = None,
    ) -> Run:
        return Run(self, Mirrors(tuple(map(Mirror.parse, mirrors)), only, tls), follower)

    def blob(self, content: bytes = CONTENT) -> bytes:
        return Path(self.layout.blob(digest_of(content))).read_bytes()

    def held(self) -> list[bytes]:
        """Return what is left of downloads."""
        return [Path(left.path).read_bytes() for left in downloads.lefts(self.layout)]


class Run:
    """One run: mirrors that were of no use stay out of it."""

    def __init__(self, errands: Errands, mirrors: Mirrors, follower: Follower | None) -> None:
        self.errands = errands
        self.transport: Transport = transport(**errands.options)
        tools = Tools(self.transport, None, None, errands.anchors, mirrors)  # type: ignore[arg-type]  # nothing is verified
        self.fetcher = Fetcher(errands.context, tools, follower)

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        self.transport.close()

    def fetch(self, wanted: Wanted, *, tries: int = 0) -> Brought:
        record = new_record(self.errands.context, wanted, 1)
        record = replace(record, tries=tries, tries_list=wanted.list_sha512)
        return self.fetcher.fetch(record, wanted, self.errands.subscription)


@pytest.fixture
def errands(tmp_path: Path, server: Server) -> Iterator[Errands]:
    with Server() as mirror:
        yield Errands(tmp_path, server, mirror)


def asked(server: Server) -> list[tuple[str, str | None, str | None]]:
    return [(one.path, one.headers.get("range"), one.headers.get("if-range")) for one in server.requests]


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


# -- who is asked, in which order


def test_mirror_that_has_the_bytes_spares_the_publisher(errands: Errands, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    errands.mirror.publish(PATH, CONTENT)
    assert errands.fetch(errands.base) == Brought(
        came=True, received_bytes=SIZE, resumed_at=0, source="mirror", place=errands.base
    )
    assert errands.blob() == CONTENT
    assert asked(errands.origin) == []
    assert f"fetched image=image bytes={SIZE} source=mirror from={errands.base} resumed=False" in caplog.messages


def test_without_mirrors_the_list_says_where(errands: Errands, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    uri = errands.origin.url("/image")
    assert errands.fetch() == Brought(came=True, received_bytes=SIZE, source="list", place=uri)
    assert f"fetched image=image bytes={SIZE} source=list from={uri} resumed=False" in caplog.messages


def test_own_mirrors_come_before_those_of_the_settings_and_the_list_last(errands: Errands):
    wanted = errands.wanted()
    own, other = errands.mirror.url("/own"), errands.mirror.url("/other")
    errands.subscription = replace(errands.subscription, mirrors=(own, errands.base))
    named = Mirrors((Mirror.parse(other), Mirror.parse(errands.base)))
    planned = places(named, errands.subscription, wanted.image)
    assert [one.url.partition("/sha512/")[0] for one in planned] == [own, errands.base, other, wanted.image.uri]
    assert [one.kind for one in planned] == ["mirror"] * 3 + ["list"]
    assert errands.fetch(other, errands.base, wanted=wanted).source == "list"
    assert [path for path, _, _ in asked(errands.mirror)] == [
        PATH.replace("/blobs/", f"/{name}/") for name in ("own", "blobs", "other")
    ]


def test_plan_of_mirrors_only_ends_with_the_last_mirror(errands: Errands):
    mirror = Mirror.parse(errands.base)
    assert places(Mirrors((mirror,), only=True), errands.subscription, errands.wanted().image) == (
        Place("mirror", errands.mirror.url(PATH)),
    )


def test_bytes_that_are_there_ask_nobody(errands: Errands):
    errands.mirror.publish(PATH, CONTENT)
    wanted = errands.wanted()
    with errands.run(errands.base) as run:
        run.fetch(wanted)
        assert run.fetch(wanted) == Brought(came=False)
    assert errands.mirror.gets(PATH) == 1


@pytest.mark.parametrize("status", [404, 410])
def test_mirror_that_lacks_an_image_is_passed_over_in_silence_and_asked_for_the_next(
    errands: Errands, status: int, caplog: pytest.LogCaptureFixture
):
    errands.mirror.fault(PATH, "status", status=status)
    errands.mirror.publish(blob_path(OTHER), OTHER)
    with errands.run(errands.base) as run:
        assert run.fetch(errands.wanted()).source == "list"
        assert run.fetch(errands.wanted(OTHER, "/other")).source == "mirror"
    assert warnings(caplog) == []


# -- mirrors that fail


@pytest.mark.parametrize(
    ("mode", "options", "requests"),
    [
        ("close", {}, 3),
        ("503", {}, 3),
        ("truncate", {"after": 0}, 3),
        pytest.param("hang", {}, 3, marks=pytest.mark.slow),
        ("garbage", {"text": b"no http\r\n\r\n"}, 1),
        ("status", {"status": 403}, 1),
        ("status", {"status": 401}, 1),
        ("loop", {}, 6),
        ("redirect", {"to": "file:///etc/passwd"}, 1),
        ("redirect", {"to": "ftp://m.test/"}, 1),
        ("gzip", {}, 1),
        ("hugeheader", {}, 1),
    ],
)
def test_fault_106_mirror_that_fails_is_warned_of_once_and_not_asked_again(
    errands: Errands, mode: str, options: dict[str, object], requests: int, caplog: pytest.LogCaptureFixture
):
    errands.mirror.publish(PATH, CONTENT)
    errands.mirror.publish(blob_path(OTHER), OTHER)
    errands.mirror.fault(PATH, mode, **options)
    errands.options = {"bounds": limits(idle_s=0.1)}
    with errands.run(errands.base) as run:
        assert run.fetch(errands.wanted()).source == "list"
        assert run.fetch(errands.wanted(OTHER, "/other")).source == "list"
    assert (errands.blob(), errands.blob(OTHER)) == (CONTENT, OTHER)
    (warning,) = warnings(caplog)
    assert warning.startswith(f"mirror {errands.base} is not asked again in this run: ")
    assert len(asked(errands.mirror)) == requests
    errands.mirror.heal(PATH)


def test_mirror_that_is_down_costs_one_warning(errands: Errands, caplog: pytest.LogCaptureFixture):
    errands.mirror.close()
    with errands.run(errands.base) as run:
        assert {run.fetch(one).source for one in (errands.wanted(), errands.wanted(OTHER, "/other"))} == {"list"}
    (warning,) = warnings(caplog)
    assert f"nobody listens at 127.0.0.1 port {errands.mirror.port}" in warning or "refused" in warning


def test_redirect_of_a_mirror_to_what_only_this_machine_sees_is_not_followed(
    errands: Errands, caplog: pytest.LogCaptureFixture
):
    secret = errands.origin.url("/secret")
    errands.mirror.fault(PATH, "redirect", to=secret)
    # As a proxy it answers for a mirror that is not on this machine.
    errands.options = {"proxies": {"http": errands.mirror.url()}, "no_proxy": "127.0.0.1"}
    assert errands.fetch("http://mirror.invalid/blobs").source == "list"
    assert errands.origin.gets("/secret") == 0
    assert f"redirect to '{secret}' not followed" in warnings(caplog)[0]


@pytest.mark.slow
def test_mirror_that_sends_too_slowly_is_given_up(errands: Errands, caplog: pytest.LogCaptureFixture):
    errands.mirror.publish(PATH, CONTENT)
    errands.mirror.fault(PATH, "drip", gap=0.01)
    errands.options = {"bounds": limits(idle_s=5, rate_window_s=0.2, min_rate_bytes_s=100_000)}
    assert errands.fetch(errands.base).source == "list"
    assert errands.blob() == CONTENT
    assert "expected at least 100000 bytes/s" in warnings(caplog)[0]


# -- mirrors that lie


@pytest.mark.parametrize(
    ("mode", "options", "found"),
    [
        (None, {}, "SHA-512"),
        ("endless", {}, f"more than {SIZE}"),
        ("longer", {"extra": 1, "announced": True}, f"more than {SIZE}"),
        ("longer", {"extra": 1, "announced": False}, f"more than {SIZE}"),
        ("html200", {}, "text/html"),
    ],
)
def test_fault_107_mirror_with_wrong_bytes_is_named_and_dropped_and_the_next_place_asked_from_the_beginning(
    errands: Errands, mode: str | None, options: dict[str, object], found: str, caplog: pytest.LogCaptureFixture
):
    errands.mirror.publish(PATH, OTHER)
    errands.mirror.publish(blob_path(OTHER), OTHER)
    if mode is not None:
        errands.mirror.fault(PATH, mode, **options)
    with errands.run(errands.base) as run:
        assert run.fetch(errands.wanted()).source == "list"
        assert run.fetch(errands.wanted(OTHER, "/other")).source == "list"
    assert (errands.blob(), errands.blob(OTHER)) == (CONTENT, OTHER)
    assert asked(errands.origin) == [("/image", None, None), ("/other", None, None)]
    (warning,) = warnings(caplog)
    assert warning.startswith(f"mirror {errands.base} serves wrong bytes and is not asked again in this run: ")
    assert found in warning
    assert len(errands.mirror.requests) == 1


@pytest.mark.parametrize("size", [SIZE - 1, SIZE + 1])
def test_list_that_says_another_length_keeps_no_other_list_from_the_mirror(errands: Errands, size: int):
    errands.mirror.publish(PATH, CONTENT)
    false = errands.wanted()
    false = replace(false, image=replace(false.image, size_bytes=size))
    with errands.run(errands.base) as run:
        with pytest.raises(VmcatcherError):
            run.fetch(false)
        errands.subscription = replace(errands.subscription, identifier=ListId("another-list"))
        assert run.fetch(errands.wanted()).source == "mirror"


def test_body_without_end_is_forgotten_before_the_next_place_is_asked(
    errands: Errands, caplog: pytest.LogCaptureFixture
):
    content = some_bytes(5 << 19)
    wanted = errands.wanted(content)
    errands.mirror.publish(blob_path(content), content)
    errands.mirror.fault(blob_path(content), "endless")
    assert errands.fetch(errands.base, wanted=wanted).resumed_at == 0
    assert asked(errands.origin) == [("/image", None, None)]
    assert len(warnings(caplog)) == 1
    assert errands.blob(content) == content


def test_file_of_another_size_costs_nothing_that_is_there(errands: Errands):
    break_off(errands, errands.origin, "/image")
    errands.mirror.publish(PATH, CONTENT + b"x")
    assert errands.fetch(errands.base).received_bytes == SIZE - HELD
    assert asked(errands.origin)[-1] == ("/image", f"bytes={HELD}-", etag(errands.origin, "/image"))


def test_wrong_bytes_of_a_mirror_are_no_try(errands: Errands):
    errands.mirror.publish(PATH, OTHER)
    errands.origin.fault("/image", "status", status=404)
    with pytest.raises(NotFound):
        errands.fetch(errands.base)
    assert errands.held() == []


def test_image_that_was_given_up_may_still_come_from_a_mirror(errands: Errands):
    errands.mirror.publish(PATH, CONTENT)
    assert errands.fetch(errands.base, tries=MOST_TRIES).source == "mirror"


@pytest.mark.parametrize("has_mirror", [True, False])
def test_image_that_was_given_up_is_not_asked_for_where_the_list_says(errands: Errands, has_mirror: bool):
    with pytest.raises(GivenUp):
        errands.fetch(*[errands.base] * has_mirror, tries=MOST_TRIES)
    assert errands.origin.requests == []


def test_wrong_bytes_from_where_the_list_says_are_counted_in_the_record(errands: Errands):
    wanted = errands.wanted()
    errands.origin.publish("/image", OTHER)
    record = new_record(errands.context, wanted, 1)
    with errands.run() as run:
        for tries in (1, 2):
            with pytest.raises(WrongBytes):
                run.fetcher.fetch(record, wanted, errands.subscription)
            record = run.fetcher.count_wrong(record, wanted)
            assert cache.newest_record(errands.layout, wanted.image.identifier) == record
            assert (record.tries, record.tries_list) == (tries, wanted.list_sha512)


# -- mirrors only


def test_where_only_mirrors_may_be_asked_the_error_names_them(errands: Errands):
    errands.mirror.fault(PATH, "status", status=404)
    with pytest.raises(NotMirrored) as refused:
        errands.fetch(errands.base, "/nowhere/blobs", only=True)
    assert f"asked: {errands.base} (gave nothing), file:///nowhere/blobs (gave nothing)" in refused.value.one_line()
    assert refused.value.exit_code == 75
    assert errands.origin.requests == []


def test_where_only_mirrors_may_be_asked_one_that_was_passed_over_is_named_too(errands: Errands):
    errands.mirror.close()
    with errands.run(errands.base, only=True) as run:
        for _ in range(2):
            with pytest.raises(NotMirrored) as refused:
                run.fetch(errands.wanted())
    assert f"asked: {errands.base} (passed over in this run);" in refused.value.one_line()


def test_where_only_mirrors_may_be_asked_and_none_is_named_nothing_comes(errands: Errands):
    with pytest.raises(NotMirrored, match="asked: none is named"):
        errands.fetch(only=True)


# -- going on with what others gave

HELD = 150_000


def break_off(errands: Errands, server: Server, path: str, *mirrors: str) -> None:
    """Let a run get the first bytes from there, and no more."""
    server.fault(path, "truncate", times=3, after=HELD // 3)
    if server is errands.mirror:
        errands.origin.fault("/image", "status", status=404)
    with pytest.raises((BodyTruncated, NotFound)):
        errands.fetch(*mirrors)
    (held,) = errands.held()
    assert len(held) == HELD
    for one in (errands.origin, errands.mirror):
        one.heal("/image")
        one.forget()


def etag(server: Server, path: str) -> str:
    return server.published()[path].etag


def test_mirror_goes_on_with_what_the_publisher_gave(errands: Errands):
    errands.wanted()
    break_off(errands, errands.origin, "/image")
    errands.mirror.publish(PATH, CONTENT, etag='"its own"')
    assert errands.fetch(errands.base) == Brought(
        came=True, received_bytes=SIZE - HELD, resumed_at=HELD, source="mirror", place=errands.base
    )
    assert asked(errands.mirror) == [(PATH, f"bytes={HELD}-", None)]
    assert errands.blob() == CONTENT


def test_publisher_goes_on_with_what_a_mirror_gave_although_it_calls_the_bytes_otherwise(errands: Errands):
    errands.mirror.publish(PATH, CONTENT, etag='"its own"')
    errands.wanted()
    break_off(errands, errands.mirror, PATH, errands.base)
    assert errands.fetch().received_bytes == SIZE - HELD
    assert asked(errands.origin) == [("/image", f"bytes={HELD}-", None)]
    assert errands.blob() == CONTENT


def test_mirror_is_gone_on_with_after_a_break_whatever_it_calls_its_bytes(errands: Errands):
    errands.mirror.publish(PATH, CONTENT, etag="", last_modified="")
    errands.wanted()
    break_off(errands, errands.mirror, PATH, errands.base)
    assert errands.fetch(errands.base).resumed_at == HELD
    assert asked(errands.mirror) == [(PATH, f"bytes={HELD}-", None)]


def test_fault_108_bytes_of_three_places_become_one_image_and_none_is_read_again(
    errands: Errands, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(downloads, "chunks", lambda *_: pytest.fail("the partial was read again"))
    with Server() as third:
        third.publish(PATH, CONTENT)
        errands.mirror.publish(PATH, CONTENT)
        third.fault(PATH, "truncate", after=20_000)
        errands.mirror.fault(PATH, "truncate", after=10_000)
        brought = errands.fetch(third.url("/blobs"), errands.base)
    assert brought == Brought(
        came=True, received_bytes=SIZE, resumed_at=90_000, source="list", place=errands.origin.url("/image")
    )
    assert asked(errands.origin) == [("/image", "bytes=90000-", None)]
    assert errands.blob() == CONTENT
    assert len(warnings(caplog)) == 2


def test_partial_is_read_once_when_a_run_goes_on_with_it(errands: Errands, monkeypatch: pytest.MonkeyPatch):
    errands.wanted()
    break_off(errands, errands.origin, "/image")
    read = []
    chunks = downloads.chunks

    def counting(descriptor: int, size_bytes: int) -> Iterator[memoryview]:
        for chunk in chunks(descriptor, size_bytes):
            read.append(len(chunk))
            yield chunk

    monkeypatch.setattr(downloads, "chunks", counting)
    errands.mirror.publish(PATH, CONTENT)
    errands.mirror.fault(PATH, "truncate", after=1000)
    assert errands.fetch(errands.base).source == "list"
    assert sum(read) == HELD


def test_earlier_bytes_that_were_wrong_accuse_no_mirror(errands: Errands, caplog: pytest.LogCaptureFixture):
    errands.origin.publish("/image", OTHER)
    break_off(errands, errands.origin, "/image")
    errands.mirror.publish(PATH, CONTENT)
    assert errands.fetch(errands.base).source == "mirror"
    assert asked(errands.mirror) == [(PATH, f"bytes={HELD}-", None), (PATH, None, None)]
    assert warnings(caplog) == ["image image: the resumed download does not match; fetching it from the beginning"]
    assert errands.origin.requests == []


def test_mirror_that_is_wrong_from_the_beginning_too_is_dropped(errands: Errands, caplog: pytest.LogCaptureFixture):
    errands.wanted()
    break_off(errands, errands.origin, "/image")
    errands.mirror.publish(PATH, OTHER)
    assert errands.fetch(errands.base).source == "list"
    assert asked(errands.origin) == [("/image", None, None)]
    assert [text.split(":")[0] for text in warnings(caplog)] == ["image image", "mirror http"]
    assert errands.blob() == CONTENT


def test_poison_of_a_mirror_that_breaks_off_costs_one_full_download(errands: Errands, caplog: pytest.LogCaptureFixture):
    errands.mirror.publish(PATH, OTHER)
    errands.mirror.fault(PATH, "truncate", after=1000)
    assert errands.fetch(errands.base).source == "list"
    assert asked(errands.origin) == [("/image", "bytes=3000-", None), ("/image", None, None)]
    assert errands.blob() == CONTENT
    assert len(warnings(caplog)) == 2


def test_wrong_bytes_in_pieces_are_wrong_and_end_the_matter(errands: Errands):
    # Each transfer breaks off and goes on: it is never whole, and still all of it is the publisher's.
    wanted = errands.wanted()
    errands.origin.publish("/image", OTHER)
    errands.origin.fault("/image", "truncate", after=SIZE // 2)
    with pytest.raises(WrongBytes):
        errands.fetch(wanted=wanted)
    assert errands.held() == []
    rest = ("/image", f"bytes={SIZE // 2}-", etag(errands.origin, "/image"))
    assert asked(errands.origin) == [("/image", None, None), rest, ("/image", None, None), rest]


@pytest.mark.parametrize("mode", ["wrongrange", "shiftrange", "416", "200onrange"])
def test_mirror_that_has_no_rest_to_give_is_asked_for_all(errands: Errands, mode: str):
    errands.wanted()
    break_off(errands, errands.origin, "/image")
    errands.mirror.publish(PATH, CONTENT)
    errands.mirror.fault(PATH, mode)
    assert (errands.fetch(errands.base).resumed_at, errands.blob()) == (0, CONTENT)


def test_mirror_that_has_no_rest_and_no_whole_either_costs_nothing_that_is_there(errands: Errands):
    errands.wanted()
    break_off(errands, errands.origin, "/image")
    errands.mirror.publish(PATH, CONTENT)
    errands.mirror.fault(
        PATH, "raw", text=b"HTTP/1.1 206 Part\r\nContent-Range: bytes 0-1/2\r\nContent-Length: 2\r\n\r\nxx"
    )
    assert errands.fetch(errands.base).received_bytes == SIZE - HELD
    assert asked(errands.origin) == [("/image", f"bytes={HELD}-", etag(errands.origin, "/image"))]


@pytest.mark.parametrize("is_right", [True, False])
def test_partial_that_is_complete_asks_a_mirror_only_if_it_is_wrong(errands: Errands, is_right: bool):
    errands.wanted()
    break_off(errands, errands.origin, "/image")
    (left,) = downloads.lefts(errands.layout)
    with Path(left.path).open("ab") as partial:
        partial.write((CONTENT if is_right else OTHER)[HELD:])
    errands.mirror.publish(PATH, CONTENT)
    brought = errands.fetch(errands.base)
    assert (brought.source, brought.resumed_at) == (("partial", SIZE) if is_right else ("mirror", 0))
    assert asked(errands.mirror) == ([] if is_right else [(PATH, None, None)])


# -- directories


@pytest.fixture
def directory(errands: Errands) -> Path:
    path = errands.directory / "mirror" / "blobs"
    (path / "sha512" / digest_of(CONTENT)[:2]).mkdir(parents=True)
    return path


def in_directory(directory: Path, content: bytes = CONTENT) -> Path:
    return directory / "sha512" / digest_of(CONTENT)[:2] / digest_of(CONTENT)


@pytest.mark.parametrize("spelling", ["{}", "file://{}", "{}/"])
def test_directory_is_a_mirror_whatever_the_list_may_do(errands: Errands, directory: Path, spelling: str):
    in_directory(directory).write_bytes(CONTENT)
    assert errands.fetch(spelling.format(directory)).source == "mirror"
    assert errands.blob() == CONTENT


def test_directory_goes_on_with_what_the_publisher_gave(errands: Errands, directory: Path):
    errands.wanted()
    break_off(errands, errands.origin, "/image")
    in_directory(directory).write_bytes(CONTENT)
    assert errands.fetch(str(directory)).received_bytes == SIZE - HELD
    assert errands.blob() == CONTENT


def test_directory_without_the_image_is_passed_over_in_silence(
    errands: Errands, directory: Path, caplog: pytest.LogCaptureFixture
):
    assert errands.fetch(str(directory)).source == "list"
    assert warnings(caplog) == []


@pytest.mark.parametrize(
    ("found", "says"),
    [
        ("nothing", "there is no directory"),
        ("link", "found a symbolic link"),
        ("short", f"offers 4 bytes (file), expected {SIZE}"),
        ("long", f"more than {SIZE}"),
        ("other", "wrong bytes: SHA-512"),
        ("pipe", "found a named pipe"),
    ],
)
def test_directory_that_is_no_mirror_is_warned_of(
    errands: Errands, directory: Path, found: str, says: str, caplog: pytest.LogCaptureFixture
):
    blob = in_directory(directory)
    match found:
        case "nothing":
            directory = directory / "not mounted"
        case "link":
            blob.symlink_to("/etc/passwd")
        case "pipe":
            os.mkfifo(blob)
        case _:
            blob.write_bytes({"short": b"four", "long": CONTENT + b"x", "other": OTHER}[found])
    assert errands.fetch(str(directory)).source == "list"
    (warning,) = warnings(caplog)
    assert says in warning
    assert errands.blob() == CONTENT


# -- passwords


def test_password_of_a_mirror_goes_to_the_mirror_only(errands: Errands, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    errands.mirror.publish(blob_path(OTHER), OTHER)
    errands.mirror.require_password("us", "secret-word")
    named = errands.mirror.url("/blobs", userinfo="us:secret-word")
    errands.subscription = replace(errands.subscription, mirrors=(errands.base,))
    with errands.run(named) as run:
        assert run.fetch(errands.wanted()).source == "list"
        assert run.fetch(errands.wanted(OTHER, "/other")).source == "mirror"
    assert [one.path for one in errands.mirror.requests] == [PATH, blob_path(OTHER)]
    assert all("authorization" not in one.headers for one in errands.origin.requests)
    assert "secret-word" not in caplog.text
    assert "secret-word" not in "".join(path.read_text(errors="replace") for path in errands.directory.rglob("*.json"))


def test_password_of_the_subscription_goes_to_no_mirror(errands: Errands):
    # Not even to one on the very server that the password is for.
    errands.subscription = replace(
        errands.subscription, username="us", username_origin=errands.origin.url(), password_over_http=True
    )
    subscriptions.put_subscription(errands.layout, errands.subscription)
    subscriptions.put_secret(errands.layout, LIST, Secret("secret-word", errands.origin.url()))
    errands.fetch(errands.base, errands.origin.url("/blobs"))
    assert [(one.path, "authorization" in one.headers) for one in errands.origin.requests] == [
        (PATH, False),
        ("/image", True),
    ]
    assert ["authorization" in one.headers for one in errands.mirror.requests] == [False]


def test_password_of_a_mirror_never_goes_over_plain_http(errands: Errands, caplog: pytest.LogCaptureFixture):
    assert errands.fetch("http://us:secret-word@mirror.invalid/blobs").source == "list"
    (warning,) = warnings(caplog)
    assert "its password would go over plain http" in warning
    assert "secret-word" not in warning


# -- https


@pytest.mark.parametrize(("tls", "source"), [("igtf", "mirror"), ("system", "list")])
def test_certificate_of_an_https_mirror_is_verified_as_the_settings_say(
    errands: Errands, tls: Literal["igtf", "system"], source: str, caplog: pytest.LogCaptureFixture
):
    (errands.directory / "authority").mkdir()
    authority = Authority(errands.directory / "authority")
    errands.anchors = str(authority.directory)
    with Server(tls=authority.serve()) as secure:
        secure.publish(PATH, CONTENT)
        with errands.run(secure.url("/blobs"), tls=tls) as run:
            assert run.fetch(errands.wanted()).source == source
    assert ["TLS refused" in text for text in warnings(caplog)] == [True] * (source == "list")


# -- what else


@pytest.mark.parametrize("text", ["https://us:secret-word@m.test/", "no mirror"])
def test_bad_mirror_in_a_document_is_warned_of_once_and_hides_no_other(
    errands: Errands, text: str, caplog: pytest.LogCaptureFixture
):
    errands.subscription = replace(errands.subscription, mirrors=(text,))
    errands.mirror.publish(PATH, CONTENT)
    errands.mirror.publish(blob_path(OTHER), OTHER)
    with errands.run(errands.base) as run:
        assert run.fetch(errands.wanted()).source == "mirror"
        assert run.fetch(errands.wanted(OTHER, "/other")).source == "mirror"
    (warning,) = warnings(caplog)
    assert warning.startswith("list: cannot use the mirror")
    assert "secret-word" not in warning


def test_full_disk_is_no_mirror_s_fault(
    errands: Errands, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    errands.mirror.publish(PATH, CONTENT)
    monkeypatch.setattr(downloads, "_SPACE_STEP", 1)
    free = iter([2**40])
    monkeypatch.setattr(reading, "free_bytes", lambda _: next(free, 0))
    with pytest.raises(StoreFull):
        errands.fetch(errands.base)
    assert warnings(caplog) == []
    assert errands.origin.requests == []


def test_threads_share_what_one_of_them_found_out(errands: Errands, caplog: pytest.LogCaptureFixture):
    contents = [some_bytes(1000, str(number)) for number in range(8)]
    wanted = [errands.wanted(content, f"/{number}") for number, content in enumerate(contents)]
    errands.mirror.close()
    with errands.run(errands.base) as run:
        threads = [threading.Thread(target=run.fetch, args=(one,)) for one in wanted]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [errands.blob(content) for content in contents] == contents
    assert len(warnings(caplog)) == 1


def test_follower_is_told_what_came_and_what_was_forgotten(errands: Errands):
    errands.mirror.publish(PATH, OTHER)
    told: list[tuple[str, int]] = []
    brought = errands.fetch(errands.base, follower=lambda image, count: told.append((image, count)))
    assert brought.received_bytes == 2 * SIZE
    assert {image for image, _ in told} == {"image"}
    assert sum(count for _, count in told) == SIZE
    assert min(count for _, count in told) == -SIZE


class Stopped(BaseException):
    """What a follower says who wants no more."""


def test_follower_may_end_a_transfer_which_is_gone_on_with_later(errands: Errands, caplog: pytest.LogCaptureFixture):
    errands.mirror.publish(PATH, CONTENT)
    errands.mirror.fault(PATH, "drip", gap=0.001)

    def stop(*_: object) -> None:
        raise Stopped

    clock = iter(range(10**9))
    errands.options = {"clock": lambda: next(clock) / 2, "bounds": limits(rate_window_s=10**9)}
    with pytest.raises(Stopped):
        errands.fetch(errands.base, follower=stop)
    (held,) = errands.held()
    assert 0 < len(held) < SIZE
    errands.mirror.heal(PATH)
    errands.options = {}
    assert errands.fetch(errands.base).resumed_at == len(held)
    assert warnings(caplog) == []
