"""One import on its way: what it works with, what it has done so far, and what it found wrong."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from vmcatcher.services.context import Failure
from vmcatcher.store import endorsers, index

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from vmcatcher.errors import VmcatcherError
    from vmcatcher.model.endorser import Endorser
    from vmcatcher.model.identity import EndorserId, ImageId, ListId
    from vmcatcher.services.context import Context
    from vmcatcher.trust.anchors import TrustAnchors
    from vmcatcher.trust.rules import TrustRules


@dataclass(slots=True)
class Tally:
    """What was counted, what the operator should know, and what was left out."""

    counts: dict[str, int] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)

    def count(self, what: str, more: int = 1) -> None:
        """Count something that was done, or in a dry run would be."""
        self.counts[what] = self.counts.get(what, 0) + more

    def warn(self, text: str) -> None:
        """Note something that was done and should be known."""
        self.warnings.append(text)

    def fail(self, subject: str, error: VmcatcherError) -> None:
        """Note something that was left out."""
        self.failed.append(Failure(subject, error))


@dataclass(slots=True)
class Work:
    """What every part of an import is given.

    `endorsers` and `owners` are how the store stands, or in a dry run how it would stand, so that both decide alike.
    """

    context: Context
    anchors: TrustAnchors
    rules: TrustRules
    is_dry: bool
    is_repeated: bool
    """This very database was imported to its end before: what is missing since was removed by the operator."""
    tally: Tally = field(default_factory=Tally)
    endorsers: dict[EndorserId, Endorser] = field(default_factory=dict)
    owners: dict[ImageId, ListId] = field(default_factory=dict)
    """Which subscription accepted an image."""
    _made: int = 0

    def look_around(self) -> None:
        """Take note of what the store holds already."""
        layout = self.context.layout
        self.endorsers = {one.identifier: one for one in endorsers.all_endorsers(layout)}
        self.owners = {image.identifier: one.identifier for one in index.all_indexes(layout) for image in one.images}

    @contextlib.contextmanager
    def commit(self) -> Iterator[None]:
        """Hold the store lock for a change; nothing in a block may be done in a dry run."""
        assert not self.is_dry, "a dry run changes nothing"
        with self.context.lock("store"):
            yield

    def next_instant(self) -> datetime:
        """Return when the next thing counts as made: the listings show things in that order."""
        self._made += 1
        return self.context.now + timedelta(microseconds=self._made)
