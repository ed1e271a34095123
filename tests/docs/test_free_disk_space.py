"""docs/how-to/free-disk-space.md, run as a reader would; the days that go by are told to the commands by faketime."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.pages import DOCS, Step, is_there, lies, publisher, replaced, run, steps
from vmcatcher.cli.commands.store_prune import _retentions
from vmcatcher.model.retention import Retentions, parse_retention
from vmcatcher.settings import TABLE, load_settings

# A page played through.
pytestmark = pytest.mark.slow

_PAGE = (DOCS / "how-to" / "free-disk-space.md").read_text(encoding="utf-8")
# A site that kept the image of the tutorial's list until it was deselected a hundred days ago.
_SITE = Step(
    """export VMCATCHER_STORE=$PWD/store VMCATCHER_DIR_CERT=$PWD/certificates
vmcatcher_endorser -C -e alice --subject "/DC=org/DC=example/CN=Alice" --issuer "/DC=org/DC=example/CN=Tutorial CA"
vmcatcher_subscribe -s "$(sed -n 's/.*"hv:uri": "\\(.*image_list\\)".*/\\1/p' endorser/list.json)"
vmcatcher_subscribe -U
vmcatcher_image -a -u worker
vmcatcher_cache
vmcatcher_image -r -u worker
vmcatcher_cache
vmcatcher() { faketime -f +100d vmcatcher "$@"; }
""",
    "",
)


@pytest.mark.skipif(not is_there("openssl"), reason="needs openssl")
@pytest.mark.skipif(not is_there("faketime"), reason="needs faketime")
def test_space_is_freed_as_told(tmp_path: Path, port: int) -> None:
    work = tmp_path / "work"
    wanted = [*publisher(port), _SITE, *steps(replaced(_PAGE, ("/srv/vmcatcher", f"{work}/store")))]
    done = run(wanted, work)
    assert lies(done) == []
    assert len(done) == len(wanted)
    assert list((work / "store" / "blobs" / "sha512").glob("*/*")) == []


def _rows() -> list[list[str]]:
    lines = [line for line in _PAGE.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_table_has_every_retention_with_its_default() -> None:
    known = {one.key: one for one in TABLE if one.key.startswith("retention.")}
    assert [row[3].strip("`") for row in _rows()] == list(known)
    for _, kept, _, key in _rows():
        default = parse_retention(key, str(known[key.strip("`")].default))
        assert kept == (f"{default.days} days" if default else "for ever")


def test_settings_file_of_the_page_is_taken(tmp_path: Path) -> None:
    (text,) = re.findall(r"^```toml\n(.*?)^```$", _PAGE, re.MULTILINE | re.DOTALL)
    (tmp_path / "vmcatcher.toml").write_text(text, encoding="utf-8")
    settings = load_settings({}, environment={"HOME": "/", "VMCATCHER_CONFIG": str(tmp_path / "vmcatcher.toml")})
    found = _retentions(settings)
    assert found == Retentions(
        expired=parse_retention("", "30d"), snapshots=parse_retention("", "365d"), event_log=parse_retention("", "365d")
    )
