"""The life of a cached version: each step, and back from its document unchanged."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from vmcatcher.errors.document import BadDocument
from vmcatcher.model import record as life
from vmcatcher.model.event import EventKind, OwedEvent
from vmcatcher.model.identity import ImageId, ListId, Sha512
from vmcatcher.model.record import CacheRecord, Fingerprint, Reason, State, parse_record, record_document

NOW = datetime(2026, 11, 23, 4, 23, 39, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
NEW = CacheRecord(
    image=ImageId("image-1"), number=3, list_id=ListId("list-1"), snapshot="000001-20261123T042339Z",
    list_sha512=Sha512("b" * 128), sha512=Sha512("a" * 128), size_bytes=17, uri="http://x.test/1",
    state=State.FAILING, since=NOW,
)  # fmt: skip
FULL = replace(
    NEW,
    state=State.EXPIRED,
    vo="test.vo",
    valid_until=LATER,
    fields={"dc:title": "Ä\n\u2028", "x": [1, None, {"y": True}], "hv:size": "17"},
    reason=Reason.CORRUPT,
    published=NOW,
    expired=LATER,
    expired_name="image-1.2026-11-23_05-23-39-1",
    set_aside="quarantine/x",
    owed=(OwedEvent(EventKind.EXPIRE_POSTFIX, "id-1", 4), OwedEvent(EventKind.AVAILABLE_POSTFIX, "id-2")),
    tries=2,
    tries_list=Sha512("c" * 128),
    checked=Fingerprint(NOW, 17, 2**62, 2**61, 2**60),
)


# -- steps


def test_staged_version_owes_its_prefix_and_forgets_its_tries():
    record = life.staged(replace(NEW, tries=4, reason=Reason.REPLACED), LATER, "id")
    assert (record.state, record.since, record.tries, record.reason) == (State.STAGED, LATER, 0, None)
    assert record.owed == (OwedEvent(EventKind.AVAILABLE_PREFIX, "id"),)
    assert record.is_active


def test_endorsed_version_owes_its_postfix_alone():
    record = life.endorsed(life.staged(NEW, NOW, "id-1"), LATER, "id-2")
    assert (record.state, record.published) == (State.ENDORSED, LATER)
    assert record.owed == (OwedEvent(EventKind.AVAILABLE_POSTFIX, "id-2"),)
    assert record.is_active


def test_expiring_version_owes_what_it_owed_and_then_its_prefix():
    record = life.expiring(life.endorsed(NEW, NOW, "id-1"), LATER, Reason.WITHDRAWN, "id-2")
    assert (record.state, record.reason) == (State.EXPIRING, Reason.WITHDRAWN)
    assert [event.kind for event in record.owed] == [EventKind.AVAILABLE_POSTFIX, EventKind.EXPIRE_PREFIX]
    assert record.is_active


def test_expired_version_owes_its_postfix_alone():
    record = life.expired(life.expiring(NEW, NOW, Reason.WITHDRAWN, "id-1"), LATER, "name", "id-2")
    assert (record.state, record.expired, record.expired_name) == (State.EXPIRED, LATER, "name")
    assert record.owed == (OwedEvent(EventKind.EXPIRE_POSTFIX, "id-2"),)
    assert record.reason is Reason.WITHDRAWN
    assert not record.is_active


def test_abandoned_version_owes_and_shows_nothing():
    record = life.abandoned(life.staged(NEW, NOW, "id"), LATER, Reason.UNSUBSCRIBED)
    assert (record.state, record.owed, record.expired_name) == (State.EXPIRED, (), None)
    assert record.reason is Reason.UNSUBSCRIBED


@pytest.mark.parametrize(
    "step",
    [
        lambda record: life.staged(record, NOW, None),
        lambda record: life.endorsed(record, NOW, None),
        lambda record: life.expiring(record, NOW, Reason.WITHDRAWN, None),
        lambda record: life.expired(record, NOW, "name", None),
    ],
)
def test_where_nobody_listens_a_step_owes_nothing(step):
    assert step(NEW).owed == ()


def test_steps_leave_what_the_version_is_alone():
    record = NEW
    for step in (
        lambda one: life.staged(one, NOW, "1"),
        lambda one: life.endorsed(one, NOW, "2"),
        lambda one: life.expiring(one, NOW, Reason.REPLACED, "3"),
        lambda one: life.expired(one, NOW, "name", "4"),
    ):
        record = step(record)
        for field in ("image", "number", "list_id", "snapshot", "list_sha512", "sha512", "size_bytes", "uri", "fields"):
            assert getattr(record, field) == getattr(NEW, field)


def test_failing_version_is_not_active():
    assert not NEW.is_active


# -- what is owed


def test_owed_event_is_found_by_kind_and_struck_by_identifier():
    first, second = FULL.owed
    assert FULL.owes(EventKind.EXPIRE_POSTFIX) == first
    assert FULL.owes(EventKind.PROCESS_PREFIX) is None
    assert FULL.struck(first).owed == (second,)
    assert FULL.struck(OwedEvent(EventKind.EXPIRE_POSTFIX, "other")).owed == FULL.owed


def test_attempt_is_counted_for_that_event_alone():
    first, second = FULL.owed
    assert FULL.tried(second, NOW).owed == (first, replace(second, attempts=1))
    twice = FULL.tried(second, NOW).tried(second, NOW)
    assert twice.owed == (first, replace(second, attempts=2, not_before=NOW + timedelta(minutes=5)))
    assert parse_record(record_document(twice)) == twice


def test_same_file_is_told_by_everything_but_the_time_of_the_look():
    mark = FULL.checked
    assert mark.is_same_file(replace(mark, checked=LATER))
    for field in ("size", "mtime_ns", "ctime_ns", "inode"):
        assert not mark.is_same_file(replace(mark, **{field: 1}))


# -- documents


@pytest.mark.parametrize("record", [NEW, FULL, *(replace(FULL, state=state) for state in State)])
def test_record_comes_back_from_its_document_unchanged(record):
    assert parse_record(json.loads(json.dumps(record_document(record)))) == record


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_comes_back(reason):
    assert parse_record(record_document(replace(FULL, reason=reason))).reason is reason


@pytest.mark.parametrize(
    "field", [field for field in record_document(FULL) if field not in ("format", "owed", "fields")]
)
@pytest.mark.parametrize("value", [[], {}, True, -1, 1.5], ids=repr)
def test_field_of_the_wrong_kind_refuses_the_document(field, value):
    with pytest.raises(BadDocument):
        parse_record({**record_document(FULL), field: value})


NEEDED = ("image", "number", "list", "snapshot", "list_sha512", "sha512", "size", "uri", "state", "since", "tries")


@pytest.mark.parametrize("field", NEEDED)
def test_missing_field_refuses_the_document(field):
    document = record_document(FULL)
    del document[field]
    with pytest.raises(BadDocument):
        parse_record(document)


@pytest.mark.parametrize("field", sorted(set(record_document(FULL)) - set(NEEDED)))
def test_optional_field_may_be_missing(field):
    document = record_document(FULL)
    del document[field]
    parse_record(document)


@pytest.mark.parametrize(
    "changes",
    [
        {"state": "unheard-of"}, {"reason": "unheard-of"}, {"since": "yesterday"}, {"since": "2026-11-23T04:23:39"},
        {"owed": "x"}, {"owed": [1]}, {"owed": [{}]}, {"owed": [{"kind": "Other", "id": "x", "attempts": 0}]},
        {"owed": [{"kind": "ExpirePostfix", "id": "x", "attempts": -1}]}, {"fields": []},
        {"checked": {"at": "2026-11-23T04:23:39Z", "size": 1}},
    ],
    ids=repr,
)  # fmt: skip
def test_nonsense_refuses_the_document(changes):
    with pytest.raises(BadDocument):
        parse_record({**record_document(FULL), **changes})
