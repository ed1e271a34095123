"""What commands show: exact and plain in a pipe, readable on a terminal, harmless on both."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from vmcatcher.cli.output import screen as screens
from vmcatcher.cli.output.screen import Cell, Column, Kind, Screen, Toned

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
COLUMNS = (
    Column("image", Kind.NAME),
    Column("size", Kind.SIZE),
    Column("until", Kind.AGE),
    Column("made", Kind.TIME),
    Column("title"),
)
ROW: tuple[Cell, ...] = ("i-1", 5 * 2**30, NOW + timedelta(days=3), NOW, "A title")


class _Out(io.BytesIO):
    """Stdout of a command; `is_terminal` says what it takes itself for."""

    is_terminal = False

    def isatty(self) -> bool:
        return self.is_terminal


@pytest.fixture
def out(monkeypatch: pytest.MonkeyPatch) -> _Out:
    raw = _Out()
    # Not `sys.stdout` itself, which pytest exchanges between a fixture and its test.
    monkeypatch.setattr(screens, "print_bytes", raw.write)
    monkeypatch.setattr(screens, "sys", SimpleNamespace(stdout=raw))
    monkeypatch.setenv("COLUMNS", "100")
    return raw


def pipe() -> Screen:
    return Screen(is_terminal=False, has_colour=False, now=NOW)


def terminal(*, has_colour: bool = False) -> Screen:
    return Screen(is_terminal=True, has_colour=has_colour, now=NOW)


def test_pipe_gets_exact_values_between_tabs_and_no_heading(out: _Out):
    pipe().table(COLUMNS, [ROW])
    assert out.getvalue() == b"i-1\t5368709120\t2026-11-26T12:00:00Z\t2026-11-23T12:00:00Z\tA title\n"


@pytest.mark.parametrize("nothing", [None, "", Toned(None, "bad")])
def test_pipe_shows_what_is_missing_as_a_dash(out: _Out, nothing: Cell):
    pipe().table((Column("a"), Column("b")), [("x", nothing)])
    assert out.getvalue() == b"x\t-\n"


def test_terminal_gets_headings_sizes_and_ages(out: _Out):
    terminal().table(COLUMNS, [ROW])
    head, row = out.getvalue().decode().splitlines()
    assert head.split() == ["IMAGE", "SIZE", "UNTIL", "MADE", "TITLE"]
    assert row.split() == ["i-1", "5.0", "GiB", "in", "3", "d", "2026-11-23T12:00:00Z", "A", "title"]


@pytest.mark.parametrize("where", [pipe, terminal])
def test_table_without_rows_is_nothing(out: _Out, where: type[Screen]):
    where().table(COLUMNS, [])
    assert out.getvalue() == b""


def test_narrow_terminal_cuts_titles_and_never_identifiers(out: _Out, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "60")
    name = "a0000000-bbbb-4bbb-8bbb-000000000001"
    terminal().table((Column("image", Kind.NAME), Column("title")), [(name, "word " * 30)])
    line = out.getvalue().decode().splitlines()[1]
    assert line.startswith(name + "  word")
    assert line.endswith("…")
    assert len(line) <= 60


def test_columns_that_do_not_fit_are_told_below_their_row(out: _Out, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "60")
    name = "a0000000-bbbb-4bbb-8bbb-000000000001"
    columns = (Column("image", Kind.NAME), Column("size", Kind.SIZE), Column("made", Kind.TIME), Column("why"))
    why = "its list does not name these bytes any more"
    terminal().table(columns, [(name, 2048, NOW, why), (name, 1, None, None)])
    assert out.getvalue().decode().splitlines() == [
        f"{'IMAGE':<36}     SIZE",
        f"{name}  2.0 KiB",
        f"  made: 2026-11-23T12:00:00Z  why: {why}",
        f"{name}      1 B",
    ]


def test_words_are_never_cut_to_nothing(out: _Out, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "60")
    name = "a0000000-bbbb-4bbb-8bbb-000000000001"
    terminal().table((Column("image", Kind.NAME), Column("list"), Column("title")), [(name, "l" * 30, "t" * 30)])
    row, below = out.getvalue().decode().splitlines()[1:]
    assert row == f"{name}  {'l' * 21}…"
    assert below == f"  title: {'t' * 30}"


def test_colours_are_kept_below_a_row(out: _Out, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "20")
    terminal(has_colour=True).table((Column("a", Kind.NAME), Column("b")), [("x" * 19, Toned("y", "bad"))])
    assert b"\x1b[1;31my\x1b[0m" in out.getvalue().splitlines()[-1]


HOSTILE = "a\x1b[2Jb\tc\nd\u202ee"


@pytest.mark.parametrize("has_colour", [False, True])
def test_no_value_acts_on_the_terminal_or_forges_a_row(out: _Out, *, has_colour: bool):
    for screen in (pipe(), terminal(has_colour=has_colour)):
        screen.table((Column("a"), Column("b")), [(HOSTILE, Toned(HOSTILE, "bad"))])
        screen.facts([(HOSTILE, HOSTILE, Kind.TEXT)])
        screen.line(HOSTILE, "bad")
    text = out.getvalue().decode()
    assert "\x1b[2J" not in text
    assert "\u202e" not in text
    assert len(text.splitlines()) == 1 + 1 + 1 + 2 + 1 + 1


def test_markup_of_the_library_means_nothing_in_a_title(out: _Out):
    terminal(has_colour=True).table((Column("a"),), [("[bold red]x[/] :boom: [link=http://evil]y",)])
    assert "[bold red]x[/] :boom: [link=http://evil]y" in out.getvalue().decode()


def test_colours_are_there_only_where_they_may_be(out: _Out):
    terminal(has_colour=True).line("bad news", "bad")
    assert out.getvalue().startswith(b"\x1b[1;31m")
    out.truncate(0)
    terminal().table((Column("a"),), [(Toned("x", "bad"),)])
    assert b"\x1b" not in out.getvalue()


def test_facts_are_aligned_for_people_and_tabbed_for_pipes(out: _Out):
    facts = [("size", 2048, Kind.SIZE), ("a longer name", None, Kind.TEXT)]
    pipe().facts(facts)
    terminal().facts(facts)
    assert out.getvalue() == b"size\t2048\na longer name\t-\nsize:          2.0 KiB\na longer name: -\n"


def test_heading_is_for_people(out: _Out):
    pipe().heading("Lists")
    assert out.getvalue() == b""
    terminal().heading("Lists")
    assert out.getvalue() == b"Lists\n"


@pytest.mark.parametrize(
    ("is_terminal", "environment", "expected"),
    [
        (False, {}, (False, False)),
        (True, {}, (True, True)),
        (True, {"NO_COLOR": "1"}, (True, False)),
        (True, {"NO_COLOR": ""}, (True, True)),
        (True, {"TERM": "dumb"}, (True, False)),
    ],
)
def test_screen_is_what_stdout_is(out: _Out, is_terminal: bool, environment: dict[str, str], expected: object):
    out.is_terminal = is_terminal
    made = screens.make_screen(environment, NOW)
    assert (made.is_terminal, made._has_colour) == expected
