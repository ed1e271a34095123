"""An endorser as a value: which certificate is its own, and its document."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from vmcatcher.errors.document import BadDocument
from vmcatcher.model.endorser import Endorser, endorser_document, parse_endorser
from vmcatcher.model.identity import Credential, EndorserId, OneLineName

NOW = datetime(2026, 11, 23, 4, 23, 39, 123456, tzinfo=UTC)
ALICE, BOB = OneLineName("/CN=alice", "/CN=alice"), OneLineName("/CN=bob", "/CN=bob")
CA, OTHER = OneLineName("/CN=ca", "/CN=ca"), OneLineName("/CN=other", "/CN=other")


def _endorser(*credentials: tuple[str, str]) -> Endorser:
    return Endorser(EndorserId("x"), tuple(Credential(*one) for one in credentials), NOW)


def test_endorser_owns_the_certificate_of_each_credential():
    both = _endorser(("/CN=alice", "/CN=ca"), ("/CN=bob", "/CN=other"))
    assert both.owns(ALICE, CA)
    assert both.owns(BOB, OTHER)


def test_subject_of_one_credential_under_the_issuer_of_another_is_nobody_s():
    both = _endorser(("/CN=alice", "/CN=ca"), ("/CN=bob", "/CN=other"))
    assert not both.owns(ALICE, OTHER)
    assert not both.owns(BOB, CA)


@pytest.mark.parametrize("spelled", ["/CN=Alice", "/CN=alice ", "CN=alice", "/CN=alice/CN=x", "", "/CN=alic"])
def test_name_that_is_not_exactly_the_subject_owns_nothing(spelled: str):
    assert not _endorser((spelled, "/CN=ca")).owns(ALICE, CA)
    assert not _endorser(("/CN=alice", spelled)).owns(ALICE, CA)


def test_endorser_without_credentials_owns_nothing():
    assert not _endorser().owns(ALICE, CA)


def test_document_is_read_back_unchanged():
    endorser = _endorser(("/CN=é\\/x", "/CN=ca"), ("/CN=bob", "/CN=other"))
    assert parse_endorser(json.loads(json.dumps(endorser_document(endorser)))) == endorser


@pytest.mark.parametrize(
    "change",
    [
        {"identifier": None},
        {"credentials": ["x"]},
        {"credentials": [{"subject": "x"}]},
        {"added": "soon"},
        {"added": 1},
    ],
)
def test_document_that_lacks_something_is_refused(change: dict[str, object]):
    document = {**endorser_document(_endorser(("/CN=a", "/CN=b"))), **change}
    with pytest.raises(BadDocument):
        parse_endorser(document)
