"""The question before something is lost: asked on a terminal only, and every answer but yes is no."""

from __future__ import annotations

import io
import signal
import sys
from collections.abc import Iterator

import pytest

from vmcatcher.cli.boundary import bounded
from vmcatcher.cli.commands.call import Run
from vmcatcher.errors.choosing import NotConfirmed
from vmcatcher.settings import default_settings

RUN = Run("vmcatcher subscription remove", {}, default_settings())


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class _Interrupted(_Terminal):
    def readline(self, *_: object) -> str:
        raise KeyboardInterrupt


@pytest.fixture(autouse=True)
def handler_as_before() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def terminals(monkeypatch: pytest.MonkeyPatch, typed: _Terminal) -> _Terminal:
    """Let stdin be one terminal and stderr another, which is returned."""
    shown = _Terminal()
    monkeypatch.setattr(sys, "stdin", typed)
    monkeypatch.setattr(sys, "stderr", shown)
    return shown


@pytest.mark.parametrize("answer", ["y\n", "Y\n", "yes\n", " yes "])
def test_yes_goes_on(monkeypatch: pytest.MonkeyPatch, answer: str):
    shown = terminals(monkeypatch, _Terminal(answer))
    RUN.demand_consent("remove it\x1b[2J")
    assert shown.getvalue() == "Remove it\\x1b[2J? [y/N]: "


@pytest.mark.parametrize("answer", ["n\n", "\n", "", "yesterday\n", "\x1b[A\n"])
def test_all_else_is_no(monkeypatch: pytest.MonkeyPatch, answer: str):
    terminals(monkeypatch, _Terminal(answer))
    with pytest.raises(NotConfirmed) as refused:
        RUN.demand_consent("remove it")
    assert refused.value.why == "the answer was no"


def test_interrupt_at_the_question_is_an_interrupt(monkeypatch: pytest.MonkeyPatch):
    def asking() -> int:
        RUN.demand_consent("remove it")
        return 0

    terminals(monkeypatch, _Interrupted())
    assert bounded(asking, classic=False) == 130
