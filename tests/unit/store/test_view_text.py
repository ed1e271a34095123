"""How `cache.index` is spelled: exactly as the library spells it with an indentation of four, which scripts know."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from vmcatcher.store import view_text

_TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
_PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | _TEXTS
_VALUES = st.recursive(_PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3))
_ENTRIES = st.dictionaries(_TEXTS, st.dictionaries(_TEXTS, _VALUES, max_size=5), max_size=4)


@given(_ENTRIES)
def test_any_index_is_spelled_as_the_library_does(entries):
    expected = json.dumps(entries, indent=4, sort_keys=True, ensure_ascii=True) + "\n"
    assert view_text.spelled(sorted(entries.items())).decode() == expected


def test_values_of_every_kind_are_spelled_as_the_library_does():
    inner = {"z": [1, {"y": []}], "a": {}, "é": 'ü\u2028\\\n"', "n": None, "f": 1.5, "t": True}
    entries = {"b": {"DownLoadTrys": inner, "x": [inner, "0"], "hv:size": 7, "A": ""}, "a": {}}
    expected = json.dumps(entries, indent=4, sort_keys=True) + "\n"
    assert view_text.spelled(sorted(entries.items())).decode() == expected
