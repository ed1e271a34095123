"""The pages about rules and vetoes, run as a reader would, and the tables that name what the program knows."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from docs.pages import DOCS, Step, is_there, lies, publisher, run, steps
from vmcatcher.model.rule import FIELDS
from vmcatcher.settings import KEYS

_RULES = (DOCS / "reference" / "rules.md").read_text(encoding="utf-8")
_BEGIN = """export VMCATCHER_STORE=$PWD/store VMCATCHER_DIR_CERT=$PWD/certificates
vmcatcher_endorser -C -e alice --subject "/DC=org/DC=example/CN=Alice" --issuer "/DC=org/DC=example/CN=Tutorial CA"
vmcatcher_subscribe -s "$(sed -n 's/.*"hv:uri": "\\(.*image_list\\)".*/\\1/p' endorser/list.json)"
vmcatcher_subscribe -U
"""


@pytest.mark.slow
@pytest.mark.skipif(not is_there("openssl"), reason="needs openssl")
@pytest.mark.parametrize(
    ("page", "before"),
    [("choose-images-by-rule.md", ""), ("veto-an-image.md", "vmcatcher_image -a -u worker; vmcatcher_cache\n")],
)
def test_page_is_as_told(page: str, before: str, tmp_path: Path, port: int) -> None:
    text = (DOCS / "how-to" / page).read_text(encoding="utf-8")
    wanted = [*publisher(port), Step(_BEGIN + before, ""), *steps(text)]
    done = run(wanted, tmp_path / "work")
    assert lies(done) == []
    assert len(done) == len(wanted)


def test_table_of_fields_is_that_of_the_program() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `([\w:]+)`", _RULES, re.MULTILINE)
    assert dict(rows) == FIELDS


def test_settings_of_the_page_are_known() -> None:
    text = (DOCS / "how-to" / "choose-images-by-rule.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```toml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    found = tomllib.loads(block)
    assert {f"{table}.{name}" for table, lines in found.items() for name in lines} <= KEYS
