"""Reading signed bytes as JSON in exactly one way (RFC 8259, RFC 7493)."""

from __future__ import annotations

import json
import tracemalloc

import pytest

from vmcatcher.errors.imagelist import (
    BadNumber,
    BadText,
    ContentRefused,
    DuplicateKey,
    NotAnObject,
    NotJson,
    TooDeep,
    TooManyValues,
)
from vmcatcher.model.strictjson import describe, parse, plain_text

_MEBIBYTE = 1024 * 1024


def test_ordinary_object_is_read_with_every_kind_of_value():
    content = (
        '{"t": "Größe \\ud83d\\ude00", "n": [1, 2.5, -3], "b": true, "f": false, "z": null, "o": {"": ""}}'.encode()
    )
    assert parse(content) == {
        "t": "Größe \U0001f600",
        "n": [1, 2.5, -3],
        "b": True,
        "f": False,
        "z": None,
        "o": {"": ""},
    }


def test_line_ends_of_either_kind_are_white_space():
    assert parse(b'\r\n{\r\n"a":\n1}\r\n') == {"a": 1}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "Expecting value: line 1, column 1"),
        (b"<html>login</html>", "Expecting value"),
        (b'{"a": 1', "Expecting ',' delimiter"),
        (b'{"a": 1} trailing', "Extra data"),
        (b"{'a': 1}", "Expecting property name"),
        (b'{"a": 01}', "Expecting ',' delimiter"),
        (b'{"a": "line\nbreak"}', "Invalid control character"),
        (b'{"a": "nul\x00"}', "Invalid control character"),
        (b'{"a": "\\x41"}', "Invalid \\escape"),
        (b'{"a": "unterminated', "Unterminated string"),
        (b'{"a": "dangling\\', "Unterminated string"),
        (b"]]]]" + b"[" * 60, "Expecting value"),
        (b'\xef\xbb\xbf{"a": 1}', "byte order mark"),
        ('{"a": 1}'.encode("utf-16-le"), "Expecting property name"),
        ('{"a": 1}'.encode("utf-16"), "byte 0 is not UTF-8"),
        (b'{"a": "\xff"}', "byte 7 is not UTF-8"),
        (b'{"a": "\xc0\x80"}', "byte 7 is not UTF-8"),
        (b'{"a": "\xed\xa0\x80"}', "byte 7 is not UTF-8"),
    ],
)
def test_fault_76_bytes_that_are_no_json_are_refused_with_the_place(content, why):
    with pytest.raises(NotJson) as caught:
        parse(content)
    assert why in caught.value.why
    assert caught.value.classic_exit == 37


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"null", "null"),
        (b"true", "true"),
        (b"false", "false"),
        (b"[]", "a list"),
        (b'"text"', "'text'"),
        (b"12", "the number 12"),
        (b"1.5", "the number 1.5"),
    ],
)
def test_json_that_is_no_object_is_refused(content, found):
    with pytest.raises(NotAnObject) as caught:
        parse(content)
    assert caught.value.found == found
    assert caught.value.classic_exit == 37


@pytest.mark.parametrize(
    "content",
    [b'{"k": 1, "x": 2, "k": 1}', b'{"a": [{"b": {"k": 1, "k": 2}}]}', b'{"k": 1, "\\u006b": 2}'],
)
def test_fault_72_key_that_appears_twice_in_one_object_is_named(content):
    with pytest.raises(DuplicateKey) as caught:
        parse(content)
    assert caught.value.key == "k"


def test_same_key_in_two_objects_is_no_duplicate():
    assert parse(b'{"a": {"k": 1}, "b": {"k": 2}}') == {"a": {"k": 1}, "b": {"k": 2}}


@pytest.mark.parametrize(
    "number",
    ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1" * 1001, "-" + "1" * 1000, "0." + "1" * 1000, "9" * 5000],
)
def test_fault_73_number_that_cannot_be_computed_with_is_refused(number):
    with pytest.raises(BadNumber) as caught:
        parse(b'{"a": %s}' % number.encode())
    assert caught.value.classic_exit == 37
    assert len(caught.value.found) < 300


def test_number_of_a_thousand_digits_keeps_them_all():
    assert parse(b'{"a": %s}' % (b"7" * 1000)) == {"a": int("7" * 1000)}


def test_fault_74_nesting_at_the_limit_is_read_and_one_level_more_is_refused():
    def nested(depth: int) -> bytes:
        return b'{"a":' * (depth - 1) + b"{}" + b"}" * (depth - 1)

    assert parse(nested(64))
    with pytest.raises(TooDeep) as caught:
        parse(nested(65))
    assert caught.value.limit == 64
    with pytest.raises(TooDeep):
        parse(b'{"a": [[]]}', max_depth=2)


def test_fault_74_two_hundred_thousand_open_brackets_are_refused_before_reading():
    with pytest.raises(TooDeep):
        parse(b"[" * 200_000)


def test_brackets_inside_strings_are_no_nesting():
    text = "[{" * 100 + '\\" [ \\\\'
    assert parse(b'{"a": "%s", "[[": 1}' % text.encode()) == {"a": "[{" * 100 + '" [ \\', "[[": 1}


def test_fault_75_values_beyond_the_limit_are_refused():
    assert parse(b'{"a": [1, 2, 3]}', max_values=5)
    with pytest.raises(TooManyValues) as caught:
        parse(b'{"a": [1, 2, 3, 4]}', max_values=5)
    assert caught.value.limit == 5


@pytest.mark.parametrize(
    ("content", "where", "holds"),
    [
        (b'{"title": "\\ud800"}', "title", "half of a surrogate pair"),
        (b'{"title": "\\udc00\\ud800"}', "title", "half of a surrogate pair"),
        (b'{"a": {"title": ["x", "\\uDfFf y"]}}', "title", "half of a surrogate pair"),
        (b'{"a": [{"k\\ud800": 1}]}', "k\ud800", "half of a surrogate pair"),
        (b'{"title": "a\\u0000b"}', "title", "a NUL character"),
        (b'{"a": [{"k\\u0000": 1}]}', "k\0", "a NUL character"),
    ],
)
def test_fault_76_text_that_cannot_be_printed_or_passed_on_is_refused(content, where, holds):
    with pytest.raises(BadText) as caught:
        parse(content)
    assert (caught.value.where, caught.value.holds) == (where, holds)
    assert caught.value.one_line().isprintable()


def test_every_content_error_is_classic_exit_37_and_says_what_to_do():
    classes = [NotJson, NotAnObject, DuplicateKey, TooDeep, TooManyValues, BadNumber, BadText]
    assert all(issubclass(error, ContentRefused) and error.classic_exit == 37 and error.hint for error in classes)
    assert len({error.id for error in classes}) == len(classes)


@pytest.mark.parametrize(
    "content",
    [
        b'"' + b'\\"' * (_MEBIBYTE // 2),
        b'{"a":"' + b"x" * _MEBIBYTE,
        b"[" * _MEBIBYTE,
        b"[" + b"{}," * (_MEBIBYTE // 2),
        b'{"a":' + b"1" * _MEBIBYTE + b"}",
        b'{"a":' * 60 + b'"' * _MEBIBYTE,
    ],
    ids=["escapes", "endless-string", "brackets", "objects", "digits", "quotes"],
)
def test_hostile_mebibyte_is_refused_in_little_memory_and_time(content):
    tracemalloc.start()
    try:
        with pytest.raises(ContentRefused):
            parse(content)
        assert tracemalloc.get_traced_memory()[1] < 8 * _MEBIBYTE
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "null"),
        (True, "true"),
        (False, "false"),
        ({"a": 1}, "an object"),
        ([1], "a list"),
        ("x", "'x'"),
        ("x" * 500, f"'{'x' * 200}'"),
        (3, "the number 3"),
        (10**999, "the number 1" + "0" * 199),
        (2.5, "the number 2.5"),
    ],
)
def test_describe_says_what_a_value_is_in_few_words(value, words):
    assert describe(value) == words


@pytest.mark.parametrize(
    ("value", "text"),
    [("x", "x"), ("", ""), (0, "0"), (12, "12"), (1.1, "1.1"), (True, None), (None, None), ([], None), ({}, None)],
)
def test_plain_text_takes_texts_and_numbers_only(value, text):
    assert plain_text(value) == text


def test_numbers_in_json_are_not_confused_with_truth_values():
    assert plain_text(json.loads("true")) is None
    assert plain_text(json.loads("1")) == "1"
