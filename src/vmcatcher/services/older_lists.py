"""Going back on purpose: letting a list be followed by an older one, where its version ran away."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from vmcatcher.errors import BadIdentifier, printable
from vmcatcher.errors.requests import NothingAdmitted
from vmcatcher.model.identity import list_id
from vmcatcher.model.instant import instant_text
from vmcatcher.services.newest import newest_admitted
from vmcatcher.store import snapshots

if TYPE_CHECKING:
    from vmcatcher.services.context import Context
    from vmcatcher.store.snapshots import Mark

logger = logging.getLogger(__name__)


def allow_older(context: Context, identifier: str) -> Mark:
    """Let the next list of this identifier be older than the newest one ever admitted; return the mark of that one.

    It holds for one list, whichever other one is admitted next, and everything else about it is judged as ever:
    signer, endorser, revocation, expiry. The list may be one whose subscription was deleted. Doing it again changes
    nothing.

    Raises:
        NothingAdmitted: no list of that identifier was ever admitted here.
    """
    with context.lock("store"):
        newest = mark = None
        try:
            known = list_id(identifier)
        except BadIdentifier:
            known = None
        if known is not None:
            newest, mark = newest_admitted(context, known), snapshots.read_mark(context.layout, known)
        if known is None or newest is None:
            raise NothingAdmitted(list_id=identifier)
        if mark is None or mark.sha512 != newest.sha512:  # a run was killed between the list and its mark
            mark = snapshots.Mark(newest.version, newest.created, newest.sha512, content=newest.content)
        if mark.older_allowed is None:
            mark = replace(mark, older_allowed=context.now)
            snapshots.put_mark(context.layout, known, mark)
    known_as = (known, printable(mark.version), instant_text(mark.created))
    logger.warning("list %s may once be followed by one older than version %s of %s", *known_as)
    return mark
