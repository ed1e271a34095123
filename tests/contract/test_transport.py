"""What every way of fetching must do alike: file, http and https; lists and images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.server_client import RecordingSink, at, limits, some_bytes, transport
from vmcatcher.errors import NetworkError, VmcatcherError
from vmcatcher.errors.answer import BodyTooLong, BodyTooShort, NotFound
from vmcatcher.errors.network import FileMissing
from vmcatcher.transport import Fetched, Transport, Validators

if TYPE_CHECKING:
    from contract.conftest import Place  # names only; fixtures come by name

_MIB = 1 << 20


@pytest.mark.parametrize("size", [0, 1, 8191, 8192, 65536, 65537, 300_000])
def test_list_arrives_byte_for_byte(place: Place, carrier: Transport, size: int) -> None:
    content = some_bytes(size)
    place.publish("/list", content)
    fetched = carrier.fetch_list(at(place.url("/list")), place.access)
    assert isinstance(fetched, Fetched)
    assert fetched.body == content
    assert fetched.final_url == place.url("/list")


def test_list_asked_for_with_an_old_version_arrives(place: Place, carrier: Transport) -> None:
    place.publish("/list", b"old")
    old = carrier.fetch_list(at(place.url("/list")), place.access)
    place.publish("/list", b"new")
    new = carrier.fetch_list(at(place.url("/list")), place.access, known=Validators(old.validators.etag))
    assert isinstance(new, Fetched)
    assert new.body == b"new"


@pytest.mark.parametrize("excess", [0, 1, 1000])
def test_list_may_be_as_long_as_the_limit_and_no_longer(place: Place, excess: int) -> None:
    place.publish("/list", some_bytes(5000 + excess))
    with transport(bounds=limits(list_bytes=5000)) as carrier:
        if not excess:
            assert isinstance(carrier.fetch_list(at(place.url("/list")), place.access), Fetched)
            return
        with pytest.raises(BodyTooLong) as refused:
            carrier.fetch_list(at(place.url("/list")), place.access)
    assert refused.value.limit == 5000


def test_missing_list_is_named(place: Place, carrier: Transport) -> None:
    with pytest.raises((NotFound, FileMissing)) as refused:
        carrier.fetch_list(at(place.url("/none")), place.access)
    _is_a_proper_refusal(refused.value, place.url("/none"))


def test_missing_image_is_named_and_nothing_is_written(place: Place, carrier: Transport) -> None:
    sink = RecordingSink()
    with pytest.raises((NotFound, FileMissing)) as refused:
        sink.fetch(carrier, place.url("/none"), 10, place.access)
    _is_a_proper_refusal(refused.value, place.url("/none"))
    assert sink.calls == []


def _is_a_proper_refusal(error: VmcatcherError, url: str) -> None:
    assert isinstance(error, NetworkError)
    assert url in error.one_line()
    assert (error.exit_code, error.classic_exit) == (75, 10)


@pytest.mark.parametrize("size", [1, 65536, _MIB - 1, _MIB, _MIB + 1, 5 * _MIB + 7])
def test_image_arrives_byte_for_byte(place: Place, carrier: Transport, size: int) -> None:
    content = some_bytes(size)
    place.publish("/image", content)
    sink = RecordingSink()
    fetched = sink.fetch(carrier, place.url("/image"), size, place.access)
    assert sink.content == content
    assert (fetched.received_bytes, fetched.resumed_at) == (size, 0)
    assert fetched.final_url == place.url("/image")
    assert sink.calls[0] == "remember"
    assert sink.validator


@pytest.mark.parametrize("have", [1, 70_000, 199_999])
def test_image_goes_on_where_it_stopped(place: Place, carrier: Transport, have: int) -> None:
    content = some_bytes(200_000)
    place.publish("/image", content)
    first = RecordingSink()
    first.fetch(carrier, place.url("/image"), 200_000, place.access)
    sink = RecordingSink(content[:have], first.validator)
    fetched = sink.fetch(carrier, place.url("/image"), 200_000, place.access)
    assert sink.content == content
    assert (fetched.received_bytes, fetched.resumed_at, sink.restarts) == (200_000 - have, have, 0)
    assert sink.validator == first.validator


def test_image_that_is_complete_is_not_fetched_again(place: Place, carrier: Transport) -> None:
    content = some_bytes(1000)
    place.publish("/image", content)
    first = RecordingSink()
    first.fetch(carrier, place.url("/image"), 1000, place.access)
    sink = RecordingSink(content, first.validator)
    assert sink.fetch(carrier, place.url("/image"), 1000, place.access).received_bytes == 0
    assert sink.content == content


@pytest.mark.parametrize(
    "validator", [None, '"of another version"', 'W/"weak"', "Sat, 01 Jan 2000 00:00:00 GMT", "\r\nX: y"]
)
def test_image_of_another_version_begins_again(place: Place, carrier: Transport, validator: str | None) -> None:
    content = some_bytes(200_000)
    place.publish("/image", content)
    sink = RecordingSink(b"bytes of yesterday", validator)
    fetched = sink.fetch(carrier, place.url("/image"), 200_000, place.access)
    assert sink.content == content
    assert (sink.restarts, fetched.resumed_at) == (1, 0)


def test_partial_that_is_longer_than_the_image_begins_again(place: Place, carrier: Transport) -> None:
    content = some_bytes(1000)
    place.publish("/image", content)
    first = RecordingSink()
    first.fetch(carrier, place.url("/image"), 1000, place.access)
    sink = RecordingSink(content + b"more", first.validator)
    sink.fetch(carrier, place.url("/image"), 1000, place.access)
    assert sink.content == content
    assert sink.restarts == 1


def test_longer_file_is_refused_before_anything_is_written(place: Place, carrier: Transport) -> None:
    place.publish("/image", some_bytes(1001))
    sink = RecordingSink(b"kept", '"another"')
    with pytest.raises(BodyTooLong) as refused:
        sink.fetch(carrier, place.url("/image"), 1000, place.access)
    assert refused.value.limit == 1000
    assert (sink.content, sink.calls) == (b"kept", [])


def test_shorter_file_is_refused_before_anything_is_given_up(place: Place, carrier: Transport) -> None:
    place.publish("/image", some_bytes(999))
    sink = RecordingSink(b"kept", '"another"')
    with pytest.raises(BodyTooShort) as refused:
        sink.fetch(carrier, place.url("/image"), 1000, place.access)
    assert (refused.value.expected, refused.value.offered) == (1000, 999)
    assert sink.content == b"kept"


class _FullDisk(RecordingSink):
    def write(self, chunk: memoryview) -> None:
        raise OSError(28, "No space left on device")


def test_what_the_sink_raises_passes_unchanged(place: Place, carrier: Transport) -> None:
    place.publish("/image", some_bytes(1000))
    with pytest.raises(OSError, match="No space left"):
        _FullDisk().fetch(carrier, place.url("/image"), 1000, place.access)


class _HashingLater(RecordingSink):
    """Looks at the last three chunks only when the next one comes, as a sink does that hashes in another thread."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[memoryview] = []
        self.late = bytearray()

    def write(self, chunk: memoryview) -> None:
        super().write(chunk)
        self.waiting.append(chunk)
        while len(self.waiting) > 3:
            self.late += self.waiting.pop(0)

    def finish(self) -> bytes:
        for chunk in self.waiting:
            self.late += chunk
        return bytes(self.late)


def test_chunks_stay_untouched_until_three_more_came(place: Place, carrier: Transport) -> None:
    content = some_bytes(9 * _MIB + 1)
    place.publish("/image", content)
    sink = _HashingLater()
    sink.fetch(carrier, place.url("/image"), len(content), place.access)
    assert sink.finish() == content
