"""What changed from one admitted list to the next: images that came, went or were replaced, and fields that differ.

Pure: two lists in, what differs out. Values are compared as they were signed, so `1` and `"1"` differ.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from vmcatcher.model.instant import instant_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vmcatcher.model.identity import ImageId
    from vmcatcher.model.image import Image
    from vmcatcher.model.imagelist import ImageList
    from vmcatcher.model.strictjson import Json


class ChangeKind(StrEnum):
    """What became of an image between two lists."""

    ADDED = "added"
    WITHDRAWN = "withdrawn"
    REPLACED = "replaced"
    """Other bytes under the same identifier."""
    CHANGED = "changed"
    """The same bytes, described otherwise."""


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field that differs; None stands for a field that is not there, or is null."""

    field: str
    old: Json
    new: Json


@dataclass(frozen=True, slots=True)
class ImageChange:
    """One image that differs. `fields` is empty where it was added or withdrawn."""

    kind: ChangeKind
    identifier: ImageId
    old: Image | None
    new: Image | None
    fields: tuple[FieldChange, ...] = ()

    @property
    def image(self) -> Image:
        """The image as the newer list describes it, or the older one where the newer has none."""
        found = self.new or self.old
        assert found is not None  # one of the two lists named it
        return found


def image_changes(old: ImageList | None, new: ImageList) -> tuple[ImageChange, ...]:
    """Return what became of each image from `old` to `new`: withdrawn ones first, then in the order of `new`.

    Without an older list every image counts as added.
    """
    before = {image.identifier: image for image in old.images} if old else {}
    after = {image.identifier for image in new.images}
    withdrawn = [
        ImageChange(ChangeKind.WITHDRAWN, one.identifier, one, None)
        for one in before.values()
        if one.identifier not in after
    ]
    found = (_image_change(before.get(image.identifier), image) for image in new.images)
    return (*withdrawn, *(change for change in found if change is not None))


def _image_change(old: Image | None, new: Image) -> ImageChange | None:
    if old is None:
        return ImageChange(ChangeKind.ADDED, new.identifier, None, new)
    fields = _field_changes(old.fields, new.fields)
    if old.sha512 != new.sha512:
        return ImageChange(ChangeKind.REPLACED, new.identifier, old, new, fields)
    return ImageChange(ChangeKind.CHANGED, new.identifier, old, new, fields) if fields else None


def list_changes(old: ImageList, new: ImageList) -> tuple[FieldChange, ...]:
    """Return the fields of the list itself that differ, those of its images left aside."""
    return _field_changes(_list_fields(old), _list_fields(new))


def _list_fields(listed: ImageList) -> dict[str, Json]:
    return {
        "hv:version": listed.version,
        "dc:date:created": instant_text(listed.created),
        "dc:date:expires": instant_text(listed.expires),
        "hv:uri": listed.uri,
        "dc:title": listed.title,
        "dc:description": listed.description,
        "dc:source": listed.source,
        "hv:endorser.hv:dn": listed.endorser.subject,
        "hv:endorser.hv:ca": listed.endorser.issuer,
        "hv:endorser.hv:email": listed.email,
        "hv:endorser.dc:creator": listed.creator,
        "ad:vo": listed.vo,
        **listed.fields,
    }


def _field_changes(old: Mapping[str, Json], new: Mapping[str, Json]) -> tuple[FieldChange, ...]:
    names = dict.fromkeys((*old, *new))
    pairs = ((name, old.get(name), new.get(name)) for name in names)
    return tuple(FieldChange(name, was, now) for name, was, now in pairs if not is_same(was, now))


def is_same(one: Json, other: Json) -> bool:
    """Tell whether two values are spelled by the same JSON; to Python `1` and `true` are equal."""
    if isinstance(one, str) and isinstance(other, str):
        return one == other
    return _text(one) == _text(other)


def _text(value: Json) -> str:
    return json.dumps(value, sort_keys=True)
