"""How `requests` connects: with our TLS, looking whom it reached before it says a word, every wait with an end."""

from __future__ import annotations

import re
import socket
import ssl
import sys
import time
from functools import partial
from http.client import HTTPException, HTTPResponse
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from vmcatcher.transport.addresses import is_local
from vmcatcher.transport.watchdog import Watchdog

if TYPE_CHECKING:
    from collections.abc import Collection

    from urllib3 import HTTPConnectionPool, Timeout
    from urllib3 import HTTPResponse as Response

    from vmcatcher.model.location import Location
    from vmcatcher.transport.halting import Halt

    SocketOption = tuple[int, int, int | bytes]

_MOST_IDLE: Final = 16


class IdleClosed(Exception):
    """The server closed an idle connection just when we asked (RFC 9112 section 9.3.1)."""


class LeadsInside(Exception):
    """A connection to this machine, or to one that only this machine sees, where there must be none."""


class HeaderTimeout(TimeoutError):
    """The header of the answer took too long."""


class HandshakeTimeout(TimeoutError):
    """TLS, or the proxy before it, took too long."""


class TunnelBroken(Exception):
    """The proxy answered to CONNECT with something that is no HTTP."""


def _connected(host: str, port: int, seconds: float, options: Collection[SocketOption]) -> socket.socket:
    """Return a connection to the first address that answers, all of them tried within `seconds`.

    Each address but the last may take half of what is left, as with curl: one that leads nowhere (IPv6, often) must
    not take it all, and a name with fifty of them must not hold up a run for fifty times as long.
    """
    ends = time.monotonic() + seconds
    addresses = socket.getaddrinfo(host.strip("[]"), port, socket.AF_UNSPEC, socket.SOCK_STREAM)
    failure = OSError("it has no address")
    for behind, (family, kind, protocol, _, address) in zip(reversed(range(len(addresses))), addresses, strict=True):
        share = (ends - time.monotonic()) / (2 if behind else 1)
        try:
            sock = socket.socket(family, kind, protocol)
        except OSError as exc:
            failure = exc
            continue
        try:
            for option in options:
                sock.setsockopt(*option)
            sock.settimeout(max(share, 0.01))  # zero would mean not to wait at all, and fail differently
            sock.connect(address)
            sock.settimeout(seconds)
        except OSError as exc:
            failure = exc
            sock.close()
        else:
            return sock
    raise failure


class _StrictResponse(HTTPResponse):
    def begin(self) -> None:
        """Read the header; a length that is no number or not the only one is no reason to read until the end."""
        super().begin()
        lengths = {value.strip() for value in self.headers.get_all("Content-Length", [])}
        if not self.chunked and (len(lengths) > 1 or not all(re.fullmatch(r"[0-9]{1,18}", one) for one in lengths)):
            raise HTTPException("its Content-Length is no number, or there are several")


class Plain(HTTPConnection):
    """A connection that may lead anywhere; `leads_inside` says whether it does."""

    response_class = _StrictResponse
    may_lead_inside: ClassVar[bool] = True
    leads_inside = False
    _asked = False

    def __init__(self, *args: Any, halt: Halt, **options: Any) -> None:
        """Take what urllib3 gives, and what ends every wait."""
        super().__init__(*args, **options)
        self._halt = halt

    def _new_conn(self) -> socket.socket:
        self.sock = sock = self._reach()  # noted at once: urllib3 closes it whatever comes next
        self._asked = False
        address = str(sock.getpeername()[0])
        # An operator's proxy may well be on this machine, whatever led to the request.
        self.leads_inside = self.proxy is None and is_local(address)
        if self.leads_inside and not self.may_lead_inside:
            raise LeadsInside(address)
        return sock

    def _reach(self) -> socket.socket:
        """Connect as urllib3 does, which would wait the whole time for each address of the host."""
        try:
            sys.audit("http.client.connect", self, self.host, self.port)
            return _connected(self._dns_host, self.port, cast("float", self.timeout), self.socket_options or ())
        except socket.gaierror as exc:
            raise NameResolutionError(self.host, self, exc) from exc
        except TimeoutError as exc:
            raise ConnectTimeoutError(self, str(exc)) from exc
        except OSError as exc:
            raise NewConnectionError(self, str(exc)) from exc

    def getresponse(self) -> Response:  # type: ignore[override]  # as in urllib3
        """Return the answer once all of its header is there, within the time allowed for a single read."""
        is_idle, self._asked = self._asked, True
        with Watchdog(self.sock.fileno(), cast("float", self.timeout), self._halt) as watchdog:
            try:
                response = super().getresponse()
            except (OSError, HTTPException) as exc:
                if watchdog.has_cut:
                    raise HeaderTimeout from exc
                if is_idle and isinstance(exc, (ConnectionError, ssl.SSLEOFError)):
                    raise IdleClosed from exc
                raise
            if watchdog.has_cut:  # and the header ends where it was cut
                response.close()
                raise HeaderTimeout
        return response


class Secure(Plain, HTTPSConnection):
    """The same with TLS."""

    _watchdog: Watchdog | None = None

    def _new_conn(self) -> socket.socket:
        sock = super()._new_conn()
        self._watchdog = Watchdog(sock.fileno(), cast("float", self.timeout), self._halt)
        return sock

    def connect(self) -> None:
        """Connect, through the proxy if there is one, and agree on TLS; both within the time allowed for connecting."""
        try:
            super().connect()
        except (OSError, HTTPException) as exc:
            if isinstance(exc, TimeoutError) or (self._watchdog is not None and self._watchdog.has_cut):
                raise HandshakeTimeout from exc
            if isinstance(exc, HTTPException):
                raise TunnelBroken from exc
            raise
        finally:
            if self._watchdog is not None:
                self._watchdog.dismiss()
                self._watchdog = None
        # urllib3 would warn at each request to whom TLS does not verify; we do so once.
        self.is_verified = True

    @property
    def is_connected(self) -> bool:
        """Whether the connection can be used again; not if TLS still holds bytes that nobody asked for."""
        return super().is_connected and not (isinstance(self.sock, ssl.SSLSocket) and self.sock.pending())


class _PlainOutside(Plain):
    may_lead_inside = False


class _SecureOutside(Secure):
    may_lead_inside = False


class Adapter(HTTPAdapter):
    """Sends requests with one kind of TLS and keeps the connections for the next one. Safe to use from many threads.

    Used without a `requests.Session`, which would read the bodies of redirects whatever their size, and keep cookies.
    """

    def __init__(
        self, context: ssl.SSLContext | None, proxy_authorization: str | None, halt: Halt, *, outside: bool
    ) -> None:
        """Take the TLS context and the header for the proxy; `outside` refuses connections that lead inside."""
        self._context = context
        self._proxy_authorization = proxy_authorization
        self._plain = partial(_PlainOutside if outside else Plain, halt=halt)
        self._secure = partial(_SecureOutside if outside else Secure, halt=halt)
        super().__init__(pool_connections=_MOST_IDLE, pool_maxsize=_MOST_IDLE)

    def ask(self, location: Location, headers: dict[str, str], timeout: Timeout, proxy: str | None) -> Response:
        """Send a GET and return the answer, of which the header was read.

        As `send` does it, less what that prepares for a session: it would be a third of a request for a list that is
        what it was.

        Raises:
            OSError, urllib3.exceptions.HTTPError: see `troubles`, which knows them.
        """
        url = str(location) if proxy is not None and location.scheme == "http" else location.target
        pool = self._pool(location, proxy)
        return pool.urlopen(  # type: ignore[return-value]  # declared as what it has in common with others
            "GET",
            url,
            headers=headers,
            redirect=False,
            assert_same_host=False,
            preload_content=False,
            decode_content=False,
            retries=self.max_retries,
            timeout=timeout,
        )

    def _pool(self, location: Location, proxy: str | None) -> HTTPConnectionPool:
        """Return where connections to a place are kept, made to open none but ours, with our TLS only."""
        manager = self.poolmanager if proxy is None else self.proxy_manager_for(proxy)
        tls = {"ssl_context": self._context}
        found = manager.connection_from_host(location.host, location.port, location.scheme, pool_kwargs=tls)
        pool = cast("HTTPConnectionPool", found)
        made = self._secure if pool.scheme == "https" else self._plain
        pool.ConnectionCls = made  # type: ignore[assignment]  # all that is done with it is that it is called
        return pool

    def proxy_headers(self, proxy: str) -> dict[str, str]:
        """Return what the proxy alone is told."""
        del proxy
        return {"Proxy-Authorization": self._proxy_authorization} if self._proxy_authorization else {}
