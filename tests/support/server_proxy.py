"""A web proxy on 127.0.0.1: absolute requests for http, CONNECT for https, and a log of both.

with Proxy(to={"site.example:80": server}) as proxy:     # names that exist nowhere lead to a test server
    fetch("http://site.example/list")                    # with proxies={"http": proxy.url()}
    assert proxy.lines == ["GET http://site.example/list HTTP/1.1"]
"""

from __future__ import annotations

import base64
import contextlib
import re
import select
import socket
import threading
from collections.abc import Mapping
from typing import Protocol, Self


class _Listening(Protocol):
    port: int


class Proxy:
    """The proxy; listening from the moment it is made. It reaches only the servers in `to`, by `host:port`."""

    def __init__(self, to: Mapping[str, _Listening], *, login: str = "", answer: bytes = b"") -> None:
        self.lines: list[str] = []
        self.logins: list[str] = []
        self._to = dict(to)
        self._login = login
        self._answer = answer
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True, name="proxy").start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *unused: object) -> None:
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def url(self, *, userinfo: str = "") -> str:
        """Return the proxy's URL; `userinfo` is `user:password`."""
        return f"http://{userinfo}{'@' if userinfo else ''}127.0.0.1:{self.port}"

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True, name="proxy-client").start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError, ValueError):
            client.settimeout(20)
            head = self._head(client)
            line = head.partition("\r\n")[0]
            self.lines.append(line)
            if not self._is_welcome(head):
                client.sendall(b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            elif self._answer:
                client.sendall(self._answer)
            else:
                self._forward(client, line, head)

    def _head(self, client: socket.socket) -> str:
        raw = b""
        while b"\r\n\r\n" not in raw:
            more = client.recv(1)
            if not more:
                return ""
            raw += more
        return raw.decode("latin-1")

    def _is_welcome(self, head: str) -> bool:
        found = re.search(r"(?im)^proxy-authorization: Basic (\S+)", head)
        login = base64.b64decode(found[1]).decode() if found else ""
        self.logins.append(login)
        return login == self._login

    def _forward(self, client: socket.socket, line: str, head: str) -> None:
        method, target, _ = line.split(" ")
        named = re.fullmatch(r"http://([^/]+)(/.*)?", target)
        place = target if method == "CONNECT" else (named[1] if named else "")
        known = self._to.get(place) or self._to.get(f"{place}:80")
        if known is None:
            client.sendall(b"HTTP/1.1 502 Not here\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return
        with socket.create_connection(("127.0.0.1", known.port)) as server:
            if method == "CONNECT":
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                path = (named[2] if named else "") or "/"
                # What is meant for the proxy alone stays here (RFC 9110 section 11.7.1).
                onward = re.sub(r"(?im)^proxy-authorization:.*\r\n", "", head)
                server.sendall(onward.replace(target, path, 1).encode("latin-1"))
            _pump(client, server)


def _pump(one: socket.socket, other: socket.socket) -> None:
    while True:
        ready, _, _ = select.select([one, other], [], [], 20)
        if not ready:
            return
        for sock in ready:
            data = sock.recv(65536)
            if not data:
                return
            (other if sock is one else one).sendall(data)
