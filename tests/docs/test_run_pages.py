"""docs/how-to/{plan-before-a-change,sync-from-systemd,monitor-a-store}.md, run as a reader would."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.pages import DOCS, ROOT, Step, is_there, publisher, run, steps
from vmcatcher.model import troubles

_BEGIN = """export VMCATCHER_STORE=$PWD/store VMCATCHER_DIR_CERT=$PWD/certificates
vmcatcher_endorser -C -e alice --subject "/DC=org/DC=example/CN=Alice" --issuer "/DC=org/DC=example/CN=Tutorial CA"
vmcatcher_subscribe -s "$(sed -n 's/.*"hv:uri": "\\(.*image_list\\)".*/\\1/p' endorser/list.json)"
vmcatcher_subscribe -U
"""
_SELECT = "vmcatcher_image -a -u worker\n"


def _same_everywhere(text: str) -> str:
    """Return a text without what differs from site to site: instants, the free space, where the store lies."""
    for pattern in (r"\d{4}-\d\d-\d\dT[\d:]{8}Z", r"\b\d{9,}\b", r"/\S*/store\b"):
        text = re.sub(pattern, "…", text)
    return text


def _lies(done: list[tuple[Step, str]]) -> list[tuple[str, str]]:
    return [
        (step.command, printed)
        for step, printed in done
        if step.expected is not None and _same_everywhere(step.expected) != _same_everywhere(printed)
    ]


@pytest.mark.slow
@pytest.mark.skipif(not is_there("openssl") or not is_there("jq"), reason="needs openssl and jq")
@pytest.mark.parametrize(
    ("page", "before"),
    [("plan-before-a-change.md", ""), ("sync-from-systemd.md", _SELECT), ("monitor-a-store.md", _SELECT)],
)
def test_page_is_as_told(page: str, before: str, tmp_path: Path, port: int) -> None:
    text = (DOCS / "how-to" / page).read_text(encoding="utf-8")
    wanted = steps(text)
    done = run([*publisher(port), Step(_BEGIN + before, ""), *wanted], tmp_path / "work")[-len(wanted) :]
    assert _lies(done) == []


def test_page_names_every_trouble() -> None:
    told = Path(troubles.__file__).read_text(encoding="utf-8")
    known = set(re.findall(r'Trouble\("([a-z-]+)"', told)) | {
        f"image-{state.value}" for state in (*troubles._TO_COME, *troubles._STAYS)
    }
    page = (DOCS / "how-to" / "monitor-a-store.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`[^|]*`) \| [^|]*`(?:wrong|soon|passing)`", page, re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`([a-z-]+)`", row)} == known


def test_files_that_the_pages_install_are_there() -> None:
    for page in ("sync-from-systemd.md", "monitor-a-store.md"):
        text = (DOCS / "how-to" / page).read_text(encoding="utf-8")
        named = re.findall(r"contrib/[\w/.*-]+", text)
        assert named
        assert all(list(ROOT.glob(name)) for name in named), named
