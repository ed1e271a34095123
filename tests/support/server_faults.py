"""Every way in which the test server can fail, one function each, by the name that `Server.fault` takes.

A fault that cannot strike (a wrong range where no range was asked for) leaves the request to be answered properly.
Options, with their defaults, stand in the function that reads them; sizes are bytes, times are seconds.
"""

from __future__ import annotations

import gzip
import os
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

_Value = TypeVar("_Value")
_FOREVER = 25.0


class Served(Protocol):
    """What stands at the path that was asked for."""

    @property
    def content(self) -> bytes:
        """The bytes."""

    @property
    def etag(self) -> str:
        """The entity tag, or nothing."""

    def validators(self) -> dict[str, str]:
        """The headers by which a client recognises this version."""


@dataclass
class Exchange:
    """One request and the connection to answer it on."""

    sock: socket.socket
    target: str
    headers: Mapping[str, str]
    document: Served | None
    stopping: threading.Event
    options: Mapping[str, object] = field(default_factory=dict)
    unanswered: bool = False
    keep: bool = False

    @property
    def content(self) -> bytes:
        """The published bytes; none if nothing is published."""
        return self.document.content if self.document else b""

    @property
    def start(self) -> int:
        """First byte of the range that was asked for, 0 without one."""
        wanted = self.headers.get("range", "")
        return int(wanted.removeprefix("bytes=").partition("-")[0]) if wanted else 0

    def validators(self) -> dict[str, str]:
        """The published version's headers, and the date."""
        known = self.document.validators() if self.document else {}
        return {"Date": "Mon, 03 Jun 2024 12:00:00 GMT", **known}

    def option(self, name: str, default: _Value) -> _Value:
        """Return what the test asked for by `name`."""
        value = self.options.get(name, default)
        assert isinstance(value, type(default)), f"option {name}: expected {type(default).__name__}"
        return value

    def head(self, status: int, headers: Mapping[str, str]) -> None:
        """Send the status line and headers."""
        lines = [f"HTTP/1.1 {status} Test", *(f"{name}: {value}" for name, value in headers.items())]
        self.send("\r\n".join([*lines, "", ""]).encode("latin-1"))

    def closing(self, status: int, headers: Mapping[str, str]) -> None:
        """Send the status line and headers of an answer that ends with the connection."""
        self.head(status, {**headers, "Connection": "close"})

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self.sock.sendall(data)

    def pause(self, seconds: float) -> None:
        """Wait, but no longer than the server lives."""
        self.stopping.wait(seconds)


FAULTS: dict[str, Callable[[Exchange], None]] = {}


def _fault(name: str) -> Callable[[Callable[[Exchange], None]], Callable[[Exchange], None]]:
    def named(function: Callable[[Exchange], None]) -> Callable[[Exchange], None]:
        FAULTS[name] = function
        return function

    return named


def _only_for_ranges(function: Callable[[Exchange], None]) -> Callable[[Exchange], None]:
    def when_asked(exchange: Exchange) -> None:
        if "range" in exchange.headers:
            function(exchange)
        else:
            exchange.unanswered = True

    return when_asked


def _promise(exchange: Exchange) -> bytes:
    """Send the head that a proper answer would have; return the body that should follow."""
    size, start = len(exchange.content), exchange.start
    body = exchange.content[start:]
    if start:
        span = {"Content-Range": f"bytes {start}-{size - 1}/{size}"}
        exchange.closing(206, {**exchange.validators(), **span, "Content-Length": str(len(body))})
    else:
        exchange.closing(200, {**exchange.validators(), "Content-Length": str(size)})
    return body


@_fault("truncate")
def truncate(exchange: Exchange) -> None:
    """A proper head, then only `after` bytes of the body, then the end."""
    body = _promise(exchange)
    exchange.send(body[: exchange.option("after", len(body) // 2)])


@_fault("rst")
def rst(exchange: Exchange) -> None:
    """As `truncate`, but the end is a reset."""
    body = _promise(exchange)
    exchange.send(body[: exchange.option("after", len(body) // 2)])
    exchange.pause(0.05)  # a reset overtakes bytes that the client has not read yet
    exchange.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@_fault("damage")
def damage(exchange: Exchange) -> None:
    """As `truncate`, but then comes what no TLS can be, past the encryption."""
    body = _promise(exchange)
    exchange.send(body[: exchange.option("after", len(body) // 2)])
    os.write(exchange.sock.fileno(), b"no TLS at all\n" * 10)


@_fault("close")
def close(exchange: Exchange) -> None:
    """No answer at all: the connection is closed."""
    exchange.keep = False


@_fault("nolength")
def nolength(exchange: Exchange) -> None:
    """No Content-Length: `after` bytes (all unless given) and the end, which looks like success."""
    exchange.closing(200, exchange.validators())
    exchange.send(exchange.content[: exchange.option("after", len(exchange.content))])


@_fault("longer")
def longer(exchange: Exchange) -> None:
    """`extra` bytes more than published, all of them announced, or with `announced=False` no length."""
    body = exchange.content + b"x" * exchange.option("extra", 1000)
    length = {"Content-Length": str(len(body))} if exchange.option("announced", True) else {}
    exchange.closing(200, {**exchange.validators(), **length})
    exchange.send(body)


@_fault("trailing")
def trailing(exchange: Exchange) -> None:
    """The right body with the right length, and bytes behind it that nobody asked for, on an open connection."""
    exchange.head(200, {**exchange.validators(), "Content-Length": str(len(exchange.content))})
    exchange.send(exchange.content + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON")
    exchange.keep = True


@_fault("endless")
def endless(exchange: Exchange) -> None:
    """A body without length and without end."""
    exchange.closing(200, exchange.validators())
    while not exchange.stopping.is_set():
        exchange.send(b"z" * 65536)


@_fault("drip")
def drip(exchange: Exchange) -> None:
    """A proper head, then one byte every `gap` seconds."""
    for byte in _promise(exchange):
        exchange.send(bytes([byte]))
        exchange.pause(exchange.option("gap", 0.1))


@_fault("dripheader")
def dripheader(exchange: Exchange) -> None:
    """A header that arrives one byte every `gap` seconds, after the bytes `head`."""
    exchange.send(exchange.option("head", b""))
    for byte in b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * 10_000:
        exchange.send(bytes([byte]))
        exchange.pause(exchange.option("gap", 0.05))


@_fault("dripframe")
def dripframe(exchange: Exchange) -> None:
    """Chunks that begin with `head`; then a line of their frame without end, one byte every `gap` seconds."""
    exchange.head(200, {**exchange.validators(), "Transfer-Encoding": "chunked"})
    exchange.send(exchange.option("head", b"1;"))
    for _ in range(10_000):
        exchange.send(b"x")
        exchange.pause(exchange.option("gap", 0.05))


@_fault("hang")
def hang(exchange: Exchange) -> None:
    """Nothing for `seconds`; with `after`, a head and that many bytes first."""
    if "after" in exchange.options:
        exchange.send(_promise(exchange)[: exchange.option("after", 0)])
    exchange.pause(exchange.option("seconds", _FOREVER))


@_fault("hugeheader")
def hugeheader(exchange: Exchange) -> None:
    """A header line of `size` bytes."""
    exchange.send(b"HTTP/1.1 200 OK\r\nX-Long: ")
    for _ in range(exchange.option("size", 64 << 20) >> 16):
        exchange.send(b"a" * (1 << 16))


@_fault("manyheaders")
def manyheaders(exchange: Exchange) -> None:
    """`count` header lines of 4 KiB each."""
    exchange.send(b"HTTP/1.1 200 OK\r\n")
    for number in range(exchange.option("count", 90)):
        exchange.send(b"X-%d: %s\r\n" % (number, b"a" * 4096))
    exchange.send(b"\r\n")


@_fault("garbage")
def garbage(exchange: Exchange) -> None:
    """Something that is no HTTP at all: `text`."""
    exchange.send(exchange.option("text", b"SSH-2.0-OpenSSH_9.6\r\n\r\n"))


@_fault("raw")
def raw(exchange: Exchange) -> None:
    """Exactly the bytes `text`, then the end; with `keep=True` the connection stays open."""
    exchange.send(exchange.option("text", b""))
    exchange.keep = exchange.option("keep", False)


@_fault("chunked")
def chunked(exchange: Exchange) -> None:
    """The right body in chunks of `size` bytes; with `cut=True` the last chunk and the end mark are missing."""
    step = exchange.option("size", 1000)
    exchange.head(200, {**exchange.validators(), "Transfer-Encoding": "chunked"})
    parts = [exchange.content[at : at + step] for at in range(0, len(exchange.content), step)]
    cut = exchange.option("cut", False)
    for part in parts[:-1] if cut else parts:
        exchange.send(b"%x\r\n%s\r\n" % (len(part), part))
    if not cut:
        exchange.send(b"0\r\n\r\n")
        exchange.keep = True


@_fault("trailers")
def trailers(exchange: Exchange) -> None:
    """The right body in one chunk, and after it trailer fields without end."""
    exchange.head(200, {**exchange.validators(), "Transfer-Encoding": "chunked"})
    exchange.send(b"%x\r\n%s\r\n0\r\n" % (len(exchange.content), exchange.content))
    while not exchange.stopping.is_set():
        exchange.send(b"X-More: to come\r\n" * 1000)


@_fault("continues")
def continues(exchange: Exchange) -> None:
    """Interim answers (RFC 9110 section 15.2.1) without end."""
    while not exchange.stopping.is_set():
        exchange.send(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)


@_fault("redirect")
def redirect(exchange: Exchange) -> None:
    """A redirect to `to` with `status`."""
    exchange.head(exchange.option("status", 302), {"Location": exchange.option("to", "/"), "Content-Length": "0"})
    exchange.keep = True


@_fault("loop")
def loop(exchange: Exchange) -> None:
    """A redirect to the very same place."""
    exchange.head(302, {"Location": exchange.target, "Content-Length": "0"})
    exchange.keep = True


@_fault("304-unasked")
def unasked_304(exchange: Exchange) -> None:
    """Not modified, whatever was asked."""
    exchange.head(304, exchange.validators())
    exchange.keep = True


@_fault("wrongrange")
@_only_for_ranges
def wrongrange(exchange: Exchange) -> None:
    """206 with the whole document instead of the part that was asked for."""
    size = len(exchange.content)
    span = {"Content-Range": f"bytes 0-{size - 1}/{size}", "Content-Length": str(size)}
    exchange.closing(206, {**exchange.validators(), **span})
    exchange.send(exchange.content)


@_fault("shiftrange")
@_only_for_ranges
def shiftrange(exchange: Exchange) -> None:
    """206 that begins seven bytes later than asked."""
    size, start = len(exchange.content), exchange.start + 7
    span = {"Content-Range": f"bytes {start}-{size - 1}/{size}", "Content-Length": str(size - start)}
    exchange.closing(206, {**exchange.validators(), **span})
    exchange.send(exchange.content[start:])


@_fault("200onrange")
@_only_for_ranges
def whole_on_range(exchange: Exchange) -> None:
    """200 with the whole document, as servers do that know no ranges."""
    exchange.closing(200, {**exchange.validators(), "Content-Length": str(len(exchange.content))})
    exchange.send(exchange.content)


@_fault("etagchange")
@_only_for_ranges
def etagchange(exchange: Exchange) -> None:
    """206 for the right range of another version: other bytes, other ETag."""
    size, start = len(exchange.content), exchange.start
    span = {"Content-Range": f"bytes {start}-{size - 1}/{size}", "Content-Length": str(size - start)}
    exchange.closing(206, {**exchange.validators(), **span, "ETag": '"another-version"'})
    exchange.send(bytes(size - start))


@_fault("416")
@_only_for_ranges
def unsatisfiable(exchange: Exchange) -> None:
    """Range not satisfiable."""
    exchange.head(416, {"Content-Range": f"bytes */{len(exchange.content)}", "Content-Length": "0"})
    exchange.keep = True


@_fault("gzip")
def gzipped(exchange: Exchange) -> None:
    """The document gzipped although nobody allowed it."""
    _encoded(exchange, gzip.compress(exchange.content))


@_fault("bomb")
def bomb(exchange: Exchange) -> None:
    """64 MiB of nothing in 64 KiB of gzip."""
    _encoded(exchange, gzip.compress(bytes(1 << 20)) * 64)  # members of one file: RFC 1952 section 2.2


def _encoded(exchange: Exchange, body: bytes) -> None:
    exchange.closing(200, {"Content-Encoding": "gzip", "Content-Length": str(len(body))})
    exchange.send(body)


@_fault("html200")
def html200(exchange: Exchange) -> None:
    """The login page of a network that wants to be asked first."""
    body = b"<html>Please log in</html>"
    exchange.closing(200, {"Content-Type": "text/html", "Content-Length": str(len(body))})
    exchange.send(body)


@_fault("status")
def status(exchange: Exchange) -> None:
    """Nothing but the status `status`, with Retry-After if `retry_after` is given."""
    later = {"Retry-After": exchange.option("retry_after", "")} if "retry_after" in exchange.options else {}
    exchange.head(
        exchange.option("status", 503), {**later, "Date": exchange.validators()["Date"], "Content-Length": "0"}
    )
    exchange.keep = True


@_fault("503")
def busy(exchange: Exchange) -> None:
    """Service unavailable."""
    status(exchange)


@_fault("429")
def too_many(exchange: Exchange) -> None:
    """Too many requests, with `Retry-After: 1` unless `retry_after` says otherwise."""
    exchange.options = {"status": 429, "retry_after": "1", **exchange.options}
    status(exchange)
