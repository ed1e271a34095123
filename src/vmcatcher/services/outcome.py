"""What a cache run has done so far, and what it could not do; every failure is told once, when it happens."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from vmcatcher.model.record import State
from vmcatcher.services.context import Failure

if TYPE_CHECKING:
    from vmcatcher.errors import VmcatcherError
    from vmcatcher.model.identity import ImageId
    from vmcatcher.model.record import CacheRecord, Reason

logger = logging.getLogger(__name__)


class Outcome:
    """Collects what a run does."""

    def __init__(self) -> None:
        self.published: list[ImageId] = []
        self.expired: list[tuple[ImageId, Reason]] = []
        self.failed: list[Failure] = []

    def note(self, record: CacheRecord) -> None:
        """Note that a version was published, if it was."""
        if record.state is State.ENDORSED:
            self.published.append(record.image)

    def fail(self, image: str, error: VmcatcherError) -> None:
        """Note that something about an image could not be done, and say so."""
        text = error.one_line()
        logger.error("%s", text if text.startswith(f"image {image}:") else f"image {image}: {text}")
        self.failed.append(Failure(image, error))

    def fail_run(self, subject: str, error: VmcatcherError) -> None:
        """Note that something about the run itself could not be done, and say so."""
        logger.error("%s: %s", subject, error.one_line())
        self.failed.append(Failure(subject, error))
