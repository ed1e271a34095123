"""Errors become one line on stderr and an exit code, whatever they are."""

from __future__ import annotations

import logging
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vmcatcher.cli.boundary import bounded, demanding_a_directory
from vmcatcher.errors import VmcatcherError
from vmcatcher.errors.admission import ListRollback
from vmcatcher.errors.network import HostUnknown
from vmcatcher.errors.requests import DirectoryGone
from vmcatcher.errors.store import StoreHeld

ROLLBACK = ListRollback(list_id="a\x1b[2J", offered="1", have="2")


@pytest.fixture(autouse=True)
def things_as_before() -> Iterator[None]:
    handler, shown = signal.getsignal(signal.SIGTERM), logging.raiseExceptions
    yield
    signal.signal(signal.SIGTERM, handler)
    logging.raiseExceptions = shown


def _raising(error: BaseException) -> Callable[[], int]:
    def body() -> int:
        raise error

    return body


@pytest.mark.parametrize("code", [0, 1, 36, 75])
def test_code_of_a_command_that_ends_by_itself_is_its_code(code: int, caplog: pytest.LogCaptureFixture):
    assert bounded(lambda: code, classic=True) == code
    assert caplog.records == []


@pytest.mark.parametrize(
    ("error", "classic", "code"),
    [
        (ROLLBACK, True, 17),
        (ROLLBACK, False, 1),
        (HostUnknown(url="http://h/", host="h", why="?"), True, 10),
        (HostUnknown(url="http://h/", host="h", why="?"), False, 75),
        (StoreHeld(lock="update", holder="x"), True, 75),
        (StoreHeld(lock="update", holder="x"), False, 75),
    ],
)
def test_refusal_is_one_error_with_its_own_code(
    error: VmcatcherError, classic: bool, code: int, caplog: pytest.LogCaptureFixture
):
    assert bounded(_raising(error), classic=classic) == code
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert record.exc_info in (None, False)
    assert record.getMessage().isprintable()
    assert record.getMessage() == (error.one_line() if classic else f"{error.one_line()} [{error.id}]")


@pytest.mark.parametrize("error", [ValueError("x\ny"), ZeroDivisionError(), AssertionError("no"), OSError(28, "full")])
def test_bug_of_ours_is_one_critical_line_and_70(error: Exception, caplog: pytest.LogCaptureFixture):
    assert bounded(_raising(error), classic=True) == 70
    (record,) = caplog.records
    assert record.levelname == "CRITICAL"
    assert type(error).__name__ in record.getMessage()
    assert "please report it" in record.getMessage()
    assert record.exc_info in (None, False)


@pytest.mark.parametrize("error", [ValueError("x"), ROLLBACK])
def test_traceback_is_there_with_debug(error: Exception, caplog: pytest.LogCaptureFixture):
    bounded(_raising(error), classic=True, debug=True)
    (record,) = caplog.records
    assert record.exc_info
    assert record.exc_info[1] is error


def test_interruption_is_130(caplog: pytest.LogCaptureFixture):
    assert bounded(_raising(KeyboardInterrupt()), classic=True) == 130
    assert [record.getMessage() for record in caplog.records] == ["interrupted"]


def test_termination_unwinds_what_was_begun_and_is_143(caplog: pytest.LogCaptureFixture):
    unwound = []

    def body() -> int:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            threading.Event().wait(30)
        finally:
            unwound.append(True)
        return 0

    assert bounded(body, classic=True) == 143
    assert unwound == [True]
    assert [record.getMessage() for record in caplog.records] == ["terminated"]


def test_end_that_was_asked_for_passes():
    with pytest.raises(SystemExit) as caught:
        bounded(_raising(SystemExit(2)), classic=True)
    assert caught.value.code == 2


def _run(body: str, redirection: str) -> subprocess.CompletedProcess[str]:
    program = "import sys\nfrom vmcatcher.cli.boundary import bounded\n"
    program += f"def body():\n{body}\nsys.exit(bounded(body, classic=True))"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", f'"$@" {redirection}', "bash", sys.executable, "-c", program],
        env=environment, capture_output=True, text=True, check=False, timeout=50,
    )  # fmt: skip


def test_output_that_nobody_reads_is_no_error():
    done = _run("    print('x' * 100_000)\n    return 3", "| true")
    assert (done.returncode, done.stderr) == (0, "")


def test_refusal_counts_also_where_nobody_reads_the_output():
    refusal = "    from vmcatcher.errors.requests import NoListYet\n    print('x')\n    raise NoListYet(list_id='a')"
    done = _run(refusal, "| true")
    assert done.returncode == 1
    assert "has no image list yet" in done.stderr


def test_output_that_the_disk_does_not_take_is_an_error():
    done = _run("    print('x')\n    return 0", "> /dev/full")
    assert done.returncode == 1
    assert re.fullmatch(r"cannot write output file stdout: No space left on device\n", done.stderr)


def test_closed_output_is_no_error():
    assert _run("    return 0", ">&-").returncode == 0


def test_working_directory_that_is_gone_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(DirectoryGone), demanding_a_directory():
        os.path.abspath("x")
    # Any other file that is missing is no matter of the directory.
    with pytest.raises(FileNotFoundError, match="nosuch"), demanding_a_directory():
        os.stat("/nosuch")
