"""Every command that answers with JSON has a schema, and every schema a command."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import typer.main
from jsonschema import Draft202012Validator

from architecture.source import ROOT
from vmcatcher.cli.app import app

_SCHEMAS = ROOT / "docs" / "reference" / "schema"


def _commands_with_json() -> set[str]:
    found = set()
    for noun, one in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        verbs = getattr(one, "commands", None) or {"": one}
        for verb, command in verbs.items():
            if any("--json" in parameter.opts for parameter in command.params):
                found.add(f"{noun} {verb}".strip().replace(" ", "-"))
    return found


def test_every_command_with_json_has_a_schema_and_every_schema_a_command() -> None:
    assert {path.stem for path in _SCHEMAS.glob("*.json")} == _commands_with_json() | {"envelope"}


@pytest.mark.parametrize("path", sorted(_SCHEMAS.glob("*.json")), ids=lambda path: path.stem)
def test_schema_is_valid_and_says_what_it_is_of(path: Path) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(document)
    assert re.fullmatch(r"[A-Z].*[^.]", document["title"])
    assert document["additionalProperties"] is False
