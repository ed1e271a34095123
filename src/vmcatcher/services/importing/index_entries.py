"""The `cache.index` of a classic expired directory: for many of its files the only account of what they were."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from vmcatcher.errors import BadDigest, BadIdentifier, VmcatcherError
from vmcatcher.model.identity import ListId, Sha512, list_id, sha512
from vmcatcher.store import reading
from vmcatcher.store.views import INDEX

if TYPE_CHECKING:
    from collections.abc import Mapping

_COPIED: Final = "hv:image."
_CLASSIC: Final = ("dc:", "hv:", "sl:")
_OF_THE_LIST: Final = "hv:imagelist."


@dataclass(frozen=True, slots=True)
class Described:
    """What the index says of a file; it is used for what has left already, and for nothing else."""

    list_id: ListId
    list_sha512: Sha512
    uri: str
    vo: str | None
    fields: Mapping[str, object]


def read_index(directory: str) -> Mapping[str, object]:
    """Return the entries of the directory's index; none where it is missing or no index."""
    try:
        entries = json.loads(reading.read(os.path.join(directory, INDEX)))
    except (FileNotFoundError, ValueError, RecursionError, VmcatcherError):
        return {}
    return entries if isinstance(entries, dict) else {}


def described(entry: object, image: str, digest: Sha512) -> Described | None:
    """Return what an entry says of a file with these bytes, or None where it says something else or not enough."""
    if not isinstance(entry, dict):
        return None
    try:
        fits = sha512(_text(entry, "sl:checksum:sha512", "sha512")) == digest
        found = Described(
            list_id=list_id(_text(entry, "hv:imagelist.dc:identifier")),
            list_sha512=sha512(_text(entry, "msgHash")),
            uri=_text(entry, "hv:uri", "uri"),
            vo=_text(entry, "hv:imagelist.ad:vo") or None,
            fields=_fields(entry),
        )
    except (BadDigest, BadIdentifier):
        return None
    return found if fits and _text(entry, "dc:identifier", "uuid") == image else None


def _text(entry: Mapping[str, object], *names: str) -> str:
    for name in names:
        value = entry.get(name)
        if isinstance(value, str):
            return value
    return ""


def _fields(entry: Mapping[str, object]) -> dict[str, object]:
    copied = {name.removeprefix(_COPIED): value for name, value in entry.items() if name.startswith(_COPIED)}
    own = {
        name: value
        for name, value in entry.items()
        if name.startswith(_CLASSIC) and not name.startswith((_COPIED, _OF_THE_LIST))
    }
    return {name: value for name, value in (copied or own).items() if isinstance(value, str | int)}
