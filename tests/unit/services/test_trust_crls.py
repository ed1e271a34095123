"""Fetching revocation lists: what is taken, what never is, and what a failure leaves."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from support import openssl
from support.defects import may_not_sign_crls
from support.pki import Pki
from support.server import Server
from support.tree import tree
from vmcatcher.errors.trust_tools import NoCrlUrl
from vmcatcher.services.context import Context
from vmcatcher.services.trust_crls import CrlFetched, CrlReport, Outcome, fetch_crls
from vmcatcher.services.trust_ground import Ground
from vmcatcher.store import root
from vmcatcher.transport.limits import Limits
from vmcatcher.transport.transport import Transport
from vmcatcher.trust import fetched
from vmcatcher.trust.anchors import TrustAnchors
from vmcatcher.trust.crl import read_crl
from vmcatcher.trust.fetched import pem_of
from vmcatcher.trust.rules import TrustRules

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@dataclass
class Place:
    """A site whose CA publishes its CRL at /crl of a server, and has none in the directory."""

    pki: Pki
    server: Server
    context: Context
    transport: Transport

    def announce(self, *paths: str, pki: Pki | None = None) -> None:
        urls = "".join(f"{self.server.url(path)}\n" for path in paths)
        (pki or self.pki).certificate.with_suffix(".crl_url").write_text(f"# where it is\n{urls}")

    def publish(self, content: bytes, path: str = "/crl") -> None:
        self.server.publish(path, content)

    def fetch(self, *, jobs: int = 2) -> CrlReport:
        directory, overlay = str(self.pki.certificates), self.context.layout.trust
        anchors = TrustAnchors.load(directory, overlay=overlay)
        ground = Ground(directory, overlay, anchors, TrustRules(), self.context.now)
        return fetch_crls(self.context, ground, self.transport, jobs=jobs)

    def one(self) -> CrlFetched:
        (found,) = self.fetch().crls
        return found

    @property
    def fetched(self) -> Path:
        return Path(self.context.layout.trust) / f"{self.pki.certificate.stem}.r0"

    def der(self) -> bytes:
        """What is in the overlay, as openssl reads it."""
        return openssl.openssl("crl", "-in", self.fetched, "-outform", "DER")


@pytest.fixture
def place(tmp_path: Path, server: Server) -> Iterator[Place]:
    pki = Pki(tmp_path, now=NOW)
    pki.remove_crl()
    context = Context(root.make_store(str(tmp_path / "store")), NOW, "test")
    limits = Limits(connect_s=5, idle_s=10, total_s=20, list_bytes=1 << 16)
    with Transport(limits=limits, user_agent="test", sleep=lambda _: None) as transport:
        made = Place(pki, server, context, transport)
        made.announce("/crl")
        yield made


@pytest.mark.parametrize("as_pem", [True, False])
def test_crl_is_fetched_and_counts_for_verification(place: Place, as_pem: bool):
    der = place.pki.crl_der()
    pem = x509.load_der_x509_crl(der).public_bytes(Encoding.PEM) if as_pem else der
    place.publish(pem)
    found = place.one()
    assert (found.outcome, found.problems, found.url) == (Outcome.NEW, (), place.server.url("/crl"))
    assert (found.made, found.ends) == (NOW - HOUR, NOW + 30 * DAY)
    assert place.der() == der
    (ca,) = next(iter(place_anchors(place).authorities.values()))
    assert [crl.der for crl in place_anchors(place).crls_of(ca)] == [der]


def place_anchors(place: Place) -> TrustAnchors:
    return TrustAnchors.load(str(place.pki.certificates), overlay=place.context.layout.trust)


def test_unchanged_crl_is_not_transferred_again_and_nothing_is_written(place: Place):
    place.publish(place.pki.crl_der())
    place.one()
    before = tree(Path(place.context.layout.root))
    place.server.forget()
    assert place.one().outcome is Outcome.UNCHANGED
    (request,) = place.server.requests
    assert "if-none-match" in request.headers
    assert tree(Path(place.context.layout.root)) == before


def test_note_about_another_crl_than_is_there_makes_no_conditions(place: Place):
    place.publish(place.pki.crl_der(last_update=NOW - 3 * HOUR))
    place.one()
    place.fetched.write_bytes(place.pki.crl_der(last_update=NOW - 4 * HOUR))
    place.server.forget()
    assert place.one().outcome is Outcome.NEW
    assert "if-none-match" not in place.server.requests[0].headers


def test_newer_crl_takes_the_place_of_the_older_one(place: Place):
    place.publish(place.pki.crl_der(last_update=NOW - 2 * DAY))
    place.one()
    place.pki.revoke(place.pki.endorser())
    place.pki.remove_crl()
    newer = place.pki.crl_der()
    place.publish(newer)
    assert place.one().outcome is Outcome.NEW
    assert place.der() == newer


def test_crl_that_could_not_be_read_again_is_not_kept(place: Place, monkeypatch: pytest.MonkeyPatch):
    assert len(pem_of(replace(read_crl(place.pki.crl_der()), der=bytes(fetched.LARGEST_BYTES)))) < 64 << 20
    place.publish(place.pki.crl_der())
    monkeypatch.setattr(fetched, "LARGEST_BYTES", 100)
    found = place.one()
    assert (found.outcome, [error.id for error in found.problems]) == (Outcome.FAILED, ["fetched-crl-unreadable"])
    assert not place.fetched.exists()


def test_newer_crl_of_fewer_certificates_does_not_undo_what_the_one_that_is_here_revokes(place: Place):
    whole = place.pki.crl_der(last_update=NOW - 2 * DAY)
    place.publish(whole)
    place.one()
    place.publish(place.pki.crl_der(extensions=[(_elsewhere(), True)]))
    found = place.one()
    assert (found.outcome, [error.id for error in found.problems]) == (Outcome.KEPT, ["fetched-crl-scope"])
    assert place.der() == whole


def test_crl_of_fewer_certificates_is_taken_once_the_one_that_is_here_is_over(place: Place):
    place.publish(place.pki.crl_der(last_update=NOW - 2 * DAY, next_update=NOW + HOUR))
    place.one()
    place.context = replace(place.context, now=NOW + 2 * HOUR)
    newer = place.pki.crl_der(extensions=[(_elsewhere(), True)])
    place.publish(newer)
    assert place.one().outcome is Outcome.NEW
    place.publish(place.pki.crl_der(last_update=NOW, extensions=[(_elsewhere(), True)]))
    assert place.one().outcome is Outcome.NEW


def _elsewhere() -> x509.IssuingDistributionPoint:
    return x509.IssuingDistributionPoint(
        full_name=[x509.UniformResourceIdentifier("http://elsewhere.test/crl")],
        relative_name=None,
        only_contains_user_certs=False,
        only_contains_ca_certs=False,
        only_some_reasons=None,
        indirect_crl=False,
        only_contains_attribute_certs=False,
    )


def test_of_two_crls_of_the_same_second_the_higher_number_counts(place: Place):
    def numbered(number: int) -> bytes:
        return place.pki.crl_der(extensions=[(x509.CRLNumber(number), False)])

    place.publish(numbered(7))
    place.one()
    place.publish(numbered(6))
    assert [error.id for error in place.one().problems] == ["fetched-crl-older"]
    later = numbered(8)
    place.publish(later)
    assert place.one().outcome is Outcome.NEW
    assert place.der() == later


Serve = Callable[[Place], bytes]
HOSTILE: dict[str, tuple[str, Serve]] = {
    "older": ("fetched-crl-older", lambda it: it.pki.crl_der(last_update=NOW - 3 * DAY)),
    "forged": ("fetched-crl-signature", lambda it: it.pki.crl_der(key=Pki(it.pki.root / "x", name="X").private_key)),
    "of another CA": ("fetched-crl-issuer", lambda it: Pki(it.pki.root / "y", name="Y", now=NOW).crl_der()),
    "over": ("fetched-crl-date", lambda it: it.pki.crl_der(last_update=NOW - HOUR, next_update=NOW)),
    "from the future": ("fetched-crl-date", lambda it: it.pki.crl_der(last_update=NOW + timedelta(minutes=6))),
    "partial": ("fetched-crl-scope", lambda it: _partial(it)),  # noqa: PLW0108 - it is defined below
    "a page": ("fetched-crl-unreadable", lambda _: b"<html>please log in</html>"),
    "empty": ("fetched-crl-unreadable", lambda _: b""),
    "cut short": ("fetched-crl-unreadable", lambda it: it.pki.crl_der()[:-20]),
    "a certificate": ("fetched-crl-unreadable", lambda it: it.pki.certificate.read_bytes()),
    "two": ("fetched-crl-unreadable", lambda it: 2 * it.pki.write_crl(path=it.pki.root / "pem").read_bytes()),
    "too large": ("body-too-long", lambda _: b"\x30" + bytes(1 << 16)),
}


def _partial(place: Place) -> bytes:
    place.pki.write_partial_crl()
    der = openssl.openssl("crl", "-in", place.pki.crl, "-outform", "DER")
    place.pki.remove_crl()
    return der


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_good_never_takes_the_place_of_a_good_one(name: str, place: Place):
    identifier, serve = HOSTILE[name]
    good = place.pki.crl_der(last_update=NOW - 2 * DAY)
    place.publish(good)
    place.one()
    place.publish(serve(place))
    before = tree(Path(place.context.layout.root))
    report = place.fetch()
    (found,) = report.crls
    assert found.outcome is Outcome.KEPT
    assert [error.id for error in found.problems] == [identifier]
    assert all(error.one_line().isprintable() for error in found.problems)
    assert (found.made, report.failed) == (NOW - 2 * DAY, ())
    assert tree(Path(place.context.layout.root)) == before
    assert place.der() == good


@pytest.mark.parametrize("name", [name for name in HOSTILE if name != "older"])
def test_what_is_no_good_is_a_failure_where_there_is_nothing_else(name: str, place: Place):
    identifier, serve = HOSTILE[name]
    place.publish(serve(place))
    report = place.fetch()
    assert [(one.outcome, one.is_needed) for one in report.crls] == [(Outcome.FAILED, True)]
    assert [failure.error.id for failure in report.failed] == [identifier]
    assert not place.fetched.exists()


@pytest.mark.parametrize(
    ("fault", "identifier"),
    [
        ("truncate", "body-truncated"),
        ("loop", "too-many-redirects"),
        ("gzip", "encoded-answer"),
        ("html200", "fetched-crl-unreadable"),
        ("endless", "body-too-long"),
    ],
)
def test_second_url_is_asked_where_the_first_one_fails(fault: str, identifier: str, place: Place):
    place.announce("/first", "/crl")
    der = place.pki.crl_der()
    place.publish(der, "/first")
    place.publish(der)
    place.server.fault("/first", fault)
    found = place.one()
    assert (found.outcome, found.url) == (Outcome.NEW, place.server.url("/crl"))
    assert [error.id for error in found.problems] == [identifier]


def test_dead_server_of_one_ca_stops_no_other(place: Place):
    other = Pki(place.pki.root, name="Other CA", now=NOW)
    other.remove_crl()
    other.certificate.with_suffix(".crl_url").write_text("http://127.0.0.1:1/crl\n")
    place.publish(place.pki.crl_der())
    report = place.fetch(jobs=1)
    assert {one.ca: one.outcome for one in report.crls} == {
        other.subject: Outcome.FAILED,
        place.pki.subject: Outcome.NEW,
    }
    assert [(failure.subject, failure.error.exit_code) for failure in report.failed] == [(other.subject, 75)]


def test_crl_of_the_directory_counts_as_the_one_that_is_here(place: Place):
    der = place.pki.crl_der()
    place.pki.write_crl(der)
    place.publish(der)
    assert place.one().outcome is Outcome.UNCHANGED
    assert not place.fetched.exists()
    place.publish(place.pki.crl_der(last_update=NOW - DAY))
    assert [error.id for error in place.one().problems] == ["fetched-crl-older"]


def test_newer_crl_that_another_run_brought_meanwhile_stays(place: Place, monkeypatch: pytest.MonkeyPatch):
    newest = place.pki.crl_der(last_update=NOW - timedelta(minutes=1))
    place.publish(place.pki.crl_der())
    fetch = place.transport.fetch_list

    def overtaken(*given, **named):
        answer = fetch(*given, **named)
        place.fetched.write_bytes(newest)
        return answer

    monkeypatch.setattr(place.transport, "fetch_list", overtaken)
    assert place.one().outcome is Outcome.UNCHANGED
    assert place.der() == newest


def test_expired_crl_that_is_here_is_replaced_without_conditions(place: Place):
    place.fetched.write_bytes(place.pki.crl_der(last_update=NOW - 9 * DAY, next_update=NOW - DAY))
    place.publish(place.pki.crl_der())
    assert place.one().outcome is Outcome.NEW
    assert "if-none-match" not in place.server.requests[0].headers


def test_ca_that_is_over_is_not_asked_for(place: Place):
    context = Context(place.context.layout, NOW + 4000 * DAY, "test")
    late = Place(place.pki, place.server, context, place.transport)
    assert [one.outcome for one in late.fetch().crls] == [Outcome.SKIPPED]
    assert late.fetch().failed == ()
    assert place.server.requests == []


def test_ca_that_may_not_sign_crls_is_not_believed(tmp_path: Path, place: Place):
    other = Pki(place.pki.root, may_not_sign_crls, name="Other CA", now=NOW)
    other.remove_crl()
    place.announce("/other", pki=other)
    place.publish(other.crl_der(), "/other")
    place.publish(place.pki.crl_der())
    found = {one.ca: one for one in place.fetch().crls}[other.subject]
    assert [error.id for error in found.problems] == ["fetched-crl-signature"]


def test_rolled_over_ca_may_sign_with_its_new_key(place: Place):
    new = place.pki.rolled_over()
    new.remove_crl()
    der = new.crl_der()
    place.publish(der)
    assert place.one().outcome is Outcome.NEW
    assert place.der() == der


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("ftp://127.0.0.1/crl", "'ftp' is not known"),
        ("file:///etc/passwd", "only http and https"),
        ("http://user:CANARY@127.0.0.1/crl", "user name"),
        ("crl.pem", "no scheme|scheme"),
        ("http://127.0.0.1/\x1b[2J", "cannot be printed"),
    ],
)
def test_url_that_cannot_be_fetched_is_named(line: str, why: str, place: Place):
    place.pki.certificate.with_suffix(".crl_url").write_text(line)
    report = place.fetch()
    (failure,) = report.failed
    assert failure.error.id == "crl-url"
    assert re.search(why, failure.error.one_line())
    assert failure.error.one_line().isprintable()
    assert "CANARY" not in failure.error.one_line()


def test_directory_without_urls_is_said_to_have_none(place: Place):
    place.pki.certificate.with_suffix(".crl_url").unlink()
    with pytest.raises(NoCrlUrl):
        place.fetch()


def test_interrupt_does_not_wait_for_a_server_that_hangs(place: Place):
    place.publish(place.pki.crl_der())
    place.server.fault("/crl", "hang")
    interrupt = threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT))
    interrupt.start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        place.fetch()
    assert time.monotonic() - began < 5


def test_store_that_cannot_be_written_is_a_failure_and_keeps_what_is_there(place: Place):
    place.fetched.mkdir()
    place.publish(place.pki.crl_der())
    report = place.fetch()
    assert [failure.error.id for failure in report.failed] == ["not-our-file"]
    assert place.fetched.is_dir()
