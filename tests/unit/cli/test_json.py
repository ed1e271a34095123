"""The classic JSON: bytes as ever, keys spelled as ever."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from vmcatcher.cli.output import classic_json
from vmcatcher.model.endorser import Endorser
from vmcatcher.model.identity import Credential, EndorserId, ImageId, ListId
from vmcatcher.model.subscription import AcceptedImage, Subscription, TlsTrust
from vmcatcher.services.endorsers import Link
from vmcatcher.services.images import ImageInfo, ImageLine
from vmcatcher.services.subscriptions import SubscriptionInfo

NOW = datetime(2026, 11, 23, 4, 23, 39, tzinfo=UTC)
LIST = ListId("list")
SUBSCRIPTION = Subscription(LIST, "http://h/asked", "http://h/list", NOW, tls=TlsTrust.IGTF)
INFO = SubscriptionInfo(SUBSCRIPTION, "text", None, None, False, None, None)


def test_document_is_sorted_indented_by_4_with_a_blank_at_line_ends():
    assert classic_json.dumped([{"b": 1, "a": True}, {}]) == (
        '[\n    {\n        "a": true, \n        "b": 1\n    }, \n    {}\n]'
    )


def test_nothing_is_an_empty_list():
    assert classic_json.dumped([]) == "[]"


def test_text_of_any_language_is_ascii_and_nothing_a_terminal_acts_on():
    text = "é雲🖥\x1b\n\u202e\udcff"
    dumped = classic_json.dumped({"x": text})
    assert dumped.isascii()
    assert dumped.replace("\n", "").isprintable()
    assert json.loads(dumped) == {"x": text}


def test_keys_are_misspelled_as_they_always_were():
    alice = Endorser(EndorserId("alice"), (Credential("/CN=a", "/CN=ca"),), NOW)
    assert classic_json.endorser_list([alice]) == [
        {"endorser": "alice", "princibles": [{"issuer": "/CN=ca", "subject": "/CN=a"}]}
    ]
    details = classic_json.endorser_info(alice, [INFO])
    assert details["Princables"] == [{"hv:ca": "/CN=ca", "hv:dn": "/CN=a"}]
    assert [one["identifier"] for one in details["Subscription"]] == ["list"]  # type: ignore[attr-defined]  # a list


def test_links_and_images():
    assert classic_json.link_list([Link(EndorserId("alice"), LIST)]) == [
        {"authorised": True, "endorser": "alice", "subscription": "list"}
    ]
    assert classic_json.image_list([ImageLine(ImageId("image"), 3, LIST, None)]) == [
        {"image": "image", "state": 3, "subscription": "list"}
    ]
    images = (AcceptedImage(ImageId("a"), selected=True), AcceptedImage(ImageId("b")))
    subscription = Subscription(LIST, "u", "u", NOW, images=images)
    assert classic_json.image_definitions(subscription) == [
        {"cache": 1, "identifier": "a"},
        {"cache": 0, "identifier": "b"},
    ]


def test_subscription_list_does_not_tell_the_tls_trust():
    assert classic_json.subscription_list([SUBSCRIPTION]) == [
        {"authorised": True, "identifier": "list", "uri": "http://h/list"}
    ]


def test_subscription_before_its_first_update_has_no_list():
    assert classic_json.subscription_info(INFO) == {
        "Subscription": {
            "authorised": True,
            "description": "text",
            "identifier": "list",
            "updateMode": 0,
            "updated": False,
            "uri": "http://h/list",
            "uri.trustAnchor": "IGTF",
        }
    }


def test_image_without_a_list_is_its_definition_and_its_subscription():
    info = ImageInfo(ImageId("a"), True, SUBSCRIPTION, None, None, None, None)
    assert set(classic_json.image_info(info, INFO)) == {"ImageDefinition", "Subscription"}
