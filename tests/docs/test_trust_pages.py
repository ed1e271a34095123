"""docs/how-to/{explain-a-refusal,keep-crls-fresh,configure}.md, run as a reader would."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.pages import DOCS, ROOT, Step, is_there, lies, publisher, replaced, run, steps
from support.schemas import schema
from vmcatcher.services.trust_crls import Outcome
from vmcatcher.settings import TABLE, load_settings

_needs_openssl = pytest.mark.skipif(not is_there("openssl"), reason="needs openssl")
_SITE = Step(
    """export VMCATCHER_STORE=$PWD/store VMCATCHER_DIR_CERT=$PWD/certificates
vmcatcher_endorser -C -e alice --subject "/DC=org/DC=example/CN=Alice" --issuer "/DC=org/DC=example/CN=Tutorial CA"
vmcatcher_subscribe -s "$(sed -n 's/.*"hv:uri": "\\(.*image_list\\)".*/\\1/p' endorser/list.json)"
vmcatcher_subscribe -U
""",
    "",
)


def _page(name: str) -> str:
    return (DOCS / "how-to" / name).read_text(encoding="utf-8")


@pytest.mark.slow
@_needs_openssl
@pytest.mark.skipif(not is_there("jq"), reason="needs jq")
def test_refusal_is_explained_as_told(tmp_path: Path, port: int) -> None:
    wanted = [*publisher(port), _SITE, *steps(_page("explain-a-refusal.md"))]
    assert lies(run(wanted, tmp_path / "work")) == []


@pytest.mark.slow
@_needs_openssl
def test_crls_are_fetched_as_told(tmp_path: Path, port: int) -> None:
    announce = Step(
        f"hash=$(basename certificates/*.0 .0); mv certificates/*.r0 published/ca.crl; chmod +r published/ca.crl\n"
        f"echo http://127.0.0.1:{port}/ca.crl > certificates/$hash.crl_url\n",
        "",
    )
    wanted = [*publisher(port), _SITE, announce, *steps(_page("keep-crls-fresh.md"))]
    assert lies(run(wanted, tmp_path / "work")) == []


@pytest.mark.slow
def test_settings_are_shown_and_checked_as_told(tmp_path: Path) -> None:
    work = tmp_path / "work"
    (work / "certificates").mkdir(parents=True)
    (work / "vmcatcher.toml").write_text('limits.list_bytes = "20M"\n', encoding="utf-8")
    there = Step(f"export VMCATCHER_DIR_CERT={work}/certificates VMCATCHER_CONFIG={work}/vmcatcher.toml", "")
    page = replaced(_page("configure.md"), ("/work/", f"{work}/"))
    # The anchors of a site are not what this page is about.
    told = [
        Step(one.command.replace("config check |", "config check | grep -v 'CA certificate' |"), one.expected)
        for one in steps(page)
    ]
    assert lies(run([there, *told], work)) == []


def test_settings_file_of_the_page_is_taken(tmp_path: Path) -> None:
    (text,) = re.findall(r"^```toml\n(.*?)^```$", _page("configure.md"), re.MULTILINE | re.DOTALL)
    path = tmp_path / "vmcatcher.toml"
    path.write_text(text, encoding="utf-8")
    settings = load_settings({}, environment={"HOME": "/"}, file=str(path))
    assert (settings.number("event_timeout"), settings.count("list_bytes")) == (30, 20 * 2**20)


def test_pages_name_every_step_and_every_outcome() -> None:
    named = {name for row in re.findall(r"^\| (`.*?`) \|", _page("explain-a-refusal.md"), re.MULTILINE)
             for name in re.findall(r"`([a-z-]+)`", row)}  # fmt: skip
    assert named == set(schema("trust-explain")["properties"]["steps"]["items"]["properties"]["name"]["enum"])
    words = re.findall(r"^\| `([a-z]+)` \|", _page("keep-crls-fresh.md"), re.MULTILINE)
    assert words == [one.value for one in Outcome]


def test_settings_page_explains_every_kind() -> None:
    page = (DOCS / "reference" / "settings.md").read_text(encoding="utf-8")
    kinds = {"seconds": "time", "bytes": "size", "count": "number", "texts": "list of texts"}
    assert set(re.findall(r"^\| ([a-z ]+) \| .* \|$", page, re.MULTILINE)) - {"kind", "in the file"} == {
        kinds.get(one.kind, one.kind) for one in TABLE
    }


# -- contrib/vmcatcher.toml


def test_example_as_it_is_changes_nothing() -> None:
    settings = load_settings({}, environment={"HOME": "/"}, file=str(ROOT / "contrib/vmcatcher.toml"))
    assert set(settings.sources.values()) == {"default"}


def test_example_has_every_setting_with_its_default(tmp_path: Path) -> None:
    text = (ROOT / "contrib/vmcatcher.toml").read_text(encoding="utf-8")
    path = tmp_path / "vmcatcher.toml"
    path.write_text(re.sub(r"^#(?=\w+ = )", "", text, flags=re.MULTILINE), encoding="utf-8")
    settings = load_settings({}, environment={"HOME": "/"}, file=str(path))
    assert {name for name, source in settings.sources.items() if source != "default"} == {
        one.name for one in TABLE if one.key
    }
    assert {name: value or None for name, value in settings.values.items()} == {
        one.name: one.default or None for one in TABLE
    }
