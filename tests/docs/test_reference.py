"""The reference and the explanations name what is in the program, and nothing else."""

from __future__ import annotations

import ast
import functools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
import typer.main

from docs.pages import DOCS, ROOT
from support.site import LIST_ID, Site, image_id
from vmcatcher import settings
from vmcatcher.cli.app import app
from vmcatcher.cli.classic import cache, endorser, handler_example, image, subscribe
from vmcatcher.errors import VmcatcherError
from vmcatcher.model import event
from vmcatcher.model.event import EventKind, OwedEvent
from vmcatcher.store import check, findings

_PAGES = [ROOT / "README.md", *sorted(path for path in DOCS.rglob("*.md") if "adr" not in path.parts)]
_PARSERS = {
    "vmcatcher_endorser": endorser._parser(),
    "vmcatcher_subscribe": subscribe._parser(),
    "vmcatcher_image": image._parser(),
    "vmcatcher_cache": cache._parser(),
    "vmcatcher_eventHndlExpl": handler_example._parser(),
}
# Of openssl, rsync, cp, useradd, pip, systemctl, Python's web server, mkdocs and the scripts in contrib.
_OTHERS = {
    "--all", "--arg", "--bind", "--checksum", "--collector", "--delete", "--directory", "--exclude", "--home-dir",
    "--link-dest",
    "--no-create-home", "--now", "--remove-destination", "--set", "--shell", "--soak", "--strict", "--system",
    "--upgrade", "--user-group",
}  # fmt: skip
# At the beginning of a line of code, perhaps as another user.
_CALL = re.compile(r"(?:\$ )?(?:sudo -u \w+ )?(?:env \S+ )?vmcatcher ([a-z]+)(?: ([a-z-]+))?")


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@functools.cache
def _verbs() -> dict[str, set[str]]:
    """Return `NOUN VERB` (or `VERB` alone) of the noun-verb command, with its options."""
    found: dict[str, set[str]] = {}
    for noun, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        below = getattr(command, "commands", None)
        for name, one in below.items() if below else [("", command)]:
            options = {option for parameter in one.params for option in (*parameter.opts, *parameter.secondary_opts)}
            found[f"{noun} {name}".strip()] = options | {"--help"}
    return found


def _code(page: str) -> Iterator[str]:
    """Yield the code spans and the lines of code blocks of a page."""
    for block in re.findall(r"^ *```.*?^ *```", page, re.MULTILINE | re.DOTALL):
        yield from block.replace("\\\n", " ").splitlines()[1:-1]
    yield from re.findall(
        r"`([^`\n]+(?:\n[^`\n]+)?)`", re.sub(r"^ *```.*?^ *```", "", page, flags=re.MULTILINE | re.DOTALL)
    )


@pytest.mark.parametrize("page", _PAGES, ids=lambda path: path.name)
def test_every_command_that_a_page_names_is_there(page: Path) -> None:
    nouns = {name.split()[0] for name in _verbs()}
    alone = {name for name in _verbs() if " " not in name}
    for code in _code(_text(page)):
        call = _CALL.match(code.strip())
        if call is not None:
            noun, verb = call.groups()
            assert noun in nouns, code
            assert verb is None or noun in alone or f"{noun} {verb}" in _verbs(), code
        for command in re.findall(r"\bvmcatcher_[A-Za-z]+\b", code):
            assert command in _PARSERS, code


@pytest.mark.parametrize("page", _PAGES, ids=lambda path: path.name)
def test_every_long_option_that_a_page_names_is_there(page: Path) -> None:
    known = {option for parser in _PARSERS.values() for option in parser._option_string_actions}
    known |= {option for options in _verbs().values() for option in options}
    known |= set(re.findall(r'"(--[a-z-]+)"', _text(ROOT / "tests/bench/command.py")))
    named = {option for code in _code(_text(page)) for option in re.findall(r"(?<![\w-])--[a-z][a-z0-9_-]*", code)}
    # An option may be shortened, on a page as well.
    assert {one for one in named - _OTHERS if not any(option.startswith(one) for option in known)} == set()


def test_invariants_page_and_check_name_the_same_invariants() -> None:
    rows = re.findall(r"^\| (I\d+) \|.*\| ([a-z, ]+) \|$", _text(DOCS / "explanation/invariants.md"), re.MULTILINE)
    assert [name for name, _ in rows] == list(get_args(findings.Invariant))
    assert dict(rows) == {name: ", ".join(sorted(kinds)) for name, kinds in _kinds_in_check().items()}


def _kinds_in_check() -> dict[str, set[str]]:
    """Return by invariant what the check calls it when it does not hold, in the words of the page."""
    words = {"damage": "must", "note": "should", "Finding": "must"}
    found: dict[str, set[str]] = {}
    for path in Path(check.__file__).parent.glob("check*.py"):
        for node in ast.walk(ast.parse(_text(path))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in words:
                first = node.args[0]
                assert isinstance(first, ast.Constant)
                is_mere_note = any(
                    word.arg == "is_damage" and ast.unparse(word.value) != "True" for word in node.keywords
                )
                found.setdefault(first.value, set()).add("should" if is_mere_note else words[node.func.id])
    return found


def test_order_of_the_update_codes_is_the_one_of_the_program() -> None:
    part = _text(DOCS / "reference/exit-codes.md").partition("## Codes of a classic update")[2].partition("\n## ")[0]
    order = re.findall(r"^\d+(?:, \d+)+$", part, re.MULTILINE)
    assert [tuple(map(int, line.split(", "))) for line in order] == [subscribe._WORST_FIRST]


def test_every_page_is_in_the_navigation() -> None:
    navigation = set(re.findall(r"\S+\.md$", _text(ROOT / ".mkdocs.yml"), re.MULTILINE))
    assert navigation == {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")}


def test_store_layout_names_everything_that_a_store_has(tmp_path: Path) -> None:
    from vmcatcher.store.root import make_store

    page = _text(DOCS / "reference/store-layout.md")
    shown = {line.split()[0] for line in page.partition("STORE/\n")[2].partition("```")[0].splitlines()}
    layout = make_store(str(tmp_path / "store"))
    made = {str(Path(path).relative_to(layout.root)) for path in layout.directories}
    assert {one for one in made if not any(name.startswith(one) for name in shown)} == set()


def test_table_of_event_variables_is_what_the_program_sets() -> None:
    class Whole(dict[str, object]):
        def get(self, key: str, default: object = None) -> object:
            return key

    made = {
        *event.image_variables(Whole(), size_bytes=1, sha512="0", list_id="l", vo="v"),
        *event.event_variables(OwedEvent(EventKind.EXPIRE_POSTFIX, "i"), session="s", filename="f", reason="r"),
    }
    assert made == {one.name for one in event.VARIABLES if one.name.startswith(event.PREFIX)}
    assert len({one.name for one in event.VARIABLES}) == len(event.VARIABLES)


def test_every_kind_of_event_comes_in_the_order_and_with_the_variables_of_the_table(site: Site) -> None:
    """A new image, its coming and its leaving, told by real runs; every field that a list can have is there."""
    more = {"hv__format": "qcow2", "ad__mpuri": "https://catalogue.test/1"}
    note = {"VMCATCHER_SUB_EVENT": f"cat >> {site.events}", "VMCATCHER_RDBMS": "sqlite:////none/at-all.db"}
    site.join(site.image(2))
    site.publish("2", site.image(2), site.image(1, **more))
    site.expect(32, "subscribe", "-U", **note)
    site.expect(0, "subscribe", "--image-accept", image_id(1), "-u", LIST_ID)
    site.select(1)
    site.cache(**note)
    site.expect(0, "subscribe", "-D", "-u", LIST_ID)
    site.cache(**note)
    told = [json.loads(line) for line in site.events.read_text(encoding="utf-8").splitlines()]
    for one in told:
        kind = EventKind(one[event.PREFIX + "TYPE"])
        assert set(one) == {variable.name for variable in event.VARIABLES if kind in variable.kinds}, kind
    kinds = [one[event.PREFIX + "TYPE"] for one in told]
    assert kinds == ["SubscriptionImageNew", "ProcessPrefix", "AvailablePrefix", "AvailablePostfix", "ProcessPostfix",
                     "ProcessPrefix", "ExpirePrefix", "ExpirePostfix", "ProcessPostfix"]  # fmt: skip
    assert {one.get(event.PREFIX + "DC_IDENTIFIER") for one in told} == {None, image_id(1)}
    assert set(kinds) == set(EventKind)


def test_example_handler_writes_every_variable_of_the_table() -> None:
    assert {one.name for one in event.VARIABLES} <= set(handler_example._VARIABLES)


def test_every_code_of_a_classic_update_belongs_to_an_error() -> None:
    part = _text(DOCS / "reference/exit-codes.md").partition("## Codes of a classic update")[2].partition("\n## ")[0]
    told = {int(code) for code in re.findall(r"^\| (\d+) \|", part, re.MULTILINE)}
    given = {kind.classic_exit for kind in _below(VmcatcherError)}
    assert told == given - {1, 2, 75}


def _below(kind: type[VmcatcherError]) -> list[type[VmcatcherError]]:
    return [found for child in kind.__subclasses__() for found in (child, *_below(child))]


def test_every_setting_is_read_by_a_command_and_stands_under_its_option() -> None:
    """A row without a reader would be a variable that does nothing, or one that the generator does not see."""
    page = _text(DOCS / "reference/environment.md")
    rows = [
        [cell.strip() for cell in line.split(" | ")] for line in page.splitlines() if line.startswith("| `VMCATCHER_")
    ]
    assert [row[0].strip("| `") for row in rows] == [one.variable for one in settings.TABLE]
    assert [row[0] for row in rows if row[3] == "–"] == []
    options = {row[0].strip("| `"): row[1] for row in rows}
    for name, parser in _PARSERS.items():
        for action in parser._actions:
            setting = next((one for one in settings.TABLE if one.name == action.dest), None)
            if setting is not None and name != "vmcatcher_eventHndlExpl":
                assert options[setting.variable] == ", ".join(f"`{word}`" for word in action.option_strings)
