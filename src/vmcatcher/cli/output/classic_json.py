"""The classic JSON documents, with their keys spelled as they always were; extra keys may follow."""

from __future__ import annotations

import json

from vmcatcher.model.instant import instant_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from vmcatcher.model.endorser import Endorser
    from vmcatcher.model.subscription import Subscription
    from vmcatcher.services.endorsers import Link
    from vmcatcher.services.images import ImageInfo, ImageLine
    from vmcatcher.services.subscriptions import SubscriptionInfo

Document = dict[str, object]


def dumped(document: object) -> str:
    """Return the document as the classic program printed it: sorted, indented by 4, a blank after each comma.

    A line break follows each document, so that several of them are a stream that `jq` reads.
    """
    return json.dumps(document, sort_keys=True, indent=4, separators=(", ", ": "))


def endorser_list(endorsers: Iterable[Endorser]) -> list[Document]:
    """Return all endorsers; the key is spelled `princibles`."""
    return [
        {
            "endorser": endorser.identifier,
            "princibles": [{"issuer": own.issuer, "subject": own.subject} for own in endorser.credentials],
        }
        for endorser in endorsers
    ]


def link_list(links: Iterable[Link]) -> list[Document]:
    """Return all links."""
    return [{"authorised": True, "endorser": link.endorser, "subscription": link.subscription} for link in links]


def endorser_info(endorser: Endorser, linked: Iterable[SubscriptionInfo]) -> Document:
    """Return one endorser; the key is spelled `Princables`."""
    return {
        "Endorser": {"identifier": endorser.identifier},
        "Princables": [{"hv:ca": own.issuer, "hv:dn": own.subject} for own in endorser.credentials],
        "Subscription": [_subscription(info) for info in linked],
    }


def subscription_list(subscriptions: Iterable[Subscription]) -> list[Document]:
    """Return all subscriptions."""
    return [{"authorised": True, "identifier": one.identifier, "uri": one.uri} for one in subscriptions]


def subscription_info(info: SubscriptionInfo) -> Document:
    """Return one subscription and its current list."""
    document: Document = {"Subscription": _subscription(info)}
    if info.listed is not None:
        document["ImageListInstance"] = _current_list(info)
    return document


def _subscription(info: SubscriptionInfo) -> Document:
    one = info.subscription
    document: Document = {
        "authorised": True,
        "description": info.description,
        "identifier": one.identifier,
        "updateMode": one.new_images.update_mode,
        "updated": instant_text(info.updated) if info.updated else False,
        "uri": one.uri,
        "uri.trustAnchor": one.tls.value,
    }
    if one.username is not None:
        document["uri.username"] = one.username
    if info.password is not None:
        document["uri.password"] = info.password
    return document


def _current_list(info: SubscriptionInfo) -> Document:
    assert info.listed is not None
    assert info.updated is not None
    return {
        "created": instant_text(info.listed.created),
        "expires": instant_text(info.listed.expires),
        "imported": instant_text(info.updated),
        "expired": info.is_expired,
        "version": info.listed.version,
    }


def image_definitions(subscription: Subscription) -> list[Document]:
    """Return the images of a subscription and whether they are selected."""
    return [{"cache": int(image.selected), "identifier": image.identifier} for image in subscription.images]


def image_list(lines: Iterable[ImageLine]) -> list[Document]:
    """Return all images with their states."""
    return [{"image": line.image, "state": line.state, "subscription": line.list_id} for line in lines]


def image_info(info: ImageInfo, subscription: SubscriptionInfo) -> Document:
    """Return one image with its list, subscription and endorser."""
    document: Document = {
        "ImageDefinition": {"cache": int(info.selected), "identifier": info.identifier},
        "Subscription": _subscription(subscription),
    }
    image = info.image
    if image is None:
        return document
    document["ImageListInstance"] = _current_list(subscription)
    document["SubscriptionAuth"] = {}
    document["ImageInstance"] = {
        "arch": image.arch,
        "comments": image.comments,
        "description": image.description,
        "hypervisor": image.hypervisor,
        "sha512": image.sha512,
        "size": image.size_bytes,
        "sl:os": image.os,
        "sl:osversion": image.os_version,
        "title": image.title,
        "uri": image.uri,
        "version": image.version,
        "fields": dict(image.fields),
    }
    if info.endorser is not None and info.credential is not None:
        document["Endorser"] = {"identifier": info.endorser.identifier}
        document["EndorserPrincible"] = {"issuer": info.credential.issuer, "subject": info.credential.subject}
    return document
