"""The composition root: which store, who may open it, and what a run is equipped with."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from support.pki import Pki
from vmcatcher import wiring
from vmcatcher.errors.store import BadStoreLocation, DatabaseNotImported, StoreMissing
from vmcatcher.errors.trust import TrustDirectoryEmpty, TrustDirectoryMissing
from vmcatcher.model.event import EventKind
from vmcatcher.services.context import Context
from vmcatcher.settings import HELD_LOCKS, Settings, Value, load_settings
from vmcatcher.store import root
from vmcatcher.store.layout import Layout
from vmcatcher.wiring import StoreChoice, choose_store


def _settings(tmp_path: Path, flags: dict[str, Value] | None = None, **environment: str) -> Settings:
    return load_settings(flags or {}, environment={"HOME": str(tmp_path), **environment})


def _as(settings: Settings, *, is_root: bool) -> Settings:
    return Settings(settings.values, settings.sources, settings.environment, settings.home, is_root)


def _store(tmp_path: Path, name: str = "store") -> Layout:
    return root.make_store(str(tmp_path / name))


# -- which store


def test_default_is_the_system_s_store_for_root_and_one_s_own_for_others(tmp_path: Path):
    nothing = _settings(tmp_path)
    assert choose_store(_as(nothing, is_root=True)) == StoreChoice("/var/lib/vmcatcher", "default")
    own = choose_store(_as(nothing, is_root=False))
    assert own == StoreChoice(f"{tmp_path}/.local/share/vmcatcher", "default")
    elsewhere = _as(_settings(tmp_path, XDG_DATA_HOME="/data"), is_root=False)
    assert choose_store(elsewhere).root == "/data/vmcatcher"


def test_default_of_a_user_without_a_home_is_refused(tmp_path: Path):
    homeless = _as(_settings(tmp_path, XDG_DATA_HOME="relative"), is_root=False)
    with pytest.raises(BadStoreLocation):
        choose_store(homeless)


@pytest.mark.parametrize(
    ("flags", "environment", "root_and_source"),
    [
        ({"store": "/a", "database": "/b"}, {"VMCATCHER_STORE": "/c", "VMCATCHER_RDBMS": "/d"}, ("/a", "option")),
        ({"database": "/b"}, {"VMCATCHER_STORE": "/c", "VMCATCHER_RDBMS": "/d"}, ("/b", "option")),
        ({}, {"VMCATCHER_STORE": "/c", "VMCATCHER_RDBMS": "/d"}, ("/c", "VMCATCHER_STORE")),
        ({}, {"VMCATCHER_RDBMS": "/d"}, ("/d", "VMCATCHER_RDBMS")),
        ({}, {"VMCATCHER_STORE": "", "VMCATCHER_RDBMS": "/d"}, ("/d", "VMCATCHER_RDBMS")),
        ({"store": "", "database": ""}, {"VMCATCHER_RDBMS": "/d"}, ("/d", "VMCATCHER_RDBMS")),
    ],
)
def test_options_count_before_variables(
    flags: dict[str, Value], environment: dict[str, str], root_and_source: tuple[str, str], tmp_path: Path
):
    choice = choose_store(_settings(tmp_path, flags, **environment))
    assert (choice.root, choice.source) == root_and_source


def test_variables_count_before_the_settings_file(tmp_path: Path):
    config = tmp_path / "vmcatcher.toml"
    config.write_text('store = "/file"\n')
    named = {"VMCATCHER_CONFIG": str(config)}
    assert choose_store(_settings(tmp_path, **named)) == StoreChoice("/file", str(config))
    assert choose_store(_settings(tmp_path, **named, VMCATCHER_RDBMS="/d")).root == "/d"
    config.write_text('database = "sqlite:////dir/file.db"\n')
    assert choose_store(_settings(tmp_path, **named)).root == "/dir/file"
    assert choose_store(_settings(tmp_path, **named, VMCATCHER_STORE="/c")).root == "/c"


@pytest.mark.parametrize(
    ("given", "store", "database"),
    [
        ("/a/b", "/a/b", None),
        ("/a/../b/", "/b", None),
        ("file:///a/b", "/a/b", None),
        ("file:////a/b", "/a/b", None),
        ("file:/a/b", "/a/b", None),
        ("file://localhost/a%20b", "/a b", None),
        ("sqlite:////a/b.db", "/a/b", "/a/b.db"),
        ("sqlite:////a/b.c.db", "/a/b.c", "/a/b.c.db"),
        ("sqlite:////a/b.sqlite", "/a/b", "/a/b.sqlite"),
        ("sqlite:////a/b.db?timeout=5", "/a/b", "/a/b.db"),
        ("sqlite+pysqlite:////a/b.db", "/a/b", "/a/b.db"),
    ],
)
def test_database_url_names_a_store(given: str, store: str, database: str | None, tmp_path: Path):
    choice = choose_store(_settings(tmp_path, {"database": given}))
    assert (choice.root, choice.database) == (store, database)


def test_relative_place_is_below_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert choose_store(_settings(tmp_path, {"store": "a"})).root == f"{tmp_path}/a"
    choice = choose_store(_settings(tmp_path, {"database": "sqlite:///vmcatcher.db"}))
    assert (choice.root, choice.database) == (f"{tmp_path}/vmcatcher", f"{tmp_path}/vmcatcher.db")


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("mysql://u:CANARY@h/x", "mysql://***@h/x"),
        ("postgresql+psycopg2://u:CAN@ARY@h/x", "postgresql+psycopg2://***@h/x"),
        ("oracle://h/x", "oracle://h/x"),
        ("sqlite://", "sqlite://"),
        ("sqlite:////a/b", "sqlite:////a/b"),
        ("file:a", "file:a"),
        ("file://other.host/a", "file://other.host/a"),
    ],
)
def test_what_names_no_store_is_refused_without_its_password(given: str, shown: str, tmp_path: Path):
    with pytest.raises(BadStoreLocation) as caught:
        choose_store(_settings(tmp_path, {"database": given}))
    assert caught.value.given == shown
    assert "CANARY" not in caught.value.one_line()


# -- opening it


def test_query_without_a_store_has_no_context_and_makes_none(tmp_path: Path):
    settings = _settings(tmp_path, {"store": str(tmp_path / "x")})
    assert wiring.reading(settings, "test") is None
    with pytest.raises(StoreMissing):
        wiring.writing(settings, "test")
    assert list(tmp_path.iterdir()) == []


def test_command_that_may_makes_the_store(tmp_path: Path):
    settings = _settings(tmp_path, {"store": str(tmp_path / "x"), "wait": 7.0}, **{HELD_LOCKS: "update:/y"})
    context = wiring.writing(settings, "test", create=True)
    assert (context.layout.root, context.command, context.wait_s) == (str(tmp_path / "x"), "test", 7.0)
    assert context.inherited_locks == {"update:/y"}
    assert context.now.tzinfo is UTC
    assert wiring.reading(settings, "test") is not None


def test_directories_that_somebody_removed_are_made_again_before_a_change(tmp_path: Path):
    layout = _store(tmp_path)
    os.rmdir(layout.marks)
    settings = _settings(tmp_path, {"store": layout.root})
    wiring.reading(settings, "test")
    assert not os.path.isdir(layout.marks)
    wiring.writing(settings, "test")
    assert os.path.isdir(layout.marks)


def test_file_where_the_store_should_be_is_refused(tmp_path: Path):
    path = tmp_path / "vmcatcher.db"
    path.write_bytes(b"SQLite format 3\0")
    settings = _settings(tmp_path, {"store": str(path)})
    for open_store in (wiring.reading, wiring.writing):
        with pytest.raises(BadStoreLocation, match="it is a file"):
            open_store(settings, "test")


@pytest.mark.parametrize("create", [False, True])
def test_database_that_was_not_imported_stops_reading_and_writing(create: bool, tmp_path: Path):
    database = tmp_path / "vmcatcher.db"
    database.write_bytes(b"")
    settings = _settings(tmp_path, {"database": f"sqlite:///{database}"})
    with pytest.raises(DatabaseNotImported) as caught:
        wiring.reading(settings, "test")
    assert (caught.value.database, caught.value.store) == (str(database), str(tmp_path / "vmcatcher"))
    with pytest.raises(DatabaseNotImported):
        wiring.writing(settings, "test", create=create)
    assert not (tmp_path / "vmcatcher").exists()


def test_clock_is_aware_and_now():
    assert abs((wiring.clock() - datetime.now(UTC)).total_seconds()) < 60


# -- what a run is equipped with


def test_trust_rules_are_what_the_settings_say(tmp_path: Path):
    plain = wiring.trust_rules(_settings(tmp_path))
    assert (plain.sha1, plain.crl, plain.policy, plain.ca_signer) == (False, "require", "both", False)
    lax = wiring.trust_rules(
        _settings(
            tmp_path,
            VMCATCHER_TRUST_SHA1="1",
            VMCATCHER_TRUST_CRL="off",
            VMCATCHER_TRUST_POLICY="first",
            VMCATCHER_TRUST_EKUS="1.2.3 4.5",
            VMCATCHER_TRUST_CA_SIGNER="yes",
            VMCATCHER_LIST_BYTES="5",
        )
    )
    assert (lax.sha1, lax.crl, lax.policy, lax.ca_signer, lax.max_bytes) == (True, "off", "first", True, 5)
    assert lax.ekus == {"1.2.3", "4.5"}


def test_tools_need_a_trust_directory_with_cas(tmp_path: Path):
    layout = _store(tmp_path)
    empty = tmp_path / "empty"
    empty.mkdir()
    for directory, error in ((tmp_path / "missing", TrustDirectoryMissing), (empty, TrustDirectoryEmpty)):
        settings = _settings(tmp_path, {"store": layout.root, "trust_directory": str(directory)})
        context = wiring.writing(settings, "test")
        with pytest.raises(error), wiring.tools(settings, context):
            pytest.fail("nothing can be verified")
    pki = Pki(tmp_path / "pki")
    settings = _settings(tmp_path, {"store": layout.root, "trust_directory": str(pki.certificates)})
    with wiring.tools(settings, wiring.writing(settings, "test")) as tools:
        assert tools.trust_directory == str(pki.certificates)


def _told(settings: Settings, context: Context, tmp_path: Path) -> dict[str, str]:
    teller = wiring.teller(settings, context, "sub_event", {"VMCATCHER_MY_OWN": "x"}, locks=("update",))
    teller.tell_run(EventKind.PROCESS_PREFIX)
    lines = (tmp_path / "told").read_bytes().decode().split("\0")
    return dict(line.split("=", 1) for line in lines if line.startswith("VMCATCHER_"))


def test_handler_is_told_the_store_the_database_and_the_locks(tmp_path: Path):
    layout = _store(tmp_path, "vmcatcher")
    url = f"sqlite:///{tmp_path}/vmcatcher.db"
    environment = {"PATH": os.environ["PATH"], "VMCATCHER_RDBMS": url, HELD_LOCKS: "cache:/elsewhere"}
    settings = _settings(tmp_path, {"sub_event": f"env -0 > {tmp_path}/told"}, **environment)
    context = wiring.writing(settings, "test")
    told = _told(settings, context, tmp_path)
    assert told["VMCATCHER_STORE"] == layout.root
    assert told["VMCATCHER_RDBMS"] == url
    assert told["VMCATCHER_MY_OWN"] == "x"
    assert told["VMCATCHER_EVENT_TYPE"] == "ProcessPrefix"
    assert told[HELD_LOCKS].split("\n") == ["cache:/elsewhere", context.held_name("update")]


def test_without_a_handler_nobody_listens(tmp_path: Path):
    settings = _settings(tmp_path, {"store": _store(tmp_path).root, "sub_event": ""})
    context = wiring.writing(settings, "test")
    for handler in ("sub_event", "cache_event"):
        assert not wiring.teller(settings, context, handler, {}, locks=("update",)).is_listening


def test_asking_which_store_loads_nothing_heavy(tmp_path: Path):
    program = (
        "import sys\nfrom vmcatcher import wiring\nfrom vmcatcher.settings import load_settings\n"
        f"wiring.reading(load_settings({{'store': {str(tmp_path)!r}}}), 'x')\nprint(*sys.modules)"
    )
    modules = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not {"cryptography", "requests", "ssl", "filelock", "vmcatcher.trust", "vmcatcher.transport"} & set(modules)
