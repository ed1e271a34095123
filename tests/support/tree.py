"""A directory tree as a value, and the invariants of a store as a list of what is broken."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from vmcatcher.store import root as store_root
from vmcatcher.store.check import check_store

# Change with every run and say nothing about it: who held a lock last.
_IGNORED = ("locks/",)


def tree(root: Path, *, ignore: tuple[str, ...] = _IGNORED) -> dict[str, str]:
    """Return path -> `dir`, `-> target`, or mode and digest, for everything below `root`."""
    found: dict[str, str] = {}
    for directory, names, files in os.walk(root):
        for name in sorted(names + files):
            path = Path(directory) / name
            relative = str(path.relative_to(root))
            if relative.startswith(ignore):
                continue
            status = path.lstat()
            if stat.S_ISLNK(status.st_mode):
                found[relative] = f"-> {os.readlink(path)}"
            elif stat.S_ISDIR(status.st_mode):
                found[relative] = "dir"
            elif stat.S_ISREG(status.st_mode):
                digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
                found[relative] = f"{stat.S_IMODE(status.st_mode):04o} {digest}"
            else:
                found[relative] = f"special {stat.S_IFMT(status.st_mode):o}"
    return found


def check_invariants(root: Path) -> list[str]:
    """Return the invariants of the store at `root` that do not hold, as text; notes are not among them."""
    layout = store_root.open_store(str(root))
    return [str(finding) for finding in check_store(layout, read_bytes=True) if finding.is_damage]
