"""What the last run could not do, image by image: bookkeeping, so that somebody who looks later sees why.

It lies beside what runs told. Losing it costs an explanation and nothing else.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from vmcatcher.errors import VmcatcherError
from vmcatcher.model.instant import instant_text, parse_instant
from vmcatcher.store import files, reading

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from vmcatcher.store.layout import Layout

_NAME: Final = "not-done.jsonl"
_LONGEST: Final = 2**24


@dataclass(frozen=True, slots=True)
class NotDone:
    """Why an image is not as it should be."""

    error_id: str
    error: str
    since: datetime
    """When a run met that for the first time; later ones met something, too."""


def read_not_done(layout: Layout) -> dict[str, NotDone]:
    """Return what the last run could not do, by image; nothing where that cannot be read."""
    try:
        lines = reading.read(os.path.join(layout.event_log, _NAME), limit_bytes=_LONGEST).decode().splitlines()
    except (VmcatcherError, FileNotFoundError, UnicodeDecodeError):
        return {}
    found = {}
    for line in lines:
        try:
            one = json.loads(line)
            since = parse_instant(str(one["since"]))
            found[str(one["image"])] = NotDone(str(one["error_id"]), str(one["error"]), since)
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
    return found


def put_not_done(layout: Layout, found: Mapping[str, VmcatcherError], now: datetime) -> None:
    """Keep what a run could not do in place of what the one before could not; `found` is by image.

    Raises:
        StoreFull, StoreReadOnly, StoreInputOutput: what was noted before is there still.
    """
    before = read_not_done(layout)
    known = {
        image: NotDone(error.id, str(error), before[image].since if image in before else now)
        for image, error in found.items()
    }
    if known == before:
        return
    path = os.path.join(layout.event_log, _NAME)
    if not known:
        files.drop(path)
        return
    lines = (
        json.dumps({"image": image, "error_id": one.error_id, "error": one.error, "since": instant_text(one.since)})
        for image, one in sorted(known.items())
    )
    files.make_directory(layout.event_log)
    files.put(path, "".join(f"{line}\n" for line in lines).encode())
