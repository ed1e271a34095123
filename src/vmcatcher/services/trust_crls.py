"""Fetching revocation lists into the store, where they lie over those of the trust-anchor directory.

Each is verified before it takes the place of another one: a server, or somebody on the way, can keep a CRL from coming
but can neither bring a false one nor an older one.
"""

from __future__ import annotations

import hashlib
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from vmcatcher.errors import VmcatcherError
from vmcatcher.errors.network import TlsRefused
from vmcatcher.errors.trust_tools import CrlOlder, CrlPartial, CrlsUnusable, NoCrlUrl
from vmcatcher.services.context import Failure
from vmcatcher.services.trust_use import lists_by_authority
from vmcatcher.store import crls
from vmcatcher.store.crls import CrlNote
from vmcatcher.transport.access import Access
from vmcatcher.transport.results import NotModified, Validators
from vmcatcher.trust.crl_urls import CrlUrls, read_crl_urls
from vmcatcher.trust.fetched import crl_in, demand_newer, newest_of, pem_of, read_served

if TYPE_CHECKING:
    from datetime import datetime

    from vmcatcher.model.location import Location
    from vmcatcher.services.context import Context
    from vmcatcher.services.trust_ground import Ground
    from vmcatcher.store.layout import Layout
    from vmcatcher.transport.results import Fetched
    from vmcatcher.transport.transport import Transport
    from vmcatcher.trust.crl import Crl

logger = logging.getLogger(__name__)


class Outcome(StrEnum):
    """What became of the revocation list of one CA."""

    NEW = "new"
    UNCHANGED = "unchanged"
    KEPT = "kept"
    """None could be fetched; the one that is here still holds."""
    FAILED = "failed"
    """None could be fetched, and none that is here holds."""
    SKIPPED = "skipped"
    """It would be no use: the CA is past its end, or not here."""


@dataclass(frozen=True, slots=True)
class CrlFetched:
    """What became of the revocation list of one CA."""

    alias: str
    ca: str
    outcome: Outcome
    url: str | None
    """Where it came from; None where it came from nowhere."""
    made: datetime | None
    ends: datetime | None
    """When the one that is here now, if any, was made, and when the next one is due."""
    problems: tuple[VmcatcherError, ...]
    """One for each URL that was of no use."""
    is_needed: bool
    """Whether a list of this store depends on it, or nobody can tell because there is none yet."""


@dataclass(frozen=True, slots=True)
class CrlReport:
    """What became of all of them. `failed` are those that lists of this store depend on."""

    crls: tuple[CrlFetched, ...]
    failed: tuple[Failure, ...]


def fetch_crls(
    context: Context, ground: Ground, transport: Transport, *, jobs: int, every_ca: bool = False
) -> CrlReport:
    """Fetch the revocation list of each CA that says where it is, `jobs` at once; one that fails never stops others.

    Unchanged ones are not transferred again, and nothing is written for them. No lock is taken but the store lock, for
    the moment of each replacement. With `every_ca` one that fails counts also where no list depends on it.

    Raises:
        NoCrlUrl: no CA says where its list is.
    """
    inventory = ground.inventory()
    sources = read_crl_urls(inventory)
    if not any(source.authorities for source in sources):
        raise NoCrlUrl(directory=ground.directory)
    used = lists_by_authority(context, ground)
    done: list[CrlFetched] = []
    with ThreadPoolExecutor(max_workers=jobs, thread_name_prefix="crl") as threads:
        fetching = [threads.submit(_Fetch(context, ground, transport, source).run) for source in sources]
        try:
            for source, future in zip(sources, fetching, strict=True):
                is_needed = every_ca or used is None or any(ca.der in used for ca in source.authorities)
                done.append(_settled(context, ground, source, future.result(), is_needed=is_needed))
        except BaseException:
            # Ctrl-C: what is on its way ends, and what has not begun does not begin any more.
            transport.halt()
            threads.shutdown(wait=False, cancel_futures=True)
            raise
    return CrlReport(tuple(done), tuple(failure for one in done for failure in _failures(one)))


def _failures(one: CrlFetched) -> list[Failure]:
    """Return what was not done of what is needed; say what else went wrong."""
    if one.outcome is Outcome.FAILED and one.is_needed:
        return [Failure(one.ca, error) for error in one.problems or (CrlsUnusable(ca=one.ca),)]
    for error in one.problems:
        logger.warning("%s: %s", one.alias, error.one_line())
    if one.outcome is Outcome.FAILED:
        logger.warning("%s: no CRL of %s holds; no list depends on it", one.alias, one.ca)
    return []


@dataclass(frozen=True, slots=True)
class _Served:
    """What a thread found for one CA; nothing was written yet."""

    crl: Crl | None
    """One that is to take the place of what is here."""
    note: CrlNote | None
    url: str | None
    have: Crl | None
    problems: tuple[VmcatcherError, ...]
    is_skipped: bool = False


@dataclass(frozen=True, slots=True)
class _Fetch:
    """Fetching the CRL of one CA, in a thread of its own."""

    context: Context
    ground: Ground
    transport: Transport
    source: CrlUrls

    def run(self) -> _Served:
        """Ask the URLs in order until one serves what can be taken."""
        living = [ca for ca in self.source.authorities if ca.not_after > self.ground.now]
        have = self._have()
        if not living:
            return _Served(None, None, None, have, (), is_skipped=True)
        problems: list[VmcatcherError] = list(self.source.problems)
        for url in self.source.urls:
            try:
                return self._ask(url, have, tuple(problems))
            except VmcatcherError as error:
                problems.append(error)
        return _Served(None, None, None, have, tuple(problems))

    def _have(self) -> Crl | None:
        known = self.source.authorities
        here = {crl.der: crl for ca in known for crl in self.ground.anchors.crls_of(ca)}
        return newest_of(here.values(), known)

    def _ask(self, url: Location, have: Crl | None, problems: tuple[VmcatcherError, ...]) -> _Served:
        answer = self._fetched(url, self._known(url, have))
        if isinstance(answer, NotModified):
            return _Served(None, None, str(url), have, problems)
        ca = str(self.source.authorities[0].subject)
        crl = read_served(answer.body, self.source.authorities, str(url), self.ground.now)
        note = CrlNote(str(url), answer.validators.etag, answer.validators.last_modified, _digest(crl))
        is_newer = demand_newer(crl, have, ca, str(url), self.ground.now)
        return _Served(crl if is_newer else None, note, str(url), have, problems)

    def _known(self, url: Location, have: Crl | None) -> Validators | None:
        """Return how the server names the version that is here, if "not modified" would be an answer that helps."""
        if have is None or have.next_update is None or have.next_update <= self.ground.now:
            return None
        note = _noted(self.context.layout, self.source.alias)
        if note is None or note.url != str(url) or note.sha256 != _digest(have):
            return None
        return Validators(note.etag, note.last_modified)

    def _fetched(self, url: Location, known: Validators | None) -> Fetched | NotModified:
        access = Access(tls="system", trust_directory=self.ground.directory)
        try:
            return self.transport.fetch_list(url, access, known=known)
        except TlsRefused:
            # CAs of the grid have their web servers' certificates from themselves.
            return self.transport.fetch_list(url, replace(access, tls="igtf"), known=known)


def _settled(context: Context, ground: Ground, source: CrlUrls, served: _Served, *, is_needed: bool) -> CrlFetched:
    """Keep what was fetched, and say what became of the list."""
    outcome, problems, crl = Outcome.UNCHANGED, served.problems, served.have
    if served.is_skipped:
        outcome = Outcome.SKIPPED
    elif served.url is None:
        holds = crl is not None and crl.next_update is not None and crl.next_update > ground.now
        outcome = Outcome.KEPT if holds else Outcome.FAILED
    else:
        try:
            if _keep(context, source, served):
                outcome, crl = Outcome.NEW, served.crl
        except VmcatcherError as error:
            outcome, problems = Outcome.FAILED, (*problems, error)
    if outcome is Outcome.NEW and crl is not None:
        logger.info("fetched CRL of=%s made=%s from=%s", source.alias, crl.last_update, served.url)
    return CrlFetched(
        alias=source.alias,
        ca=str(source.authorities[0].subject) if source.authorities else source.alias,
        outcome=outcome,
        url=served.url,
        made=crl.last_update if crl else None,
        ends=crl.next_update if crl else None,
        problems=problems,
        is_needed=is_needed and not served.is_skipped,
    )


def _keep(context: Context, source: CrlUrls, served: _Served) -> bool:
    """Put a newer list in its place, and the note about it; return whether there was one."""
    layout, alias = context.layout, source.alias
    if served.crl is None:
        held = crls.read_fetched(layout, alias)
        ours = crl_in(held) if held is not None else None
        is_ours = served.note is not None and ours is not None and _digest(ours) == served.note.sha256
        if served.note is not None and is_ours and _noted(layout, alias) != served.note:
            with context.lock("store"):
                crls.put_note(layout, alias, served.note)
        return False
    assert served.note is not None, "what was fetched has a note"
    with context.lock("store"):
        held = crls.read_fetched(layout, alias)
        ours = crl_in(held) if held is not None else None
        there = newest_of([ours] if ours else [], source.authorities)
        try:
            if not demand_newer(served.crl, there, alias, served.note.url, context.now):
                return False
        except (CrlOlder, CrlPartial):
            return False  # another run was faster, and brought a newer one
        crls.put_fetched(layout, alias, pem_of(served.crl), served.note)
    return True


def _noted(layout: Layout, alias: str) -> CrlNote | None:
    try:
        return crls.read_note(layout, alias)
    except VmcatcherError:
        return None  # without it the list is fetched anew, which is no harm


def _digest(crl: Crl) -> str:
    return hashlib.sha256(crl.der).hexdigest()
