"""Progress bars: lines that are logged meanwhile stay whole, and nothing is shown where nobody looks."""

from __future__ import annotations

import io
import sys

import pytest

from vmcatcher.cli.progress import showing
from vmcatcher.services.progress import Silence

TERMINAL = {"TERM": "xterm", "COLUMNS": "40"}


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_long_line_that_is_logged_meanwhile_is_not_broken(monkeypatch: pytest.MonkeyPatch):
    shown = _Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    for name, value in TERMINAL.items():
        monkeypatch.setenv(name, value)
    line = (
        "ERROR:vmcatcher.services.events:handler ended with 1 on ExpirePrefix for a0000000-bbbb-4bbb-8bbb-000000000001"
    )
    with showing(TERMINAL, is_quiet=False) as progress:
        progress.begin("download", "an image", 1000)
        sys.stderr.write(f"{line}\n")
        progress.end("an image", is_done=True)
    assert f"{line}\n" in shown.getvalue()


@pytest.mark.parametrize(("stream", "environment", "is_quiet"), [
    (io.StringIO(), TERMINAL, False),
    (_Terminal(), {"TERM": "dumb"}, False),
    (_Terminal(), TERMINAL, True),
    (None, TERMINAL, False),
])  # fmt: skip
def test_nothing_is_shown_where_nobody_looks(
    monkeypatch: pytest.MonkeyPatch, stream: io.StringIO | None, environment: dict[str, str], *, is_quiet: bool
):
    monkeypatch.setattr(sys, "stderr", stream)
    with showing(environment, is_quiet=is_quiet) as progress:
        assert isinstance(progress, Silence)
        progress.begin("download", "an image", 1000)
    assert stream is None or stream.getvalue() == ""
