"""Events on disk: those that were given up, and what each run told."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from vmcatcher.model.instant import instant_text, stamp_text
from vmcatcher.store import files

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from vmcatcher.model.event import OwedEvent
    from vmcatcher.store.layout import Layout


def put_failed(layout: Layout, owed: OwedEvent, variables: Mapping[str, str], *, why: str, now: datetime) -> None:
    """Keep an event that is not told any more, with everything that is needed to tell it by hand."""
    files.make_directory(layout.failed_events)
    files.put_json(
        os.path.join(layout.failed_events, f"{owed.id}.json"),
        {
            "format": 1,
            "id": owed.id,
            "kind": owed.kind.value,
            "attempts": owed.attempts,
            "why": why,
            "given_up": instant_text(now),
            "variables": dict(variables),
        },
        mode=files.SECRET_MODE,
    )


def put_log(layout: Layout, session: str, told: Sequence[Mapping[str, object]], now: datetime) -> None:
    """Keep what one run told, one JSON object per line; a run that told nothing leaves no file."""
    if not told:
        return
    files.make_directory(layout.event_log)
    lines = "".join(json.dumps(one, sort_keys=True, ensure_ascii=False) + "\n" for one in told)
    files.put(os.path.join(layout.event_log, f"{stamp_text(now)}-{session}.jsonl"), lines.encode("utf-8", "replace"))
