"""A classic database is read as it is, whatever has become of it, and never changed."""

from __future__ import annotations

import os
import shutil
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.classic_database import VERSIONS, ClassicSite
from support.tree import tree
from vmcatcher.errors import VmcatcherError
from vmcatcher.errors.importing import BrokenRow, DatabaseUnreadable, NoSuchDatabase, NotAClassicDatabase
from vmcatcher.model.identity import Credential
from vmcatcher.model.subscription import NewImages, TlsTrust
from vmcatcher.store import classic_db
from vmcatcher.store.classic_contents import ClassicContents, read_contents
from vmcatcher.store.classic_db import ClassicDatabase

SIGNED = b"MIME-Version: 1.0\n\nsigned\n"
DIGEST = "ab" * 64


def contents(path: Path) -> ClassicContents:
    with ClassicDatabase(str(path)) as database:
        return read_contents(database)


def broken(found: ClassicContents) -> list[str]:
    return [str(one) for one in found.broken]


def small(root: Path, version: str = "0.6") -> ClassicSite:
    """One endorser, one subscription with two images and one stored list."""
    old = ClassicSite(root, version)
    old.endorser("alice", ("/CN=Alice", "/CN=CA"), ("/CN=Alice 2", "/CN=CA"))
    old.subscription("list-1", "http://lists.test/1", endorsers=["alice"])
    old.image("list-1", "image-1", cached=True)
    old.image("list-1", "image-2")
    old.execute(
        'INSERT INTO "imageListInstance" (data, data_hash, sub_auth, imported, created, expires, version)'
        " VALUES (?, ?, 1, '2014-01-25 22:20:29.859405', '2014-01-25 00:00:00', '2015-01-25 00:00:00', '1')",
        SIGNED,
        DIGEST,
    )
    old.execute(
        'INSERT INTO "ImageInstance" (description, hypervisor, sha512, uri, os, osversion, arch, version, size, title,'
        " \"fkIdentifier\", fkimagelistinstance) VALUES ('', '', ?, '', '', '', '', '', 7, '', 1, 1)",
        DIGEST.upper(),
    )
    old.execute('UPDATE "ImageDefinition" SET latest = 1 WHERE id = 1')
    return old


@pytest.fixture
def old(tmp_path: Path) -> ClassicSite:
    return small(tmp_path / "old")


def test_contents_are_joined_in_the_order_of_their_rows(old: ClassicSite):
    old.close()
    found = contents(old.path)
    assert found.broken == ()
    assert found.version == "0.6"
    (endorser,) = found.endorsers
    assert (endorser.identifier, endorser.credentials) == (
        "alice",
        (Credential("/CN=Alice", "/CN=CA"), Credential("/CN=Alice 2", "/CN=CA")),
    )
    (one,) = found.subscriptions
    assert (one.identifier, str(one.location), one.endorsers) == ("list-1", "http://lists.test/1", ("alice",))
    assert (one.tls, one.new_images, one.userinfo) == (TlsTrust.UNSET, NewImages.REFUSE, None)
    assert [(image.identifier, image.is_selected) for image in one.images] == [("image-1", True), ("image-2", False)]
    assert (one.images[0].sha512, one.images[0].size_bytes, one.images[1].sha512) == (DIGEST, 7, None)
    assert [(stored.row, stored.imported) for stored in one.lists] == [
        (1, datetime(2014, 1, 25, 22, 20, 29, 859405, UTC))
    ]


def test_credentials_belong_to_the_endorser_they_point_at_and_not_to_the_one_of_their_row(old: ClassicSite):
    old.endorser("bob", ("/CN=Bob", "/CN=CA"))
    old.close()
    assert [one.credentials[0].subject for one in contents(old.path).endorsers] == ["/CN=Alice", "/CN=Bob"]


@pytest.mark.parametrize("version", VERSIONS)
def test_version_is_told_by_the_columns(tmp_path: Path, version: str):
    old = small(tmp_path / "old", version)
    old.close()
    found = contents(old.path)
    assert found.broken == ()
    assert found.version in (version, "0.2 or 0.3")
    assert len(found.subscriptions[0].images) == 2


@pytest.mark.parametrize(
    ("number", "trust"), [(0, TlsTrust.UNSET), (1, TlsTrust.BROWSER), (2, TlsTrust.IGTF), ("2", TlsTrust.IGTF)]
)
def test_numbers_stand_for_whom_https_trusts(old: ClassicSite, number: object, trust: TlsTrust):
    old.execute('UPDATE subscription SET "trustAnchor" = ?', number)
    old.close()
    assert contents(old.path).subscriptions[0].tls is trust


@pytest.mark.parametrize(
    ("number", "policy"),
    [(0, NewImages.REFUSE), (1, NewImages.ACCEPT), (3, NewImages.SUBSCRIBE), (None, NewImages.REFUSE)],
)
def test_numbers_stand_for_the_policy_for_new_images(tmp_path: Path, number: object, policy: NewImages):
    old = small(tmp_path / "old", "0.4")
    old.execute("ALTER TABLE subscription ADD COLUMN updateMode INTEGER")
    old.execute("UPDATE subscription SET updateMode = ?", number)
    old.close()
    assert contents(old.path).subscriptions[0].new_images is policy


def test_user_name_and_password_are_never_shown(old: ClassicSite):
    old.execute("UPDATE subscription SET userName = 'user', password = 's3cret'")
    old.close()
    one = contents(old.path).subscriptions[0]
    assert one.userinfo is not None
    assert (one.userinfo.username, one.userinfo.password) == ("user", "s3cret")
    assert "s3cret" not in repr(contents(old.path))


def test_broken_row_never_shows_the_password_of_its_uri(old: ClassicSite):
    old.execute("UPDATE subscription SET uri = 'http://user:s3cret@ho st/'")
    old.close()
    (text, *_) = broken(contents(old.path))
    assert "subscription row 1" in text
    assert "s3cret" not in text


@pytest.mark.parametrize("text", ["yesterday", "", None, 17, "2014-01-25"])
def test_time_that_cannot_be_read_is_none_and_breaks_nothing(old: ClassicSite, text: object):
    old.execute("UPDATE subscription SET updated = ?", text)
    old.close()
    found = contents(old.path)
    assert found.broken == ()
    assert found.subscriptions[0].updated in (None, datetime(2014, 1, 25, tzinfo=UTC))


def test_description_in_an_old_encoding_is_read_as_well_as_can_be(old: ClassicSite):
    old.execute("UPDATE subscription SET description = CAST(? AS TEXT)", "Zürich".encode("latin-1"))
    old.close()
    assert contents(old.path).subscriptions[0].description == "Z�rich"


def test_left_over_instances_of_a_deleted_subscription_are_no_trouble(old: ClassicSite):
    old.execute('UPDATE "ImageInstance" SET fkimagelistinstance = NULL, "fkIdentifier" = 99, sha512 = 17')
    old.close()
    found = contents(old.path)
    assert found.broken == ()
    assert found.subscriptions[0].images[0].sha512 is None


def test_second_row_of_one_name_is_left_out(tmp_path: Path):
    old = small(tmp_path / "old")
    for table, copied in (("endorser", "identifier"), ("ImageDefinition", "identifier, latest, cache, subscription")):
        old.execute(f'CREATE TABLE again AS SELECT * FROM "{table}"')
        old.execute(f'DROP TABLE "{table}"')
        old.execute(f'ALTER TABLE again RENAME TO "{table}"')
        old.execute(f'INSERT INTO "{table}" (id, {copied}) SELECT id + 50, {copied} FROM "{table}" WHERE id = 1')
    old.close()
    assert broken(contents(old.path)) == [
        "endorser row 51 is left out: endorser 'alice' has a row before it",
        "ImageDefinition row 51 is left out: image image-1 is in row 1 already",
    ]


def test_row_without_a_number_is_left_out(old: ClassicSite):
    old.execute("CREATE TABLE again (id, identifier)")
    old.execute("INSERT INTO again VALUES (1, 'alice'), (NULL, 'nobody'), ('x', 'nobody')")
    old.execute("DROP TABLE endorser")
    old.execute("ALTER TABLE again RENAME TO endorser")
    old.close()
    found = contents(old.path)
    assert [one.identifier for one in found.endorsers] == ["alice"]
    assert broken(found) == ["table endorser: a row without a number is left out"] * 2


@pytest.mark.parametrize("table", ["endorserPrincible", "subscriptionAuth", "ImageDefinition", "imageListInstance"])
def test_missing_table_is_named_and_the_others_are_read(old: ClassicSite, table: str):
    old.execute(f'DROP TABLE "{table}"')
    old.close()
    found = contents(old.path)
    assert f"table {table}: it is missing" in broken(found)
    assert [one.identifier for one in found.subscriptions] == ["list-1"]


def test_signed_list_comes_back_byte_for_byte_from_text_and_blob(old: ClassicSite):
    stored = [SIGNED, SIGNED.decode(), b"\xff\x00\xfe" * 10]
    for data in stored:
        old.execute(
            'INSERT INTO "imageListInstance" (data, data_hash, sub_auth, imported, created, expires, version)'
            " VALUES (?, '', 1, '', '', '', '')",
            data,
        )
    old.close()
    with ClassicDatabase(str(old.path)) as database:
        assert [database.signed_list(row) for row in (2, 3, 4)] == [SIGNED, SIGNED, b"\xff\x00\xfe" * 10]


@pytest.mark.parametrize("row", [1, 99])
def test_list_that_is_not_there_is_a_broken_row(old: ClassicSite, row: int):
    old.execute('UPDATE "imageListInstance" SET data = 17')
    old.close()
    with ClassicDatabase(str(old.path)) as database, pytest.raises(BrokenRow):
        database.signed_list(row)


# -- files


def test_reading_changes_nothing_beside_the_database(old: ClassicSite):
    old.close()
    before, status = tree(old.root), old.path.stat()
    assert contents(old.path).broken == ()
    after = old.path.stat()
    assert tree(old.root) == before
    assert (after.st_mtime_ns, after.st_ctime_ns, after.st_ino) == (
        status.st_mtime_ns,
        status.st_ctime_ns,
        status.st_ino,
    )


def test_reading_a_database_in_wal_mode_makes_no_file_beside_it(old: ClassicSite):
    old.execute("PRAGMA journal_mode = WAL")
    old.close()
    before = tree(old.root)
    assert len(contents(old.path).subscriptions) == 1
    assert tree(old.root) == before


def test_rows_that_are_still_in_the_wal_are_read(old: ClassicSite):
    old.execute("PRAGMA journal_mode = WAL")
    old.endorser("latest")
    found = contents(old.path)
    old.close()
    assert [one.identifier for one in found.endorsers] == ["alice", "latest"]


def test_name_of_the_file_may_hold_what_a_uri_may_not(old: ClassicSite):
    old.close()
    odd = old.path.rename(old.root / "a?b#c%20 é.db")
    assert contents(odd).broken == ()


def test_database_that_somebody_writes_to_is_not_read(old: ClassicSite, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(classic_db, "_WAIT_S", 0.05)
    old.close()
    writer = sqlite3.connect(old.path, isolation_level=None)
    writer.execute("BEGIN EXCLUSIVE")
    with pytest.raises(DatabaseUnreadable, match="locked"):
        contents(old.path)
    writer.rollback()
    writer.close()
    assert contents(old.path).broken == ()


def test_write_that_was_interrupted_is_left_to_the_owner_of_the_database(old: ClassicSite, tmp_path: Path):
    for number in range(2000):
        old.image("list-1", f"many-{number}")
    old.close()
    writer = sqlite3.connect(old.path, isolation_level=None)
    writer.execute("PRAGMA cache_size = 1")
    writer.execute("BEGIN")
    writer.execute('UPDATE "ImageDefinition" SET cache = 1')
    crashed = tmp_path / "crashed"
    shutil.copytree(old.root, crashed)
    writer.rollback()
    writer.close()
    assert (crashed / "vmcatcher.db-journal").stat().st_size > 512
    before = tree(crashed)
    with pytest.raises(DatabaseUnreadable, match="interrupted while it wrote"):
        contents(crashed / "vmcatcher.db")
    assert tree(crashed) == before


def test_database_that_is_not_there_is_not_made(tmp_path: Path):
    with pytest.raises(NoSuchDatabase):
        contents(tmp_path / "none.db")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("content", [b"", b"plain text\n" * 200, b"SQLite format 3\0" + b"x" * 4000])
def test_file_of_another_kind_is_refused(tmp_path: Path, content: bytes):
    path = tmp_path / "vmcatcher.db"
    path.write_bytes(content)
    with pytest.raises(NotAClassicDatabase):
        contents(path)


def test_database_of_another_program_is_refused(tmp_path: Path):
    path = tmp_path / "other.db"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE subscription (id INTEGER)")
    other.close()
    with pytest.raises(NotAClassicDatabase, match="no table endorser"):
        contents(path)


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    old = small(tmp_path_factory.mktemp("pristine") / "old")
    for number in range(200):
        old.image("list-1", f"many-{number}")
    old.close()
    return old.path


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.integers(0, 2**20), st.binary(min_size=1, max_size=8)), min_size=1, max_size=6))
def test_damaged_file_gives_rows_or_a_refusal_and_nothing_else(
    pristine: Path, tmp_path: Path, changes: list[tuple[int, bytes]]
):
    content = bytearray(pristine.read_bytes())
    for place, spoilt in changes:
        start = place % len(content)
        content[start : start + len(spoilt)] = spoilt
    path = tmp_path / "damaged.db"
    path.write_bytes(content)
    try:
        with ClassicDatabase(str(path)) as database:
            found = read_contents(database)
            for one in found.subscriptions:
                for stored in one.lists:
                    database.signed_list(stored.row)
    except VmcatcherError:
        pass
