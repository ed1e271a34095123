"""Snapshots and marks: evidence before the list, the highest number is current, nothing foreign counts."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from support.faults import Faults, Kill, Killed
from vmcatcher.errors.store import DocumentDamaged
from vmcatcher.model.identity import OneLineName, Sha512
from vmcatcher.model.verified import VerifiedList
from vmcatcher.store import snapshots
from vmcatcher.store.snapshots import Mark

NOW = datetime(2026, 11, 23, 4, 23, 39, tzinfo=UTC)
LIST = "list-1"
ALICE = OneLineName("/DC=test/CN=Alice", "/DC=test/CN=Alice")
VERIFIED = VerifiedList(
    signed=b"signed bytes",
    content='{"ä": 1}'.encode(),
    signer=ALICE,
    issuer=OneLineName("/DC=test/CN=CA\\/x", None),
    digest="sha256",
    chain=(b"\x30\x01", b"\x30\x02"),
    crls=(),
    verified_at=NOW,
)


def keep(layout, signed=b"signed bytes", now=NOW):
    return snapshots.keep(layout, LIST, replace(VERIFIED, signed=signed), now)


def test_kept_list_is_current_and_reads_back(layout):
    kept = keep(layout)
    current = snapshots.current_snapshot(layout, LIST)
    assert current == kept
    assert current.name == "000001-20261123T042339Z"
    assert snapshots.read_signed(current) == b"signed bytes"
    evidence = snapshots.read_evidence(current)
    assert (evidence.content, evidence.signer, evidence.issuer) == (VERIFIED.content, ALICE, VERIFIED.issuer)
    assert evidence.sha512 == snapshots.signed_digest(b"signed bytes")


def test_later_list_has_a_higher_number_and_earlier_ones_stay(layout):
    for number, version in enumerate((b"1", b"2", b"3")):
        keep(layout, version, NOW + timedelta(hours=number))
    found = snapshots.all_snapshots(layout, LIST)
    assert [snapshot.sequence for snapshot in found] == [1, 2, 3]
    assert snapshots.read_signed(snapshots.current_snapshot(layout, LIST)) == b"3"


def test_highest_number_is_current_although_its_time_is_older(layout):
    keep(layout, b"1")
    keep(layout, b"2", NOW - timedelta(days=1))
    assert snapshots.current_snapshot(layout, LIST).sequence == 2


def test_evidence_of_a_list_that_was_never_kept_goes_with_the_next_one(layout):
    keep(layout, b"1")
    directory = Path(layout.lists(LIST))
    stale = directory / "000002-20261123T042300Z.evidence"
    stale.write_text("{}")
    keep(layout, b"2", NOW + timedelta(hours=1))
    assert not stale.exists()
    assert len(list(directory.glob("*.evidence"))) == len(list(directory.glob("*.smime"))) == 2


def test_no_snapshot_is_none(layout):
    assert snapshots.current_snapshot(layout, LIST) is None
    assert snapshots.all_snapshots(layout, LIST) == ()


@pytest.mark.parametrize(
    "name",
    ["000002-20261123T042339Z.smime.bak", ".tmp-1-0123456789abcdef", "README", "2-20261123T042339Z.smime",
     "000002-20261123T042339Z.evidence", "000002-2026.smime"],
)  # fmt: skip
def test_other_files_beside_the_snapshots_do_not_count(layout, name):
    kept = keep(layout)
    Path(layout.lists(LIST), name).write_text("x")
    assert snapshots.all_snapshots(layout, LIST) == (kept,)


def test_kill_while_keeping_leaves_the_old_list_current_or_the_new_one_whole(layout):
    keep(layout, b"old")
    with Faults() as counted:
        keep(layout, b"new")
    os.unlink(snapshots.current_snapshot(layout, LIST).path)
    for number in range(counted.count):
        with Faults(Kill(number)), pytest.raises(Killed):
            keep(layout, b"new")
        current = snapshots.current_snapshot(layout, LIST)
        signed = snapshots.read_signed(current)
        assert signed in (b"old", b"new")
        assert snapshots.read_evidence(current).sha512 == snapshots.signed_digest(signed)
        if signed == b"new":
            os.unlink(current.path)


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b"{}", b"\xff\xfe", b'{"format": 1, "sha512": 7}'])
def test_damaged_evidence_is_refused_with_its_path(layout, content):
    kept = keep(layout)
    path = Path(kept.path.removesuffix(".smime") + ".evidence")
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    with pytest.raises(DocumentDamaged, match=path.name):
        snapshots.read_evidence(kept)


def test_mark_reads_back_and_is_written_when_it_differs_only(layout):
    assert snapshots.read_mark(layout, LIST) is None
    mark = Mark("1.2", NOW, Sha512("a" * 128))
    with Faults() as faults:
        snapshots.put_mark(layout, LIST, mark)
        written = faults.count
        snapshots.put_mark(layout, LIST, mark)
        assert faults.count == written > 0
    assert snapshots.read_mark(layout, LIST) == mark


def test_damaged_mark_is_refused_rather_than_forgotten(layout):
    # Forgetting it would let an older list in.
    Path(layout.mark(LIST)).write_bytes(b"{")
    with pytest.raises(DocumentDamaged):
        snapshots.read_mark(layout, LIST)
