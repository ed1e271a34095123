"""Counting nesting and values before anything is built: the quick way counts what the plain one counts."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vmcatcher.errors.imagelist import ContentRefused, TooDeep, TooManyValues
from vmcatcher.model import strictjson

_STRUCTURE = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[\]{},]', re.DOTALL)
# What decides where a string ends, what is counted, and little else: most texts are wrong in some way.
_MARKS = st.text(alphabet='"\\[]{},:x/ü\n', max_size=60)
_TEXTS = st.text(alphabet='"\\[{,ü', max_size=5)
_LIMITS = st.integers(0, 6)


def _counted_plainly(text: str, max_depth: int, max_values: int) -> str:
    depth, values = 0, 1
    for match in _STRUCTURE.finditer(text):
        mark = match[0]
        if mark in ("{", "["):
            depth, values = depth + 1, values + 1
            if depth > max_depth:
                return "deep"
        elif mark in ("}", "]"):
            depth -= 1
        elif mark == ",":
            values += 1
        if values > max_values:
            return "many"
    return "fine"


def _counted(text: str, max_depth: int, max_values: int) -> str:
    try:
        strictjson._count(text, max_depth=max_depth, max_values=max_values)
    except TooDeep:
        return "deep"
    except TooManyValues:
        return "many"
    return "fine"


@pytest.mark.parametrize("quotes", [0, 200_000], ids=["many-quotes", "few-quotes"])
def test_any_text_is_counted_as_mark_by_mark(quotes, monkeypatch):
    monkeypatch.setattr(strictjson, "_MANY_QUOTES", quotes)

    @given(_MARKS, _LIMITS, st.integers(1, 6))
    @example('"[[', 0, 6)
    @example('\\"[["', 1, 6)
    @example('"\\\\"[["\\"[', 1, 6)
    @example('"\\\\\\"[["[', 0, 6)
    @example('[,,,["', 1, 3)
    @example('[,,["', 1, 3)
    @example('"x\\', 0, 1)
    @example('"\\\\"\\"[[', 0, 6)
    @example("]]]][[[[[", 0, 6)
    def counts_the_same(text: str, max_depth: int, max_values: int) -> None:
        assert _counted(text, max_depth, max_values) == _counted_plainly(text, max_depth, max_values)

    counts_the_same()


@given(
    st.recursive(st.text(alphabet='"\\[{,ü', max_size=5), lambda one: st.lists(one) | st.dictionaries(st.text(), one))
)
def test_what_is_json_is_counted_by_its_values(value):
    def depth(one: object) -> int:
        inside = list(one.values()) if isinstance(one, dict) else one if isinstance(one, list) else None
        return 0 if inside is None else 1 + max(map(depth, inside), default=0)

    text = json.dumps(value)
    assert _counted(text, depth(value), 10_000) == "fine"
    assert depth(value) == 0 or _counted(text, depth(value) - 1, 10_000) == "deep"


@pytest.mark.parametrize("inside", ["[" * 100, '\\"' * 100 + "[" * 100])
def test_string_without_its_end_is_refused_for_that(inside):
    with pytest.raises(ContentRefused) as caught:
        strictjson.parse(f'{{"a": "{inside}'.encode())
    assert "Unterminated string" in str(caught.value)
