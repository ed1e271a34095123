"""One answer of a server: its headers as far as they can be relied on, and its body, counted and timed."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from vmcatcher.errors import NetworkError
from vmcatcher.errors.answer import (
    EncodedAnswer,
    Forbidden,
    Gone,
    HttpStatus,
    LoginNeeded,
    NotFound,
    NotModifiedUnasked,
    ServerBusy,
)
from vmcatcher.errors.network import ProxyFailed, TookTooLong, TransferTooSlow
from vmcatcher.transport.bodies import Body
from vmcatcher.transport.results import Validators
from vmcatcher.transport.troubles import FOREIGN, Attempt
from vmcatcher.transport.watchdog import Watchdog

if TYPE_CHECKING:
    from urllib3 import HTTPResponse

    from vmcatcher.model.location import Location
    from vmcatcher.transport.halting import Halt
    from vmcatcher.transport.limits import Clock, Deadline, Limits
    from vmcatcher.transport.pace import Pace

# What may be sent back to the server later: an entity tag (RFC 9110 section 8.8.3) and a date, nothing else.
_ETAG: Final = re.compile(r'(W/)?"[\x21\x23-\x7e]{0,512}"')
_DATE: Final = re.compile(r"[A-Za-z0-9,: +-]{8,64}")
# How long bytes are collected before they are passed on: each read of TLS gives 16 KiB only.
_MOMENT_S: Final = 0.25
_FINAL: Final[dict[int, type[HttpStatus]]] = {403: Forbidden, 404: NotFound, 410: Gone}


@dataclass(frozen=True, slots=True)
class Reins:
    """What a body is held by: bounds, the clock they are measured with, the common rate, and the end of the run."""

    limits: Limits
    clock: Clock
    pace: Pace
    halt: Halt
    deadline: Deadline | None

    def room(self, wanted: int) -> int:
        """Return how many of `wanted` bytes may be read now; sleeps where there are none yet."""
        # What has a deadline is a list.
        return wanted if self.deadline else self.pace.take(wanted)

    def left_over(self, count: int) -> None:
        """Take back what there was room for and did not come."""
        if not self.deadline:
            self.pace.give_back(count)


@dataclass(slots=True)
class Answer:
    """An answer whose header was read; to be used in a `with` block, which keeps or closes its connection."""

    attempt: Attempt
    raw: HTTPResponse
    reins: Reins
    leads_inside: bool
    """Whether it came from this machine, or one that only this machine sees."""
    password_sent: bool
    received: int = 0
    _watchdog: Watchdog | None = None
    _since: float = field(init=False)
    _recent: int = 0
    """Bytes since `_since`, the beginning of the window that is being judged."""
    _trouble: NetworkError | None = None
    """What the next read raises."""
    _body: Body = field(init=False)

    def __post_init__(self) -> None:
        self._since = self.reins.clock()
        self._body = Body(self.raw)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._watchdog is not None:
            self._watchdog.dismiss()
        if self.length == 0:
            self.raw.drain_conn()  # of nothing, which is what gives the connection back
        self.raw.close()

    @property
    def location(self) -> Location:
        """Where the answer came from."""
        return self.attempt.location

    @property
    def url(self) -> str:
        """The same as text, without user name and password."""
        return str(self.attempt.location)

    @property
    def status(self) -> int:
        """The status code."""
        return self.raw.status

    @property
    def length(self) -> int | None:
        """How many bytes the body has from here on; None if the server does not say."""
        return self.raw.length_remaining

    def header(self, name: str) -> str:
        """Return the value of a header on one line, empty if there is none."""
        return " ".join(self.raw.headers.get(name, "").split())

    @property
    def validators(self) -> Validators:
        """The names of this version; malformed ones count as none."""
        etag, date = self.header("ETag"), self.header("Last-Modified")
        return Validators(etag if is_etag(etag) else None, date if is_date(date) else None)

    @property
    def strong_validator(self) -> str | None:
        """What an interrupted transfer of this version can be resumed with: a strong ETag, else a date.

        The date only if the answer was made at least a second later: a file that is replaced twice within a second
        keeps its date (RFC 9110 sections 8.8.2.2 and 13.1.5).
        """
        known = self.validators
        if known.etag is not None and not known.etag.startswith("W/"):
            return known.etag
        age = seconds_between(known.last_modified or "", self.header("Date"))
        return known.last_modified if age is not None and age >= 1 else None

    def check_encoding(self) -> None:
        """Return if the body is the document's bytes as they are.

        Raises:
            EncodedAnswer: it is compressed, or framed in a way other than chunks.
        """
        content, framing = self.header("Content-Encoding").lower(), self.header("Transfer-Encoding").lower()
        if content not in {"", "identity"}:
            raise EncodedAnswer(url=self.url, encoding=content)
        if framing not in {"", "chunked"}:
            raise EncodedAnswer(url=self.url, encoding=framing)

    def read_into(self, view: memoryview) -> int:
        """Fill `view`, or its beginning with what comes within a moment; 0 at the end of the body.

        The first byte is waited for. What came before an error is returned; the next call raises the error.

        Raises:
            halting.Halted: the run is over.
            BodyTruncated: the connection ended before the body did, or its chunks are malformed.
            BadHeader: the frame of a chunk is longer than any should be.
            ServerTimeout: no byte, or no whole frame of a chunk, within `Limits.idle_s`.
            TransferTooSlow: the average is below the least.
            TookTooLong, ConnectionBroken: as their names say.
        """
        reins = self.reins
        reins.halt.check()
        if self._trouble is None and self._watchdog is None and self.raw.closed:
            return 0
        filled = self._paced(view) if self._trouble is None else 0
        if self._trouble is not None and not filled:
            reins.halt.check()
            raise self._trouble
        return filled

    def _paced(self, view: memoryview) -> int:
        began = self.reins.clock()
        room = self.reins.room(len(view))
        self.excuse(self.reins.clock() - began)
        filled = self._fill(view[:room])
        self.reins.left_over(room - filled)
        return filled

    def _fill(self, view: memoryview) -> int:
        filled = 0
        patience = self._patience()
        clock = self.reins.clock
        until = clock() + _MOMENT_S
        try:
            if self._watchdog is None:
                self._watchdog = Watchdog(self.raw.fileno(), patience, self.reins.halt)
            while filled < len(view):
                self._watchdog.allow(patience)
                count = self._body.read_into(view[filled:])
                filled += count
                if not count or clock() >= until:
                    break
            self._watchdog.rest()
        except FOREIGN as exc:
            self._trouble = self._trouble_of(exc, self.received + filled)
            self._trouble.__cause__ = exc
        self.received += filled
        self._trouble = self._trouble or self._cut() or self._slowness(filled)
        return filled

    def excuse(self, seconds: float) -> None:
        """Leave `seconds` out of the average: it was us who kept the server waiting."""
        self._since += seconds

    def status_error(self) -> NetworkError:
        """Return the error for a status that carries no document."""
        url, status, proxy = self.url, self.status, self.attempt.proxy
        if status == 304:
            return NotModifiedUnasked(url=url)
        if status == 401:
            return LoginNeeded(url=url, status=status, sent=self.password_sent)
        if status == 407 and proxy is not None:
            return ProxyFailed(url=url, proxy=str(proxy), why="it wants a user name and password, or others")
        if status == 429 or status >= 500:
            return ServerBusy(url=url, status=status, retry_after_s=self._retry_after())
        return _FINAL.get(status, HttpStatus)(url=url, status=status)

    def _patience(self) -> float:
        reins = self.reins
        if reins.deadline is None:
            return reins.limits.idle_s
        return min(reins.limits.idle_s, reins.deadline.left(reins.clock, self.url))

    def _trouble_of(self, exc: BaseException, got: int) -> NetworkError:
        if cut := self._cut() or self._lateness():
            return cut
        expected = None if self.length is None else got + self.length
        return self.attempt.no_body(exc, expected=expected, got=got)

    def _cut(self) -> NetworkError | None:
        """Return the error for a connection that the watchdog cut, after which a body may seem to be at its end."""
        if self._watchdog is None or not self._watchdog.has_cut:
            return None
        return self._lateness() or self.attempt.timed_out("the body")

    def _lateness(self) -> NetworkError | None:
        try:
            self._patience()
        except TookTooLong as error:
            return error
        return None

    def _slowness(self, count: int) -> NetworkError | None:
        self._recent += count
        limits = self.reins.limits
        spent = self.reins.clock() - self._since
        if spent < limits.rate_window_s:
            return None
        least, recent = limits.min_rate_bytes_s, self._recent
        if recent < least * spent:
            return TransferTooSlow(url=self.url, got_bytes=recent, seconds=round(spent), least_bytes_s=least)
        self._since, self._recent = self.reins.clock(), 0
        return None

    def _retry_after(self) -> float | None:
        text = self.header("Retry-After")
        if re.fullmatch(r"[0-9]{1,9}", text):
            return int(text)
        # A date is compared with the server's own clock, which may differ from ours.
        return seconds_between(self.header("Date"), text)


def is_etag(text: str) -> bool:
    """Tell whether `text` is an entity tag that may be sent to a server."""
    return _ETAG.fullmatch(text) is not None


def is_date(text: str) -> bool:
    """Tell whether `text` is a date that may be sent to a server."""
    return _DATE.fullmatch(text) is not None


def seconds_between(earlier: str, later: str) -> float | None:
    """Return the seconds between two HTTP dates; None if one of them is no date."""
    try:
        return (parsedate_to_datetime(later) - parsedate_to_datetime(earlier)).total_seconds()
    except (TypeError, ValueError, OverflowError):
        return None
