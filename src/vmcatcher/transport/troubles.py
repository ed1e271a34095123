"""What went wrong, in our words: whatever `requests` and the libraries below it raise becomes one of our errors."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

import requests
import urllib3.exceptions as library

from vmcatcher.errors import NetworkError
from vmcatcher.errors.answer import BadHeader, BodyTruncated
from vmcatcher.errors.network import (
    ConnectionBroken,
    ConnectionRefused,
    HostUnknown,
    ProxyFailed,
    ServerTimeout,
    TlsRefused,
    Unreachable,
)
from vmcatcher.transport.dialing import HandshakeTimeout, TunnelBroken
from vmcatcher.transport.tls import why_refused

if TYPE_CHECKING:
    from vmcatcher.model.location import Location
    from vmcatcher.transport.proxies import Proxy

_Kind = TypeVar("_Kind")

FOREIGN: Final = (OSError, ValueError, http.client.HTTPException, library.HTTPError, TunnelBroken)
"""All that sending a request and reading its answer may raise; errors of `requests` are OSErrors."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What was tried when it went wrong; times in seconds."""

    location: Location
    proxy: Proxy | None
    connect_s: float
    read_s: float

    @property
    def _url(self) -> str:
        return str(self.location)

    @property
    def _address(self) -> str:
        return f"{self.location.host} port {self.location.origin.port}"

    def no_answer(self, exc: BaseException) -> NetworkError:
        """Return the error for an exception before the header of the answer was there."""
        chain = [one for one in _chain(exc) if not isinstance(one, requests.RequestException)]
        return self._not_reached(chain) or self._not_connected(chain) or self._broken(chain, "an answer")

    def _not_reached(self, chain: list[BaseException]) -> NetworkError | None:
        if _first(chain, TunnelBroken) or _first(chain, library.ProxyError):
            return ProxyFailed(url=self._url, proxy=str(self.proxy), why=_why(chain[-1]))
        if _first(chain, library.NameResolutionError):
            return HostUnknown(url=self._url, host=self.location.host, why=_why(chain[-1]))
        if _first(chain, ConnectionRefusedError):
            return ConnectionRefused(url=self._url, address=self._address)
        if _first(chain, library.NewConnectionError):
            return Unreachable(url=self._url, address=self._address, why=_why(chain[-1]))
        return None

    def _not_connected(self, chain: list[BaseException]) -> NetworkError | None:
        if _first(chain, library.ConnectTimeoutError):
            return self._timeout(f"a connection to {self._address}", self.connect_s)
        if _first(chain, HandshakeTimeout):
            return self._timeout("the TLS handshake", self.connect_s)
        if _first(chain, ssl.SSLEOFError) or _first(chain, ssl.SSLZeroReturnError):
            return ConnectionBroken(url=self._url, why="closed during the TLS handshake")
        if refused := _first(chain, ssl.SSLError):
            return TlsRefused(url=self._url, why=why_refused(refused))
        return None

    def no_body(self, exc: BaseException, *, expected: int | None, got: int) -> NetworkError:
        """Return the error for an exception in the body, of which `got` bytes had come."""
        chain = list(_chain(exc))
        if _first(chain, http.client.IncompleteRead):
            return BodyTruncated(url=self._url, expected=expected, got=got)
        return self._broken(chain, "the body")

    def timed_out(self, waiting_for: str) -> NetworkError:
        """Return the error for something that should have come over an open connection."""
        return self._timeout(waiting_for, self.read_s)

    def _timeout(self, waiting_for: str, seconds: float) -> NetworkError:
        return ServerTimeout(url=self._url, waiting_for=waiting_for, seconds=round(seconds, 1))

    def _broken(self, chain: list[BaseException], waiting_for: str) -> NetworkError:
        if _first(chain, TimeoutError) or _first(chain, library.ReadTimeoutError):
            return self.timed_out(waiting_for)
        if _first(chain, http.client.RemoteDisconnected):
            return ConnectionBroken(url=self._url, why="closed without an answer")
        if broken := _first(chain, OSError):
            return ConnectionBroken(url=self._url, why=_why(broken))
        return BadHeader(url=self._url, why=_why(chain[-1]))


def _chain(exc: BaseException) -> Iterator[BaseException]:
    """Yield an exception and what it was made of, the innermost last."""
    yield exc
    inner = (exc.__cause__, getattr(exc, "reason", None), *exc.args)
    found = next((one for one in inner if isinstance(one, BaseException)), None)
    if found is not None:
        yield from _chain(found)


def _first(chain: list[BaseException], kind: type[_Kind]) -> _Kind | None:
    return next((one for one in chain if isinstance(one, kind)), None)


def _why(exc: BaseException) -> str:
    match exc:
        case ssl.SSLError():
            return f"TLS: {exc.reason}"
        case http.client.UnknownProtocol():
            return "it speaks an unknown version of HTTP"
        case http.client.LineTooLong():
            return "a header line is longer than 64 KiB"
        case http.client.BadStatusLine():
            return "it does not begin with an HTTP status line"
        case OSError(strerror=str(text)):
            return text
        case _:
            return str(exc) or type(exc).__name__
