"""Make stores of any size: real signed lists, and documents put by the program's own functions, in one process.

grid = Grid(work)                                            # a CA, an endorser, the trust-anchor directory
make_store(grid, Plan(1000, 100, cached=10, base=url), store=..., lists=...)
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from unittest import mock

from support.pki import Pki
from vmcatcher.model.endorser import Endorser
from vmcatcher.model.identity import Credential, EndorserId, ImageId, ListId, Sha512
from vmcatcher.model.image import Image
from vmcatcher.model.imagelist import ImageList, parse_image_list
from vmcatcher.model.record import CacheRecord, State
from vmcatcher.model.subscription import AcceptedImage, Subscription, TlsTrust
from vmcatcher.store import blobs, cache, endorsers, index, root, snapshots, subscriptions, view_indexes, views
from vmcatcher.store.layout import Layout
from vmcatcher.trust.anchors import TrustAnchors
from vmcatcher.trust.verify import verify

ENDORSER = EndorserId("bench")
_DAYS = 20
"""How long the lists hold; a store that is kept is made anew when half of that is over."""


def list_id(number: int) -> ListId:
    """The identifier of the list of that number."""
    return ListId(f"{number:08x}-aaaa-4aaa-8aaa-000000000000")


def image_id(of_list: int, number: int) -> ImageId:
    """The identifier of an image of a list."""
    return ImageId(f"{of_list:08x}-bbbb-4bbb-8bbb-{number:012x}")


class Grid:
    """One CA with one endorser, and the directory of anchors that trusts them."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.now = datetime.now(UTC).replace(microsecond=0)
        self._pki = Pki(directory, name="Bench Grid CA")
        self._signer = self._pki.endorser("Bench Endorser")
        self.certificates = self._pki.certificates
        self.credential = Credential(self._signer.subject, self._signer.issuer)

    def anchors(self) -> TrustAnchors:
        """Return the directory as the program reads it."""
        return TrustAnchors.load(str(self.certificates), overlay=None)

    def sign(self, number: int, uri: str, images: Sequence[dict[str, object]]) -> bytes:
        """Return a signed list of that number with these images."""
        listed = {
            "dc:identifier": list_id(number),
            "dc:date:created": _instant(self.now - timedelta(minutes=1)),
            "dc:date:expires": _instant(self.now + timedelta(days=_DAYS)),
            "dc:title": f"Bench list {number}",
            "dc:description": "A list of images that nobody will ever start",
            "dc:source": "grid.test",
            "hv:version": "1",
            "hv:uri": uri,
            "ad:vo": "test.vo",
            "hv:endorser": {
                "hv:x509": {
                    "hv:dn": self.credential.subject,
                    "hv:ca": self.credential.issuer,
                    "hv:email": "user@grid.test",
                    "dc:creator": "Bench Endorser",
                }
            },
            "hv:images": [{"hv:image": image} for image in images],
        }
        return self._signer.sign(json.dumps({"hv:imagelist": listed}, indent=4).encode())


def described(of_list: int, number: int, uri: str, sha512: str, size_bytes: int) -> dict[str, object]:
    """Return an `hv:image` with as many fields as those of real lists have."""
    return {
        "dc:identifier": image_id(of_list, number),
        "dc:title": f"Image for bench {number} [Debian/12/KVM]",
        "dc:description": "A worker node that is only ever measured",
        "ad:mpuri": f"https://appdb.grid.test/store/vo/image/{image_id(of_list, number)}:{number}/",
        "hv:hypervisor": "QEMU,KVM",
        "hv:format": "qcow2",
        "hv:size": size_bytes,
        "hv:uri": uri,
        "hv:version": f"1.0.{number}",
        "hv:ram_minimum": 2048,
        "hv:core_minimum": 1,
        "sl:arch": "x86_64",
        "sl:checksum:sha512": sha512,
        "sl:comments": "",
        "sl:os": "Linux",
        "sl:osname": "Debian",
        "sl:osversion": "12",
    }


def _instant(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(slots=True)
class StoreMaker:
    """Fills a store of its own: subscriptions, their lists, cached images. Not for a store that anybody else uses."""

    grid: Grid
    place: Path
    layout: Layout = field(init=False)
    _anchors: TrustAnchors = field(init=False)
    _records: list[CacheRecord] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.layout = root.make_store(str(self.place))
        self._anchors = self.grid.anchors()
        known = Endorser(ENDORSER, (self.grid.credential,), self.grid.now)
        endorsers.put_endorser(self.layout, known)

    def subscribe(
        self, number: int, uri: str, signed: bytes, *, selected: int, tls: TlsTrust = TlsTrust.UNSET
    ) -> ImageList:
        """Subscribe to a list as if it had been updated once, with its first `selected` images selected."""
        verified = verify(signed, self._anchors, self.grid.now)
        listed = parse_image_list(verified.content).imagelist
        accepted = tuple(AcceptedImage(one.identifier, at < selected) for at, one in enumerate(listed.images))
        added = self.grid.now + timedelta(microseconds=number)
        own = Subscription(
            list_id(number), uri, uri, added, endorsers=(ENDORSER,), images=accepted, tls=tls, file_images=True
        )
        subscriptions.put_subscription(self.layout, own)
        snapshots.keep(self.layout, own.identifier, verified, self.grid.now)
        digest = snapshots.signed_digest(signed)
        snapshots.put_mark(self.layout, own.identifier, snapshots.Mark(listed.version, listed.created, digest))
        index.write_projections(self.layout, own)
        return listed

    def cache(self, number: int, listed: ImageList, image: Image, place_blob: Callable[[Path], None]) -> None:
        """Have an image in the endorsed view, with the bytes that `place_blob` puts at a path, as if checked now."""
        blob = Path(self.layout.blob(image.sha512))
        blob.parent.mkdir(exist_ok=True)
        place_blob(blob)
        blob.chmod(0o444)
        snapshot = snapshots.current_snapshot(self.layout, list_id(number))
        assert snapshot is not None
        evidence = snapshots.read_mark(self.layout, list_id(number))
        assert evidence is not None
        record = CacheRecord(
            image=image.identifier,
            number=1,
            list_id=list_id(number),
            snapshot=snapshot.name,
            list_sha512=evidence.sha512,
            sha512=image.sha512,
            size_bytes=image.size_bytes,
            uri=image.uri,
            state=State.ENDORSED,
            since=self.grid.now,
            vo=str(listed.fields.get("ad:vo", "")) or None,
            valid_until=listed.expires,
            fields=image.fields,
            published=self.grid.now,
            checked=blobs.fingerprint(self.layout, image.sha512, self.grid.now),
        )
        cache.put_record(self.layout, record)
        shown = views.Views.inside(self.layout)
        views.show(self.layout, shown, shown.cache, record.image, str(blob))
        self._records.append(record)

    def finish(self) -> None:
        """Write the indexes of the views."""
        view_indexes.write_indexes(self.layout, views.Views.inside(self.layout), self._records)


@dataclass(frozen=True, slots=True)
class Plan:
    """How large a store is to be: so many lists of so many images, of each the first few selected and cached."""

    subscriptions: int
    images: int
    cached: int
    base: str
    """Where its lists are served: `http://127.0.0.1:PORT`."""

    @property
    def total(self) -> int:
        """How many images all lists name."""
        return self.subscriptions * self.images


def _contents(number: int, plan: Plan) -> Iterator[bytes]:
    for at in range(plan.images):
        yield f"list {number} image {at}\n".encode() * 4


def make_store(grid: Grid, plan: Plan, *, store: Path, lists: Path) -> None:
    """Make a store, and in `lists` the signed lists that a server of `plan.base` has below `/lists/`."""
    lists.mkdir(parents=True, exist_ok=True)
    # What is made here can be made again: waiting for the disk ten times per subscription would take minutes.
    with mock.patch.object(os, "fsync"):
        maker = StoreMaker(grid, store)
        for number in range(plan.subscriptions):
            contents = list(_contents(number, plan))
            uri = f"{plan.base}/lists/{number}"
            images = [
                described(number, at, f"{plan.base}/images/{number}-{at}", _digest(content), len(content))
                for at, content in enumerate(contents)
            ]
            signed = grid.sign(number, uri, images)
            (lists / str(number)).write_bytes(signed)
            listed = maker.subscribe(number, uri, signed, selected=plan.cached)
            for image, content in zip(listed.images[: plan.cached], contents, strict=False):
                maker.cache(number, listed, image, partial(_write, content))
        maker.finish()


def _write(content: bytes, path: Path) -> None:
    path.write_bytes(content)


def _digest(content: bytes) -> Sha512:
    return Sha512(hashlib.sha512(content).hexdigest())
