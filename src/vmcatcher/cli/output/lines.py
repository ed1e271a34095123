"""The classic `lines` format: tab-separated lists, `key=value` details, in the order that scripts know.

Values from lists are shown with control characters, line breaks and the like escaped, so that no value can forge a
line or a column.
"""

from __future__ import annotations

from vmcatcher.errors import printable
from vmcatcher.model.instant import instant_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vmcatcher.model.endorser import Endorser
    from vmcatcher.model.subscription import Subscription
    from vmcatcher.services.endorsers import Link
    from vmcatcher.services.images import ImageInfo
    from vmcatcher.services.subscriptions import SubscriptionInfo


def endorser_list(endorsers: Iterable[Endorser]) -> Iterator[str]:
    """Yield `'ID'<tab>'SUBJECT'<tab>'ISSUER'`, one line for each credential."""
    for endorser in endorsers:
        for own in endorser.credentials:
            yield "\t".join(f"'{printable(part)}'" for part in (endorser.identifier, own.subject, own.issuer))


def link_list(links: Iterable[Link]) -> Iterator[str]:
    """Yield `'ENDORSER'<tab>'LIST'<tab>'True'`."""
    for link in links:
        yield f"'{printable(link.endorser)}'\t'{printable(link.subscription)}'\t'True'"


def endorser_info(endorser: Endorser, linked: Iterable[SubscriptionInfo]) -> Iterator[str]:
    """Yield the details of an endorser, then those of each subscription it is linked to."""
    yield f"endorser.dc:identifier={printable(endorser.identifier)}"
    for own in endorser.credentials:
        yield f"endorser.hv:dn={printable(own.subject)}"
        yield f"endorser.hv:ca={printable(own.issuer)}"
    for info in linked:
        yield from _subscription(info)


def subscription_list(subscriptions: Iterable[Subscription]) -> Iterator[str]:
    """Yield identifier, `True`, TLS trust and URI, tab-separated."""
    for one in subscriptions:
        yield f"{one.identifier}\tTrue\t{one.tls.value}\t{printable(one.uri)}"


def subscription_info(info: SubscriptionInfo, *, with_images: bool = False) -> Iterator[str]:
    """Yield the details of a subscription and of its current list, and its images where they are asked for."""
    yield from _subscription(info)
    yield from _current_list(info)
    if with_images:
        for image in info.subscription.images:
            yield f"imagedef.dc:identifier={image.identifier}"
            yield f"imagedef.cache={int(image.selected)}"


def _subscription(info: SubscriptionInfo) -> Iterator[str]:
    one = info.subscription
    yield f"imagelist.dc:identifier={one.identifier}"
    yield f"subscription.dc:identifier={one.identifier}"
    yield f"subscription.dc:description={printable(info.description)}"
    yield "subscription.sl:authorised=True"
    yield f"subscription.hv:uri={printable(one.uri)}"
    yield f"subscription.hv:uri.trustAnchor={one.tls.value}"
    if one.username is not None:
        yield f"subscription.hv:uri.username={printable(one.username)}"
    if info.password is not None:
        yield f"subscription.hv:uri.password={printable(info.password)}"
    yield f"subscription.dc:date:updated={instant_text(info.updated) if info.updated else False}"
    yield f"subscription.updateMode={one.new_images.update_mode}"


def _current_list(info: SubscriptionInfo) -> Iterator[str]:
    if info.listed is None or info.updated is None:
        return
    yield f"imagelist.expired={info.is_expired}"
    yield f"imagelist.dc:date:imported={instant_text(info.updated)}"
    yield f"imagelist.dc:date:created={instant_text(info.listed.created)}"
    yield f"imagelist.dc:date:expires={instant_text(info.listed.expires)}"


def image_info(info: ImageInfo, subscription: SubscriptionInfo) -> Iterator[str]:
    """Yield the details of an image after those of its subscription."""
    yield from _subscription(subscription)
    image = info.image
    if image is not None:
        yield from _current_list(subscription)
        for name, value in (
            ("dc:description", image.description),
            ("dc:title", image.title),
            ("hv:hypervisor", image.hypervisor),
            ("hv:size", image.size_bytes),
            ("hv:uri", image.uri),
            ("hv:version", image.version),
            ("sl:arch", image.arch),
            ("sl:checksum:sha512", image.sha512),
            ("sl:comments", image.comments),
            ("sl:os", image.os),
            ("sl:osversion", image.os_version),
        ):
            yield f"image.{name}={printable(value)}"
    yield f"imagedef.dc:identifier={info.identifier}"
    yield f"imagedef.cache={int(info.selected)}"
    if image is not None and info.endorser is not None:
        for own in info.endorser.credentials:
            # A colon after "endorser", unlike everywhere else: scripts look for it.
            yield f"endorser:hv:subject={printable(own.subject)}"
            yield f"endorser:hv:issuer={printable(own.issuer)}"
