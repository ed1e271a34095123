"""The publisher: images and signed lists in a directory, served by HTTP on the loopback interface."""

from __future__ import annotations

import functools
import hashlib
import http.server
import json
import logging
import socketserver
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from vmcatcher.model.instant import instant_text

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from vmcatcher.demo.grid import Endorser

LIST_ID: Final = "demo-list"
_LIST_NAME: Final = "demo.image_list"
_IMAGE_LINES: Final = 4000
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DemoImage:
    """One version of one image."""

    name: str
    title: str
    version: int

    @property
    def content(self) -> bytes:
        """Its bytes: small, and those of every version differ."""
        return f"This stands for a disk: {self.title}, version {self.version}.\n".encode() * _IMAGE_LINES

    @property
    def file_name(self) -> str:
        """What it is called on the web server."""
        return f"{self.name}-{self.version}.img"


class _FileHandler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        # The file's time is good to a second: a list exchanged within one would be "not modified".
        del self.headers["If-Modified-Since"]
        super().do_GET()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class calls it so
        logger.debug(format, *args)


class _Server(http.server.ThreadingHTTPServer):
    def server_bind(self) -> None:
        # The one of HTTPServer asks the resolver for our name, and waits for it where nobody answers.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", int(self.server_address[1])

    def handle_error(self, request: object, client_address: object) -> None:
        logger.debug("a request of %s was broken off (%s)", client_address, request)


class Publisher:
    """A web server with what Alice endorses. Lists that were signed are kept in `lists`, beside the content of each."""

    def __init__(self, www: Path, lists: Path, endorser: Endorser) -> None:
        www.mkdir()
        lists.mkdir()
        self._www = www
        self._lists = lists
        self._endorser = endorser
        handler = functools.partial(_FileHandler, directory=str(www))
        self._server = _Server(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """Where it listens on 127.0.0.1."""
        return self._server.server_port

    @property
    def list_url(self) -> str:
        """Where its newest list is."""
        return self._url(_LIST_NAME)

    def publish(self, version: int, images: tuple[DemoImage, ...], created: datetime, expires: datetime) -> None:
        """Sign a list that names these images, and serve it and them."""
        for image in images:
            (self._www / image.file_name).write_bytes(image.content)
        content = json.dumps({"hv:imagelist": self._list(version, images, created, expires)}, indent=2).encode()
        signed = self._endorser.sign(content)
        (self._lists / f"{version}.json").write_bytes(content)
        (self._lists / f"{version}.image_list").write_bytes(signed)
        self._serve_list(signed)

    def publish_forged(self, version: int, image: DemoImage) -> None:
        """Serve list `version` with another checksum for an image, as somebody on the way would who has no key."""
        signed = (self._lists / f"{version}.image_list").read_bytes()
        digest = hashlib.sha512(image.content).hexdigest().encode()
        forged = signed.replace(digest, hashlib.sha512(b"a back door").hexdigest().encode())
        (self._lists / f"{version}-forged.image_list").write_bytes(forged)
        self._serve_list(forged)

    def stop(self) -> None:
        """Stop the web server; nothing listens any more. Stopping twice is fine."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _serve_list(self, signed: bytes) -> None:
        (self._www / _LIST_NAME).write_bytes(signed)

    def _url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.port}/{name}"

    def _list(
        self, version: int, images: tuple[DemoImage, ...], created: datetime, expires: datetime
    ) -> dict[str, object]:
        signer = {
            "dc:creator": "Alice",
            "hv:email": "alice@example.org",
            "hv:dn": self._endorser.subject,
            "hv:ca": self._endorser.issuer,
        }
        return {
            "dc:identifier": LIST_ID,
            "dc:date:created": instant_text(created),
            "dc:date:expires": instant_text(expires),
            "dc:title": "Demonstration list",
            "dc:description": "Images that are made for the occasion",
            "dc:source": self._url(""),
            "ad:vo": "demo.example.org",
            "hv:version": str(version),
            "hv:uri": self.list_url,
            "hv:endorser": {"hv:x509": signer},
            "hv:images": [{"hv:image": self._image(image)} for image in images],
        }

    def _image(self, image: DemoImage) -> dict[str, object]:
        return {
            "dc:identifier": image.name,
            "dc:title": image.title,
            "dc:description": f"{image.title} for the demonstration",
            "hv:size": len(image.content),
            "hv:uri": self._url(image.file_name),
            "hv:version": str(image.version),
            "hv:hypervisor": "kvm",
            "hv:format": "raw",
            "sl:arch": "x86_64",
            "sl:checksum:sha512": hashlib.sha512(image.content).hexdigest(),
            "sl:os": "Linux",
            "sl:osversion": "none",
            "sl:comments": "no real disk",
        }
