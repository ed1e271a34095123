"""What can be set: what it is called, what may be given, what that means; and what is set in one run."""

from __future__ import annotations

from vmcatcher.errors.settings import BadSetting
from vmcatcher.light import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final, Literal

    Kind = Literal["text", "flag", "seconds", "bytes", "count", "texts"]

Value = str | bool | int | float | tuple[str, ...] | None

_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})
_EXPECTED: Final[Mapping[Kind, tuple[type, ...]]] = {
    "text": (str,),
    "flag": (bool,),
    "seconds": (int, float),
    "bytes": (int,),
    "count": (int,),
    "texts": (tuple, list),
}
# Ten years and a petabyte: what is larger is a slip, and overflows somewhere below.
_LARGEST: Final[Mapping[Kind, float]] = {
    "text": 0,
    "flag": 1,
    "seconds": 315_360_000,
    "bytes": 2**50,
    "count": 2**31,
    "texts": 0,
}
# How many at a time: none would be never.
_AT_LEAST_ONE: Final = frozenset({"jobs", "jobs_per_host"})
HELD_LOCKS: Final = "VMCATCHER_HELD_LOCKS"


@dataclass(frozen=True, slots=True)
class Setting:
    """One thing that can be set: its variable, its place in the settings file, its kind and default."""

    name: str
    variable: str
    key: str
    kind: Kind
    default: Value
    meaning: str
    choices: tuple[str, ...] = ()

    @property
    def smallest(self) -> float:
        """The least that a number may be."""
        if self.name in _AT_LEAST_ONE:
            return 1
        # A limit of no time at all is one that nothing can keep; where waiting is meant, 0 is a fine answer.
        return 0.001 if self.kind == "seconds" and self.name.endswith("_timeout") else 0

    @property
    def largest(self) -> float:
        """The most that a number may be."""
        return _LARGEST[self.kind]

    def parsed(self, text: str, given_as: str) -> Value:
        """Return what a variable's text stands for; `given_as` is what an error calls it.

        Raises:
            BadSetting: it makes no sense.
        """
        match self.kind:
            case "flag":
                if text.lower() not in _TRUE | _FALSE:
                    raise BadSetting(name=given_as, value=text, expected="1 or 0")
                return text.lower() in _TRUE
            case "count":
                number = int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else None
                if number is None:
                    raise BadSetting(name=given_as, value=text, expected="a whole number")
                return self.checked(number, given_as)
            case "texts":
                return tuple(text.replace(",", " ").split())
            case _:
                return self.checked(text, given_as)

    def checked(self, value: object, given_as: str) -> Value:
        """Return a value of an option or of the settings file, if it fits; times and sizes may be texts such as `30d`.

        Raises:
            BadSetting: it does not.
        """
        if isinstance(value, str) and self.kind in ("seconds", "bytes"):
            value = self._quantity(value, given_as)
        # A truth value is a number to Python, not to whoever wrote the settings file.
        fits = isinstance(value, _EXPECTED[self.kind]) and (self.kind == "flag" or not isinstance(value, bool))
        if isinstance(value, list):
            fits = fits and all(isinstance(one, str) for one in value)
        if not fits:
            raise BadSetting(name=given_as, value=str(value), expected=f"a value of kind {self.kind}")
        if self.choices and value not in self.choices:
            raise BadSetting(name=given_as, value=str(value), expected="one of " + ", ".join(self.choices))
        if isinstance(value, int | float) and not self.smallest <= value <= self.largest:
            expected = f"a number from {self.smallest} to {self.largest}"
            raise BadSetting(name=given_as, value=str(value), expected=expected)
        return tuple(str(one) for one in value) if isinstance(value, tuple | list) else value  # type: ignore[return-value]  # narrowed by _EXPECTED

    def _quantity(self, text: str, given_as: str) -> float:
        from vmcatcher.model import quantities  # noqa: PLC0415 - queries in a loop are given none

        is_time = self.kind == "seconds"
        found = quantities.seconds_in(text) if is_time else quantities.bytes_in(text)
        if found is None:
            expected = quantities.TIMES if is_time else quantities.SIZES
            raise BadSetting(name=given_as, value=text, expected=expected)
        return found


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting with the source it came from, frozen for the run."""

    values: Mapping[str, Value]
    sources: Mapping[str, str]
    """Name -> `option`, the variable's name, the settings file's path, or `default`."""
    environment: Mapping[str, str]
    """The environment that a handler inherits."""
    home: str
    is_root: bool
    file: str | None = None
    """The settings file that was read; None where none is there."""

    def text(self, name: str) -> str:
        """Return a text that has a default."""
        value = self.values[name]
        assert isinstance(value, str)
        return value

    def optional(self, name: str) -> str | None:
        """Return a text, or None where it is not set; an empty text counts as not set."""
        value = self.values[name]
        assert value is None or isinstance(value, str)
        return value or None

    def flag(self, name: str) -> bool:
        """Return a switch."""
        return self.values[name] is True

    def number(self, name: str) -> float:
        """Return seconds, as a float."""
        value = self.values[name]
        assert isinstance(value, int | float)
        return float(value)

    def count(self, name: str) -> int:
        """Return bytes or a count, as a whole number."""
        value = self.values[name]
        assert isinstance(value, int)
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of texts."""
        value = self.values[name]
        assert isinstance(value, tuple)
        return value

    def is_default(self, name: str) -> bool:
        """Tell whether nobody set it."""
        return self.sources[name] == "default"

    @property
    def proxies(self) -> dict[str, str]:
        """Proxy URLs by `http`, `https` and `all`. HTTP_PROXY does not count: a web client can set it (httpoxy)."""
        variables = {
            "http": ("http_proxy",),
            "https": ("https_proxy", "HTTPS_PROXY"),
            "all": ("all_proxy", "ALL_PROXY"),
        }
        found = ((scheme, self._first(names)) for scheme, names in variables.items())
        return {scheme: url for scheme, url in found if url}

    @property
    def no_proxy(self) -> str:
        """Hosts that are reached without a proxy, as curl reads the variable."""
        return self._first(("no_proxy", "NO_PROXY"))

    def _first(self, names: tuple[str, ...]) -> str:
        return next((self.environment[name] for name in names if self.environment.get(name)), "")

    @property
    def held_locks(self) -> frozenset[str]:
        """Locks that the vmcatcher run that called this process holds while it waits for it."""
        return frozenset(filter(None, self.environment.get(HELD_LOCKS, "").split("\n")))
