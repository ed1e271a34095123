"""What the classic commands have in common: how one is run, output files, the store they work on.

Plain listings load this, too: what only other command lines need is imported where it is used.
"""

from __future__ import annotations

import sys

from vmcatcher import wiring
from vmcatcher.cli import speech
from vmcatcher.cli.boundary import bounded, print_bytes
from vmcatcher.cli.classic.listing import Query
from vmcatcher.errors.requests import OutputUnwritable
from vmcatcher.light import dataclass
from vmcatcher.settings import load_settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Final

    from vmcatcher.cli.classic.parser import Parser
    from vmcatcher.services.context import Context
    from vmcatcher.services.images import CurrentList
    from vmcatcher.settings import Value


__all__ = ["Outputs", "Parser", "Run", "break_lock", "one_action", "run_command", "run_listing", "signed_output"]


def __getattr__(name: str) -> object:
    if name == "Parser":
        from vmcatcher.cli.classic.parser import Parser  # noqa: PLC0415 - plain listings do without

        return Parser
    return object.__getattribute__(sys.modules[__name__], name)


@dataclass(frozen=True, slots=True)
class Run(Query):
    """One call of a classic command: its options and its settings."""

    options: argparse.Namespace

    def writing(self, *, create: bool = False) -> Context:
        """Return the context of a command that changes the store."""
        return wiring.writing(self.settings, self.command, create=create)


def write_in_utf8() -> None:
    """Have stdout take any character: titles are in any language, also where cron runs us in the C locale."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")


def run_listing(command: str, given: Mapping[str, str], body: Callable[[Query], int]) -> int:
    """Load the settings and run `body`, which lists something; return the exit code.

    A log configuration is used as everywhere; without one, logging is set up only if there is something to say.
    """
    write_in_utf8()

    def whole() -> int:
        speech.before_first_line(lambda: _set_up_logs(None))
        settings = load_settings(given)
        config = settings.optional("log_config")
        if config is not None:
            _set_up_logs(config)
        query = Query(command, settings)
        return body(query) if query.is_format_known() else 1

    return bounded(whole, classic=True)


def _set_up_logs(config: str | None) -> None:
    from vmcatcher.cli import logs  # noqa: PLC0415 - see `speech`

    logs.set_up(verbose=0, quiet=0, config=config)


def run_command(parser: Parser, argv: Sequence[str] | None, flags: Iterable[str], body: Callable[[Run], int]) -> int:
    """Parse, load the settings, set up logging and run `body`; return the exit code.

    `flags` are the options that override a setting of the same name.
    """
    write_in_utf8()
    options = parser.parse_classic(argv)

    def whole() -> int:
        from vmcatcher.cli import logs  # noqa: PLC0415 - see `speech`

        logs.set_up(verbose=options.verbose, quiet=options.quiet, config=None)
        given: dict[str, Value] = {name: getattr(options, name) for name in (*_ALWAYS, *flags)}
        settings = load_settings(given)
        logs.set_up(verbose=options.verbose, quiet=options.quiet, config=settings.optional("log_config"))
        run = Run(parser.prog, settings, options)
        if options.break_lock:
            break_lock(run, options.break_lock)
        return body(run)

    return bounded(whole, classic=True, debug=options.debug)


_ALWAYS: Final = ("store", "database", "log_config", "wait")


def break_lock(run: Run, claim: str) -> None:
    """Break the claim on a lock that the operator names, before the command does what it is asked for."""
    context = run.reading()
    if context is not None:
        context.break_claim(claim)


def one_action(chosen: Sequence[object]) -> bool:
    """Tell whether exactly one action was chosen; says in the classic words where it was not."""
    count = sum(1 for action in chosen if action)
    if count == 1:
        return True
    speech.logger("main").error("No actions selected" if count == 0 else "More than one action selected.")
    return False


def signed_output(run: Run, current: CurrentList) -> bytes:
    """Return a current list as `SMIME` (the signed bytes, unchanged) or `message` (their content, verified again).

    Raises:
        ListRefused: the stored bytes do not verify any more, or the trust directory lacks the signer's CA.
    """
    from vmcatcher.store.snapshots import read_signed  # noqa: PLC0415 - likewise

    signed = read_signed(current.snapshot)
    if run.format == "SMIME":
        return signed
    from vmcatcher.trust.verify import judge  # noqa: PLC0415 - no other query needs cryptography

    anchors = wiring.trust_anchors(run.settings, None)
    rules = wiring.trust_rules(run.settings)
    return judge(signed, anchors, admitted=current.snapshot.kept, now=wiring.clock(), rules=rules).content


class Outputs:
    """Where results go: the n-th `-o` file takes the n-th selection, the rest goes to stdout."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = list(paths)

    def write(self, content: bytes, selection: int) -> None:
        """Write the result for a selection; the first one is 0, and one that selects nothing counts, too.

        Raises:
            OutputUnwritable: the file, or stdout, cannot be written.
        """
        if selection >= len(self._paths):
            print_bytes(content)
            return
        path = self._paths[selection]
        try:
            with open(path, "wb") as target:
                target.write(content)
        except OSError as exc:
            raise OutputUnwritable(path=path, why=exc.strerror or str(exc)) from exc
