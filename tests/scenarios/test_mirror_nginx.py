"""contrib/nginx/vmcatcher-mirror.conf, under the real nginx: what it serves of a store, and what it does not."""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.site import Site, image_id
from support.tree import check_invariants
from vmcatcher.transport.transport import Transport

_NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
pytestmark = [pytest.mark.skipif(_NGINX is None, reason="nginx is not installed"), pytest.mark.slow]

_CONF = Path(__file__).resolve().parents[2] / "contrib" / "nginx" / "vmcatcher-mirror.conf"
_AROUND = """
daemon off;
worker_processes 1;
pid {root}/nginx.pid;
error_log {root}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {root}/a; proxy_temp_path {root}/b; fastcgi_temp_path {root}/c;
    uwsgi_temp_path {root}/d; scgi_temp_path {root}/e;
    gzip on; gzip_types *; gzip_min_length 1;
    include {root}/conf.d/*.conf;
}}
"""
CONTENT = b"image 1 version 1\n" * 100
DIGEST = hashlib.sha512(CONTENT).hexdigest()
PATH = f"/blobs/sha512/{DIGEST[:2]}/{DIGEST}"


class Mirror:
    """An nginx with the file as it is in contrib, but for port, name and place of the blobs."""

    def __init__(self, root: Path, blobs: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as one:
            self.port: int = one.getsockname()[1]
        (root / "conf.d").mkdir(parents=True)
        text = _CONF.read_text()
        for there, here in (
            ("listen 80;", f"listen 127.0.0.1:{self.port};"),
            ("server_name mirror.example.org;", "server_name localhost;"),
            ("set $blobs /var/lib/vmcatcher/blobs;", f"set $blobs {blobs};"),
        ):
            assert text.count(there) == 1
            text = text.replace(there, here)
        (root / "conf.d" / "vmcatcher-mirror.conf").write_text(text)
        # The worker is another user where the test runs as root; the store is in a directory of root's.
        user = "user root;\n" if os.geteuid() == 0 else ""
        (root / "nginx.conf").write_text(user + _AROUND.format(root=root))
        assert _NGINX is not None
        self.command = [_NGINX, "-p", str(root), "-e", f"{root}/error.log", "-c", f"{root}/nginx.conf"]
        self.running = subprocess.Popen(self.command)
        until = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
            except OSError:
                assert time.monotonic() < until
                time.sleep(0.02)
            else:
                return

    def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
        """Ask for a path as it is spelled, with no client in between that would tidy it up."""
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        line.putrequest(method, path, skip_accept_encoding=True)
        for name, value in headers.items():
            line.putheader(name, value)
        line.endheaders()
        answer = line.getresponse()
        try:
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            line.close()

    def end(self) -> None:
        self.running.terminate()
        self.running.wait(10)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    """Repeats within one run come at once."""
    monkeypatch.setitem(Transport.__init__.__kwdefaults__, "sleep", lambda _: None)


@pytest.fixture
def first(site: Site) -> Iterator[tuple[Site, Mirror]]:
    """A store with image 1, and its mirror."""
    site.join(site.image(1))
    site.select(1)
    site.cache()
    mirror = Mirror(site.root / "nginx", site.store / "blobs")
    yield site, mirror
    mirror.end()


def test_file_of_contrib_is_good_nginx(first: tuple[Site, Mirror]):
    done = subprocess.run([*first[1].command, "-t"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "[warn]" not in done.stderr
    assert "[emerg]" not in done.stderr


def test_mirror_serves_blobs_as_what_never_changes(first: tuple[Site, Mirror]):
    status, headers, body = first[1].ask(PATH, **{"Accept-Encoding": "gzip"})
    assert (status, body) == (200, CONTENT)
    assert headers["cache-control"] == "public, max-age=31536000, immutable"
    assert headers["content-type"] == "application/octet-stream"
    assert headers["x-content-type-options"] == "nosniff"
    assert "content-encoding" not in headers
    status, headers, body = first[1].ask(PATH, Range="bytes=1000-")
    assert (status, body) == (206, CONTENT[1000:])
    assert headers["content-range"] == f"bytes 1000-{len(CONTENT) - 1}/{len(CONTENT)}"


def test_mirror_serves_nothing_else(first: tuple[Site, Mirror]):
    site, mirror = first
    directory = site.store / "blobs" / "sha512" / DIGEST[:2]
    (directory / (DIGEST[:-1] + ".")).write_bytes(b"no digest")
    (directory / f"{DIGEST}.json").write_bytes(b"no digest")
    link = DIGEST[:2] + "0" * 126
    (directory / link).symlink_to("/etc/passwd")
    partial = site.store / "partial" / f"{DIGEST}.1-0123456789ab"
    partial.write_bytes(CONTENT[:10])
    assert [
        mirror.ask(path)[0]
        for path in (
            "/",
            "/blobs",
            "/blobs/",
            "/blobs/sha512/",
            f"/blobs/sha512/{DIGEST[:2]}/",
            PATH[:-1] + ".",
            PATH + ".json",
            PATH + "/",
            PATH.upper(),
            f"/blobs/sha512/00/{DIGEST}",
            f"/sha512/{DIGEST[:2]}/{DIGEST}",
            "/vmcatcher.json",
            f"/partial/{partial.name}",
            f"/blobs/../partial/{partial.name}",
            f"/blobs/sha512/{DIGEST[:2]}/../../../vmcatcher.json",
            f"/blobs/sha512/{DIGEST[:2]}/%2e%2e/%2e%2e/%2e%2e/vmcatcher.json",
            "/cache.index",
            "/endorsed/" + image_id(1),
        )
    ] == [404] * 18
    assert mirror.ask(f"/blobs/sha512/{DIGEST[:2]}/{link}")[0] == 403
    assert {mirror.ask(PATH, method)[0] for method in ("POST", "PUT", "DELETE", "PROPFIND")} <= {403, 405}
    assert mirror.ask(PATH, "HEAD")[0] == 200


def test_second_store_fills_itself_from_the_mirror_and_goes_on_where_it_stopped(first: tuple[Site, Mirror]):
    site, mirror = first
    base = f"http://127.0.0.1:{mirror.port}/blobs"
    site.store = site.root / "second"
    site.environment["VMCATCHER_STORE"] = str(site.store)
    site.join()
    site.select(1)
    # The publisher breaks off, and is gone then.
    site.server.fault("/images/1-v1.raw", "truncate", after=300)
    site.cache(code=75)
    site.server.withdraw("/images/1-v1.raw")
    site.server.heal("/images/1-v1.raw")
    (left,) = (path for path in (site.store / "partial").iterdir() if path.suffix != ".json")
    assert left.read_bytes() == CONTENT[:900]
    result = site.cache("-v", VMCATCHER_MIRRORS=base, VMCATCHER_MIRRORS_ONLY="1")
    assert f"source=mirror from={base} resumed=True" in result.err
    assert site.endorsed() == {image_id(1): CONTENT}
    assert check_invariants(site.store) == []
