"""Settings that cannot be used."""

from __future__ import annotations

import re

from vmcatcher.errors.base import OperatorError
from vmcatcher.light import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import ClassVar


def without_passwords(text: str) -> str:
    """Return a setting's value as it may be shown: without what stands between `//` and the last `@` of a word."""
    return re.sub(r"//[^\s,]*@", "//***@", text)


@dataclass(eq=False)
class BadSetting(OperatorError):
    """A variable, option or line of the settings file holds a value that makes no sense there."""

    name: str
    value: str
    expected: str
    id: ClassVar[str] = "bad-setting"
    message: ClassVar[str] = "{name} is '{value}', expected {expected}"
    hint: ClassVar[str] = "see docs/reference/settings.md"

    def facts(self) -> dict[str, object]:
        """Return the fields by name; a mirror's password is not among them."""
        return {**super().facts(), "value": without_passwords(self.value)}


@dataclass(eq=False)
class SettingsUnreadable(OperatorError):
    """The settings file cannot be read or is no TOML."""

    path: str
    why: str
    id: ClassVar[str] = "settings-unreadable"
    message: ClassVar[str] = "cannot read the settings file {path}: {why}"
    hint: ClassVar[str] = "correct it, or name another one with --config or VMCATCHER_CONFIG"


@dataclass(eq=False)
class UnknownSetting(OperatorError):
    """A key of the settings file that is no setting: one that is misspelt must not silently be the default."""

    key: str
    path: str
    near: str
    id: ClassVar[str] = "unknown-setting"
    message: ClassVar[str] = "unknown setting {key} in {path}"
    hint: ClassVar[str] = "{near}; docs/reference/settings.md names them all"


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
