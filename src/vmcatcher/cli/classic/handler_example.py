"""vmcatcher_eventHndlExpl: the example event handler, which writes each event it is told as one line of JSON."""

from __future__ import annotations

import argparse
import json
import logging
import logging.config
import os
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NoReturn

from vmcatcher import __version__
from vmcatcher.cli.classic.help import HelpFormatter, epilog, usage
from vmcatcher.errors import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PROGRAM: Final = "vmcatcher_eventHndlExpl"
# What the classic example wrote, every one of them on every line, and the variables of events that came later.
_VARIABLES: Final = (
    "VMCATCHER_CACHE_ACTION_CHECK",
    "VMCATCHER_CACHE_ACTION_DOWNLOAD",
    "VMCATCHER_CACHE_ACTION_EXPIRE",
    "VMCATCHER_CACHE_DIR_CACHE",
    "VMCATCHER_CACHE_DIR_DOWNLOAD",
    "VMCATCHER_CACHE_DIR_EXPIRE",
    "VMCATCHER_CACHE_EVENT",
    "VMCATCHER_DIR_CERT",
    "VMCATCHER_EVENT_AD_MPURI",
    "VMCATCHER_EVENT_ATTEMPT",
    "VMCATCHER_EVENT_DC_DESCRIPTION",
    "VMCATCHER_EVENT_DC_IDENTIFIER",
    "VMCATCHER_EVENT_DC_TITLE",
    "VMCATCHER_EVENT_FILENAME",
    "VMCATCHER_EVENT_HV_FORMAT",
    "VMCATCHER_EVENT_HV_HYPERVISOR",
    "VMCATCHER_EVENT_HV_SIZE",
    "VMCATCHER_EVENT_HV_URI",
    "VMCATCHER_EVENT_HV_VERSION",
    "VMCATCHER_EVENT_ID",
    "VMCATCHER_EVENT_IL_DC_IDENTIFIER",
    "VMCATCHER_EVENT_REASON",
    "VMCATCHER_EVENT_SL_ARCH",
    "VMCATCHER_EVENT_SL_CHECKSUM_SHA512",
    "VMCATCHER_EVENT_SL_COMMENTS",
    "VMCATCHER_EVENT_SL_OS",
    "VMCATCHER_EVENT_SL_OSVERSION",
    "VMCATCHER_EVENT_TYPE",
    "VMCATCHER_EVENT_UUID_SESSION",
    "VMCATCHER_EVENT_VO",
    "VMCATCHER_LOG_CONF",
    "VMCATCHER_RDBMS",
    "VMCATCHER_STORE",
)
_MINIMUM: Final = ("minium", "minimum")
_LEVELS: Final = (logging.CRITICAL, logging.ERROR, logging.WARNING, logging.INFO, logging.DEBUG)

logger = logging.getLogger(_PROGRAM)


def main(arguments: Sequence[str] | None = None) -> int:
    """Append the event in the environment to the output file; return 0 if it is there, 1 if not, 2 for bad usage."""
    options = _parser().parse_classic(arguments)
    if not _start_logging(options.log_config, options.verbose - options.quiet):
        return 1
    if options.output_file is None:
        logger.warning("no --output_file, so the event is written nowhere; --help names the options")
        return 0
    event = _event(os.environ, only_set=options.generator in _MINIMUM)
    if options.datetime:
        event["DATETIME"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    try:
        is_whole = _append_line(options.output_file, json.dumps(event, sort_keys=True))
        why = None if is_whole else "no space left for the whole line"
    except OSError as exc:
        why = exc.strerror
    if why is not None:
        logger.error("cannot write %s: %s", printable(options.output_file), why)
    return 0 if why is None else 1


class _Parser(argparse.ArgumentParser):
    def parse_classic(self, arguments: Sequence[str] | None) -> argparse.Namespace:
        """Return the options; stray words are ignored, as ever."""
        options, rest = self.parse_known_args(arguments)
        for word in rest:
            if word.startswith("-") and word not in ("-", "--"):
                self.error(f"no such option: {word}")
        return options

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the usage on stderr and end with 2."""
        self.exit(2, f"Usage: {self.prog} [options]\n\n{self.prog}: error: {printable(message)}\n")


def _parser() -> _Parser:
    parser = _Parser(
        prog=_PROGRAM,
        usage=usage(_PROGRAM, ("--output_file FILE [--datetime] [--generator minium]",)),
        description="Example event handler: append the variables of the event to a file, as one line of JSON.",
        epilog=epilog((f"vmcatcher_cache -x '{_PROGRAM} --output_file /var/log/vmcatcher/events.json'",)),
        formatter_class=HelpFormatter,
        add_help=False,
    )
    parser.add_argument("-h", "--help", action="help", help="show this help and exit")
    parser.add_argument(
        "--version", action="version", version=f"%(prog)s {__version__}", help="show the version and exit"
    )
    parser.add_argument("--output_file", metavar="FILE", help="file to append to; it is made if it is not there")
    parser.add_argument("--datetime", action="store_true", help="add DATETIME, the time of writing (UTC)")
    parser.add_argument(
        "--generator",
        metavar="minium",
        help="with this word, variables that are not set are left out; without, they are empty",
    )
    parser.add_argument("-v", "--verbose", action="count", default=0, help="log more; may be repeated")
    parser.add_argument("-q", "--quiet", action="count", default=0, help="log less; may be repeated")
    parser.add_argument(
        "-L",
        "--log-config",
        "--logfile",
        "--logcfg",
        metavar="FILE",
        help="logging configuration of Python, an ini file",
    )
    return parser


def _start_logging(config: str | None, louder: int) -> bool:
    if config is None:
        level = _LEVELS[max(0, min(len(_LEVELS) - 1, 2 + louder))]
        logging.basicConfig(level=level, format="%(levelname)s:%(name)s:%(message)s", stream=sys.stderr)
        return True
    try:
        with open(config, encoding="utf-8") as file:
            logging.config.fileConfig(file, disable_existing_loggers=False)
    except Exception as exc:
        # The file may name any class of any module, which may raise anything.
        why = f"{type(exc).__name__}: {printable(exc)}"
        sys.stderr.write(f"{_PROGRAM}: cannot use the logging configuration {printable(config)}: {why}\n")
        return False
    return True


def _event(environment: Mapping[str, str], *, only_set: bool) -> dict[str, str]:
    if only_set:
        return {name: environment[name] for name in _VARIABLES if name in environment}
    return {name: environment.get(name, "") for name in _VARIABLES}


def _append_line(path: str, line: str) -> bool:
    """Add a line to the file in one write; False if the disk took only its beginning.

    Several writes would let handlers that run at the same time get into each other's lines.
    """
    whole = line.encode("ascii") + b"\n"
    with open(path, "ab", buffering=0) as file:
        return file.write(whole) == len(whole)
