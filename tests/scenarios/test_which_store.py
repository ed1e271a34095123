"""Which directory is the store, who makes one, and who may change it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.server import Server
from support.site import LIST_ID, Result, Site, image_id
from support.tree import tree

NOBODY = 65534
CREATE = ("-C", "--dn", "/CN=x", "-I", "/CN=ca", "-e")
QUERIES = [
    ("endorser", "-l"),
    ("endorser", "-K"),
    ("endorser", "-i", "-e", "x"),
    ("subscribe", "-l"),
    ("subscribe", "-i", "-u", LIST_ID),
    ("subscribe", "--image-list", "-u", LIST_ID),
    ("image", "-l"),
    ("image", "-i", "-u", image_id(1)),
]
CHANGES = [
    ("endorser", "-D", "-e", "alice"),
    ("endorser", "-k", "-e", "alice", "-s", LIST_ID),
    ("endorser", "-u", "-e", "alice", "-s", LIST_ID),
    ("subscribe", "-U"),
    ("subscribe", "-D", "-u", LIST_ID),
    ("subscribe", "--image-accept", image_id(1), "-u", LIST_ID),
    ("subscribe", "--image-refuse", image_id(1), "-u", LIST_ID),
    ("subscribe", "--uri-trustanchor-set", "igtf", "-u", LIST_ID),
    ("subscribe", "--uri-password-clear", "-u", LIST_ID),
    ("subscribe", "--imagelist-newimage-accept", "-u", LIST_ID),
    ("image", "-a", "-u", image_id(1)),
    ("image", "-r", "-u", image_id(1)),
    ("image", "-D", "-u", image_id(1)),
    ("cache",),
]


def _words(command: tuple[str, ...]) -> str:
    return " ".join(command[:2])


def _named(result: Result) -> list[str]:
    return [line.split("\t")[0].strip("'") for line in result.lines]


@pytest.fixture
def stores(site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A site with no store in its environment, and the stores `a` to `d`, each with an endorser of its name."""
    monkeypatch.chdir(site.root)
    del site.environment["VMCATCHER_STORE"]
    for name in "abcd":
        site.expect(0, "endorser", *CREATE, name, "--store", name)
    return site


def test_options_count_before_variables_and_the_store_before_the_database(stores: Site):
    environment = {"VMCATCHER_STORE": "c", "VMCATCHER_RDBMS": "d"}
    words = ["--store", "a", "-d", "b"]
    assert _named(stores.expect(0, "endorser", "-l", *words, **environment)) == ["a"]
    assert _named(stores.expect(0, "endorser", "-l", *words[2:], **environment)) == ["b"]
    assert _named(stores.expect(0, "endorser", "-l", **environment)) == ["c"]
    assert _named(stores.expect(0, "endorser", "-l", VMCATCHER_RDBMS="d")) == ["d"]


def test_variable_counts_before_the_settings_file(stores: Site):
    settings = stores.root / "vmcatcher.toml"
    settings.write_text('store = "a"\n')
    config = {"VMCATCHER_CONFIG": str(settings)}
    assert _named(stores.expect(0, "endorser", "-l", **config)) == ["a"]
    assert _named(stores.expect(0, "endorser", "-l", **config, VMCATCHER_RDBMS="d")) == ["d"]
    assert _named(stores.expect(0, "endorser", "-l", "-d", "b", **config, VMCATCHER_STORE="c")) == ["b"]


@pytest.mark.parametrize(
    "url",
    [
        "a",
        "{root}/a",
        "{root}/a/",
        "file://{root}/a",
        "file://localhost{root}/a",
        "file:{root}/a",
        "file:////{root}/a",
        "sqlite:///{root}/a.db",
        "sqlite:////{root}/a.db",
        "sqlite:///a.db",
        "sqlite+pysqlite:///{root}/a.sqlite3",
        "sqlite:///{root}/a.db?timeout=30",
    ],
)
def test_database_option_names_a_directory_or_a_database_that_stands_for_one(stores: Site, url: str):
    url = url.format(root=stores.root)
    assert _named(stores.expect(0, "endorser", "-l", "-d", url)) == ["a"]
    assert _named(stores.expect(0, "endorser", "-l", VMCATCHER_RDBMS=url)) == ["a"]


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("mysql://user:CANARY@host/name", "only SQLite databases"),
        ("postgresql+psycopg2://user:CANARY@host/name", "only SQLite databases"),
        ("nosuch:///x", "only SQLite databases"),
        ("sqlite://", "only SQLite databases"),
        ("sqlite:///:memory:", "no ending"),
        ("sqlite:////var/lib/vmcatcher", "no ending"),
        ("file://elsewhere/x", "absolute path on this machine"),
        ("file:x", "absolute path on this machine"),
        ("a/vmcatcher.json", "it is a file"),
    ],
)
def test_url_that_cannot_name_a_store_is_refused_in_one_line(stores: Site, url: str, says: str):
    before = tree(stores.root)
    for words in (("-l",), (*CREATE, "x")):
        result = stores.run("endorser", *words, "-d", url)
        assert result.code == 1
        assert says in result.err
        assert "CANARY" not in result.err
        assert result.err.count("\n") == 1
    assert tree(stores.root) == before


@pytest.mark.parametrize("command", QUERIES, ids=_words)
def test_query_without_a_store_warns_and_prints_nothing(site: Site, command: tuple[str, ...]):
    result = site.expect(0, *command)
    assert result.out == ""
    assert result.err == f"WARNING:main:there is no store at {site.store}\n"
    assert not site.store.exists()


def test_json_query_without_a_store_is_an_empty_document(site: Site):
    for command in ("endorser", "subscribe", "image"):
        assert site.expect(0, command, "-l", "-f", "json").json == []


@pytest.mark.parametrize("command", CHANGES, ids=_words)
def test_change_without_a_store_is_to_be_tried_again_later(site: Site, command: tuple[str, ...]):
    result = site.run(*command)
    assert result.code == 75
    assert f"there is no store at {site.store}" in result.err
    assert result.err.count("\n") == 1
    assert not site.store.exists()


def test_creating_an_endorser_or_subscribing_makes_the_store(site: Site):
    site.publish("1", site.image(1))
    for name, words in (("a", ("endorser", *CREATE, "x")), ("b", ("subscribe", "-e", "-s", site.server.url("/list")))):
        store = site.root / "deep" / name
        site.expect(0, *words, "--store", str(store))
        assert (store / "vmcatcher.json").exists()


def test_store_is_not_made_among_files_of_somebody_else(site: Site):
    site.store.mkdir()
    (site.store / "thesis.tex").write_text("mine")
    result = site.run("endorser", *CREATE, "x")
    assert result.code == 1
    assert "thesis.tex" in result.err
    assert [path.name for path in site.store.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize(
    "command", [*QUERIES, *CHANGES, ("endorser", *CREATE, "x"), ("subscribe", "-s", "/x")], ids=_words
)
@pytest.mark.parametrize("how", ["option", "variable"])
def test_database_that_was_not_imported_stops_every_command(site: Site, command: tuple[str, ...], how: str):
    database = site.root / "vmcatcher.db"
    database.write_bytes(b"SQLite format 3\0")
    del site.environment["VMCATCHER_STORE"]
    url = f"sqlite:///{database}"
    before = tree(site.root)
    result = site.run(*command, *(["-d", url] if how == "option" else []), VMCATCHER_RDBMS=url)
    assert result.code == 1
    assert result.out == ""
    assert f"vmcatcher store import-db --store {site.root}/vmcatcher {database}" in result.err
    assert result.err.count("\n") == 1
    assert tree(site.root) == before


def test_database_that_is_not_there_is_no_obstacle(site: Site):
    site.expect(0, "endorser", *CREATE, "x", "--store", str(site.root / "vmcatcher"))
    del site.environment["VMCATCHER_STORE"]
    assert _named(site.expect(0, "endorser", "-l", "-d", f"sqlite:///{site.root}/vmcatcher.db")) == ["x"]


@pytest.mark.parametrize("content", ['{"format": 2}', "{", "[]", '{"format": 1, "locks": "unheard-of"}'])
def test_store_of_another_format_is_read_and_changed_by_nobody(site: Site, content: str):
    site.join(site.image(1))
    (site.store / "vmcatcher.json").write_text(content)
    before = site.tree()
    for command in (*QUERIES, *CHANGES):
        result = site.run(*command)
        assert result.code == 1, (command, result)
        assert result.out == ""
        assert "vmcatcher.json" in result.err
    assert site.tree() == before


# -- whose store it is


@pytest.fixture
def shared(server: Server) -> Iterator[Site]:
    """A site below a directory that every user may enter."""
    root = Path(tempfile.mkdtemp(prefix="vmcatcher-shared-"))
    root.chmod(0o755)
    site = Site(root, server)
    site.join(site.image(1))
    site.select(1)
    yield site
    shutil.rmtree(root)


def _as_nobody(site: Site, *command: str) -> Result:
    prefix = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
    return site.call(*command, prefix=prefix, HOME="/nonexistent")


def _give_to_nobody(site: Site) -> None:
    os.chown(site.store, NOBODY, NOBODY)
    for directory, names, files in os.walk(site.store):
        for name in names + files:
            os.chown(os.path.join(directory, name), NOBODY, NOBODY, follow_symlinks=False)


@pytest.mark.root
def test_store_of_another_user_is_read_and_not_changed(site: Site):
    site.join(site.image(1))
    site.select(1)
    os.chown(site.store, NOBODY, NOBODY)
    before = site.tree()
    for command in QUERIES[:-1]:
        site.expect(0, *command)
    assert site.states() == {image_id(1): 3}
    for command in (*CHANGES, ("endorser", *CREATE, "x"), ("subscribe", "-s", site.server.url("/list"))):
        result = site.run(*command)
        assert result.code == 1, (command, result)
        assert "belongs to user nobody; root may read it but not change it" in result.err
        assert "sudo -u nobody" in result.err
        assert result.err.count("\n") == 1
    assert site.tree() == before


@pytest.mark.root
def test_other_user_may_list_and_not_change(shared: Site):
    before = tree(shared.store, ignore=())
    listed = _as_nobody(shared, "vmcatcher_image", "-l")
    assert (listed.code, listed.out, listed.err) == (0, f"{image_id(1)}\t3\t{LIST_ID}\n", "")
    refused = _as_nobody(shared, "vmcatcher_image", "-r", "-u", image_id(1))
    assert refused.code == 1
    assert "belongs to user root; nobody may read it" in refused.err
    assert tree(shared.store, ignore=()) == before


@pytest.mark.root
def test_store_that_its_owner_cannot_write_is_listed(shared: Site):
    _give_to_nobody(shared)
    for directory, _, files in os.walk(shared.store, topdown=False):
        for name in files:
            os.chmod(os.path.join(directory, name), 0o444)
        os.chmod(directory, 0o555)
    before = tree(shared.store, ignore=())
    for command in ("vmcatcher_image", "vmcatcher_subscribe", "vmcatcher_endorser"):
        listed = _as_nobody(shared, command, "-l")
        assert (listed.code, listed.err) == (0, "")
        assert listed.out
    refused = _as_nobody(shared, "vmcatcher_image", "-r", "-u", image_id(1))
    assert refused.code == 1
    assert "Permission denied" in refused.err
    assert refused.err.count("\n") == 1
    assert tree(shared.store, ignore=()) == before


@pytest.mark.root
def test_store_that_a_user_cannot_read_is_an_error_and_not_an_empty_answer(shared: Site):
    shared.store.chmod(0o700)
    result = _as_nobody(shared, "vmcatcher_image", "-l")
    assert result.code == 1
    assert result.out == ""
    assert "Permission denied" in result.err


@pytest.mark.root
def test_password_of_another_user_is_not_shown(shared: Site):
    words = ("--uri-username-set", "user", "--uri-password-set", "CANARY", "-u", LIST_ID)
    shared.expect(0, "subscribe", *words)
    shown = _as_nobody(shared, "vmcatcher_subscribe", "-i", "-u", LIST_ID)
    assert "subscription.hv:uri.password=***" in shown.lines
    refused = _as_nobody(shared, "vmcatcher_subscribe", "-i", "-u", LIST_ID, "--show-secrets")
    assert refused.code == 1
    assert "CANARY" not in refused.out + refused.err
