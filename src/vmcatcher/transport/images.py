"""Fetch an image over http or https: from where an earlier transfer stopped, if it is still the same file."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from vmcatcher.errors.answer import BodyTooLong, BodyTooShort, BodyTruncated
from vmcatcher.transport.answers import Answer, is_date, is_etag
from vmcatcher.transport.pouring import Funnel
from vmcatcher.transport.results import ImageFetched, Sink
from vmcatcher.transport.web import Errand, Web

if TYPE_CHECKING:
    from vmcatcher.model.location import Location
    from vmcatcher.transport.access import Access
    from vmcatcher.transport.limits import Clock

logger = logging.getLogger(__name__)

_CONTENT_RANGE: Final = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})")


@dataclass(frozen=True, slots=True)
class ImageOrder:
    """An image that is wanted: from where, as whom, how long it is, and where its bytes go."""

    location: Location
    access: Access
    size: int
    sink: Sink
    by_digest: bool = False
    """Go on from bytes that no validator vouches for: whoever ordered them will see by the digest."""


class ImageFetch:
    """One image on its way: where the sink stands, and of which version its bytes are. Outlives failed attempts."""

    def __init__(self, web: Web, order: ImageOrder, clock: Clock, *, offset: int, validator: str | None) -> None:
        self._web = web
        self._order = order
        self._clock = clock
        self._position = offset
        self._validator = validator
        self._received = 0
        self._resumed_at = 0
        self._is_whole_wanted = False

    def attempt(self) -> ImageFetched:
        """Fetch what is missing, asking at most twice: once for the rest, and once for all if the rest is no use.

        Raises:
            BodyTooLong, BodyTooShort: the file has another size than the image.
            BodyTruncated: the body ended early; the sink has what came.
            NetworkError: see `web.Web.get` and `answers.Answer`.
        """
        order = self._order
        if self._position == order.size:
            # The rest of nothing is no valid range (RFC 9110 section 14.1.2). The digest decides.
            return ImageFetched(str(order.location), 0, self._position)
        if self._can_resume():
            fetched = self._fetch_rest()
            if fetched is not None:
                return fetched
            # The server has no rest to give, and would not at a repeat.
            self._is_whole_wanted = True
        with self._web.get(Errand(order.location, order.access)) as answer:
            return self._take_all(answer)

    def _can_resume(self) -> bool:
        if self._is_whole_wanted or not 0 < self._position < self._order.size:
            return False
        known = self._validator or ""
        return self._order.by_digest or ((is_etag(known) or is_date(known)) and known[:2] != "W/")

    def _restart(self) -> None:
        if self._position:
            logger.info("starting again url=%s at=%d", self._order.location, self._position)
            self._order.sink.restart()
        self._position = 0
        self._validator = None
        self._is_whole_wanted = False

    def _fetch_rest(self) -> ImageFetched | None:
        """Ask for what is missing; None if the answer is of no use and everything must be asked for."""
        conditions = {"Range": f"bytes={self._position}-"}
        if not self._order.by_digest:
            conditions["If-Range"] = self._validator or ""
        with self._web.get(Errand(self._order.location, self._order.access, conditions)) as answer:
            if answer.status == 200:
                return self._take_all(answer)
            if answer.status == 416:
                return None
            if answer.status != 206:
                raise answer.status_error()
            answer.check_encoding()
            if not self._is_the_rest(answer):
                return None
            return self._pour(answer)

    def _is_the_rest(self, answer: Answer) -> bool:
        found = _CONTENT_RANGE.fullmatch(answer.header("Content-Range"))
        if found is None:
            return False
        first, last, total = map(int, found.groups())
        whole = (first, last, total) == (self._position, self._order.size - 1, self._order.size)
        return whole and self._is_same_version(answer) and answer.length in {None, last + 1 - first}

    def _is_same_version(self, answer: Answer) -> bool:
        if self._order.by_digest:
            # Two servers, or two hosts of one name, need not call the same bytes the same.
            return True
        known = answer.validators
        current = known.etag if is_etag(self._validator or "") else known.last_modified
        return current in {None, self._validator}

    def _take_all(self, answer: Answer) -> ImageFetched:
        """Take a body that begins at the beginning, whatever was asked for."""
        if answer.status != 200:
            raise answer.status_error()
        answer.check_encoding()
        size, offered = self._order.size, answer.length
        # Looked at before anything is given up: a login page must not cost the 9 GB that are here already.
        if offered is not None and offered > size:
            raise BodyTooLong(url=answer.url, limit=size)
        if offered is not None and offered < size:
            kind = answer.header("Content-Type") or "no type"
            raise BodyTooShort(url=answer.url, expected=size, offered=offered, content_type=kind)
        self._restart()
        return self._pour(answer)

    def _pour(self, answer: Answer) -> ImageFetched:
        order = self._order
        # A 206 need not repeat the validator that it was asked with (RFC 9110 section 15.3.7).
        self._validator = answer.strong_validator or self._validator
        self._resumed_at = self._position
        order.sink.remember(self._validator)
        funnel = Funnel(order.sink, self._clock, url=answer.url, size=order.size, position=self._position)
        try:
            funnel.pour(answer.read_into, answer.excuse)
        except BodyTruncated as exc:  # counted for this answer; what the operator knows is the image
            raise BodyTruncated(url=answer.url, expected=order.size, got=funnel.position) from exc
        finally:
            self._position = funnel.position
            self._received += answer.received
        if self._position < order.size:
            raise BodyTruncated(url=answer.url, expected=order.size, got=self._position)
        return ImageFetched(answer.url, self._received, self._resumed_at)
