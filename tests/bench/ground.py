"""What all rows stand on: the work directory, the web server, the grid, and the stores, each made when it is wanted."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import time
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from bench.measuring import CommandFailed, Words
from bench.nginx import NGINX, Nginx, free_ports
from bench.stores import Grid, Plan, StoreMaker, described, make_store
from support.server_tls import Authority
from vmcatcher import __version__
from vmcatcher.model.subscription import TlsTrust

_FORMAT = 2
"""Of what is kept in a work directory; raised when a store is made in another way."""
_KEPT_S = 5 * 24 * 3600
_CHUNK = 2**20


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured."""

    image_bytes: int
    subscriptions: int
    images: int
    cached: int
    """Of each list."""
    rounds: int


@dataclass(frozen=True, slots=True)
class Picture:
    """A file that stands for an image."""

    path: Path
    sha512: str
    size_bytes: int


class Ground:
    """A work directory with everything in it that rows need; kept stores are used again for five days."""

    def __init__(self, work: Path, sizes: Sizes) -> None:
        self.work = work
        self.sizes = sizes
        self.bin = Path(sys.executable).parent
        self._claim()
        self.grid = Grid(self.fresh("grid"))
        self.www = work / "www"
        self.www.mkdir(exist_ok=True)
        self.bundle, self._pem = self._server_certificate()

    def _claim(self) -> None:
        """Empty the work directory of what an earlier run kept, unless that can be used again."""
        note = self.work / "bench.json"
        known: dict[str, object] = json.loads(note.read_text()) if note.exists() else {}
        is_recent = time.time() - float(str(known.get("made", 0))) < _KEPT_S
        if (known.get("format"), known.get("program")) != (_FORMAT, __version__) or not is_recent:
            if not known and self.work.exists() and any(self.work.iterdir()):
                raise CommandFailed(f"{self.work} holds files of somebody else")
            shutil.rmtree(self.work, ignore_errors=True)
            self.work.mkdir(parents=True)
            known = {"format": _FORMAT, "program": __version__, "made": time.time(), "ports": free_ports(2)}
            note.write_text(json.dumps(known))
        ports = known["ports"]
        assert isinstance(ports, list)
        self.ports: tuple[int, int] = (ports[0], ports[1])

    def _server_certificate(self) -> tuple[Path, Path]:
        directory = self.work / "server"
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        authority = Authority(directory)
        for path in authority.directory.iterdir():
            shutil.copy(path, self.grid.certificates)
        return authority.bundle, authority.write_pem(directory / "server.pem")

    @property
    def lacks_nginx(self) -> str | None:
        """Why nothing can be served, or None."""
        return None if NGINX else "nginx is not installed"

    def serve(self) -> Nginx:
        """Return the web server, not yet started."""
        return Nginx(self.work / "nginx", self.www, self._pem, self.ports)

    def url(self, path: str, scheme: str = "http") -> str:
        """Return where a file of `www` is served."""
        return f"{scheme}://127.0.0.1:{self.ports[scheme == 'https']}/{path}"

    def command(self, name: str, *arguments: str) -> Words:
        """Return the words of an installed command."""
        return (str(self.bin / name), *arguments)

    def environment(self, store: Path) -> dict[str, str]:
        """Return the variables with which the commands work on a store."""
        own = store.with_name(f"{store.name}-grid") / "certificates"
        return {
            "VMCATCHER_STORE": str(store),
            "VMCATCHER_DIR_CERT": str(own if own.exists() else self.grid.certificates),
        }

    @cached_property
    def picture(self) -> Picture:
        """The image that is fetched: bytes that cannot be compressed, below `www`."""
        return _picture(self.www / "image", self.sizes.image_bytes, seed=0)

    @cached_property
    def parts(self) -> list[Picture]:
        """Eight files that together are as large as the image."""
        directory = self.work / "parts"
        directory.mkdir(exist_ok=True)
        size = max(1, self.sizes.image_bytes // 8)
        return [_picture(directory / str(at), size, seed=1 + at) for at in range(8)]

    def fresh(self, name: str) -> Path:
        """Return the path of a directory below the work directory where nothing is."""
        path = self.work / name
        shutil.rmtree(path, ignore_errors=True)
        return path

    def store_to_fetch(self, name: str, uri: str) -> Path:
        """Return a store that has one image selected, to be fetched from `uri`."""
        picture = self.picture
        maker = StoreMaker(self.grid, self.fresh(name))
        image = described(0, 0, uri, picture.sha512, picture.size_bytes)
        tls = TlsTrust.IGTF if uri.startswith("https") else TlsTrust.UNSET
        maker.subscribe(0, self.url("list"), self.grid.sign(0, self.url("list"), [image]), selected=1, tls=tls)
        maker.finish()
        return maker.place

    def store_of_parts(self) -> Path:
        """Return a store with the eight parts cached, as if checked just now."""
        maker = StoreMaker(self.grid, self.fresh("parts-store"))
        images = [
            described(0, at, self.url(f"part{at}"), part.sha512, part.size_bytes) for at, part in enumerate(self.parts)
        ]
        signed = self.grid.sign(0, self.url("list"), images)
        listed = maker.subscribe(0, self.url("list"), signed, selected=len(images))
        for image, part in zip(listed.images, self.parts, strict=True):
            maker.cache(0, listed, image, partial(os.link, part.path))
        maker.finish()
        return maker.place

    def large_store(self, subscriptions: int) -> Path:
        """Return a store of so many subscriptions with everything in it, made once and kept."""
        sizes = self.sizes
        name = f"large-{subscriptions}x{sizes.images}x{sizes.cached}"
        store, mark = self.work / name, self.work / f"{name}.made"
        if not mark.exists():
            shutil.rmtree(store, ignore_errors=True)
            base = self.url(name)
            print(f"making {name} …", file=sys.stderr, flush=True)
            make_store(
                Grid(self.fresh(f"{name}-grid")),  # its own: it has to outlive this run
                Plan(subscriptions, sizes.images, sizes.cached, base),
                store=store,
                lists=self.www / name / "lists",
            )
            mark.touch()
        return store

    def signed_list(self) -> Path:
        """Return a signed list of as many images as those of the large store have."""
        path = self.work / "one-list"
        images = [described(0, at, self.url(f"i{at}"), f"{at:0128x}", 10**9) for at in range(self.sizes.images)]
        path.write_bytes(self.grid.sign(0, self.url("list"), images))
        return path


def demand_blob(store: Path, sha512: str) -> None:
    """Raise `CommandFailed` unless the bytes are in the store."""
    if not (store / "blobs" / "sha512" / sha512[:2] / sha512).exists():
        raise CommandFailed(f"{store}: the image is not there")


def demand_cached(store: Path, sha512: str) -> None:
    """Raise `CommandFailed` unless the bytes are in the store and in its endorsed view."""
    demand_blob(store, sha512)
    if len(os.listdir(store / "endorsed")) != 2:
        raise CommandFailed(f"{store}: the image is not in the endorsed view")


def _picture(path: Path, size: int, *, seed: int) -> Picture:
    # Shake, not random.randbytes: 1 GiB of that takes 5 s.
    block = hashlib.shake_256(str(seed).encode()).digest(_CHUNK)
    digest = hashlib.sha512()
    with path.open("wb") as sink:
        for at in range(0, size, _CHUNK):
            part = (at.to_bytes(8) + block[8:])[: size - at]
            sink.write(part)
            digest.update(part)
    return Picture(path, digest.hexdigest(), size)
