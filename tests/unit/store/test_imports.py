"""A store knows which classic databases it was filled from, and which it still lacks."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from vmcatcher.errors.store import DocumentDamaged
from vmcatcher.model.identity import Sha512
from vmcatcher.store import documents, imports, root
from vmcatcher.store.imports import Import
from vmcatcher.store.layout import Layout

NOW = datetime(2026, 11, 23, 4, 23, 39, tzinfo=UTC)
DIGEST = Sha512("ab" * 64)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "vmcatcher.db"
    path.write_bytes(b"")
    return path


def test_store_made_on_purpose_lacks_nothing(layout: Layout, database: Path):
    assert imports.lacking(layout, str(database)) is None
    assert imports.imports(layout) == ()


def test_store_made_in_passing_lacks_the_database_that_stands_for_it(tmp_path: Path, database: Path):
    layout = root.make_store(str(tmp_path / "store"), notes=imports.MADE_IN_PASSING)
    assert imports.lacking(layout, str(database)) == str(database)
    assert imports.lacking(layout, None) is None
    database.unlink()
    assert imports.lacking(layout, str(database)) is None


def test_store_made_for_an_import_lacks_it_until_the_end(tmp_path: Path, database: Path):
    layout = root.make_store(str(tmp_path / "store"), notes=imports.begun(str(database)))
    assert imports.lacking(layout, None) == str(database)
    imports.finish(layout, Import(str(database), DIGEST, NOW))
    assert imports.lacking(layout, None) is None
    assert imports.lacking(layout, str(database)) is None
    assert imports.imports(layout) == (Import(str(database), DIGEST, NOW),)


def test_import_that_was_begun_counts_in_a_store_made_on_purpose(layout: Layout, database: Path):
    imports.begin(layout, str(database))
    assert imports.lacking(layout, None) == str(database)
    database.unlink()
    assert imports.lacking(layout, None) is None


def test_store_filled_from_one_database_lacks_another(layout: Layout, database: Path):
    imports.finish(layout, Import("/elsewhere/old.db", DIGEST, NOW))
    assert imports.lacking(layout, str(database)) == str(database)
    imports.finish(layout, Import(str(database), DIGEST, NOW))
    assert imports.lacking(layout, str(database)) is None
    assert [one.database for one in imports.imports(layout)] == ["/elsewhere/old.db", str(database)]


def test_second_import_of_one_database_takes_the_place_of_the_first(layout: Layout, database: Path):
    other = Sha512("cd" * 64)
    for digest in (DIGEST, other):
        imports.finish(layout, Import(str(database), digest, NOW))
    assert [one.sha512 for one in imports.imports(layout)] == [other]


def test_database_is_known_by_every_name_that_leads_to_it(layout: Layout, database: Path, tmp_path: Path):
    link = tmp_path / "link.db"
    link.symlink_to(database)
    imports.finish(layout, Import(str(database), DIGEST, NOW))
    assert imports.lacking(layout, str(link)) is None


def test_notes_never_change_what_the_marker_has_to_say(tmp_path: Path):
    layout = root.make_store(str(tmp_path / "store"), notes={"format": 7, "blobs": "/elsewhere", "in_passing": True})
    assert documents.is_sealed(layout.marker)
    marker = documents.read_json(layout.marker)
    assert marker == {"format": 1, "locks": "kernel", "blobs": None, "in_passing": True}


def test_marker_keeps_what_it_said_before(tmp_path: Path, database: Path):
    layout = root.make_store(str(tmp_path / "store"), blobs=str(tmp_path / "blobs"))
    imports.begin(layout, str(database))
    imports.finish(layout, Import(str(database), DIGEST, NOW))
    found = root.find_store(layout.root)
    assert found is not None
    assert found.blobs == str(tmp_path / "blobs")


def test_import_that_was_noted_wrongly_is_damage(layout: Layout):
    marker = json.loads(Path(layout.marker).read_text())
    Path(layout.marker).write_text(json.dumps({**marker, "imported": [{"database": 7}]}))
    with pytest.raises(DocumentDamaged):
        imports.imports(layout)
