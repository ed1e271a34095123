"""Whatever a list says comes out as it went in."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from vmcatcher.model.image import image_from_json
from vmcatcher.model.imagelist import parse_image_list
from vmcatcher.model.strictjson import parse

texts = st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
numbers = st.integers(min_value=-(10**30), max_value=10**30) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=12,
)
objects = st.dictionaries(texts, values, max_size=5)

identifiers = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_:+@=-]{0,20}", fullmatch=True).filter(
    lambda name: name not in {"partial", "expired", "endorsed"}
)
said = st.none() | texts | numbers
images = st.builds(
    lambda needed, optional, unknown: unknown | optional | needed,
    st.fixed_dictionaries(
        {
            "dc:identifier": identifiers,
            "hv:size": st.integers(1, 2**50) | st.integers(1, 2**50).map(str),
            "sl:checksum:sha512": st.text("0123456789abcdefABCDEF", min_size=128, max_size=128),
            "hv:uri": st.sampled_from(["http://h/x", "https://h:1/x?y=z", "file:///x"]),
        }
    ),
    st.fixed_dictionaries(
        {},
        optional={
            "dc:title": said,
            "dc:description": said,
            "sl:comments": said,
            "sl:os": said,
            "hv:version": said,
            "hv:format": said,
            "dc:date:expires": st.sampled_from([None, "", "2030-01-31T12:00:00Z", "9999-12-31T23:59:59+14:00"]),
        },
    ),
    # hv:, dc: and sl: names mean something; others are only kept.
    st.dictionaries(texts.map(lambda name: f"x:{name}"), values, max_size=4),
)


def a_list(entries):
    names = {"hv:dn": "/CN=x", "hv:ca": "/CN=ca", "hv:email": "", "dc:creator": ""}
    return {
        "dc:identifier": "a-list",
        "dc:date:created": "2026-10-01T08:00:00Z",
        "dc:date:expires": "2027-10-01T08:00:00Z",
        "dc:title": "t",
        "dc:description": "d",
        "dc:source": "s",
        "hv:version": "1",
        "hv:uri": "https://h/list",
        "hv:endorser": {"hv:x509": names},
        "hv:images": entries,
    }


@given(objects, st.booleans(), st.sampled_from([None, 1]))
def test_strict_json_reads_what_json_writes(value, ascii_only, indent):
    content = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
    read = parse(content)
    assert read == value
    assert json.dumps(read) == json.dumps(value)  # tells 1 from 1.0 and from true


@given(images)
def test_image_is_the_same_after_a_round_trip_through_a_document(fields):
    image = image_from_json(fields)
    stored = json.dumps(image.to_json())
    assert image_from_json(parse(stored.encode())) == image
    assert json.dumps(dict(image.fields)) == json.dumps(fields)


@given(st.lists(images, max_size=4, unique_by=lambda image: image["dc:identifier"]), objects)
def test_every_image_of_a_list_keeps_its_fields(entries, more):
    listed = a_list([{"hv:image": fields} for fields in entries])
    unknown = {f"x:{name}": value for name, value in more.items()}
    result = parse_image_list(json.dumps({"hv:imagelist": listed | unknown}).encode())
    assert result.refused == ()
    assert [dict(image.fields) for image in result.imagelist.images] == entries
    assert result.imagelist.fields == unknown
