"""Whether a verified list is taken: pure rules, each with its border."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmcatcher.errors.admission import (
    EndorserNotLinked,
    EndorserUnknown,
    ListExpired,
    ListFromTheFuture,
    ListIdentifierChanged,
    ListPastLimit,
    ListReplayed,
    ListRollback,
    SignerNotNamed,
)
from vmcatcher.model import admission
from vmcatcher.model.admission import Newest
from vmcatcher.model.endorser import Endorser
from vmcatcher.model.identity import Credential, EndorserId, ListId, OneLineName, Sha512
from vmcatcher.model.imagelist import ImageList
from vmcatcher.model.subscription import Subscription
from vmcatcher.model.verified import VerifiedList

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
FIRST, SECOND_DIGEST = Sha512("a" * 128), Sha512("b" * 128)
ALICE = Endorser(EndorserId("alice"), (Credential("/CN=alice", "/CN=ca"),), NOW)
BOB = Endorser(EndorserId("bob"), (Credential("/CN=bob", "/CN=ca"),), NOW)
SUBSCRIPTION = Subscription(ListId("list"), "http://h/", "http://h/", NOW, endorsers=(ALICE.identifier,))
LISTED = ImageList(
    identifier=ListId("list"),
    version="2",
    created=NOW - timedelta(days=1),
    expires=NOW + timedelta(days=1),
    uri="http://h/",
    title="",
    description="",
    source="",
    endorser=Credential("/CN=alice", "/CN=ca"),
    email="",
    creator="",
    vo=None,
    images=(),
    fields={},
)


def _name(text: str) -> OneLineName:
    return OneLineName(text, text)


def _verified(signer: str = "/CN=alice", issuer: str = "/CN=ca") -> VerifiedList:
    return VerifiedList(b"", b"", _name(signer), _name(issuer), "sha256", (), (), NOW)


# -- who signed


def test_list_that_names_its_signer_is_taken():
    admission.demand_named_signer(_verified(), LISTED)


@pytest.mark.parametrize(
    ("named", "field", "signed_by"),
    [
        (Credential("/CN=mallory", "/CN=ca"), "hv:dn", "/CN=alice"),
        (Credential("/CN=alice", "/CN=other"), "hv:ca", "/CN=ca"),
        (Credential("", ""), "hv:ca", "/CN=ca"),
        (Credential("/CN=ca", "/CN=alice"), "hv:ca", "/CN=ca"),
    ],
)
def test_list_that_names_another_signer_is_refused(named: Credential, field: str, signed_by: str):
    with pytest.raises(SignerNotNamed) as caught:
        admission.demand_named_signer(_verified(), replace(LISTED, endorser=named))
    assert (caught.value.field, caught.value.signed_by, caught.value.classic_exit) == (field, signed_by, 12)


def test_endorser_is_found_by_subject_and_issuer():
    assert admission.find_endorser(_verified("/CN=bob"), [ALICE, BOB]) is BOB
    for stranger in (_verified("/CN=mallory"), _verified("/CN=alice", "/CN=other")):
        with pytest.raises(EndorserUnknown):
            admission.find_endorser(stranger, [ALICE, BOB])


def test_linked_endorser_is_the_one_that_signed():
    both = SUBSCRIPTION.linked(BOB.identifier)
    assert admission.demand_linked(_verified("/CN=bob"), both, [ALICE, BOB]) is BOB


@pytest.mark.parametrize(
    ("linked", "known"),
    [((), [ALICE, BOB]), ((BOB.identifier,), [ALICE, BOB]), ((ALICE.identifier,), [BOB]), ((ALICE.identifier,), [])],
)
def test_signer_that_is_not_linked_is_refused(linked: tuple[EndorserId, ...], known: list[Endorser]):
    with pytest.raises(EndorserNotLinked) as caught:
        admission.demand_linked(_verified(), replace(SUBSCRIPTION, endorsers=linked), known)
    assert caught.value.classic_exit == 13
    assert (caught.value.list_id, caught.value.subject, caught.value.issuer) == ("list", "/CN=alice", "/CN=ca")


def test_list_of_another_identifier_is_refused():
    admission.demand_identifier(SUBSCRIPTION, LISTED)
    with pytest.raises(ListIdentifierChanged) as caught:
        admission.demand_identifier(SUBSCRIPTION, replace(LISTED, identifier=ListId("List")))
    assert caught.value.classic_exit == 31


# -- whether it is newer


def _newest(version: str = "2", **fields: object) -> Newest:
    return replace(Newest(version, LISTED.created, FIRST), **fields)  # type: ignore[arg-type]  # handed on as they are


def test_first_list_is_news():
    taken = admission.compare_with_newest(LISTED, FIRST, None)
    assert (taken.is_news, taken.warning) == (True, None)


def test_same_bytes_are_no_news():
    assert not admission.compare_with_newest(LISTED, FIRST, _newest()).is_news


@pytest.mark.parametrize("have", ["1", "1.9", "1.99.99", "1/2", "rc2"])
def test_higher_version_is_news_whatever_its_date(have: str):
    taken = admission.compare_with_newest(LISTED, SECOND_DIGEST, _newest(have, created=NOW + timedelta(days=99)))
    assert (taken.is_news, taken.warning) == (True, None)


@pytest.mark.parametrize("have", ["10", "2.1", "3", "2-rc1"])
def test_lower_version_is_refused_whatever_its_date(have: str):
    with pytest.raises(ListRollback) as caught:
        admission.compare_with_newest(LISTED, SECOND_DIGEST, _newest(have, created=NOW - timedelta(days=99)))
    assert (caught.value.offered, caught.value.have, caught.value.classic_exit) == ("2", have, 17)


@pytest.mark.parametrize("have", ["2", "02", "002"])
def test_equal_version_with_other_content_counts_by_its_date(have: str):
    later = admission.compare_with_newest(LISTED, SECOND_DIGEST, _newest(have, created=LISTED.created - SECOND))
    assert later.is_news
    assert later.warning
    assert later.warning == "version 2 has other content than the one admitted before"
    for created in (LISTED.created, LISTED.created + SECOND):
        with pytest.raises(ListReplayed) as caught:
            admission.compare_with_newest(LISTED, SECOND_DIGEST, _newest(have, created=created))
        assert caught.value.classic_exit == 16


_VERSIONS = st.sampled_from(["1", "1.0", "1.2", "1.02", "1.10", "2", "2-rc1", "10", "x", ""])
_LISTS = st.builds(Newest, _VERSIONS, st.sampled_from([NOW - SECOND, NOW, NOW + SECOND]), st.just(FIRST))


@given(_LISTS, _LISTS)
def test_of_two_lists_at_most_one_is_newer(one: Newest, other: Newest):
    assert not (admission.is_newer(one, other) and admission.is_newer(other, one))
    assert not admission.is_newer(one, one)


@given(_LISTS, _LISTS)
def test_list_is_taken_exactly_when_it_is_newer(offered: Newest, have: Newest):
    listed = replace(LISTED, version=offered.version, created=offered.created)
    if admission.is_newer(offered, have):
        assert admission.compare_with_newest(listed, SECOND_DIGEST, have).is_news
    else:
        with pytest.raises((ListRollback, ListReplayed)):
            admission.compare_with_newest(listed, SECOND_DIGEST, have)


# -- whether it holds now


@pytest.mark.parametrize("ahead", [timedelta(0), timedelta(minutes=5)])
def test_list_may_be_as_far_ahead_as_a_clock_is_slow(ahead: timedelta):
    admission.demand_valid_now(replace(LISTED, created=NOW + ahead), NOW)


def test_list_from_the_future_is_refused():
    with pytest.raises(ListFromTheFuture) as caught:
        admission.demand_valid_now(replace(LISTED, created=NOW + timedelta(minutes=5) + SECOND), NOW)
    assert caught.value.classic_exit == 33


def test_list_holds_until_it_expires():
    admission.demand_valid_now(replace(LISTED, expires=NOW + SECOND), NOW)
    for expires in (NOW, NOW - SECOND):
        with pytest.raises(ListExpired) as caught:
            admission.demand_valid_now(replace(LISTED, expires=expires), NOW)
        assert caught.value.classic_exit == 34


def test_list_that_holds_for_ever_holds():
    admission.demand_valid_now(replace(LISTED, expires=datetime.max.replace(tzinfo=UTC)), NOW)


def test_list_past_the_limit_of_the_site_is_refused_with_both_times():
    listed = replace(LISTED, created=NOW - timedelta(days=90), expires=NOW + timedelta(days=1000))
    admission.demand_valid_now(listed, NOW)
    admission.demand_valid_now(listed, NOW, 91 * 86400)
    with pytest.raises(ListPastLimit) as caught:
        admission.demand_valid_now(listed, NOW, 90 * 86400)
    assert "your limit of 90 days ended" in str(caught.value)
    assert caught.value.classic_exit == ListExpired.classic_exit


def test_list_that_is_over_by_itself_is_refused_for_that_whatever_the_limit():
    listed = replace(LISTED, created=NOW - timedelta(days=90), expires=NOW)
    with pytest.raises(ListExpired):
        admission.demand_valid_now(listed, NOW, 1)
