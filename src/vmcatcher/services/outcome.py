"""What a cache run did with each image, and what it could not do; every failure is told once, when it happens."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vmcatcher.model.record import Reason, State
from vmcatcher.services.context import Failure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vmcatcher.errors import VmcatcherError
    from vmcatcher.model.identity import ImageId, ListId
    from vmcatcher.model.record import CacheRecord
    from vmcatcher.services.bringing import Brought

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ImageOutcome:
    """What a run did with one image."""

    image: str
    list_id: ListId | None
    """The list that wants it, or that its cached version is of; None where that cannot be told."""
    fetched: Brought | None = None
    """How many bytes came, from where, and whether an interrupted download went on; None where none had to come."""
    is_published: bool = False
    expired: tuple[Reason, ...] = ()
    """Why versions of it left, in that order."""
    errors: tuple[VmcatcherError, ...] = ()
    """What could not be done."""

    @property
    def is_replaced(self) -> bool:
        """Whether a new version took the place of another one."""
        return self.is_published and Reason.REPLACED in self.expired

    @property
    def is_kept(self) -> bool:
        """Whether it is in use as it was before."""
        return not (self.fetched or self.is_published or self.expired or self.errors)


class Outcome:
    """Collects what a run does."""

    def __init__(self) -> None:
        self.published: list[ImageId] = []
        self.expired: list[tuple[ImageId, Reason]] = []
        self.failed: list[Failure] = []
        self.fetched: dict[ImageId, Brought] = {}
        """How the bytes came of each image for which any came."""

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

    def images(self, lists: Mapping[ImageId, ListId]) -> tuple[ImageOutcome, ...]:
        """Return what was done with each image; `lists` are those that the run was about, with the list of each."""
        published = set(self.published)
        expired: dict[ImageId, list[Reason]] = {}
        errors: dict[str, list[VmcatcherError]] = {}
        for image, reason in self.expired:
            expired.setdefault(image, []).append(reason)
        for failure in self.failed:
            errors.setdefault(failure.subject, []).append(failure.error)
        return tuple(
            ImageOutcome(
                image,
                lists.get(image),
                self.fetched.get(image),
                image in published,
                tuple(expired.get(image, ())),
                tuple(errors.get(image, ())),
            )
            for image in sorted({*lists, *published, *expired})
        )
