"""The benchmark's own nginx on loopback: over http and https, with connections that are kept."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")

_CONFIGURATION = """
daemon off;
worker_processes 1;
pid {root}/nginx.pid;
error_log {root}/error.log;
events {{}}
http {{
    access_log off;
    sendfile on;
    keepalive_requests 1000000;
    default_type application/octet-stream;
    client_body_temp_path {root}/a; proxy_temp_path {root}/b; fastcgi_temp_path {root}/c;
    uwsgi_temp_path {root}/d; scgi_temp_path {root}/e;
    server {{
        listen 127.0.0.1:{port};
        listen 127.0.0.1:{tls_port} ssl;
        ssl_certificate {pem};
        ssl_certificate_key {pem};
        root {www};
    }}
}}
"""


def free_ports(count: int) -> list[int]:
    """Return ports of loopback on which nobody listens."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Nginx:
    """Serves the directory `www` while the `with` block lasts."""

    def __init__(self, root: Path, www: Path, pem: Path, ports: tuple[int, int]) -> None:
        root.mkdir(exist_ok=True)
        self._root = root
        self._port, self._tls_port = ports
        values = {"root": root, "www": www, "pem": pem, "port": ports[0], "tls_port": ports[1]}
        # The worker is another user where this runs as root.
        user = "user root;\n" if os.geteuid() == 0 else ""
        (root / "nginx.conf").write_text(user + _CONFIGURATION.format(**values))

    def __enter__(self) -> Self:
        assert NGINX is not None
        root = str(self._root)
        self._running = subprocess.Popen([NGINX, "-p", root, "-e", f"{root}/error.log", "-c", f"{root}/nginx.conf"])
        try:
            self._wait()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        self._running.send_signal(signal.SIGTERM)
        self._running.wait(10)

    def _wait(self) -> None:
        until = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self._tls_port)).close()
            except OSError:
                if self._running.poll() is not None or time.monotonic() > until:
                    said = (self._root / "error.log").read_text(errors="replace")[-500:]
                    raise OSError(f"nginx does not listen: {said}") from None
                time.sleep(0.02)
            else:
                return
