"""Nothing but our refusals comes out of a list that was damaged, on purpose or not."""

from __future__ import annotations

import copy
import json
import random

from hypothesis import given
from hypothesis import strategies as st

from vmcatcher.errors import PublisherError
from vmcatcher.errors.imagelist import ContentRefused
from vmcatcher.model.imagelist import parse_image_list
from vmcatcher.model.strictjson import parse

_SEED = 20261123
_ROUNDS = 5_000
_HEX = "0123456789abcdef" * 8
_ODD_TEXTS = ["", " ", "x", "../x", "\n", "\u202e", "\ud800", "\0", "9" * 5000, "0", "http://u:p@h/", "http://["]
_ODD_TEXTS += ["file:///dev/zero", "2026-10-01T08:00:00Z", "9999-12-31T23:59:59-23:59"]
_ODD_NUMBERS = [0, -1, 1, 2**50, 2**63, 10**400, 1.5, 1e300]
_ODD_OBJECTS = [[], [[]], {}, {"hv:image": {}}, {"hv:x509": {}}, [{"hv:image": None}]]
_ODD_VALUES = [None, True, False, *_ODD_TEXTS, *_ODD_NUMBERS, *_ODD_OBJECTS]
_ODD_BYTES = [b"NaN", b"1e999", b"-Infinity", b"1" * 1100, b"[" * 70, b'"hv:size":1,', b"\\ud800", b"\\u0000"]
_ODD_BYTES += [b"\xff", b"\xef\xbb\xbf", b"\x00", b'"', b"\\", b"{", b"}", b","]


def _content():
    images = [
        {
            "hv:image": {
                "dc:identifier": f"image-{number}",
                "dc:title": "t",
                "hv:size": 5,
                "hv:uri": "http://h/x",
                "hv:version": "1",
                "sl:checksum:sha512": _HEX,
                "dc:date:expires": "2030-01-31T12:00:00Z",
                "sl:comments": "",
            }
        }
        for number in range(3)
    ]
    names = {"hv:dn": "/CN=x", "hv:ca": "/CN=ca", "hv:email": "e", "dc:creator": "c"}
    return {
        "hv:imagelist": {
            "dc:identifier": "a-list",
            "dc:date:created": "2026-10-01T08:00:00Z",
            "dc:date:expires": "2027-10-01T08:00:00Z",
            "dc:title": "t",
            "dc:description": "d",
            "dc:source": "s",
            "hv:version": "1",
            "hv:uri": "https://h/list",
            "hv:endorser": {"hv:x509": names},
            "hv:images": images,
            "ad:vo": "vo",
        }
    }


def _containers(value):
    if isinstance(value, dict | list):
        yield value
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _containers(inner)


def _change_a_value(rng, document):
    containers = [each for each in _containers(document) if each]
    if not containers:
        return
    container = rng.choice(containers)
    key = rng.choice(list(container)) if isinstance(container, dict) else rng.randrange(len(container))
    match rng.randrange(4):
        case 0:
            del container[key]
        case 1 if isinstance(container, dict):
            container[rng.choice(["", "hv:image", "hv:imagelist", "ad:x", "\ud800"])] = container.pop(key)
        case 1:
            container.append(container[key])
        case _:
            container[key] = copy.deepcopy(rng.choice(_ODD_VALUES))


def _change_bytes(rng, content):
    start = rng.randrange(len(content) + 1)
    end = min(len(content), start + rng.choice([0, 0, 1, 1, 5, 200]))
    return content[:start] + rng.choice([b"", bytes([rng.randrange(256)]), rng.choice(_ODD_BYTES)]) + content[end:]


def test_fault_79_five_thousand_damaged_lists_end_in_a_list_or_a_refusal():
    rng = random.Random(_SEED)
    outcomes = {"list": 0, "images refused": 0}
    for _ in range(_ROUNDS):
        document = _content()
        for _ in range(rng.choice([0, 1, 1, 2, 5])):
            _change_a_value(rng, document)
        content = json.dumps(document, ensure_ascii=True).encode()
        for _ in range(rng.choice([0, 0, 0, 1, 3])):
            content = _change_bytes(rng, content)
        result = _outcome(content)
        if isinstance(result, PublisherError):
            assert result.classic_exit in (37, 38)
            assert result.one_line().isprintable()
            outcomes[result.id] = outcomes.get(result.id, 0) + 1
        else:
            outcomes["list"] += 1
            outcomes["images refused"] += bool(result.refused)
            _assert_is_sound(result)
    # Fewer kinds would mean that the damage is too much alike to prove anything.
    assert len(outcomes) >= 11, outcomes
    assert min(outcomes["list"], outcomes["images refused"]) > 500, outcomes


def _outcome(content):
    try:
        return parse_image_list(content)
    except PublisherError as refusal:
        return refusal


def _assert_is_sound(result):
    listed = result.imagelist
    assert listed.created.tzinfo is not None
    assert listed.expires.tzinfo is not None
    assert listed.endorser.subject
    assert listed.endorser.issuer
    assert len({image.identifier for image in listed.images}) == len(listed.images)
    for image in listed.images:
        assert 1 <= image.size_bytes <= 2**50
        assert len(image.sha512) == 128
        assert image.uri.isprintable()
        image.title.encode()
    for refusal in result.refused:
        assert refusal.one_line().isprintable()


@given(st.binary(max_size=200))
def test_any_bytes_end_in_a_refusal(content):
    try:
        parse_image_list(content)
    except PublisherError:
        return
    raise AssertionError(content)  # no list is that short


@given(st.text(alphabet='[]{}",:\\u0d8c1e9-. \nax', max_size=40))
def test_any_text_that_looks_like_json_is_read_or_refused(text):
    try:
        value = parse(text.encode())
    except ContentRefused:
        return
    assert json.loads(text) == value
