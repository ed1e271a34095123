"""vmcatcher_eventHndlExpl: the example event handler, which writes each event it is told as one line of JSON."""

from __future__ import annotations

import argparse
import json
import logging
import logging.config
import os
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from vmcatcher import __version__
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
    options = _parser().parse_args(arguments)
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=_PROGRAM,
        description="Example event handler: append the variables of the event as one line of JSON, keys sorted.",
        epilog=f"Use it as: vmcatcher_cache -x '{_PROGRAM} --output_file /var/log/vmcatcher/events.json'",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parser.add_argument("--output_file", metavar="FILE", help="file to append to")
    parser.add_argument("--datetime", action="store_true", help="add DATETIME, the time of writing (UTC)")
    parser.add_argument(
        "--generator",
        metavar="minium",
        help="minium: leave out variables that are not set; otherwise they are empty strings",
    )
    parser.add_argument("-v", "--verbose", action="count", default=0, help="log more (repeatable)")
    parser.add_argument("-q", "--quiet", action="count", default=0, help="log less (repeatable)")
    parser.add_argument(
        "-L", "--log-config", "--logfile", "--logcfg", metavar="FILE", help="logging configuration to use"
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
