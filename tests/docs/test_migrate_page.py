"""The way over from the classic database, tried as the page tells it."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

from docs.pages import ROOT, is_as_told, run, steps
from support.classic_database import ClassicSite
from support.site import LIST_ID, Site, image_id

PAGE = ROOT / "docs" / "how-to" / "migrate-from-vmcatcher-0.6.md"
LIST_2 = LIST_ID[:-1] + "2"
_ISSUES = ("left out:", "note:")


def _content(number: int, version: str = "1") -> bytes:
    return f"image {number} version {version}\n".encode() * 100


@pytest.fixture
def old(site: Site) -> ClassicSite:
    """The site of the page: two endorsers, two subscriptions, three images of which two are cached."""
    old = ClassicSite(site.root / "old")
    bob = site.pki.endorser("Bob Endorser")
    created = (site.now - timedelta(hours=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
    for name, signer in (("alice", site.alice), ("bob", bob)):
        old.endorser(name, (signer.subject, signer.issuer))
    old.subscription(LIST_ID, site.server.url("/list"), endorsers=["alice"])
    old.subscription(LIST_2, site.server.url("/list2"), endorsers=["bob"])
    for list_id, number, is_cached in ((LIST_ID, 1, True), (LIST_ID, 2, False), (LIST_2, 3, True)):
        old.image(list_id, image_id(number), cached=is_cached)
    first = site.publish("1", site.image(1), site.image(2), dc__date__created=created)
    old.take(LIST_ID, first, imported=site.now - timedelta(hours=4))
    second = site.publish("2", site.image(1, "2"), site.image(2))
    old.take(LIST_ID, second, imported=site.now - timedelta(hours=2))
    named = {"path": "/list2", "dc__identifier": LIST_2, "hv__uri": site.server.url("/list2")}
    bobs = site.publish("1", site.image(3), signer=bob, **named)
    old.take(LIST_2, bobs, imported=site.now - timedelta(hours=1))
    old.cache(image_id(1), _content(1, "2"), second)
    old.cache(image_id(3), _content(3), bobs)
    old.expire(image_id(1), _content(1), "2024-03-01_10-00-00", first)
    old.close()
    return old


@pytest.mark.slow
def test_migration_goes_as_the_page_says(site: Site, old: ClassicSite, monkeypatch: pytest.MonkeyPatch):
    text = PAGE.read_text(encoding="utf-8")
    for there in ("/var/lib/vmcatcher", "/var/cache/vmimages"):
        assert there in text
        text = text.replace(there, str(old.root))
    monkeypatch.setenv("VMCATCHER_DIR_CERT", str(site.pki.certificates))
    site.server.forget()
    work = site.root / "work"
    work.mkdir()
    wanted = steps(text)
    done = run(wanted, work)
    assert [(step.command, printed) for step, printed in done if not is_as_told(step, printed)] == []
    assert len(done) == len(wanted)
    assert [request.path for request in site.server.requests if request.path.startswith("/images")] == []


def test_page_names_the_options_and_variables_that_there_are():
    text = PAGE.read_text(encoding="utf-8")
    known = "".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "src/vmcatcher").rglob("*.py") if "demo" not in path.parts
    )
    options = set(re.findall(r"`[^`\n]*?(--[a-z][a-z-]+)", text)) - {"--remove-destination"}
    assert options >= {"--move", "--json", "--blobs"} - {"--blobs"}
    missing = [one for one in options if f'"{one}"' not in known and one.strip("-").replace("-", "_") not in known]
    assert missing == []


def test_page_explains_every_prefix_of_the_report():
    text = PAGE.read_text(encoding="utf-8")
    source = (ROOT / "src/vmcatcher/cli/commands/store_import.py").read_text(encoding="utf-8")
    for prefix in _ISSUES:
        assert f"`{prefix}`" in text
        assert f'f"{prefix} ' in source


def test_page_stands_in_the_table_of_contents():
    assert str(PAGE.relative_to(ROOT / "docs")) in Path(ROOT / ".mkdocs.yml").read_text(encoding="utf-8")
