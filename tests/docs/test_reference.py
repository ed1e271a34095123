"""The reference and the explanations name what is in the program, and nothing else."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
import typer.main

from docs.pages import DOCS, ROOT
from vmcatcher.cli.app import app
from vmcatcher.cli.classic import cache, endorser, handler_example, image, subscribe
from vmcatcher.store import check

_PAGES = [ROOT / "README.md", *sorted(path for path in DOCS.rglob("*.md") if "adr" not in path.parts)]
_PARSERS = {
    "vmcatcher_endorser": endorser._parser(),
    "vmcatcher_subscribe": subscribe._parser(),
    "vmcatcher_image": image._parser(),
    "vmcatcher_cache": cache._parser(),
    "vmcatcher_eventHndlExpl": handler_example._parser(),
}
# Of openssl, rsync, cp, useradd, Python's web server, mkdocs and the scripts in contrib.
_OTHERS = {
    "--all", "--bind", "--delete", "--directory", "--exclude", "--home-dir", "--remove-destination", "--shell",
    "--soak", "--strict", "--system",
}  # fmt: skip
# At the beginning of a line of code, perhaps as another user.
_CALL = re.compile(r"(?:\$ )?(?:sudo -u \w+ )?(?:env \S+ )?vmcatcher ([a-z]+)(?: ([a-z-]+))?")


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _verbs() -> dict[str, set[str]]:
    """Return `NOUN VERB` (or `VERB` alone) of the noun-verb command, with its options."""
    found: dict[str, set[str]] = {}
    for noun, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        below = getattr(command, "commands", None)
        for name, one in below.items() if below else [("", command)]:
            options = {option for parameter in one.params for option in parameter.opts}
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
    for code in _code(_text(page)):
        call = _CALL.match(code.strip())
        if call is not None:
            noun, verb = call.groups()
            assert noun in nouns, code
            assert verb is None or noun == "demo" or f"{noun} {verb}" in _verbs(), code
        for command in re.findall(r"\bvmcatcher_[A-Za-z]+\b", code):
            assert command in _PARSERS, code


@pytest.mark.parametrize("page", _PAGES, ids=lambda path: path.name)
def test_every_long_option_that_a_page_names_is_there(page: Path) -> None:
    known = {option for parser in _PARSERS.values() for option in parser._option_string_actions}
    known |= {option for options in _verbs().values() for option in options}
    named = {option for code in _code(_text(page)) for option in re.findall(r"(?<![\w-])--[a-z][a-z0-9_-]*", code)}
    # An option may be shortened, on a page as well.
    assert {one for one in named - _OTHERS if not any(option.startswith(one) for option in known)} == set()


def test_invariants_page_and_check_name_the_same_invariants() -> None:
    rows = re.findall(r"^\| (I\d+) \|.*\| ([a-z, ]+) \|$", _text(DOCS / "explanation/invariants.md"), re.MULTILINE)
    assert [name for name, _ in rows] == list(get_args(check.Invariant))
    assert dict(rows) == {name: ", ".join(sorted(kinds)) for name, kinds in _kinds_in_check().items()}


def _kinds_in_check() -> dict[str, set[str]]:
    """Return by invariant what the check calls it when it does not hold, in the words of the page."""
    words = {"_damage": "must", "_note": "should"}
    found: dict[str, set[str]] = {}
    for node in ast.walk(ast.parse(_text(Path(check.__file__)))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in words:
            first = node.args[0]
            assert isinstance(first, ast.Constant)
            found.setdefault(first.value, set()).add(words[node.func.id])
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
