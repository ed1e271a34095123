"""The one place where errors become a line on stderr and an exit code."""

from __future__ import annotations

import contextlib
import os
import signal
import sys

from vmcatcher.cli import speech
from vmcatcher.errors.base import VmcatcherError
from vmcatcher.errors.requests import DirectoryGone, OutputUnwritable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Final, TextIO

OUR_BUG: Final = 70
INTERRUPTED: Final = 130
TERMINATED: Final = 143


class Terminated(KeyboardInterrupt):
    """SIGTERM, as systemd and cron send it: to be unwound like Ctrl-C, so that what is begun is put in order."""


def _end_orderly() -> None:
    def terminate(*_: object) -> None:
        raise Terminated

    # Only the main thread of a process may say so.
    with contextlib.suppress(ValueError):
        signal.signal(signal.SIGTERM, terminate)


def _complain(*, about_logs: bool) -> None:
    import logging  # noqa: PLC0415 - see `speech`

    # A log that cannot be written is no reason for a page of traceback on the operator's terminal.
    logging.raiseExceptions = about_logs


def bounded(body: Callable[[], int], *, classic: bool, debug: bool = False) -> int:
    """Run a command and return its exit code; whatever goes wrong becomes one line on stderr.

    `classic` picks the classic exit codes. A traceback is shown only with `debug`.
    """
    speech.begin_anew(lambda: _complain(about_logs=debug))
    _end_orderly()
    try:
        with demanding_a_directory():
            code = body()
        flush()
    except VmcatcherError as error:
        # Scripts of the noun-verb commands, which end with 1 for most refusals, go by the id.
        text = error.one_line() if classic else f"{error.one_line()} [{error.id}]"
        speech.logger("main").error("%s", text, exc_info=debug)
        return error.classic_exit if classic else error.exit_code
    except Terminated:
        speech.logger("main").error("terminated")
        return TERMINATED
    except KeyboardInterrupt:
        speech.logger("main").error("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader has seen enough (`| head`).
        leave_stdout()
        return 0
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        speech.logger("main").critical(
            "internal error, please report it: %s (--debug shows where)", text, exc_info=debug
        )
        return OUR_BUG
    finally:
        _let_go()
    return code


@contextlib.contextmanager
def demanding_a_directory() -> Iterator[None]:
    """Tell, for the block, that the working directory is gone where that is what it failed for.

    Raises:
        DirectoryGone: a path without its beginning was to be found from there.
    """
    try:
        yield
    except FileNotFoundError as exc:
        # `getcwd` names no file, unlike everything else that does not find one.
        if exc.filename is not None or _has_working_directory():
            raise
        raise DirectoryGone from exc


def _has_working_directory() -> bool:
    try:
        os.getcwd()
    except FileNotFoundError:
        return False
    return True


def _let_go() -> None:
    # A refusal that was told keeps its own exit code, also where nobody takes what was printed before it.
    with contextlib.suppress(OutputUnwritable):
        try:
            flush()
        except BrokenPipeError:
            leave_stdout()
    if sys.stderr is not None:
        try:
            sys.stderr.flush()
        except OSError:
            leave(sys.stderr)


def flush() -> None:
    """Write out what was printed.

    Raises:
        OutputUnwritable: stdout does not take it, as on a full disk.
    """
    if sys.stdout is None:  # the caller closed it
        return
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as exc:
        leave_stdout()
        raise OutputUnwritable(path="stdout", why=exc.strerror or str(exc)) from exc


def leave_stdout() -> None:
    """Let go what stdout did not take."""
    leave(sys.stdout)


def leave(stream: TextIO) -> None:
    """Let go what stdout or stderr did not take."""
    # Python writes the rest once more when it ends, and would complain in words and with an exit code of its own (120).
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def print_bytes(content: bytes) -> None:
    """Write a result to stdout.

    Raises:
        OutputUnwritable: stdout does not take it, as on a full disk.
    """
    if sys.stdout is None or not content:  # closed by the caller, or nothing to say
        return
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
    except BrokenPipeError:
        raise
    except OSError as exc:
        leave_stdout()
        raise OutputUnwritable(path="stdout", why=exc.strerror or str(exc)) from exc
