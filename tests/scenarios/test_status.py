"""`vmcatcher status`: one of every trouble, each by its stable id; and nothing said where all is well."""

from __future__ import annotations

import os
import stat
from datetime import timedelta
from typing import Any

import pytest

from support.schemas import check_envelope
from support.site import LIST_ID, Site, image_id
from support.troubles import every_trouble, list_of
from vmcatcher.store.locks import Holder, hold
from vmcatcher.store.root import open_store

_CALM = ("--warn-within", "1d")


def _status(site: Site, *arguments: str, code: int, **environment: str) -> dict[str, Any]:
    result = site.run("vmcatcher", "status", "--json", *arguments, **environment)
    assert result.code == code, result
    found: dict[str, Any] = check_envelope(result.out)["result"]
    return found


def _troubles(status: dict[str, Any]) -> set[tuple[str, str, str]]:
    return {(one["id"], one["severity"], one["subject"]) for one in status["troubles"]}


@pytest.mark.slow
def test_status_names_one_of_every_trouble(site: Site):
    every_trouble(site)
    before = site.tree()
    status = _status(site, "--warn-within", "19d", code=1)
    assert site.tree() == before
    assert _troubles(status) == {
        ("document-damaged", "wrong", list_of("damaged")),
        ("list-failing", "wrong", list_of("rolled-back")),
        ("list-failing", "wrong", list_of("unreachable")),
        ("list-overdue", "wrong", list_of("overdue")),
        ("list-expired", "wrong", list_of("over")),
        ("list-untrusted", "wrong", list_of("revoked")),
        ("list-untrusted", "wrong", list_of("unlinked")),
        ("images-undecided", "wrong", list_of("undecided")),
        ("image-lost", "wrong", image_id(1)),
        ("image-lost", "wrong", image_id(2)),
        ("image-given-up", "wrong", image_id(29)),
        ("image-leaving", "wrong", image_id(24)),
        ("events-failed", "wrong", "events"),
        ("crl-missing", "wrong", "/DC=test/DC=grid/CN=Forgetful CA"),
        ("crl-expired", "wrong", "/DC=test/DC=grid/CN=Slow CA"),
        ("space-lacking", "wrong", str(site.store)),
        *(
            ("list-expires-soon", "soon", list_of(name))
            for name in ("rolled-back", "unreachable", "overdue", "revoked", "unlinked", "no-crl", "stale-crl")
        ),
        ("list-awaited", "passing", list_of("awaited")),
        ("image-missing", "passing", image_id(3)),
        ("image-outdated", "passing", image_id(4)),
        ("image-failing", "passing", image_id(6)),
        ("image-failing", "passing", image_id(8)),
        ("image-failing", "passing", image_id(9)),
        ("events-refused", "passing", "events"),
    }
    severities = [one["severity"] for one in status["troubles"]]
    assert severities == sorted(severities, key=["wrong", "soon", "passing"].index)
    why = {one["image"][-12:].lstrip("0"): one["why"] for one in status["images"]}
    assert "not found (404)" in why["6"]
    assert "status 503" in why["4"]
    assert "1 of 5 tries" in why["8"]
    assert "no space" in why["9"]
    # In time they are what somebody has to see to.
    site.now += timedelta(hours=25)
    later = _status(site, code=1)
    assert {("image-missing", "wrong", image_id(3)), ("image-failing", "wrong", image_id(6))} <= _troubles(later)


def test_status_of_a_site_where_all_is_well_ends_with_0(site: Site):
    site.join(site.image(1))
    site.select(1)
    site.expect(0, "cache")
    status = _status(site, *_CALM, code=0)
    assert status["troubles"] == []
    assert status["worst"] is None
    assert [(one["state"], one["image"]) for one in status["images"]] == [("present", image_id(1))]
    assert [one["role"] for one in status["certificates"]] == ["signer", "ca"]
    assert [(one["version"], one["images"]) for one in status["lists"]] == [
        ("1", {"named": 1, "selected": 1, "present": 1, "undecided": 0})
    ]
    assert site.run("vmcatcher", "status", "-q", *_CALM).out == ""


def test_status_with_nothing_but_what_passes_ends_with_75(site: Site):
    site.join(site.image(1))
    site.select(1)
    status = _status(site, *_CALM, code=75)
    assert _troubles(status) == {("image-missing", "passing", image_id(1))}
    site.now += timedelta(hours=7)
    assert {one["id"] for one in _status(site, *_CALM, "--max-age", "6h", code=1)["troubles"]} == {
        "image-missing",
        "list-overdue",
    }


def test_status_warns_of_what_ends_soon(site: Site):
    site.join(site.image(1))
    assert _troubles(_status(site, "--warn-within", "20d1h", code=1)) == {("list-expires-soon", "soon", LIST_ID)}
    site.expect(0, "subscribe", "-U")
    site.now += timedelta(days=25)
    found = {(one["id"], one["severity"]) for one in _status(site, "--max-age", "100d", code=1)["troubles"]}
    # The CRL is made for thirty days; what is left of it is less than a quarter.
    assert found == {("list-expired", "wrong"), ("certificate-expires-soon", "soon"), ("crl-expires-soon", "soon")}
    site.now += timedelta(days=6)
    late = {(one["id"], one["severity"]) for one in _status(site, "--max-age", "100d", code=1)["troubles"]}
    assert late == {("list-expired", "wrong"), ("certificate-expired", "wrong"), ("crl-expired", "wrong")}


def test_status_without_a_trust_directory_says_so_and_shows_the_rest(site: Site):
    site.join(site.image(1))
    site.select(1)
    site.expect(0, "cache")
    status = _status(site, *_CALM, code=1, VMCATCHER_DIR_CERT=str(site.root / "nowhere"))
    assert _troubles(status) == {("trust-directory-missing", "wrong", "trust")}
    assert [one["state"] for one in status["images"]] == ["present"]
    assert status["certificates"] == []


def test_status_of_a_clock_that_runs_behind_says_so(site: Site):
    site.join(site.image(1))
    site.now -= timedelta(days=2)
    assert ("clock", "wrong", "clock") in _troubles(_status(site, *_CALM, code=1))


def test_status_names_who_holds_a_lock_and_takes_none(site: Site):
    site.join(site.image(1))
    layout = open_store(str(site.store))
    with hold(layout, "cache", Holder("vmcatcher sync", site.now), wait_s=0):
        held = _status(site, *_CALM, code=0)["locks"]
        assert [(one["lock"], one["claim"]) for one in held] == [("cache", None)]
        assert f"vmcatcher sync (pid {os.getpid()} on " in held[0]["holder"]
        site.now += timedelta(hours=25)
        assert ("lock-held", "wrong", "cache") in _troubles(_status(site, *_CALM, code=1))
    assert _status(site, *_CALM, "--max-age", "3d", code=0)["locks"] == []


def test_status_where_no_store_is_ends_with_75(site: Site):
    result = site.run("vmcatcher", "status")
    assert (result.code, result.out) == (75, "")
    assert "[store-missing]" in result.err


@pytest.mark.parametrize("option", ["--max-age", "--warn-within"])
def test_status_with_a_time_that_is_none_is_refused(site: Site, option: str):
    site.join(site.image(1))
    result = site.run("vmcatcher", "status", option, "soon")
    assert result.code == 1
    assert f"{option}" in result.err
    assert "[bad-setting]" in result.err


@pytest.mark.root
@pytest.mark.slow
def test_status_runs_as_somebody_else_who_may_read(site: Site):
    site.join(site.image(1))
    site.root.chmod(0o755)
    for above in (site.root, *site.root.parents):
        if not above.stat().st_mode & stat.S_IXOTH:
            above.chmod(above.stat().st_mode | 0o055)
    result = site.call("vmcatcher", "status", *_CALM, prefix=("setpriv", "--reuid=65534", "--clear-groups"))
    assert result.code == 0, result


def test_status_with_a_damaged_endorser_says_so_and_shows_the_rest(site: Site):
    site.join(site.image(1))
    site.select(1)
    site.expect(0, "cache")
    [document] = (site.store / "endorsers").iterdir()
    document.write_text("{")
    status = _status(site, *_CALM, code=1)
    assert _troubles(status) == {("document-damaged", "wrong", "endorsers")}
    assert [one["state"] for one in status["images"]] == ["present"]
    assert [one["version"] for one in status["lists"]] == ["1"]


def test_status_says_once_that_a_list_is_over_and_names_what_still_has_to_leave(site: Site):
    site.join(site.image(1))
    site.select(1)
    site.expect(0, "cache")
    site.now += timedelta(days=21)
    site.run("subscribe", "-U")
    assert _troubles(_status(site, *_CALM, "--max-age", "30d", code=1)) == {
        ("list-expired", "wrong", LIST_ID),
        ("image-leaving", "passing", image_id(1)),
    }


def test_status_on_a_terminal_fits_one_screen_and_counts_what_is_well(site: Site, monkeypatch: pytest.MonkeyPatch):
    from vmcatcher.cli.output import screen

    site.join(site.image(1), site.image(2))
    site.select(1)
    site.expect(0, "cache")
    monkeypatch.setattr(
        screen, "make_screen", lambda _, now: screen.Screen(is_terminal=True, has_colour=False, now=now)
    )
    text = site.run("vmcatcher", "status", *_CALM, COLUMNS="100").out
    assert f"All is well in {site.store}" in text
    assert "1 of 1 wanted are there" in text
    assert "0 owed, 0 of them refused before, 0 given up" in text
    site.select(2)
    assert "Not all is well" in site.run("vmcatcher", "status", *_CALM, COLUMNS="100").out
