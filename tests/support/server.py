"""A small web server on 127.0.0.1 that keeps count, does HTTP right, and does it wrong on request.

    with Server() as server:                              # Server(tls=context) for https
        server.publish("/list", content)                  # ETag, Last-Modified, ranges, 304: all as RFC 9110 says
        server.fault("/list", "truncate", times=1)        # the next answer breaks off, later ones are whole
        fetch(server.url("/list"))
        assert server.gets("/list") == 2

The ways in which it can fail are the functions of `support.server_faults`.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import itertools
import re
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Self

from support.server_faults import FAULTS, Exchange

LONG_AGO = "Sat, 01 Jan 2022 00:00:00 GMT"
TODAY = "Mon, 03 Jun 2024 12:00:00 GMT"
_LARGEST_REQUEST = 1 << 20


@dataclass(frozen=True)
class Document:
    """What is served at one path. An empty `etag` or `last_modified` is not sent."""

    content: bytes
    etag: str
    last_modified: str = LONG_AGO
    content_type: str = "application/octet-stream"

    def validators(self) -> dict[str, str]:
        """The headers by which a client recognises this version."""
        named = {"ETag": self.etag, "Last-Modified": self.last_modified}
        return {name: value for name, value in named.items() if value}


@dataclass(frozen=True)
class Request:
    """One request as it arrived; header names in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    connection: int

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]


@dataclass
class _Fault:
    mode: str
    times: int | None
    options: Mapping[str, object]


@dataclass
class _Plan:
    """What the server is to do; guarded by the server's lock."""

    documents: dict[str, Document] = field(default_factory=dict)
    faults: dict[str, _Fault] = field(default_factory=dict)
    passwords: dict[str, str] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)


class Server:
    """The server; listening from the moment it is made until `close()` or the end of its `with` block."""

    def __init__(self, *, tls: ssl.SSLContext | None = None, port: int = 0) -> None:
        """Listen at `port`, any free one unless given; `tls` may be exchanged between two connections."""
        self.tls = tls
        self.listening = socket.create_server(("127.0.0.1", port))
        self.port: int = self.listening.getsockname()[1]
        self.connections = 0
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        self._plan = _Plan()
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True, name="server").start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop: cut every connection and refuse new ones."""
        self.stopping.set()
        with contextlib.suppress(OSError):
            self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()
        self.cut()

    def cut(self) -> None:
        """Cut every open connection, as a server does that restarts, and go on listening."""
        with self._lock:
            victims = list(self._open)
        for sock in victims:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def url(self, path: str = "/", *, userinfo: str = "", host: str = "127.0.0.1") -> str:
        """Return the absolute URL of `path`; `userinfo` is `user:password`."""
        scheme = "https" if self.tls else "http"
        return f"{scheme}://{userinfo}{'@' if userinfo else ''}{host}:{self.port}{path}"

    def publish(
        self,
        path: str,
        content: bytes,
        *,
        etag: str | None = None,
        last_modified: str = LONG_AGO,
        content_type: str = "application/octet-stream",
    ) -> None:
        """Serve `content` at `path`; without an `etag` a strong one is made of the content, with `""` none is sent."""
        tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"' if etag is None else etag
        with self._lock:
            self._plan.documents[path] = Document(content, tag, last_modified, content_type)

    def withdraw(self, path: str) -> None:
        """Answer 404 at `path` from now on."""
        with self._lock:
            del self._plan.documents[path]

    def fault(self, path: str, mode: str, *, times: int | None = None, **options: object) -> None:
        """Answer at `path` as the function `mode` of `support.server_faults` does: `times` times, or until `heal`."""
        if mode not in FAULTS:
            raise KeyError(f"no fault named {mode}; there are {', '.join(sorted(FAULTS))}")
        with self._lock:
            self._plan.faults[path] = _Fault(mode, times, options)

    def heal(self, path: str) -> None:
        """Answer properly at `path` again."""
        with self._lock:
            self._plan.faults.pop(path, None)

    def require_password(self, username: str, password: str, *, under: str = "/") -> None:
        """Answer 401 to whoever asks for a path that begins with `under` without this Basic password."""
        token = base64.b64encode(f"{username}:{password}".encode()).decode()
        with self._lock:
            self._plan.passwords[under] = f"Basic {token}"

    @property
    def requests(self) -> list[Request]:
        """Every request so far, in the order of arrival."""
        with self._lock:
            return list(self._plan.requests)

    def gets(self, path: str) -> int:
        """Return how often `path` was asked for, whatever the answer."""
        return sum(request.method == "GET" and request.path == path for request in self.requests)

    def published(self) -> dict[str, Document]:
        """Return what is served, by path."""
        with self._lock:
            return dict(self._plan.documents)

    def reset(self, documents: Mapping[str, Document]) -> None:
        """Serve just these documents, properly and to anybody, and forget what was asked for."""
        with self._lock:
            self._plan = _Plan(documents=dict(documents))

    def forget(self) -> None:
        """Empty the request log."""
        with self._lock:
            self._plan.requests.clear()

    def _accept(self) -> None:
        for number in itertools.count(1):
            try:
                sock, _ = self.listening.accept()
            except OSError:
                return
            self.connections = number
            threading.Thread(target=self._serve, args=(sock, number), daemon=True, name=f"server-{number}").start()

    def _serve(self, plain: socket.socket, number: int) -> None:
        sock = plain
        with self._lock:
            self._open.add(plain)
        try:
            plain.settimeout(30)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.tls:
                sock = self.tls.wrap_socket(plain, server_side=True)
                with self._lock:
                    self._open.discard(plain)
                    self._open.add(sock)
            for request in _requests(sock, number):
                if not self._answer(sock, request):
                    return
        except (OSError, ValueError):
            return  # the client went away, which is its right
        finally:
            with self._lock:
                self._open.discard(sock)
                self._open.discard(plain)
            sock.close()

    def _answer(self, sock: socket.socket, request: Request) -> bool:
        """Answer one request; tell whether the connection can be used again."""
        with self._lock:
            self._plan.requests.append(request)
            fault = self._strike(request.path)
            document = self._plan.documents.get(request.path)
            locked = self._is_locked(request)
        exchange = Exchange(sock, request.target, request.headers, document, self.stopping)
        if locked:
            exchange.head(401, {"WWW-Authenticate": 'Basic realm="test"', "Content-Length": "0"})
            return True
        if fault is None:
            return answer(exchange)
        exchange.options = fault.options
        FAULTS[fault.mode](exchange)
        if exchange.unanswered:
            return answer(exchange)
        return exchange.keep

    def _strike(self, path: str) -> _Fault | None:
        fault = self._plan.faults.get(path)
        if fault is not None and fault.times is not None:
            fault.times -= 1
            if fault.times <= 0:
                del self._plan.faults[path]
        return fault

    def _is_locked(self, request: Request) -> bool:
        return any(
            request.path.startswith(under) and request.headers.get("authorization") != token
            for under, token in self._plan.passwords.items()
        )


def _requests(sock: socket.socket, number: int) -> Iterator[Request]:
    """Yield the requests of one connection until the client closes it."""
    raw = b""
    while True:
        while b"\r\n\r\n" not in raw:
            more = sock.recv(65536)
            if not more or len(raw) > _LARGEST_REQUEST:
                return
            raw += more
            if not raw[:1].isalpha():  # TLS, or worse
                sock.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
                return
        head, raw = raw.split(b"\r\n\r\n", 1)
        line, *fields = head.decode("latin-1").split("\r\n")
        method, target, _ = line.split(" ")
        headers = {name.strip().lower(): value.strip() for name, _, value in (item.partition(":") for item in fields)}
        # What came through a proxy names the whole URL (RFC 9112 section 3.2.2).
        yield Request(method, re.sub(r"^http://[^/]*", "", target) or "/", headers, number)


def answer(exchange: Exchange) -> bool:
    """Answer as RFC 9110 says: 404, 304, 416, 206 or 200; the connection stays open."""
    document = exchange.document
    if not isinstance(document, Document):
        exchange.head(404, {"Content-Length": "0", "Date": TODAY})
        return True
    known = {"Date": TODAY, "Accept-Ranges": "bytes", **document.validators()}
    content, size = document.content, len(document.content)
    if _is_unchanged(exchange.headers, document):
        exchange.head(304, known)
        return True
    wanted = _wanted_range(exchange.headers, document)
    if wanted is None:
        exchange.head(200, {**known, "Content-Length": str(size), "Content-Type": document.content_type})
        exchange.send(content)
        return True
    first, last = wanted
    if first >= size:
        exchange.head(416, {**known, "Content-Range": f"bytes */{size}", "Content-Length": "0"})
        return True
    part = content[first : last + 1]
    span = {"Content-Range": f"bytes {first}-{first + len(part) - 1}/{size}", "Content-Length": str(len(part))}
    exchange.head(206, {**known, **span, "Content-Type": document.content_type})
    exchange.send(part)
    return True


def _is_unchanged(headers: Mapping[str, str], document: Document) -> bool:
    # RFC 9110 section 13.2.2: If-None-Match, where present, decides alone; it compares weakly.
    if "if-none-match" in headers:
        tags = [tag.strip().removeprefix("W/") for tag in headers["if-none-match"].split(",")]
        return bool(document.etag) and document.etag.removeprefix("W/") in tags
    return bool(document.last_modified) and headers.get("if-modified-since") == document.last_modified


def _wanted_range(headers: Mapping[str, str], document: Document) -> tuple[int, int] | None:
    found = re.fullmatch(r"bytes=(\d+)-(\d*)", headers.get("range", ""))
    if found is None:
        return None
    condition = headers.get("if-range", "")
    # RFC 9110 section 13.1.5: a strong match, else the range is ignored.
    if condition and (condition.startswith("W/") or condition not in {document.etag, document.last_modified}):
        return None
    size = len(document.content)
    return int(found[1]), min(int(found[2] or size - 1), size - 1)
