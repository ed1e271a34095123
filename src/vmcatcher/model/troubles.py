"""What of a store is not well, and how bad that is: who is woken by it goes by this."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from vmcatcher.model.health import ImageState, Severity, Trouble
from vmcatcher.model.instant import instant_text
from vmcatcher.model.record import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from vmcatcher.model.health import CertificateHealth, CrlHealth, Health, ImageHealth, ListHealth

# Who is not to be trusted any more, or what is not to be used: while it is there, somebody may use it.
_GRAVE: Final = frozenset(
    {
        Reason.VETOED,
        Reason.ENDORSER_UNLINKED,
        Reason.SIGNER_REVOKED,
        Reason.CA_REVOKED,
        Reason.TRUST_LOST,
        Reason.CORRUPT,
    }
)
_OVER: Final = frozenset({"list-expired", "list-past-limit"})
_TO_COME: Final = frozenset({ImageState.MISSING, ImageState.STAGED, ImageState.OUTDATED, ImageState.FAILING})
_STAYS: Final = frozenset({ImageState.GIVEN_UP, ImageState.LOST})
# A CRL that is made anew in time never comes to the last quarter of its life. Their lives are from a day to a year, so
# that no fixed number of days fits all of them.
_LAST_PART: Final = 4


@dataclass(frozen=True, slots=True)
class Patience:
    """From when on something is a trouble."""

    max_age: timedelta = timedelta(hours=24)
    """How long a list may go without a successful update, and an image be on its way."""
    warn_within: timedelta = timedelta(days=30)
    """How long before the end of a list or certificate to say so."""


def troubles_of(health: Health, patience: Patience) -> tuple[Trouble, ...]:
    """Return everything that is not well, the worst first, in the order of what it is about."""
    eye = _Eye(health, patience)
    found = [*health.unread, *eye.all()]
    order = list(Severity)
    return tuple(sorted(found, key=lambda one: order.index(one.severity)))


class _Eye:
    def __init__(self, health: Health, patience: Patience) -> None:
        self._health = health
        self._now = health.now
        self._patience = patience

    def all(self) -> Iterator[Trouble]:
        if self._health.clock:
            yield Trouble("clock", Severity.WRONG, "clock", self._health.clock)
        for one in self._health.lists:
            yield from self._list(one)
        for image in self._health.images:
            yield from self._image(image)
        yield from self._events()
        for certificate in self._health.certificates:
            yield from self._certificate(certificate)
        for crl in self._health.crls:
            yield from self._crl(crl)
        yield from self._locks()
        yield from self._space()

    def _is_old(self, instant: datetime | None) -> bool:
        return instant is None or self._now - instant > self._patience.max_age

    def _ends_soon(self, instant: datetime) -> bool:
        return instant - self._now < self._patience.warn_within

    def _list(self, one: ListHealth) -> Iterator[Trouble]:
        name = one.list_id
        if one.distrust:
            yield Trouble("list-untrusted", Severity.WRONG, name, one.distrust)
        if one.expires is not None and one.expires <= self._now:
            yield Trouble("list-expired", Severity.WRONG, name, f"it is over since {instant_text(one.expires)}")
        yield from self._update(one)
        if one.expires is not None and one.expires > self._now and self._ends_soon(one.expires):
            yield Trouble("list-expires-soon", Severity.SOON, name, f"it ends {instant_text(one.expires)}")
        if one.undecided:
            text = f"images that are neither accepted nor refused: {one.undecided}"
            yield Trouble("images-undecided", Severity.WRONG, name, text)

    def _update(self, one: ListHealth) -> Iterator[Trouble]:
        is_old = self._is_old(one.succeeded or one.added)
        last = f"last success {instant_text(one.succeeded)}" if one.succeeded else "it never succeeded"
        if one.error_id and not self._is_said(one):
            severity = Severity.PASSING if one.is_error_temporary and not is_old else Severity.WRONG
            yield Trouble("list-failing", severity, one.list_id, f"its update fails ({last}): {one.error}")
        elif is_old and not one.error_id:
            yield Trouble("list-overdue", Severity.WRONG, one.list_id, f"it was not updated in time: {last}")
        elif one.admitted is None:
            yield Trouble("list-awaited", Severity.PASSING, one.list_id, "the next run fetches it for the first time")

    def _is_said(self, one: ListHealth) -> bool:
        """Tell whether why the update fails is a trouble of its own already: the list is over, or not trusted."""
        is_over = one.expires is not None and one.expires <= self._now
        return (is_over and one.error_id in _OVER) or bool(one.distrust and one.distrust == one.error)

    def _image(self, one: ImageHealth) -> Iterator[Trouble]:
        if one.state in _TO_COME:
            severity = Severity.WRONG if self._is_old(one.since) else Severity.PASSING
            yield Trouble(f"image-{one.state.value}", severity, one.image, one.why)
        elif one.state in _STAYS:
            yield Trouble(f"image-{one.state.value}", Severity.WRONG, one.image, one.why)
        elif one.state is ImageState.LEAVING:
            severity = Severity.WRONG if one.reason in _GRAVE or self._is_old(one.since) else Severity.PASSING
            yield Trouble("image-leaving", severity, one.image, f"it is still there: {one.why}")

    def _events(self) -> Iterator[Trouble]:
        events = self._health.events
        if events.failed:
            text = f"given up: {events.failed}; see vmcatcher event list"
            yield Trouble("events-failed", Severity.WRONG, "events", text)
        if events.refused:
            text = f"not taken by the handler yet: {events.refused}; runs tell them again"
            yield Trouble("events-refused", Severity.PASSING, "events", text)

    def _certificate(self, one: CertificateHealth) -> Iterator[Trouble]:
        what = "signer" if one.role == "signer" else "CA"
        if one.ends <= self._now:
            text = f"this {what}'s certificate is over since {instant_text(one.ends)}"
            yield Trouble("certificate-expired", Severity.WRONG, one.subject, text)
        elif self._ends_soon(one.ends):
            text = f"this {what}'s certificate ends {instant_text(one.ends)}"
            yield Trouble("certificate-expires-soon", Severity.SOON, one.subject, text)

    def _crl(self, one: CrlHealth) -> Iterator[Trouble]:
        if one.made is None:
            yield Trouble("crl-missing", Severity.WRONG, one.issuer, "no CRL of this CA is here; run fetch-crl")
        elif one.ends is None:
            yield Trouble("crl-without-end", Severity.WRONG, one.issuer, "its CRL does not say until when it holds")
        elif one.ends <= self._now:
            text = f"the CRL of this CA is over since {instant_text(one.ends)}; run fetch-crl"
            yield Trouble("crl-expired", Severity.WRONG, one.issuer, text)
        elif self._ends_soon(one.ends) and one.ends - self._now < (one.ends - one.made) / _LAST_PART:
            text = f"the CRL of this CA ends {instant_text(one.ends)} and was not made anew; does fetch-crl run?"
            yield Trouble("crl-expires-soon", Severity.SOON, one.issuer, text)

    def _locks(self) -> Iterator[Trouble]:
        for one in self._health.locks:
            if one.since is not None and self._is_old(one.since):
                yield Trouble("lock-held", Severity.WRONG, one.lock, f"held by {one.holder}")

    def _space(self) -> Iterator[Trouble]:
        needed = self._health.fetch_bytes
        # The bytes of images lie on the file system that is named last, where they have one of their own.
        free = self._health.spaces[-1].free_bytes if self._health.spaces else needed
        if free < needed:
            text = f"{needed} bytes are to be fetched, {free} bytes are free"
            yield Trouble("space-lacking", Severity.WRONG, self._health.spaces[-1].path, text)
