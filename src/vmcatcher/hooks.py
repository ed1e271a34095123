"""Running the operator's event handler: told by environment and standard input, bounded in time and output."""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import re
import selectors
import signal
import subprocess
import time
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final

from vmcatcher.errors.hooks import HandlerUnusable
from vmcatcher.model.event import PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

logger = logging.getLogger(__name__)

MOST_OUTPUT: Final = 64 * 1024
_VARIABLE: Final = re.compile(r"VMCATCHER_[A-Z0-9_]+")
# Linux, MAX_ARG_STRLEN: one `NAME=value` of the environment, its final NUL included, or the exec fails with E2BIG.
_LONGEST_VARIABLE: Final = 128 * 1024
# Tried when all variables together are still too much (ARG_MAX, a quarter of the stack limit, 2 MiB as a rule).
_SHORTER_VARIABLE: Final = 4 * 1024
_CHUNK: Final = 64 * 1024
# How often we look whether the handler has ended while something it started keeps its output open.
_LOOK_AGAIN_S: Final = 0.05
_LAST_WAIT_S: Final = 1.0
_NOT_STARTED: Final = 126


@dataclass(frozen=True, slots=True)
class HookOutcome:
    """What became of one run of the handler. 126 and 127 say, as in a shell, that it could not be run or found."""

    exit_status: int | None
    """None when a signal ended it."""
    timed_out: bool
    signal: int | None
    duration_s: float
    output: bytes
    """The first 64 KiB of what it wrote to stdout and stderr."""
    truncated: bool

    @property
    def delivered(self) -> bool:
        """Tell whether the event need not be told again: the handler ended in its time, with exit status 0."""
        return self.exit_status == 0 and not self.timed_out


class HookRunner:
    """Runs one command line for one event after the other; every run is a process group of its own.

    The values of an event come from image lists. They reach the handler as environment values and as JSON on standard
    input, never as shell text, and only under names that start with `VMCATCHER_`.
    """

    def __init__(
        self,
        command: str,
        *,
        timeout_s: float = 10.0,
        grace_s: float = 2.0,
        base_environment: Mapping[str, str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Remember what `sh -c` is to run, and in which environment.

        Raises:
            HandlerUnusable: the command is blank or holds a NUL character.
        """
        if not command.strip():
            raise HandlerUnusable(command=command, why="it is empty")
        if "\0" in command:
            raise HandlerUnusable(command=command, why="it holds a NUL character")
        self._command = command
        self._timeout_s = timeout_s
        self._grace_s = grace_s
        # An event may be told from inside a handler; what the outer event was about must not leak into the inner one.
        self._environment = {
            os.fsencode(name): os.fsencode(value)
            for name, value in base_environment.items()
            if not name.startswith(PREFIX) and "\0" not in name + value
        }
        self._clock = clock

    def run(self, variables: Mapping[str, str], document: Mapping[str, object]) -> HookOutcome:
        """Tell one event and return when the handler has ended or was ended.

        The handler runs in the current directory, without any descriptor of ours beyond 2. `document` is one line of
        JSON on its standard input, which it need not read. At the time limit its process group gets SIGTERM, after the
        grace time SIGKILL. What it leaves running when it ends in time stays alone, but has lost its output.

        A variable that cannot be in an environment is left out, one beyond 128 KiB is cut. Nothing that a handler
        does raises an exception; a failure to start it is an outcome, too.
        """
        started = self._clock()
        text = json.dumps(document, sort_keys=True).encode("ascii") + b"\n"
        try:
            child = self._start(variables)
        except OSError as exc:
            return HookOutcome(
                exit_status=_NOT_STARTED,
                timed_out=False,
                signal=None,
                duration_s=self._clock() - started,
                output=f"/bin/sh cannot be started: {exc.strerror}".encode(),
                truncated=False,
            )
        run = _Run(child, text, deadline=started + self._timeout_s, grace_s=self._grace_s, clock=self._clock)
        timed_out = run.finish()
        status: int | None = child.returncode
        return HookOutcome(
            exit_status=status if status is not None and status >= 0 else None,
            timed_out=timed_out,
            signal=-status if status is not None and status < 0 else None,
            duration_s=self._clock() - started,
            output=bytes(run.output),
            truncated=run.truncated,
        )

    def _start(self, variables: Mapping[str, str]) -> subprocess.Popen[bytes]:
        try:
            return self._spawn(_encoded(variables, _LONGEST_VARIABLE))
        except OSError as exc:
            if exc.errno != errno.E2BIG:
                raise
            return self._spawn(_encoded(variables, _SHORTER_VARIABLE))

    def _spawn(self, variables: Mapping[bytes, bytes]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603 - the command line is the operator's own
            ["/bin/sh", "-c", self._command],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**self._environment, **variables},
            start_new_session=True,
        )


def _encoded(variables: Mapping[str, str], longest: int) -> dict[bytes, bytes]:
    encoded = {}
    for name, value in variables.items():
        if not _VARIABLE.fullmatch(name) or "\0" in value:
            logger.warning("variable left out of an event: name=%r", name)
            continue
        whole = _utf8(value)
        room = longest - len(name) - len("=\0")
        encoded[name.encode("ascii")] = whole if len(whole) <= room else _cut(whole, room)
    return encoded


def _utf8(value: str) -> bytes:
    """Return the value in UTF-8, whatever the locale says; a name that came from the file system keeps its bytes."""
    try:
        return value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return value.encode("utf-8", "replace")


def _cut(text: bytes, length: int) -> bytes:
    """Return at most `length` bytes, without the beginning of a character whose end is cut off."""
    return text[:length].decode("utf-8", "ignore").encode("utf-8")


class _Run:
    """One running handler: its input is fed, its output kept or dropped, its time watched."""

    def __init__(
        self,
        child: subprocess.Popen[bytes],
        text: bytes,
        *,
        deadline: float,
        grace_s: float,
        clock: Callable[[], float],
    ) -> None:
        assert child.stdin is not None
        assert child.stdout is not None
        self.output = bytearray()
        self.truncated = False
        self._child = child
        self._stdin: IO[bytes] = child.stdin
        self._stdout: IO[bytes] = child.stdout
        self._unsent = memoryview(text)
        self._deadline = deadline
        self._grace_s = grace_s
        self._clock = clock

    def finish(self) -> bool:
        """Return when the handler has ended or was ended; True says that its time was over."""
        with self._stdin, self._stdout, selectors.DefaultSelector() as selector:
            try:
                for stream, event in ((self._stdin, selectors.EVENT_WRITE), (self._stdout, selectors.EVENT_READ)):
                    os.set_blocking(stream.fileno(), False)
                    selector.register(stream, event)
                timed_out = not self._attend(selector, self._deadline)
                if timed_out:
                    self._end_group(selector)
                self._read_rest()
            except BaseException:
                # The operator's interrupt does not reach a session of its own; nobody would wait for the handler.
                if self._child.poll() is None:
                    self._kill_group()
                raise
            return timed_out

    def _attend(self, selector: selectors.BaseSelector, until: float) -> bool:
        """Serve the pipes until the handler has ended; False if that takes longer than `until`."""
        while self._child.poll() is None:
            left = until - self._clock()
            if left <= 0:
                return False
            if not selector.get_map():
                # Both pipes are done with: the end is all there is to wait for.
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._child.wait(left)
                continue
            for key, _ in selector.select(min(left, _LOOK_AGAIN_S)):
                is_done = self._feed() if key.fileobj is self._stdin else self._read()
                if is_done:
                    selector.unregister(key.fileobj)
                    if key.fileobj is self._stdin:
                        self._stdin.close()  # the end that a reader waits for
        return True

    def _feed(self) -> bool:
        """Send what the pipe takes; True when all is sent or nobody reads."""
        try:
            sent = self._stdin.write(self._unsent[:_CHUNK]) or 0
        except BrokenPipeError:
            return True
        self._unsent = self._unsent[sent:]
        return not self._unsent

    def _read(self) -> bool:
        """Keep or drop what the pipe holds; True at its end."""
        some = self._stdout.read(_CHUNK)
        if some:
            room = MOST_OUTPUT - len(self.output)
            self.output += some[:room]
            self.truncated |= len(some) > room
        return some == b""

    def _read_rest(self) -> None:
        """Read what was written before the end, and no more than that: something left running may write for ever."""
        for _ in range(MOST_OUTPUT // _CHUNK + 1):
            if self._read():
                break

    def _end_group(self, selector: selectors.BaseSelector) -> None:
        until = self._clock() + self._grace_s
        self._signal_group(signal.SIGTERM)
        self._attend(selector, until)
        # What the handler started may outlive it and take its time to end: it has the same grace.
        while self._child.poll() is None or (self._signal_group(0) and _is_any_running(self._child.pid)):
            if self._clock() >= until:
                self._kill_group()
                break
            time.sleep(_LOOK_AGAIN_S)

    def _kill_group(self) -> None:
        self._signal_group(signal.SIGKILL)
        # Not for ever: a handler that runs as another user (sudo) or hangs in the kernel does not die of it.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(_LAST_WAIT_S)

    def _signal_group(self, number: int) -> bool:
        """Send a signal to whatever is left of the group; False if nothing is."""
        try:
            # No other process is given the leader's number as long as the group has members.
            os.killpg(self._child.pid, number)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass  # it runs as another user by now (sudo)
        return True


def _is_any_running(group: int) -> bool:
    """Tell whether a member of the group runs, and has not just ended unnoticed by its parent (proc(5), stat).

    The first process of a container often takes no notice of orphans; each would hold up the run.
    """
    if not os.path.exists("/proc/self/stat"):
        return True
    for number in filter(str.isdecimal, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{number}/stat", "rb") as source:  # it may end meanwhile
            state, _, its_group = source.read().rpartition(b")")[2].split()[:3]
            if int(its_group) == group and state not in (b"Z", b"X"):
                return True
    return False
