"""Settings that cannot be used."""

from __future__ import annotations

from vmcatcher.errors.base import OperatorError
from vmcatcher.light import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import ClassVar


@dataclass(eq=False)
class BadSetting(OperatorError):
    """A variable, option or line of the settings file holds a value that makes no sense there."""

    name: str
    value: str
    expected: str
    id: ClassVar[str] = "bad-setting"
    message: ClassVar[str] = "{name} is '{value}', expected {expected}"
    hint: ClassVar[str] = "see docs/reference/settings.md"


@dataclass(eq=False)
class SettingsUnreadable(OperatorError):
    """The settings file cannot be read or is no TOML."""

    path: str
    why: str
    id: ClassVar[str] = "settings-unreadable"
    message: ClassVar[str] = "cannot read the settings file {path}: {why}"
    hint: ClassVar[str] = "correct it, or name another one with VMCATCHER_CONFIG"


@dataclass(eq=False)
class LogConfigMissing(OperatorError):
    """The logging configuration file is not there."""

    path: str
    id: ClassVar[str] = "log-config-missing"
    message: ClassVar[str] = "Logfile configuration file '{path}' was not found."


@dataclass(eq=False)
class LogConfigBad(OperatorError):
    """The logging configuration file cannot be used."""

    path: str
    why: str
    id: ClassVar[str] = "log-config-bad"
    message: ClassVar[str] = "cannot use the logging configuration {path}: {why}"
    hint: ClassVar[str] = "it is Python's logging configuration as ini, .json or .toml"
