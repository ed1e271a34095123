"""Reading a password from where nobody else can see it."""

from __future__ import annotations

import getpass
import sys
from typing import Final

from vmcatcher.errors.requests import BadPassword

_LONGEST_PASSWORD: Final = 4096
_LONGEST_LINE: Final = _LONGEST_PASSWORD + 2


def read_password(path: str) -> str:
    """Return the first line of a file; of stdin for `-`, which on a terminal is asked for.

    Raises:
        BadPassword: it cannot be read, or is too long for one.
    """
    try:
        if path == "-" and sys.stdin is None:
            raise BadPassword(why="it was to come from stdin, which is closed")
        if path != "-":
            with open(path, encoding="utf-8") as source:
                line = source.readline(_LONGEST_LINE)
        elif sys.stdin.isatty():
            line = getpass.getpass("Password: ")
        else:
            line = sys.stdin.readline(_LONGEST_LINE)
    except (OSError, UnicodeDecodeError, EOFError) as exc:
        raise BadPassword(why=f"it cannot be read from {path}") from exc
    password = line.rstrip("\r\n")
    if len(password) > _LONGEST_PASSWORD:
        raise BadPassword(why=f"the first line of {path} is longer than {_LONGEST_PASSWORD} characters")
    return password
