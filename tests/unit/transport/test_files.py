"""Files of this machine: regular ones only, no more of them than asked for, and images only where allowed."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from support.server_client import RecordingSink, at, limits, some_bytes, transport
from vmcatcher.errors.answer import BodyTooLong, BodyTruncated
from vmcatcher.errors.network import FileImageRefused, FileMissing, FileUnreadable, NotARegularFile
from vmcatcher.model.location import Location
from vmcatcher.transport import Access, Fetched, Transport

_ALLOWED = Access(file_images=True)


def _link(path: Path) -> None:
    target = path.with_name("target")
    target.write_bytes(b"content")
    path.symlink_to(target)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))


_KINDS: list[tuple[Callable[[Path], object], str]] = [
    (_link, "a symbolic link"),
    (lambda path: path.symlink_to("/nonexistent"), "a symbolic link"),
    (lambda path: path.mkdir(), "a directory"),
    (os.mkfifo, "a named pipe"),
    (_socket, "a socket"),
]


@pytest.mark.parametrize(("make", "found"), _KINDS, ids=["link", "dangling", "directory", "pipe", "socket"])
def test_what_is_no_regular_file_is_refused_without_waiting(
    tmp_path: Path, carrier: Transport, make: Callable[[Path], object], found: str
) -> None:
    path = tmp_path / "it"
    make(path)
    with pytest.raises(NotARegularFile) as refused:
        carrier.fetch_list(at(f"file://{path}"), Access())
    assert refused.value.found == found
    with pytest.raises(NotARegularFile):
        RecordingSink().fetch(carrier, f"file://{path}", 10, _ALLOWED)


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null"])
def test_device_is_refused(carrier: Transport, device: str) -> None:
    with pytest.raises(NotARegularFile, match="a character device"):
        carrier.fetch_list(at(f"file://{device}"), Access())


@pytest.mark.root
def test_block_device_is_refused(tmp_path: Path, carrier: Transport) -> None:
    path = tmp_path / "disk"
    try:
        os.mknod(path, stat.S_IFBLK | 0o600, os.makedev(7, 250))
    except PermissionError:
        pytest.skip("may not make device nodes here")
    with pytest.raises((NotARegularFile, FileUnreadable)):
        carrier.fetch_list(at(f"file://{path}"), Access())


def test_link_on_the_way_is_followed(tmp_path: Path, carrier: Transport) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real/list").write_bytes(b"content")
    (tmp_path / "way").symlink_to("real")
    fetched = carrier.fetch_list(at(f"file://{tmp_path}/way/list"), Access())
    assert isinstance(fetched, Fetched)
    assert fetched.body == b"content"


def test_loop_of_links_on_the_way_is_refused(tmp_path: Path, carrier: Transport) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(NotARegularFile):
        carrier.fetch_list(at(f"file://{tmp_path}/a/list"), Access())


def test_path_through_a_file_is_unreadable(tmp_path: Path, carrier: Transport) -> None:
    (tmp_path / "list").write_bytes(b"")
    with pytest.raises(FileUnreadable, match="Not a directory"):
        carrier.fetch_list(at(f"file://{tmp_path}/list/more"), Access())


def test_name_that_is_too_long_is_unreadable(tmp_path: Path, carrier: Transport) -> None:
    with pytest.raises(FileUnreadable, match="too long"):
        carrier.fetch_list(at(f"file://{tmp_path}/{'a' * 300}"), Access())


def test_missing_file_keeps_its_name(tmp_path: Path, carrier: Transport) -> None:
    location = Location.parse(str(tmp_path / "my list"))[0]
    with pytest.raises(FileMissing, match="my%20list: no such file"):
        carrier.fetch_list(location, Access())


def test_file_with_a_strange_name_is_read(tmp_path: Path, carrier: Transport) -> None:
    path = os.fsencode(tmp_path) + b"/l\xffst ?#%41"
    with open(path, "wb") as file:
        file.write(b"content")
    fetched = carrier.fetch_list(Location.parse(os.fsdecode(path))[0], Access())
    assert isinstance(fetched, Fetched)
    assert fetched.body == b"content"


def test_image_from_a_file_needs_permission(tmp_path: Path, carrier: Transport) -> None:
    (tmp_path / "image").write_bytes(b"content")
    sink = RecordingSink()
    with pytest.raises(FileImageRefused):
        sink.fetch(carrier, f"file://{tmp_path}/image", 7, Access())
    assert sink.calls == []


def test_image_file_that_changed_begins_again(tmp_path: Path, carrier: Transport) -> None:
    path = tmp_path / "image"
    path.write_bytes(b"a" * 1000)
    first = RecordingSink()
    first.fetch(carrier, f"file://{path}", 1000)
    new = tmp_path / "new"
    new.write_bytes(b"b" * 1000)
    new.rename(path)
    sink = RecordingSink(b"a" * 500, first.validator)
    sink.fetch(carrier, f"file://{path}", 1000)
    assert sink.content == b"b" * 1000
    assert sink.restarts == 1


class _Cutting(RecordingSink):
    """Cuts or lengthens the file as soon as it was opened."""

    def __init__(self, path: Path, length: int) -> None:
        super().__init__()
        self._path = path
        self._length = length

    def remember(self, validator: str | None) -> None:
        super().remember(validator)
        os.truncate(self._path, self._length)


def test_file_that_shrinks_while_it_is_read_is_truncated(tmp_path: Path, carrier: Transport) -> None:
    path = tmp_path / "image"
    path.write_bytes(some_bytes(1000))
    sink = _Cutting(path, 400)
    with pytest.raises(BodyTruncated) as refused:
        sink.fetch(carrier, f"file://{path}", 1000)
    assert (refused.value.got, refused.value.expected) == (400, 1000)


def test_file_that_grows_while_it_is_read_is_too_long(tmp_path: Path, carrier: Transport) -> None:
    path = tmp_path / "image"
    path.write_bytes(some_bytes(1000))
    sink = _Cutting(path, 5000)
    with pytest.raises(BodyTooLong):
        sink.fetch(carrier, f"file://{path}", 1000)
    assert sink.most <= 1000


# Not files on a disk: their size is 0 whatever they hold.
def test_list_that_claims_no_size_is_bounded_all_the_same() -> None:
    with transport(bounds=limits(list_bytes=10)) as carrier, pytest.raises(BodyTooLong):
        carrier.fetch_list(at("file:///proc/self/status"), Access())


def test_disk_that_fails_is_named(tmp_path: Path, carrier: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    path = tmp_path / "it"
    path.write_bytes(b"content")
    for name in ("read", "readv"):
        monkeypatch.setattr(os, name, fail)
    with pytest.raises(FileUnreadable, match="Input/output error"):
        carrier.fetch_list(at(f"file://{path}"), Access())
    with pytest.raises(FileUnreadable, match="Input/output error"):
        RecordingSink().fetch(carrier, f"file://{path}", 7)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_file_of_somebody_else_is_unreadable(tmp_path: Path, carrier: Transport) -> None:
    path = tmp_path / "list"
    path.write_bytes(b"content")
    path.chmod(0)
    with pytest.raises(FileUnreadable, match="Permission denied"):
        carrier.fetch_list(at(f"file://{path}"), Access())
