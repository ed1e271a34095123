"""Settings: flag over environment over `vmcatcher.toml` over default. The only reader of the environment.

`TABLE` is the one list of what can be set; the reference page is generated from it.
"""

from __future__ import annotations

import os

from vmcatcher.errors.settings import SettingsUnreadable, UnknownSetting
from vmcatcher.model.setting import HELD_LOCKS, Setting, Settings, Value

__all__ = ["HELD_LOCKS", "TABLE", "Setting", "Settings", "Value", "load_settings"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final


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
    Setting("max_validity", "VMCATCHER_MAX_VALIDITY", "trust.max_validity", "seconds", 0.0,
            "how long after its creation a list holds at most, such as `90d`; `0`: as long as it says itself"),
    Setting("trust_ca_signer", "VMCATCHER_TRUST_CA_SIGNER", "trust.ca_signer", "flag", False,
            "accept a CA certificate as signer"),
    Setting("list_bytes", "VMCATCHER_LIST_BYTES", "limits.list_bytes", "bytes", 10 * 2**20, "largest signed list"),
    Setting("list_timeout", "VMCATCHER_LIST_TIMEOUT", "limits.list_timeout", "seconds", 300.0,
            "longest fetch of one list"),
    Setting("list_jobs", "VMCATCHER_LIST_JOBS", "limits.list_jobs", "count", 4,
            "how many lists are fetched at a time, no more than two from a host; `1`: one after the other"),
    Setting("crl_bytes", "VMCATCHER_CRL_BYTES", "limits.crl_bytes", "bytes", 64 * 2**20,
            "largest revocation list that `vmcatcher trust fetch-crls` takes"),
    Setting("crl_timeout", "VMCATCHER_CRL_TIMEOUT", "limits.crl_timeout", "seconds", 120.0,
            "longest fetch of one revocation list"),
    Setting("connect_timeout", "VMCATCHER_CONNECT_TIMEOUT", "limits.connect_timeout", "seconds", 30.0,
            "longest wait for a connection"),
    Setting("idle_timeout", "VMCATCHER_IDLE_TIMEOUT", "limits.idle_timeout", "seconds", 60.0,
            "longest silence of a server"),
    Setting("limit_rate", "VMCATCHER_LIMIT_RATE", "limits.rate", "bytes", 0,
            "most bytes a second, of all downloads of images together, such as `20M`; `0`: as fast as they come"),
    Setting("mirrors", "VMCATCHER_MIRRORS", "mirrors", "texts", (),
            "mirrors of blobs, asked for images in this order before the place that the list names"),
    Setting("mirrors_only", "VMCATCHER_MIRRORS_ONLY", "mirrors_only", "flag", False,
            "never fetch an image from where the list says"),
    Setting("mirrors_tls", "VMCATCHER_MIRRORS_TLS", "mirrors_tls", "text", "system",
            "whose certificates an https mirror may show: those of this machine's authorities, or of the trust-anchor "
            "directory", ("system", "igtf")),
    Setting("output_format", "VMCATCHER_OUTPUT_FORMAT", "output.format", "text", "lines",
            "format of the classic outputs"),
    Setting("sub_event", "VMCATCHER_SUB_EVENT", "events.subscription", "text", None,
            "handler that is told which images are new in a list, by sync and vmcatcher_subscribe"),
    Setting("cache_event", "VMCATCHER_CACHE_EVENT", "events.cache", "text", None,
            "handler that is told which images come and go, by sync and vmcatcher_cache"),
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
    Setting("check_share", "VMCATCHER_CHECK_SHARE", "cache.check_share", "text", None,
            "share of the cached bytes that each default run reads in any case, such as `1/7` or `0.15`: those first "
            "whose last check is longest ago"),
    Setting("jobs", "VMCATCHER_JOBS", "cache.jobs", "count", 4,
            "how many images are downloaded at a time; `1`: one after the other"),
    Setting("jobs_per_host", "VMCATCHER_JOBS_PER_HOST", "cache.jobs_per_host", "count", 2,
            "how many of them from one host"),
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

KEYS: Final = frozenset(setting.key for setting in TABLE if setting.key)
"""What may stand in a settings file."""
CONFIG: Final = "VMCATCHER_CONFIG"


def load_settings(
    flags: Mapping[str, Value], *, environment: Mapping[str, str] | None = None, file: str | None = None
) -> Settings:
    """Return the settings of this run. A flag that is None was not given; `file` is the settings file of `--config`.

    Raises:
        BadSetting: a value does not fit its setting; names the variable or the key of the file.
        UnknownSetting: the settings file has a key that is none.
        SettingsUnreadable: there is a settings file that cannot be read.
    """
    found = dict(os.environ if environment is None else environment)
    path = settings_file(found, file)
    lines = {} if path is None else read_settings_file(path)
    for key in lines:
        if key not in KEYS:
            raise unknown(key, path or "")
    values: dict[str, Value] = {}
    sources: dict[str, str] = {}
    for setting in TABLE:
        values[setting.name], sources[setting.name] = resolve(setting, flags, found, path or "", lines)
    return Settings(values, sources, found, home_of(found), os.geteuid() == 0, path)


def default_settings() -> Settings:
    """Return every setting at its default, with the environment: for whoever looks at the settings themselves."""
    found = dict(os.environ)
    values = {one.name: one.default for one in TABLE}
    return Settings(values, dict.fromkeys(values, "default"), found, home_of(found), os.geteuid() == 0)


def resolve(
    setting: Setting, flags: Mapping[str, Value], environment: Mapping[str, str], path: str, lines: Mapping[str, object]
) -> tuple[Value, str]:
    """Return the value of one setting and where it came from; `lines` are those of the settings file at `path`.

    Raises:
        BadSetting: the value that counts does not fit.
    """
    given = flags.get(setting.name)
    # An empty option or variable is what `-d "$UNSET"` and `VAR=$UNSET` leave in a cron file: it says nothing.
    if given is not None and given != "":
        return setting.checked(given, f"the option for {setting.name}"), "option"
    if environment.get(setting.variable):
        return setting.parsed(environment[setting.variable], setting.variable), setting.variable
    if setting.key and setting.key in lines:
        return setting.checked(lines[setting.key], f"{setting.key} in {path}"), path
    return setting.default, "default"


def home_of(environment: Mapping[str, str]) -> str:
    """Return the home directory of this user."""
    return environment.get("HOME") or os.path.expanduser("~")


def settings_places(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return where a settings file is looked for that nobody named, in that order."""
    user = environment.get("XDG_CONFIG_HOME") or os.path.join(home_of(environment), ".config")
    return os.path.join(user, "vmcatcher", "vmcatcher.toml"), "/etc/vmcatcher/vmcatcher.toml"


def settings_file(environment: Mapping[str, str], named: str | None = None) -> str | None:
    """Return the settings file that counts: the one of `--config` or its variable, else the first that is there."""
    named = named or environment.get(CONFIG)
    return named or next((place for place in settings_places(environment) if os.path.exists(place)), None)


def read_settings_file(path: str) -> dict[str, object]:
    """Return the lines of a settings file by their dotted keys, known or not.

    Raises:
        SettingsUnreadable: it is not there, or is no TOML.
    """
    import tomllib  # noqa: PLC0415 - queries in a loop do without it where no file is there

    try:
        with open(path, "rb") as source:
            return _flat(tomllib.load(source))
    except (OSError, ValueError, RecursionError) as exc:
        raise SettingsUnreadable(path=path, why=str(exc)) from exc


def _flat(table: Mapping[str, object], above: str = "") -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in table.items():
        name = above + key
        if isinstance(value, dict):
            found.update(_flat(value, name + "."))
        else:
            found[name] = value
    return found


def unknown(key: str, path: str) -> UnknownSetting:
    """Return the error for a key that is no setting, with the one that was probably meant."""
    from difflib import get_close_matches  # noqa: PLC0415 - see above

    close = get_close_matches(key, KEYS, 1, 0.6)
    return UnknownSetting(key=key, path=path, near=f"did you mean {close[0]}?" if close else "take it out")
