"""A site on which the next run has every kind of change to make at once; and what a plan of it promises to tell.

late = every_change(site)     # what is left to be done is in the store and on the server, nothing is done yet
plan = site.run("vmcatcher", "plan", "--json", "-x", …)
assert events_of(plan.json["result"]) == …
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
from collections import Counter
from datetime import timedelta
from typing import Any

from support.pki import Signer
from support.site import LIST_ID, Site, image_id
from vmcatcher.model import record as life
from vmcatcher.model.record import Reason
from vmcatcher.store import cache
from vmcatcher.store.root import open_store

OTHER = "22222222-aaaa-4aaa-8aaa-00000000000"
ROLLED_BACK, UNREACHABLE, UNLINKED, REVOKED, OVER, DELETED = (f"{OTHER}{number}" for number in range(1, 7))
_HALF = b"half and half\n" * 1000


def add_list(site: Site, list_id: str, *images: dict[str, object], signer: Signer | None = None, **fields: Any) -> None:
    """Subscribe to one more list, whose signer becomes an endorser here where it is not Alice."""
    signer = signer or site.alice
    path = f"/{list_id}"
    publish_list(site, list_id, *images, signer=signer, **fields)
    if signer is not site.alice:
        name = signer.subject.rpartition("=")[2]
        site.expect(0, "endorser", "-C", "-e", name, "--dn", signer.subject, "-I", signer.issuer)
    site.expect(0, "subscribe", "-s", site.server.url(path))


def publish_list(
    site: Site,
    list_id: str,
    *images: dict[str, object],
    version: str = "1",
    signer: Signer | None = None,
    **fields: Any,
) -> None:
    """Serve a list under its identifier."""
    path = f"/{list_id}"
    given = {"dc__identifier": list_id, "hv__uri": site.server.url(path), "dc__title": f"List {list_id[-1]}"}
    site.publish(version, *images, path=path, signer=signer, **{**given, **fields})


def every_change(site: Site) -> None:
    """Bring a site to where the next run has everything to do that a run can do."""
    _begin(site)
    _decide(site)
    _break_off(site)
    _publish(site)
    site.events.unlink(missing_ok=True)


def _begin(site: Site) -> None:
    carol = site.pki.endorser("Carol Endorser")
    soon = (site.now + timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
    images = [site.image(number) for number in (1, 2, 3, 7, 8, 9)]
    images.append(site.image(10, dc__date__expires=soon))
    site.join(*images)
    add_list(site, ROLLED_BACK, site.image(20), version="5")
    add_list(site, UNREACHABLE, site.image(21))
    add_list(site, UNLINKED, site.image(22), signer=site.pki.endorser("Bob Endorser"))
    add_list(site, REVOKED, site.image(23), signer=carol)
    add_list(site, OVER, site.image(24), dc__date__expires=soon)
    add_list(site, DELETED, site.image(25))
    site.expect(0, "subscribe", "-U")
    site.select(1, 2, 3, 7, 8, 9, 10, 20, 21, 22, 23, 24, 25)
    site.cache()
    site.pki.revoke(carol)


def _decide(site: Site) -> None:
    site.expect(0, "subscribe", "--imagelist-newimage-subscribe", "-u", LIST_ID)
    site.expect(0, "image", "-r", "-u", image_id(3))
    digest = hashlib.sha512(site.endorsed()[image_id(7)]).hexdigest()
    (site.store / "vetoes" / f"{digest}.json").write_text("{}")
    site.expect(0, "endorser", "-u", "-e", "Bob Endorser", "-s", UNLINKED)
    site.expect(0, "subscribe", "-D", "-u", DELETED)


def _break_off(site: Site) -> None:
    """Leave what crashes, careless hands and a handler that fails leave."""
    eight, nine = site.store / "endorsed" / image_id(8), site.store / "endorsed" / image_id(9)
    eight.resolve().unlink()
    nine.unlink()
    (site.store / "endorsed" / image_id(99)).symlink_to(os.readlink(site.store / "endorsed" / image_id(1)))
    layout = open_store(str(site.store))
    leaving = cache.newest_record(layout, image_id(25))
    assert leaving is not None
    cache.put_record(layout, life.expiring(leaving, site.now, Reason.SUBSCRIPTION_DELETED, "event-of-25"))
    owing = cache.newest_record(layout, image_id(20))
    assert owing is not None
    cache.put_record(layout, life.endorsed(owing, site.now, "event-of-20"))
    etag = f'"{hashlib.sha256(_HALF).hexdigest()[:16]}"'
    notes = {"uri": site.server.url("/images/14-v1.raw"), "validator": etag, "host": socket.gethostname(), "pid": 2**22}
    partial = site.store / "partial" / f"{hashlib.sha512(_HALF).hexdigest()}.{2**22}-000000000000"
    partial.write_bytes(_HALF[:5000])
    partial.with_name(partial.name + ".json").write_text(json.dumps(notes))


def _publish(site: Site) -> None:
    """Serve what the next run finds; three hours later, so that what was to end soon is over."""
    site.now += timedelta(hours=3)
    same = b"the same bytes\n" * 100
    soon = (site.now - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    images = [site.image(1, "2"), site.image(3), site.image(7), site.image(8), site.image(9)]
    images += [site.image(10, dc__date__expires=soon), site.image(14, content=_HALF)]
    images += [site.image(4, content=same), site.image(6, content=same)]
    # Bytes that are in the store already, under another image.
    images.append(site.image(5, content=b"image 2 version 1\n" * 100))
    site.publish("2", *images, hv__uri=site.server.url("/moved"))
    site.server.publish("/moved", site.server.published()["/list"].content)
    publish_list(site, ROLLED_BACK, site.image(20, "2"), version="4")
    site.server.fault(f"/{UNREACHABLE}", "status", status=503)


def events_of(result: dict[str, Any]) -> Counter[str]:
    """Return the events that follow from what a plan or a report says, as `site.told` spells them."""
    told: Counter[str] = Counter({"ProcessPrefix": 1, "ProcessPostfix": 1})
    for step in result["images"]:
        number = step["image"][-12:].lstrip("0")
        kinds = {
            "expire": ["ExpirePrefix", "ExpirePostfix"],
            "replace": ["ExpirePrefix", "ExpirePostfix", "AvailablePrefix", "AvailablePostfix"],
            "publish": ["AvailablePrefix", "AvailablePostfix"],
        }.get(step["action"], [])
        told.update(f"{kind} {number}" for kind in kinds)
    for one in result["lists"]:
        told.update(f"SubscriptionImageNew {image[-12:].lstrip('0')}" for image in one["announced"])
    for event in result["events"]:
        told.update([f"{event['kind']} {event['image'][-12:].lstrip('0')}"] if event["not_before"] is None else [])
    return told
