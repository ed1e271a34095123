"""Identifiers that are safe as file names, digests, one-line names."""

from __future__ import annotations

import pytest

from vmcatcher.errors import BadDigest, BadEndorserIdentifier, BadIdentifier, OperatorError, PublisherError
from vmcatcher.model.identity import (
    Credential,
    OneLineName,
    endorser_id,
    image_id,
    list_id,
    normal_dn,
    sha512,
)

_HEX = "0123456789abcdef" * 8


@pytest.mark.parametrize("read", [list_id, image_id])
@pytest.mark.parametrize(
    "text",
    [
        "c3ab6ae6-e7ff-45d8-8edb-65f7ef5e5e5e",
        "FOOBAR",
        "a",
        "0",
        "9.9",
        "a" * 128,
        "urn:uuid:1@site+x=y_z",
        "partial.",
        "Expired",
        "x.2026-11-23_04-23-3",
        "x2026-11-23_04-23-39",
        "x.2026-11-23_04-23-39-",
        "x.2026-11-23_04-23-39.qcow2",
    ],
)
def test_identifier_of_safe_characters_is_taken_as_it_is(read, text):
    assert read(text) == text


@pytest.mark.parametrize(("read", "kind"), [(list_id, "list"), (image_id, "image")])
@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        ".hidden",
        "-rf",
        "_x",
        "../../escape",
        "a/b",
        "a\\b",
        "a b",
        "a\n",
        "a\nb",
        "a\0b",
        "a%2fb",
        "a*",
        "a~",
        "é",
        "аbc",  # a Cyrillic look-alike
        "１",
        "٣",
        "a" * 129,
        "a" * 10_000,
        "cache.index",
        "partial",
        "expired",
        "endorsed",
        "x.2026-11-23_04-23-39",
        "x.2026-11-23_04-23-39-1",
        "x.y.2026-11-23_04-23-39-12",
        ".2026-11-23_04-23-39",
    ],
)
def test_identifier_that_could_trip_the_store_is_refused(read, kind, text):
    with pytest.raises(BadIdentifier) as caught:
        read(text)
    assert (caught.value.kind, caught.value.value) == (kind, text)
    assert caught.value.one_line().isprintable()
    assert isinstance(caught.value, PublisherError)


@pytest.mark.parametrize("text", ["Predrag Buncic", "x", "e" * 200, "Ørsted/1 ~*", " padded "])
def test_endorser_identifier_may_be_any_printable_text(text):
    assert endorser_id(text) == text


@pytest.mark.parametrize(
    "text", ["", "  ", "e" * 201, "a\tb", "a\nb", "a\0", "\x1b[2J", "a\u202eb", "\ud800", "\u2028"]
)
def test_endorser_identifier_that_cannot_be_printed_is_refused(text):
    with pytest.raises(BadEndorserIdentifier) as caught:
        endorser_id(text)
    assert caught.value.one_line().isprintable()
    assert isinstance(caught.value, OperatorError)


def test_sha512_is_lower_case_whatever_the_list_wrote():
    assert sha512(_HEX) == sha512(_HEX.upper()) == _HEX


@pytest.mark.parametrize(
    "text",
    [
        "",
        _HEX[:-1],
        _HEX + "0",
        _HEX + "\n",
        " " + _HEX[1:],
        "g" + _HEX[1:],
        "0x" + _HEX[2:],
        "sha512:" + _HEX,
        "٣" + _HEX[1:],
        "ａ" + _HEX[1:],
        "\u212a" + _HEX[1:],  # the Kelvin sign, whose lower case is an ASCII k
    ],
)
def test_sha512_of_other_characters_or_length_is_refused(text):
    with pytest.raises(BadDigest) as caught:
        sha512(text)
    assert caught.value.value == text


def test_credentials_are_ordered_and_equal_by_subject_and_issuer():
    one, two = Credential("/CN=a", "/CN=ca"), Credential("/CN=a", "/CN=other")
    assert one != two
    assert sorted([two, one]) == [one, two]
    assert len({one, Credential("/CN=a", "/CN=ca")}) == 1


@pytest.mark.parametrize(
    ("given", "normal"),
    [
        ("/DC=ch/CN=x/Email=a@b", "/DC=ch/CN=x/emailAddress=a@b"),
        ("/DC=ch/CN=x/E=a@b", "/DC=ch/CN=x/emailAddress=a@b"),
        ("/DC=ch/USERID=x", "/DC=ch/UID=x"),
        ("/C=US/S=Texas", "/C=US/ST=Texas"),
        ("/DC=ch/DC=cern/OU=Users/CN=buncic", "/DC=ch/DC=cern/OU=Users/CN=buncic"),
    ],
)
def test_old_attribute_names_are_spelled_as_openssl_spells_them(given, normal):
    assert normal_dn(given) == normal
    assert normal_dn(normal) == normal


def test_name_is_recognised_in_both_styles():
    name = OneLineName(escaped=r"/DC=org/CN=host\/vm.example.org", plain="/DC=org/CN=host/vm.example.org")
    assert name.is_named(r"/DC=org/CN=host\/vm.example.org")
    assert name.is_named("/DC=org/CN=host/vm.example.org")
    assert not name.is_named("/DC=org/CN=host")
    assert not name.is_named("")
    assert str(name) == "/DC=org/CN=host/vm.example.org"


def test_name_that_the_plain_style_cannot_tell_apart_is_recognised_escaped_only():
    forged = OneLineName(escaped=r"/DC=org\/DC=vmtest\/CN=x", plain=None)
    assert forged.is_named(r"/DC=org\/DC=vmtest\/CN=x")
    assert not forged.is_named("/DC=org/DC=vmtest/CN=x")
    assert str(forged) == r"/DC=org\/DC=vmtest\/CN=x"


def test_name_is_recognised_with_any_spelling_of_its_attributes():
    name = OneLineName(escaped="/C=DE/CN=x/emailAddress=a@b", plain="/C=DE/CN=x/emailAddress=a@b")
    assert name.is_named("/C=DE/CN=x/Email=a@b")
    assert name.is_named("/C=DE/CN=x/E=a@b")
    assert not name.is_named("/C=DE/CN=x/emailAddress=a@B")
