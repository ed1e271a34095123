"""Hashing beside the writer: the right digest, no buffer looked at too late, and nothing that goes wrong unsaid."""

from __future__ import annotations

import hashlib
import os
import threading
import time

import pytest

from support.server_client import some_bytes
from vmcatcher.store import hashing
from vmcatcher.store.hashing import Hasher, digest_of

LARGE = 2**17


def fill(hasher, content, sizes, ring):
    """Hand `content` over in pieces of these sizes, from as many buffers in turn as the hasher was told."""
    buffers = [memoryview(bytearray(max(sizes))) for _ in range(ring)]
    at, turn = 0, 0
    while at < len(content):
        piece = content[at : at + sizes[turn % len(sizes)]]
        view = buffers[turn % ring][: len(piece)]
        view[:] = piece
        hasher.update(view)
        at, turn = at + len(piece), turn + 1


def hashers():
    return [thread for thread in threading.enumerate() if thread.name.startswith("hasher")]


class Late:
    """A digest that looks at its bytes after a while, as on a machine with something else to do."""

    def __init__(self):
        self.real = hashlib.new("sha512")

    def update(self, chunk):
        time.sleep(0.01)
        self.real.update(chunk)

    def hexdigest(self):
        return self.real.hexdigest()


@pytest.mark.parametrize("ring", [1, 2, 4])
@pytest.mark.parametrize(
    "sizes", [(LARGE,), (100,), (LARGE, 100, 100, LARGE, LARGE + 1, 1)], ids=["large", "small", "mixed"]
)
def test_chunks_are_hashed_in_their_order_before_their_buffer_is_filled_again(monkeypatch, ring, sizes):
    monkeypatch.setattr(hashing.hashlib, "sha512", Late)
    content = some_bytes(4000 if max(sizes) == 100 else 20 * LARGE)
    hasher = Hasher(ring=ring)
    fill(hasher, content, sizes, ring)
    assert hasher.hexdigest() == hashlib.new("sha512", content).hexdigest()
    hasher.close()


def test_large_chunks_have_a_thread_while_there_are_any():
    hasher = Hasher(ring=4)
    hasher.update(memoryview(bytes(100)))
    assert hashers() == []
    hasher.update(memoryview(bytes(LARGE)))
    assert len(hashers()) == 1
    hasher.close()
    assert hashers() == []


def test_single_buffer_needs_no_thread():
    hasher = Hasher(ring=1)
    hasher.update(memoryview(bytes(LARGE)))
    assert hashers() == []
    assert hasher.hexdigest() == hashlib.sha512(bytes(LARGE)).hexdigest()


@pytest.mark.parametrize("at", ["a later chunk", "the digest", "a new beginning"])
def test_what_goes_wrong_in_the_thread_is_raised(at):
    hasher = Hasher(ring=2)
    hasher.update(memoryview(bytes(2 * LARGE))[::2])  # such memory cannot be hashed
    step = {
        "a later chunk": lambda: hasher.update(memoryview(bytes(LARGE))),
        "the digest": hasher.hexdigest,
        "a new beginning": hasher.restart,
    }[at]
    with pytest.raises(BufferError):
        step()
    hasher.close()


def test_closing_waits_for_no_more_than_one_chunk(monkeypatch):
    monkeypatch.setattr(hashing.hashlib, "sha512", Late)
    hasher = Hasher(ring=100)
    for _ in range(99):
        hasher.update(memoryview(bytes(LARGE)))
    began = time.monotonic()
    hasher.close()
    assert time.monotonic() - began < 0.5
    hasher.restart()
    hasher.update(memoryview(bytes(LARGE)))
    assert hasher.hexdigest() == hashlib.new("sha512", bytes(LARGE)).hexdigest()
    hasher.close()


@pytest.mark.parametrize("size", [0, 1, 2**18, 2**18 + 1])
def test_file_is_hashed_to_its_end_or_until_nobody_wants_it(tmp_path, size):
    content = some_bytes(size)
    (tmp_path / "file").write_bytes(content)
    for expected in (size, 0, size + 5):
        descriptor = os.open(tmp_path / "file", os.O_RDONLY)
        assert digest_of(descriptor, expected, lambda: True) == hashlib.sha512(content).hexdigest()
        os.lseek(descriptor, 0, os.SEEK_SET)
        assert digest_of(descriptor, expected, lambda: size == 0) == (None if size else hashlib.sha512().hexdigest())
        os.close(descriptor)
