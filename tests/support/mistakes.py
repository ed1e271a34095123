"""Mistakes that are one line long, made in a copy of the shipped program: a harness that misses one is no harness.

    with_mistake(MISTAKES["no sync of files"], tmp_path)   # the directory that PYTHONPATH has to name

A mistake whose line is there no longer is a mistake of this table: making it fails, loudly.
"""

# ruff: noqa: ISC004 - the right and the wrong lines read best below each other, without parentheses around each
from __future__ import annotations

import py_compile
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import vmcatcher
from support.site import Site

_PACKAGE: Final = Path(vmcatcher.__file__).parent


@dataclass(frozen=True)
class Mistake:
    """What somebody could write, and what that would cost."""

    module: str
    lines: tuple[tuple[str, str], ...]
    """What stands there, exactly once, and what stands there instead."""
    act: str
    """An act of `support.installed_acts` in which it matters."""
    sign: str
    """How what is found begins."""


class MistakeOutOfDate(AssertionError):
    """The line that a mistake is made in is not there exactly once."""


MISTAKES: Final[dict[str, Mistake]] = {
    "files are not synced": Mistake(
        "store/files.py",
        (("                os.fsync(descriptor)\n            finally:", "                pass\n            finally:"),),
        act="update",
        sign="found: I1",
    ),
    "directories are not synced": Mistake(
        "store/files.py",
        (("been told for.\n        os.fsync(parent)\n", "been told for.\n        pass\n"),),
        act="fresh cache run",
        sign="told, but not so",
    ),
    "links are not synced": Mistake(
        "store/files.py",
        (("        _forget(temporary, parent)\n        raise\n    os.fsync(parent)\n",
          "        _forget(temporary, parent)\n        raise\n"),),
        act="fresh cache run",
        sign="told, but not so",
    ),
    "removed names are not synced": Mistake(
        "store/files.py",
        (("os.unlink(name, dir_fd=parent)\n                os.fsync(parent)", "os.unlink(name, dir_fd=parent)"),),
        act="expiring cache run",
        sign="told, but not so",
    ),
    "files are written in place": Mistake(
        "store/files.py",
        (
            ("    temporary = temporary_name()\n    with _written(path, needed_bytes=len(content))",
             "    temporary = name\n    with _written(path, needed_bytes=len(content))"),
            ("        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC\n"
             "        descriptor = os.open(temporary, flags, mode, dir_fd=parent)\n        try:\n            try:\n",
             "        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC\n"
             "        descriptor = os.open(temporary, flags, mode, dir_fd=parent)\n        try:\n            try:\n"),
        ),
        act="update",
        sign="found: I1",
    ),
    "a file gets its name before it is synced": Mistake(
        "store/files.py",
        (
            ("                os.fsync(descriptor)\n            finally:",
             "                os.rename(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)\n"
             "                os.fsync(descriptor)\n            finally:"),
            ("                os.close(descriptor)\n"
             "            os.rename(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)\n",
             "                os.close(descriptor)\n"),
        ),
        act="update",
        sign="found: I1",
    ),
    "a download becomes a blob without being synced": Mistake(
        "store/files.py",
        (("& BLOB_MODE)\n        os.fsync(descriptor)\n", "& BLOB_MODE)\n"),),
        act="fresh cache run",
        sign="found: I2",
    ),
    "a blob is made read-only after it was synced": Mistake(
        "store/files.py",
        (("        os.chmod(descriptor, os.fstat(descriptor).st_mode & BLOB_MODE)\n        os.fsync(descriptor)\n",
          "        os.fsync(descriptor)\n        os.chmod(descriptor, os.fstat(descriptor).st_mode & BLOB_MODE)\n"),),
        act="fresh cache run",
        sign="found: I2",
    ),
    "the link comes before the commit": Mistake(
        "services/passage.py",
        (("            is_wanted = is_still_wanted(self._context, record)\n",
          "            is_wanted = is_still_wanted(self._context, record)\n"
          "            views.show(self._layout, self._views, self._views.cache, name, blob)\n"),),
        act="fresh cache run",
        sign="found: I3",
    ),
    "an event is struck off before it is told": Mistake(
        "services/passage.py",
        (("            if self._teller.tell_record(owed, record, filename_of(owed, record)):\n",
          "            self._put(record.struck(owed))\n"
          "            if self._teller.tell_record(owed, record, filename_of(owed, record)):\n"),),
        act="fresh cache run",
        sign="events",
    ),
    "an event is told before its record is kept": Mistake(
        "services/passage.py",
        (("            self._teller.tell_record(owed, record, record.image)\n        path = self.bytes_of(record)\n",
          "            self._teller.tell_record(owed, record, record.image)\n"
          "        early = replace(record.owed[0], kind=EventKind.EXPIRE_POSTFIX)\n"
          "        self._teller.tell_record(early, record, record.image)\n"
          "        path = self.bytes_of(record)\n"),),
        act="expiring cache run",
        sign="told, but not so",
    ),
    "the list is kept before the evidence of it": Mistake(
        "store/snapshots.py",
        (('    documents.put_document(os.path.join(directory, name + ".evidence"), ',
          '    files.put(path, verified.signed)\n'
          '    documents.put_document(os.path.join(directory, name + ".evidence"), '),),
        act="update",
        sign="found: I6",
    ),
}  # fmt: skip


def with_mistake(mistake: Mistake | None, directory: Path) -> Path:
    """Return a directory with a copy of the program that has the mistake, or none.

    Raises:
        MistakeOutOfDate: the program has changed where the mistake is made; make it anew.
    """
    shutil.copytree(_PACKAGE, directory / "vmcatcher", ignore=shutil.ignore_patterns("__pycache__"))
    if mistake is not None:
        module = directory / "vmcatcher" / mistake.module
        text = module.read_text()
        for right, wrong in mistake.lines:
            if text.count(right) != 1:
                raise MistakeOutOfDate(f"{mistake.module} has this {text.count(right)} times, not once:\n{right}")
            text = text.replace(right, wrong)
        module.write_text(text)
        py_compile.compile(str(module), cfile=str(directory / "compiled"), doraise=True)
    return directory


def demand_runs(site: Site, directory: Path) -> None:
    """Fail unless the installed commands run the copy where PYTHONPATH names it: else nothing would have been tried."""
    question = "import vmcatcher; print(vmcatcher.__file__)"
    answer = site.call("python", "-c", question, PYTHONPATH=str(directory)).out.strip()
    assert answer == str(directory / "vmcatcher" / "__init__.py"), answer
