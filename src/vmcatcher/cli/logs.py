"""Logging of the commands: one line on stderr, as `LEVEL:logger:message`, or what a configuration file says."""

from __future__ import annotations

import logging
import os
import sys
from typing import TextIO

from vmcatcher.cli import speech
from vmcatcher.errors import printable
from vmcatcher.errors.settings import LogConfigBad, LogConfigMissing


class OneLine(logging.Formatter):
    """A formatter that never writes more than one line, nor anything that a terminal would act on."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one printable line; a traceback, where one was asked for, follows below it."""
        line = printable(f"{record.levelname}:{record.name}:{record.getMessage()}")
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class _Stderr(logging.StreamHandler[TextIO]):
    """Writes to what stderr is at that moment: progress bars on a terminal put themselves between."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record."""
        if sys.stderr is not None:
            self.stream = sys.stderr
            super().emit(record)


def set_up(*, verbose: int, quiet: int, config: str | None) -> None:
    """Send log records where the operator wants them: `config` over the counts of -v and -q; WARNING by default.

    Raises:
        LogConfigMissing, LogConfigBad: about `config`.
    """
    speech.begin()
    # Messages about the configuration itself need a place to go, too.
    handler = _Stderr()
    handler.setFormatter(OneLine())
    level = min(max(logging.WARNING + 10 * (quiet - verbose), logging.DEBUG), logging.CRITICAL)
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in ("urllib3", "requests", "filelock"):
        # Their lines hold URLs and headers that we would have to censor, and tracebacks.
        logging.getLogger(name).setLevel(max(level, logging.ERROR))
    if config is not None:
        if not os.path.exists(config):
            raise LogConfigMissing(path=config)
        _configure(config)


def _configure(path: str) -> None:
    try:
        if path.endswith(".json"):
            import json  # noqa: PLC0415 - only where such a file is used

            with open(path, encoding="utf-8") as source:
                _configure_from(json.load(source))
        elif path.endswith(".toml"):
            import tomllib  # noqa: PLC0415 - likewise

            with open(path, "rb") as binary:
                _configure_from(tomllib.load(binary))
        else:
            from logging.config import fileConfig  # noqa: PLC0415 - likewise; it loads sockets and threads

            fileConfig(path, disable_existing_loggers=False)
    except Exception as exc:
        # Python evaluates parts of the file and calls what it names: anything can come of a slip in it.
        raise LogConfigBad(path=path, why=str(exc.__cause__ or exc) or type(exc).__name__) from exc


def _configure_from(document: dict[str, object]) -> None:
    from logging.config import dictConfig  # noqa: PLC0415 - likewise

    # Python's default would silence every logger that was made before, and ours were: nothing would be logged at all.
    dictConfig({"disable_existing_loggers": False, **document})
