"""Fetch an image list over http or https: the whole document in memory, or the word that it has not changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmcatcher.errors.answer import BodyTooLong
from vmcatcher.transport.answers import Answer, is_date, is_etag
from vmcatcher.transport.results import Fetched, NotModified, Validators
from vmcatcher.transport.web import Errand, Web

if TYPE_CHECKING:
    from vmcatcher.model.location import Location
    from vmcatcher.transport.access import Access
    from vmcatcher.transport.limits import Deadline


def list_errand(location: Location, access: Access, known: Validators | None, deadline: Deadline) -> Errand:
    """Return what to ask for: the list, unless it is still the version that `known` names."""
    return Errand(location, access, _conditions(known or Validators()), deadline)


def fetch_list(web: Web, errand: Errand) -> Fetched | NotModified:
    """Ask once and return the list, or that it has not changed.

    Raises:
        BodyTooLong: more than `Limits.list_bytes`; no more than that was read.
        NotModifiedUnasked: "not modified" although the request had no condition.
        NetworkError: see `web.Web.get` and `answers.Answer`.
    """
    with web.get(errand) as answer:
        if answer.status == 304 and errand.headers:
            return NotModified(_merged(answer, errand), answer.url)
        if answer.status != 200:
            raise answer.status_error()
        answer.check_encoding()
        body = _read(answer, web.limits.list_bytes)
        return Fetched(body, answer.validators, answer.url, answer.header("Content-Type"))


def _conditions(known: Validators) -> dict[str, str]:
    # Stored validators come from a file that anybody may have edited; what is no validator is not sent.
    conditions = {}
    if known.etag is not None and is_etag(known.etag):
        conditions["If-None-Match"] = known.etag
    if known.last_modified is not None and is_date(known.last_modified):
        conditions["If-Modified-Since"] = known.last_modified
    return conditions


def _merged(answer: Answer, errand: Errand) -> Validators:
    # A 304 need not repeat what it was asked with (RFC 9110 section 15.4.5).
    new = answer.validators
    return Validators(
        new.etag or errand.headers.get("If-None-Match"), new.last_modified or errand.headers.get("If-Modified-Since")
    )


def _read(answer: Answer, limit: int) -> bytes:
    if answer.length is not None and answer.length > limit:
        raise BodyTooLong(url=answer.url, limit=limit)
    body = bytearray()
    room = memoryview(bytearray(min(limit + 1, 1 << 16)))
    while count := answer.read_into(room):
        body += room[:count]
        if len(body) > limit:
            raise BodyTooLong(url=answer.url, limit=limit)
    return bytes(body)
