"""What an operator sees of an error: one line, nothing a terminal would act on."""

from __future__ import annotations

import string
from dataclasses import dataclass
from typing import ClassVar

import pytest

from vmcatcher.errors import (
    MachineError,
    NetworkError,
    OperatorError,
    PublisherError,
    VmcatcherError,
    printable,
)
from vmcatcher.errors.answer import BodyTruncated, ServerBusy


@dataclass(eq=False)
class _Refused(PublisherError):
    what: str
    count: int = 3
    id: ClassVar[str] = "refused"
    message: ClassVar[str] = "{what} was refused {count} times"
    hint: ClassVar[str] = "look at {what}"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("plain text", "plain text"),
        ("", ""),
        ("Größe 図 😀", "Größe 図 😀"),
        (12, "12"),
        (None, "None"),
        ("a\nb\r\tc", "a\\nb\\r\\tc"),
        ("\x1b[2J", "\\x1b[2J"),
        ("\x7f\x85\x9b", "\\x7f\\x85\\x9b"),
        ("\0", "\\x00"),
        ("\u202ecod.exe", "\\u202ecod.exe"),
        ("zero\u200bwidth\ufeff", "zero\\u200bwidth\\ufeff"),
        ("line\u2028para\u2029", "line\\u2028para\\u2029"),
        ("\ud800", "\\ud800"),
        ("\U000e0041\U0010ffff", "\\U000e0041\\U0010ffff"),
        ("/CN=host\\/vm", "/CN=host\\/vm"),
    ],
)
def test_printable_shows_hidden_characters_as_escapes(value, shown):
    assert printable(value) == shown


def test_printable_text_has_one_line_and_can_be_encoded():
    everything = "".join(map(chr, [*range(0x3000), *range(0xD7F0, 0xE010), *range(0xFFF0, 0x10010)]))
    shown = printable(everything)
    assert len(shown.splitlines()) == 1
    shown.encode("utf-8")


def test_printable_twice_is_printable_once():
    for value in ["\n", "\\n", "/CN=host\\/vm.example.org", "\x1b\\"]:
        assert printable(printable(value)) == printable(value)


def test_error_line_is_message_and_hint_with_the_fields_filled_in():
    error = _Refused(what="list x")
    assert str(error) == "list x was refused 3 times"
    assert error.one_line() == "list x was refused 3 times; look at list x"


def test_error_without_hint_is_the_message_alone():
    assert VmcatcherError().one_line() == "the request failed"


def test_error_fields_never_reach_the_terminal_raw():
    line = _Refused(what="x\nlist-ok: y\x1b[2J\u202e").one_line()
    assert line.isprintable()
    assert "\\nlist-ok" in line


def test_error_fields_are_no_templates():
    assert str(_Refused(what="{count} {nothing} {0}")) == "{count} {nothing} {0} was refused 3 times"


def test_long_error_fields_are_cut():
    error = _Refused(what="x" * 1_000_000)
    assert len(error.one_line()) < 1000
    assert str(error).startswith("x" * 399 + "… was")
    assert str(_Refused(what="y" * 400)).startswith("y" * 400 + " was")


def test_facts_are_the_fields_as_they_came():
    assert _Refused(what="a\nb", count=4).facts() == {"what": "a\nb", "count": 4}


def test_errors_are_exceptions_that_keep_their_identity():
    one, same = _Refused(what="x"), _Refused(what="x")
    assert one != same
    assert len({one, same}) == 2
    with pytest.raises(PublisherError, match="refused 3 times"):
        raise one


def test_branches_say_by_exit_code_whether_to_try_again():
    assert [branch.exit_code for branch in (PublisherError, NetworkError, MachineError, OperatorError)] == [1, 75, 1, 1]
    assert NetworkError.classic_exit == 10


def _leaves(cls: type[VmcatcherError]) -> list[type[VmcatcherError]]:
    return [leaf for sub in cls.__subclasses__() for leaf in [sub, *_leaves(sub)]]


def test_templates_of_every_error_name_fields_it_has():
    ours = [cls for cls in _leaves(VmcatcherError) if cls.__module__.startswith("vmcatcher.")]
    assert ours
    for cls in ours:
        names = {name for text in (cls.message, cls.hint) for _, name, _, _ in string.Formatter().parse(text) if name}
        assert names <= set(cls.__dataclass_fields__), cls


def test_what_the_server_did_not_say_is_not_said_for_it():
    assert "asks" not in str(ServerBusy(url="http://h/l", status=503, retry_after_s=None))
    assert "(status 503, asks to wait: 30.0 s)" in str(ServerBusy(url="http://h/l", status=503, retry_after_s=30.0))
    assert str(BodyTruncated(url="http://h/l", expected=None, got=7)).endswith("after 7 bytes, expected more")
    assert str(BodyTruncated(url="http://h/l", expected=9, got=7)).endswith("after 7 bytes, expected 9")
