"""Every fault of docs/explanation/faults.md has a test that carries its number, and no test carries an unknown one."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from architecture.source import ROOT

_NUMBER = re.compile(r"fault_(\d{2,3})(?!\d)")
_ROW = re.compile(r"^\| (\d+) \|", re.MULTILINE)
_TESTS = ROOT / "tests"


def _rows() -> list[int]:
    text = (ROOT / "docs/explanation/faults.md").read_text(encoding="utf-8")
    return [int(number) for number in _ROW.findall(text)]


def _carried(path: Path) -> Iterator[int]:
    """Yield the numbers in the names of tests and in the strings that tell their parameters apart."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    sentences = [node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)]
    for node in ast.walk(tree):
        name = ""
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            name = node.name
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in sentences:
            name = node.value
        yield from map(int, _NUMBER.findall(name))


def _tested() -> dict[int, set[str]]:
    found: dict[int, set[str]] = {}
    for path in sorted(_TESTS.rglob("test_*.py")):
        if path != Path(__file__):
            for number in _carried(path):
                found.setdefault(number, set()).add(str(path.relative_to(ROOT)))
    return found


def test_rows_are_numbered_once_and_in_order():
    assert _rows() == sorted(set(_rows()))


def test_every_fault_has_a_test_that_carries_its_number():
    tested = _tested()
    assert [number for number in _rows() if number not in tested] == []


def test_every_number_that_a_test_carries_is_explained():
    unknown = {number: sorted(files) for number, files in _tested().items() if number not in _rows()}
    assert unknown == {}


@pytest.mark.parametrize(
    ("source", "numbers"),
    [
        ("def test_fault_05_a_full_disk(): ...", [5]),
        ("def test_fault_01_fault_102_both(): ...", [1, 102]),
        ('@pytest.mark.parametrize("act", [pytest.param(1, id="fault_27-update")])\ndef test_a(act): ...', [27]),
        ('def test_a():\n    """Not fault_09, which is elsewhere."""', []),
        ("def test_a(): ...  # fault_09", []),
    ],
)
def test_numbers_are_found_in_names_and_parameters_only(tmp_path: Path, source: str, numbers: list[int]):
    file = tmp_path / "test_it.py"
    file.write_text(source)
    assert list(_carried(file)) == numbers
