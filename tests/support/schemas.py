"""The JSON schemas of the reference, and whether what a command wrote keeps to them."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

SCHEMAS = Path(__file__).parents[2] / "docs" / "reference" / "schema"


@functools.cache
def schema(name: str) -> Any:
    """Return the schema of that name; it is a valid one."""
    document = json.loads((SCHEMAS / f"{name}.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(document)
    return document


def check_envelope(text: str) -> dict[str, Any]:
    """Return the document that a command wrote with --json, if it keeps to the schemas of envelope and result.

    Raises:
        jsonschema.ValidationError: it does not.
    """
    document: dict[str, Any] = json.loads(text)
    Draft202012Validator(schema("envelope")).validate(document)
    if document["result"] is not None:
        Draft202012Validator(schema(document["command"].replace(" ", "-"))).validate(document["result"])
    return document
