"""The manual pages are there for every command, hold what they must, and print as they should."""

from __future__ import annotations

import importlib
import importlib.util
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from importlib import metadata
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import pytest

from docs.pages import DOCS, ROOT, is_there
from support.site import LIST_ID, Site
from vmcatcher import settings

# Two programs read every page.
pytestmark = pytest.mark.slow

_MANUAL = DOCS / "man"
_TOOLS = ROOT / "contrib/docs"
_PAGES = sorted(_MANUAL.rglob("*.[1-9]"))
_COMMANDS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
_CLASSIC = [name for name in _COMMANDS if name != "vmcatcher"]

_needs_groff = pytest.mark.skipif(not is_there("groff"), reason="needs groff")
_each_page = pytest.mark.parametrize("page", _PAGES, ids=lambda path: path.name)


@pytest.fixture(autouse=True)
def _tools(monkeypatch: pytest.MonkeyPatch) -> None:
    """The modules of the generator can be imported."""
    monkeypatch.syspath_prepend(str(_TOOLS))


def _page(name: str) -> str:
    """Return a page as a reader searches it: without marks of fonts, with plain hyphens and quotes."""
    source = next(_MANUAL.rglob(name)).read_text(encoding="utf-8")
    plain = re.sub(r"\\f[BIP]", "", source)
    for mark, char in (("\\-", "-"), ("\\(aq", "'"), ("\\(dq", '"'), ("\\(ti", "~"), ("\\~", " ")):
        plain = plain.replace(mark, char)
    return plain


def _sections(name: str) -> dict[str, str]:
    _, *parts = re.split(r'^\.SH "(.*)"\n', _page(name), flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


@pytest.mark.parametrize("command", _COMMANDS)
def test_every_installed_command_has_a_page_with_all_sections(command: str) -> None:
    wanted = [
        "NAME",
        "SYNOPSIS",
        "DESCRIPTION",
        "OPTIONS",
        "ENVIRONMENT",
        "FILES",
        "EXIT STATUS",
        "EXAMPLES",
        "SEE ALSO",
    ]
    if command == "vmcatcher":
        wanted.remove("EXAMPLES")
    if command == "vmcatcher_eventHndlExpl":
        wanted.remove("FILES")
    sections = _sections(f"{command}.1")
    assert [title for title in sections if title in wanted] == wanted
    assert all(body.strip() for body in sections.values())


@pytest.mark.parametrize("command", _CLASSIC)
def test_page_names_every_option_and_every_action_has_a_synopsis(command: str) -> None:
    parser = importlib.import_module(_COMMANDS[command].partition(":")[0])._parser()
    sections = _sections(f"{command}.1")
    terms = re.findall(r"^\.TP\n(-.*)", sections["OPTIONS"], re.MULTILINE)
    described = {word for term in terms for word in re.findall(r"(?:^|, )(--?[\w-]+)", term)}
    assert described == set(parser._option_string_actions) - {"--log-sql-info"}
    called = set(re.findall(r"(?<![\w-])--?[A-Za-z][\w-]*", sections["SYNOPSIS"]))
    assert called <= described
    actions = [group for group in parser._action_groups if (group.title or "").startswith("actions")]
    for action in (one for group in actions for one in group._group_actions):
        assert called & set(action.option_strings), action.option_strings


def test_pages_of_nouns_name_every_verb_and_option() -> None:
    from commands import nouns

    for noun in nouns():
        text = _page(f"{noun.name.replace(' ', '-')}.1")
        for verb in noun.verbs:
            assert f'.SY "{verb.name}"' in text
            for option in verb.options:
                assert all(re.search(rf"^(.*, )?{name}\b", text, re.MULTILINE) for name in option.names), option.names


def test_new_command_gets_its_part_of_a_page_by_itself() -> None:
    code = f"""
import sys
sys.path[:0] = [{str(ROOT / "src")!r}, {str(_TOOLS)!r}]
from vmcatcher.cli.commands.common import command, examples

def polish(run, *, hard: bool = False) -> int:
    '''Make the store shine. It was dull.'''

command("store", "polish", has_json=False, epilog=examples("vmcatcher store polish --hard"))(polish)
from manual import manual
print(manual()["man1/vmcatcher-store.1"])
"""
    page = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert '.SS "vmcatcher store polish"\nMake the store shine.\nIt was dull.\n' in page
    assert '.SY "vmcatcher store polish"\n[\\fB\\-\\-hard\\fP]\n' in page
    assert "vmcatcher store polish \\-\\-hard\n" in page


class _Watched(dict[str, "settings.Value"]):
    """Values of settings that note which of them were asked for."""

    def __init__(self, values: dict[str, settings.Value], asked: set[str]) -> None:
        super().__init__(values)
        self.asked = asked

    def __getitem__(self, name: str) -> settings.Value:
        self.asked.add(name)
        return super().__getitem__(name)


def test_every_setting_that_a_run_reads_is_on_its_page(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the generator finds in the source is compared with what is read in fact."""
    asked: set[str] = set()
    site.join(site.image(1))
    site.select(1)
    real = settings.load_settings

    def watched(flags: dict[str, settings.Value], **more: dict[str, str]) -> settings.Settings:
        found = real(flags, **more)
        return settings.Settings(
            _Watched(dict(found.values), asked), found.sources, found.environment, found.home, found.is_root
        )

    for module in ("classic", "commands"):
        monkeypatch.setattr(f"vmcatcher.cli.{module}.common.load_settings", watched)
    calls: list[tuple[str, tuple[str, ...]]] = [
        ("vmcatcher_cache", ("-x", "true")),
        ("vmcatcher_subscribe", ("-U", "-x", "true")),
        ("vmcatcher_subscribe", ("-i", "-u", LIST_ID, "-f", "message")),
        ("vmcatcher_image", ("-l",)),
        ("vmcatcher_endorser", ("-l",)),
        ("vmcatcher-store", ("store", "check")),
        ("vmcatcher-event", ("event", "list")),
    ]
    for page, arguments in calls:
        asked.clear()
        command = page.removeprefix("vmcatcher_") if "_" in page else "vmcatcher"
        site.expect(0, command, *arguments)
        told = _sections(f"{page}.1")["ENVIRONMENT"]
        assert asked
        for setting in settings.TABLE:
            assert setting.name not in asked or re.search(rf"^{setting.variable}$", told, re.MULTILINE), (page, setting)


@_needs_groff
@_each_page
def test_groff_has_nothing_to_complain_about(page: Path) -> None:
    done = subprocess.run(["groff", "-man", "-ww", "-z", "-Tutf8", page], capture_output=True, text=True, check=True)
    assert done.stderr == ""


@pytest.mark.skipif(not is_there("mandoc"), reason="needs mandoc")
@_each_page
def test_mandoc_has_nothing_to_complain_about_but_the_date(page: Path) -> None:
    """A date would be that of the last run of the generator."""
    done = subprocess.run(["mandoc", "-Tlint", "-Wwarning", page], capture_output=True, text=True, check=False)
    assert [line for line in done.stdout.splitlines() if "missing date" not in line] == []


@pytest.mark.skipif(not is_there("lexgrog"), reason="needs man-db (lexgrog)")
@_each_page
def test_whatis_finds_a_name_and_a_description(page: Path) -> None:
    done = subprocess.run(["lexgrog", page], capture_output=True, text=True, check=False)
    assert re.fullmatch(rf'{re.escape(str(page))}: "{re.escape(page.stem)} - [a-z].+[^.]"\n', done.stdout), done.stdout


@_needs_groff
@_each_page
def test_no_word_is_divided_and_only_code_is_wider_than_a_terminal(page: Path) -> None:
    printed = _printed(page.read_text(encoding="utf-8"))
    assert [line for line in printed.splitlines() if line.endswith("‐")] == []
    assert [line for line in printed.splitlines() if len(line) > 80 and not line.startswith(" " * 11)] == []


def _printed(source: str) -> str:
    """Return what a terminal shows, without fonts."""
    command = ["groff", "-man", "-Tutf8", "-Kutf8", "-P-c", "-P-b", "-P-u", "-P-o", "-rLL=80n"]
    return subprocess.run(command, input=source, capture_output=True, text=True, check=True).stdout


_NASTY = [
    ".TH evil",
    "'br",
    r"\fBnot bold\fP \n(.x \*(xx",
    "--cache-dir -C 'it''s' `date` \"$HOME\" ^x ~/y",
    "a\\",
    "é → … – 中",
]


def _document() -> ModuleType:
    return importlib.import_module("roff")


def test_what_a_shell_reads_is_not_set_as_typography() -> None:
    """Not every installation shows an apostrophe where `'` stands; all do for `\\(aq`."""
    written = _document().literal("""a 'b' -c `d` ^e ~f "g" \\ é""")
    assert written == "a \\(aqb\\(aq \\-c \\(gad\\(ga \\(hae \\(tif \\(dqg\\(dq \\e \\[u00E9]"


@_needs_groff
@pytest.mark.parametrize("text", _NASTY)
def test_code_comes_out_as_it_was_typed(text: str) -> None:
    page = _document().Page("t", 1, source="s", link=lambda text, _: text)
    page.section("Examples")
    page.code(f"first\n{text}\n\nlast")
    shown = text.replace("…", "...")
    assert re.search(rf"^ +first\n +{re.escape(shown)}\n\n +last$", _printed(page.text()), re.MULTILINE)


@_needs_groff
@pytest.mark.parametrize("text", _NASTY)
def test_prose_loses_nothing_and_runs_no_request(text: str) -> None:
    page = _document().Page("t", 1, source="s", link=lambda text, _: text)
    page.section("Description")
    page.paragraph(text)
    page.item("term", text)
    words = text.replace("…", "...").replace("`", "")
    printed = " ".join(_printed(page.text()).replace("‐", "-").replace("’", "'").split())
    assert printed.count(" ".join(words.split())) == 2


@_needs_groff
def test_markdown_becomes_the_same_on_a_terminal() -> None:
    page = _document().Page("t", 1, source="s", link=lambda text, target: f"{text} <{target}>")
    page.section("Description")
    page.markdown(
        "One *two*\n`three` [four](https://five.test/).\n\n* item a\n  goes on\n* item b\n\n```sh\n$ code\n```\n\n"
        "| what | value | meaning |\n|---|---|---|\n| `x\\|y` | 1 | a thing |\n"
    )
    printed = re.sub(r" +", " ", _printed(page.text()))
    for line in (" One two three four <https://five.test/>.", " • item a goes on", " • item b", " $ code"):
        assert f"{line}\n" in printed, line
    assert re.search(r"x\|y\s+A thing\. Value: 1\.\n", printed)
    assert "\\fItwo\\fP\n" in page.text().replace(" ", "\n")
    assert "\\fBthree\\fP" in page.text()


def test_stale_page_is_named_and_written_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    loader = SourceFileLoader("generate", str(_TOOLS / "generate"))
    spec = importlib.util.spec_from_loader("generate", loader)
    assert spec is not None
    generate = importlib.util.module_from_spec(spec)
    loader.exec_module(generate)
    copy = tmp_path / "man"
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    monkeypatch.setattr(generate, "_MANUAL", copy)
    monkeypatch.setattr(generate, "_TABLES", {})
    assert generate.main([]) == 0
    capsys.readouterr()
    changed, gone, foreign = (copy / "man1" / name for name in ("vmcatcher_cache.1", "vmcatcher.1", "vmcatcher_old.1"))
    fresh = changed.read_text(encoding="utf-8")
    changed.write_text(fresh.replace("Check", "Chuck").replace("check", "chuck"), encoding="utf-8")
    gone.unlink()
    foreign.write_text("", encoding="utf-8")
    assert generate.main(["--check"]) == 1
    named = {line.split()[0] for line in capsys.readouterr().out.splitlines()}
    assert named == {f"man/man1/{path.name}" for path in (changed, gone, foreign)}
    assert generate.main([]) == 0
    assert changed.read_text(encoding="utf-8") == fresh
    assert gone.exists()
    assert not foreign.exists()
    assert generate.main(["--check"]) == 0


def test_wheel_brings_the_pages_to_where_man_looks(tmp_path: Path) -> None:
    """Built where hatchling is there; else looked up in the installation that is tested."""
    find = _from_wheel if importlib.util.find_spec("hatchling") else _from_installation
    places = find(tmp_path)
    for page in _PAGES:
        assert any(place.endswith(f"share/man/{page.relative_to(_MANUAL)}") for place in places), page.name


def _from_wheel(directory: Path) -> list[str]:
    builder: Callable[[str], object] = importlib.import_module("hatchling.builders.wheel").WheelBuilder
    (wheel,) = builder(str(ROOT)).build(directory=str(directory), versions=["standard"])  # type: ignore[attr-defined]
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def _from_installation(_: Path) -> list[str]:
    return [str(path) for path in metadata.files("vmcatcher") or []]


@pytest.mark.skipif(not is_there("man"), reason="needs man")
@pytest.mark.parametrize("command", _COMMANDS)
def test_man_shows_the_page_of_a_command(command: str) -> None:
    done = subprocess.run(
        ["man", "-M", str(_MANUAL), "-E", "UTF-8", "--warnings", command],
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "MANWIDTH": "80", "MANPAGER": "cat"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    assert re.search(rf"^ +{command} - ", done.stdout, re.MULTILINE)
