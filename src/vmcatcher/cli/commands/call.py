"""One call of a command, and what it answers."""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from vmcatcher.cli.boundary import flush, print_bytes
from vmcatcher.errors import VmcatcherError, printable
from vmcatcher.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from vmcatcher.cli.output.screen import Screen
    from vmcatcher.services.context import Context, Failure
    from vmcatcher.services.progress import Progress
    from vmcatcher.settings import Settings, Value

logger = logging.getLogger("main")
_TRY_AGAIN: Final = 75


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command found or did: the same for a terminal, a pipe and --json."""

    result: Mapping[str, object]
    """What --json shows as `result`; docs/reference/schema has a schema of it for each command."""
    show: Callable[[Screen], None]
    """Shows the same to people, and to pipes."""
    failed: Sequence[Failure] = ()
    """What of many things could not be done. Each is logged and part of the JSON document."""
    code: int | None = None
    """Exit code; None is for 0, or where something failed 1, or 75 where all of that may pass."""
    is_report: bool = False
    """It tells what was done, which nobody has to know who said --quiet."""
    is_told: bool = False
    """What failed was logged when it failed."""

    @property
    def exit_code(self) -> int:
        """What the command ends with."""
        return worst(failure.error for failure in self.failed) if self.code is None else self.code


@dataclass(frozen=True, slots=True)
class Run:
    """One call of a command: its name, what it was given for settings, and the settings that follow."""

    command: str
    flags: Mapping[str, Value]
    settings: Settings
    config: str | None = None
    """The settings file that --config names."""
    is_quiet: bool = False
    is_sure: bool = False
    """`--yes`: nobody is asked."""
    is_json: bool = False
    """`--json`: nothing but one document goes to stdout."""

    def with_flag(self, name: str, value: Value) -> Run:
        """Return the same call as if the option for the setting `name` had been given, unless `value` is None."""
        return self if value is None else self.with_flags({name: value})

    def with_flags(self, given: Mapping[str, Value]) -> Run:
        """Return the same call as if the options for these settings had been given; those that are None were not."""
        flags = {**self.flags, **{name: value for name, value in given.items() if value is not None}}
        settings = load_settings(flags, file=self.config)
        return replace(self, flags=flags, settings=settings)

    def reading(self) -> Context | None:
        """Return the context of a query; None, and a warning, where there is no store: nothing was ever done there."""
        from vmcatcher import wiring  # noqa: PLC0415 - `--help` must not pay for it

        context = wiring.reading(self.settings, self.command)
        if context is None:
            logger.warning("there is no store at %s", wiring.choose_store(self.settings).root)
        return context

    def demanding(self) -> Context:
        """Return the context of a query that makes no sense without a store.

        Raises:
            StoreMissing: there is none.
        """
        from vmcatcher import wiring  # noqa: PLC0415 - likewise
        from vmcatcher.errors.store import StoreMissing  # noqa: PLC0415 - likewise

        context = wiring.reading(self.settings, self.command)
        if context is None:
            raise StoreMissing(path=wiring.choose_store(self.settings).root)
        return context

    def writing(self, *, create: bool = False) -> Context:
        """Return the context of a command that changes the store; see `wiring.writing`."""
        from vmcatcher import wiring  # noqa: PLC0415 - likewise

        return wiring.writing(self.settings, self.command, create=create)

    def showing_progress(self) -> AbstractContextManager[Progress]:
        """Return, for a `with` block, what shows progress bars on a terminal, and elsewhere shows nothing."""
        from vmcatcher.cli.progress import showing  # noqa: PLC0415 - likewise

        return showing(self.settings.environment, is_quiet=self.is_quiet)

    def demand_consent(self, what: str) -> None:
        """Ask on a terminal whether to do `what` ("remove the subscription X"); return where --yes was given.

        Raises:
            NotConfirmed: the answer was not yes, or there is nobody to ask.
        """
        from vmcatcher.errors.choosing import NotConfirmed  # noqa: PLC0415 - likewise

        if self.is_sure:
            return
        if not (sys.stdin and sys.stdin.isatty() and sys.stderr and sys.stderr.isatty()):
            raise NotConfirmed(what=what, why="nobody is there to ask")
        # Not typer's own way of asking: Ctrl-C at its question is an error that nothing here would know.
        sys.stderr.write(printable(f"{what[:1].upper()}{what[1:]}? [y/N]: "))
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise NotConfirmed(what=what, why="the answer was no")

    def write_line(self, text: str = "") -> None:
        """Write one line of the result to stdout, at once: whoever reads a pipe sees it when it is so."""
        print_bytes(f"{text}\n".encode("utf-8", "backslashreplace"))
        flush()

    def write_printable(self, one: object) -> None:
        """Write one line about something that a list or another program may have named."""
        self.write_line(printable(one))


def worst(errors: Iterable[VmcatcherError]) -> int:
    """Return the exit code for what failed: 0 where nothing did, 75 where all of it may pass, else 1."""
    codes = {error.exit_code for error in errors}
    return 0 if not codes else _TRY_AGAIN if codes == {_TRY_AGAIN} else 1
