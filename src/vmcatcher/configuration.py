"""The settings of this run looked at as a whole: where each comes from, and whether they fit this machine."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from typing import Final

from vmcatcher import settings as table
from vmcatcher import wiring
from vmcatcher.errors import VmcatcherError
from vmcatcher.errors.settings import BadSetting
from vmcatcher.model.location import Location
from vmcatcher.model.retention import parse_retention
from vmcatcher.settings import TABLE, Setting, Settings, Value
from vmcatcher.store import root
from vmcatcher.transport.proxies import Proxies
from vmcatcher.trust.anchors import TrustAnchors

_USERINFO: Final = re.compile(r"(:/+)\S*@")
# As curl and others take a proxy, and as it looks after a slip.
_BARE_USERINFO: Final = re.compile(r"[^\s/:@]{0,256}:(?!//)[^\s@]{1,1024}@")
_OTHER_VARIABLES: Final = frozenset({table.CONFIG, table.HELD_LOCKS})
_DIRECTORIES: Final = ("cache_directory", "partial_directory", "expired_directory")
_HANDLERS: Final = ("sub_event", "cache_event")
# What `sh` does itself, or reads as the beginning of something longer than one command.
_SHELL: Final = re.compile(
    r"[.:[]|alias|case|cd|command|eval|exec|exit|export|false|for|if|set|shift|test|trap|true|umask|until|while"
)


class Origin(StrEnum):
    """Where the value of a setting came from, the strongest first."""

    OPTION = "option"
    VARIABLE = "variable"
    FILE = "file"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Shown:
    """One setting as it may be shown: without user names and passwords."""

    name: str
    key: str
    variable: str
    value: Value
    default: Value
    origin: Origin
    source: str
    """The variable's name or the file's path; empty for an option and a default."""
    meaning: str


def shown_settings(settings: Settings) -> tuple[Shown, ...]:
    """Return every setting with where it came from, and the proxies, which are set by variables alone."""
    found = [_shown(one, settings) for one in TABLE]
    for variable in ("http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"):
        value = settings.environment.get(variable)
        if value:
            meaning = "hosts reached without a proxy" if "no" in variable.lower() else "proxy"
            hidden = without_userinfo(value)
            found.append(Shown(variable, "", variable, hidden, None, Origin.VARIABLE, variable, meaning))
    return tuple(found)


def _shown(one: Setting, settings: Settings) -> Shown:
    source = settings.sources[one.name]
    if source in ("option", "default"):
        origin, source = Origin(source), ""
    else:
        origin = Origin.VARIABLE if source == one.variable else Origin.FILE
    value = _hidden(settings.values[one.name])
    return Shown(one.name, one.key, one.variable, value, one.default, origin, source, one.meaning)


def _hidden(value: Value) -> Value:
    if isinstance(value, tuple):
        return tuple(map(without_userinfo, value))
    return without_userinfo(value) if isinstance(value, str) else value


def without_userinfo(text: str) -> str:
    """Return a text without the user names and passwords of the URLs in it, also where these lack their scheme."""
    return _BARE_USERINFO.sub(r"***@", _USERINFO.sub(r"\1***@", text))


class Severity(StrEnum):
    """What follows from a finding."""

    ERROR = "error"
    """A command that needs the setting fails."""
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about the settings that is not as it should be, in one line."""

    severity: Severity
    about: str
    """The key, the variable or the file that it is about."""
    said: str


def check_settings(flags: Mapping[str, Value], environment: Mapping[str, str], file: str | None) -> tuple[Finding, ...]:
    """Look at every setting of options, variables and the settings file, and at what they name on this machine.

    `file` is the settings file to look at, the one that would be read unless given. Nothing is changed.
    """
    path = table.settings_file(environment, file)
    lines: dict[str, object] = {}
    findings: list[Finding] = []
    if path is not None:
        try:
            lines = table.read_settings_file(path)
            findings += _permissions(path, lines)
        except VmcatcherError as error:
            findings.append(Finding(Severity.ERROR, path, error.one_line()))
    for key in lines:
        if key not in table.KEYS:
            findings.append(Finding(Severity.ERROR, key, table.unknown(key, path or "").one_line()))
    findings += _unknown_variables(environment)
    # Each place by itself: what an option or a variable hides today holds tomorrow.
    findings += _senseless(flags, {}, {}, "")
    findings += _senseless({}, environment, {}, "")
    findings += _senseless({}, {}, lines, path or "")
    settings = _resolved(flags, environment, path, lines)
    checks: tuple[Callable[[Settings], Iterator[Finding]], ...] = (
        _store, _trust_directory, _directories, _handlers, _log_config, _retentions, _proxies, _mirrors,
    )  # fmt: skip
    for check in checks:
        findings += check(settings)
    return tuple(sorted(findings, key=lambda finding: finding.severity is not Severity.ERROR))


def _senseless(
    flags: Mapping[str, Value], environment: Mapping[str, str], lines: Mapping[str, object], path: str
) -> Iterator[Finding]:
    for one in TABLE:
        try:
            table.resolve(one, flags, environment, path, lines)
        except BadSetting as error:
            yield Finding(Severity.ERROR, error.name, error.one_line())


def _resolved(
    flags: Mapping[str, Value], environment: Mapping[str, str], path: str | None, lines: Mapping[str, object]
) -> Settings:
    """Return the settings, with the default in place of each value that makes no sense."""
    values: dict[str, Value] = {}
    sources: dict[str, str] = {}
    for one in TABLE:
        try:
            values[one.name], sources[one.name] = table.resolve(one, flags, environment, path or "", lines)
        except BadSetting:
            values[one.name], sources[one.name] = one.default, "default"
    return Settings(values, sources, environment, table.home_of(environment), os.geteuid() == 0, path)


def _permissions(path: str, lines: Mapping[str, object]) -> Iterator[Finding]:
    mode = os.stat(path).st_mode
    texts = [one for value in lines.values() for one in (value if isinstance(value, list) else [value])]
    if mode & (stat.S_IRGRP | stat.S_IROTH) and any(isinstance(one, str) and _USERINFO.search(one) for one in texts):
        said = f"{path} holds a password and others may read it; chmod 600 {shlex.quote(path)}"
        yield Finding(Severity.WARNING, path, said)
    if mode & stat.S_IWOTH:
        said = f"anybody may write to {path}, and so have a handler run as this user; chmod o-w {shlex.quote(path)}"
        yield Finding(Severity.ERROR, path, said)


def _unknown_variables(environment: Mapping[str, str]) -> Iterator[Finding]:
    known = {one.variable for one in TABLE} | _OTHER_VARIABLES
    for name in sorted(environment):
        if name.startswith("VMCATCHER_") and name not in known and not name.startswith("VMCATCHER_EVENT_"):
            near = get_close_matches(name, known, 1, 0.6)
            said = f"the variable {name} sets nothing" + (f"; did you mean {near[0]}?" if near else "")
            yield Finding(Severity.WARNING, name, said)


def _name_of(settings: Settings, name: str) -> str:
    """Return how a setting was set: by its variable or its key; as an option where it was neither."""
    one = next(one for one in TABLE if one.name == name)
    source = settings.sources[name]
    return source if source == one.variable else one.key or one.variable


def _store(settings: Settings) -> Iterator[Finding]:
    about = _name_of(
        settings, "store" if settings.optional("store") or not settings.optional("database") else "database"
    )
    try:
        choice = wiring.choose_store(settings)
        layout = wiring.reading(settings, "config check")
        if layout is not None:
            root.demand_owner(layout.layout)
    except VmcatcherError as error:
        yield Finding(Severity.ERROR, about, error.one_line())
        return
    if layout is None:
        said = f"there is no store at {choice.root} yet; vmcatcher store init makes one"
        yield Finding(Severity.WARNING, about, said)


def _trust_directory(settings: Settings) -> Iterator[Finding]:
    about = _name_of(settings, "trust_directory")
    try:
        anchors = TrustAnchors.load(settings.text("trust_directory"))
    except VmcatcherError as error:
        yield Finding(Severity.ERROR, about, error.one_line())
        return
    if anchors.problems:
        said = f"{len(anchors.problems)} files in {anchors.directory} are of no use; vmcatcher trust check names them"
        yield Finding(Severity.WARNING, about, said)


def _directories(settings: Settings) -> Iterator[Finding]:
    for name in _DIRECTORIES:
        path = settings.optional(name)
        if path is None or os.path.isdir(path):
            continue
        said = f"{path} is no directory; it is not made, since it may be a disk that is not mounted"
        yield Finding(Severity.ERROR, _name_of(settings, name), said)


def _handlers(settings: Settings) -> Iterator[Finding]:
    for name in _HANDLERS:
        command = settings.optional(name)
        problem = None if command is None else _unusable(command, settings.environment)
        if problem is not None:
            yield Finding(Severity.ERROR, _name_of(settings, name), f"the handler cannot be run: {problem}")


def _unusable(command: str, environment: Mapping[str, str]) -> str | None:
    """Return why `sh` would not find the first program of a command line; None where it would, or nobody can tell."""
    try:
        words = shlex.split(command, comments=True)
    except ValueError as exc:
        return str(exc)
    if not words:
        return "it holds no command"
    program = words[0]
    # Assignments, groups and expansions are the shell's to understand.
    if _SHELL.fullmatch(program) or not re.fullmatch(r"[A-Za-z0-9_./+@%,:-]+", program):
        return None
    if os.path.sep not in program:
        found = shutil.which(program, path=environment.get("PATH", os.defpath))
        return None if found else f"there is no program {program} in PATH"
    if not os.path.exists(program):
        return f"{program} is not there"
    return None if os.access(program, os.X_OK) and os.path.isfile(program) else f"{program} may not be executed"


def _log_config(settings: Settings) -> Iterator[Finding]:
    path = settings.optional("log_config")
    if path is not None and not os.access(path, os.R_OK):
        said = f"the logging configuration {path} is not there, or may not be read"
        yield Finding(Severity.ERROR, _name_of(settings, "log_config"), said)


def _retentions(settings: Settings) -> Iterator[Finding]:
    for one in TABLE:
        if one.name.startswith("retention_"):
            about = _name_of(settings, one.name)
            try:
                parse_retention(about, settings.text(one.name))
            except BadSetting as error:
                yield Finding(Severity.ERROR, about, error.one_line())


def _proxies(settings: Settings) -> Iterator[Finding]:
    for scheme in ("http", "https"):
        try:
            Proxies(settings.proxies, "").choose(Location.parse(f"{scheme}://example.org/")[0])
        except VmcatcherError as error:
            yield Finding(Severity.ERROR, f"{scheme}_proxy", error.one_line())


def _mirrors(settings: Settings) -> Iterator[Finding]:
    for mirror in settings.texts("mirrors"):
        try:
            Location.parse(mirror)
        except VmcatcherError as error:
            yield Finding(Severity.ERROR, _name_of(settings, "mirrors"), error.one_line())
