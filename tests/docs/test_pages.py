"""What README.md and the documentation say is so."""

from __future__ import annotations

import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import vmcatcher.errors
from docs.pages import DOCS, ROOT, TUTORIAL, Step, is_as_told, is_there, lies, publisher, replaced, run, steps, wait_for
from vmcatcher.errors import VmcatcherError
from vmcatcher.model.event import EventKind, OwedEvent, event_variables, image_variables
from vmcatcher.model.record import Reason, State


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _first_column(page: str, heading: str) -> list[str]:
    """Return the first cells, less their code marks, of the table under a heading (or of the whole page for '')."""
    part = page.partition(f"## {heading}\n")[2] if heading else page
    part = part.partition("\n## ")[0]
    rows = [line for line in part.splitlines() if line.startswith("|")]
    return [row.split("|")[1].strip().strip("`") for row in rows[2:]]


_needs_openssl = pytest.mark.skipif(not is_there("openssl"), reason="needs openssl")


@pytest.mark.slow
@_needs_openssl
def test_tutorial_prints_what_it_says(tmp_path: Path, port: int) -> None:
    wanted = steps(_read(TUTORIAL).replace("8000", str(port)))
    server = next(number for number, step in enumerate(wanted) if "http.server" in step.command)
    wanted.insert(server + 1, wait_for(port))
    done = run(wanted, tmp_path / "work", on_terminal=True)
    assert lies(done) == []
    assert len(done) == len(wanted)


@pytest.mark.slow
@_needs_openssl
def test_readme_quick_start_prints_what_it_says(tmp_path: Path, port: int) -> None:
    """The README's publisher is played by the tutorial's."""
    page = replaced(
        _read(ROOT / "README.md").partition("## Quick start")[2],
        ("https://images.example.org/site.image_list", f"http://127.0.0.1:{port}/tutorial.image_list"),
        ("Example CA", "Tutorial CA"),
        ("site-list", "tutorial-list"),
        ("/srv/vmcatcher", f"{tmp_path}/store"),
        ("/tmp/events", f"{tmp_path}/events"),
    )
    site = [Step("export VMCATCHER_DIR_CERT=$PWD/certificates", None), *steps(page)]
    done = run([*publisher(port), *site, Step("kill $!", None)], tmp_path / "work")
    assert lies(done) == []
    assert done[-1][0].command == "kill $!"


def test_page_that_lies_is_found(tmp_path: Path) -> None:
    wanted = steps("```sh\nx=1\n```\ntext\n```console\n$ echo $x\n1\n$ echo a; false\nb\n$ date >&2\n…:…\n```\n")
    done = run(wanted, tmp_path / "work")
    assert [is_as_told(step, printed) for step, printed in done] == [True, True, False, True]


def test_readme_shows_the_two_commands() -> None:
    readme = _read(ROOT / "README.md")
    for command in ("contrib/demo", "contrib/test"):
        assert re.search(rf"^{command}\b", readme, re.MULTILINE)
        assert (ROOT / command).stat().st_mode & 0o111


def test_every_link_of_the_readme_leads_somewhere() -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", _read(ROOT / "README.md"))
    assert targets
    assert [target for target in targets if not (ROOT / target).is_file()] == []


def test_generated_pages_are_up_to_date() -> None:
    check = subprocess.run(
        [sys.executable, str(ROOT / "contrib/docs/generate"), "--check"], capture_output=True, text=True, check=False
    )
    assert check.returncode == 0, check.stdout + check.stderr


def test_exit_code_tables_name_every_code_of_every_error() -> None:
    for module in pkgutil.walk_packages(vmcatcher.errors.__path__, "vmcatcher.errors."):
        importlib.import_module(module.name)
    page = _read(DOCS / "reference/exit-codes.md")
    general = {int(code) for code in _first_column(page.partition("\n## ")[0], "")}
    classic = {int(code) for code in _first_column(page, "Codes of a classic update")}
    kinds = _below(VmcatcherError)
    assert {kind.exit_code for kind in kinds} <= general
    assert {kind.classic_exit for kind in kinds} <= general | classic


def _below(kind: type[VmcatcherError]) -> list[type[VmcatcherError]]:
    return [found for child in kind.__subclasses__() for found in (child, *_below(child))]


def test_events_page_lists_the_kinds_and_their_repetition() -> None:
    page = _read(DOCS / "reference/events.md")
    told = {row.split("|")[1].strip().strip("`"): row.split("|")[4].strip() for row in _rows(page, "Kinds")}
    assert told == {kind.value: "no" if kind.is_told_once else "yes" for kind in EventKind}


def _rows(page: str, heading: str) -> list[str]:
    part = page.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return [line for line in part.splitlines() if line.startswith("|")][2:]


def test_events_page_lists_the_reasons() -> None:
    assert _first_column(_read(DOCS / "reference/events.md"), "Reasons") == [reason.value for reason in Reason]


def test_events_page_lists_the_variables() -> None:
    every_field = _EveryField()
    names = {
        *image_variables(every_field, size_bytes=1, sha512="0", list_id="l", vo="v"),
        *event_variables(OwedEvent(EventKind.EXPIRE_POSTFIX, "i"), session="s", filename="f", reason="r"),
    }
    told = {name for name in _first_column(_read(DOCS / "reference/events.md"), "Variables") if "_EVENT_" in name}
    assert told == names


class _EveryField(dict[str, object]):
    """An image that has whatever field is asked for."""

    def get(self, key: str, default: object = None) -> object:
        return key


def test_cache_record_page_lists_the_states() -> None:
    assert _first_column(_read(DOCS / "explanation/cache-record.md"), "States") == [state.value for state in State]


def test_every_variable_that_the_program_reads_is_listed() -> None:
    in_source = {
        name
        for path in (ROOT / "src").rglob("*.py")
        for name in re.findall(r"[\"'](VMCATCHER_[A-Z_]*[A-Z])[\"']", _read(path))
    }
    told = {
        name
        for page in ("environment.md", "events.md", "settings.md")
        for name in re.findall(r"`(VMCATCHER_[A-Z_]*[A-Z])`", _read(DOCS / "reference" / page))
    }
    assert in_source <= told
