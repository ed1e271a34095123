"""A site whose lists come from two servers: one that a test may break as it likes, and one that never fails.

    places = Places(root)                                 # once; what follows is quick
    place = places.fresh("https", tmp_path)
    place.faulty.fault(LIST, "truncate")
    place.update(code=10)

List A comes from `faulty`, and so does its image 1; its image 2, and list B with image 3, come from `healthy`. Both
lists are known in version 1 and are served in version 2; all three images are selected, and none is there yet.
"""

from __future__ import annotations

import copy
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.pki import Pki
from support.server import Document, Server
from support.server_client import some_bytes
from support.server_tls import Authority
from support.site import LIST_ID, Result, Site, image_id
from support.tree import check_invariants

LIST = "/list"
IMAGE = "/images/1.raw"
OTHER_LIST_ID = "22222222-aaaa-4aaa-8aaa-000000000002"
SIZE = 400_000
CONTENT = some_bytes(SIZE)
_LONGEST_S = 12.0
"""No command takes longer, however the server behaves; the faults themselves last 25 s or for ever."""


@dataclass
class Place:
    """A site with its two servers, for one test."""

    site: Site
    faulty: Server
    healthy: Server
    authority: Authority

    def update(self, *words: str, code: int = 0, warned: int = 0, **environment: str) -> Result:
        """Run `vmcatcher_subscribe -U`; demand its exit code, its time, a sound store, and the other list's news.

        One line tells what failed, none that all went well; `warned` is how many are expected beside it.
        """
        began = time.monotonic()
        result = self.site.run("subscribe", "-U", *words, **environment)
        self._judge(result, code, warned, time.monotonic() - began)
        assert self.version(OTHER_LIST_ID) != "1"
        return result

    def cache(self, *words: str, code: int = 0, warned: int = 0, **environment: str) -> Result:
        """Run `vmcatcher_cache` likewise; image 1 must be there if all went well, and the others in any case."""
        began = time.monotonic()
        result = self.site.run("cache", "-x", f"cat >> {self.site.events}", *words, **environment)
        self._judge(result, code, warned, time.monotonic() - began)
        there = self.site.endorsed()
        assert there.pop(image_id(1), None) == (CONTENT if code == 0 else None)
        assert sorted(there) == [image_id(2), image_id(3)]
        told = self.site.told()
        assert ("AvailablePostfix 1" in told) is (code == 0)
        return result

    def version(self, list_id: str = LIST_ID) -> str:
        """Return the version of a list that is in force."""
        shown = self.site.expect(0, "subscribe", "-i", "-f", "message", "-u", list_id).json
        return str(shown["hv:imagelist"]["hv:version"])

    def ranges(self, path: str = IMAGE) -> list[str | None]:
        """Return the Range of every request for an image, in order."""
        return [request.headers.get("range") for request in self.faulty.requests if request.path == path]

    def held(self) -> int:
        """Return how many bytes of image 1 wait for the next run."""
        found = [path for path in (self.site.store / "partial").glob("*") if path.suffix != ".json"]
        assert len(found) <= 1, "more than one partial download"
        return found[0].stat().st_size if found else 0

    def _judge(self, result: Result, code: int, warned: int, seconds: float) -> None:
        assert result.code == code, result
        assert seconds < _LONGEST_S, f"{seconds:.1f} s"
        assert "Traceback" not in result.err
        assert len(result.err.splitlines()) == (code != 0) + warned, result.err
        assert check_invariants(self.site.store) == []
        found = self.site.run("vmcatcher", "store", "check", "--data")
        assert found.code in (0, 4), found


class Places:
    """Makes places quickly: the store is prepared once for each scheme and copied for each test."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._authority: Authority | None = None
        self._prepared: dict[str, _Prepared] = {}

    def close(self) -> None:
        """End the servers."""
        for prepared in self._prepared.values():
            prepared.place.faulty.close()
            prepared.place.healthy.close()

    def fresh(self, scheme: str, root: Path) -> Place:
        """Return a place below `root` whose faulty server speaks `scheme`."""
        if scheme not in self._prepared:
            self._prepared[scheme] = _Prepared(self._root / scheme, self._known_authority(), scheme)
        return self._prepared[scheme].copied(root)

    def _known_authority(self) -> Authority:
        if self._authority is None:
            self._authority = Authority(self._root)
        return self._authority


class _Prepared:
    def __init__(self, root: Path, authority: Authority, scheme: str) -> None:
        root.mkdir()
        self._tls = authority.serve() if scheme == "https" else None
        faulty, healthy = Server(tls=self._tls), Server()
        site = Site(root, faulty, pki=Pki(root / "pki"))
        site.environment["SSL_CERT_FILE"] = str(authority.bundle)
        self.place = Place(site, faulty, healthy, authority)
        publish(self.place, "1")
        site.join(update=False)
        site.expect(0, "subscribe", "-s", healthy.url("/other"))
        site.expect(0, "subscribe", "-U")
        site.select(1, 2, 3)
        publish(self.place, "2")
        self._served: tuple[dict[str, Document], ...] = (faulty.published(), healthy.published())

    def copied(self, root: Path) -> Place:
        for server, documents in zip((self.place.faulty, self.place.healthy), self._served, strict=True):
            server.reset(documents)
        self.place.faulty.tls = self._tls
        site = copy.copy(self.place.site)
        site.root, site.store, site.events = root, root / "store", root / "events.jsonl"
        site.environment = {**site.environment, "VMCATCHER_STORE": str(site.store)}
        shutil.copytree(self.place.site.store, site.store, symlinks=True)
        return Place(site, self.place.faulty, self.place.healthy, self.place.authority)


def publish(place: Place, version: str, *, listed: dict[str, Any] | None = None, **fields: Any) -> None:
    """Serve both lists in a version and all three images; `listed` are fields of list A, `fields` of image 1."""
    site = place.site
    place.faulty.publish(IMAGE, CONTENT)
    first = site.image(1, content=CONTENT, path=IMAGE, **fields)
    site.publish(version, first, _healthy_image(place, 2), **(listed or {}))
    other = site.content(
        version, _healthy_image(place, 3), dc__identifier=OTHER_LIST_ID, hv__uri=place.healthy.url("/other")
    )
    place.healthy.publish("/other", site.alice.sign(other))


def _healthy_image(place: Place, number: int) -> dict[str, object]:
    path, content = f"/images/{number}.raw", some_bytes(5000, f"image {number}")
    place.healthy.publish(path, content)
    image = place.site.image(number, content=content, path=path, hv__uri=place.healthy.url(path))
    place.faulty.withdraw(path)
    return image
