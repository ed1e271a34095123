"""The parser of the classic command lines: their common options, and the classic words for a wrong one."""

from __future__ import annotations

import argparse
import re
import sys
from typing import TYPE_CHECKING, Final, NoReturn

from vmcatcher import __version__
from vmcatcher.cli.boundary import bounded, leave, print_bytes
from vmcatcher.cli.classic.help import HelpFormatter, epilog, usage
from vmcatcher.errors import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from _typeshed import SupportsWrite

_AMBIGUOUS: Final = re.compile(r"(ambiguous option: --[^=\s]*)=.*( could match )", re.DOTALL)


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
