"""The details of subscriptions and images: as a document for scripts, as facts for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmcatcher.cli.output.screen import Kind
from vmcatcher.model.instant import instant_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from vmcatcher.cli.output.screen import Cell
    from vmcatcher.model.record import CacheRecord
    from vmcatcher.services.image_overview import ImageDetails
    from vmcatcher.services.images import CurrentList, ImageInfo
    from vmcatcher.services.subscriptions import SubscriptionInfo

Fact = tuple[str, "Cell", Kind]


def list_details(current: CurrentList) -> dict[str, object]:
    """Return what a current list says, without its images."""
    listed = current.listed
    return {
        "title": listed.title,
        "description": listed.description,
        "source": listed.source,
        "version": listed.version,
        "created": listed.created,
        "expires": listed.expires,
        "vo": listed.vo,
        "endorser": {"subject": listed.endorser.subject, "issuer": listed.endorser.issuer, "email": listed.email},
        "snapshot": current.snapshot.name,
        "admitted": current.snapshot.kept,
        "available": current.available,
        "images": len(listed.images),
    }


def subscription_details(info: SubscriptionInfo) -> dict[str, object]:
    """Return everything about a subscription but its password."""
    one = info.subscription
    return {
        "subscription": one.identifier,
        "uri": one.uri,
        "uri_asked": one.uri_asked,
        "added": one.added,
        "endorsers": one.endorsers,
        "new_images": one.new_images.value,
        "tls": "insecure" if one.insecure else {"IGTF": "igtf"}.get(one.tls.value, "system"),
        "username": one.username,
        "has_password": info.password is not None,
        "password_over_http": one.password_over_http,
        "file_images": one.file_images,
        "pin_uri": one.pin_uri,
        "where": one.where,
        "max_validity_s": one.max_validity_s,
        "keep_until_replaced": one.keep_until_replaced,
        "mirrors": one.mirrors,
        "selected": sorted(one.selected),
        "refused": one.refused,
        "list": list_details(info.current) if info.current else None,
    }


def subscription_facts(info: SubscriptionInfo) -> Iterator[Fact]:
    """Yield the same for people; what is not set is left out."""
    one = info.subscription
    yield "subscription", one.identifier, Kind.NAME
    current = info.current
    if current is not None:
        yield "title", current.listed.title, Kind.TEXT
        yield "version", current.listed.version, Kind.TEXT
        yield "created", current.listed.created, Kind.TIME
        yield "expires", current.listed.expires, Kind.TIME
        if current.until < current.listed.expires:
            yield "held until", current.until, Kind.TIME
        yield "admitted", current.snapshot.kept, Kind.TIME
        yield "available", "yes" if current.available else "no", Kind.TEXT
        yield "signed by", current.listed.endorser.subject, Kind.TEXT
        yield "images", len(current.listed.images), Kind.COUNT
    yield "selected", len(one.selected), Kind.COUNT
    yield "uri", one.uri, Kind.TEXT
    for endorser in one.endorsers:
        yield "endorser", endorser, Kind.NAME
    yield "new images", one.new_images.value, Kind.TEXT
    document = subscription_details(info)
    for name in ("where", "max_validity_s", "username", "tls"):
        if document[name] not in (None, "system"):
            yield name.replace("_s", " in seconds").replace("_", " "), str(document[name]), Kind.TEXT
    for name in ("has_password", "password_over_http", "file_images", "pin_uri", "keep_until_replaced"):
        if document[name]:
            yield name.replace("_", " "), "yes", Kind.TEXT
    for mirror in one.mirrors:
        yield "mirror", mirror, Kind.TEXT


def image_document(identifier: str, found: ImageDetails) -> dict[str, object]:
    """Return everything about an image."""
    info = found.info
    accepted = info.subscription.find(identifier) if info else None
    image = info.image if info else None
    return {
        "image": identifier,
        "list": info.subscription.identifier if info else None,
        "selected": bool(info and info.selected),
        "decided": accepted.decided.value if accepted and accepted.decided else None,
        "available": bool(info and info.image and info.current and info.current.available),
        "title": image.title if image else None,
        "version": image.version if image else None,
        "size": image.size_bytes if image else None,
        "sha512": image.sha512 if image else None,
        "uri": image.uri if image else None,
        "expires": _image_end(info) if info else None,
        "endorser": info.endorser.identifier if info and info.endorser else None,
        "fields": image.to_json() if image else {},
        "versions": [_version(record) for record in found.records],
    }


def _image_end(info: ImageInfo) -> datetime | None:
    if info.image is None or info.current is None:
        return None
    return min(info.current.until, info.image.valid_until or info.current.until)


def _version(record: CacheRecord) -> dict[str, object]:
    return {
        "number": record.number,
        "state": record.state.value,
        "sha512": record.sha512,
        "size": record.size_bytes,
        "published": record.published,
        "expired": record.expired,
        "reason": record.reason.value if record.reason else None,
        "checked": record.checked.checked if record.checked else None,
        "tries": record.tries,
        "owed_events": [own.kind.value for own in record.owed],
    }


def image_facts(document: Mapping[str, object], found: ImageDetails) -> Iterator[Fact]:
    """Yield the same for people: what the list says in its own words, then the versions in the cache."""
    yield "image", str(document["image"]), Kind.NAME
    yield "list", _text(document["list"]), Kind.NAME
    decided = {"hand": " (by hand)", "rule": " (by rule)"}.get(str(document["decided"]), "")
    yield "selected", ("yes" if document["selected"] else "no") + decided, Kind.TEXT
    yield "available", "yes" if document["available"] else "no", Kind.TEXT
    if found.info is not None and found.info.image is not None:
        image = found.info.image
        yield "title", image.title, Kind.TEXT
        yield "version", image.version, Kind.TEXT
        yield "size", image.size_bytes, Kind.SIZE
        yield "expires", _image_end(found.info), Kind.TIME
        yield "sha512", image.sha512, Kind.NAME
        yield "uri", image.uri, Kind.TEXT
        yield "endorser", _text(document["endorser"]), Kind.NAME
        shown = {"dc:identifier", "dc:title", "hv:version", "hv:size", "sl:checksum:sha512", "hv:uri"}
        for name, value in image.fields.items():
            if name not in shown and value not in (None, ""):
                yield name, str(value), Kind.TEXT
    for record in found.records:
        words = [record.state.value, *([f"({record.reason.value})"] if record.reason else [])]
        words += [f"since {instant_text(record.since)}", record.sha512[:16] + "…"]
        yield f"version {record.number}", " ".join(words), Kind.TEXT


def _text(value: object) -> str | None:
    return None if value is None else str(value)
