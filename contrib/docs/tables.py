"""The tables of the reference that follow from the code, as Markdown."""

from __future__ import annotations

import ast
import importlib
import json
import pkgutil
from collections.abc import Iterable
from pathlib import Path

from commands import COMMON, Command, Option, classic_commands, every_command, nouns, settings_read_by

import vmcatcher.errors
from vmcatcher import settings
from vmcatcher.errors import MachineError, NetworkError, OperatorError, PublisherError, VmcatcherError
from vmcatcher.model import event

ROOT = Path(__file__).resolve().parents[2]
_BRANCHES = {
    PublisherError: "Whoever publishes the list or the image has to act",
    NetworkError: "The network or a server failed",
    MachineError: "This machine has to be looked after",
    OperatorError: "The request or the configuration has to be changed",
}
_TIMES = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_SIZES = {"G": 2**30, "M": 2**20, "K": 2**10}
# Settings that are set by another name on the command line.
_ACTIONS = {"action_download": "download", "action_check": "sha512", "action_expire": "expire"}


def errors_by_branch() -> str:
    """Return one table of errors for each branch of the tree, which says who has to act."""
    parts = []
    for branch, title in _BRANCHES.items():
        rows = [
            [f"`{kind.id}`", str(kind.exit_code), str(kind.classic_exit), _first_line(kind)]
            for kind in sorted(_raised_below(branch), key=lambda kind: kind.id)
        ]
        parts.append(f"## {title}\n\n{_table(['id', 'exit code', 'classic', 'meaning'], rows)}")
    return "\n\n".join(parts)


def errors_by_code() -> str:
    """Return the errors that end a command with each code, the noun-verb ones and the classic ones apart."""
    kinds = {kind for branch in _BRANCHES for kind in _raised_below(branch)}
    rows = []
    for code in sorted({kind.exit_code for kind in kinds} | {kind.classic_exit for kind in kinds}):
        new = _ids(kind for kind in kinds if kind.exit_code == code)
        old = _ids(kind for kind in kinds if kind.classic_exit == code)
        rows.append([str(code), "all others" if code == 1 else new, "all others" if code == 1 else old])
    return _table(
        ["code", "errors that end `vmcatcher NOUN VERB` with it", "errors that end a classic command with it"], rows
    )


def _ids(kinds: Iterable[type[VmcatcherError]]) -> str:
    return ", ".join(f"`{name}`" for name in sorted({kind.id for kind in kinds})) or "–"


def _raised_below(branch: type[VmcatcherError]) -> set[type[VmcatcherError]]:
    """Return the classes below `branch` that are raised: with a sentence of their own, or with none below."""
    for module in pkgutil.walk_packages(vmcatcher.errors.__path__, "vmcatcher.errors."):
        importlib.import_module(module.name)
    found: set[type[VmcatcherError]] = set()
    for kind in branch.__subclasses__():
        below = _raised_below(kind)
        found |= below
        if "message" in vars(kind) or not below:
            found.add(kind)
    return found


def _first_line(kind: type[VmcatcherError]) -> str:
    return (kind.__doc__ or "").strip().splitlines()[0]


def settings_table() -> str:
    """Return the table of everything that can be set."""
    rows = [
        [f"`{one.key}`" if one.key else "–", f"`{one.variable}`", _kind(one), default_of(one), one.meaning]
        for one in settings.TABLE
    ]
    return _table(["in the file", "variable", "value", "default", "meaning"], rows)


def _kind(setting: settings.Setting) -> str:
    return ", ".join(f"`{choice}`" for choice in setting.choices) or kind_words(setting)


def kind_words(setting: settings.Setting) -> str:
    """Return what may be given for a setting, in plain text."""
    if setting.choices:
        return ", ".join(setting.choices)
    least = ", more than 0" if setting.smallest else ""
    return {"seconds": f"time{least}", "bytes": "size", "count": "number", "texts": "list of texts"}.get(
        setting.kind, setting.kind
    )


def default_of(setting: settings.Setting) -> str:
    """Return the default of a setting as Markdown; a dash where there is none."""
    match setting.default:
        case None:
            return "–"
        case bool(flag):
            return "`true`" if flag else "`false`"
        case float(seconds):
            return f"`{in_units(setting.kind, seconds)}`"
        case int(size):
            return f"`{in_units(setting.kind, size)}`"
        case tuple(texts):
            return ", ".join(f"`{text}`" for text in texts) or "–"
        case other:
            return f"`{other}`"


def in_units(kind: str, number: float) -> str:
    """Return a time or size with the largest unit of which it is a multiple, as settings take it."""
    units = {"seconds": _TIMES, "bytes": _SIZES}.get(kind, {})
    return next(
        (f"{int(number) // size}{unit}" for unit, size in units.items() if number and not number % size), f"{number:g}"
    )


def options_of(setting: str, commands: Iterable[Command]) -> tuple[str, ...]:
    """Return the names of the option that sets something for one of the commands, none where there is none."""
    name = _ACTIONS.get(setting, setting)
    known = {
        word for one in classic_commands() for option in one.options if option.setting == name for word in option.names
    }
    for command in commands:
        is_classic = command.name.startswith("vmcatcher_")
        for option in command.options:
            is_same = option.setting == name if is_classic else known & set(option.names) or _is_named(option, setting)
            if is_same and setting in settings_read_by(command):
                return option.names
    return ()


def _is_named(option: Option, setting: str) -> bool:
    """Tell whether an option that no classic command has sets something: `--grace` sets `retention_grace`."""
    words = sorted(option.setting.split("_"))
    return bool(option.names) and (words == sorted(setting.split("_")) or setting.endswith(f"_{option.setting}"))


def environment_table() -> str:
    """Return the variables that are read, with the option that wins over each, the default, and who reads it."""
    commands = every_command()
    reads = {command.name: settings_read_by(command) for command in commands}
    rows = []
    for one in settings.TABLE:
        readers = [name for name, names in reads.items() if one.name in names]
        option = ", ".join(f"`{name}`" for name in options_of(one.name, commands)) or "–"
        rows.append([f"`{one.variable}`", option, default_of(one), _readers(readers, reads), one.meaning])
    return _table(["variable", "option", "default", "read by", "meaning"], rows)


def _readers(readers: list[str], reads: dict[str, frozenset[str]]) -> str:
    missing = [name for name, names in reads.items() if names and name not in readers]
    if len(missing) <= 1:
        return "all" + "".join(f" but `{name}`" for name in missing)
    return ", ".join(f"`{name}`" for name in readers) or "–"


def schemas() -> str:
    """Return the table of the commands that take --json, with the schema of the result of each."""
    rows = []
    for noun in nouns():
        for verb in noun.verbs:
            name = verb.name.removeprefix("vmcatcher ").replace(" ", "-")
            path = ROOT / "docs" / "reference" / "schema" / f"{name}.json"
            if any("--json" in option.names for option in verb.options) and path.exists():
                title = json.loads(path.read_text(encoding="utf-8"))["title"]
                rows.append([f"`{verb.name}`", f"[{path.name}](schema/{path.name})", title])
    return _table(["command", "schema of its result", "what it is"], rows)


def event_kinds() -> str:
    """Return the kinds of events in the order in which they come."""
    rows = [
        [f"`{kind.value}`", facts.when, facts.files, "no" if facts.is_told_once else "yes"]
        for kind, facts in event.KINDS.items()
    ]
    return _table(["`VMCATCHER_EVENT_TYPE`", "when", "state of the files", "repeated until it succeeds"], rows)


def event_variables() -> str:
    """Return the variables that handlers are given, those of the same kinds of events together."""
    groups: dict[frozenset[event.EventKind], list[list[str]]] = {}
    for one in event.VARIABLES:
        origin = f"{'list' if one.of_list else 'image'}, `{one.field}`" if one.field else ""
        groups.setdefault(one.kinds, []).append([f"`{one.name}`", one.meaning, origin])
    return "\n\n".join(
        f"### {_title(kinds)}\n\n{_those(kinds)}\n\n{_table(['variable', 'value', 'from'], rows)}"
        for kinds, rows in groups.items()
    )


def _title(kinds: frozenset[event.EventKind]) -> str:
    kind = event.EventKind
    titles = {
        frozenset(kind): "With every event",
        frozenset(kind) - {kind.SUBSCRIPTION_IMAGE_NEW}: "With the events of a cache run",
        frozenset(kind) - {kind.PROCESS_PREFIX, kind.PROCESS_POSTFIX}: "With the events about an image",
        frozenset({kind.EXPIRE_PREFIX, kind.EXPIRE_POSTFIX}): "With the events of an image that leaves",
    }
    return titles.get(kinds) or "With the events about a file"


def _those(kinds: frozenset[event.EventKind]) -> str:
    return ", ".join(f"`{kind.value}`" for kind in event.KINDS if kind in kinds) + ":"


def classic_options() -> str:
    """Return how the classic commands are called, and their options; those they share come once."""
    commands = classic_commands()
    shared = next(options for title, options in commands[0].groups if title == COMMON)
    parts = [f"## Options of the first four commands\n\n{_options(shared)}"]
    for command in commands:
        usage = "\n".join(f"{command.name} {line}" for line in command.synopses)
        parts.append(f"## {command.name}\n\n{command.summary}\n\n```text\n{usage}\n```")
        for title, options in command.groups:
            if title != COMMON:
                parts.append(("" if title == "options" else f"{title.capitalize()}:\n\n") + _options(options))
    return "\n\n".join(parts)


def noun_options() -> str:
    """Return the commands of the noun-verb form with their options."""
    parts = []
    for noun in nouns():
        parts.append(f"## {noun.name}\n\n{noun.summary}")
        for verb in noun.verbs:
            words = " ".join(one.metavar for one in verb.options if not one.names)
            heading = [f"### {verb.name}\n\n{verb.summary}"] if verb.name != noun.name else []
            texts = [
                *heading,
                verb.description,
                f"```text\n{verb.name} [OPTIONS] {words}".rstrip() + "\n```",
                verb.notes,
            ]
            parts += [text for text in (*texts, _options(verb.options)) if text]
    return "\n\n".join(parts)


def _options(options: Iterable[Option]) -> str:
    rows = []
    for one in options:
        *names, last = one.names or ("",)
        rows.append([", ".join([*(f"`{name}`" for name in names), f"`{f'{last} {one.metavar}'.strip()}`"]), one.help])
    return _table(["option", "meaning"], rows)


def loggers() -> str:
    """Return the modules that log under their own name, with what each is about."""
    rows = []
    for path in sorted((ROOT / "src/vmcatcher").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if "logging.getLogger(__name__)" in text:
            name = ".".join(path.relative_to(ROOT / "src").with_suffix("").parts)
            rows.append([f"`{name}`", (ast.get_docstring(ast.parse(text)) or "").splitlines()[0]])
    return _table(["logger", "what the module is about"], rows)


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
