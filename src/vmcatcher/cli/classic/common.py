"""What the classic commands have in common: options, their settings, output files, the store they work on."""

from __future__ import annotations

import argparse
import logging
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NoReturn

from vmcatcher import __version__, wiring
from vmcatcher.cli import logs
from vmcatcher.cli.boundary import bounded, leave, print_bytes
from vmcatcher.cli.classic.help import HelpFormatter, epilog, usage
from vmcatcher.errors import printable
from vmcatcher.errors.requests import OutputUnwritable
from vmcatcher.settings import load_settings
from vmcatcher.store.snapshots import read_signed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from _typeshed import SupportsWrite

    from vmcatcher.services.context import Context, Failure
    from vmcatcher.services.images import CurrentList
    from vmcatcher.settings import Settings, Value

FORMATS: Final = ("SMIME", "message", "lines", "json")
_AMBIGUOUS: Final = re.compile(r"(ambiguous option: --[^=\s]*)=.*( could match )", re.DOTALL)
logger = logging.getLogger("main")


class Parser(argparse.ArgumentParser):
    """A parser with the options of all classic commands, and the classic words for a wrong one."""

    def __init__(self, command: str, description: str, synopsis: Sequence[str], examples: Sequence[str]) -> None:
        """`synopsis` has a line for each way to call the command, without its name; `examples` are whole lines."""
        super().__init__(
            prog=command,
            usage=usage(command, synopsis),
            description=description,
            epilog=epilog(examples),
            formatter_class=HelpFormatter,
            add_help=False,
        )
        common = self.add_argument_group("for all commands")
        common.add_argument("-h", "--help", action="help", help="show this help and exit")
        common.add_argument("--version", action="version", version=f"{command} {__version__}",
                            help="show the version and exit")  # fmt: skip
        common.add_argument("-v", "--verbose", action="count", default=0, help="log what changes (twice: everything)")
        common.add_argument("-q", "--quiet", action="count", default=0, help="log errors only (twice: next to nothing)")
        common.add_argument("-L", "--logfile", "--log-config", dest="log_config", metavar="FILE",
                            help="logging configuration of Python: a .toml, .json or ini file")  # fmt: skip
        common.add_argument("--store", metavar="DIR",
                            help="directory of the store (default: /var/lib/vmcatcher for root, "
                            "~/.local/share/vmcatcher for others)")  # fmt: skip
        common.add_argument("-d", "--database", metavar="URL",
                            help="the store as the URL of a classic database: sqlite:////DIR/NAME.db "
                            "names /DIR/NAME")  # fmt: skip
        common.add_argument("--wait", type=float, metavar="SECONDS",
                            help="how long to wait for another run to end (default: 0)")  # fmt: skip
        common.add_argument("--break-lock", metavar="CLAIM",
                            help="break a claim that a dead host left on a shared store, then go on")  # fmt: skip
        common.add_argument("--debug", action="store_true", help="show a traceback with an error")
        # The classic parser counted SQL statements and took stray words without a comment; cron lines may have some.
        common.add_argument("--log-sql-info", action="store_true", help=argparse.SUPPRESS)

    def parse_classic(self, argv: Sequence[str] | None) -> argparse.Namespace:
        """Return the options; stray words are ignored, as ever, and so is all that follows `--`."""
        words = list(sys.argv[1:] if argv is None else argv)
        found, rest = self.parse_known_args(words[: words.index("--")] if "--" in words else words)
        for word in rest:
            if word.startswith("-") and word != "-":
                self.error(f"no such option: {word.partition('=')[0]}")
        return found

    def _print_message(self, message: str, file: SupportsWrite[str] | None = None) -> None:
        # argparse would swallow that stdout takes no help text; a closed pipe and a full disk end like all others.
        if file is None:  # the caller closed it
            return
        if file is not sys.stdout:
            try:
                sys.stderr.write(message)
            except OSError:  # a full disk behind stderr must not change the exit code
                leave(sys.stderr)
            return

        def write() -> int:
            print_bytes(message.encode("utf-8", "backslashreplace"))
            return 0

        code = bounded(write, classic=True)
        if code:
            raise SystemExit(code)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the usage on stderr and end with 2."""
        # A shortened option that could be several is quoted with its value, which may be a password.
        message = _AMBIGUOUS.sub(r"\1\2", message)
        self.exit(2, f"Usage: {self.prog} [options]\n\n{self.prog}: error: {printable(message)}\n")


@dataclass(frozen=True, slots=True)
class Run:
    """One call of a classic command: its options and its settings."""

    command: str
    options: argparse.Namespace
    settings: Settings

    def reading(self) -> Context | None:
        """Return the context of a query; warns where there is no store."""
        context = wiring.reading(self.settings, self.command)
        if context is None:
            logger.warning("there is no store at %s", wiring.choose_store(self.settings).root)
        return context

    def writing(self, *, create: bool = False) -> Context:
        """Return the context of a command that changes the store."""
        return wiring.writing(self.settings, self.command, create=create)

    @property
    def format(self) -> str:
        """The output format that was asked for; `is_format_known` has looked at it."""
        return self.settings.text("output_format")

    def is_format_known(self) -> bool:
        """Tell whether the output format is one of the four; says so where it is not."""
        if self.format in FORMATS:
            return True
        logger.error("Invalid format '%s' allowed formats are '%s'", self.format, ", ".join(FORMATS))
        return False


def run_command(parser: Parser, argv: Sequence[str] | None, flags: Iterable[str], body: Callable[[Run], int]) -> int:
    """Parse, load the settings, set up logging and run `body`; return the exit code.

    `flags` are the options that override a setting of the same name.
    """
    if hasattr(sys.stdout, "reconfigure"):
        # Titles are in any language, also where cron runs us in the C locale.
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    options = parser.parse_classic(argv)

    def whole() -> int:
        logs.set_up(verbose=options.verbose, quiet=options.quiet, config=None)
        given: dict[str, Value] = {name: getattr(options, name) for name in (*_ALWAYS, *flags)}
        settings = load_settings(given)
        logs.set_up(verbose=options.verbose, quiet=options.quiet, config=settings.optional("log_config"))
        run = Run(parser.prog, options, settings)
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


def say_unread(failed: Iterable[Failure]) -> int:
    """Say what of a listing could not be read; return the exit code, 1 where something is lacking."""
    code = 0
    for failure in failed:
        logger.error("subscription %s: %s", failure.subject, failure.error.one_line())
        code = 1
    return code


def one_action(chosen: Sequence[object]) -> bool:
    """Tell whether exactly one action was chosen; says in the classic words where it was not."""
    count = sum(1 for action in chosen if action)
    if count == 1:
        return True
    logger.error("No actions selected" if count == 0 else "More than one action selected.")
    return False


def signed_output(run: Run, current: CurrentList) -> bytes:
    """Return a current list as `SMIME` (the signed bytes, unchanged) or `message` (their content, verified again).

    Raises:
        ListRefused: the stored bytes do not verify any more, or the trust directory lacks the signer's CA.
    """
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


def as_lines(lines: Iterable[str]) -> bytes:
    """Return a result of several lines as bytes, whatever characters are in it."""
    return "".join(line + "\n" for line in lines).encode("utf-8", "backslashreplace")


def print_lines(lines: Iterable[str]) -> None:
    """Write a result of several lines to stdout; for errors see `print_bytes`."""
    print_bytes(as_lines(lines))
