"""Decisions about subscriptions that need no network."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from vmcatcher.errors import BadIdentifier
from vmcatcher.errors.requests import BadPassword, ImageOfAnotherList, NoSuchSubscription
from vmcatcher.model.identity import ImageId, ListId
from vmcatcher.model.subscription import AcceptedImage, NewImages, Subscription, TlsTrust
from vmcatcher.services import subscriptions as services
from vmcatcher.services.context import Context
from vmcatcher.services.subscriptions import Permissions
from vmcatcher.store import root, subscriptions
from vmcatcher.store.subscriptions import Secret

NOW = datetime(2026, 11, 23, 4, 23, 39, tzinfo=UTC)
LIST = ListId("list")
ONE = Subscription(LIST, "http://h:8080/asked?x", "https://other/list", NOW, images=(AcceptedImage(ImageId("a")),))


@pytest.fixture
def context(tmp_path: Path) -> Context:
    """A run on a store with one subscription that was never updated."""
    found = Context(root.make_store(str(tmp_path / "store")), NOW, "test")
    subscriptions.put_subscription(found.layout, ONE)
    return found


def _now(context: Context) -> Subscription:
    found = subscriptions.find_subscription(context.layout, LIST)
    assert found is not None
    return found


@pytest.mark.parametrize(
    "uri",
    [
        "http://h:8080/asked?x",
        "HTTP://H:8080/asked?x",
        "http://user:word@h:8080/asked?x",
        "https://other/list",
        "https://other/list#fragment",
    ],
)
def test_subscription_is_found_by_either_uri_however_it_is_written(uri: str, context: Context):
    assert services.find_subscription(context, uri, by_uri=True) == ONE


@pytest.mark.parametrize("uri", ["http://h/asked?x", "http://h:8080/asked", "https://other/", "list", "", "\udcff"])
def test_other_uri_finds_nothing(uri: str, context: Context):
    with pytest.raises(NoSuchSubscription):
        services.find_subscription(context, uri, by_uri=True)


def test_path_is_found_from_the_directory_where_it_was_meant(context: Context):
    subscriptions.put_subscription(context.layout, replace(ONE, uri_asked="file:///a/b%20c"))
    assert services.find_subscription(context, "b c", by_uri=True, directory="/a")
    with pytest.raises(NoSuchSubscription):
        services.find_subscription(context, "b c", by_uri=True, directory="/elsewhere")


@pytest.mark.parametrize("selector", ["nosuch", "", ".", "..", "../list", "list/", "\0", "\udcff", "a" * 5000])
def test_identifier_of_nothing_finds_nothing_and_changes_nothing(selector: str, context: Context):
    for change in (
        lambda: services.find_subscription(context, selector, by_uri=False),
        lambda: services.delete_subscription(context, selector),
        lambda: services.set_tls_trust(context, selector, TlsTrust.IGTF),
        lambda: services.set_username(context, selector, "x"),
        lambda: services.set_password(context, selector, "x"),
        lambda: services.set_new_images(context, selector, NewImages.ACCEPT),
        lambda: services.permit(context, selector, Permissions(insecure=True)),
        lambda: services.accept_image(context, selector, "a"),
        lambda: services.refuse_image(context, selector, "a"),
    ):
        with pytest.raises(NoSuchSubscription):
            change()
    assert _now(context) == ONE


def test_permissions_that_are_not_mentioned_stay(context: Context):
    services.permit(context, LIST, Permissions(insecure=True, pin_uri=True))
    services.permit(context, LIST, Permissions(insecure=False, file_images=True))
    assert _now(context) == replace(ONE, insecure=False, pin_uri=True, file_images=True)


def test_decision_that_changes_nothing_writes_nothing(context: Context):
    path = context.layout.subscription(LIST)
    before = os.stat(path)
    services.permit(context, LIST, Permissions())
    services.set_tls_trust(context, LIST, TlsTrust.UNSET)
    services.set_username(context, LIST, None)
    assert os.stat(path).st_ino == before.st_ino


def test_credentials_are_bound_to_the_origin_of_the_day(context: Context):
    services.set_username(context, LIST, "user")
    services.set_password(context, LIST, "word")
    assert (_now(context).username, _now(context).username_origin) == ("user", "https://other:443")
    assert subscriptions.read_secret(context.layout, LIST) == Secret("word", "https://other:443")
    services.set_username(context, LIST, None)
    services.set_password(context, LIST, None)
    assert _now(context) == ONE
    assert subscriptions.read_secret(context.layout, LIST) is None


@pytest.mark.parametrize("text", ["", "a\nb", "\x00", "\x7f", "\udcff", "\x1b[2J"])
def test_what_basic_authentication_cannot_carry_is_refused(text: str, context: Context):
    for change in (services.set_username, services.set_password):
        with pytest.raises(BadPassword) as caught:
            change(context, LIST, text)
        assert not text or text not in caught.value.one_line()
    assert _now(context) == ONE


def test_colon_is_a_matter_of_user_names_only(context: Context):
    with pytest.raises(BadPassword):
        services.set_username(context, LIST, "a:b")
    services.set_password(context, LIST, "a:b é")


@pytest.mark.parametrize(("ask", "shown"), [(False, "***"), (True, "CANARY")])
def test_password_is_shown_only_where_it_is_asked_for(ask: bool, shown: str, context: Context):
    services.set_password(context, LIST, "CANARY")
    info = services.subscription_info(context, _now(context), show_secrets=ask)
    assert info.password == shown
    assert "CANARY" not in repr(replace(info, password=None))


def test_details_before_the_first_update_are_those_of_the_subscription(context: Context):
    described = replace(ONE, description="text")
    info = services.subscription_info(context, described)
    assert (info.description, info.updated, info.listed, info.is_expired, info.password) == (
        "text",
        None,
        None,
        False,
        None,
    )


def test_policy_before_the_first_update_selects_only_where_it_says_so(context: Context):
    for policy, selected in ((NewImages.ACCEPT, False), (NewImages.REFUSE, False), (NewImages.SUBSCRIBE, True)):
        changed = services.set_new_images(context, LIST, policy)
        assert (changed.new_images, changed.images) == (policy, (AcceptedImage(ImageId("a"), selected),))


def test_image_is_accepted_only_from_the_current_list(context: Context):
    services.accept_image(context, LIST, "a")
    with pytest.raises(ImageOfAnotherList):
        services.accept_image(context, LIST, "b")
    with pytest.raises(BadIdentifier):
        services.accept_image(context, LIST, "../b")
    assert _now(context) == ONE


def test_any_image_may_be_refused_beforehand(context: Context):
    services.refuse_image(context, LIST, "b")
    services.refuse_image(context, LIST, "a")
    assert (_now(context).images, _now(context).refused) == ((), ("b", "a"))
    with pytest.raises(BadIdentifier):
        services.refuse_image(context, LIST, "../b")


def test_subscriptions_are_listed_in_the_order_they_were_made(context: Context):
    for name, second in (("b", 2), ("a", 1)):
        added = NOW.replace(second=50 + second)
        subscriptions.put_subscription(context.layout, replace(ONE, identifier=ListId(name), added=added))
    assert [one.identifier for one in services.list_subscriptions(context).found] == ["list", "a", "b"]
