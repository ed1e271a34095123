"""Bodies are read straight into the memory of their sink: no byte more than is theirs, and the connection stays."""

from __future__ import annotations

import pytest

from support.server import Server
from support.server_client import RecordingSink, at, limits, some_bytes, transport
from vmcatcher.errors.answer import BodyTruncated
from vmcatcher.transport import Access, Fetched

_MIB = 1 << 20


@pytest.fixture(params=["http", "https"])
def place(request: pytest.FixtureRequest) -> Server:
    found: Server = request.getfixturevalue("server" if request.param == "http" else "secure")
    return found


@pytest.fixture
def access(request: pytest.FixtureRequest) -> Access:
    return Access(tls="igtf", trust_directory=str(request.getfixturevalue("trusting")))


def test_connection_is_used_again_after_an_image_and_nothing_of_the_next_answer_is_taken(
    place: Server, access: Access
) -> None:
    images = {f"/{number}": some_bytes(_MIB // 2 + number, str(number)) for number in range(3)}
    with transport() as carrier:
        for path, content in images.items():
            place.publish(path, content)
            sink = RecordingSink()
            sink.fetch(carrier, place.url(path), len(content), access)
            assert sink.content == content
        place.publish("/list", b"a list")
        fetched = carrier.fetch_list(at(place.url("/list")), access)
        assert isinstance(fetched, Fetched)
        assert fetched.body == b"a list"
    assert place.connections == 1


def test_bytes_before_a_break_arrive_and_the_break_is_told(place: Server, access: Access) -> None:
    content = some_bytes(_MIB)
    place.publish("/image", content)
    place.fault("/image", "truncate")
    sink = RecordingSink()
    with transport(bounds=limits(attempts=1), clock=lambda: 0.0) as carrier, pytest.raises(BodyTruncated) as caught:
        sink.fetch(carrier, place.url("/image"), len(content), access)
    assert 0 < len(sink.content) < len(content)
    assert sink.content == content[: len(sink.content)]
    assert caught.value.got == len(sink.content)
