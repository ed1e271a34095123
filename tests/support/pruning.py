"""What the tests of pruning share: time that lapses for files, too, and a cache lock that somebody holds."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self
from unittest import mock

from support.site import LIST_ID, Result, Site, image_id


def prune(site: Site, *options: str, **environment: str) -> Result:
    """Run `vmcatcher store prune` in this process, with the site's clock."""
    return vmcatcher(site, "store", "prune", *options, **environment)


def vmcatcher(site: Site, *arguments: str, **environment: str) -> Result:
    """Run `vmcatcher` in this process, with the site's clock."""
    from vmcatcher import wiring
    from vmcatcher.cli import app

    out, err = io.BytesIO(), io.StringIO()
    text = io.TextIOWrapper(out, encoding="utf-8", write_through=True)
    with (
        mock.patch.dict(os.environ, {**site.environment, **environment}),
        mock.patch.object(wiring, "clock", return_value=site.now),
        _quiet_logging(),
        contextlib.redirect_stdout(text),
        contextlib.redirect_stderr(err),
    ):
        try:
            app.main(arguments)
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
        finally:
            text.flush()
            text.detach()
    return Result(code, out.getvalue().decode(), err.getvalue(), out.getvalue())


@contextlib.contextmanager
def _quiet_logging() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    try:
        yield
    finally:
        root.handlers[:], root.level = before


def lapse(site: Site, time: timedelta) -> None:
    """Let time go by, and a minute more: files of the store carry the time of the machine, which is a little later."""
    site.now += time + timedelta(minutes=1)


def age(path: Path, time: timedelta) -> None:
    """Make a file older by that time."""
    status = path.lstat()
    changed = status.st_mtime_ns - int(time.total_seconds()) * 10**9
    os.utime(path, ns=(status.st_atime_ns, changed), follow_symlinks=False)


def blobs(site: Site) -> set[str]:
    """Return the digests of the stored bytes."""
    return {path.name for path in (site.store / "blobs" / "sha512").glob("*/*")}


def blob(site: Site, digest: str) -> Path:
    """Return where the bytes of that digest are."""
    return site.store / "blobs" / "sha512" / digest[:2] / digest


def snapshot_of(site: Site, image: int) -> str:
    """Return the name of the list that the newest record of an image names."""
    path = max((site.store / "cache" / image_id(image)).iterdir())
    return str(json.loads(path.read_text())["snapshot"])


def stranger_names() -> dict[str, tuple[str, ...]]:
    """Return names of somebody else's files, by directory, most of them close to names that vmcatcher gives."""
    digest = "0f" * 64
    return {
        ".": ("notes.txt",),
        "blobs/sha512": ("README",),
        "blobs/sha512/0f": (digest[:-1], digest + ".bak", "ff" * 64),
        "cache": ("notes.json",),
        f"cache/{image_id(1)}": ("01.json", "1.json.orig"),
        "endorsed": (f"{image_id(9)}",),
        "events/failed": ("notes.txt", "a b.json"),
        "events/log": ("notes.jsonl", "20200101T000000Z.jsonl", "99999999T999999Z-x.jsonl"),
        "expired": (f"{image_id(9)}.2020-01-01_00-00-00", "notes"),
        "partial": (f"{digest}.part", ".tmp-mine", ".tmp-12-abc", f"{digest}.1-xyz"),
        "quarantine": ("notes.txt", digest),
        f"subscriptions/{LIST_ID}/lists": ("000000-backup.smime", "old.evidence"),
        "locks": ("mine.lock",),
        "trust": ("abcd.r0",),
        "vetoes": (f"{digest}.json",),
    }


class CacheHeld:
    """A `with` block in which another process holds the cache lock of the site."""

    _HOLD = """
import sys
from datetime import UTC, datetime
from vmcatcher.store.locks import Holder, hold
from vmcatcher.store.root import open_store
with hold(open_store(sys.argv[1]), "cache", Holder("a cache run", datetime.now(UTC)), wait_s=5):
    print("held", flush=True)
    sys.stdin.read()
"""

    def __init__(self, site: Site) -> None:
        self._site = site

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-c", self._HOLD, str(self._site.store)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"held\n"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate(timeout=10)
