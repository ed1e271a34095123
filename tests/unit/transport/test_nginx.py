"""Against a server that we did not write."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.server_client import RecordingSink, at, some_bytes
from support.server_tls import Authority
from vmcatcher.errors.answer import BodyTooShort, NotFound
from vmcatcher.transport import Access, Fetched, NotModified, Transport

_NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
pytestmark = pytest.mark.skipif(_NGINX is None, reason="nginx is not installed")

_CONFIGURATION = """
daemon off;
worker_processes 1;
pid {root}/nginx.pid;
error_log {root}/error.log;
events {{}}
http {{
    access_log {root}/access.log;
    default_type application/octet-stream;
    client_body_temp_path {root}/a; proxy_temp_path {root}/b; fastcgi_temp_path {root}/c;
    uwsgi_temp_path {root}/d; scgi_temp_path {root}/e;
    gzip on; gzip_types *; gzip_min_length 1;
    server {{
        listen 127.0.0.1:{port};
        listen 127.0.0.1:{tls_port} ssl;
        ssl_certificate {pem};
        ssl_certificate_key {pem};
        root {root}/www;
        rewrite ^/moved$ /image redirect;
        rewrite ^/gone/(.*)$ /$1/ permanent;
    }}
}}
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[tuple[Path, int, int]]:
    root = tmp_path_factory.mktemp("nginx")
    (root / "www").mkdir()
    root.chmod(0o755)  # the worker is another user where the test runs as root
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        port, tls_port = one.getsockname()[1], two.getsockname()[1]
    text = _CONFIGURATION.format(root=root, port=port, tls_port=tls_port, pem=authority.write_pem(root / "server.pem"))
    user = "user root;\n" if os.geteuid() == 0 else ""
    (root / "nginx.conf").write_text(user + text)
    assert _NGINX is not None
    running = subprocess.Popen([_NGINX, "-p", str(root), "-e", f"{root}/error.log", "-c", f"{root}/nginx.conf"])
    try:
        _wait_for(tls_port)
        yield root / "www", port, tls_port
    finally:
        running.send_signal(signal.SIGTERM)
        running.wait(10)


def _wait_for(port: int) -> None:
    until = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)
        else:
            return


@pytest.fixture(params=["http", "https"])
def base(request: pytest.FixtureRequest, site: tuple[Path, int, int]) -> str:
    return f"http://127.0.0.1:{site[1]}" if request.param == "http" else f"https://127.0.0.1:{site[2]}"


@pytest.fixture
def access(authority: Authority) -> Access:
    return Access(tls="igtf", trust_directory=str(authority.directory))


def test_list_is_fetched_unchanged_and_changed(
    site: tuple[Path, int, int], base: str, access: Access, carrier: Transport
) -> None:
    path = site[0] / "list.txt"
    path.write_bytes(b"old" * 100)
    first = carrier.fetch_list(at(f"{base}/list.txt"), access)
    assert isinstance(first, Fetched)
    assert first.body == b"old" * 100  # and not gzipped, though the server would like to
    assert isinstance(carrier.fetch_list(at(f"{base}/list.txt"), access, known=first.validators), NotModified)
    path.write_bytes(b"new!" * 100)
    changed = carrier.fetch_list(at(f"{base}/list.txt"), access, known=first.validators)
    assert isinstance(changed, Fetched)
    assert changed.body == b"new!" * 100


def test_image_is_fetched_resumed_and_replaced(
    site: tuple[Path, int, int], base: str, access: Access, carrier: Transport
) -> None:
    content = some_bytes(3_000_000)
    path = site[0] / "image"
    path.write_bytes(content)
    whole = RecordingSink()
    whole.fetch(carrier, f"{base}/moved", len(content), access)
    assert whole.content == content
    rest = RecordingSink(content[:1_234_567], whole.validator)
    fetched = rest.fetch(carrier, f"{base}/image", len(content), access)
    assert rest.content == content
    assert (fetched.resumed_at, fetched.received_bytes) == (1_234_567, 3_000_000 - 1_234_567)
    new = some_bytes(3_000_000, "new")
    path.write_bytes(new)
    os.utime(path, (1, 1))
    rest = RecordingSink(content[:1_234_567], whole.validator)
    rest.fetch(carrier, f"{base}/image", len(new), access)
    assert rest.content == new
    assert rest.restarts == 1


def test_refusals(site: tuple[Path, int, int], base: str, access: Access, carrier: Transport) -> None:
    (site[0] / "short").write_bytes(b"12345")
    with pytest.raises(NotFound):
        carrier.fetch_list(at(f"{base}/none"), access)
    with pytest.raises(BodyTooShort):
        RecordingSink().fetch(carrier, f"{base}/short", 6, access)
