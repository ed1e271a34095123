"""Files in a store that vmcatcher did not put there. They are named and left alone (invariant I13)."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from vmcatcher.store import files
from vmcatcher.store.layout import MARKER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmcatcher.store.layout import Layout

_DOCUMENT: Final = re.compile(r".+\.json")
_SNAPSHOT: Final = re.compile(r"\d{6,}-\d{8}T\d{6}Z\.(smime|evidence)")
_OF_SUBSCRIPTION: Final = re.compile(r"(subscription|secret|fetch|verdict|manifest)\.json|index\.tsv|lists")
_RECORD: Final = re.compile(r"[1-9][0-9]*\.json")
_PREFIX: Final = re.compile(r"[0-9a-f]{2}")
_VETO: Final = re.compile(r"[0-9a-f]{128}\.json")
_LOG: Final = re.compile(r".+\.jsonl")
_LOCK: Final = re.compile(r"(update|cache|store)\.lock")


def strangers(layout: Layout) -> Iterator[str]:
    """Yield the path of every file that is none of ours, but for those in the views, in no order."""
    yield from _in_root(layout)
    for directory, own in (
        (layout.endorsers, _DOCUMENT),
        (layout.vetoes, _VETO),
        (layout.marks, _DOCUMENT),
        (layout.failed_events, _DOCUMENT),
        (layout.event_log, _LOG),
        (layout.locks, _LOCK),
    ):
        yield from _others(directory, own)
    for list_id in files.directories(layout.subscriptions):
        if os.path.lexists(layout.subscription(list_id)):
            yield from _others(layout.subscription_directory(list_id), _OF_SUBSCRIPTION)
            yield from _others(layout.lists(list_id), _SNAPSHOT)
    for image in files.directories(layout.cache):
        yield from _others(layout.records(image), _RECORD)
    top = os.path.join(layout.blobs, "sha512")
    for prefix in files.directories(top):
        if _PREFIX.fullmatch(prefix):
            yield from _others(os.path.join(top, prefix), re.compile(prefix + r"[0-9a-f]{126}"))
        else:
            yield os.path.join(top, prefix)
    for directory in (layout.subscriptions, layout.cache, top):
        held = set(files.directories(directory))
        yield from (os.path.join(directory, name) for name in files.names(directory) if name not in held)


def _in_root(layout: Layout) -> Iterator[str]:
    # lost+found: the store may be a file system of its own.
    known = {
        MARKER,
        "lost+found",
        *(os.path.relpath(path, layout.root).split(os.sep)[0] for path in layout.directories),
    }
    yield from (os.path.join(layout.root, name) for name in files.names(layout.root) if name not in known)


def _others(directory: str, own: re.Pattern[str]) -> Iterator[str]:
    yield from (os.path.join(directory, name) for name in files.names(directory) if not own.fullmatch(name))
