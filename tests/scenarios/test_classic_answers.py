"""What the classic commands say to an odd request, and what can be taken back again."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import pytest

from support.site import LIST_ID, Site, image_id
from vmcatcher.errors.store import NotOurFile, StoreReadOnly, StoreUnreadable
from vmcatcher.store import reading


def subscription(site: Site) -> str:
    return site.expect(0, "subscribe", "-l").out.rstrip("\n").rpartition("\t")[2]


def test_pinned_uri_is_let_go_and_follows_the_list_again(site: Site):
    site.publish("1", site.image(1), hv__uri=site.server.url("/new"))
    site.expect(0, "endorser", "-C", "-e", "alice", "--dn", site.alice.subject, "-I", site.alice.issuer)
    site.expect(0, "subscribe", "--pin-uri", "-s", site.server.url("/list"))
    site.expect(0, "subscribe", "-U")
    assert subscription(site) == site.server.url("/list")
    site.expect(0, "subscribe", "--no-pin-uri", "-u", LIST_ID)
    site.expect(0, "subscribe", "-U")
    assert subscription(site) == site.server.url("/new")


def test_files_as_images_are_allowed_and_no_longer_allowed(site: Site):
    local = site.root / "local.raw"
    local.write_bytes(b"x" * 100)
    image = site.image(1, content=local.read_bytes(), hv__uri=f"file://{local}")
    site.join(image)
    site.select(1)
    site.cache(code=1)
    site.expect(0, "subscribe", "--allow-file-images", "-u", LIST_ID)
    site.cache()
    assert list(site.endorsed()) == [image_id(1)]
    site.expect(0, "subscribe", "--no-allow-file-images", "-u", LIST_ID)
    other = site.root / "other.raw"
    other.write_bytes(b"y" * 100)
    site.publish("2", site.image(1, "2", content=other.read_bytes(), hv__uri=f"file://{other}"))
    site.expect(0, "subscribe", "-U")
    site.cache(code=1)
    assert list(site.endorsed()) == []


def test_the_later_of_two_contrary_options_counts(site: Site):
    site.join(site.image(1))
    before = site.tree()
    site.expect(0, "subscribe", "--pin-uri", "--no-pin-uri", "-u", LIST_ID)
    assert site.tree() == before


@pytest.mark.parametrize(
    ("dn", "issuer", "named"), [("", "/CN=y", "subject ''"), ("/CN=x", "/CN=y\nz", "issuer '/CN=y\\nz'")]
)
def test_name_that_no_certificate_has_is_refused_as_such(site: Site, dn: str, issuer: str, named: str):
    result = site.expect(1, "endorser", "-C", "-e", "x", "--dn", dn, "-I", issuer)
    assert f"the {named} cannot be a certificate's name" in result.err
    assert "/DC=org/DC=grid/CN=Somebody" in result.err
    assert result.err.count("\n") == 1
    assert not site.store.exists()


@pytest.mark.parametrize(
    ("uri", "shown"),
    [("ftp://x/y", "ftp://x/y"), ("ftp://me:secret@x/y", "ftp://***@x/y"), ("http://u:secret@ x", "http://***@ x")],
)
def test_uri_that_cannot_be_used_is_named_with_what_can(site: Site, uri: str, shown: str):
    result = site.expect(1, "subscribe", "-s", uri)
    why, failed = result.err.splitlines()
    assert f"'{shown}'" in why
    assert "use http://, https://, file:// or a path" in why
    assert failed == f"ERROR:main:Failed to subscribe to '{shown}'"
    assert "secret" not in result.err


def test_place_that_takes_no_directory_is_named_with_what_to_do(site: Site):
    result = site.run("endorser", "-C", "-e", "x", "--dn", "/CN=x", "-I", "/CN=y", "--store", "/proc/vmcatcher")
    assert result.code == 1
    assert "cannot make the directory /proc/vmcatcher: /proc is there, but takes no new ones" in result.err
    assert "name a directory of a disk" in result.err
    assert result.err.count("\n") == 1


def test_vetoed_image_is_not_available_until_the_veto_is_lifted(site: Site):
    site.join(site.image(1), site.image(2))
    site.select(1)
    content = b"image 1 version 1\n" * 100
    veto = site.store / "vetoes" / f"{hashlib.sha512(content).hexdigest()}.json"
    veto.write_text("{}")
    assert site.states() == {image_id(1): 1, image_id(2): 2}
    site.cache()
    assert site.endorsed() == {}
    veto.unlink()
    assert site.states() == {image_id(1): 3, image_id(2): 2}


def refusing(code: int):
    real = os.open

    def refused(path, flags, *arguments, **options):
        if str(path).endswith("document"):
            raise OSError(code, os.strerror(code))
        return real(path, flags, *arguments, **options)

    return refused


@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM])
def test_refused_read_is_not_called_a_refused_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int):
    monkeypatch.setattr(os, "open", refusing(code))
    with pytest.raises(StoreUnreadable, match=r"cannot read .*document: "):
        reading.read(str(tmp_path / "document"))
    with pytest.raises(StoreReadOnly, match=r"cannot write .*document: "):
        reading.open_regular(str(tmp_path / "document"), os.O_RDWR)


def test_refused_look_into_a_directory_is_not_called_a_refused_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refused(path):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "listdir", refused)
    monkeypatch.setattr(os, "scandir", refused)
    for look in (reading.names, reading.directories):
        with pytest.raises(StoreUnreadable, match="cannot read"):
            look(str(tmp_path))


def test_directory_that_cannot_be_read_keeps_its_other_errors(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotOurFile):
        reading.names(str(tmp_path / "file"))
