"""Which cached bytes a run reads again although nothing says that they changed: the pure rule."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from vmcatcher.errors.settings import BadSetting

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vmcatcher.model.identity import Sha512
    from vmcatcher.model.record import CacheRecord

_FRACTION: Final = re.compile(r"(?P<part>[0-9]{1,6})/(?P<whole>[0-9]{1,6})")
_DECIMAL: Final = re.compile(r"[0-9]?\.[0-9]{1,9}|[01]")
_NEVER: Final = datetime.min.replace(tzinfo=UTC)


def share_in(text: str | None, source: str) -> float | None:
    """Return the share that `1/7`, `0.15` or `1` stands for: more than nothing, everything at most. None stays None.

    Raises:
        BadSetting: it is none; `source` says where it was given.
    """
    if text is None:
        return None
    share = 0.0
    if match := _FRACTION.fullmatch(text):
        share = int(match["part"]) / int(match["whole"]) if int(match["whole"]) else 0.0
    elif _DECIMAL.fullmatch(text):
        share = float(text)
    if not 0 < share <= 1:
        raise BadSetting(name=f"check_share ({source})", value=text, expected="a share such as 1/7 or 0.15, 1 at most")
    return share


def oldest_share(records: Iterable[CacheRecord], share: float) -> frozenset[Sha512]:
    """Return the bytes whose last check is longest ago, as many as it takes to have that share of all bytes.

    Bytes that several images share count once, as checked when they were last checked for one of them; those that never
    were come first. Run after run with a share of 1/7, everything is read in seven runs, whatever the sizes are.
    """
    sizes: dict[Sha512, int] = {}
    checked: dict[Sha512, datetime] = {}
    for record in records:
        last = record.checked.checked if record.checked else _NEVER
        sizes[record.sha512] = record.size_bytes
        checked[record.sha512] = max(last, checked.get(record.sha512, _NEVER))
    wanted_bytes = share * sum(sizes.values())
    chosen: set[Sha512] = set()
    found_bytes = 0
    for digest in sorted(sizes, key=lambda one: (checked[one], one)):
        if found_bytes >= wanted_bytes:
            break
        chosen.add(digest)
        found_bytes += sizes[digest]
    return frozenset(chosen)
