"""The manual pages: what the program says about its commands, and what contrib/docs/man says beside that."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from commands import COMMON, Command, Noun, Option, classic_commands, nouns, settings_read_by
from roff import Page, bold, italic, literal, sentence
from tables import default_of, options_of

from vmcatcher import __version__, settings, wiring

ROOT = Path(__file__).resolve().parents[2]
_DOCS = ROOT / "docs"
_PROSE = ROOT / "contrib/docs/man"
_INCLUDE = re.compile(r"^\{include (\S+): (.+)\}$", re.MULTILINE)
_WHOLE = {
    ("vmcatcher-events", 7): ("reference/events.md", "what vmcatcher tells its event handler"),
    ("vmcatcher.toml", 5): ("reference/settings.md", "settings of vmcatcher"),
}
_PROGRAM = "vmcatcher"
_TELLS_A_CODE_OF = re.compile(r"`(vmcatcher [a-z]+)[^`]*`:")


def manual() -> dict[str, str]:
    """Return every page by its path below docs/man."""
    pages = {f"{command.name}.1": _classic_page(command) for command in classic_commands()}
    pages[f"{_PROGRAM}.1"] = _program_page()
    pages |= {f"{_file_name(noun)}.1": _noun_page(noun) for noun in nouns()}
    pages |= {f"{name}.{section}": _whole_page(name, section) for name, section in _WHOLE}
    return {f"man{name[-1]}/{name}": text for name, text in pages.items()}


def _file_name(noun: Noun) -> str:
    return noun.name.replace(" ", "-")


def _all_pages() -> list[tuple[str, int]]:
    ones = [_PROGRAM, *(_file_name(noun) for noun in nouns()), *(command.name for command in classic_commands())]
    return [*((name, 1) for name in ones), *sorted(_WHOLE, key=lambda page: page[1])]


def _page(name: str, section: int, summary: str) -> Page:
    page = Page(name, section, source=f"vmcatcher {__version__}", link=_link)
    page.section("Name")
    summary = summary.rstrip(".")
    page.raw(f"{literal(name)} \\- {page.inline(summary[0].lower() + summary[1:])}")
    return page


def _link(text: str, target: str) -> str:
    """Return what stands for a link on a page that has none: another manual page, an address, or a title."""
    for (name, section), (source, _) in _WHOLE.items():
        if target.partition("#")[0].endswith(Path(source).name):
            return f"`{name}`({section})"
    return f"{text} <{target}>" if "://" in target else f"*{text}*"


def _classic_page(command: Command) -> str:
    page, prose = _page(command.name, 1, command.summary), _prose(command.name)
    page.section("Synopsis")
    page.synopses((command.name, line) for line in command.synopses)
    page.section("Description")
    page.markdown("\n\n".join((sentence(command.summary), command.description, prose.pop("Description", ""))))
    page.section("Options")
    for title, options in sorted(command.groups, key=lambda group: group[0] == COMMON):
        if title != "options":
            page.subsection(title[0].upper() + title[1:])
        _options(page, options)
    _end(page, command.name, [command], prose)
    return page.text()


def _noun_page(noun: Noun) -> str:
    name = _file_name(noun)
    page, prose = _page(name, 1, noun.summary), _prose(name)
    verbs = noun.verbs
    is_alone = len(verbs) == 1 and verbs[0].name == noun.name
    shared = [one for one in verbs[0].options if one.names and all(one in verb.options for verb in verbs)]
    shared = [] if is_alone else shared
    page.section("Synopsis")
    page.synopses((verb.name, " ".join(_words(verb, shared))) for verb in verbs)
    page.section("Description")
    page.markdown("\n\n".join((noun.summary, prose.pop("Description", ""), verbs[0].description if is_alone else "")))
    page.section("Options" if is_alone else "Commands")
    for verb in verbs:
        if not is_alone:
            page.subsection(verb.name)
            page.markdown("\n\n".join((verb.summary, verb.description, verb.notes)))
        _options(page, [one for one in verb.options if one not in shared])
    if shared:
        page.section("Options of all commands")
        _options(page, shared)
    _end(page, name, verbs, prose)
    return page.text()


def _words(verb: Command, shared: list[Option]) -> Iterator[str]:
    for option in verb.options:
        if option.names and option not in shared:
            name = max(option.names, key=lambda name: (not name.startswith("--no-"), len(name)))
            yield f"[{name} {option.metavar}".rstrip() + "]"
    yield from (option.metavar for option in verb.options if not option.names)


def _program_page() -> str:
    summary = "subscribe to signed virtual machine image lists, keep verified copies, tell the cloud"
    page, prose = _page(_PROGRAM, 1, summary), _prose(_PROGRAM)
    page.section("Synopsis")
    page.synopses([(_PROGRAM, "COMMAND [OPTION...]"), *((one.name, "[OPTION...]") for one in classic_commands())])
    page.section("Description")
    page.markdown(prose.pop("Description"))
    page.section("Commands")
    for command in classic_commands():
        page.item(f"{bold(command.name)}(1)", sentence(command.summary))
    for noun in nouns():
        page.item(f"{bold(_file_name(noun))}(1)", sentence(noun.summary))
    page.section("Options")
    _options(page, [Option(("--version",), "", "show the version and exit", "version")])
    _end(page, _PROGRAM, [verb for noun in nouns() for verb in noun.verbs], prose)
    return page.text()


def _whole_page(name: str, section: int) -> str:
    source, summary = _WHOLE[name, section]
    page = _page(name, section, summary)
    text = (_DOCS / source).read_text(encoding="utf-8").partition("\n")[2]
    for title, body in _sections(text).items():
        page.section(title or "Description")
        page.markdown(body)
    _see_also(page, name)
    return page.text()


def _options(page: Page, options: Iterable[Option]) -> None:
    ones = list(options)
    if ones and all(one.names != ("-h", "--help") for one in ones) and any(one.names == ("--debug",) for one in ones):
        ones.append(Option(("-h", "--help"), "", "show the help and exit", "help"))
    for one in ones:
        # What an option takes is one of some words, or a word of the user's own.
        takes = one.metavar if one.metavar.isupper() else "|".join(one.metavar.split("|"))
        shown = "" if not takes else f" {italic(takes)}" if takes.strip("[].").isupper() else f" {bold(takes)}"
        term = ", ".join(
            bold(name) + (shown if name.startswith("--") or len(one.names) == 1 else "") for name in one.names
        )
        page.item(term or italic(one.metavar.strip("[]")), sentence(one.help))


def _end(page: Page, name: str, commands: Iterable[Command], prose: dict[str, str]) -> None:
    """Add what every page of a command ends with."""
    commands = list(commands)
    status = prose.pop("Exit status", None)
    for title, body in prose.items():
        page.section(title)
        page.markdown(body)
    reads = [settings_read_by(command) for command in commands]
    # The page of the whole program has what concerns every command that has a store.
    whole = name == _PROGRAM
    shared = [names for names in reads if "store" in names]
    read = frozenset[str].intersection(*shared) if whole else frozenset[str]().union(*reads)
    if read:
        _environment(page, commands, read)
        _files(page, read)
    page.section("Exit status")
    page.markdown(status if status is not None else _exit_status(name))
    examples = [line for command in commands for line in command.examples]
    if examples and name != _PROGRAM:
        page.section("Examples")
        page.code("\n".join(examples))
    _see_also(page, name)


def _environment(page: Page, commands: list[Command], read: frozenset[str]) -> None:
    page.section("Environment")
    page.paragraph(
        "A variable counts where its option is not given; what [Settings](settings.md) describes comes after it. One "
        "that is empty counts as not set."
    )
    for one in settings.TABLE:
        if one.name in read:
            given = options_of(one.name, commands)
            same = f"The same as {', '.join(f'`{name}`' for name in given)}." if given else ""
            default = default_of(one)
            page.item(
                bold(one.variable), f"{sentence(one.meaning)} {same} {'' if default == '–' else f'Default: {default}.'}"
            )
    page.item(bold("VMCATCHER_CONFIG"), "The configuration file, if it is not where it is looked for.")
    if "connect_timeout" in read:
        names = ", ".join(bold(name) for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"))
        page.item(names, "Proxies that lists and images are fetched through.")


def _files(page: Page, read: frozenset[str]) -> None:
    page.section("Files")
    if "store" in read:
        stores = f"{italic(wiring._SYSTEM_STORE)}, {italic('~/.local/share/vmcatcher')}"  # noqa: SLF001 - the one place that has it
        page.item(stores, "The store of root and of any other user, where nothing names one.")
    if "trust_directory" in read:
        one = next(setting for setting in settings.TABLE if setting.name == "trust_directory")
        page.item(italic(str(one.default)), "The authorities that are trusted, their namespaces and revocation lists.")
    places = ", ".join(map(italic, ("~/.config/vmcatcher/vmcatcher.toml", "/etc/vmcatcher/vmcatcher.toml")))
    page.item(places, "The configuration file: the first of these that is there. See [Settings](settings.md).")


def _exit_status(name: str) -> str:
    """Return what docs/ says about the codes of a command."""
    sections = _sections((_DOCS / "reference/exit-codes.md").read_text(encoding="utf-8"))
    lines = [line for line in sections[""].splitlines() if not line.startswith("# ")]
    ours = name.replace("-", " ")
    kept = [line for line in lines if (other := _TELLS_A_CODE_OF.search(line)) is None or other[1] == ours]
    more = {
        "vmcatcher_subscribe": ("Codes of a classic update", "Codes of a subscription"),
        "vmcatcher_cache": ("Codes of a cache run",),
    }
    queries = [sections["Codes of a query"]] if name in ("vmcatcher_endorser", "vmcatcher_image") else []
    parts = [f"### {title}\n\n{sections[title]}" for title in more.get(name, ())]
    return "\n\n".join(["\n".join(kept), *queries, *parts])


def _see_also(page: Page, name: str) -> None:
    page.section("See also")
    page.raw(",\n".join(f"{bold(other)}({section})" for other, section in _all_pages() if other != name))


def _prose(name: str) -> dict[str, str]:
    """Return the hand-written sections of a page by their titles; a page need not have any."""
    path = _PROSE / f"{name}.md"
    if not path.exists():
        return {}
    return _sections(_INCLUDE.sub(_included, path.read_text(encoding="utf-8")))


def _included(match: re.Match[str]) -> str:
    return _sections((_DOCS / match[1]).read_text(encoding="utf-8"))[match[2]]


def _sections(text: str) -> dict[str, str]:
    """Return the parts of a page by their headings, that before the first one by none."""
    first, *rest = re.split(r"^## (.+)\n", text, flags=re.MULTILINE)
    found = {"": first} if first.strip() else {}
    return found | dict(zip(rest[::2], rest[1::2], strict=True))
