"""docs/how-to/limit-downloads.md: its commands run, its settings file is taken, its table is the program's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.pages import DOCS, Step, is_there, lies, publisher, run, steps
from vmcatcher.cli.classic.cache import _parser
from vmcatcher.settings import TABLE, load_settings

_PAGE = (DOCS / "how-to" / "limit-downloads.md").read_text(encoding="utf-8")
_SITE = Step(
    """export VMCATCHER_STORE=$PWD/store VMCATCHER_DIR_CERT=$PWD/certificates
vmcatcher_endorser -C -e alice --subject "/DC=org/DC=example/CN=Alice" --issuer "/DC=org/DC=example/CN=Tutorial CA"
vmcatcher_subscribe -s "$(sed -n 's/.*"hv:uri": "\\(.*image_list\\)".*/\\1/p' endorser/list.json)"
vmcatcher_subscribe -U
vmcatcher_image -a -u worker
""",
    "",
)


@pytest.mark.slow
@pytest.mark.skipif(not is_there("openssl"), reason="needs openssl")
def test_images_come_as_told(tmp_path: Path, port: int) -> None:
    wanted = [*publisher(port), _SITE, *steps(_PAGE)]
    done = run(wanted, tmp_path / "work")
    assert lies(done) == []
    assert len(done) == len(wanted)
    assert (tmp_path / "work" / "store" / "endorsed" / "worker").exists()


def test_table_names_options_variables_keys_and_defaults_as_they_are() -> None:
    lines = [line for line in _PAGE.splitlines() if line.startswith("| ")][1:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    known = {one.key: one for one in TABLE if one.name in ("jobs", "jobs_per_host", "limit_rate")}
    assert [row[3].strip("`") for row in rows] == ["cache.jobs", "cache.jobs_per_host", "limits.rate"]
    options = _parser().format_help()
    for _, option, variable, key, default in rows:
        setting = known[key.strip("`")]
        assert variable.strip("`") == setting.variable
        assert re.match(r"\d+", default)[0] == str(setting.default)
        assert option.strip("`") in options


def test_settings_file_of_the_page_is_taken(tmp_path: Path) -> None:
    (text,) = re.findall(r"^```toml\n(.*?)^```$", _PAGE, re.MULTILINE | re.DOTALL)
    (tmp_path / "vmcatcher.toml").write_text(text, encoding="utf-8")
    settings = load_settings({}, environment={"HOME": "/", "VMCATCHER_CONFIG": str(tmp_path / "vmcatcher.toml")})
    assert [settings.count(name) for name in ("jobs", "jobs_per_host", "limit_rate")] == [2, 1, 50 * 2**20]
