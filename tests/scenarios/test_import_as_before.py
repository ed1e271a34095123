"""A site that moves from its database to a store: each command answers as it did, and nothing is fetched again.

The commands are the installed ones, with the variables of a classic cron file. What they have to say is written down
here from what the classic program 0.6.3 says of such a database.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from support.classic_database import ClassicSite
from support.server import Server
from support.site import LIST_ID, Result, Site, image_id
from support.tree import check_invariants, tree

LIST_2 = "22222222-aaaa-4aaa-8aaa-000000000002"
LIST_3 = "33333333-aaaa-4aaa-8aaa-000000000003"
STAMP = "2024-03-01_10-00-00"

LISTINGS = {
    "vmcatcher_endorser -l": """\
'alice'	'ALICE'	'CA'
'alice'	'/DC=test/DC=grid/CN=Alice Former'	'CA'
'Bob's own'	'BOB'	'CA'
""",
    "vmcatcher_endorser -K": """\
'alice'	'LIST-1'	'True'
'Bob's own'	'LIST-2'	'True'
'alice'	'LIST-3'	'True'
""",
    "vmcatcher_subscribe -l": """\
LIST-1	True	None	URL/list
LIST-2	True	IGTF	URL/list2
LIST-3	True	None	URL/list3
""",
    "vmcatcher_image -l": """\
IMAGE-01	3	LIST-1
IMAGE-02	3	LIST-1
IMAGE-03	2	LIST-1
IMAGE-04	1	LIST-1
IMAGE-11	3	LIST-2
IMAGE-21	3	LIST-3
IMAGE-22	2	LIST-3
""",
    "vmcatcher_image -l | awk '$2==3{print $1}'": "IMAGE-01\nIMAGE-02\nIMAGE-11\nIMAGE-21\n",
    "vmcatcher_subscribe -i -u LIST-2": """\
imagelist.dc:identifier=LIST-2
subscription.dc:identifier=LIST-2
subscription.dc:description=A test list
subscription.sl:authorised=True
subscription.hv:uri=URL/list2
subscription.hv:uri.trustAnchor=IGTF
subscription.hv:uri.username=catcher
subscription.hv:uri.password=***
subscription.dc:date:updated=IMPORTED
subscription.updateMode=1
imagelist.expired=False
imagelist.dc:date:imported=IMPORTED
imagelist.dc:date:created=CREATED
imagelist.dc:date:expires=EXPIRES
""",
    "vmcatcher_image -i -u IMAGE-01": """\
imagelist.dc:identifier=LIST-1
subscription.dc:identifier=LIST-1
subscription.dc:description=A test list
subscription.sl:authorised=True
subscription.hv:uri=URL/list
subscription.hv:uri.trustAnchor=None
subscription.dc:date:updated=IMPORTED
subscription.updateMode=0
imagelist.expired=False
imagelist.dc:date:imported=IMPORTED
imagelist.dc:date:created=CREATED
imagelist.dc:date:expires=EXPIRES
image.dc:description=Test image 1
image.dc:title=Title of image 1
image.hv:hypervisor=kvm
image.hv:size=1800
image.hv:uri=URL/images/1-v2.raw
image.hv:version=2
image.sl:arch=x86_64
image.sl:checksum:sha512=DIGEST-1-V2
image.sl:comments=No comment 1
image.sl:os=Linux
image.sl:osversion=Debian 12
imagedef.dc:identifier=IMAGE-01
imagedef.cache=1
endorser:hv:subject=ALICE
endorser:hv:issuer=CA
endorser:hv:subject=/DC=test/DC=grid/CN=Alice Former
endorser:hv:issuer=CA
""",
    "vmcatcher_endorser -i -e alice | grep -e ^endorser -e ^subscription.dc:identifier": """\
endorser.dc:identifier=alice
endorser.hv:dn=ALICE
endorser.hv:ca=CA
endorser.hv:dn=/DC=test/DC=grid/CN=Alice Former
endorser.hv:ca=CA
subscription.dc:identifier=LIST-1
subscription.dc:identifier=LIST-3
""",
}


def content_of(number: int, version: str = "1") -> bytes:
    return f"image {number} version {version}\n".encode() * 100


def hours_ago(site: Site, hours: int) -> str:
    return (site.now - timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")


class Moving:
    """A site with a classic database: two endorsers, three subscriptions, four images cached and two expired."""

    def __init__(self, root: Path, server: Server) -> None:
        self.site = site = Site(root, server)
        self.old = ClassicSite(root / "old")
        self.bob = site.pki.endorser("Bob Endorser")
        self.expires = (site.now + timedelta(days=20)).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.store = site.store = self.old.root / "vmcatcher"
        del site.environment["VMCATCHER_STORE"]
        site.environment |= {
            "VMCATCHER_RDBMS": self.old.url,
            "VMCATCHER_CACHE_DIR_CACHE": str(self.old.cached),
            "VMCATCHER_CACHE_DIR_DOWNLOAD": str(self.old.partial),
            "VMCATCHER_CACHE_DIR_EXPIRE": str(self.old.expired),
        }
        self._fill_decisions()
        self._fill_lists()
        self.old.close()
        server.forget()

    def _fill_decisions(self) -> None:
        old, site, url = self.old, self.site, self.site.server.url
        old.endorser(
            "alice", (site.alice.subject, site.alice.issuer), ("/DC=test/DC=grid/CN=Alice Former", site.alice.issuer)
        )
        old.endorser("Bob's own", (self.bob.subject, self.bob.issuer))
        old.subscription(LIST_ID, url("/list"), endorsers=["alice"])
        access = {"trustAnchor": 2, "updateMode": 1, "userName": "catcher", "password": "secret"}
        old.subscription(LIST_2, url("/list2"), endorsers=["Bob's own"], **access)
        old.subscription(LIST_3, url("/list3"), endorsers=["alice"], updateMode=3)
        for list_id, cached, others in (
            (LIST_ID, (1, 2), (3,)),
            (LIST_ID, (4,), ()),
            (LIST_2, (11,), ()),
            (LIST_3, (21,), (22,)),
        ):
            for number in (*cached, *others):
                old.image(list_id, image_id(number), cached=number in cached)

    def _fill_lists(self) -> None:
        site, old = self.site, self.old
        first = self.publish(LIST_ID, "/list", "1", *map(site.image, (1, 2, 3, 4)), hours=21)
        second = self.publish(LIST_ID, "/list", "2", site.image(1, "2"), site.image(2), site.image(3))
        for number, signed in ((1, second), (2, second)):
            old.cache(image_id(number), content_of(number, "2" if number == 1 else "1"), signed)
        for number in (1, 4):
            old.expire(image_id(number), content_of(number), STAMP, first)
        bobs = self.publish(LIST_2, "/list2", "1", site.image(11), signer=self.bob)
        old.cache(image_id(11), content_of(11), bobs)
        third = self.publish(LIST_3, "/list3", "1", site.image(21), site.image(22))
        old.cache(image_id(21), content_of(21), third)

    def publish(
        self, list_id: str, path: str, version: str, *images: dict[str, object], hours: int = 11, **options: object
    ) -> bytes:
        site = self.site
        signed = site.publish(
            version,
            *images,
            path=path,
            dc__identifier=list_id,
            hv__uri=site.server.url(path),
            dc__date__created=hours_ago(site, hours),
            dc__date__expires=self.expires,
            **options,
        )
        self.old.take(list_id, signed, imported=site.now - timedelta(hours=hours - 1))
        return signed

    def told(self, text: str) -> str:
        """Return a text with what its tokens stand for."""
        site = self.site
        tokens = {
            "URL": site.server.url(""),
            "ALICE": site.alice.subject,
            "BOB": self.bob.subject,
            "LIST-1": LIST_ID,
            "LIST-2": LIST_2,
            "LIST-3": LIST_3,
            "IMPORTED": hours_ago(site, 10),
            "CREATED": hours_ago(site, 11),
            "EXPIRES": self.expires,
            "DIGEST-1-V2": hashlib.sha512(content_of(1, "2")).hexdigest(),
            **{f"IMAGE-{number:02}": image_id(number) for number in (1, 2, 3, 4, 11, 21, 22)},
            "'CA'": f"'{site.alice.issuer}'",
            "=CA\n": f"={site.alice.issuer}\n",
        }
        for token, value in tokens.items():
            text = text.replace(token, value)
        return text

    def shell(self, line: str, code: int = 0) -> Result:
        """Run a line by /bin/sh with the installed commands."""
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        result = self.site.call("/bin/sh", "-c", self.told(line), PATH=path)
        assert result.code == code, result
        return result

    def import_db(self) -> Result:
        directories = f"--cache-dir {self.old.cached} --expired-dir {self.old.expired}"
        report = self.shell(f"vmcatcher store import-db {directories} --json {self.old.url}")
        assert report.errors == []
        return report


@pytest.fixture
def moving(tmp_path: Path, server: Server) -> Moving:
    return Moving(tmp_path, server)


def shown(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.name != "cache.index"}


@pytest.mark.slow
def test_every_answer_is_what_it_was_and_no_byte_is_fetched(moving: Moving):
    site, old = moving.site, moving.old
    cached, expired = shown(old.cached), shown(old.expired)
    moving.import_db()
    for line, expected in LISTINGS.items():
        result = moving.shell(line)
        assert (result.out, result.err) == (moving.told(expected), ""), line
    assert moving.shell(f"vmcatcher_cache -x 'cat >> {site.events}'").err == ""
    assert site.told() == ["ProcessPrefix", "ProcessPostfix"]
    assert site.server.requests == []
    assert shown(old.cached) == cached
    assert shown(old.expired) == expired
    assert check_invariants(moving.store) == []
    # The lists are asked for at the next update, as ever; images are not.
    assert moving.shell(f"vmcatcher_subscribe -U; vmcatcher_cache -x 'cat >> {site.events}'").err == ""
    assert site.told() == ["ProcessPrefix", "ProcessPostfix"]
    assert {request.path for request in site.server.requests} == {"/list", "/list2", "/list3"}
    for line in ("vmcatcher_subscribe -l", "vmcatcher_image -l"):
        assert moving.shell(line).out == moving.told(LISTINGS[line]), line


def test_second_import_changes_nothing(moving: Moving):
    first = moving.import_db()
    before, directories = tree(moving.store), tree(moving.old.root, ignore=("vmcatcher/",))
    second = moving.import_db()
    assert first.answer["counts"] != second.answer["counts"]
    assert tree(moving.store) == before
    assert tree(moving.old.root, ignore=("vmcatcher/",)) == directories
    assert moving.site.server.requests == []


@pytest.mark.slow
def test_images_are_added_removed_and_leave_with_events_as_before(moving: Moving):
    site, old = moving.site, moving.old
    moving.import_db()
    tell = f"vmcatcher_cache -x 'cat >> {site.events}'"
    moving.shell("vmcatcher_image -r -u IMAGE-11; vmcatcher_image -a -u IMAGE-03; vmcatcher_subscribe -D -u LIST-3")
    assert moving.shell("vmcatcher_image -l | cut -f1,2").out == moving.told(
        "IMAGE-01	3\nIMAGE-02	3\nIMAGE-03	3\nIMAGE-04	1\nIMAGE-11	2\n"
    )
    site.publish("3", site.image(1, "2"), site.image(3), hv__uri=site.server.url("/list"))
    assert moving.shell(f"vmcatcher_subscribe -U; {tell}").err == ""
    events = {(event["TYPE"], event["DC_IDENTIFIER"], event["REASON"]) for event in site.noted() if "REASON" in event}
    assert events == {
        (kind, image_id(number), reason)
        for kind in ("ExpirePrefix", "ExpirePostfix")
        for number, reason in ((2, "withdrawn"), (11, "unsubscribed"), (21, "subscription-deleted"))
    }
    described = {(event["DC_TITLE"], event["HV_VERSION"], event["VO"]) for event in site.noted() if "REASON" in event}
    assert described == {(f"Title of image {number}", "1", "test.vo") for number in (2, 11, 21)}
    assert [one for one in site.told() if one.startswith("Available")] == ["AvailablePrefix 3", "AvailablePostfix 3"]
    assert site.server.gets("/images/3-v1.raw") == 1
    assert sum(request.path.startswith("/images/") for request in site.server.requests) == 1
    assert shown(old.cached) == {image_id(1): content_of(1, "2"), image_id(3): content_of(3)}
    left = {name.partition(".")[0]: content for name, content in shown(old.expired).items() if STAMP not in name}
    assert left == {image_id(number): content_of(number) for number in (2, 11, 21)}
    assert json.loads((old.expired / "cache.index").read_text()).keys() == shown(old.expired).keys()
    assert check_invariants(moving.store) == []


def test_list_that_ends_after_the_import_expires_with_events(moving: Moving):
    site, old = moving.site, moving.old
    moving.import_db()
    site.now += timedelta(days=21)
    site.cache()
    left = [event for event in site.noted() if event["TYPE"] == "ExpirePostfix"]
    assert {(event["DC_IDENTIFIER"], event["REASON"]) for event in left} == {
        (image_id(number), "list-expired") for number in (1, 2, 11, 21)
    }
    assert shown(old.cached) == {}
    assert {event["FILENAME"] for event in left} < shown(old.expired).keys()
    assert site.server.requests == []
