"""A site with one of every trouble that `vmcatcher status` knows, but for those that would hide the others.

every_trouble(site)
print(site.run("vmcatcher", "status").out)
"""

from __future__ import annotations

from datetime import timedelta

from support.changes import add_list, publish_list
from support.pki import Signer
from support.site import LIST_ID, Site, image_id
from vmcatcher.model.event import EventKind, OwedEvent
from vmcatcher.model.record import MOST_TRIES
from vmcatcher.store import events
from vmcatcher.store.root import open_store

OTHER = "33333333-aaaa-4aaa-8aaa-0000000000"
NAMES = (
    "rolled-back",
    "unreachable",
    "overdue",
    "over",
    "revoked",
    "unlinked",
    "undecided",
    "damaged",
    "no-crl",
    "stale-crl",
    "awaited",
)


def list_of(name: str) -> str:
    """Return the identifier of the list that has that trouble."""
    return f"{OTHER}{NAMES.index(name) + 10}"


def every_trouble(site: Site) -> None:
    """Bring a site to where hardly anything is well."""
    carol = site.pki.endorser("Carol Endorser")
    forgetful, slow = site.pki.intermediate("Forgetful CA"), site.pki.intermediate("Slow CA")
    _subscribe(site, carol, forgetful.endorser("Dan Endorser"), slow.endorser("Eve Endorser"))
    _go_wrong(site)
    _fall_apart(site)
    site.pki.revoke(carol)
    forgetful.remove_crl()
    slow.write_stale_crl()


def _subscribe(site: Site, carol: Signer, dan: Signer, eve: Signer) -> None:
    over = (site.now + timedelta(hours=20)).strftime("%Y-%m-%dT%H:%M:%SZ")
    site.join(*(site.image(number) for number in (1, 2, 3, 4)))
    add_list(site, list_of("rolled-back"), site.image(20), version="5")
    add_list(site, list_of("unreachable"), site.image(21))
    add_list(site, list_of("overdue"), site.image(22))
    add_list(site, list_of("over"), site.image(23), dc__date__expires=over)
    add_list(site, list_of("revoked"), site.image(24), signer=carol)
    add_list(site, list_of("unlinked"), site.image(25), signer=site.pki.endorser("Bob Endorser"))
    add_list(site, list_of("undecided"), site.image(26))
    add_list(site, list_of("damaged"), site.image(27))
    add_list(site, list_of("no-crl"), site.image(28), signer=dan)
    add_list(site, list_of("stale-crl"), site.image(29), signer=eve)
    site.expect(0, "subscribe", "-U")
    site.select(1, 2, 4, 20, 21, 22, 23, 24, 25)
    site.cache()
    # Wrong bytes of this one come as often as they may.
    site.select(29)
    site.server.publish("/images/29-v1.raw", b"x" * len(b"image 29 version 1\n" * 100))
    for _ in range(MOST_TRIES):
        site.cache("-D", code=1)


def _go_wrong(site: Site) -> None:
    """Have a run in which much fails, thirty hours later."""
    site.now += timedelta(hours=30)
    site.expect(0, "subscribe", "--imagelist-newimage-subscribe", "-u", LIST_ID)
    images = [site.image(number) for number in (1, 2, 3, 6, 8)]
    images += [site.image(4, "2"), site.image(9, hv__size=2**49)]
    site.publish("2", *images)
    site.server.fault("/images/4-v2.raw", "status", status=503)
    site.server.fault("/images/6-v1.raw", "status", status=404)
    site.server.publish("/images/8-v1.raw", b"x" * len(b"image 8 version 1\n" * 100))
    publish_list(site, list_of("rolled-back"), site.image(20), version="4")
    publish_list(site, list_of("undecided"), site.image(26), site.image(30), version="2")
    site.server.fault(f"/{list_of('unreachable')}", "status", status=503)
    site.expect(0, "endorser", "-u", "-e", "Bob Endorser", "-s", list_of("unlinked"))
    done = site.run("vmcatcher", "sync", "--keep-until-replaced", "-x", "false")
    assert done.code == 1, done


def _fall_apart(site: Site) -> None:
    """Leave what disks and people leave, and what nobody has seen to yet."""
    layout = open_store(str(site.store))
    site.select(3)
    add_list(site, list_of("awaited"), site.image(31))
    (site.store / "endorsed" / image_id(1)).resolve().unlink()
    (site.store / "endorsed" / image_id(2)).unlink()
    (site.store / "subscriptions" / list_of("overdue") / "fetch.json").unlink()
    (site.store / "subscriptions" / list_of("damaged") / "subscription.json").write_text("{")
    given_up = OwedEvent(EventKind.AVAILABLE_POSTFIX, "0f0f0f0f-0000-4000-8000-000000000001", attempts=5)
    variables = {"VMCATCHER_EVENT_DC_IDENTIFIER": image_id(2), "VMCATCHER_EVENT_IL_DC_IDENTIFIER": LIST_ID}
    events.put_failed(layout, given_up, variables, why="the handler never took it", now=site.now)
