"""docs/how-to/debug-a-refused-list.md shows the lines that the program prints, with the exit codes."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

import pytest

from docs.pages import DOCS, Step, is_as_told
from support import defects
from support.pki import Pki, Signer
from support.site import Result, Site

_PAGE = (DOCS / "how-to/debug-a-refused-list.md").read_text(encoding="utf-8")
_NAMES = (("/DC=test/DC=grid", "/DC=org/DC=example"), ("Test Grid CA", "Example CA"))


def _unreachable(site: Site) -> Result:
    site.server.withdraw("/list")
    return _update(site)


def _no_signed_list(site: Site) -> Result:
    site.server.publish("/list", b"<html><body>Please log in</body></html>")
    return _update(site)


def _stale_crl(site: Site) -> Result:
    site.pki.write_stale_crl()
    return _update(site)


def _unknown_authority(site: Site) -> Result:
    other = Pki(site.root / "other", name="Other CA")
    return _signed_anew(site, signer=other.endorser("Alice"))


def _certificate_over(site: Site) -> Result:
    return _signed_anew(site, signer=site.pki.endorser("Alice", defects.expired))


def _changed_content(site: Site) -> Result:
    signed = site.publish("2", site.image(1), signer=site.alice, dc__identifier="site-list")
    site.server.publish("/list", signed.replace(b"Title of image 1", b"Title of image 7"))
    return _update(site)


def _another_signer(site: Site) -> Result:
    return _signed_anew(site, signer=site.pki.endorser("Bob"))


def _list_over(site: Site) -> Result:
    site.now += timedelta(days=21)
    return _update(site)


def _older_list(site: Site) -> Result:
    _signed_anew(site, signer=site.alice)
    site.publish("1", site.image(1), signer=site.alice, dc__identifier="site-list")
    return _update(site)


def _new_images(site: Site) -> Result:
    site.publish("2", site.image(1), site.image(2), signer=site.alice, dc__identifier="site-list")
    return _update(site)


_CASES: dict[str, Callable[[Site], Result]] = {
    "The server cannot be reached (10)": _unreachable,
    "What came is no signed list (11)": _no_signed_list,
    "A revocation list is missing or too old (11)": _stale_crl,
    "The authority is not known here (11)": _unknown_authority,
    "The endorser's certificate is over (11)": _certificate_over,
    "The content is not what was signed (11)": _changed_content,
    "The signer may not sign this list (13)": _another_signer,
    "The list is over (34)": _list_over,
    "The list is older than one that you had (17)": _older_list,
    "The list names new images (32)": _new_images,
}


def _signed_anew(site: Site, *, signer: Signer) -> Result:
    site.publish("2", site.image(1), signer=signer, dc__identifier="site-list")
    return _update(site)


def _update(site: Site) -> Result:
    return site.run("subscribe", "-U")


@pytest.fixture
def subscribed(site: Site) -> Site:
    """A site whose list and endorser have the names of the page."""
    site.alice = site.pki.endorser("Alice")
    site.publish("1", site.image(1), signer=site.alice, dc__identifier="site-list")
    site.join()
    return site


def test_page_has_the_cases_that_are_tried() -> None:
    assert re.findall(r"^## (.*\(\d+\))$", _PAGE, re.MULTILINE) == list(_CASES)


@pytest.mark.parametrize("heading", _CASES)
def test_refusal_is_said_as_the_page_shows(heading: str, subscribed: Site) -> None:
    shown = _PAGE.partition(f"## {heading}\n")[2].partition("```\n")[2].partition("```")[0]
    assert shown.startswith("ERROR:")
    result = _CASES[heading](subscribed)
    said = result.err.replace(subscribed.server.url("/list"), "https://images.example.org/site.image_list")
    for ours, theirs in _NAMES:
        said = said.replace(ours, theirs)
    assert is_as_told(Step("", shown), said), said
    assert f"({result.code})" in heading
