"""Endorsers: creating, deleting, linking, as values and as what lies in the store."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from vmcatcher.errors import BadEndorserIdentifier
from vmcatcher.errors.requests import (
    AlreadyLinked,
    BadCredential,
    CredentialTaken,
    NoSuchEndorser,
    NoSuchSubscription,
    NotLinked,
    UnevenCredentials,
)
from vmcatcher.errors.store import ForeignOwner
from vmcatcher.model.identity import Credential, EndorserId, ListId
from vmcatcher.model.subscription import Subscription
from vmcatcher.services import endorsers, listing
from vmcatcher.services.context import Context
from vmcatcher.services.endorsers import Link
from vmcatcher.store import index, root, subscriptions

NOW = datetime(2026, 11, 23, 4, 23, 39, tzinfo=UTC)
A, B = Credential("/CN=a", "/CN=ca"), Credential("/CN=b", "/CN=ca")
LIST, OTHER = ListId("list"), ListId("other")


@pytest.fixture
def context(tmp_path: Path) -> Context:
    """A run on a store with two subscriptions and nobody to sign for them."""
    found = Context(root.make_store(str(tmp_path / "store")), NOW, "test")
    for list_id in (LIST, OTHER):
        subscriptions.put_subscription(found.layout, Subscription(list_id, "u", "u", NOW))
    return found


@pytest.mark.parametrize(
    ("subjects", "issuers", "credentials"),
    [
        (["/CN=a"], ["/CN=ca"], [A]),
        (["/CN=a", "/CN=b"], ["/CN=ca"], [A, B]),
        (["/CN=a", "/CN=b"], ["/CN=x", "/CN=y"], [Credential("/CN=a", "/CN=x"), Credential("/CN=b", "/CN=y")]),
    ],
)
def test_subjects_and_issuers_make_credentials(subjects: list[str], issuers: list[str], credentials: list[Credential]):
    assert list(endorsers.pair_credentials(subjects, issuers)) == credentials


@pytest.mark.parametrize(
    ("subjects", "issuers"), [(["a"], ["b", "c"]), (["a", "b", "c"], ["d", "e"]), ([], ["a"]), (["a"], [])]
)
def test_subjects_and_issuers_that_do_not_pair_up_make_none(subjects: list[str], issuers: list[str]):
    with pytest.raises(UnevenCredentials) as caught:
        endorsers.pair_credentials(subjects, issuers)
    assert (caught.value.subjects, caught.value.issuers) == (len(subjects), len(issuers))


@pytest.mark.parametrize("name", ["", " ", "a\n", "\x1b", "\udcff"])
def test_name_that_cannot_be_printed_makes_no_credential(name: str):
    with pytest.raises(BadCredential, match="the subject"):
        endorsers.pair_credentials(["/CN=a", name], ["/CN=ca"])
    with pytest.raises(BadCredential, match="the issuer"):
        endorsers.pair_credentials(["/CN=a"], [name])


def test_created_endorser_is_found_with_what_was_added(context: Context):
    created = endorsers.create_endorser(context, "x", [A])
    assert (created.added, created.known) == ((A,), ())
    more = endorsers.create_endorser(context, "x", [A, B, B])
    assert (more.added, more.known) == ((B,), (A, B))
    endorser, linked = endorsers.find_endorser(context, "x")
    assert (endorser.credentials, endorser.added, linked) == ((A, B), NOW, ())
    assert listing.list_endorsers(context) == (endorser,)


def test_identifier_that_cannot_be_used_makes_no_endorser(context: Context):
    with pytest.raises(BadEndorserIdentifier):
        endorsers.create_endorser(context, "a\tb", [A])
    assert listing.list_endorsers(context) == ()


def test_credential_of_another_is_refused_as_a_whole(context: Context):
    endorsers.create_endorser(context, "x", [A])
    with pytest.raises(CredentialTaken) as caught:
        endorsers.create_endorser(context, "y", [B, A])
    assert (caught.value.owner, caught.value.subject, caught.value.classic_exit) == ("x", "/CN=a", 12)
    assert [one.identifier for one in listing.list_endorsers(context)] == ["x"]


def test_links_are_listed_by_subscription_in_the_order_of_linking(context: Context):
    for identifier in ("z", "a"):
        endorsers.create_endorser(context, identifier, [Credential(f"/CN={identifier}", "/CN=ca")])
        endorsers.link_endorser(context, identifier, LIST)
    endorsers.link_endorser(context, "a", OTHER)
    assert endorsers.list_links(context) == (
        Link(EndorserId("z"), LIST),
        Link(EndorserId("a"), LIST),
        Link(EndorserId("a"), OTHER),
    )
    _, linked = endorsers.find_endorser(context, "a")
    assert [one.identifier for one in linked] == [LIST, OTHER]


def test_link_is_in_the_index_that_queries_read(context: Context):
    endorsers.create_endorser(context, "x", [A])
    endorsers.link_endorser(context, "x", LIST)
    fresh = index.fresh_index(context.layout, LIST)
    assert fresh is not None
    assert fresh.endorsers == ("x",)
    endorsers.unlink_endorser(context, "x", LIST)
    fresh = index.fresh_index(context.layout, LIST)
    assert fresh is not None
    assert fresh.endorsers == ()


def test_what_is_linked_or_not_is_told_apart(context: Context):
    endorsers.create_endorser(context, "x", [A])
    with pytest.raises(NotLinked):
        endorsers.unlink_endorser(context, "x", LIST)
    endorsers.link_endorser(context, "x", LIST)
    with pytest.raises(AlreadyLinked):
        endorsers.link_endorser(context, "x", LIST)
    for change in (endorsers.link_endorser, endorsers.unlink_endorser):
        with pytest.raises(NoSuchSubscription):
            change(context, "x", "nosuch")
    with pytest.raises(NoSuchEndorser):
        endorsers.link_endorser(context, "nobody", LIST)


@pytest.mark.parametrize("name", ["nobody", "", "../list", "/etc/passwd", "\0", "\udcff", "a" * 5000, "é" * 200])
def test_name_of_nobody_is_nobody_s_whatever_it_looks_like(name: str, context: Context):
    endorsers.create_endorser(context, "x", [A])
    with pytest.raises(NoSuchEndorser):
        endorsers.find_endorser(context, name)
    with pytest.raises(NoSuchEndorser):
        endorsers.delete_endorser(context, name)
    with pytest.raises(NoSuchEndorser):
        endorsers.link_endorser(context, name, LIST)
    with pytest.raises(NoSuchSubscription):
        endorsers.link_endorser(context, "x", name)


def test_deleted_endorser_is_linked_to_nothing(context: Context):
    for identifier, credential in (("x", A), ("y", B)):
        endorsers.create_endorser(context, identifier, [credential])
        endorsers.link_endorser(context, identifier, LIST)
    endorsers.delete_endorser(context, "x")
    assert endorsers.list_links(context) == (Link(EndorserId("y"), LIST),)
    with pytest.raises(NoSuchEndorser):
        endorsers.find_endorser(context, "x")


def test_new_endorser_does_not_take_over_links_of_an_old_one(context: Context):
    stale = Subscription(LIST, "u", "u", NOW, endorsers=(EndorserId("x"), EndorserId("y")))
    subscriptions.put_subscription(context.layout, stale)
    endorsers.create_endorser(context, "x", [A])
    assert endorsers.list_links(context) == (Link(EndorserId("y"), LIST),)
    endorsers.link_endorser(context, "x", LIST)
    endorsers.create_endorser(context, "x", [B])
    assert Link(EndorserId("x"), LIST) in endorsers.list_links(context)


def test_store_of_another_user_is_not_changed(context: Context, monkeypatch: pytest.MonkeyPatch):
    user = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: user + 1)
    for change in (
        lambda: endorsers.create_endorser(context, "x", [A]),
        lambda: endorsers.delete_endorser(context, "x"),
        lambda: endorsers.link_endorser(replace(context), "x", LIST),
    ):
        with pytest.raises(ForeignOwner):
            change()
    assert listing.list_endorsers(context) == ()
