"""Count what a command does: the files that it opens below a directory, and the functions that it calls.

A process of its own, since audit hooks stay:

counting.py STORE COMMAND [ARGUMENT…]   prints a JSON object: `open NAME`, `write NAME`, `list NAME`, `calls` -> count
"""

from __future__ import annotations

import importlib
import json
import os
import re
import sys
from collections import Counter
from contextlib import redirect_stdout

_MODULES = {
    "vmcatcher": "vmcatcher.cli.app",
    "vmcatcher_cache": "vmcatcher.cli.classic.cache",
    "vmcatcher_image": "vmcatcher.cli.classic.image",
}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
# What tells one file from others of its kind: identifiers, numbers, times, digests.
_OWN = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{128}|[0-9]{6}-[0-9TZ]+|(?<=/)[0-9]+(?=\.json)")


def counted(store: str, command: str, arguments: list[str]) -> Counter[str]:
    """Run a command and return what it did below the store, by kinds of files."""
    found: Counter[str] = Counter()
    main = importlib.import_module(_MODULES[command]).main

    def hook(event: str, about: tuple[object, ...]) -> None:
        if event not in ("open", "os.listdir", "os.scandir") or not str(about[0]).startswith(store):
            return
        flags = about[2] if event == "open" else 0
        word = "list" if event != "open" else "write" if isinstance(flags, int) and flags & _WRITES else "open"
        found[f"{word} {_OWN.sub('*', str(about[0])[len(store) + 1 :])}"] += 1

    def profile(_: object, event: str, __: object) -> None:
        found["calls"] += event == "call"

    sys.addaudithook(hook)
    sys.setprofile(profile)
    code: object = 0
    try:
        code = main(arguments)
    except SystemExit as stop:
        code = stop.code
    finally:
        sys.setprofile(None)
    assert not code, code
    return Counter(found)


if __name__ == "__main__":
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
        done = counted(sys.argv[1], sys.argv[2], sys.argv[3:])
    print(json.dumps(done))
