"""Where a mirror's blobs are, and what is no mirror."""

from __future__ import annotations

import pytest

from vmcatcher.errors.mirrors import BadMirror
from vmcatcher.model.identity import Sha512
from vmcatcher.model.mirror import Mirror

SHA = Sha512("ab" + "0" * 126)


@pytest.mark.parametrize(
    ("text", "base"),
    [
        ("https://m.test/blobs", "https://m.test/blobs"),
        ("https://m.test/blobs/", "https://m.test/blobs"),
        ("HTTP://M.test:8080", "http://m.test:8080"),
        ("file:///nfs/store/blobs", "file:///nfs/store/blobs"),
        ("/nfs/store/blobs//", "file:///nfs/store/blobs"),
        ("/nfs/my store/blobs", "file:///nfs/my%20store/blobs"),
        ("https://user:word@m.test/blobs#top", "https://m.test/blobs"),
    ],
)
def test_blob_lies_below_whatever_was_named(text: str, base: str):
    mirror = Mirror.parse(text)
    assert str(mirror) == base
    assert str(mirror.blob(SHA)) == f"{base}/sha512/ab/{SHA}"


def test_blob_of_a_directory_is_a_path_of_this_machine():
    assert Mirror.parse("/nfs/my store").blob(SHA).file_path == f"/nfs/my store/sha512/ab/{SHA}"


@pytest.mark.parametrize(
    "text",
    ["", "blobs", "ftp://m.test/blobs", "https://", "https://m.test/get?digest=", "file://m.test/x", "http://m t/"],
)
def test_what_no_path_can_be_added_to_is_no_mirror(text: str):
    with pytest.raises(BadMirror):
        Mirror.parse(text)


@pytest.mark.parametrize(
    "text", ["https://user:wo/rd@m.test/x y", "ftp://user:word@m.test/", "https://u:word@m.test/?q"]
)
def test_password_is_in_no_text_about_a_mirror(text: str):
    with pytest.raises(BadMirror) as refused:
        Mirror.parse(text)
    assert "word" not in refused.value.one_line()
    assert "word" not in repr(refused.value.facts())


def test_password_is_kept_apart_and_not_shown():
    mirror = Mirror.parse("https://user:word@m.test/blobs")
    assert mirror.userinfo is not None
    assert (mirror.userinfo.username, mirror.userinfo.password) == ("user", "word")
    assert "word" not in f"{mirror} {mirror!r}"
