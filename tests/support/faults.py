"""Faults of this machine, made where `store.files` makes its system calls: a kill, a full disk, a broken one.

    with Faults() as faults:                      # counts every call that changes the tree, disturbs none
        run()
    for number in range(faults.count):
        with Faults(Kill(number)):                # the process is gone just before that call
            with pytest.raises(Killed):
                run()
    with Faults(Fail(3, errno.ENOSPC)): …         # that one call fails
    with Faults(Fail(3, errno.ENOSPC, sticky=True)): …   # and every later one that needs space, too

After a kill nothing reaches the disk any more, whatever `except` and `finally` try: the code runs on, the process it
stands for does not. No handler is started then, either.
"""

from __future__ import annotations

import errno as errors
import os
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self
from unittest import mock

from vmcatcher import hooks
from vmcatcher.store import files

# What changes the tree. `open` counts where it makes a file; reading and closing never count.
CHANGES: Final = (
    "chmod", "fsync", "ftruncate", "link", "mkdir", "open", "rename", "rmdir", "symlink", "unlink", "utime", "write",
)  # fmt: skip
_NEED_SPACE: Final = frozenset({"link", "mkdir", "open", "rename", "symlink", "write"})


class Killed(BaseException):
    """The process is gone. No `Exception`, so that nothing takes it for a failure it could deal with."""


@dataclass(frozen=True)
class Kill:
    """The process ends just before the call of that number."""

    number: int


@dataclass(frozen=True)
class Fail:
    """The call of that number fails; with `sticky` also every later one that would take space."""

    number: int
    errno: int
    sticky: bool = False


@dataclass(frozen=True)
class ShortWrite:
    """Every write takes at most so many bytes."""

    at_most: int


@dataclass(frozen=True)
class TornWrite:
    """The first write takes half of what it is given, every later one fails."""

    errno: int


@dataclass(frozen=True)
class Meanwhile:
    """Something else happens just before the call of that number."""

    number: int
    action: Callable[[], object]


@dataclass(frozen=True)
class Alongside:
    """Something else goes on beside the run: its next step comes just before each call, and is told the number."""

    step: Callable[[int], object]


Fault = Kill | Fail | ShortWrite | TornWrite | Meanwhile | Alongside


class Faults:
    """A `with` block in which the store's system calls are counted, and one of them goes wrong."""

    def __init__(self, fault: Fault | None = None) -> None:
        self.calls: list[str] = []
        self._fault = fault
        self._is_dead = False
        self._patches: list[Any] = []

    @property
    def count(self) -> int:
        """How many calls there were."""
        return len(self.calls)

    @property
    def struck(self) -> bool:
        """Whether the fault happened; a run that makes fewer calls than the one it was counted on escapes it."""
        fault = self._fault
        return isinstance(fault, Kill | Fail) and self.count > fault.number

    def __enter__(self) -> Self:
        self._patches = [
            mock.patch.object(files, "os", _Calls(self)),
            mock.patch.object(hooks.HookRunner, "run", self._guarded_handler()),
        ]
        for patch in self._patches:
            patch.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for patch in reversed(self._patches):
            patch.stop()

    def call(self, name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Make one system call, or do not."""
        if self._is_dead:
            raise Killed
        number = len(self.calls)
        self.calls.append(name)
        match self._fault:
            case Kill(number=wanted) if number == wanted:
                self._is_dead = True
                raise Killed
            case Fail(number=wanted, errno=code, sticky=sticky):
                if number == wanted or (sticky and number > wanted and name in _NEED_SPACE):
                    raise OSError(code, os.strerror(code))
            case Meanwhile(number=wanted, action=action) if number == wanted:
                action()
            case Alongside(step=step):
                step(number)
            case ShortWrite(at_most=most) if name == "write":
                descriptor, content = args
                return function(descriptor, memoryview(content)[:most])
            case TornWrite(errno=code) if name == "write":
                if self.calls.count("write") > 1:
                    raise OSError(code, os.strerror(code))
                descriptor, content = args
                return function(descriptor, memoryview(content)[: len(content) // 2])
        return function(*args, **kwargs)

    def _guarded_handler(self) -> Callable[..., Any]:
        run = hooks.HookRunner.run

        def guarded(runner: hooks.HookRunner, *args: Any) -> Any:
            if self._is_dead:
                raise Killed
            return run(runner, *args)

        return guarded


class _Calls:
    """The module `os` for `store.files`, with every call that changes the tree going through the faults."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def __getattr__(self, name: str) -> Any:
        value = getattr(os, name)
        if name not in CHANGES:
            return value

        def call(*args: Any, **kwargs: Any) -> Any:
            if name == "open" and not args[1] & os.O_CREAT:
                return value(*args, **kwargs)
            return self._faults.call(name, value, args, kwargs)

        return call


def out_of_space(number: int, *, sticky: bool = True) -> Fail:
    """The disk is full from that call on."""
    return Fail(number, errors.ENOSPC, sticky)
