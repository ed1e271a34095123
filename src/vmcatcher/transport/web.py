"""Ask for a URL over http or https: proxies, passwords, redirects, and connections used again."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple, cast
from urllib.parse import quote, urljoin

from urllib3 import Timeout

from vmcatcher.errors import printable
from vmcatcher.errors.answer import BadHeader, Downgrade, RedirectRefused, TooManyRedirects
from vmcatcher.errors.location import BadListedLocation
from vmcatcher.errors.network import HostUnknown
from vmcatcher.model.location import Location
from vmcatcher.transport.access import authorization
from vmcatcher.transport.addresses import is_local
from vmcatcher.transport.answers import Answer, Reins
from vmcatcher.transport.dialing import Adapter, IdleClosed, LeadsInside, Plain
from vmcatcher.transport.limits import Clock, Deadline, Limits
from vmcatcher.transport.proxies import Proxies, Proxy
from vmcatcher.transport.tls import make_context
from vmcatcher.transport.troubles import FOREIGN, Attempt

if TYPE_CHECKING:
    from urllib3 import HTTPResponse

    from vmcatcher.transport.access import Access
    from vmcatcher.transport.halting import Halt
    from vmcatcher.transport.pace import Pace

logger = logging.getLogger(__name__)

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_ASCII: Final = "".join(map(chr, range(0x21, 0x7F)))
_HAS_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


@dataclass(frozen=True, slots=True)
class Errand:
    """What is wanted: from where, as whom, under which conditions, and by when."""

    location: Location
    access: Access
    headers: Mapping[str, str] = field(default_factory=dict)
    deadline: Deadline | None = None


class _Route(NamedTuple):
    """What two requests must have in common to share connections."""

    tls: str
    trust_directory: str | None
    proxy: Proxy | None
    outside: bool


class Web:
    """Asks servers; one per run, so that requests to a server share a connection. Safe to use from several threads."""

    def __init__(
        self, *, limits: Limits, user_agent: str, proxies: Proxies, clock: Clock, pace: Pace, halt: Halt
    ) -> None:
        self.limits = limits
        self._pace = pace
        self._halt = halt
        self._agent = printable(user_agent).encode("ascii", "replace").decode("ascii")
        self._proxies = proxies
        self._clock = clock
        self._lock = threading.Lock()
        self._adapters: dict[_Route, Adapter] = {}
        self._warned: set[str] = set()

    def close(self) -> None:
        """Close the connections that wait for a next request."""
        for adapter in self._adapters.values():
            adapter.close()

    def get(self, errand: Errand) -> Answer:
        """Return the answer that is no redirect, whatever its status; its body is not read yet.

        Redirects are followed to http and https only, never from https to http, and to this machine or what only it
        can see only where the first request went there too. Conditions and ranges are sent along; the password only
        where it belongs.

        Raises:
            TooManyRedirects, RedirectRefused, Downgrade: see above.
            PasswordOverHttp, BadUserName: see `access.authorization`.
            NetworkError: no answer; see `troubles.Attempt`.
        """
        location, came_from = errand.location, None
        may_lead_inside = is_local(location.host)
        for _ in range(self.limits.max_redirects + 1):
            answer = self._ask(errand, location, came_from if not may_lead_inside else None)
            if answer.status not in _REDIRECTS:
                return answer
            may_lead_inside = may_lead_inside or (came_from is None and answer.leads_inside)
            with answer:
                target = _next(answer, may_lead_inside=may_lead_inside)
            logger.debug("redirect from=%s to=%s", location, target)
            came_from, location = str(location), target
        raise TooManyRedirects(url=str(errand.location), limit=self.limits.max_redirects)

    def _ask(self, errand: Errand, location: Location, came_from: str | None) -> Answer:
        """Ask once, without following; a request that was redirected from `came_from` must not lead inside."""
        self._halt.check()
        _check_host(location)
        proxy = self._proxies.choose(location)
        password = authorization(location, errand.access, through_proxy=proxy is not None)
        headers = {"User-Agent": self._agent, "Accept": "*/*", "Accept-Encoding": "identity", **errand.headers}
        if password is not None:
            headers["Authorization"] = password
        adapter = self._adapter(location, errand.access, proxy, outside=came_from is not None)
        read_s = self.limits.idle_s
        connect_s = self.limits.connect_s
        if errand.deadline is not None:
            left = errand.deadline.left(self._clock, str(location))
            read_s, connect_s = min(read_s, left), min(connect_s, left)
        attempt = Attempt(location, proxy, connect_s, read_s)
        try:
            raw = _send(adapter, attempt, headers)
        except LeadsInside as exc:
            why = f"it leads to {exc}, which is this machine or visible to it only"
            raise RedirectRefused(url=came_from or "", target=str(location), why=why) from exc
        except FOREIGN as exc:
            self._halt.check()
            if errand.deadline is not None:
                errand.deadline.left(self._clock, str(location))
            raise attempt.no_answer(exc) from exc
        logger.debug("asked url=%s status=%d", location, raw.status)
        leads_inside = cast("Plain", raw.connection).leads_inside
        reins = Reins(self.limits, self._clock, self._pace, self._halt, errand.deadline)
        return Answer(attempt, raw, reins, leads_inside, password is not None)

    def _adapter(self, location: Location, access: Access, proxy: Proxy | None, *, outside: bool) -> Adapter:
        is_secure = location.scheme == "https"
        tls, directory = (access.tls, access.trust_directory) if is_secure else ("none", None)
        route = _Route(tls, directory, proxy, outside)
        with self._lock:
            if tls == "insecure" and str(location.origin) not in self._warned:
                self._warned.add(str(location.origin))
                logger.warning(
                    "TLS is not verified for %s: anybody on the way can answer (--uri-insecure)", location.origin
                )
            if route not in self._adapters:
                context = make_context(access, str(location)) if is_secure else None
                self._adapters[route] = Adapter(
                    context, proxy.authorization if proxy else None, self._halt, outside=outside
                )
            return self._adapters[route]


def _send(adapter: Adapter, attempt: Attempt, headers: dict[str, str]) -> HTTPResponse:
    proxy = str(attempt.proxy) if attempt.proxy else None
    while True:
        try:
            return adapter.ask(
                attempt.location, headers, Timeout(connect=attempt.connect_s, read=attempt.read_s), proxy
            )
        except IdleClosed:
            # Ask again: on another idle connection, of which there are few, and then on a new one.
            logger.debug("idle connection was closed url=%s", attempt.location)


def _check_host(location: Location) -> None:
    try:
        location.host.encode("idna")
    except UnicodeError as exc:  # from TLS such a name would come as an error that leaves the socket open
        raise HostUnknown(url=str(location), host=location.host, why="no valid host name") from exc


def _next(answer: Answer, *, may_lead_inside: bool) -> Location:
    """Return where a redirect leads, if that is a place to follow it to."""
    # What is not ASCII are the bytes of the header, one character each; a URI has them percent-encoded.
    text = quote(answer.header("Location").encode("latin-1", "replace"), safe=_ASCII)
    if not text:
        raise BadHeader(url=answer.url, why=f"status {answer.status} without a Location")
    try:
        target = Location.from_list(text if _HAS_SCHEME.match(text) else urljoin(answer.url, text))
    except BadListedLocation as exc:
        raise RedirectRefused(url=answer.url, target=exc.uri, why=exc.why) from exc
    except ValueError as exc:
        raise RedirectRefused(url=answer.url, target=text, why="it is no URI") from exc
    if target.scheme == "file":
        raise RedirectRefused(url=answer.url, target=str(target), why="only http and https are followed")
    if answer.location.scheme == "https" and target.scheme == "http":
        raise Downgrade(url=answer.url, target=str(target), why="it leads from https to http")
    if is_local(target.host) and not may_lead_inside:
        why = "it leads to this machine or to what only this machine can see"
        raise RedirectRefused(url=answer.url, target=str(target), why=why)
    return target
