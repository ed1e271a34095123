"""Reading cached bytes beside the run: the same answers, one file per processor, and an end when it has to be."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from vmcatcher.errors.cache import CorruptBytes
from vmcatcher.model.identity import ImageId, ListId, Sha512
from vmcatcher.model.record import CacheRecord, State
from vmcatcher.services.checking import Checker
from vmcatcher.services.context import Context
from vmcatcher.store import blobs, root

NOW = datetime(2026, 11, 23, 4, 23, 39, tzinfo=UTC)
MONTH = timedelta(days=30)


@pytest.fixture
def context(tmp_path):
    return Context(root.make_store(str(tmp_path / "store")), NOW, "test")


def cached(context, number, *, same_bytes_as=None):
    """Return the record of an image that is in the store."""
    content = f"image {same_bytes_as or number}".encode()
    digest = Sha512(hashlib.sha512(content).hexdigest())
    path = Path(context.layout.blob(digest))
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return CacheRecord(
        image=ImageId(f"00000000-0000-0000-0000-{number:012}"),
        number=1,
        list_id=ListId("00000000-0000-0000-0001-000000000000"),
        snapshot="1",
        list_sha512=digest,
        sha512=digest,
        size_bytes=len(content),
        uri="http://images.test/1",
        state=State.ENDORSED,
        since=NOW,
    )


def checker(context, *, everything=True):
    return Checker(context, everything=everything, recheck_after=MONTH)


def readers():
    return [thread for thread in threading.enumerate() if thread.name.startswith("checker")]


@pytest.fixture
def reads(monkeypatch):
    """Which bytes were read, and by which thread."""
    found = []
    is_intact = blobs.is_intact

    def noted(layout, sha512, *more):
        found.append((sha512, threading.current_thread().name.partition("_")[0]))
        return is_intact(layout, sha512, *more)

    monkeypatch.setattr(blobs, "is_intact", noted)
    return found


def test_every_file_is_read_once_by_other_threads_and_answered_in_order(context, reads):
    records = [cached(context, number) for number in range(20)]
    records += [cached(context, 100 + number, same_bytes_as=number) for number in range(1, 20)]
    asked = checker(context)
    with asked.reading_ahead(records):
        found = [asked.check(record) for record in records]
    expected = [blobs.fingerprint(context.layout, record.sha512, NOW) for record in records]
    assert found == expected
    assert sorted(reads) == sorted((record.sha512, "checker") for record in records[:20])
    assert readers() == []


def test_no_more_is_begun_than_there_are_processors(context, reads):
    records = [cached(context, number) for number in range(50)]
    asked = checker(context)
    with asked.reading_ahead(records):
        time.sleep(0.2)
        assert len(reads) == len(os.sched_getaffinity(0))


def test_corrupt_bytes_are_said_of_their_image_and_the_others_are_checked(context):
    records = [cached(context, number) for number in range(5)]
    Path(context.layout.blob(records[2].sha512)).write_bytes(b"image 3")
    asked = checker(context)
    wrong = []
    with asked.reading_ahead(records):
        for record in records:
            try:
                assert asked.check(record) is not None
            except CorruptBytes as error:
                wrong.append(error.image)
    assert wrong == [records[2].image]


def test_what_an_earlier_check_proved_is_not_read(context, reads):
    record = cached(context, 1)
    asked = checker(context, everything=False)
    fingerprint = asked.check(record)
    reads.clear()
    proved = [_with(record, fingerprint), cached(context, 2)]
    asked = checker(context, everything=False)
    with asked.reading_ahead(proved):
        assert asked.check(proved[0]) is None
        assert asked.check(proved[1]) is not None
    assert [digest for digest, _ in reads] == [proved[1].sha512]


def _with(record, fingerprint):
    return replace(record, checked=fingerprint)


def test_file_that_changes_while_it_is_read_is_another_one_to_the_next_check(context, monkeypatch):
    record = cached(context, 1)
    path = Path(context.layout.blob(record.sha512))
    is_intact = blobs.is_intact

    def touched(*about):
        answer = is_intact(*about)
        os.utime(path, (0, 0))
        return answer

    monkeypatch.setattr(blobs, "is_intact", touched)
    asked = checker(context)
    with asked.reading_ahead([record]):
        found = asked.check(record)
    assert found is not None
    assert not found.is_same_file(blobs.fingerprint(context.layout, record.sha512, NOW))


def test_bytes_that_are_gone_are_nothing_to_remember(context):
    records = [cached(context, 1), cached(context, 2)]
    asked = checker(context)
    with asked.reading_ahead(records):
        time.sleep(0.1)
        for record in records:
            Path(context.layout.blob(record.sha512)).unlink()
        assert [asked.check(record) for record in records] == [None, None]


def test_end_of_the_block_ends_the_reading(context):
    record = cached(context, 1)
    path = Path(context.layout.blob(record.sha512))
    os.truncate(path, 4 << 30)  # a hole: it costs no space, and seconds to hash
    large = _of_size(record, 4 << 30)
    asked = checker(context)
    began = time.monotonic()

    def interrupted():
        with asked.reading_ahead([large]):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert time.monotonic() - began < 1
    assert readers() == []


def _of_size(record, size):
    return replace(record, size_bytes=size)


def _checked(context, number, days):
    """The record of an image whose bytes were found right so many days ago."""
    record = cached(context, number)
    proved = blobs.fingerprint(context.layout, record.sha512, NOW - timedelta(days=days))
    return _with(record, proved)


def test_share_of_the_bytes_is_read_although_earlier_checks_hold(context, reads):
    records = [_checked(context, number, days) for number, days in enumerate((1, 9, 5, 7), start=1)]
    asked = Checker(context, everything=False, recheck_after=MONTH, share=0.5)
    with asked.reading_ahead(records):
        found = [asked.check(record) for record in records]
    assert {digest for digest, _ in reads} == {records[1].sha512, records[3].sha512}
    assert [one is not None for one in found] == [False, True, False, True]
    assert found[1].checked == NOW


def test_share_comes_on_top_of_what_is_due_anyway(context, reads):
    records = [_checked(context, 1, 1), _checked(context, 2, 40), _checked(context, 3, 2)]
    Path(context.layout.blob(records[2].sha512)).write_bytes(b"image 3")
    asked = Checker(context, everything=False, recheck_after=MONTH, share=0.1)
    with asked.reading_ahead(records):
        found = [asked.check(record) is not None for record in records]
    assert found == [False, True, True]
    assert len(reads) == 2


def test_file_that_nobody_touched_is_looked_at_once(context, monkeypatch):
    records = [_checked(context, number, 1) for number in range(1, 6)]
    looks = []
    fingerprint = blobs.fingerprint
    monkeypatch.setattr(blobs, "fingerprint", lambda *about: looks.append(about[1]) or fingerprint(*about))
    asked = checker(context, everything=False)
    with asked.reading_ahead(records):
        assert [asked.check(record) for record in records] == [None] * 5
    assert sorted(looks) == sorted(record.sha512 for record in records)
