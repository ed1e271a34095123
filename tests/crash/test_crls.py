"""Fetching revocation lists, killed and failed at every call: no list is ever older or half, the next run finishes."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from support.faults import Faults, Kill, Killed, out_of_space
from support.site import Site
from support.tree import check_invariants
from vmcatcher.trust.anchors import TrustAnchors


@pytest.fixture
def fetched(site: Site) -> Site:
    """An older revocation list was fetched; the server has a newer one, which revokes Alice."""
    site.pki.certificate.with_suffix(".crl_url").write_text(site.server.url("/crl"))
    site.pki.remove_crl()
    site.server.publish("/crl", site.pki.crl_der(last_update=site.now - timedelta(days=2)))
    assert _fetch(site)
    site.pki.revoke(site.alice)
    site.pki.remove_crl()
    site.server.publish("/crl", _newer(site))
    return site


def _newer(site: Site) -> bytes:
    return site.pki.crl_der(last_update=site.now - timedelta(hours=1))


def _fetch(site: Site) -> bool:
    return site.run("vmcatcher", "trust", "fetch-crls").code == 0


def _serials(site: Site) -> list[int]:
    """Return what the list that counts says is revoked; a store without a list that can be read has none."""
    anchors = TrustAnchors.load(str(site.pki.certificates), overlay=str(site.store / "trust"))
    assert anchors.problems == ()
    (ca,) = next(iter(anchors.authorities.values()))
    (crl,) = anchors.crls_of(ca)
    return [entry.serial_number for entry in x509.load_der_x509_crl(crl.der)]


@pytest.mark.slow
def test_killed_or_out_of_space_at_any_call_the_old_list_or_the_new_one_counts(fetched: Site):
    before = {path.name: path.read_bytes() for path in (fetched.store / "trust").iterdir()}

    def reset() -> None:
        for path in (fetched.store / "trust").iterdir():
            path.unlink()
        for name, content in before.items():
            Path(fetched.store / "trust" / name).write_bytes(content)

    with Faults() as counted:
        assert _fetch(fetched)
    new = _serials(fetched)
    assert new == [fetched.alice.parsed.serial_number]
    assert counted.count >= 10
    for number in range(counted.count):
        for fault in (Kill(number), out_of_space(number)):
            reset()
            with Faults(fault) as faults, contextlib.suppress(Killed):
                assert fetched.run("vmcatcher", "trust", "fetch-crls").code in (0, 1, 75), fault
            assert faults.struck, fault
            assert _serials(fetched) in ([], new), fault
            assert check_invariants(fetched.store) == [], fault
            assert _fetch(fetched), fault
            assert _serials(fetched) == new, fault


_SPOILT = {
    "a bit": lambda content: content[:200] + bytes([content[200] ^ 1]) + content[201:],
    "half": lambda content: content[:100],
    "nothing": lambda content: b"",
    "another one": lambda content: content.replace(b"-----BEGIN", b"-----BEGIM"),
}


@pytest.mark.parametrize("how", _SPOILT)
def test_fault_112_fetched_list_that_rotted_is_found_and_fetched_again(fetched: Site, how: str):
    assert _fetch(fetched)
    new = _serials(fetched)
    (path,) = (fetched.store / "trust").glob("*.r0")
    path.write_bytes(_SPOILT[how](path.read_bytes()))
    checked = fetched.run("vmcatcher", "store", "check")
    assert checked.code == 4
    assert f"{path}: it is not the list that {path.stem}.fetch.json tells of" in checked.out
    assert _fetch(fetched)
    assert _serials(fetched) == new
    assert fetched.run("vmcatcher", "store", "check").code == 0


def test_fault_112_fetched_list_that_was_lost_is_found_and_fetched_again(fetched: Site):
    assert _fetch(fetched)
    new = _serials(fetched)
    (path,) = (fetched.store / "trust").glob("*.r0")
    path.unlink()
    assert "it was fetched and is gone" in fetched.run("vmcatcher", "store", "check").out
    assert _fetch(fetched)
    assert _serials(fetched) == new


def test_note_about_a_fetched_list_that_rotted_costs_one_more_fetch(fetched: Site):
    assert _fetch(fetched)
    new = _serials(fetched)
    (path,) = (fetched.store / "trust").glob("*.fetch.json")
    path.write_bytes(path.read_bytes()[:30])
    assert fetched.run("vmcatcher", "store", "check").code == 1
    assert _fetch(fetched)
    assert _serials(fetched) == new
    assert fetched.run("vmcatcher", "store", "check").code == 0
