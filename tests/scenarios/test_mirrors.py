"""Stores that fill themselves from other stores: directories and servers of blobs, none of which is believed."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.server import Server
from support.site import LIST_ID, Site, image_id
from support.tree import check_invariants
from vmcatcher.model.record import MOST_TRIES
from vmcatcher.transport.transport import Transport


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    """Repeats within one run come at once."""
    monkeypatch.setitem(Transport.__init__.__kwdefaults__, "sleep", lambda _: None)


def move_on(site: Site) -> Path:
    """Leave the store as it is, and work on a second one from now on, subscribed to the same list."""
    first = site.store
    site.store = site.root / "second"
    site.environment["VMCATCHER_STORE"] = str(site.store)
    site.join()
    site.select(1, 2)
    return first


@pytest.fixture
def filled(site: Site) -> Site:
    """A site whose store has two images of a list; their publisher is down since."""
    with Server() as images:
        listed = [site.image(1), site.image(2)]
        for image in listed:
            path = str(image["hv:uri"]).removeprefix(site.server.url(""))
            images.publish(path, site.server.published()[path].content)
            image["hv:uri"] = images.url(path)
        site.join(*listed)
        site.select(1, 2)
        site.cache()
    site.told()
    return site


def blob_path(content: bytes) -> str:
    digest = hashlib.sha512(content).hexdigest()
    return f"/blobs/sha512/{digest[:2]}/{digest}"


def test_second_store_fills_itself_from_the_directory_of_the_first(filled: Site):
    first = move_on(filled)
    filled.cache(code=75)
    assert filled.endorsed() == {}
    filled.told()
    result = filled.cache("-v", "--jobs", "1", VMCATCHER_MIRRORS=str(first / "blobs"))
    assert result.err.count(f" source=mirror from=file://{first}/blobs ") == 2
    assert sorted(filled.endorsed()) == [image_id(1), image_id(2)]
    assert filled.told() == [
        "ProcessPrefix",
        "AvailablePrefix 1", "AvailablePostfix 1",
        "AvailablePrefix 2", "AvailablePostfix 2",
        "ProcessPostfix",
    ]  # fmt: skip
    assert check_invariants(first) == []


@pytest.mark.slow
def test_stores_share_no_bytes_that_one_could_spoil_for_the_other(filled: Site):
    first = move_on(filled)
    filled.cache(VMCATCHER_MIRRORS=str(first / "blobs"))
    for blob in first.glob("blobs/sha512/*/*"):
        blob.chmod(0o644)
        blob.write_bytes(b"spoilt")
    filled.cache("-s", VMCATCHER_MIRRORS=str(first / "blobs"))
    assert all(content.startswith(b"image ") for content in filled.endorsed().values())


@pytest.mark.slow
def test_spoilt_blob_of_a_mirror_is_refused_and_costs_the_image_no_try(filled: Site):
    first = move_on(filled)
    for blob in first.glob("blobs/sha512/*/*"):
        blob.chmod(0o644)
        blob.write_bytes(bytes(blob.stat().st_size))
    for _ in range(MOST_TRIES + 1):
        result = filled.cache(code=75, VMCATCHER_MIRRORS=str(first / "blobs"))
        assert result.err.count("serves wrong bytes and is not asked again in this run") == 1
    assert not list(filled.store.glob("cache/*/*.json"))


@pytest.mark.slow
def test_image_that_the_publisher_spoilt_for_good_comes_from_a_mirror(site: Site):
    content = b"image 1 version 1\n" * 100
    site.join(site.image(1))
    site.select(1)
    site.server.publish("/images/1-v1.raw", bytes(len(content)))
    for _ in range(MOST_TRIES):
        site.cache(code=1)
    assert "given up until the list changes" in site.cache(code=1).err
    site.server.publish(blob_path(content), content)
    site.cache(VMCATCHER_MIRRORS=site.server.url("/blobs"))
    assert site.endorsed() == {image_id(1): content}


def test_settings_file_names_mirrors_and_that_nobody_else_is_asked(site: Site):
    site.join(site.image(1))
    site.select(1)
    config = site.root / "vmcatcher.toml"
    config.write_text(f'mirrors = ["{site.server.url("/a/blobs")}", "/nowhere"]\nmirrors_only = true\n')
    site.server.forget()
    result = site.cache(code=75, VMCATCHER_CONFIG=str(config))
    assert [request.path.split("/")[1] for request in site.server.requests] == ["a"]
    asked = f"asked: {site.server.url('/a/blobs')} (gave nothing), file:///nowhere (gave nothing)"
    assert f"image {image_id(1)}: no mirror gave SHA-512 " in result.err
    assert asked in result.err


@pytest.mark.parametrize("config", ['mirrors = ["https://us:secret-word@"]', 'mirrors = "https://us:secret-word@m.test/"',
                                    'mirrors = ["https://us:secret-word@m.test/", 3]'])  # fmt: skip
def test_bad_mirror_in_the_settings_is_refused_without_its_password(site: Site, config: str):
    site.join(site.image(1))
    path = site.root / "vmcatcher.toml"
    path.write_text(config + "\n")
    result = site.run("cache", VMCATCHER_CONFIG=str(path))
    assert result.code == 1
    assert "mirror" in result.err
    assert "secret-word" not in result.err


# Sends the first half of a blob, and then nothing.
_STALLING = """
import http.server, sys, time
class Half(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "4000000")
        self.end_headers()
        self.wfile.write(open(sys.argv[1], "rb").read(2000000))
        self.wfile.flush()
        time.sleep(50)
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Half)
print(server.server_port, flush=True)
server.serve_forever()
"""


@pytest.mark.slow
def test_run_that_was_killed_while_a_mirror_sent_goes_on_where_it_was(site: Site):
    content = os.urandom(4_000_000)
    source = site.root / "image"
    source.write_bytes(content)
    site.join(site.image(1, content=content))
    site.select(1)
    site.server.withdraw("/images/1-v1.raw")
    stalling = subprocess.Popen([sys.executable, "-c", _STALLING, str(source)], stdout=subprocess.PIPE, text=True)
    assert stalling.stdout is not None
    try:
        mirror = f"http://127.0.0.1:{int(stalling.stdout.readline())}/blobs"
        program = str(Path(sys.executable).parent / "vmcatcher_cache")
        run = subprocess.Popen([program], env={**os.environ, **site.environment, "VMCATCHER_MIRRORS": mirror})
        until = time.monotonic() + 30
        # What came is written when a MiB of it is there, or a second is over.
        while not any(path.stat().st_size >= 1 << 20 for path in site.store.glob("partial/*")):
            assert time.monotonic() < until
            assert run.poll() is None
            time.sleep(0.05)
    finally:
        stalling.kill()
        stalling.communicate()
        run.kill()
        run.wait()
    (left,) = (path for path in (site.store / "partial").iterdir() if path.suffix != ".json")
    held = left.stat().st_size
    site.server.publish(blob_path(content), content)
    site.server.forget()
    result = site.cache("-v", VMCATCHER_MIRRORS=site.server.url("/blobs"))
    assert [(one.path, one.headers.get("range")) for one in site.server.requests] == [
        (blob_path(content), f"bytes={held}-")
    ]
    assert "resumed=True" in result.err
    assert site.endorsed() == {image_id(1): content}
    assert check_invariants(site.store) == []


@pytest.mark.slow
def test_mirror_of_one_subscription_is_asked_for_its_images_until_it_is_forgotten(site: Site):
    content = b"image 1 version 1\n" * 100
    site.join(site.image(1))
    site.select(1)
    site.server.publish(blob_path(content), content)
    site.expect(0, "vmcatcher", "subscription", "set", LIST_ID, "--mirror", site.server.url("/blobs"))
    site.server.forget()
    site.cache()
    assert [request.path for request in site.server.requests] == [blob_path(content)]
    shutil.rmtree(site.store / "blobs")
    site.expect(0, "vmcatcher", "subscription", "set", LIST_ID, "--no-mirrors")
    site.server.forget()
    site.cache()
    assert [request.path for request in site.server.requests] == ["/images/1-v1.raw"]


def test_mirror_of_one_subscription_may_hold_no_password(site: Site):
    site.join(site.image(1))
    result = site.run("vmcatcher", "subscription", "set", LIST_ID, "--mirror", "https://us:secret-word@m.test/blobs")
    assert result.code == 1
    assert "a user name or password belongs into the settings" in result.err
    assert "secret-word" not in result.err
