"""What a handler is told: names, values, and what has no variable."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from vmcatcher.model.event import EventKind, OwedEvent, about_file, event_variables, image_variables

FIELDS = {
    "dc:description": "description",
    "dc:identifier": "image-1",
    "dc:title": "title",
    "hv:hypervisor": "kvm",
    "hv:uri": "http://x.test/1",
    "hv:version": "1.2",
    "hv:format": "qcow2",
    "hv:size": "as written",
    "sl:arch": "x86_64",
    "sl:checksum:sha512": "AS WRITTEN",
    "sl:comments": "comments",
    "sl:os": "Linux",
    "sl:osversion": "12",
    "ad:mpuri": "https://appdb.test/1",
    "x:unknown": "never told",
}


def told(fields=FIELDS, *, vo="test.vo"):
    variables = image_variables(fields, size_bytes=17, sha512="a" * 128, list_id="list-1", vo=vo)
    return {name.removeprefix("VMCATCHER_EVENT_"): value for name, value in variables.items()}


def test_image_has_the_variables_of_the_contract():
    assert told() == {
        "DC_DESCRIPTION": "description",
        "DC_IDENTIFIER": "image-1",
        "DC_TITLE": "title",
        "HV_HYPERVISOR": "kvm",
        "HV_SIZE": "17",
        "HV_URI": "http://x.test/1",
        "HV_VERSION": "1.2",
        "HV_FORMAT": "qcow2",
        "SL_ARCH": "x86_64",
        "SL_CHECKSUM_SHA512": "a" * 128,
        "SL_COMMENTS": "comments",
        "SL_OS": "Linux",
        "SL_OSVERSION": "12",
        "IL_DC_IDENTIFIER": "list-1",
        "AD_MPURI": "https://appdb.test/1",
        "VO": "test.vo",
    }


@pytest.mark.parametrize("value", ["", None, True, False, [], ["x"], {}, {"a": 1}], ids=repr)
def test_what_is_empty_or_no_text_has_no_variable(value):
    assert "DC_TITLE" not in told({**FIELDS, "dc:title": value})


@pytest.mark.parametrize(
    ("value", "expected"), [(0, "0"), (7, "7"), (-1, "-1"), (1.5, "1.5"), (" ", " "), ("a\nb", "a\nb")]
)
def test_numbers_and_odd_text_are_told(value, expected):
    assert told({**FIELDS, "hv:version": value})["HV_VERSION"] == expected


def test_list_without_virtual_organisation_has_none():
    assert "VO" not in told(vo=None)
    assert "VO" not in told(vo="")


def test_image_with_nothing_but_bytes_is_told_by_them():
    assert told({}, vo=None) == {"HV_SIZE": "17", "SL_CHECKSUM_SHA512": "a" * 128, "IL_DC_IDENTIFIER": "list-1"}


def test_event_says_what_it_is_and_which_attempt_comes_now():
    owed = OwedEvent(EventKind.EXPIRE_POSTFIX, "id-1", 2)
    assert event_variables(owed, session="session-1", filename="name", reason="withdrawn") == {
        "VMCATCHER_EVENT_TYPE": "ExpirePostfix",
        "VMCATCHER_EVENT_ID": "id-1",
        "VMCATCHER_EVENT_ATTEMPT": "3",
        "VMCATCHER_EVENT_UUID_SESSION": "session-1",
        "VMCATCHER_EVENT_FILENAME": "name",
        "VMCATCHER_EVENT_REASON": "withdrawn",
    }


def test_event_without_file_or_reason_has_no_such_variable():
    variables = event_variables(OwedEvent(EventKind.PROCESS_PREFIX, "id-1"), session="s")
    assert set(variables) == {"VMCATCHER_EVENT_" + name for name in ("TYPE", "ID", "ATTEMPT", "UUID_SESSION")}
    assert about_file(None, None) == about_file("", "") == {}


def test_kinds_are_spelled_as_handlers_test_for_them():
    assert [kind.value for kind in EventKind] == [
        "ProcessPrefix",
        "ProcessPostfix",
        "AvailablePrefix",
        "AvailablePostfix",
        "ExpirePrefix",
        "ExpirePostfix",
        "SubscriptionImageNew",
    ]


def test_prefixes_and_the_frame_of_a_run_are_told_once():
    assert {kind for kind in EventKind if not kind.is_told_once} == {
        EventKind.AVAILABLE_POSTFIX,
        EventKind.EXPIRE_POSTFIX,
        EventKind.SUBSCRIPTION_IMAGE_NEW,
    }


# -- the wait between attempts


def test_each_refusal_is_counted_and_waits_longer():
    now = datetime(2026, 11, 23, tzinfo=UTC)
    event, waits = OwedEvent(EventKind.EXPIRE_POSTFIX, "id"), []
    for _ in range(6):
        event = event.refused(now)
        waits.append(event.not_before and event.not_before - now)
    assert waits == [None, *(timedelta(minutes=minutes) for minutes in (5, 30, 120, 120, 120))]
    assert event.attempts == 6


@pytest.mark.parametrize(
    ("minutes", "is_due"), [(-200, True), (-121, True), (-1, True), (0, False), (119, False), (120, True), (999, True)]
)
def test_event_is_due_when_its_wait_is_over_or_was_never_ours(minutes: int, is_due: bool):
    now = datetime(2026, 11, 23, tzinfo=UTC)
    event = OwedEvent(EventKind.EXPIRE_POSTFIX, "id", 3).refused(now)
    assert event.is_due(now + timedelta(minutes=minutes)) is is_due
