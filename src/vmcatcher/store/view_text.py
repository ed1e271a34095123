"""What `cache.index` says of the images in a view, and how it spells that."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from vmcatcher.model.instant import instant_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from vmcatcher.model.record import CacheRecord

_COPIED: Final = (
    "dc:description",
    "dc:title",
    "hv:hypervisor",
    "hv:version",
    "sl:arch",
    "sl:comments",
    "sl:os",
    "sl:osversion",
)
_FLAT: Final = json.JSONEncoder(sort_keys=True, separators=(",\n        ", ": "))
_plain: Final = json.encoder.encode_basestring_ascii


def entry_of(record: CacheRecord, filename: str) -> dict[str, object]:
    """Return what `cache.index` says of one cached version: the classic keys, plus until when it holds and why it left.

    The classic `message` (a copy of the whole signed list in every entry) is left out: `msgHash` names the snapshot.
    """
    entry: dict[str, object] = {
        "DownLoadTrys": {"count": record.tries + 1, "msgHash": record.list_sha512},
        "filename": filename,
        "hv:imagelist.dc:identifier": record.list_id,
        "hv:size": record.size_bytes,
        "hv:uri": record.uri,
        "msgHash": record.list_sha512,
        "sha512": record.sha512,
        "size": record.size_bytes,
        "sl:checksum:sha512": record.sha512,
        "uri": record.uri,
        "uuid": record.image,
        "dc:identifier": record.image,
    }
    if record.vo:
        entry["hv:imagelist.ad:vo"] = record.vo
    for name in _COPIED:
        entry[name] = record.fields.get(name, "")
    for name, value in record.fields.items():
        entry[f"hv:image.{name}"] = value
    if record.valid_until is not None:
        entry["valid_until"] = instant_text(record.valid_until)
    if record.reason is not None:
        entry["reason"] = record.reason.value
    return entry


def spelled(entries: Iterable[tuple[str, Mapping[str, object]]]) -> bytes:
    """Return the text of an index, of entries in the order of their names.

    It is what `json.dumps` makes of them with an indentation of four. The library indents in Python, value by value;
    here its C code spells each entry at once, with what separates the lines for a separator.
    """
    # As bytes at once, and joined once: of ten thousand images this is 25 MB each time.
    lines = [f",\n    {_plain(name)}: {_spelled_entry(entry)}".encode() for name, entry in entries]
    if not lines:
        return b"{}\n"
    lines[0] = b"{" + lines[0][1:]
    lines.append(b"\n}\n")
    return b"".join(lines)


def _spelled_entry(entry: Mapping[str, object]) -> str:
    nested = [name for name, value in entry.items() if isinstance(value, dict | list)]
    # No text of a signed list holds a NUL, so none of them can be taken for what stands in for a nested value.
    flat = _FLAT.encode({**entry, **{name: f"\0{at}" for at, name in enumerate(nested)}})
    for at, name in enumerate(nested):
        text = json.dumps(entry[name], indent=4, sort_keys=True).replace("\n", "\n        ")
        flat = flat.replace(_plain(f"\0{at}"), text, 1)
    return f"{{\n        {flat[1:-1]}\n    }}" if entry else "{}"
