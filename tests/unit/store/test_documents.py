"""JSON documents: what is no document is refused with its path, whatever the bytes are."""

from __future__ import annotations

import os

import pytest

from vmcatcher.errors.document import BadDocument
from vmcatcher.errors.store import DocumentDamaged, NotOurFile, UnknownFormat
from vmcatcher.store import documents


@pytest.mark.parametrize(
    "content",
    [b"", b" ", b"{", b"[]", b"null", b"1", b'"text"', b"\x00\x01", b"\xff\xfe{}", b"{}{}",
     b"[" * 100_000, b'{"a": 1' + b"0" * 5000 + b"}"],
    ids=lambda content: repr(content[:9]),
)  # fmt: skip
def test_what_is_no_json_object_is_damaged(tmp_path, content):
    path = tmp_path / "document.json"
    path.write_bytes(content)
    with pytest.raises(DocumentDamaged, match=r"document\.json"):
        documents.read_json(str(path))


@pytest.mark.parametrize("found", [0, 2, "1", None, True, [1]])
def test_unknown_format_is_refused_and_named(tmp_path, found):
    path = tmp_path / "document.json"
    path.write_text(f'{{"format": {__import__("json").dumps(found)}}}')
    if found is True:
        assert documents.read_json(str(path)) == {"format": True}
        return
    with pytest.raises(UnknownFormat):
        documents.read_json(str(path))


def test_missing_document_is_none_where_it_may_be_missing(tmp_path):
    assert documents.read_document(str(tmp_path / "x"), dict) is None
    with pytest.raises(FileNotFoundError):
        documents.read_json(str(tmp_path / "x"))


def test_refusal_of_the_parser_names_the_file_and_the_field(tmp_path):
    path = tmp_path / "document.json"
    path.write_text("{}")

    def refuse(_):
        raise BadDocument(field="since", expected="a time")

    with pytest.raises(DocumentDamaged, match=r"document\.json is damaged: field 'since' should be a time"):
        documents.read_document(str(path), refuse)


@pytest.mark.timeout(5)
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink("/etc/hostname", path)])
def test_something_else_in_its_place_is_named(tmp_path, make):
    make(str(tmp_path / "document.json"))
    with pytest.raises(NotOurFile):
        documents.read_json(str(tmp_path / "document.json"))
