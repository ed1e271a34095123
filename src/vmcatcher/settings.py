"""Settings: flag over environment over `vmcatcher.toml` over default. The only reader of the environment.

`TABLE` is the one list of what can be set; the reference page is generated from it.
"""

from __future__ import annotations

import os

from vmcatcher.errors.settings import BadSetting, SettingsUnreadable
from vmcatcher.light import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final, Literal

    Kind = Literal["text", "flag", "seconds", "bytes", "count", "texts"]

Value = str | bool | int | float | tuple[str, ...] | None


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


# dotted OIDs of emailProtection and anyExtendedKeyUsage (RFC 5280 section 4.2.1.12)
_SIGNING_USES: Final = ("1.3.6.1.5.5.7.3.4", "2.5.29.37.0")

TABLE: Final = (
    Setting("store", "VMCATCHER_STORE", "store", "text", None, "directory of the store"),
    Setting("database", "VMCATCHER_RDBMS", "database", "text", None, "classic database URL, which stands for a store"),
    Setting("trust_directory", "VMCATCHER_DIR_CERT", "trust.directory", "text", "/etc/grid-security/certificates",
            "trust-anchor directory"),
    Setting("trust_sha1", "VMCATCHER_TRUST_SHA1", "trust.sha1", "flag", False, "accept SHA-1 signatures of old lists"),
    Setting("trust_crl", "VMCATCHER_TRUST_CRL", "trust.crl", "text", "require",
            "whether every issuer must have a current CRL", ("require", "if-present", "off")),
    Setting("trust_policy", "VMCATCHER_TRUST_POLICY", "trust.policy", "text", "both",
            "which namespace policies must permit: signing_policy and namespaces, the first found, none",
            ("both", "first", "off")),
    Setting("trust_ekus", "VMCATCHER_TRUST_EKUS", "trust.ekus", "texts", _SIGNING_USES,
            "extended key usages (OIDs) of which a signer with any must have one"),
    Setting("trust_ca_signer", "VMCATCHER_TRUST_CA_SIGNER", "trust.ca_signer", "flag", False,
            "accept a CA certificate as signer"),
    Setting("list_bytes", "VMCATCHER_LIST_BYTES", "limits.list_bytes", "bytes", 10 * 2**20, "largest signed list"),
    Setting("list_timeout", "VMCATCHER_LIST_TIMEOUT", "limits.list_timeout", "seconds", 300.0,
            "longest fetch of one list"),
    Setting("connect_timeout", "VMCATCHER_CONNECT_TIMEOUT", "limits.connect_timeout", "seconds", 30.0,
            "longest wait for a connection"),
    Setting("idle_timeout", "VMCATCHER_IDLE_TIMEOUT", "limits.idle_timeout", "seconds", 60.0,
            "longest silence of a server"),
    Setting("output_format", "VMCATCHER_OUTPUT_FORMAT", "output.format", "text", "lines",
            "format of the classic outputs"),
    Setting("sub_event", "VMCATCHER_SUB_EVENT", "events.subscription", "text", None,
            "handler that vmcatcher_subscribe runs"),
    Setting("cache_event", "VMCATCHER_CACHE_EVENT", "events.cache", "text", None, "handler that vmcatcher_cache runs"),
    Setting("event_timeout", "VMCATCHER_EVENT_TIMEOUT", "events.timeout", "seconds", 10.0,
            "longest run of a handler; then it is ended"),
    Setting("log_config", "VMCATCHER_LOG_CONF", "log.config", "text", None, "logging configuration file"),
    Setting("cache_directory", "VMCATCHER_CACHE_DIR_CACHE", "cache.directory", "text", None, "view of endorsed images"),
    Setting("partial_directory", "VMCATCHER_CACHE_DIR_DOWNLOAD", "cache.partial", "text", None,
            "where verified bytes are shown while AvailablePrefix runs"),
    Setting("expired_directory", "VMCATCHER_CACHE_DIR_EXPIRE", "cache.expired", "text", None, "view of expired images"),
    Setting("action_download", "VMCATCHER_CACHE_ACTION_DOWNLOAD", "", "text", None, "`1`: download and expire"),
    Setting("action_check", "VMCATCHER_CACHE_ACTION_CHECK", "", "text", None, "`1`: check the bytes of cached images"),
    Setting("action_expire", "VMCATCHER_CACHE_ACTION_EXPIRE", "", "text", None, "`1`: expire"),
    Setting("view_links", "VMCATCHER_VIEW_LINKS", "cache.links", "text", "symlink",
            "what the views are made of", ("symlink", "hardlink", "copy")),
    Setting("keep_until_replaced", "VMCATCHER_KEEP_UNTIL_REPLACED", "cache.keep_until_replaced", "flag", False,
            "keep a replaced image until the new bytes are there"),
    Setting("recheck_after", "VMCATCHER_RECHECK_AFTER", "cache.recheck_after", "seconds", 30 * 86400.0,
            "how long the check of an unchanged file holds in a default run"),
    Setting("wait", "VMCATCHER_WAIT", "locks.wait", "seconds", 0.0, "how long to wait for another run to end"),
    Setting("retention_expired", "VMCATCHER_RETENTION_EXPIRED", "retention.expired", "text", "90d",
            "how long `vmcatcher store prune` keeps expired images: `90d`, `12h`, `0`, `keep`"),
    Setting("retention_grace", "VMCATCHER_RETENTION_GRACE", "retention.grace", "text", "14d",
            "how old bytes that nothing needs and what interrupted runs left have to be before it drops them"),
    Setting("retention_snapshots", "VMCATCHER_RETENTION_SNAPSHOTS", "retention.snapshots", "text", "keep",
            "how long it keeps signed lists after newer ones came"),
    Setting("retention_event_log", "VMCATCHER_RETENTION_EVENT_LOG", "retention.event_log", "text", "keep",
            "how long it keeps what each run told"),
    Setting("retention_failed_events", "VMCATCHER_RETENTION_FAILED_EVENTS", "retention.failed_events", "text", "keep",
            "how long it keeps events that were given up"),
    Setting("retention_quarantine", "VMCATCHER_RETENTION_QUARANTINE", "retention.quarantine", "text", "keep",
            "how long it keeps what was put into quarantine"),
)  # fmt: skip

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
HELD_LOCKS: Final = "VMCATCHER_HELD_LOCKS"


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


def load_settings(flags: Mapping[str, Value], *, environment: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of this run. A flag that is None was not given.

    Raises:
        BadSetting: a value does not fit its setting; names the variable or the key of the file.
        SettingsUnreadable: there is a settings file that cannot be read.
    """
    found = dict(os.environ if environment is None else environment)
    home = found.get("HOME") or os.path.expanduser("~")
    path, lines = _settings_file(found, home)
    values: dict[str, Value] = {}
    sources: dict[str, str] = {}
    for setting in TABLE:
        values[setting.name], sources[setting.name] = _resolve(setting, flags, found, path, lines)
    return Settings(values, sources, found, home, os.geteuid() == 0)


def _resolve(
    setting: Setting, flags: Mapping[str, Value], environment: Mapping[str, str], path: str, lines: Mapping[str, object]
) -> tuple[Value, str]:
    given = flags.get(setting.name)
    # An empty option or variable is what `-d "$UNSET"` and `VAR=$UNSET` leave in a cron file: it says nothing.
    if given is not None and given != "":
        return _checked(setting, given, f"the option for {setting.name}"), "option"
    if environment.get(setting.variable):
        return _parsed(setting, environment[setting.variable], setting.variable), setting.variable
    if setting.key and setting.key in lines:
        return _checked(setting, lines[setting.key], f"{setting.key} in {path}"), path
    return setting.default, "default"


def _settings_file(environment: Mapping[str, str], home: str) -> tuple[str, Mapping[str, object]]:
    named = environment.get("VMCATCHER_CONFIG")
    user = environment.get("XDG_CONFIG_HOME") or os.path.join(home, ".config")
    places = [named] if named else [os.path.join(user, "vmcatcher", "vmcatcher.toml"), "/etc/vmcatcher/vmcatcher.toml"]
    path = next((place for place in places if named or os.path.exists(place)), None)
    if path is None:
        return "", {}
    import tomllib  # noqa: PLC0415 - queries in a loop do without it where no file is there

    try:
        with open(path, "rb") as source:
            return path, _flat(tomllib.load(source))
    except (OSError, ValueError, RecursionError) as exc:
        raise SettingsUnreadable(path=path, why=str(exc)) from exc


def _flat(table: Mapping[str, object], above: str = "") -> dict[str, object]:
    found: dict[str, object] = {}
    known = {setting.key for setting in TABLE if setting.key}
    for key, value in table.items():
        name = above + key
        if isinstance(value, dict):
            found.update(_flat(value, name + "."))
        elif name in known:
            found[name] = value
        else:
            raise ValueError(f"unknown setting {name}")
    return found


def _parsed(setting: Setting, text: str, name: str) -> Value:
    match setting.kind:
        case "flag":
            if text.lower() not in _TRUE | _FALSE:
                raise BadSetting(name=name, value=text, expected="1 or 0")
            return text.lower() in _TRUE
        case "seconds" | "bytes" | "count":
            try:
                number = float(text) if setting.kind == "seconds" else int(text)
            except ValueError as exc:
                raise BadSetting(name=name, value=text, expected=f"a number of {setting.kind}") from exc
            return _checked(setting, number, name)
        case "texts":
            return tuple(text.replace(",", " ").split())
        case _:
            return _checked(setting, text, name)


def _smallest(setting: Setting) -> float:
    # A limit of no time at all is one that nothing can keep; where waiting is meant, 0 is a fine answer.
    return 0.001 if setting.kind == "seconds" and setting.name.endswith("_timeout") else 0


def _checked(setting: Setting, value: object, name: str) -> Value:
    # A truth value is a number to Python, not to whoever wrote the settings file.
    fits = isinstance(value, _EXPECTED[setting.kind]) and (setting.kind == "flag" or not isinstance(value, bool))
    if isinstance(value, list):
        fits = fits and all(isinstance(one, str) for one in value)
    if not fits:
        raise BadSetting(name=name, value=str(value), expected=f"a value of kind {setting.kind}")
    if setting.choices and value not in setting.choices:
        raise BadSetting(name=name, value=str(value), expected="one of " + ", ".join(setting.choices))
    if isinstance(value, int | float) and not _smallest(setting) <= value <= _LARGEST[setting.kind]:
        expected = f"a number from {_smallest(setting)} to {_LARGEST[setting.kind]}"
        raise BadSetting(name=name, value=str(value), expected=expected)
    return tuple(str(one) for one in value) if isinstance(value, tuple | list) else value  # type: ignore[return-value]  # narrowed by _EXPECTED
