"""Image lists as endorsers write them, and every way in which one can be refused."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime

import pytest

from vmcatcher.errors import PublisherError
from vmcatcher.errors.imagelist import (
    ContentRefused,
    DuplicateImage,
    DuplicateKey,
    ImageRefused,
    ListFieldMalformed,
    ListFieldMissing,
    ListRefused,
    NotAnImageList,
    NotAnObject,
    TooDeep,
    TooManyImages,
    TooManyValues,
)
from vmcatcher.model.identity import Credential
from vmcatcher.model.image import image_from_json
from vmcatcher.model.imagelist import ListLimits, parse_image_list

_HEX = "0123456789abcdef" * 8


def an_image(**changed):
    fields = {
        "dc:identifier": "c3ab6ae6-e7ff-45d8-8edb-65f7ef5e5e5e",
        "dc:title": "Image for CernVM [Scientific Linux/6.0/KVM]",
        "dc:description": "A description",
        "hv:size": 300000,
        "hv:uri": "https://images.example.org:8443/one.raw?x=1",
        "hv:version": "2.3.0-1",
        "hv:hypervisor": "kvm",
        "hv:format": "qcow2",
        "sl:arch": "x86_64",
        "sl:checksum:sha512": _HEX,
        "sl:os": "Linux",
        "sl:osversion": "Debian 12",
        "sl:comments": "No comment",
        "ad:mpuri": "https://appdb.example.org/store/vo/image/1/",
        "hv:ram_minimum": "1024",
        "ad:unheard:of": [1, {"x": None}],
    }
    return _with(fields, changed)


def a_list(images=None, **changed):
    entries = [an_image()] if images is None else images
    fields = {
        "dc:date:created": "2026-10-01T08:00:00Z",
        "dc:date:expires": "2499-12-31T22:00:00Z",
        "dc:identifier": "83acfee4-6123-4d52-9ea9-32d4c5a1b7ab",
        "dc:description": "A list",
        "dc:title": "Title of the list",
        "dc:source": "CERN, no URL",
        "hv:version": "1.10",
        "hv:uri": "https://lists.example.org/hepix.list",
        "hv:endorser": {
            "hv:x509": {
                "hv:dn": "/DC=ch/DC=cern/OU=Users/CN=buncic",
                "hv:ca": "/DC=ch/DC=cern/CN=CERN CA",
                "hv:email": "buncic@example.org",
                "dc:creator": "Predrag Buncic",
            }
        },
        "hv:images": [{"hv:image": image} for image in entries],
        "ad:vo": "test.vo",
        "ad:swid": 7,
        "ad:publisher:name": {"x": [1]},
    }
    return _with(fields, changed)


def _with(fields, changed):
    """Change fields by keyword: `dc_date_created` is `dc:date:created`, `...` takes the field out."""
    names = {name.replace(":", "_"): name for name in fields}
    for keyword, value in changed.items():
        name = names.get(keyword, keyword.replace("_", ":", 2))
        if value is ...:
            fields.pop(name, None)
        else:
            fields[name] = value
    return fields


def signed(fields, *, indent=4):
    return json.dumps({"hv:imagelist": fields}, indent=indent).encode()


def parsed(*images, **changed):
    return parse_image_list(signed(a_list(list(images) or None, **changed)))


def refused_field(**changed):
    """Parse a list of one changed image between two good ones and return the refusal of the one."""
    before, after = an_image(dc_identifier="before"), an_image(dc_identifier="after")
    result = parsed(before, an_image(**changed), after)
    assert [image.identifier for image in result.imagelist.images] == ["before", "after"]
    (refusal,) = result.refused
    assert refusal.position == 2
    return refusal


# --- what is read


def test_complete_list_is_read_field_by_field():
    result = parsed()
    listed = result.imagelist
    assert result.refused == ()
    assert result.warnings == ()
    assert (listed.identifier, listed.version) == ("83acfee4-6123-4d52-9ea9-32d4c5a1b7ab", "1.10")
    assert listed.created == datetime(2026, 10, 1, 8, tzinfo=UTC)
    assert listed.expires == datetime(2499, 12, 31, 22, tzinfo=UTC)
    assert listed.uri == "https://lists.example.org/hepix.list"
    assert (listed.title, listed.description, listed.source) == ("Title of the list", "A list", "CERN, no URL")
    assert listed.endorser == Credential("/DC=ch/DC=cern/OU=Users/CN=buncic", "/DC=ch/DC=cern/CN=CERN CA")
    assert (listed.email, listed.creator, listed.vo) == ("buncic@example.org", "Predrag Buncic", "test.vo")
    assert listed.fields == {"ad:swid": 7, "ad:publisher:name": {"x": [1]}}


def test_complete_image_is_read_field_by_field():
    (image,) = parsed().imagelist.images
    assert image.identifier == "c3ab6ae6-e7ff-45d8-8edb-65f7ef5e5e5e"
    assert (image.size_bytes, image.sha512) == (300000, _HEX)
    assert image.uri == "https://images.example.org:8443/one.raw?x=1"
    assert (image.version, image.title) == ("2.3.0-1", "Image for CernVM [Scientific Linux/6.0/KVM]")
    assert (image.description, image.comments) == ("A description", "No comment")
    assert (image.hypervisor, image.arch, image.format) == ("kvm", "x86_64", "qcow2")
    assert (image.os, image.os_version) == ("Linux", "Debian 12")
    assert image.mpuri == "https://appdb.example.org/store/vo/image/1/"
    assert image.valid_until is None
    assert image.fields == an_image()


def test_images_keep_the_order_of_the_list():
    names = ["z", "a", "m", "0"]
    result = parsed(*(an_image(dc_identifier=name) for name in names))
    assert [image.identifier for image in result.imagelist.images] == names


def test_list_without_images_is_a_list():
    assert parse_image_list(signed(a_list([]))).imagelist.images == ()


def test_old_form_without_the_wrapper_is_read_with_a_warning():
    result = parse_image_list(json.dumps(a_list()).encode())
    assert result.imagelist == parsed().imagelist
    assert result.warnings == ("the list has the old form without 'hv:imagelist'",)


@pytest.mark.parametrize("field", ["dc_title", "dc_description", "dc_source"])
@pytest.mark.parametrize("value", [..., None])
def test_list_without_a_text_for_people_is_taken_with_a_warning(field, value):
    result = parsed(**{field: value})
    assert result.warnings == (f"the list has no '{field.replace('_', ':')}'",)
    assert getattr(result.imagelist, field.removeprefix("dc_")) == ""


def test_list_texts_that_are_empty_are_no_reason_to_warn():
    result = parsed(dc_title="", dc_description="", dc_source="", ad_vo="")
    assert result.warnings == ()
    assert result.imagelist.vo is None


@pytest.mark.parametrize(("value", "vo"), [(..., None), (None, None), ("a.vo", "a.vo"), (12, "12")])
def test_vo_may_be_missing(value, vo):
    assert parsed(ad_vo=value).imagelist.vo == vo


@pytest.mark.parametrize(("value", "text"), [("7", "7"), (7, "7"), (10**30, "1" + "0" * 30), ("v" * 200, "v" * 200)])
def test_list_version_may_be_a_text_or_a_whole_number(value, text):
    result = parsed(hv_version=value)
    assert (result.imagelist.version, result.warnings) == (text, ())


def test_list_version_that_is_a_fraction_is_read_with_a_warning():
    result = parse_image_list(signed(a_list()).replace(b'"1.10"', b"1.10"))
    assert result.imagelist.version == "1.1"
    assert result.warnings == ("'hv:version' is the JSON number 1.1, which 1.10 and 1.1 both are; quote it",)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-10-01T08:00:00Z", datetime(2026, 10, 1, 8, tzinfo=UTC)),
        ("2026-10-01T08:00:00+02:00", datetime(2026, 10, 1, 6, tzinfo=UTC)),
        ("2026-10-01T08:00:00-0530", datetime(2026, 10, 1, 13, 30, tzinfo=UTC)),
        ("2026-10-01T08:00:00.250Z", datetime(2026, 10, 1, 8, 0, 0, 250000, tzinfo=UTC)),
        ("2026-10-01T08:00:00,25Z", datetime(2026, 10, 1, 8, 0, 0, 250000, tzinfo=UTC)),
        ("20261001T080000Z", datetime(2026, 10, 1, 8, tzinfo=UTC)),
        ("2026-10-01T08:00Z", datetime(2026, 10, 1, 8, tzinfo=UTC)),
        ("2026-W40-4T08:00:00Z", datetime(2026, 10, 1, 8, tzinfo=UTC)),
        ("9999-12-31T23:59:59Z", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_time_in_iso_8601_with_a_zone_is_read_as_utc(text, instant):
    listed = parsed(dc_date_created=text, dc_date_expires=text).imagelist
    assert listed.created == listed.expires == instant
    assert listed.created.tzinfo is UTC


@pytest.mark.parametrize(
    ("value", "size"), [(1, 1), ("300000", 300000), ("007", 7), (1000.0, 1000), (2**50, 2**50), (str(2**50), 2**50)]
)
def test_image_size_may_be_a_whole_number_or_its_digits(value, size):
    (image,) = parsed(an_image(hv_size=value)).imagelist.images
    assert image.size_bytes == size
    assert type(image.size_bytes) is int


def test_image_sha512_may_be_upper_case():
    (image,) = parsed(an_image(sl_checksum_sha512=_HEX.upper())).imagelist.images
    assert image.sha512 == _HEX


_IMAGE_TEXTS = {
    "hv_version": "version",
    "dc_title": "title",
    "dc_description": "description",
    "hv_hypervisor": "hypervisor",
    "sl_arch": "arch",
    "sl_os": "os",
    "sl_osversion": "os_version",
    "sl_comments": "comments",
    "hv_format": "format",
    "ad_mpuri": "mpuri",
}


@pytest.mark.parametrize(("field", "attribute"), list(_IMAGE_TEXTS.items()))
@pytest.mark.parametrize(
    ("value", "text"), [(..., ""), (None, ""), ("", ""), ("x\ny\t'\"", "x\ny\t'\""), (7, "7"), (1.5, "1.5")]
)
def test_image_texts_may_be_missing_empty_or_numbers(field, attribute, value, text):
    (image,) = parsed(an_image(**{field: value})).imagelist.images
    assert getattr(image, attribute) == text


@pytest.mark.parametrize(("value", "year"), [("2030-01-31T12:00:00Z", 2030), ("9999-12-31T23:59:59Z", 9999)])
def test_image_may_expire_before_its_list(value, year):
    (image,) = parsed(an_image(dc_date_expires=value)).imagelist.images
    assert image.valid_until is not None
    assert image.valid_until.year == year


@pytest.mark.parametrize("value", [..., None, ""])
def test_image_without_an_end_of_its_own_has_none(value):
    (image,) = parsed(an_image(dc_date_expires=value)).imagelist.images
    assert image.valid_until is None


def test_members_that_nobody_reads_may_be_anything():
    odd = {"hv:ram_minimum": {"x": True}, "hv:core_minimum": False, "ad:user:uri": [None], "": "", "\u202e": "\x1b[2J"}
    (image,) = parsed(an_image() | odd).imagelist.images
    assert image.fields == an_image() | odd


# --- one image refused, never its neighbours


@pytest.mark.parametrize(
    "value",
    [..., None, "", 7, True, [], {}, "../../escape", "a/b", "a\n", "-x", "partial", "x.2026-11-23_04-23-39", "x" * 129],
)
def test_fault_65_image_identifier_that_is_no_file_name_refuses_the_image(value):
    refusal = refused_field(dc_identifier=value)
    assert refusal.field == "dc:identifier"
    assert refusal.identifier == (value if isinstance(value, str) else "")


_BAD_NUMBERS = [
    0,
    -1,
    2**50 + 1,
    2**63,
    1.5,
    1e300,
    "0",
    "-5",
    "+5",
    " 5",
    "5 ",
    "1e3",
    "0x10",
    "",
    "٣",
    "1_000",
]


@pytest.mark.parametrize("value", [*_BAD_NUMBERS, "9" * 20, ..., None, True, False, [], {}, [5]])
def test_fault_70_image_size_that_is_no_number_of_bytes_refuses_the_image(value):
    refusal = refused_field(hv_size=value)
    assert (refusal.field, refusal.identifier) == ("hv:size", an_image()["dc:identifier"])


def test_image_size_of_a_thousand_digits_refuses_the_image_in_few_words():
    refusal = refused_field(hv_size=10**999)
    assert refusal.field == "hv:size"
    assert len(refusal.one_line()) < 600


@pytest.mark.parametrize(
    "value", [..., None, "", 5, True, [], {}, _HEX[:-1], _HEX + "0", "g" * 128, _HEX + "\n", "٣" * 128]
)
def test_fault_69_image_sha512_that_is_none_refuses_the_image(value):
    refusal = refused_field(sl_checksum_sha512=value)
    assert (refusal.field, refusal.expected) == ("sl:checksum:sha512", "128 hexadecimal digits")


_BAD_URIS = [
    "",
    "one.raw",
    "/images/one.raw",
    "//images.example.org/one.raw",
    "ftp://images.example.org/one.raw",
    "gopher://images.example.org/",
    "javascript:alert(1)",
    "http:one.raw",
    "http:///one.raw",
    "http://:80/one.raw",
    "http://user:secret@images.example.org/one.raw",
    "http://user@images.example.org/one.raw",
    "http://images.example.org\\@evil.example.org/one.raw",
    "http://images.example.org/one raw",
    "http://images.example.org/$(touch P)",
    "http://images.example.org/one.raw\n",
    "http://images.example.org/a\r\nHost: evil",
    "http://images.example.org/a\tb",
    "http://images.example.org/\u00a0",
    "http://images.example.org/\u202e",
    "http://images.example.org/\x1b[2J",
    "http://images.example.org/\x7f",
    "http://images.example.org:port/one.raw",
    "http://images.example.org:99999/one.raw",
    "http://[::1/one.raw",
    "http://[not-an-address]/",
    "http://a℀b/",  # NFKC turns the sign into a/c
    "file:one.raw",
    "file://images.example.org/one.raw",
    "file://user@localhost/one.raw",
    "file://",
    "http://images.example.org/" + "x" * 8192,
]
_GOOD_URIS = [
    "http://images.example.org/one.raw",
    "HTTPS://Images.Example.ORG:8443/a/b%20c;d?e=f&g=$(x)#h",
    "http://127.0.0.1:18080/@x",
    "http://[::1]:80/one.raw",
    "file:///srv/images/one.raw",
    "file:/srv/images/one.raw",
    "file://localhost/srv/images/one.raw",
]


@pytest.mark.parametrize("uri", _BAD_URIS)
def test_fault_67_location_that_no_list_may_name_is_refused(uri):
    assert refused_field(hv_uri=uri).field == "hv:uri"
    with pytest.raises(ListFieldMalformed) as caught:
        parsed(hv_uri=uri)
    assert caught.value.field == "hv:uri"


@pytest.mark.parametrize("uri", _GOOD_URIS)
def test_location_that_a_list_may_name_is_kept_as_written(uri):
    (image,) = parsed(an_image(hv_uri=uri)).imagelist.images
    assert image.uri == uri
    assert parsed(hv_uri=uri).imagelist.uri == uri


@pytest.mark.parametrize("value", [..., None, 7, True, [], {}])
def test_image_without_a_location_is_refused(value):
    assert refused_field(hv_uri=value).field == "hv:uri"


def test_fault_68_password_in_a_location_is_not_repeated():
    uri = "http://user:canary@images.example.org/one.raw"
    assert "canary" not in refused_field(hv_uri=uri).one_line()
    with pytest.raises(ListFieldMalformed) as caught:
        parsed(hv_uri=uri)
    assert "canary" not in caught.value.one_line()
    assert "//***@" in caught.value.one_line()


@pytest.mark.parametrize("field", sorted(_IMAGE_TEXTS))
@pytest.mark.parametrize("value", [True, False, [], {}, ["x"]])
def test_image_text_that_is_no_text_refuses_the_image(field, value):
    assert refused_field(**{field: value}).field.replace(":", "_") == field


_BAD_TIMES = [
    "",
    "now",
    "2026-10-01",
    "2026-10-01T08:00:00",
    "2026-10-01 08:00:00Z",
    "2026-10-01\n08:00:00Z",
    "2026-13-01T08:00:00Z",
    "2026-02-30T08:00:00Z",
    "2026-10-01T25:00:00Z",
    "2026-10-01T08:00:00+25:00",
    "10000-01-01T00:00:00Z",
    "0000-01-01T00:00:00Z",
    "9999-12-31T23:59:59-01:00",
    "0001-01-01T00:00:00+01:00",
    "2026-10-01T08:00:00Z\n",
    "٢٠٢٦-10-01T08:00:00Z",
    "1790000000",
    "Thu, 01 Oct 2026 08:00:00 GMT",
]


@pytest.mark.parametrize("value", [*_BAD_TIMES[1:], 1790000000, True, [], {}])
def test_image_end_that_cannot_be_read_refuses_the_image(value):
    assert refused_field(dc_date_expires=value).field == "dc:date:expires"


@pytest.mark.parametrize(
    ("entry", "found"),
    [
        (None, "null"),
        ("x", "'x'"),
        ([], "a list"),
        (7, "the number 7"),
        ({}, "nothing"),
        ({"hv:image": None}, "null"),
        ({"hv:image": []}, "a list"),
        (an_image(), "nothing"),
    ],
)
def test_entry_that_is_no_image_is_refused_alone(entry, found):
    entries = [{"hv:image": an_image(dc_identifier="before")}, entry, {"hv:image": an_image(dc_identifier="after")}]
    result = parse_image_list(signed(a_list() | {"hv:images": entries}))
    assert [image.identifier for image in result.imagelist.images] == ["before", "after"]
    (refusal,) = result.refused
    assert (refusal.position, refusal.field, refusal.found) == (2, "hv:image", found)


def test_refusal_names_image_field_expected_and_found_on_one_line():
    refusal = refused_field(hv_size="big\nimage -l: ok\x1b[2J")
    assert isinstance(refusal, PublisherError)
    assert str(refusal) == (
        "image 2 ('c3ab6ae6-e7ff-45d8-8edb-65f7ef5e5e5e'), field 'hv:size': "
        "expected a number of bytes from 1 to 2**50, found 'big\\nimage -l: ok\\x1b[2J'"
    )
    assert refusal.one_line().isprintable()


def test_every_bad_image_has_its_own_refusal_in_the_order_of_the_list():
    result = parsed(
        an_image(dc_identifier="a", hv_size=0),
        an_image(dc_identifier="b"),
        an_image(dc_identifier="c", hv_uri="x", hv_size=-1),
        an_image(dc_identifier="d", sl_checksum_sha512="x"),
    )
    assert [(r.position, r.identifier, r.field) for r in result.refused] == [
        (1, "a", "hv:size"),
        (3, "c", "hv:size"),
        (4, "d", "sl:checksum:sha512"),
    ]


# --- the whole list refused


@pytest.mark.parametrize(
    "field", ["dc_identifier", "hv_version", "dc_date_created", "dc_date_expires", "hv_uri", "hv_endorser", "hv_images"]
)
@pytest.mark.parametrize("value", [..., None])
def test_fault_79_list_field_that_is_missing_is_named(field, value):
    with pytest.raises(ListFieldMissing) as caught:
        parsed(**{field: value})
    assert caught.value.field.replace(":", "_") == field
    assert caught.value.classic_exit == 38


@pytest.mark.parametrize("field", ["hv:dn", "hv:ca", "hv:email", "dc:creator"])
@pytest.mark.parametrize("value", [..., None])
def test_fault_79_endorser_field_that_is_missing_is_named_with_its_place(field, value):
    fields = copy.deepcopy(a_list())
    if value is ...:
        del fields["hv:endorser"]["hv:x509"][field]
    else:
        fields["hv:endorser"]["hv:x509"][field] = value
    with pytest.raises(ListFieldMissing) as caught:
        parse_image_list(signed(fields))
    assert caught.value.field == f"hv:endorser.hv:x509.{field}"


def test_endorser_without_certificate_names_is_named_with_its_place():
    with pytest.raises(ListFieldMissing) as caught:
        parsed(hv_endorser={})
    assert caught.value.field == "hv:endorser.hv:x509"


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("dc:identifier", ["", 7, True, [], {}, "../x", "a/b", "endorsed", "a\n", "x" * 129]),
        ("hv:version", ["", True, [], {}, "1" * 201]),
        ("dc:date:created", [*_BAD_TIMES, 1790000000, True, [], {}]),
        ("dc:date:expires", [*_BAD_TIMES, 1790000000, True, [], {}]),
        ("hv:uri", [True, [], {}]),
        ("dc:title", [True, [], {}]),
        ("dc:description", [False, ["x"]]),
        ("dc:source", [{}, [None]]),
        ("ad:vo", [True, [], ["a.vo"], {}]),
        ("hv:endorser", ["/CN=x", 7, True, []]),
        ("hv:images", [{}, "x", 7, True, {"hv:image": {}}]),
    ],
)
def test_fault_79_list_field_that_is_malformed_is_named_with_what_was_found(field, values):
    for value in values:
        with pytest.raises(ListFieldMalformed) as caught:
            parse_image_list(signed(a_list() | {field: value}))
        assert caught.value.field == field
        assert caught.value.classic_exit == 38
        assert caught.value.found
        assert caught.value.one_line().isprintable()


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("hv:dn", ["", 7, True, [], {}]),
        ("hv:ca", ["", 7, True, [], {}]),
        ("hv:email", [True, [], {}]),
        ("dc:creator", [False, ["x"]]),
    ],
)
def test_fault_79_endorser_field_that_is_malformed_is_named_with_its_place(field, values):
    for value in values:
        fields = copy.deepcopy(a_list())
        fields["hv:endorser"]["hv:x509"][field] = value
        with pytest.raises(ListFieldMalformed) as caught:
            parse_image_list(signed(fields))
        assert caught.value.field == f"hv:endorser.hv:x509.{field}"


def test_certificate_names_that_are_no_object_are_refused():
    with pytest.raises(ListFieldMalformed) as caught:
        parsed(hv_endorser={"hv:x509": "/CN=x"})
    assert caught.value.field == "hv:endorser.hv:x509"


def test_fault_64_two_images_with_one_identifier_refuse_the_list():
    with pytest.raises(DuplicateImage) as caught:
        parsed(an_image(dc_identifier="a"), an_image(dc_identifier="b"), an_image(dc_identifier="a", hv_version="3"))
    assert (caught.value.identifier, caught.value.first, caught.value.second) == ("a", 1, 3)
    assert caught.value.classic_exit == 38


def test_fault_64_identifier_of_a_refused_image_cannot_be_used_by_another():
    with pytest.raises(DuplicateImage):
        parsed(an_image(dc_identifier="a", hv_size=0), an_image(dc_identifier="a"))


def test_identifiers_that_are_no_identifiers_are_no_duplicates():
    result = parsed(an_image(dc_identifier=""), an_image(dc_identifier=""), an_image())
    assert [refusal.field for refusal in result.refused] == ["dc:identifier", "dc:identifier"]
    assert len(result.imagelist.images) == 1


def test_fault_75_images_beyond_the_limit_refuse_the_list():
    images = [an_image(dc_identifier=f"i{number}") for number in range(4)]
    content = signed(a_list(images))
    assert len(parse_image_list(content, limits=ListLimits(max_images=4)).imagelist.images) == 4
    with pytest.raises(TooManyImages) as caught:
        parse_image_list(content, limits=ListLimits(max_images=3))
    assert (caught.value.found, caught.value.limit, caught.value.classic_exit) == (4, 3, 38)


def test_ten_thousand_images_are_the_default_limit():
    entries = b",".join([b"{}"] * 10_000)
    content = signed(a_list([])).replace(b'"hv:images": []', b'"hv:images": [%s]' % entries)
    assert len(parse_image_list(content).refused) == 10_000
    with pytest.raises(TooManyImages):
        parse_image_list(content.replace(b"[{},", b"[{},{},"))


def test_depth_and_number_of_values_are_limited():
    content = signed(a_list())
    with pytest.raises(TooDeep):
        parse_image_list(content, limits=ListLimits(max_depth=3))
    with pytest.raises(TooManyValues):
        parse_image_list(content, limits=ListLimits(max_values=10))


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"{}", "missing"),
        (b'{"some": "thing", "dc:title": "x"}', "missing"),
        (b'{"hv:imagelist": null}', "null"),
        (b'{"hv:imagelist": []}', "a list"),
        (b'{"hv:imagelist": "x"}', "'x'"),
        (b'{"hv:imagelist": null, "hv:images": [], "hv:version": "1"}', "null"),
    ],
)
def test_json_of_something_else_is_no_image_list(content, found):
    with pytest.raises(NotAnImageList) as caught:
        parse_image_list(content)
    assert (caught.value.found, caught.value.classic_exit) == (found, 37)


@pytest.mark.parametrize("content", [b"null", b"[]", b"", b"<html>", b"\xff", b'{"hv:imagelist": {"a": NaN}}'])
def test_content_that_is_no_json_object_is_classic_exit_37(content):
    with pytest.raises(ContentRefused) as caught:
        parse_image_list(content)
    assert caught.value.classic_exit == 37


def test_json_null_is_told_from_a_list():
    with pytest.raises(NotAnObject) as caught:
        parse_image_list(b"null")
    assert str(caught.value) == "the signed content should be a JSON object, found null"


def test_duplicate_key_in_one_image_refuses_the_list():
    content = signed(a_list()).replace(b'"hv:size": 300000', b'"hv:size": 300000, "hv:size": 1')
    with pytest.raises(DuplicateKey) as caught:
        parse_image_list(content)
    assert caught.value.key == "hv:size"


def test_old_form_with_a_missing_field_is_refused_like_the_new():
    fields = a_list()
    del fields["dc:identifier"]
    with pytest.raises(ListFieldMissing):
        parse_image_list(json.dumps(fields).encode())


def test_refusals_of_the_list_say_what_to_do():
    for error in (ListFieldMissing, ListFieldMalformed, DuplicateImage, TooManyImages):
        assert issubclass(error, ListRefused)
        assert error.hint


# --- images as documents


def test_image_survives_being_stored_as_json():
    (image,) = parsed(an_image(hv_size="300000", dc_date_expires="2030-01-31T12:00:00+01:00")).imagelist.images
    assert image_from_json(json.loads(json.dumps(image.to_json()))) == image
    assert image.to_json()["hv:size"] == "300000"


def test_image_is_not_changed_through_the_documents_it_came_from_or_went_to():
    fields = an_image()
    image = image_from_json(fields)
    fields["dc:title"] = image.to_json()["dc:title"] = "changed"
    assert image.fields["dc:title"] != "changed"


def test_images_can_be_members_of_sets():
    assert len({image_from_json(an_image()), image_from_json(an_image()), image_from_json(an_image(hv_size=5))}) == 2


def test_stored_image_that_was_damaged_is_refused():
    with pytest.raises(ImageRefused) as caught:
        image_from_json(an_image(hv_size=...))
    assert (caught.value.position, caught.value.field, caught.value.found) == (0, "hv:size", "nothing")
