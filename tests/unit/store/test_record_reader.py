"""Records that one run reads several times: only those again that changed."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from vmcatcher.errors.store import DocumentDamaged
from vmcatcher.model.identity import ImageId, ListId, Sha512
from vmcatcher.model.record import CacheRecord, State
from vmcatcher.store import cache, reading

NOW = datetime(2026, 11, 23, 4, 23, 39, tzinfo=UTC)
IMAGE = ImageId("image-1")
RECORD = CacheRecord(
    image=IMAGE, number=1, list_id=ListId("list"), snapshot="000001-20261123T042339Z", list_sha512=Sha512("b" * 128),
    sha512=Sha512("a" * 128), size_bytes=17, uri="http://x.test/1", state=State.ENDORSED, since=NOW,
)  # fmt: skip


@pytest.fixture
def reads(monkeypatch):
    """The names of the files that were read."""
    found = []
    read = reading.read

    def noted(path, **more):
        found.append(os.path.basename(path))
        return read(path, **more)

    monkeypatch.setattr(reading, "read", noted)
    return found


@pytest.fixture
def reader(layout):
    for number in (1, 2):
        cache.put_record(layout, replace(RECORD, number=number))
    return cache.RecordReader(layout)


def test_record_that_nobody_wrote_again_is_read_once(reader, reads):
    first, second = reader.readable(IMAGE), reader.readable(IMAGE)
    assert first == second == ([RECORD, replace(RECORD, number=2)], [])
    assert sorted(reads) == ["1.json", "2.json"]


def test_record_that_was_put_meanwhile_is_read_again(layout, reader, reads):
    reader.readable(IMAGE)
    changed = replace(RECORD, number=2, state=State.EXPIRING)
    cache.put_record(layout, changed)
    cache.put_record(layout, replace(RECORD, number=3))
    assert reader.readable(IMAGE)[0] == [RECORD, changed, replace(RECORD, number=3)]
    assert sorted(reads) == ["1.json", "2.json", "2.json", "3.json"]


def test_record_that_rotted_or_went_meanwhile_is_not_remembered(layout, reader):
    reader.readable(IMAGE)
    Path(layout.record(IMAGE, 1)).write_bytes(b"{")
    os.unlink(layout.record(IMAGE, 2))
    found, errors = reader.readable(IMAGE)
    assert found == []
    assert [type(error) for error in errors] == [DocumentDamaged]
