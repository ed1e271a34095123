"""What the last run could not do: kept until a run could, and never worth a failure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from vmcatcher.errors.cache import GivenUp
from vmcatcher.store.check import check_store
from vmcatcher.store.not_done import NotDone, put_not_done, read_not_done
from vmcatcher.store.root import make_store

_NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
_LATER = _NOW + timedelta(hours=2)
_GIVEN_UP = GivenUp(image="one", uri="http://h/one", tries=5)


def test_what_fails_again_is_noted_since_it_failed_first(tmp_path: Path):
    layout = make_store(str(tmp_path / "store"))
    assert read_not_done(layout) == {}
    put_not_done(layout, {"one": _GIVEN_UP}, _NOW)
    put_not_done(layout, {"one": _GIVEN_UP, "two": GivenUp(image="two", uri="x", tries=5)}, _LATER)
    found = read_not_done(layout)
    assert found["one"] == NotDone("image-given-up", str(_GIVEN_UP), _NOW)
    assert found["two"].since == _LATER
    assert [str(one) for one in check_store(layout)] == []


def test_what_was_done_is_forgotten_and_nothing_is_written_where_nothing_changed(tmp_path: Path):
    layout = make_store(str(tmp_path / "store"))
    log = tmp_path / "store" / "events" / "log"
    put_not_done(layout, {}, _NOW)
    assert list(log.iterdir()) == []
    put_not_done(layout, {"one": _GIVEN_UP}, _NOW)
    before = (log / "not-done.jsonl").stat().st_ino
    put_not_done(layout, {"one": _GIVEN_UP}, _LATER)
    assert (log / "not-done.jsonl").stat().st_ino == before
    put_not_done(layout, {}, _LATER)
    assert list(log.iterdir()) == []


def test_lines_that_are_none_of_ours_are_passed_over(tmp_path: Path):
    layout = make_store(str(tmp_path / "store"))
    put_not_done(layout, {"one": _GIVEN_UP}, _NOW)
    path = tmp_path / "store" / "events" / "log" / "not-done.jsonl"
    path.write_text('{"image": "x"}\n[]\nnothing\n' + path.read_text())
    assert set(read_not_done(layout)) == {"one"}
    path.write_bytes(b"\xff")
    assert read_not_done(layout) == {}
