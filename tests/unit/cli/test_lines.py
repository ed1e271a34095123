"""The classic `lines`: their order, their tabs and quotes, and values that try to look like more than one."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from vmcatcher.cli.output import lines
from vmcatcher.model.endorser import Endorser
from vmcatcher.model.identity import Credential, EndorserId, ImageId, ListId
from vmcatcher.model.subscription import AcceptedImage, NewImages, Subscription, TlsTrust
from vmcatcher.services.endorsers import Link
from vmcatcher.services.images import ImageInfo
from vmcatcher.services.subscriptions import SubscriptionInfo

NOW = datetime(2026, 11, 23, 4, 23, 39, 999999, tzinfo=UTC)
LIST = ListId("list")
EVIL = "a\nb\r\tc\x1b[2J\u202ed\u2028e\x00\udcfff"
SHOWN = r"a\nb\r\tc\x1b[2J\u202ed\u2028e\x00\udcfff"


def _subscription(**fields: object) -> Subscription:
    return Subscription(LIST, "http://h/asked", "http://h/list", NOW, **fields)  # type: ignore[arg-type]  # handed on


def _info(subscription: Subscription, **fields: object) -> SubscriptionInfo:
    given = {"description": "", "updated": None, "listed": None, "is_expired": False, "password": None, "current": None}
    return SubscriptionInfo(subscription, **{**given, **fields})  # type: ignore[arg-type]  # handed on as they are


def test_each_credential_of_an_endorser_is_a_line_with_quotes():
    alice = Endorser(EndorserId("alice"), (Credential("/CN=a", "/CN=ca"), Credential("/CN=b'", "/CN=ca")), NOW)
    assert list(lines.endorser_list([alice])) == ["'alice'\t'/CN=a'\t'/CN=ca'", "'alice'\t'/CN=b''\t'/CN=ca'"]


def test_endorser_without_credentials_has_no_line():
    assert list(lines.endorser_list([Endorser(EndorserId("alice"), (), NOW)])) == []


def test_link_is_quoted_and_authorised():
    assert list(lines.link_list([Link(EndorserId("alice"), LIST)])) == ["'alice'\t'list'\t'True'"]


@pytest.mark.parametrize(
    ("tls", "shown"), [(TlsTrust.UNSET, "None"), (TlsTrust.BROWSER, "Browser"), (TlsTrust.IGTF, "IGTF")]
)
def test_subscription_shows_its_tls_trust_in_the_third_column(tls: TlsTrust, shown: str):
    assert list(lines.subscription_list([_subscription(tls=tls)])) == [f"list\tTrue\t{shown}\thttp://h/list"]


def test_details_of_a_subscription_are_in_the_classic_order():
    shown = list(lines.subscription_info(_info(_subscription(username="user"), password="***", description="text")))
    assert shown == [
        "imagelist.dc:identifier=list",
        "subscription.dc:identifier=list",
        "subscription.dc:description=text",
        "subscription.sl:authorised=True",
        "subscription.hv:uri=http://h/list",
        "subscription.hv:uri.trustAnchor=None",
        "subscription.hv:uri.username=user",
        "subscription.hv:uri.password=***",
        "subscription.dc:date:updated=False",
        "subscription.updateMode=0",
    ]


@pytest.mark.parametrize(("policy", "mode"), [(NewImages.REFUSE, 0), (NewImages.ACCEPT, 1), (NewImages.SUBSCRIBE, 3)])
def test_policy_is_shown_as_its_number(policy: NewImages, mode: int):
    assert f"subscription.updateMode={mode}" in lines.subscription_info(_info(_subscription(new_images=policy)))


def test_times_are_whole_seconds_of_utc():
    shown = list(lines.subscription_info(_info(_subscription(), updated=NOW)))
    assert "subscription.dc:date:updated=2026-11-23T04:23:39Z" in shown


def test_images_follow_where_they_are_asked_for():
    subscription = _subscription(images=(AcceptedImage(ImageId("a"), selected=True), AcceptedImage(ImageId("b"))))
    shown = list(lines.subscription_info(_info(subscription), with_images=True))
    assert shown[-4:] == [
        "imagedef.dc:identifier=a",
        "imagedef.cache=1",
        "imagedef.dc:identifier=b",
        "imagedef.cache=0",
    ]
    assert not any(line.startswith("imagedef") for line in lines.subscription_info(_info(subscription)))


def test_image_without_a_list_shows_its_definition_only():
    info = ImageInfo(ImageId("a"), True, _subscription(), None, None, None, None)
    shown = list(lines.image_info(info, _info(_subscription())))
    assert shown[-2:] == ["imagedef.dc:identifier=a", "imagedef.cache=1"]
    assert not any(line.startswith(("image.", "endorser")) for line in shown)


def test_values_stay_on_their_line_and_in_their_column():
    evil = Endorser(EndorserId(EVIL), (Credential(EVIL, EVIL),), NOW)
    assert list(lines.endorser_list([evil])) == ["\t".join([f"'{SHOWN}'"] * 3)]
    info = _info(_subscription(username=EVIL), description=EVIL, password=EVIL)
    for line in (
        *lines.endorser_info(evil, [info]),
        *lines.subscription_info(info),
        *lines.link_list([Link(evil.identifier, LIST)]),
    ):
        assert line.replace("\t", "").isprintable()
    plain = _info(_subscription(username="x"), description="x", password="x")
    assert len(list(lines.subscription_info(info))) == len(list(lines.subscription_info(plain)))
