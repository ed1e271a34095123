"""Files in a store that vmcatcher did not put there. They are named and left alone (invariant I13).

What lies in `quarantine/` and `trust/` may be anything and is nobody's business here.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from vmcatcher.store import downloads, reading, views
from vmcatcher.store.layout import MARKER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmcatcher.store.layout import Layout

_DOCUMENT: Final = re.compile(r".+\.json")
_DECISION: Final = re.compile(r".+\.json(\.lost)?")
_SNAPSHOT: Final = re.compile(r"\d{6,}-\d{8}T\d{6}Z\.(smime|evidence)")
_OF_SUBSCRIPTION: Final = re.compile(
    r"(subscription|secret)\.json(\.lost)?|(fetch|verdict|manifest)\.json|index\.tsv|lists"
)
_RECORD: Final = re.compile(r"[1-9][0-9]*\.json")
_PREFIX: Final = re.compile(r"[0-9a-f]{2}")
_VETO: Final = re.compile(r"[0-9a-f]{128}\.json")
_LOG: Final = re.compile(r".+\.jsonl")
_LOCK: Final = re.compile(r"(update|cache|store)\.lock")
_OF_EVENTS: Final = re.compile(r"failed|log")
_OF_BLOBS: Final = re.compile(r"sha512")
_OF_OTHER_BLOBS: Final = re.compile(r"sha512|partial|quarantine|vmcatcher-blobs\.json|lost\+found")


def strangers(layout: Layout) -> Iterator[str]:
    """Yield the path of every file that is none of ours, but for those in the views, in no order."""
    yield from _in_root(layout)
    for directory, own in (
        (layout.endorsers, _DECISION),
        (layout.vetoes, _VETO),
        (layout.marks, _DOCUMENT),
        (os.path.dirname(layout.event_log), _OF_EVENTS),
        (layout.failed_events, _DOCUMENT),
        (layout.event_log, _LOG),
        (layout.locks, _LOCK),
        (layout.blobs, _OF_BLOBS if layout.has_own_blobs else _OF_OTHER_BLOBS),
    ):
        yield from _others(directory, own)
    for list_id in reading.directories(layout.subscriptions):
        if os.path.lexists(layout.subscription(list_id)) or os.path.lexists(layout.lists(list_id)):
            yield from _others(layout.subscription_directory(list_id), _OF_SUBSCRIPTION)
            yield from _others(layout.lists(list_id), _SNAPSHOT)
    yield from _in_partial(layout)
    for image in reading.directories(layout.cache):
        yield from _others(layout.records(image), _RECORD)
    yield from _in_blobs(layout)
    for directory in (layout.subscriptions, layout.cache, os.path.join(layout.blobs, "sha512")):
        held = set(reading.directories(directory))
        yield from (os.path.join(directory, name) for name in reading.names(directory) if name not in held)


def _in_root(layout: Layout) -> Iterator[str]:
    # lost+found: the store may be a file system of its own.
    known = {
        MARKER,
        "lost+found",
        *(os.path.relpath(path, layout.root).split(os.sep)[0] for path in layout.directories),
    }
    yield from (os.path.join(layout.root, name) for name in reading.names(layout.root) if name not in known)


def _in_partial(layout: Layout) -> Iterator[str]:
    # Beside the downloads lie the links of what is about to be available; as copies these have an image's name, too.
    shown = {*reading.directories(layout.cache), *(name for name, _ in views.own_links(layout, layout.partial))}
    for name in reading.names(layout.partial):
        if not downloads.is_own_name(name) and name not in shown:
            yield os.path.join(layout.partial, name)


def _in_blobs(layout: Layout) -> Iterator[str]:
    top = os.path.join(layout.blobs, "sha512")
    for prefix in reading.directories(top):
        if _PREFIX.fullmatch(prefix):
            yield from _others(os.path.join(top, prefix), re.compile(prefix + r"[0-9a-f]{126}"))
        else:
            yield os.path.join(top, prefix)


def _others(directory: str, own: re.Pattern[str]) -> Iterator[str]:
    yield from (os.path.join(directory, name) for name in reading.names(directory) if not own.fullmatch(name))
