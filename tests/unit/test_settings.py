"""Settings: option over variable over settings file over default, each with the source it came from."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmcatcher.errors import VmcatcherError
from vmcatcher.errors.settings import BadSetting, SettingsUnreadable, UnknownSetting
from vmcatcher.settings import HELD_LOCKS, TABLE, Setting, Settings, Value, load_settings

_EXAMPLES: dict[str, tuple[str, Value, str]] = {
    # kind -> text of a variable, the value it stands for, the same in TOML
    "text": ("a text", "a text", '"a text"'),
    "flag": ("1", True, "true"),
    "seconds": ("2.5", 2.5, "2.5"),
    "bytes": ("1024", 1024, "1024"),
    "count": ("3", 3, "3"),
    "texts": ("a, b c", ("a", "b", "c"), '["a", "b", "c"]'),
}


def _example(setting: Setting) -> tuple[str, Value, str]:
    if setting.choices:
        choice = setting.choices[-1]
        return choice, choice, f'"{choice}"'
    return _EXAMPLES[setting.kind]


def _toml(tmp_path: Path, text: str) -> dict[str, str]:
    path = tmp_path / "settings.toml"
    path.write_text(text, encoding="utf-8")
    return {"HOME": str(tmp_path), "VMCATCHER_CONFIG": str(path)}


def _load(tmp_path: Path, flags: dict[str, Value] | None = None, **environment: str) -> Settings:
    return load_settings(flags or {}, environment={"HOME": str(tmp_path), **environment})


def _named(setting: Setting) -> str:
    return setting.name


@pytest.mark.parametrize("setting", TABLE, ids=_named)
def test_nothing_given_is_the_default(setting: Setting, tmp_path: Path):
    settings = _load(tmp_path)
    assert settings.values[setting.name] == setting.default
    assert settings.sources[setting.name] == "default"
    assert settings.is_default(setting.name)


@pytest.mark.parametrize("setting", TABLE, ids=_named)
def test_option_counts_before_variable_before_file(setting: Setting, tmp_path: Path):
    text, value, toml = _example(setting)
    environment = _toml(tmp_path, f"{setting.key} = {toml}\n" if setting.key else "")
    in_file = load_settings({}, environment=environment)
    if setting.key:
        assert (in_file.values[setting.name], in_file.sources[setting.name]) == (value, environment["VMCATCHER_CONFIG"])
    else:
        assert in_file.is_default(setting.name)
    environment[setting.variable] = text
    by_variable = load_settings({setting.name: None}, environment=environment)
    assert (by_variable.values[setting.name], by_variable.sources[setting.name]) == (value, setting.variable)
    by_option = load_settings({setting.name: setting.default or value}, environment=environment)
    assert by_option.sources[setting.name] == "option"
    assert by_option.values[setting.name] == (setting.default or value)
    assert not by_option.is_default(setting.name)


@pytest.mark.parametrize("setting", TABLE, ids=_named)
def test_empty_variable_says_nothing(setting: Setting, tmp_path: Path):
    _, value, toml = _example(setting)
    environment = _toml(tmp_path, f"{setting.key} = {toml}\n" if setting.key else "")
    environment[setting.variable] = ""
    settings = load_settings({}, environment=environment)
    assert settings.values[setting.name] == (value if setting.key else setting.default)
    assert settings.sources[setting.name] != setting.variable


@pytest.mark.parametrize("setting", [one for one in TABLE if one.kind == "text"], ids=_named)
def test_empty_option_says_nothing(setting: Setting, tmp_path: Path):
    text, value, _ = _example(setting)
    settings = _load(tmp_path, {setting.name: ""}, **{setting.variable: text})
    assert (settings.values[setting.name], settings.sources[setting.name]) == (value, setting.variable)


def test_names_variables_and_keys_are_there_once():
    for names in ([one.name for one in TABLE], [one.variable for one in TABLE], [one.key for one in TABLE if one.key]):
        assert len(names) == len(set(names))
    assert all(one.variable.startswith("VMCATCHER_") for one in TABLE)


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("VMCATCHER_TRUST_SHA1", "maybe"),
        ("VMCATCHER_TRUST_SHA1", "2"),
        ("VMCATCHER_TRUST_CRL", "sometimes"),
        ("VMCATCHER_TRUST_CRL", "REQUIRE"),
        ("VMCATCHER_VIEW_LINKS", "softlink"),
        ("VMCATCHER_LIST_BYTES", "10 M"),
        ("VMCATCHER_LIST_BYTES", "10d"),
        ("VMCATCHER_LIST_BYTES", "1025T"),
        ("VMCATCHER_LIST_BYTES", "1.5"),
        ("VMCATCHER_LIST_BYTES", "-1"),
        ("VMCATCHER_LIST_BYTES", "9" * 5000),
        ("VMCATCHER_LIST_BYTES", str(2**50 + 1)),
        ("VMCATCHER_WAIT", "soon"),
        ("VMCATCHER_WAIT", "10M"),
        ("VMCATCHER_WAIT", "d"),
        ("VMCATCHER_WAIT", "3651d"),
        ("VMCATCHER_WAIT", "-0.1"),
        ("VMCATCHER_WAIT", "nan"),
        ("VMCATCHER_WAIT", "inf"),
        ("VMCATCHER_WAIT", "1e300"),
        ("VMCATCHER_WAIT", "x\n\x1b[2J"),
    ],
)
def test_variable_that_makes_no_sense_is_named_with_its_value(variable: str, text: str, tmp_path: Path):
    with pytest.raises(BadSetting) as caught:
        _load(tmp_path, **{variable: text})
    assert (caught.value.name, caught.value.exit_code, caught.value.classic_exit) == (variable, 1, 1)
    assert caught.value.one_line().isprintable()
    assert variable in str(caught.value)


@pytest.mark.parametrize("text", ["1", "true", "YES", "On"])
def test_switch_is_on(text: str, tmp_path: Path):
    assert _load(tmp_path, VMCATCHER_TRUST_SHA1=text).flag("trust_sha1")


@pytest.mark.parametrize("text", ["0", "false", "NO", "Off"])
def test_switch_is_off(text: str, tmp_path: Path):
    settings = _load(tmp_path, VMCATCHER_TRUST_SHA1=text)
    assert not settings.flag("trust_sha1")
    assert not settings.is_default("trust_sha1")


@pytest.mark.parametrize(
    "line",
    [
        "store = 1",
        'trust.sha1 = "yes"',
        "trust.sha1 = 1",
        "trust.crl = true",
        'trust.crl = "sometimes"',
        "trust.ekus = [1, 2]",
        'trust.ekus = "1.2.3"',
        "limits.list_bytes = true",
        "limits.list_bytes = 1.5",
        'limits.list_bytes = "1024 bytes"',
        'locks.wait = "3o"',
        "limits.list_bytes = -1",
        "locks.wait = true",
        "locks.wait = nan",
        "locks.wait = inf",
        "locks.wait = -1",
        "cache.links = 2020-01-01",
    ],
)
def test_line_of_the_file_that_makes_no_sense_is_named_with_its_file(line: str, tmp_path: Path):
    environment = _toml(tmp_path, line)
    with pytest.raises(BadSetting) as caught:
        load_settings({}, environment=environment)
    assert caught.value.name == f"{line.partition(' ')[0]} in {environment['VMCATCHER_CONFIG']}"


@pytest.mark.parametrize("number", ["5", "5.5"])
def test_seconds_may_be_whole_or_not(number: str, tmp_path: Path):
    assert load_settings({}, environment=_toml(tmp_path, f"locks.wait = {number}")).number("wait") == float(number)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("store = ", "Invalid value"),
        ("a = [", "Invalid"),
        ("store = 'a'\nstore = 'b'", "Cannot overwrite"),
        ("store = '\ud800'", "utf-8"),
        ("x = " + "[" * 5000, "recursion"),
    ],
)
def test_file_that_cannot_be_read_is_named(text: str, says: str, tmp_path: Path):
    path = tmp_path / "settings.toml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(SettingsUnreadable) as caught:
        _load(tmp_path, VMCATCHER_CONFIG=str(path))
    assert caught.value.path == str(path)
    assert says in caught.value.why
    assert caught.value.one_line().isprintable()


@pytest.mark.parametrize(
    ("text", "key", "near"),
    [
        ("stroe = 'x'", "stroe", "did you mean store?"),
        ("[trust]\ndirectroy = 'x'", "trust.directroy", "did you mean trust.directory?"),
        ("[trust.directory]\nx = 1", "trust.directory.x", "did you mean trust.directory?"),
        ("'' = 'x'", "", "take it out"),
        ("qq = 'x'", "qq", "take it out"),
        ("'a\u202eb' = 1", "a\u202eb", "take it out"),
    ],
)
def test_key_that_is_no_setting_is_named_with_the_one_that_was_meant(text: str, key: str, near: str, tmp_path: Path):
    environment = _toml(tmp_path, text)
    with pytest.raises(UnknownSetting) as caught:
        load_settings({}, environment=environment)
    assert (caught.value.key, caught.value.path) == (key, environment["VMCATCHER_CONFIG"])
    assert f"; {near}" in caught.value.one_line()
    assert caught.value.one_line().isprintable()


@pytest.mark.parametrize(
    ("text", "seconds"),
    {
        "90": 90,
        "2.5": 2.5,
        "30s": 30,
        "15m": 900,
        "12h": 43200,
        "30d": 2592000,
        "2w": 1209600,
        "1h30m": 5400,
        "0d": 0,
    }.items(),
)
def test_time_may_be_given_with_its_unit(text: str, seconds: float, tmp_path: Path):
    assert _load(tmp_path, VMCATCHER_WAIT=text).number("wait") == seconds
    assert _load(tmp_path, {"wait": text}).number("wait") == seconds
    assert load_settings({}, environment=_toml(tmp_path, f'locks.wait = "{text}"')).number("wait") == seconds


@pytest.mark.parametrize(
    ("text", "size"),
    {
        "1024": 1024,
        "64k": 2**16,
        "10M": 10 * 2**20,
        "1.5G": 3 * 2**29,
        "1T": 2**40,
        "1MiB": 2**20,
        "1MB": 10**6,
    }.items(),
)
def test_size_may_be_given_with_its_unit(text: str, size: int, tmp_path: Path):
    assert _load(tmp_path, VMCATCHER_LIST_BYTES=text).count("list_bytes") == size
    assert load_settings({}, environment=_toml(tmp_path, f"limits.list_bytes = '{text}'")).count("list_bytes") == size


def test_file_of_the_option_counts_before_the_variable(tmp_path: Path):
    environment = _toml(tmp_path, "store = '/by/variable'")
    other = tmp_path / "other.toml"
    other.write_text("store = '/by/option'")
    settings = load_settings({}, environment=environment, file=str(other))
    assert (settings.text("store"), settings.file) == ("/by/option", str(other))
    assert load_settings({}, environment=environment).file == environment["VMCATCHER_CONFIG"]
    assert _load(tmp_path).file is None
    with pytest.raises(SettingsUnreadable):
        load_settings({}, environment=environment, file=str(tmp_path / "missing"))


def test_named_file_must_be_there(tmp_path: Path):
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(SettingsUnreadable):
            _load(tmp_path, VMCATCHER_CONFIG=str(path))


def test_file_of_the_user_is_found_below_the_home_or_where_xdg_says(tmp_path: Path):
    for directory, environment in (
        (tmp_path / ".config", {}),
        (tmp_path / "elsewhere", {"XDG_CONFIG_HOME": str(tmp_path / "elsewhere")}),
    ):
        path = directory / "vmcatcher" / "vmcatcher.toml"
        path.parent.mkdir(parents=True)
        path.write_text(f"store = '{directory}'")
        settings = _load(tmp_path, **environment)
        assert (settings.text("store"), settings.sources["store"]) == (str(directory), str(path))


def test_tables_and_dotted_keys_are_the_same(tmp_path: Path):
    text = "trust.directory = '/a'\nlimits = { list_bytes = 5 }\n[cache]\nlinks = 'copy'\n[cache.x]\n"
    settings = load_settings({}, environment=_toml(tmp_path, text))
    assert settings.text("trust_directory") == "/a"
    assert settings.count("list_bytes") == 5
    assert settings.text("view_links") == "copy"


def test_option_is_checked_as_the_others_are(tmp_path: Path):
    for flags in ({"wait": -1.0}, {"wait": float("nan")}, {"view_links": "softlink"}, {"store": 5}):
        with pytest.raises(VmcatcherError, match="the option for"):
            _load(tmp_path, dict(flags))


def test_proxies_are_those_that_a_web_client_cannot_set(tmp_path: Path):
    """HTTP_PROXY is what a CGI program is given for a `Proxy:` header (httpoxy)."""
    upper = {"HTTP_PROXY": "http://evil:1", "HTTPS_PROXY": "http://b:2", "ALL_PROXY": "http://c:3", "NO_PROXY": "x"}
    settings = _load(tmp_path, **upper)
    assert settings.proxies == {"https": "http://b:2", "all": "http://c:3"}
    assert settings.no_proxy == "x"
    lower = {name.lower(): value.replace("evil", "a") for name, value in upper.items()}
    assert _load(tmp_path, **upper, **lower).proxies == {
        "http": "http://a:1",
        "https": "http://b:2",
        "all": "http://c:3",
    }
    assert _load(tmp_path).proxies == {}
    assert _load(tmp_path, https_proxy="", HTTPS_PROXY="http://b:2").proxies == {"https": "http://b:2"}


def test_locks_that_the_caller_holds_come_by_their_variable(tmp_path: Path):
    assert _load(tmp_path).held_locks == frozenset()
    assert _load(tmp_path, **{HELD_LOCKS: "update:/a b\ncache:/a b\n"}).held_locks == {"update:/a b", "cache:/a b"}


def test_environment_is_read_once_and_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VMCATCHER_STORE", "/from/here")
    monkeypatch.setenv("SOMETHING", "else")
    settings = load_settings({})
    assert settings.text("store") == "/from/here"
    assert settings.environment["SOMETHING"] == "else"
    monkeypatch.setenv("SOMETHING", "new")
    assert settings.environment["SOMETHING"] == "else"


@pytest.mark.parametrize("name", ["LIST", "CONNECT", "IDLE", "EVENT"])
def test_limit_of_no_time_is_refused(name: str):
    with pytest.raises(BadSetting, match=r"a number from 0\.001 to"):
        load_settings({}, environment={f"VMCATCHER_{name}_TIMEOUT": "0"})


def test_not_waiting_for_a_lock_is_no_limit():
    assert load_settings({}, environment={"VMCATCHER_WAIT": "0"}).number("wait") == 0
