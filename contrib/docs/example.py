"""The example of a settings file: every setting with what it is for and its default, switched off."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator

from tables import in_units, kind_words

from vmcatcher.settings import TABLE, Setting

_HEAD = """\
# Settings of vmcatcher, all of them, each with its default. Take the # away from what you want to change.
# Copy it to /etc/vmcatcher/vmcatcher.toml, or to ~/.config/vmcatcher/vmcatcher.toml for one user;
# `vmcatcher config check` then says what is wrong with it, `vmcatcher config show` what holds.
# A time is a number of seconds, or a text such as "30s", "15m", "12h" or "30d"; a size is a number of bytes, or a text
# such as "64K", "10M" or "20G".
"""
_WIDTH = 118


def example_file() -> str:
    """Return the text of the example."""
    parts = [_HEAD]
    of_table: dict[str, list[Setting]] = {}
    for one in TABLE:
        if one.key:
            of_table.setdefault(one.key.rpartition(".")[0], []).append(one)
    # What belongs to no table has to stand before the first one.
    for table in sorted(of_table, key=bool):
        parts += [f"[{table}]\n"] if table else []
        parts += _lines(of_table[table])
    return "\n".join(parts)


def _lines(settings: list[Setting]) -> Iterator[str]:
    for one in settings:
        about = f"{one.meaning[:1].upper()}{one.meaning[1:]} ({kind_words(one)}; {one.variable})"
        lines = textwrap.wrap(about, _WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)
        yield "\n".join([*lines, f"#{one.key.rpartition('.')[2]} = {_value(one)}", ""])


def _value(one: Setting) -> str:
    match one.default:
        case bool(flag):
            return "true" if flag else "false"
        case int() | float() as number:
            text = in_units(one.kind, number)
            return text if text.isdecimal() else json.dumps(text)
        case tuple(texts):
            return json.dumps(list(texts))
        case text:
            return json.dumps(text or "")
