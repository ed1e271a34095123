"""Typed reading of stored documents: the kind that is asked for, or a refusal that names the field."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from vmcatcher.errors.document import BadDocument
from vmcatcher.model import document as doc

INSTANT = datetime(2026, 11, 23, 4, 23, 39, tzinfo=UTC)
Getter = Callable[[doc.Document, str], object]


@pytest.mark.parametrize(
    ("get", "value", "found"),
    [
        (doc.text, "", ""),
        (doc.text, "x", "x"),
        (doc.optional_text, None, None),
        (doc.optional_text, "x", "x"),
        (doc.number, 0, 0),
        (doc.number, 2**70, 2**70),
        (doc.flag, True, True),
        (doc.flag, False, False),
        (doc.texts, [], ()),
        (doc.texts, ["a", "b"], ("a", "b")),
        (doc.documents, [], ()),
        (doc.documents, [{"a": 1}], ({"a": 1},)),
        (doc.optional_document, None, None),
        (doc.optional_document, {}, {}),
        (doc.instant, "2026-11-23T04:23:39Z", INSTANT),
        (doc.optional_instant, None, None),
        (doc.optional_instant, "2026-11-23T04:23:39Z", INSTANT),
    ],
)
def test_value_of_the_right_kind_is_returned(get: Getter, value: object, found: object):
    assert get({"field": value}, "field") == found


@pytest.mark.parametrize(
    ("get", "found"),
    [(doc.optional_text, None), (doc.flag, False), (doc.texts, ()), (doc.documents, ()), (doc.optional_document, None),
     (doc.optional_instant, None)],
)  # fmt: skip
def test_missing_field_is_what_documents_before_it_meant(get: Getter, found: object):
    assert get({}, "field") == found


@pytest.mark.parametrize("get", [doc.text, doc.number, doc.instant])
def test_field_that_is_needed_is_missed_by_name(get: Getter):
    with pytest.raises(BadDocument, match="'field'"):
        get({"other": 1}, "field")


@pytest.mark.parametrize(
    ("get", "values"),
    [
        (doc.text, [None, 1, True, [], {}]),
        (doc.optional_text, [1, False, [], {}]),
        (doc.number, [None, "1", True, 1.0, -1, []]),
        (doc.flag, [None, 0, 1, "true", []]),
        (doc.texts, [None, "x", [1], ["a", None], {}]),
        (doc.documents, [None, {}, [[]], [{}, None]]),
        (doc.optional_document, [[], "x", 0]),
        (doc.instant, [None, 1, "", "2026-11-23", "2026-11-23T04:23:39"]),
        (doc.optional_instant, [1, "", "soon"]),
    ],
)
def test_value_of_another_kind_is_refused_by_name(get: Getter, values: list[object]):
    for value in values:
        with pytest.raises(BadDocument) as caught:
            get({"field": value}, "field")
        assert caught.value.field == "field"
        assert "'field' should be " in str(caught.value)
