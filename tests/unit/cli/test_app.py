"""vmcatcher NOUN VERB: usage, making a store, checking one; exit codes, and nothing but results on stdout."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.schemas import check_envelope
from support.site import Site, image_id
from support.tree import tree
from vmcatcher import __version__, wiring
from vmcatcher.cli import app


@dataclass(frozen=True)
class Result:
    code: object
    out: str
    err: str


def run(*arguments: str) -> Result:
    out, err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8"), io.StringIO()
    root = logging.getLogger()
    before = root.handlers[:], root.level
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as end:
        app.main(list(arguments))
    root.handlers[:], root.level = before
    out.seek(0)
    return Result(end.value.code, out.read(), err.getvalue())


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty place for a store, named by VMCATCHER_STORE."""
    monkeypatch.setenv("VMCATCHER_STORE", str(tmp_path / "store"))
    return tmp_path / "store"


# -- the program


def test_version_is_one_line():
    assert run("--version") == Result(0, f"vmcatcher {__version__}\n", "")


@pytest.mark.parametrize(
    ("command", "usage", "argument"),
    [
        (("endorser", "show"), "ENDORSER", "  ENDORSER  An endorser"),
        (("subscription", "accept"), "LIST IMAGE...", "  IMAGE...  Identifiers of images."),
        (("config", "check"), "[FILE]", "  FILE  The settings file"),
        (("event", "drop"), "[ID...]", "  ID...  Events, by the beginning"),
    ],
)
def test_help_names_arguments_without_types_of_python(command: tuple[str, ...], usage: str, argument: str):
    text = run(*command, "--help").out
    assert text.startswith(f"Usage: vmcatcher {' '.join(command)} [OPTIONS] {usage}\n")
    assert f"\n{argument}" in text
    assert "<str>" not in text


def test_help_of_a_noun_has_a_whole_sentence_for_each_verb():
    text = " ".join(run("image", "--help").out.split())
    assert "show Show an image: what its list says, what was decided about it, and its versions in the cache." in text
    assert "..." not in text.split("Commands:")[1]


@pytest.mark.parametrize("flag", ["-h", "--help"])
@pytest.mark.parametrize("command", [(), ("demo",), ("store", "init"), ("store", "check")])
def test_help_is_plain_and_ends_with_examples(command: tuple[str, ...], flag: str):
    result = run(*command, flag)
    assert (result.code, result.err) == (0, "")
    assert f"  Examples:\n    {' '.join(('vmcatcher', *command))}" in result.out
    assert result.out.isascii()
    for option in ("--verbose", "--quiet", "--debug") if command else ():
        assert option in result.out


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("store",),
        ("nonsense",),
        ("store", "nonsense"),
        ("store", "check", "--nonsense"),
        ("store", "check", "stray"),
        ("store", "init", "a", "b"),
        ("demo", "--keep"),
        ("demo", "--store", "s"),
    ],
)
def test_wrong_usage_ends_with_2_and_leaves_stdout_empty(arguments: tuple[str, ...]):
    result = run(*arguments)
    assert (result.code, result.out) == (2, "")
    assert "Usage: vmcatcher" in result.err or result.err.startswith("Error: ")


def test_help_loads_nothing_that_commands_need():
    code = "import sys; from vmcatcher.cli.app import main\ntry: main(['--help'])\nfinally: print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.splitlines()[-1].split())
    heavy = {"cryptography", "filelock", "requests", "rich", "vmcatcher.wiring", "vmcatcher.demo", "vmcatcher.services"}
    assert "typer" in loaded
    assert loaded & heavy == set()


# -- what all commands share


def test_refusal_is_one_line_with_its_id(place: Path):
    result = run("store", "check")
    assert (result.code, result.out) == (75, "")
    assert result.err.startswith(f"ERROR:main:there is no store at {place}; ")
    assert result.err.endswith(" [store-missing]\n")
    assert result.err.count("\n") == 1


def test_debug_shows_where_a_refusal_came_from(place: Path):
    assert "Traceback" in run("store", "check", "--debug").err


def test_setting_that_makes_no_sense_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VMCATCHER_WAIT", "long")
    result = run("store", "check")
    assert result.code == 1
    assert "[bad-setting]" in result.err


def test_own_bug_ends_with_70_and_no_traceback(place: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(wiring, "shown_views", lambda *_: 1 / 0)
    run("store", "init")
    result = run("store", "check")
    assert (result.code, result.out) == (70, "")
    assert result.err.count("\n") == 1


def test_verbose_and_quiet_are_counted(place: Path):
    assert run("store", "init", "-v").err.startswith("INFO:")
    assert run("store", "init", "-vq").err == ""
    assert run("store", "init", str(place / "endorsers" / "x"), "--blobs", "/dev/null/b", "-qq").err == ""


def test_log_configuration_of_the_settings_is_used(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    log = tmp_path / "log"
    config = {
        "version": 1,
        "handlers": {"file": {"class": "logging.FileHandler", "filename": str(log)}},
        "root": {"handlers": ["file"], "level": "INFO"},
    }
    (tmp_path / "log.json").write_text(json.dumps(config))
    monkeypatch.setenv("VMCATCHER_LOG_CONF", str(tmp_path / "log.json"))
    # In a process of its own: the configuration would stay with this one.
    code = "from vmcatcher.cli.app import main; main(['store', 'check'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (75, "")
    assert log.read_text().startswith(f"there is no store at {place}; ")


# -- store init


def test_init_makes_a_store_and_says_where(place: Path):
    assert run("store", "init") == Result(0, f"made the store {place}, image bytes in {place}/blobs\n", "")
    assert run("store", "check") == Result(0, "", "")


def test_init_of_a_store_that_is_there_changes_nothing(place: Path):
    run("store", "init")
    before = tree(place)
    assert run("store", "init") == Result(0, f"the store is there already: {place}, image bytes in {place}/blobs\n", "")
    assert tree(place) == before


def test_init_takes_the_directory_by_name_over_every_setting(place: Path, tmp_path: Path):
    named = tmp_path / "named"
    assert run("store", "init", str(named)).code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["named"]


def test_init_of_a_relative_directory_says_the_whole_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    result = run("store", "init", "here", "--blobs", "there")
    assert result.out == f"made the store {tmp_path}/here, image bytes in {tmp_path}/there\n"
    assert json.loads((tmp_path / "here" / "vmcatcher.json").read_text())["blobs"] == f"{tmp_path}/there"


def test_init_again_with_the_same_blobs_is_fine_and_with_others_refused(place: Path, tmp_path: Path):
    (tmp_path / "link").symlink_to("bytes")
    assert run("store", "init", "--blobs", str(tmp_path / "bytes")).code == 0
    assert run("store", "init", "--blobs", str(tmp_path / "link")).code == 0
    before = tree(tmp_path)
    result = run("store", "init", "--blobs", str(tmp_path / "elsewhere"))
    assert (result.code, result.out) == (1, "")
    assert "[blobs-elsewhere]" in result.err
    assert tree(tmp_path) == before


def test_init_does_not_move_in_with_strangers(place: Path):
    place.mkdir()
    (place / "thesis.tex").write_text("dear reader")
    result = run("store", "init")
    assert (result.code, result.out) == (1, "")
    assert f"{place}/thesis.tex" in result.err
    assert "[strangers-there]" in result.err
    assert [path.name for path in place.iterdir()] == ["thesis.tex"]


def test_init_completes_what_was_begun(place: Path):
    run("store", "init")
    (place / "vmcatcher.json").unlink()
    assert run("store", "init").out.startswith("made the store")
    (place / "quarantine").rmdir()
    assert run("store", "init").out.startswith("the store is there already")
    assert (place / "quarantine").is_dir()


@pytest.mark.parametrize("below", ["", "store"])
def test_init_where_a_file_stands_is_refused(tmp_path: Path, below: str):
    (tmp_path / "file").write_text("")
    result = run("store", "init", str(tmp_path / "file" / below))
    assert result.code == 1
    assert "[bad-store-location]" in result.err


def test_init_of_a_store_of_another_version_is_refused(place: Path):
    place.mkdir()
    (place / "vmcatcher.json").write_text('{"format": 2}')
    result = run("store", "init")
    assert result.code == 1
    assert "[unknown-format]" in result.err


def test_init_over_a_classic_database_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VMCATCHER_RDBMS", f"sqlite:///{tmp_path}/site.db")
    (tmp_path / "site.db").write_text("")
    result = run("store", "init")
    assert result.code == 1
    assert "[database-not-imported]" in result.err
    assert not (tmp_path / "site").exists()
    (tmp_path / "site.db").unlink()
    assert run("store", "init").code == 0
    assert (tmp_path / "site").is_dir()


@pytest.mark.root
@pytest.mark.parametrize("is_store", [False, True])
def test_init_in_a_directory_of_another_user_is_refused(place: Path, is_store: bool):
    place.mkdir()
    if is_store:
        run("store", "init")
        (place / "quarantine").rmdir()
    os.chown(place, 65534, 65534)
    before = tree(place)
    result = run("store", "init")
    assert result.code == 1
    assert "[foreign-owner]" in result.err
    assert tree(place) == before


# -- store check


@pytest.fixture
def cached(site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A site with one image in its cache; the commands find its store."""
    site.join(site.image(1))
    site.select(1)
    site.cache()
    monkeypatch.setenv("VMCATCHER_STORE", str(site.store))
    return site


def test_check_of_a_sound_store_says_nothing(cached: Site):
    assert run("store", "check", "--data") == Result(0, "", "")


def test_check_with_notes_only_ends_with_4(cached: Site):
    foreign = cached.store / "README"
    foreign.write_text("hello")
    (cached.store / "endorsed" / image_id(1)).unlink()
    result = run("store", "check")
    assert (result.code, result.err) == (4, "")
    assert [line.split(":")[0] for line in result.out.splitlines()] == ["I13 note", "I4 note"]
    assert result.out.splitlines()[0] == f"I13 note: {foreign}: vmcatcher did not put it there"


def test_check_names_damage_first_and_ends_with_1(cached: Site):
    (cached.store / "README").write_text("hello")
    (cached.store / "endorsers" / "alice.json").write_text("{")
    result = run("store", "check")
    assert result.code == 1
    assert [line.split(":")[0] for line in result.out.splitlines()] == ["I1 damage", "I13 note"]


def test_rotten_bytes_are_found_with_data_only(cached: Site):
    blob = next((cached.store / "blobs" / "sha512").glob("??/*"))
    content = blob.read_bytes()
    blob.chmod(0o644)
    blob.write_bytes(b"X" + content[1:])
    blob.chmod(0o444)
    assert run("store", "check").code == 0
    result = run("store", "check", "--data")
    assert result.code == 1
    assert result.out == f"I2 damage: {blob}: its bytes do not have the SHA-512 of its name\n"


def test_check_as_json_is_one_document(cached: Site):
    (cached.store / "README").write_text("hello")
    result = run("store", "check", "--json")
    assert result.code == 4
    assert check_envelope(result.out)["result"] == {
        "store": str(cached.store),
        "damaged": 0,
        "notes": 1,
        "repaired": [],
        "findings": [
            {
                "invariant": "I13",
                "damage": False,
                "path": f"{cached.store}/README",
                "text": "vmcatcher did not put it there",
            }
        ],
    }


def test_finding_stays_on_its_line_whatever_a_file_is_called(cached: Site):
    (cached.store / "a\nb\x1b[2J").write_text("")
    result = run("store", "check")
    assert result.out.count("\n") == 1
    assert "\x1b" not in result.out


def test_check_looks_at_the_views_that_are_set(cached: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    view = tmp_path / "view"
    for directory in (view, view / "partial", view / "expired"):
        directory.mkdir()
    cached.cache("-C", str(view))
    (cached.store / "endorsed" / image_id(1)).unlink()
    assert run("store", "check").code == 4
    monkeypatch.setenv("VMCATCHER_CACHE_DIR_CACHE", str(view))
    assert run("store", "check") == Result(0, "", "")


@pytest.mark.root
def test_everybody_may_check(cached: Site):
    os.chown(cached.store, 65534, 65534)
    assert run("store", "check") == Result(0, "", "")
