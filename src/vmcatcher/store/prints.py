"""What the file system says of a file: while it says the same, nobody has written to it."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

NOTHING: Final = "-"


def print_of(path: str) -> str:
    """Return the print of what stands at `path` itself, be it a file or a directory; `-` where nothing can be seen.

    Every change through `files` is a rename and gives another inode; of a directory, every name that comes or goes
    changes its times. Bytes that rot below the file system do not show: who relies on a print has to look again some
    time.
    """
    try:
        found = os.lstat(path)
    except OSError:
        return NOTHING
    return f"{found.st_ino}:{found.st_size}:{found.st_mtime_ns}:{found.st_ctime_ns}"
