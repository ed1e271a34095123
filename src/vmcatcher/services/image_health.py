"""Where each selected image stands, and why it is not there where it is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vmcatcher.model.health import ImageHealth, ImageState
from vmcatcher.model.instant import instant_text
from vmcatcher.model.record import MOST_TRIES, State
from vmcatcher.model.steps import Action
from vmcatcher.store import blobs, prune, roots, views
from vmcatcher.store.not_done import read_not_done
from vmcatcher.store.vetoes import vetoed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from vmcatcher.model.image import Image
    from vmcatcher.model.imagelist import ImageList
    from vmcatcher.model.record import CacheRecord
    from vmcatcher.services.context import Context
    from vmcatcher.services.judging import Judgement
    from vmcatcher.services.planning import Plan
    from vmcatcher.store.views import Views

_NOT_THERE: Final = (ImageState.MISSING, ImageState.STAGED, ImageState.OUTDATED)
_GOES: Final = (Action.EXPIRE, Action.UNLINK)


class Shelf:
    """What is in the cache, to be asked about one image after the other."""

    def __init__(self, context: Context, shown: Views, plan: Plan, records: Iterable[CacheRecord]) -> None:
        self._layout = context.layout
        self._records: dict[str, list[CacheRecord]] = {}
        for record in records:
            self._records.setdefault(record.image, []).append(record)
        self._now = context.now
        self._views = shown
        self._vetoes = vetoed(context.layout)
        self._noted = read_not_done(context.layout)
        self._why_not: dict[str, str] = {failure.subject: str(failure.error) for failure in plan.failed}

    def selected_images(self, judged: Judgement, listed: ImageList | None) -> Iterator[ImageHealth]:
        """Yield every image that is selected in a subscription; `listed` is its current list, trusted or not."""
        subscription = judged.standing.subscription
        wanted_since = self._wanted_since(judged)
        named: Mapping[str, Image] = {image.identifier: image for image in listed.images} if listed else {}
        for accepted in subscription.images:
            if not accepted.selected:
                continue
            since = wanted_since
            image = named.get(accepted.identifier)
            state, why = self._state(judged, listed, accepted.identifier, image)
            noted = self._noted.get(accepted.identifier)
            if noted is not None and state in _NOT_THERE:
                state, why = (state if state is ImageState.OUTDATED else ImageState.FAILING), noted.error
                since = min(since, noted.since) if since is not None else noted.since
            yield ImageHealth(
                accepted.identifier,
                subscription.identifier,
                state,
                title=image.title if image else "",
                size_bytes=image.size_bytes if image else 0,
                why=why,
                since=since,
            )

    def _wanted_since(self, judged: Judgement) -> datetime | None:
        """Return when the list, or a decision about it, last changed: its images have been wanted so since then."""
        list_id = judged.standing.subscription.identifier
        decided = roots.look(self._layout.subscription(list_id))
        instants = [prune.instant_of(decided.st_mtime)] if decided else []
        instants += [judged.snapshot.kept] if judged.snapshot else []
        return max(instants, default=None)

    def _state(
        self, judged: Judgement, listed: ImageList | None, name: str, image: Image | None
    ) -> tuple[ImageState, str]:
        unusable = self._unusable(judged, listed, image)
        if unusable is not None or image is None:
            return ImageState.UNAVAILABLE, unusable or "no list names it"
        records = self._records.get(name, [])
        newest = records[-1] if records else None
        shown = next((one for one in records if one.state in (State.ENDORSED, State.EXPIRING)), None)
        if shown is not None and shown.sha512 == image.sha512 and shown.state is State.ENDORSED:
            return self._shown(shown)
        if newest is not None and newest.state is State.FAILING:
            return self._failing(newest, judged)
        if shown is not None:
            return ImageState.OUTDATED, self._why_not.get(name, "the next run brings the version of the list")
        if newest is not None and newest.state is State.STAGED:
            return ImageState.STAGED, self._why_not.get(name, "the next run publishes it")
        return ImageState.MISSING, self._why_not.get(name, "the next run fetches it")

    def _unusable(self, judged: Judgement, listed: ImageList | None, image: Image | None) -> str | None:
        """Return why the list does not promise an image now; None where it does."""
        if judged.refusal is not None:
            return str(judged.refusal)
        if listed is None:
            return "there is no list that can be read"
        if listed.expires <= self._now:
            return f"its list is over since {instant_text(listed.expires)}"
        if image is None:
            return "the current list does not name it"
        if image.valid_until is not None and image.valid_until <= self._now:
            return f"it is over since {instant_text(image.valid_until)}"
        return "its bytes have a veto" if image.sha512 in self._vetoes else None

    def _shown(self, record: CacheRecord) -> tuple[ImageState, str]:
        if not blobs.has_blob(self._layout, record.sha512, record.size_bytes):
            return ImageState.LOST, self._why_not.get(record.image, "its bytes are gone; the next run fetches them")
        path = self._layout.blob(record.sha512)
        if not views.is_shown(self._layout, self._views, self._views.cache, record.image, path):
            return ImageState.LOST, "its link is gone; the next run makes it again"
        since = record.published or record.since
        return ImageState.PRESENT, f"since {instant_text(since)}"

    def _failing(self, record: CacheRecord, judged: Judgement) -> tuple[ImageState, str]:
        times = f"wrong bytes came from {record.uri}, {record.tries} of {MOST_TRIES} tries"
        if record.tries >= MOST_TRIES and record.tries_list == judged.standing.list_sha512:
            return ImageState.GIVEN_UP, f"{times}; not asked for again until its list changes"
        return ImageState.FAILING, times


def leaving_images(plan: Plan, now: datetime) -> Iterator[ImageHealth]:
    """Yield every image that has to leave and is still there."""
    for step in plan.steps:
        if step.action in _GOES:
            yield ImageHealth(
                step.image,
                step.list_id,
                ImageState.LEAVING,
                title=step.title,
                size_bytes=step.size_bytes,
                why=step.why,
                since=now,
                reason=step.reason,
            )
